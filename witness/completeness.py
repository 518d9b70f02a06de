"""The recorder's account of what was sent, as signaling asks for it."""

from collections.abc import Iterable
from typing import Literal

from recorder.backfill.chunk import LossCause, SaidChunk
from recorder.backfill.device_key import SignedBatch
from recorder.backfill.errors import (
    BackfillError,
    BodyError,
    BusyError,
    ContradictionError,
    DeviceKeyError,
    IncompleteError,
    LedgerFullError,
    MismatchError,
    NotYoursError,
)
from recorder.backfill.service import BackfillService
from recorder.backfill.token import TokenError, TokenExpiredError, UploadTokens
from signaling.errors import ErrorCode, HttpCode, RefusedError
from signaling.messages import DigestBatchData
from signaling.recording import Kept, Wanted
from signaling.uploads import UploadBearer, UploadRefusedError

__all__ = ["RecordingUploads"]

_BUSY_S = 2


class RecordingUploads:
    """Implements :class:`signaling.uploads.Uploads`.

    Args:
        service: keeps the ledgers.
        tokens: makes and checks upload tokens.
        token_s: how long one is good.
    """

    def __init__(self, service: BackfillService, tokens: UploadTokens, token_s: float) -> None:
        self._service = service
        self._tokens = tokens
        self._token_s = token_s

    def announce_key(self, session_id: str, participant_id: str, public: str, proof: str) -> None:
        """See :class:`signaling.recording.Completeness`."""
        try:
            self._service.announce_key(session_id, participant_id, public, proof)
        except DeviceKeyError as error:
            raise RefusedError(ErrorCode.BAD_MESSAGE, str(error)) from error
        except BusyError as error:
            raise RefusedError(ErrorCode.BUSY, str(error), retry_after_s=_BUSY_S) from error
        except BackfillError as error:
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, str(error)) from error

    def accept_digests(
        self, session_id: str, participant_id: str, batch: DigestBatchData, *, late: bool
    ) -> Kept:
        """See :class:`signaling.recording.Completeness`."""
        chunks = [
            (batch.from_seq + index, SaidChunk(**item.model_dump()))
            for index, item in enumerate(batch.chunks)
        ]
        signed = None if batch.signed is None else SignedBatch(**batch.signed.model_dump())
        place = (session_id, participant_id, batch.track_id, batch.codec)
        try:
            return Kept(*self._service.accept(*place, chunks, late=late, signed=signed))
        except NotYoursError as error:
            raise RefusedError(ErrorCode.FORBIDDEN, str(error)) from error
        except (ContradictionError, LedgerFullError) as error:
            raise RefusedError(ErrorCode.BAD_MESSAGE, str(error)) from error
        except BusyError as error:
            raise RefusedError(ErrorCode.BUSY, str(error), retry_after_s=_BUSY_S) from error
        except BackfillError as error:
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, str(error)) from error

    def wanted(self, session_id: str, participant_id: str, limit: int) -> tuple[list[Wanted], int]:
        """See :class:`signaling.recording.Completeness`."""
        found, more = self._service.wanted(session_id, participant_id, limit)
        return [Wanted(track, seq, have) for track, seq, have in found], more

    def issue_token(
        self, session_id: str, participant_id: str, now_unix_s: float
    ) -> tuple[str, float]:
        """See :class:`signaling.recording.Completeness`."""
        expires_s = int(now_unix_s + self._token_s)
        return self._tokens.issue(session_id, participant_id, expires_s), float(expires_s)

    def bearer(self, token: str, now_unix_s: float) -> UploadBearer:
        """See :class:`signaling.uploads.Uploads`."""
        try:
            found = self._tokens.check(token, now_unix_s)
        except TokenExpiredError as error:
            raise UploadRefusedError(401, ErrorCode.TOKEN_EXPIRED, str(error)) from error
        except TokenError as error:
            raise UploadRefusedError(401, ErrorCode.UNAUTHORIZED, str(error)) from error
        return UploadBearer(found.session, found.participant)

    def state(self, session_id: str, participant_id: str) -> Literal["recording", "open", "done"]:
        """See :class:`signaling.uploads.Uploads`."""
        state = self._service.state(session_id, participant_id)
        if state is None:
            raise UploadRefusedError(404, HttpCode.UNKNOWN_SESSION, "nothing more is wanted of it")
        return state

    def lost(
        self,
        session_id: str,
        participant_id: str,
        track_id: str,
        seqs: Iterable[int],
        cause: Literal["evicted"],
    ) -> None:
        """See :class:`signaling.uploads.Uploads`."""
        try:
            self._service.lost(session_id, participant_id, track_id, list(seqs), LossCause(cause))
        except BackfillError as error:
            raise _refused(error) from error

    async def put(
        self, session_id: str, participant_id: str, track_id: str, seq: int, body: bytes
    ) -> None:
        """See :class:`signaling.uploads.Uploads`."""
        try:
            await self._service.put(session_id, participant_id, track_id, seq, body)
        except BackfillError as error:
            raise _refused(error) from error


def _refused(error: BackfillError) -> UploadRefusedError:
    text = str(error)
    match error:
        case BodyError():
            return UploadRefusedError(400, ErrorCode.BAD_MESSAGE, text)
        case NotYoursError():
            return UploadRefusedError(403, ErrorCode.FORBIDDEN, text)
        case IncompleteError():
            return UploadRefusedError(409, HttpCode.INCOMPLETE, text)
        case MismatchError():
            return UploadRefusedError(422, HttpCode.DIGEST_MISMATCH, text)
        case BusyError():
            return UploadRefusedError(503, ErrorCode.BUSY, text, retry_after_s=_BUSY_S)
    return UploadRefusedError(404, HttpCode.UNKNOWN_CHUNK, text)
