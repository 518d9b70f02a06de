"""Recordings as participants see them: that they are recorded, what of theirs is missing.

The recording itself is somebody else's: :class:`Completeness` is what this package asks of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from sfu.model import Role
from signaling.clock import Instant
from signaling.errors import ErrorCode, RefusedError
from signaling.messages import DeviceKeyData, DigestBatchData
from signaling.notices import (
    AlertNotice,
    DigestsKept,
    GapWant,
    RecordingNotice,
    UploadInfo,
    WantedChunk,
    rfc3339,
)
from signaling.roster import Roster

if TYPE_CHECKING:
    from signaling.member import Member

__all__ = ["Completeness", "Kept", "RecordingState", "Recordings", "Wanted"]

RecordingState = Literal["on", "paused", "off"]

NOTICE_CHUNKS = 16
"""Chunks one ``gap.want`` names."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A chunk of which the recording lacks frames.

    Attributes:
        have: RTP timestamps of the frames it has whole.
    """

    track_id: str
    seq: int
    have: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What was noted of digests.

    Attributes:
        settled_below: number below which the client needs to keep nothing.
        batches: how many batches its key has signed, as far as they came; ``None`` without one.
    """

    settled_below: int
    batches: int | None = None


class Completeness(Protocol):
    """What keeps the ledger of what was sent and what arrived. Calls return at once."""

    def announce_key(self, session_id: str, participant_id: str, public: str, proof: str) -> None:
        """Enters the key of a participant's device into the session's log.

        Raises:
            RefusedError: the proof is wrong, it is another participant's, there are too many, or
                the session isn't recorded here.
        """
        ...

    def accept_digests(
        self, session_id: str, participant_id: str, batch: DigestBatchData, *, late: bool
    ) -> Kept:
        """Notes what a participant says it sent of its own track.

        Raises:
            RefusedError: the batch contradicts an earlier one, or the session isn't recorded here.
        """
        ...

    def wanted(self, session_id: str, participant_id: str, limit: int) -> tuple[list[Wanted], int]:
        """The oldest chunks a participant is asked for, and how many there are beyond them."""
        ...

    def issue_token(
        self, session_id: str, participant_id: str, now_unix_s: float
    ) -> tuple[str, float]:
        """A token for uploads, and when it expires, Unix time in seconds."""
        ...


@dataclass(slots=True)
class _Recorded:
    session_id: str
    state: RecordingState


class Recordings:
    """Which rooms are recorded; tells their members.

    Attributes:
        completeness: ``None`` on servers that don't record.
    """

    def __init__(self, roster: Roster) -> None:
        self.completeness: Completeness | None = None
        self._roster = roster
        self._rooms: dict[str, _Recorded] = {}
        self._asked: dict[tuple[str, str], tuple[Wanted, ...]] = {}

    @property
    def is_offered(self) -> bool:
        """Whether this server records at all."""
        return self.completeness is not None

    @property
    def rooms(self) -> Mapping[str, object]:
        """Rooms that are recorded, or were."""
        return self._rooms

    def set_state(self, room_id: str, session_id: str, state: RecordingState, now: Instant) -> None:
        """A room's recording began, paused, went on or ended; everybody in it is told."""
        members = self._roster.in_room(room_id)
        if state == "off" and not members:
            # Ended with its room: whoever comes later is in another one.
            self.forget_room(room_id)
            return
        recorded = _Recorded(session_id, state)
        self._rooms[room_id] = recorded
        for member in members:
            self._tell(member, recorded, now)

    def alert(self, room_id: str, notice: AlertNotice) -> None:
        """Tells a room's RMs that something is wrong with its recording, or no longer."""
        for member in self._roster.in_room(room_id):
            if member.grant.role is Role.RM:
                member.notify(notice)

    def forget_room(self, room_id: str) -> None:
        """The room is closed."""
        self._rooms.pop(room_id, None)
        for key in [key for key in self._asked if key[0] == room_id]:
            del self._asked[key]

    def remind(self, member: "Member", now: Instant) -> None:
        """Tells somebody who came, or came back without knowing, how things are."""
        recorded = self._rooms.get(member.room_id)
        if recorded is not None:
            self._asked.pop((member.room_id, member.participant_id), None)
            self._tell(member, recorded, now)

    def accept(self, member: "Member", batch: DigestBatchData) -> DigestsKept:
        """Carries out ``digest.batch``.

        Raises:
            RefusedError: not recorded, somebody else's track, or a contradiction.
        """
        if self.completeness is None:
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, "this server doesn't record")
        track = member.participant.room.tracks.get(batch.track_id)
        if track is not None and track.participant_id != member.participant_id:
            raise RefusedError(ErrorCode.FORBIDDEN, "the track is somebody else's")
        kept = self.completeness.accept_digests(
            batch.session_id, member.participant_id, batch, late=False
        )
        return DigestsKept(settled_below=kept.settled_below, batches=kept.batches)

    def ask(self, room_id: str) -> None:
        """Tells the members of a room what is wanted of them, where that changed."""
        recorded = self._rooms.get(room_id)
        if recorded is None or self.completeness is None:
            return
        for member in self._roster.in_room(room_id):
            session_id, participant_id = recorded.session_id, member.participant_id
            wanted, more = self.completeness.wanted(session_id, participant_id, NOTICE_CHUNKS)
            key = (room_id, participant_id)
            if member.connection is None or self._asked.get(key, ()) == tuple(wanted):
                continue
            self._asked[key] = tuple(wanted)
            chunks = tuple(
                WantedChunk(track_id=item.track_id, seq=item.seq, have=item.have) for item in wanted
            )
            member.notify_volatile(GapWant(session_id=session_id, chunks=chunks, more=more))

    def take_key(self, member: "Member", wanted: DeviceKeyData) -> None:
        """Carries out ``device.key``.

        Raises:
            RefusedError: not recorded, or the key can't be taken.
        """
        if self.completeness is None:
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, "this server doesn't record")
        self.completeness.announce_key(
            wanted.session_id, member.participant_id, wanted.public, wanted.proof
        )

    def _tell(self, member: "Member", recorded: _Recorded, now: Instant) -> None:
        upload = None
        if self.completeness is not None and member.grant.publish and not member.grant.hidden:
            session_id = recorded.session_id
            token, expires_s = self.completeness.issue_token(
                session_id, member.participant_id, now.unix_s
            )
            upload = UploadInfo(
                url=f"/v1/sessions/{session_id}", token=token, expires_at=rfc3339(expires_s)
            )
        notice = RecordingNotice(
            state=recorded.state, session_id=recorded.session_id, upload=upload
        )
        member.notify(notice)
