"""Messages from clients: strict models, and one function that reads them.

``docs/protocol.md`` explains every field; the published schema is made from these models.
"""

from base64 import b64decode
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json

from sfu.model import Source
from signaling.deflated import inflated
from signaling.errors import ErrorCode, RefusedError

__all__ = [
    "CLIENT_ADAPTER",
    "MAX_CHUNK_BYTES",
    "MAX_TEXT_CHARS",
    "Ack",
    "ClientMessage",
    "ConsentGive",
    "ConsentWithdraw",
    "DeviceKey",
    "DeviceKeyData",
    "DigestBatch",
    "DigestBatchData",
    "DigestChunk",
    "FindingAcknowledge",
    "Join",
    "LayersFirst",
    "LayersWant",
    "Leave",
    "Mute",
    "MuteAnswer",
    "MuteRequest",
    "OfferMessage",
    "Ping",
    "QualityReport",
    "QualityReportData",
    "Request",
    "Resume",
    "Subscribe",
    "TextMessage",
    "Unsubscribe",
    "read_message",
    "read_request_id",
]

MAX_TEXT_CHARS: Final = 16_000
"""Upper bound of the configurable length of a text message, code points."""

MAX_CHUNK_BYTES: Final = 8 * 1024 * 1024
"""Media of a chunk at most: a second of the best encoding is far below it."""

_MAX_CHUNK_S: Final = 2
"""From the first frame of a chunk to its last; clients end one after a second."""

_MAX_SOUND_APART_S: Final = 0.5
"""Between two frames of sound: in silence (DTX) Opus sends one about every 0.4 s."""

_CLOCK_RATES: Final = {"opus": 48_000}
_VIDEO_CLOCK_RATE: Final = 90_000

_MAX_FIELD_CHARS: Final = 120
_MAX_DESCRIBED: Final = 100
"""Errors of one message that are looked at; describing each costs microseconds."""

RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Mid = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,16}$")]
Rid = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,16}$")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[int, Field(ge=0, le=2**32 - 1)]
Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)]


def _is_point(encoded: str) -> str:
    """A device's key has to be a point of P-256, or nothing it signs could be checked."""
    EllipticCurvePublicKey.from_encoded_point(SECP256R1(), b64decode(encoded, validate=True))
    return encoded


DevicePoint = Annotated[
    str, Field(pattern=r"^B[A-P][A-Za-z0-9+/]{85}=$"), AfterValidator(_is_point)
]
"""65 bytes of a point that is not compressed, base64 (SEC 1, section 2.3.3)."""

Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
"""ECDSA on P-256 with SHA-256, r and s of 32 bytes each, over canonical JSON; base64."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Request(_Strict):
    id: RequestId


class Empty(_Strict):
    """No fields."""


class SoftwareInfo(_Strict):
    """What the client runs; for support, not for decisions."""

    name: str = Field(max_length=64)
    version: str = Field(max_length=64)


class JoinData(_Strict):
    """Fields of ``join``."""

    token: str = Field(min_length=1, max_length=8_192)
    client: SoftwareInfo | None = None
    language: str = Field(
        default="zh-CN", max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$"
    )
    auto_subscribe: bool = True


class Join(_Request):
    """First message of a new participation."""

    type: Literal["join"]
    data: JoinData


class ResumeData(_Strict):
    """Fields of ``resume``; ``last_seq`` is null after a page reload."""

    resume_token: str = Field(min_length=1, max_length=128)
    last_seq: Count | None


class Resume(_Request):
    """First message that continues a participation."""

    type: Literal["resume"]
    data: ResumeData


class DeclaredEncoding(_Strict):
    """Size of one simulcast encoding at most, in pixels."""

    rid: Rid
    width: Annotated[int, Field(ge=1, le=16_384)]
    height: Annotated[int, Field(ge=1, le=16_384)]


class DeclaredTrack(_Strict):
    """What a sending m-line carries."""

    mid: Mid
    source: Source
    muted: bool = False
    encodings: Annotated[tuple[DeclaredEncoding, ...], FailFast()] = Field(default=(), max_length=8)


MAX_SDP: Final = 65_536
"""Characters of an offer, deflated or not."""


class OfferData(_Strict):
    """Fields of ``offer``: the SDP as it is, or deflated."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["sdp"]}, {"required": ["sdp_deflate"]}]}
    )

    sdp: str | None = Field(default=None, min_length=1, max_length=MAX_SDP)
    sdp_deflate: str | None = Field(default=None, min_length=1, max_length=MAX_SDP)
    # Telling all that is wrong with thousands of items would take the loop half a second.
    tracks: Annotated[tuple[DeclaredTrack, ...], FailFast()] = Field(max_length=32)
    dtls_server: bool = False

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.sdp is None) == (self.sdp_deflate is None):
            raise ValueError("either sdp or sdp_deflate")
        return self

    def text(self) -> str:
        """The SDP.

        Raises:
            ValueError: it is no deflated text.
        """
        return self._inflated if self.sdp is None else self.sdp

    @cached_property
    def _inflated(self) -> str:
        return inflated(self.sdp_deflate or "", MAX_SDP)

    def more_when_inflated(self) -> int:
        """Characters that :meth:`text` has beyond those that were sent; 0 if there is no text."""
        if self.sdp_deflate is None:
            return 0
        try:
            return max(0, len(self.text()) - len(self.sdp_deflate))
        except ValueError:
            return 0


