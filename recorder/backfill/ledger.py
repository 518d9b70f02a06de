"""The account of one session: every chunk that was sent, and whether the recording has it.

Does no I/O. Facts come in, what is to be done comes out; the same facts from the event log give
the same ledger again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from recorder.backfill.chunk import Chunk, ChunkState, LossCause, SaidChunk
from recorder.backfill.errors import (
    BackfillError,
    ContradictionError,
    LedgerFullError,
    NotYoursError,
    UnknownChunkError,
)

__all__ = ["Counts", "Finding", "Ledger", "TrackLedger", "digest_payloads", "digest_row"]

MAX_CHUNKS: Final = 250_000
"""Of a session: half a day of three people with three encodings each."""

MAX_SAID_BYTES: Final = 64 * 1024**3
"""Of all chunks of a session: what they could have uploaded."""

SETTLE_US: Final = 5_000_000
"""What arrives later than this after its digest was late even for repair."""

PATIENCE_US: Final = 25_000_000
"""A track of which no file was closed for so long has nothing of the chunk."""

_CLOCKS_US: Final = 2_000_000
"""A chunk that seems to begin so much later than it was said has timestamps that jumped."""

_NEAR: Final = 16
"""Chunks of other SSRCs of a track between two of one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the captured packets have of a chunk.

    Attributes:
        have: timestamps of the frames that are there, in order.
        digest: SHA-256 of them, if they are as many as were said.
    """

    seq: int
    have: tuple[int, ...]
    digest: str | None


@dataclass(slots=True)
class Counts:
    """Frames of one kind of track, by what became of them."""

    sent: int = 0
    present: int = 0
    missing_chunks: int = 0

    @property
    def ratio(self) -> float | None:
        """Share of the sent frames that the recording has; ``None``: nothing was said."""
        return self.present / self.sent if self.sent else None


@dataclass(slots=True)
class TrackLedger:
    """The chunks of one track, by number."""

    track: str
    participant: str
    codec: str
    chunks: dict[int, Chunk] = field(default_factory=dict)
    open: dict[int, Chunk] = field(default_factory=dict)
    """Those that are not settled, by number."""
    sent_frames: int = 0
    verified_frames: int = 0
    closed_us: int = -1
    """Up to where files of the track are closed, session clock."""
    clocks: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Timestamp and session time of one packet of each SSRC."""
    top: int = 0

    @property
    def settled_below(self) -> int:
        """Number below which the client needs to keep nothing."""
        return min(self.open, default=self.top)

    @property
    def kind(self) -> str:
        """``audio`` or ``video``."""
        return "audio" if self.codec == "opus" else "video"

    def span_us(self, chunk: Chunk) -> tuple[int, int]:
        """The time a chunk answers for, session clock; by its digest where nothing came."""
        rate = chunk.clock_rate
        known = self.clocks.get(chunk.said.ssrc)
        if known is None:
            length_us = chunk.answers_ticks(None) * 1_000_000 // rate
            return chunk.said_us - length_us, chunk.said_us
        timestamp, at_us = known
        ticks = (chunk.said.first_ts - timestamp + 2**31) % 2**32 - 2**31
        from_us = at_us + ticks * 1_000_000 // rate
        ticks += chunk.answers_ticks(self._after(chunk, from_us))
        return from_us, at_us + ticks * 1_000_000 // rate

    def _after(self, chunk: Chunk, from_us: int) -> SaidChunk | None:
        """What was sent next on the same SSRC, if nothing unsaid can lie between."""
        for seq in range(chunk.seq + 1, chunk.seq + 1 + _NEAR):
            found = self.chunks.get(seq)
            if found is None:
                return None
            if found.said.ssrc == chunk.said.ssrc:
                ticks = (found.said.first_ts - chunk.said.first_ts) % 2**32
                next_us = from_us + ticks * 1_000_000 // chunk.clock_rate
                return found.said if from_us < next_us <= found.said_us + _CLOCKS_US else None
        return None

    def advance(self) -> None:
        """Takes what is settled from what is open."""
        for seq in [seq for seq, chunk in self.open.items() if chunk.is_settled]:
            chunk = self.open.pop(seq)
            if chunk.state is ChunkState.VERIFIED:
                self.verified_frames += chunk.said.frames

    def add(self, chunk: Chunk) -> None:
        """A chunk that was not known."""
        self.chunks[chunk.seq] = self.open[chunk.seq] = chunk
        self.sent_frames += chunk.said.frames
        self.top = max(self.top, chunk.seq + 1)


