"""Fills the gaps of all sessions: keeps ledgers, compares them with files, takes uploads.

Whatever reads captured packets or hashes runs in a process of its own, one job at a time; the
event loop only does sums.
"""

import asyncio
import logging
import multiprocessing
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from recorder.backfill.chunk import Chunk, ChunkState, LossCause, SaidChunk
from recorder.backfill.device_key import DeviceKeys, SignedBatch, signed_body
from recorder.backfill.errors import (
    BodyError,
    BusyError,
    ContradictionError,
    DeviceKeyError,
    IncompleteError,
    MismatchError,
    NotYoursError,
    UnknownChunkError,
)
from recorder.backfill.examine import Examined, Job, examine
from recorder.backfill.ledger import Counts, Ledger, TrackLedger, digest_payloads, digest_row
from recorder.backfill.store import Stored, fill, is_track_id, left_files, refill
from recorder.envelope import MasterKeys
from recorder.errors import RecorderError
from recorder.intervals import normalised
from recorder.track_file import sender_of

__all__ = ["BackfillService", "BusyError", "Log", "SessionBackfill"]

log = logging.getLogger(__name__)

_BATCH: Final = 256
"""Chunks of one examination."""

_MARGIN_US: Final = 6_000_000
"""So much earlier or later than by its SSRC's clock the packets of a chunk may have come: repair
takes 4 s. When it was said tells little: on a bad network digests take minutes."""

_QUIET_US: Final = 3_600_000_000
"""Clients that were heard of last so long ago have said all they had."""

_REMEMBERED: Final = 4_096
"""Sessions of which it is remembered that they are done."""

_WAITING_UPLOADS: Final = 64
"""Uploads that may wait for the worker; more are refused."""


class Log(Protocol):
    """The part of :class:`recorder.log.EventLog` that is used."""

    def append(
        self,
        type: str,  # noqa: A002 - the field's name
        payload: dict[str, Any],
        *,
        actor: str = "system",
        at: int | None = None,
        durable: bool = False,
    ) -> Any:
        """Writes one event."""

    def now_us(self) -> int:
        """The session clock."""

    @property
    def room(self) -> int:
        """How many events find room now; more are lost."""


@dataclass(slots=True)
class _Segment:
    path: Path
    from_us: int
    to_us: int