class OfferMessage(_Request):
    """The full description of the participant's connection."""

    type: Literal["offer"]
    data: OfferData


class TrackData(_Strict):
    """One track."""

    track_id: Identifier


class Subscribe(_Request):
    """Wish to receive a track."""

    type: Literal["subscribe"]
    data: TrackData


class Unsubscribe(_Request):
    """End of such a wish."""

    type: Literal["unsubscribe"]
    data: TrackData


class MuteData(_Strict):
    """Fields of ``mute``."""

    track_id: Identifier
    muted: bool


class Mute(_Request):
    """Mutes or unmutes the participant's own track."""

    type: Literal["mute"]
    data: MuteData


class MuteRequest(_Request):
    """Wish of an RM to mute somebody else's track."""

    type: Literal["mute.request"]
    data: TrackData


class MuteAnswerData(_Strict):
    """Fields of ``mute.answer``."""

    request_id: Identifier
    accept: bool


class MuteAnswer(_Request):
    """Answer of the asked participant."""

    type: Literal["mute.answer"]
    data: MuteAnswerData


class TextData(_Strict):
    """Fields of ``message``."""

    text: str = Field(min_length=1, max_length=MAX_TEXT_CHARS)
    to: Identifier | None = None


class TextMessage(_Request):
    """Text to the room or to one participant."""

    type: Literal["message"]
    data: TextData


class TrackQuality(_Strict):
    """What the client measured on one track since its last report."""

    track_id: Identifier
    packets_lost: Count
    packets_received: Count
    jitter_ms: Milliseconds
    concealed_ratio: Ratio | None = None
    frames_per_second: Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)] | None = None
    freeze_count: Count | None = None
    jitter_buffer_ms: Milliseconds | None = None


class QualityReportData(_Strict):
    """Fields of ``quality.report``."""

    tracks: Annotated[tuple[TrackQuality, ...], FailFast()] = Field(max_length=64)
    rtt_ms: Milliseconds | None = None
    available_outgoing_bps: Count | None = None


class QualityReport(_Request):
    """Periodic measurements of the client."""

    type: Literal["quality.report"]
    data: QualityReportData


class ShownTrack(_Strict):
    """How large a track is shown, in device pixels; zero: not to be seen."""

    track_id: Identifier
    width: Annotated[int, Field(ge=0, le=16_384)]
    height: Annotated[int, Field(ge=0, le=16_384)]


class LayersWantData(_Strict):
    """Fields of ``layers.want``."""

    tracks: Annotated[tuple[ShownTrack, ...], FailFast()] = Field(max_length=64)


class LayersWant(_Request):
    """How large the client shows what it receives."""

    type: Literal["layers.want"]
    data: LayersWantData


class LayersFirstData(_Strict):
    """Fields of ``layers.first``."""

    first: Literal["screen", "faces"]


class LayersFirst(_Request):
    """What comes first in the room where a link can't carry all."""

    type: Literal["layers.first"]
    data: LayersFirstData


class DigestChunk(_Strict):
    """About a second of what was sent on one SSRC.

    The digest is made of every frame in the order of sending: its RTP timestamp and its length,
    32 bits each and big-endian, then its bytes.
    """

    ssrc: Word
    first_ts: Word
    last_ts: Word
    frames: Annotated[int, Field(ge=1, le=10_000)]
    bytes: Annotated[int, Field(ge=1, le=MAX_CHUNK_BYTES)]
    sha256: Sha256


class DeviceKeyData(_Strict):
    """Fields of ``device.key``."""

    session_id: Identifier
    public: DevicePoint
    proof: Signature


class DeviceKey(_Request):
    """What signs digests of a recording from now on, and a proof that the client has it."""

    type: Literal["device.key"]
    data: DeviceKeyData


class BatchSignature(_Strict):
    """What a device adds to a batch: its key, its place in the key's chain, and a signature."""

    key: Sha256
    batch: Annotated[int, Field(ge=1, le=2**53 - 1)]
    prev: Sha256
    late: bool
    signature: Signature