class Ledger:
    """All tracks of one session."""

    def __init__(self) -> None:
        self.tracks: dict[str, TrackLedger] = {}
        self.rejected = 0
        self.backfilled = 0
        self._count = 0
        self._said_bytes = 0

    def accept(
        self,
        participant: str,
        track: str,
        codec: str,
        chunks: Sequence[tuple[int, SaidChunk]],
        now_us: int,
        *,
        late: bool = False,
    ) -> list[Chunk]:
        """Notes what a client says it sent; what was said before is passed over.

        Returns:
            The chunks that are new.

        Raises:
            NotYoursError: another participant spoke of this track before.
            ContradictionError: another digest was said under a number; nothing was noted.
            LedgerFullError: there are too many; nothing was noted.
        """
        known = self.tracks.get(track)
        if known is not None and known.participant != participant:
            raise NotYoursError("track {track} is somebody else's", track=track)
        fresh = []
        for seq, said in chunks:
            before = known.chunks.get(seq) if known else None
            if before is None:
                fresh.append((seq, said))
            elif before.said != said or before.codec != codec:
                raise ContradictionError(
                    "chunk {seq} of track {track} had another digest", seq=seq, track=track
                )
        said_bytes = self._said_bytes + sum(said.bytes for _, said in fresh)
        if self._count + len(fresh) > MAX_CHUNKS or said_bytes > MAX_SAID_BYTES:
            raise LedgerFullError("a session has at most {limit} chunks", limit=MAX_CHUNKS)
        if known is None:
            known = self.tracks[track] = TrackLedger(track, participant, codec)
        made = [Chunk(seq, codec, said, now_us, late) for seq, said in fresh]
        for chunk in made:
            known.add(chunk)
        self._count += len(made)
        self._said_bytes = said_bytes
        return made

    def chunk(self, track: str, seq: int, participant: str | None = None) -> Chunk:
        """One chunk.

        Raises:
            UnknownChunkError: nothing was said of it.
            NotYoursError: it is another participant's.
        """
        known = self.tracks.get(track)
        if known is not None and participant is not None and known.participant != participant:
            raise NotYoursError("track {track} is somebody else's", track=track)
        found = known.chunks.get(seq) if known else None
        if found is None:
            raise UnknownChunkError("nothing was said of chunk {seq}", seq=seq)
        return found

    def knows(self, track: str, seqs: Iterable[int]) -> bool:
        """Whether something was said of one of these chunks before."""
        known = self.tracks.get(track)
        return known is not None and any(seq in known.chunks for seq in seqs)

    def due(self, track: str, now_us: int, *, ended: bool = False) -> list[Chunk]:
        """Chunks that can be looked for in the files by now, oldest first."""
        known = self.tracks[track]
        patience_us = SETTLE_US if ended else PATIENCE_US
        ready_us = max(known.closed_us - SETTLE_US, now_us - patience_us)
        waiting = (c for c in known.open.values() if c.state is ChunkState.DIGESTED)
        return sorted((c for c in waiting if c.said_us <= ready_us), key=lambda c: c.seq)

    def found(self, track: str, findings: Iterable[Finding]) -> list[Chunk]:
        """Takes over what the files have.

        Returns:
            The chunks whose state changed.
        """
        changed = []
        known = self.tracks[track]
        for finding in findings:
            chunk = known.chunks[finding.seq]
            if chunk.state not in {ChunkState.DIGESTED, ChunkState.MISSING}:
                continue
            if finding.digest == chunk.said.sha256:
                chunk.have = ()
                chunk.move(ChunkState.RECEIVED_LIVE, ChunkState.VERIFIED)
            elif finding.digest is not None:
                # All frames came and are others than were said.
                self.reject(chunk)
            else:
                chunk.have = finding.have
                chunk.move(ChunkState.MISSING)
            changed.append(chunk)
        known.advance()
        return changed

    def filled(self, track: str, seq: int) -> Chunk:
        """What was missing of a chunk was uploaded, and all of it has the digest that was said."""
        chunk = self.chunk(track, seq)
        chunk.move(ChunkState.BACKFILLED, ChunkState.VERIFIED)
        chunk.have = ()
        self.backfilled += 1
        self.tracks[track].advance()
        return chunk

    def reject(self, chunk: Chunk) -> None:
        """Frames were refused; only a declaration is left."""
        chunk.move(ChunkState.REJECTED)
        self.rejected += 1

    def declare(self, track: str, seqs: Iterable[int], cause: LossCause) -> list[Chunk]:
        """Gives chunks up; those that are settled stay as they are."""
        known = self.tracks[track]
        declared = []
        for seq in seqs:
            chunk = known.chunks.get(seq)
            if chunk is None or chunk.is_settled:
                continue
            chunk.cause = LossCause.REFUSED if chunk.state is ChunkState.REJECTED else cause
            chunk.move(ChunkState.LOST_DECLARED)
            declared.append(chunk)
        known.advance()
        return declared

    def wanted(self, participant: str) -> Iterator[tuple[str, Chunk]]:
        """What a participant is asked for: sound before pictures, the oldest first."""
        mine = [known for known in self.tracks.values() if known.participant == participant]
        for known in sorted(mine, key=lambda known: known.kind):
            for seq in sorted(known.open):
                chunk = known.open[seq]
                if chunk.state is ChunkState.MISSING:
                    yield known.track, chunk

    @property
    def is_settled(self) -> bool:
        """Every chunk is complete, or declared lost."""
        return not any(known.open for known in self.tracks.values())

    def completeness(self) -> dict[str, Counts]:
        """Frames by kind of track."""
        totals = {"audio": Counts(), "video": Counts()}
        for known in self.tracks.values():
            counts = totals[known.kind]
            counts.sent += known.sent_frames
            counts.present += known.verified_frames
            for chunk in known.open.values():
                counts.present += len(chunk.have)
                counts.missing_chunks += chunk.state is ChunkState.MISSING
        return totals

    # From and to the event log.

    def apply(self, type_: str, payload: dict[str, Any], at_us: int, actor: str) -> None:
        """Takes an event of the log; others than those of chunks pass.

        Raises:
            BackfillError: the log contradicts itself.
        """
        match type_:
            case "digest.batch":
                codec, first = payload["codec"], payload["from_seq"]
                said = [
                    (first + index, SaidChunk(*item))
                    for index, item in enumerate(payload["chunks"])
                ]
                late = bool(payload["late"])
                self.accept(actor, payload["track"], codec, said, at_us, late=late)
            case "chunk.verified":
                known = self.tracks[payload["track"]]
                for seq in payload["chunks"]:
                    known.chunks[seq].move(ChunkState.RECEIVED_LIVE, ChunkState.VERIFIED)
                known.advance()
            case "chunk.backfilled":
                self.filled(payload["track"], payload["chunk"])
            case "chunk.rejected":
                self.reject(self.chunk(payload["track"], payload["chunk"]))
            case "gap.declared" if "chunk" in payload:
                cause = LossCause(payload["cause"])
                if not self.declare(payload["track"], [payload["chunk"]], cause):
                    raise BackfillError("chunk {seq} was settled before", seq=payload["chunk"])


def digest_payloads(
    track: str, codec: str, chunks: Sequence[Chunk], *, late: bool
) -> Iterator[dict[str, Any]]:
    """Payloads of ``digest.batch`` events for new chunks, one for each run of numbers."""
    run: list[Chunk] = []
    for chunk in [*sorted(chunks, key=lambda chunk: chunk.seq), None]:
        if run and (chunk is None or chunk.seq != run[-1].seq + 1):
            yield {
                "track": track,
                "codec": codec,
                "from_seq": run[0].seq,
                "late": late,
                "chunks": [digest_row(item.said) for item in run],
            }
            run = []
        if chunk is not None:
            run.append(chunk)


def digest_row(said: SaidChunk) -> list[Any]:
    """A chunk in ``digest.batch`` of the log."""
    return [said.ssrc, said.first_ts, said.last_ts, said.frames, said.bytes, said.sha256]
