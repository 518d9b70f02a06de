"""A chunk: about a second of what was sent on one SSRC, and what is known of its way here."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from recorder.backfill.errors import ChunkStateError

__all__ = ["CLOCK_RATES", "Chunk", "ChunkState", "LossCause", "SaidChunk"]

CLOCK_RATES: Final = {"opus": 48_000, "vp8": 90_000, "vp9": 90_000, "h264": 90_000, "av1": 90_000}
"""RTP clock rates by codec."""

_LONGEST_US: Final = 2_000_000
"""From the first frame of a chunk to its last, at most; also how long a picture stands of which the
next one isn't known.
"""

_SOUND_APART_US: Final = 500_000
"""Between two frames of sound, at most: in silence (DTX) Opus sends one about every 400 ms."""

_SOUND_FRAME_US: Final = 120_000
"""The longest frame of Opus (RFC 6716, 2.1.4)."""

_WORD: Final = 1 << 32


class ChunkState(StrEnum):
    """From what a client said to what the recording has."""

    DIGESTED = "digested"
    RECEIVED_LIVE = "received_live"
    MISSING = "missing"
    BACKFILLED = "backfilled"
    VERIFIED = "verified"
    REJECTED = "rejected"
    LOST_DECLARED = "lost_declared"


_NEXT: Final = {
    ChunkState.DIGESTED: {
        ChunkState.RECEIVED_LIVE,
        ChunkState.MISSING,
        ChunkState.BACKFILLED,
        ChunkState.REJECTED,
        ChunkState.LOST_DECLARED,
    },
    ChunkState.RECEIVED_LIVE: {ChunkState.VERIFIED},
    ChunkState.MISSING: {
        ChunkState.MISSING,
        ChunkState.RECEIVED_LIVE,
        ChunkState.BACKFILLED,
        ChunkState.REJECTED,
        ChunkState.LOST_DECLARED,
    },
    ChunkState.BACKFILLED: {ChunkState.VERIFIED},
    ChunkState.VERIFIED: set(),
    ChunkState.REJECTED: {ChunkState.LOST_DECLARED},
    ChunkState.LOST_DECLARED: set(),
}


class LossCause(StrEnum):
    """Why a chunk is declared lost."""

    NETWORK = "network"
    CLIENT_GONE = "client_gone"
    REFUSED = "refused"
    EVICTED = "evicted"


@dataclass(frozen=True, slots=True)
class SaidChunk:
    """What a client says of a chunk.

    Attributes:
        first_ts: RTP timestamp of its first frame, 32 bits.
        last_ts: of its last frame.
        bytes: of the frames in the form of :mod:`recorder.backfill.form`.
        sha256: of that, hexadecimal.
    """

    ssrc: int
    first_ts: int
    last_ts: int
    frames: int
    bytes: int
    sha256: str

    def ticks(self, timestamp: int) -> int | None:
        """How far a timestamp is behind the first one; ``None`` outside of the chunk."""
        offset = (timestamp - self.first_ts) % _WORD
        return offset if offset <= (self.last_ts - self.first_ts) % _WORD else None


@dataclass(slots=True)
class Chunk:
    """A chunk in the ledger.

    Attributes:
        seq: its number in the track.
        said_us: when its digest came, session clock.
        late: it came after the call.
        have: timestamps of the frames that are captured whole, while some are missing.
        seen_in: files those frames were found in, among others.
        offered: the client was asked for it.
    """

    seq: int
    codec: str
    said: SaidChunk
    said_us: int
    late: bool
    state: ChunkState = ChunkState.DIGESTED
    have: tuple[int, ...] = ()
    seen_in: frozenset[Path] = frozenset()
    cause: LossCause | None = None
    offered: bool = False

    @property
    def is_settled(self) -> bool:
        """Nothing will change any more."""
        return self.state in {ChunkState.VERIFIED, ChunkState.LOST_DECLARED}

    def answers_ticks(self, after: SaidChunk | None) -> int:
        """For how long it says all that was sent, from its first frame on.

        Its end is the next frame of its SSRC, or a frame's length behind its last one. Few frames
        don't answer for a long time: what else was sent then, nobody would miss.

        Args:
            after: what its SSRC sent next, if that is known.
        """
        steps, is_sound = self.said.frames - 1, self.codec == "opus"
        longest, apart, frame = (
            us * self.clock_rate // 1_000_000
            for us in (_LONGEST_US, _SOUND_APART_US, _SOUND_FRAME_US)
        )
        most = min(steps * apart, longest) if is_sound else longest
        inside = (self.said.last_ts - self.said.first_ts) % _WORD
        if inside > most:
            return most
        if after is None:
            return inside + min(inside // max(1, steps), frame if is_sound else longest)
        until = (after.first_ts - self.said.first_ts) % _WORD
        return min(until, inside + apart) if is_sound else until

    @property
    def clock_rate(self) -> int:
        """Of its RTP timestamps, Hz."""
        return CLOCK_RATES[self.codec]

    def move(self, *states: ChunkState) -> None:
        """Goes through these states.

        Raises:
            ChunkStateError: one of them can't be reached; nothing has changed.
        """
        at = self.state
        for state in states:
            if state not in _NEXT[at]:
                raise ChunkStateError(
                    "a chunk that is {present} can't become {wanted}",
                    present=at.value,
                    wanted=state.value,
                )
            at = state
        self.state = at