@dataclass(slots=True)
class SessionBackfill:
    """One session.

    Attributes:
        place: its directory.
        ended_us: when its recording ended, session clock; ``None`` while it runs.
        deadline_us: from when on what is missing is declared lost.
        heard_us: when somebody spoke of it last.
        unsigned: participants who said digests without a signature, before the recording ended.
        left: files of uploaded frames that no event tells of, by track and chunk.
    """

    session: str
    place: Path
    log: Log
    ledger: Ledger = field(default_factory=Ledger)
    keys: DeviceKeys = field(init=False)
    segments: dict[str, list[_Segment]] = field(default_factory=dict)
    ended_us: int | None = None
    deadline_us: int | None = None
    uploaded_by: set[str] = field(default_factory=set)
    busy: bool = False
    heard_us: int = 0
    unsigned: set[str] = field(default_factory=set)
    left: dict[tuple[str, int], Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = DeviceKeys(self.session)

    def state_of(self, participant: str) -> Literal["recording", "open", "done"]:
        """What a participant's uploads are: still recorded, wanted, or complete.

        Complete is what the participant has said so far: others may yet say more.
        """
        if self.ended_us is None:
            return "recording"
        mine = (known for known in self.ledger.tracks.values() if known.participant == participant)
        return "open" if any(known.open for known in mine) else "done"

    def settled_below(self, track: str) -> int:
        """Number of a track's chunk below which its client needs to keep nothing."""
        known = self.ledger.tracks.get(track)
        return 0 if known is None else known.settled_below

    @property
    def is_over(self) -> bool:
        """Nothing more can come, or nothing came for an hour though all is settled."""
        if self.ended_us is None or self.deadline_us is None or not self.ledger.is_settled:
            return False
        now_us = self.log.now_us()
        quiet_us = now_us - max(self.ended_us, self.heard_us)
        return now_us >= self.deadline_us or quiet_us >= _QUIET_US


class BackfillService:
    """Ledgers of sessions and the worker that fills them.

    Args:
        reader: ``module:function`` that reads the packets of a captured file.
        window_s: how long after a recording's end uploads are waited for.
        on_change: called with a session when it wants other things than before.
        executor: runs what takes long; a process of its own if left out.
        keys: of encrypted files; go to that process with each job, through the pipe it inherits.

    Attributes:
        rejected: called with session, track and cause where frames were others than were said.
    """

    def __init__(
        self,
        reader: str,
        *,
        window_s: float = 86_400.0,
        on_change: Callable[[str], None] = lambda _: None,
        executor: Executor | None = None,
        keys: MasterKeys | None = None,
    ) -> None:
        self.sessions: dict[str, SessionBackfill] = {}
        self._done: OrderedDict[str, dict[str, Counts]] = OrderedDict()
        self.refused: Counter[str] = Counter()
        self.rejected: Callable[[str, str, str], None] = lambda *_: None
        self.examined = 0
        self.backfilled = 0
        self.uploads_waiting = 0
        self._reader = reader
        self._window_us = int(window_s * 1_000_000)
        self._on_change = on_change
        self._pool = executor
        self._keys = keys

    # Facts.

    def open(
        self, session: str, place: Path, event_log: Log, events: Iterable[Any] = ()
    ) -> SessionBackfill:
        """Begins a session's account, or takes it up again from the events of its log."""
        made = SessionBackfill(session, place, event_log)
        named: set[str] = set()
        for event in events:
            self._replay(made, event)
            if event.type == "chunk.backfilled" and event.payload["file"] is not None:
                named.add(event.payload["file"])
        made.left = left_files(place, named)
        self.sessions[session] = made
        return made

    def segment_closed(self, session: str, track: str, file: str, from_us: int, to_us: int) -> None:
        """A file of a track was closed; ``file`` is its name."""
        known = self.sessions.get(session)
        if known is not None:
            self._note_segment(known, track, file, from_us, to_us)

    def ended(self, session: str) -> None:
        """The recording is over; uploads go on for the window."""
        known = self.sessions.get(session)
        if known is not None and known.ended_us is None:
            known.ended_us = known.log.now_us()
            known.deadline_us = known.ended_us + self._window_us

    def keep_done(self, session: str) -> None:
        """Nothing more is wanted of a session; that and its figures are remembered for a while."""
        known = self.sessions.pop(session)
        self._done[session] = known.ledger.completeness()
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    def state(self, session: str, participant: str) -> Literal["recording", "open", "done"] | None:
        """Of a participant's uploads; ``None`` for a session nothing is known of."""
        known = self.sessions.get(session)
        if known is not None:
            return known.state_of(participant)
        return "done" if session in self._done else None

    def forget(self, session: str) -> None:
        """Nothing of the session is wanted any more."""
        self.sessions.pop(session, None)

    # What clients say and ask.

    def announce_key(self, session: str, participant: str, public: str, proof: str) -> None:
        """Enters a device's key into the log, if it is new; see :class:`DeviceKeys`.

        Raises:
            BackfillError: unknown session, no room in its log, or the key can't be taken.
        """
        known = self._session(session)
        _expect_room(known.log, 1)
        if participant in known.unsigned and not known.keys.has(participant):
            raise DeviceKeyError("digests were said without a key before")
        made = known.keys.announce(participant, public, proof)
        if made is not None:
            payload = {"alg": "ES256", "key": made.id, "public": public, "proof": proof}
            known.log.append("device.key", payload, actor=participant)

    def accept(
        self,
        session: str,
        participant: str,
        track: str,
        codec: str,
        chunks: Sequence[tuple[int, SaidChunk]],
        *,
        late: bool,
        signed: SignedBatch | None = None,
    ) -> tuple[int, int | None]:
        """Notes digests, numbered one after the other.

        Returns:
            Number of the chunk below which the client needs to keep nothing; and how many
            batches of the key there are, if it is signed. One that comes before its turn is not
            noted, one that was noted before is passed over: the count says which is due.

        Raises:
            BusyError: its log has no room; nothing was noted.
            BackfillError: unknown session, somebody else's track, or a contradiction.
        """
        known = self._session(session)
        _expect_room(known.log, len(chunks))
        if not is_track_id(track):
            raise UnknownChunkError("{track} is no track", track=repr(track))
        if track not in known.ledger.tracks and participant != sender_of(
            known.place, track, participant
        ):
            raise NotYoursError("track {track} is somebody else's", track=track)
        late = signed.late if signed is not None else late or known.ended_us is not None
        now_us = known.heard_us = known.log.now_us()
        if signed is None and not late and known.keys.has(participant):
            raise ContradictionError("chunks of track {track} have to be signed", track=track)
        key = None if signed is None else known.keys.of(participant, signed.key)
        body = b""
        if signed is not None and key is not None:
            rows = [digest_row(said) for _, said in chunks]
            body = signed_body(session, track, codec, chunks[0][0], rows, signed)
            if not key.is_due(signed, body):
                return known.settled_below(track), key.count
            if known.ledger.knows(track, (seq for seq, _ in chunks)):
                raise ContradictionError("chunks of track {track} were said before", track=track)
        made = known.ledger.accept(participant, track, codec, chunks, now_us, late=late)
        for payload in digest_payloads(track, codec, made, late=late):
            more = {} if signed is None else signed.to_json()
            known.log.append("digest.batch", payload | more, actor=participant, at=now_us)
        if key is not None:
            key.note(body)
        elif not late:
            known.unsigned.add(participant)
        return known.settled_below(track), None if key is None else key.count

    def wanted(
        self, session: str, participant: str, limit: int
    ) -> tuple[list[tuple[str, int, tuple[int, ...]]], int]:
        """Track, number and what is there of the oldest chunks, and how many there are beyond."""
        known = self.sessions.get(session)
        if known is None:
            return [], 0
        found: list[tuple[str, int, tuple[int, ...]]] = []
        more = 0
        for track, chunk in known.ledger.wanted(participant):
            if len(found) < limit:
                chunk.offered = True
                found.append((track, chunk.seq, chunk.have))
            else:
                more += 1
        return found, more

    def lost(
        self, session: str, participant: str, track: str, seqs: Sequence[int], cause: LossCause
    ) -> None:
        """A client no longer has these chunks.

        Raises:
            BackfillError: unknown, or somebody else's.
        """
        known = self._session(session)
        for seq in seqs:
            known.ledger.chunk(track, seq, participant)
        self._declare(known, track, seqs, cause, actor=participant)

    async def put(self, session: str, participant: str, track: str, seq: int, body: bytes) -> None:
        """Takes the missing frames of a chunk. Taking them again is harmless.

        Raises:
            BodyError: it can't be read.
            IncompleteError: frames are still missing.
            MismatchError: they are not those that were sent; the chunk is given up.
            BusyError: too many uploads wait, or the disk takes nothing now.
            BackfillError: unknown, or somebody else's.
        """
        known = self._session(session)
        chunk = known.ledger.chunk(track, seq, participant)
        known.uploaded_by.add(participant)
        if chunk.is_settled:
            return
        if self.uploads_waiting >= _WAITING_UPLOADS:
            self.refused["busy"] += 1
            raise BusyError("too many uploads wait")
        self.uploads_waiting += 1
        try:
            job = self._job(known, known.ledger.tracks[track], [chunk])
            stored = await self._run(fill, known.place, track, job, body)
        except MismatchError as error:
            self.refused["mismatch"] += 1
            told = {"session": session, "track_id": track, "chunk": seq, "reason": str(error)}
            log.warning("upload refused", extra=told)
            if chunk.state in {ChunkState.DIGESTED, ChunkState.MISSING}:
                self._reject(known, track, chunk, "differs")
            raise
        except BodyError:
            self.refused["body"] += 1
            raise
        except IncompleteError as error:
            self.refused["incomplete"] += 1
            self._correct(known, chunk, error.have)
            raise
        except (OSError, BrokenProcessPool) as error:
            # Full, gone, or its process killed for want of memory: later it may work.
            self.refused["disk"] += 1
            told = {"session": session, "track_id": track, "reason": str(error)}
            log.warning("upload can't be stored", extra=told)
            raise BusyError("what was uploaded can't be stored now") from error
        finally:
            self.uploads_waiting -= 1
        # Another upload of the same chunk may have been faster.
        if chunk.state in {ChunkState.DIGESTED, ChunkState.MISSING}:
            self._filled(known, track, chunk, stored, participant)
            self._on_change(session)

    # The worker.

    async def tick(self) -> None:
        """Compares what can be compared by now; call it every second or two."""
        for known in list(self.sessions.values()):
            if known.busy:
                continue
            known.busy = True
            try:
                await self._look(known)
            finally:
                known.busy = False

    def close(self) -> None:
        """Ends the worker."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def completeness(self, session: str) -> dict[str, Counts] | None:
        """Frames by kind; ``None`` for a session that isn't known."""
        known = self.sessions.get(session)
        return known.ledger.completeness() if known else self._done.get(session)

    def lag_us(self) -> int:
        """Age of the oldest digest that was not compared with files yet."""
        oldest = 0
        for known in self.sessions.values():
            now_us = known.log.now_us()
            for track in known.ledger.tracks.values():
                for chunk in track.open.values():
                    if chunk.state is ChunkState.DIGESTED:
                        oldest = max(oldest, now_us - chunk.said_us)
        return oldest

    # Inside.

    async def _look(self, known: SessionBackfill) -> None:
        now_us = known.log.now_us()
        changed = False
        for track in list(known.ledger.tracks.values()):
            due = known.ledger.due(track.track, now_us, ended=known.ended_us is not None)
            if known.deadline_us is not None and now_us >= known.deadline_us:
                # A last look: repair may have brought something since.
                due = list(track.open.values())
            due = due[:_BATCH]
            # An encoder that failed goes on in another codec, on the same track.
            for codec in dict.fromkeys(chunk.codec for chunk in due):
                some = [chunk for chunk in due if chunk.codec == codec]
                job = self._job(known, track, some)
                changed |= self._found(known, track, some, await self._run(examine, job))
                _note_files(some, frozenset(job.files))
                changed |= await self._take_left(known, track, some)
        if known.deadline_us is not None and now_us >= known.deadline_us:
            for track in known.ledger.tracks.values():
                gone = track.participant not in known.uploaded_by
                cause = LossCause.CLIENT_GONE if gone else LossCause.NETWORK
                self._declare(known, track.track, sorted(track.open), cause)
        if changed:
            self._on_change(known.session)

    async def _take_left(
        self, known: SessionBackfill, track: TrackLedger, due: Iterable[Chunk]
    ) -> bool:
        """Takes what was uploaded to a server that was killed before it could say so."""
        taken = False
        for chunk in due:
            path = known.left.pop((track.track, chunk.seq), None)
            if path is None or chunk.state is not ChunkState.MISSING:
                continue
            job = self._job(known, track, [chunk])
            try:
                stored = await self._run(refill, known.place, track.track, job, path)
            except (RecorderError, OSError) as error:
                told = {"session": known.session, "track_id": track.track, "error": str(error)}
                log.warning("uploaded file not taken up again", extra=told)
                continue
            if chunk.state is ChunkState.MISSING:
                self._filled(known, track.track, chunk, stored, track.participant)
                taken = True
        return taken

    def _found(
        self, known: SessionBackfill, track: TrackLedger, due: list[Chunk], result: Examined
    ) -> bool:
        self.examined += len(due)
        for file in result.unreadable:
            log.warning("captured file unreadable", extra={"session": known.session, "file": file})
        for ssrc, clock in result.clocks.items():
            track.clocks.setdefault(ssrc, clock)
        before = {chunk.seq: chunk.state for chunk in due}
        changed = known.ledger.found(track.track, result.findings)
        whole = [chunk for chunk in changed if chunk.state is ChunkState.VERIFIED]
        if whole:
            spans = [track.span_us(chunk) for chunk in whole]
            payload = {
                "track": track.track,
                "chunks": [chunk.seq for chunk in whole],
                "from_us": min(start for start, _ in spans),
                "to_us": max(end for _, end in spans),
                "spans": [list(span) for span in normalised(spans)],
            }
            known.log.append("chunk.verified", payload)
        for chunk in changed:
            if chunk.state is ChunkState.REJECTED:
                self.refused["live_differs"] += 1
                self._log_rejected(known, track.track, chunk, "live_differs")
        return any(chunk.state is not before[chunk.seq] for chunk in changed)

    def _filled(
        self, known: SessionBackfill, track: str, chunk: Chunk, stored: Stored, actor: str
    ) -> None:
        account = known.ledger.tracks[track]
        known.ledger.filled(track, chunk.seq)
        chunk.seen_in = frozenset()
        self.backfilled += 1
        from_us, to_us = account.span_us(chunk)
        payload = {
            "track": track,
            "chunk": chunk.seq,
            "ssrc": chunk.said.ssrc,
            "source": "backfill",
            "file": stored.file,
            "frames": stored.frames,
            "bytes": stored.bytes,
            "from_us": from_us,
            "to_us": to_us,
            **stored.digests.to_json(),
        }
        known.log.append("chunk.backfilled", payload, actor=actor)

    def _correct(self, known: SessionBackfill, chunk: Chunk, have: tuple[int, ...]) -> None:
        """What the files have is not what they were thought to have: the rest is asked for anew.

        Files are read in stretches, and a frame at the end of one may be whole in another only.
        """
        if chunk.state in {ChunkState.DIGESTED, ChunkState.MISSING} and chunk.have != have:
            told = {"session": known.session, "thought": len(chunk.have), "there": len(have)}
            log.info("frames of a chunk are asked for again", extra=told)
            chunk.have = have
            self._on_change(known.session)

    def _reject(self, known: SessionBackfill, track: str, chunk: Chunk, cause: str) -> None:
        known.ledger.reject(chunk)
        self._log_rejected(known, track, chunk, cause)

    def _log_rejected(self, known: SessionBackfill, track: str, chunk: Chunk, cause: str) -> None:
        known.log.append("chunk.rejected", {"track": track, "chunk": chunk.seq, "cause": cause})
        self._declare(known, track, [chunk.seq], LossCause.REFUSED)
        self.rejected(known.session, track, cause)

    def _declare(
        self,
        known: SessionBackfill,
        track: str,
        seqs: Sequence[int],
        cause: LossCause,
        *,
        actor: str = "system",
    ) -> None:
        account = known.ledger.tracks[track]
        for chunk in known.ledger.declare(track, seqs, cause):
            from_us, to_us = account.span_us(chunk)
            payload = {
                "track": track,
                "chunk": chunk.seq,
                "from_us": from_us,
                "to_us": to_us,
                "cause": (chunk.cause or cause).value,
                "packets": 0,
                "frames": chunk.said.frames - len(chunk.have),
            }
            known.log.append("gap.declared", payload, actor=actor)

    def _job(self, known: SessionBackfill, track: TrackLedger, chunks: Sequence[Chunk]) -> Job:
        """To look for chunks, all of one codec."""
        spans = [track.span_us(chunk) for chunk in chunks if chunk.said.ssrc in track.clocks]
        files = [item.path for item in known.segments.get(track.track, [])]
        # What was told to be there must be found again: a frame that came late lies in files of
        # another time, which were read with other chunks, or before the clock was known.
        seen_in = frozenset[Path]().union(*(chunk.seen_in for chunk in chunks))
        if len(spans) == len(chunks):
            first = min(start for start, _ in spans) - _MARGIN_US
            last = max(end for _, end in spans) + _MARGIN_US
            files = [
                item.path
                for item in known.segments.get(track.track, [])
                if (item.to_us >= first and item.from_us <= last) or item.path in seen_in
            ]
        rows = tuple((chunk.seq, chunk.said) for chunk in chunks)
        return Job(self._reader, chunks[0].codec, tuple(files), rows, keys=self._keys)

    def _note_segment(
        self, known: SessionBackfill, track: str, file: str, from_us: int, to_us: int
    ) -> None:
        path = known.place / "tracks" / track / Path(file).name
        known.segments.setdefault(track, []).append(_Segment(path, from_us, to_us))
        account = known.ledger.tracks.get(track)
        if account is not None:
            account.closed_us = max(account.closed_us, to_us)

    def _replay(self, known: SessionBackfill, event: Any) -> None:
        payload = event.payload
        known.ledger.apply(event.type, payload, event.at_us, event.actor)
        match event.type:
            case "segment.closed":
                self._note_segment(
                    known, payload["track"], payload["file"], payload["from_us"], payload["to_us"]
                )
            case "recording.stopped":
                known.ended_us = event.at_us
                known.deadline_us = event.at_us + self._window_us
            case "chunk.backfilled":
                known.uploaded_by.add(event.actor)
            case "device.key":
                known.keys.restore(event.actor, payload["public"])
            case "digest.batch" if "key" in payload:
                names = ("key", "batch", "prev", "signature", "late")
                signed = SignedBatch(*(payload[name] for name in names))
                place = (known.session, payload["track"], payload["codec"], payload["from_seq"])
                body = signed_body(*place, payload["chunks"], signed)
                known.keys.of(event.actor, signed.key).note(body)
            case "digest.batch" if not payload["late"]:
                known.unsigned.add(event.actor)

    def _session(self, session: str) -> SessionBackfill:
        known = self.sessions.get(session)
        if known is None:
            raise UnknownChunkError("session {session} isn't recorded here", session=session)
        return known

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, work, *arguments)
        except BrokenProcessPool:
            self._pool = None
            raise


def _note_files(chunks: Iterable[Chunk], files: frozenset[Path]) -> None:
    for chunk in chunks:
        if chunk.is_settled or not chunk.have:
            chunk.seen_in = frozenset()
        elif chunk.seen_in <= files:
            # All chunks of an examination share it.
            chunk.seen_in = files
        else:
            chunk.seen_in |= files


def _expect_room(event_log: Log, events: int) -> None:
    # What is noted and then not logged would be missing in the account of whoever reads the log.
    if event_log.room < events:
        raise BusyError("the event log has no room")