class DigestBatchData(_Strict):
    """Fields of ``digest.batch``."""

    session_id: Identifier
    track_id: Identifier
    codec: Literal["opus", "vp8", "vp9", "h264", "av1"]
    from_seq: Count
    chunks: Annotated[tuple[DigestChunk, ...], FailFast()] = Field(min_length=1, max_length=64)
    signed: BatchSignature | None = None

    @model_validator(mode="after")
    def _expect_lengths(self) -> Self:
        rate = _CLOCK_RATES.get(self.codec, _VIDEO_CLOCK_RATE)
        for index, chunk in enumerate(self.chunks):
            apart_s = (
                _MAX_SOUND_APART_S * (chunk.frames - 1) if self.codec == "opus" else _MAX_CHUNK_S
            )
            length_s = (chunk.last_ts - chunk.first_ts) % 2**32 / rate
            if length_s > min(apart_s, _MAX_CHUNK_S):
                raise ValueError(
                    f"chunk {self.from_seq + index} is too long: {chunk.frames} frames in"
                    f" {length_s:.1f} s"
                )
        return self


class DigestBatch(_Request):
    """What was sent of an own track, so that nothing of it can go missing unnoticed."""

    type: Literal["digest.batch"]
    data: DigestBatchData


class ConsentGiveData(_Strict):
    """Fields of ``consent.give``; the digest is that of the text that was shown."""

    permission: Literal["face", "identity", "voice", "speech"]
    text_sha256: Sha256


class ConsentGive(_Request):
    """The participant allows something to be done with the own media."""

    type: Literal["consent.give"]
    data: ConsentGiveData


class ConsentWithdrawData(_Strict):
    """Fields of ``consent.withdraw``."""

    permission: Literal["face", "identity", "voice", "speech"]


class ConsentWithdraw(_Request):
    """The participant allows it no longer."""

    type: Literal["consent.withdraw"]
    data: ConsentWithdrawData


class FindingAcknowledgeData(_Strict):
    """Fields of ``finding.acknowledge``."""

    finding_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@/-]{1,128}$")]


class FindingAcknowledge(_Request):
    """An RM has seen a finding."""

    type: Literal["finding.acknowledge"]
    data: FindingAcknowledgeData


class Leave(_Request):
    """End of the participation."""

    type: Literal["leave"]
    data: Empty


class AckData(_Strict):
    """Highest number processed."""

    seq: Count


class Ack(_Strict):
    """Acknowledges everything up to ``seq``."""

    type: Literal["ack"]
    data: AckData


class Ping(_Strict):
    """Asks for a ``pong``."""

    type: Literal["ping"]
    data: Empty


Request = (
    Join
    | Resume
    | OfferMessage
    | Subscribe
    | Unsubscribe
    | Mute
    | MuteRequest
    | MuteAnswer
    | TextMessage
    | QualityReport
    | LayersWant
    | LayersFirst
    | DeviceKey
    | DigestBatch
    | ConsentGive
    | ConsentWithdraw
    | FindingAcknowledge
    | Leave
)
ClientMessage = Request | Ack | Ping

CLIENT_ADAPTER: Final[TypeAdapter[ClientMessage]] = TypeAdapter(
    Annotated[ClientMessage, Field(discriminator="type")]
)


class _Envelope(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    id: RequestId


def read_message(text: str) -> ClientMessage:
    """Reads one text frame.

    Raises:
        RefusedError: ``bad_message`` with the field, or ``unknown_type``.
    """
    try:
        return CLIENT_ADAPTER.validate_json(text)
    except ValidationError as error:
        raise _refusal(error) from None
    except (ValueError, TypeError, RecursionError):
        # Text that can't be encoded, or nested too deeply for the reader.
        raise RefusedError(ErrorCode.BAD_MESSAGE, "not a JSON object") from None


def read_request_id(text: str) -> str | None:
    """The request id of a frame that is otherwise wrong, if it has a usable one."""
    try:
        envelope: Any = from_json(text)
        return _Envelope.model_validate(envelope).id
    except (ValueError, TypeError, RecursionError):
        return None


def _refusal(error: ValidationError) -> RefusedError:
    if error.error_count() > _MAX_DESCRIBED:
        return RefusedError(ErrorCode.BAD_MESSAGE, f"more than {_MAX_DESCRIBED} fields are wrong")
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kind, path = first["type"], first["loc"]
    if kind == "union_tag_invalid":
        return RefusedError(ErrorCode.UNKNOWN_TYPE, "no such message type", field="type")
    if kind == "union_tag_not_found":
        return RefusedError(ErrorCode.BAD_MESSAGE, "a message needs a type", field="type")
    if kind in {"json_invalid", "model_attributes_type", "dict_type"} or not path:
        return RefusedError(ErrorCode.BAD_MESSAGE, "not a JSON object")
    # The first part of the path is the message type.
    field = ".".join(str(part) for part in path[1:])[:_MAX_FIELD_CHARS]
    return RefusedError(ErrorCode.BAD_MESSAGE, first["msg"], field=field or None)
