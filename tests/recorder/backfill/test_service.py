"""From packets that were lost to a complete recording."""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from recorder.backfill.chunk import LossCause
from recorder.backfill.errors import (
    BodyError,
    BusyError,
    IncompleteError,
    MismatchError,
    NotYoursError,
    UnknownChunkError,
)
from recorder.backfill.examine import PCAPNG, Job, examine
from recorder.backfill.form import Frame, pack, unpack
from recorder.backfill.ledger import SETTLE_US
from recorder.backfill.service import BackfillService, SessionBackfill
from recorder.envelope import MasterKeys, seal
from recorder.log import EventLog, read_events
from recorder.playback.source import CapturedPacket
from recorder.session_file import read_session
from tests.recorder.backfill.segments import READER, SSRC, Sent, send, write
from tests.recorder.backfill.test_device_key import Device
from tests.recorder.capture_files import capture_file

CODECS = ["opus", "vp8", "vp9", "h264", "av1"]


class Clock:
    """A log whose session clock is set by the test."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.append = log.append
        self.at_us = 0
        self.left = 1_000

    def now_us(self) -> int:
        return self.at_us

    @property
    def room(self) -> int:
        return self.left


class Case:
    """A session with one track of a client that sent over a lossy link."""

    def __init__(self, place: Path, sent: Sent) -> None:
        self.place, self.sent, self.changes = place, sent, 0
        self.executor = ThreadPoolExecutor(1)
        self.log = EventLog.open(place)
        self.clock = Clock(self.log)
        self.service = BackfillService(
            READER, window_s=60, on_change=self._changed, executor=self.executor
        )
        self.known: SessionBackfill = self.service.open("s1", place, self.clock)
        file = "tracks/t1/000001.pcapng"
        write(place / file, sent.items)
        self.say()
        self.service.segment_closed("s1", "t1", file, 0, 10_000_000)
        self.clock.at_us = 10_000_000

    def close(self) -> None:
        self.service.close()
        self.log.close()

    def _changed(self, session: str) -> None:
        self.changes += 1

    def say(self, participant: str = "p1", *, late: bool = False) -> int:
        below, batches = self.service.accept(
            "s1", participant, "t1", self.sent.codec, self.sent.chunks, late=late
        )
        assert batches is None
        return below

    def wanted(self) -> dict[int, tuple[int, ...]]:
        return {seq: have for _, seq, have in self.service.wanted("s1", "p1", 100)[0]}

    async def put(self, seq: int, body: bytes | None = None) -> None:
        have = self.wanted().get(seq, ())
        body = self.sent.missing(seq, have) if body is None else body
        await self.service.put("s1", "p1", "t1", seq, body)

    def events(self, type_: str) -> list[dict[str, object]]:
        return [
            event.payload
            for event in read_events(self.place, read_session(self.place))
            if event.type == type_
        ]

    def ratio(self, kind: str) -> float | None:
        counts = self.service.completeness("s1")
        assert counts is not None
        return counts[kind].ratio


Begin = Callable[[Sent], Case]


@pytest.fixture
def begin(place: Path) -> Iterator[Begin]:
    """Makes cases in the session's directory; closes them at the end."""
    made: list[Case] = []

    def make(sent: Sent) -> Case:
        made.append(Case(place, sent))
        return made[-1]

    yield make
    for case in made:
        case.close()


@pytest.mark.parametrize("codec", CODECS)
async def test_what_70_percent_of_loss_took_is_asked_for_and_filled(
    place: Path, begin: Begin, codec: str
) -> None:
    case = begin(send(codec, seconds=3, loss=0.7))
    kind = "audio" if codec == "opus" else "video"
    await case.service.tick()
    before = case.ratio(kind)
    assert before is not None
    assert before < 0.6
    assert case.changes == 1
    for seq in case.wanted():
        await case.put(seq)
    assert case.ratio(kind) == 1
    assert not case.wanted()
    assert case.say() == case.sent.chunks[-1][0] + 1, "nothing has to be kept"
    for payload in case.events("chunk.backfilled"):
        file = place / str(payload["file"])
        assert hashlib.sha256(file.read_bytes()).hexdigest() == payload["sha256"]
        assert payload["source"] == "backfill"
        assert payload["frames"] == len(unpack(file.read_bytes()))
    said = {seq for seq, _ in case.sent.chunks}
    assert {payload["chunk"] for payload in case.events("chunk.backfilled")} == said


@pytest.mark.parametrize("codecs", [("vp8", "vp9"), ("h264", "vp9"), ("h264", "av1")])
async def test_an_encoder_that_gave_up_goes_on_in_another_codec(
    begin: Begin, codecs: tuple[str, str]
) -> None:
    before, after = (send(codec, seconds=2, loss=0.5) for codec in codecs)
    case = begin(before)
    case.clock.at_us = 0
    later = SSRC + 1
    items = [
        replace(one, data=one.data[:8] + later.to_bytes(4, "big") + one.data[12:])
        for one in after.items
        if isinstance(one, CapturedPacket)
    ]
    write(case.place / "tracks/t1/000002.pcapng", items)
    chunks = [(seq + 100, replace(said, ssrc=later)) for seq, said in after.chunks]
    case.service.accept("s1", "p1", "t1", codecs[1], chunks, late=False)
    case.service.segment_closed("s1", "t1", "000002.pcapng", 0, 10_000_000)
    case.clock.at_us = 10_000_000
    await case.service.tick()
    for seq, have in case.wanted().items():
        sent, own = (after, seq - 100) if seq >= chunks[0][0] else (before, seq)
        await case.put(seq, sent.missing(own, have))
    assert case.ratio("video") == 1
    assert not case.service.refused


@pytest.mark.parametrize("codec", CODECS)
async def test_what_arrived_whole_is_verified_and_nobody_is_asked(begin: Begin, codec: str) -> None:
    case = begin(send(codec, seconds=2, loss=0))
    await case.service.tick()
    assert not case.wanted()
    assert not case.events("chunk.rejected")
    assert case.ratio("audio" if codec == "opus" else "video") == 1
    (verified,) = case.events("chunk.verified")
    assert verified["chunks"] == [seq for seq, _ in case.sent.chunks]


async def test_only_what_is_missing_is_stored_repeats_are_harmless(
    place: Path, begin: Begin
) -> None:
    case = begin(send("opus", seconds=1, loss=0.5))
    await case.service.tick()
    ((seq, have),) = case.wanted().items()
    assert 0 < len(have) < 50
    everything = pack(case.sent.bodies[seq])
    await asyncio.gather(case.put(seq, everything), case.put(seq, everything))
    await case.put(seq, everything)
    (payload,) = case.events("chunk.backfilled")
    stored = unpack((place / str(payload["file"])).read_bytes())
    assert [f.timestamp for f in stored] == [
        f.timestamp for f in case.sent.bodies[seq] if f.timestamp not in have
    ]
    assert len(list((place / "tracks/t1/backfill").iterdir())) == 1


async def test_forged_frames_are_refused_counted_and_declared(place: Path, begin: Begin) -> None:
    case = begin(send("opus", seconds=3, loss=0.5))
    await case.service.tick()
    first, second, third = list(case.wanted())[:3]
    missing = unpack(case.sent.missing(first, case.wanted()[first]))
    forged = [Frame(missing[0].timestamp, b"\x08other"), *missing[1:]]
    with pytest.raises(MismatchError, match="another digest"):
        await case.put(first, pack(forged))
    known = case.wanted()[second][0]
    live = [f for f in case.sent.bodies[second] if f.timestamp != known]
    changed = sorted(
        [*live, Frame(known, b"\x08other")], key=lambda f: (f.timestamp - known) % 2**32
    )
    with pytest.raises((MismatchError, BodyError)):
        await case.put(second, pack(changed))
    assert case.service.refused["mismatch"] >= 1
    assert first not in case.wanted()
    assert third in case.wanted()
    assert not (place / "tracks/t1/backfill").exists()
    assert case.events("gap.declared")[0]["cause"] == "refused"
    assert case.events("chunk.rejected")[0]["cause"] == "differs"


async def test_a_frame_that_differs_from_the_one_that_arrived_is_refused(
    place: Path, begin: Begin
) -> None:
    case = begin(send("opus", seconds=1, loss=0.5))
    await case.service.tick()
    ((seq, have),) = case.wanted().items()
    body = pack(
        Frame(f.timestamp, f.data + b"x") if f.timestamp == have[0] else f
        for f in case.sent.bodies[seq]
    )
    with pytest.raises(MismatchError, match="not the one that arrived"):
        await case.put(seq, body)


async def test_frames_that_were_thought_to_be_there_are_asked_for_again(begin: Begin) -> None:
    case = begin(send("opus", seconds=2, loss=0.5))
    await case.service.tick()
    seq, have = next(iter(case.wanted().items()))
    chunk = case.known.ledger.chunk("t1", seq, "p1")
    told: list[str] = []
    case.service._on_change = told.append
    frames = [frame.timestamp for frame in unpack(case.sent.missing(seq, ()))]
    chunk.have = tuple(frames)
    with pytest.raises(IncompleteError):
        await case.put(seq, case.sent.missing(seq, chunk.have))
    assert case.wanted()[seq] == have
    assert told == ["s1"]
    await case.put(seq, case.sent.missing(seq, have))
    assert seq not in case.wanted()


async def test_a_frame_that_came_very_late_is_found_again_when_the_rest_is_uploaded(
    place: Path, begin: Begin
) -> None:
    sent = send("opus", seconds=2, loss=0.5)
    late = sent.items[::2]
    case = begin(replace(sent, items=sent.items[1::2]))
    # Repair on a bad network: in a file of a time the clock of the stream does not lead to.
    file = "tracks/t1/000002.pcapng"
    write(place / file, late)
    case.service.segment_closed("s1", "t1", file, 40_000_000, 50_000_000)
    await case.service.tick()
    for seq, have in case.wanted().items():
        assert have
        await case.put(seq)
    assert case.ratio("audio") == 1
    assert not case.service.refused


def test_nobody_speaks_of_a_track_that_somebody_else_sent(place: Path, begin: Begin) -> None:
    """Also where its sender never spoke of it: without the SDK nobody is there to contradict."""
    case = begin(send("opus", seconds=1, loss=0))
    sent = ("opus", case.sent.chunks)
    other = place / "tracks/t2/track.json"
    other.parent.mkdir(parents=True)
    other.write_text('{"participant": "rm"}')
    for participant in ("p1", "p2"):
        with pytest.raises(NotYoursError):
            case.service.accept("s1", participant, "t2", *sent, late=True)
    case.service.accept("s1", "rm", "t2", *sent, late=True)
    said = [one.actor for one in read_events(place, read_session(place)) if "digest" in one.type]
    assert said == ["p1", "rm"]


async def test_wrong_uploads_change_nothing(place: Path, begin: Begin) -> None:
    case = begin(send("opus", seconds=2, loss=0.5))
    await case.service.tick()
    seq = next(iter(case.wanted()))
    before = case.wanted()
    for body, error in (
        (b"\0", BodyError),
        (pack([Frame((case.sent.frames[-1].timestamp + 99) % 2**32, b"x")]), BodyError),
        (b"", IncompleteError),
        (pack(unpack(case.sent.missing(seq, before[seq]))[1:]), IncompleteError),
    ):
        with pytest.raises(error):
            await case.put(seq, body)
    for session, participant, track, number, wrong in (
        ("s2", "p1", "t1", seq, UnknownChunkError),
        ("s1", "p1", "t9", seq, UnknownChunkError),
        ("s1", "p1", "t1", 5, UnknownChunkError),
        ("s1", "p2", "t1", seq, NotYoursError),
    ):
        with pytest.raises(wrong):
            await case.service.put(session, participant, track, number, b"")
    with pytest.raises(UnknownChunkError):
        case.service.accept("s1", "p1", "../x", "opus", case.sent.chunks, late=False)
    assert case.wanted() == before
    case.service.uploads_waiting = 64
    with pytest.raises(BusyError):
        await case.put(seq)


async def test_what_a_client_lost_is_declared_at_once(place: Path, begin: Begin) -> None:
    case = begin(send("opus", seconds=3, loss=0.5))
    await case.service.tick()
    seqs = list(case.wanted())
    with pytest.raises(NotYoursError):
        case.service.lost("s1", "p2", "t1", seqs[:1], LossCause.EVICTED)
    case.service.lost("s1", "p1", "t1", seqs[:1], LossCause.EVICTED)
    (gap,) = case.events("gap.declared")
    assert (gap["chunk"], gap["cause"]) == (seqs[0], "evicted")
    assert gap["to_us"] - gap["from_us"] == 1_000_000  # type: ignore[operator]
    assert list(case.wanted()) == seqs[1:]


@pytest.mark.parametrize(("uploads", "cause"), [(True, "network"), (False, "client_gone")])
async def test_after_the_window_what_is_missing_is_declared(
    begin: Begin, uploads: bool, cause: str
) -> None:
    case = begin(send("opus", seconds=4, loss=0.5))
    await case.service.tick()
    if uploads:
        await case.put(next(iter(case.wanted())))
    case.service.ended("s1")
    assert case.known.state_of("p1") == "open"
    case.clock.at_us += 59_000_000
    await case.service.tick()
    assert not case.events("gap.declared")
    case.clock.at_us += 1_000_000
    await case.service.tick()
    assert case.known.state_of("p1") == "done"
    gaps = case.events("gap.declared")
    assert {gap["cause"] for gap in gaps} == {cause}
    assert len(gaps) + len(case.events("chunk.backfilled")) == len(case.sent.chunks)


async def test_a_restarted_server_goes_on_where_it_was(place: Path, begin: Begin) -> None:
    case = begin(send("opus", seconds=3, loss=0.5))
    await case.service.tick()
    first, second, *_ = case.wanted()
    await case.put(first)
    case.log.append(
        "segment.closed",
        {"track": "t1", "file": "tracks/t1/000001.pcapng", "from_us": 0, "to_us": 10_000_000},
    )
    case.log.close()
    again = BackfillService(READER, executor=case.executor)
    log = EventLog.open(place)
    clock = Clock(log)
    clock.at_us = 20_000_000
    again.open("s1", place, clock, read_events(place, read_session(place)))
    await again.tick()
    wanted = {seq for _, seq, _ in again.wanted("s1", "p1", 100)[0]}
    assert first not in wanted
    assert second in wanted
    have = next(have for _, seq, have in again.wanted("s1", "p1", 100)[0] if seq == second)
    await again.put("s1", "p1", "t1", second, case.sent.missing(second, have))
    log.close()


async def test_digests_after_the_call_are_marked_late_and_found_all_the_same(
    place: Path, begin: Begin
) -> None:
    sent = send("opus", seconds=2, loss=0)
    case = begin(Sent(sent.codec, sent.frames, sent.chunks[:1], sent.items, sent.bodies))
    case.service.ended("s1")
    case.sent = sent
    case.clock.at_us = 50_000_000
    case.say(late=True)
    assert [batch["late"] for batch in case.events("digest.batch")] == [False, True]
    case.clock.at_us += SETTLE_US
    await case.service.tick()
    assert case.known.state_of("p1") == "done"
    assert case.ratio("audio") == 1


async def test_a_file_that_cannot_be_read_is_as_if_nothing_had_come(
    place: Path, begin: Begin
) -> None:
    case = begin(send("opus", seconds=1, loss=0))
    (place / "tracks/t1/000001.pcapng").unlink()
    await case.service.tick()
    assert case.wanted() == {case.sent.chunks[0][0]: ()}
    await case.put(case.sent.chunks[0][0])
    assert case.ratio("audio") == 1


async def test_a_process_of_its_own_does_the_reading(place: Path) -> None:
    sent = send("opus", seconds=1, loss=0.5)
    write(place / "a", sent.items)
    job = Job(READER, "opus", (place / "a",), tuple(sent.chunks))
    service = BackfillService(READER)
    try:
        assert await service._run(examine, job) == examine(job)
    finally:
        service.close()


def seen_from_outside(process: int) -> bytes:
    return b"".join(Path(f"/proc/{process}/{name}").read_bytes() for name in ("cmdline", "environ"))


async def test_the_process_gets_keys_neither_by_arguments_nor_by_environment(place: Path) -> None:
    sent = send("opus", seconds=1, loss=0.5)
    path = place / "tracks/t1/000001.pcapng.enc"
    path.parent.mkdir(parents=True)
    key = bytes(range(65, 97))
    path.write_bytes(seal(capture_file(sent.items), key, "s1/t1/000001.pcapng.enc"))
    job = Job(PCAPNG, "opus", (path,), tuple(sent.chunks), keys=MasterKeys(key))
    assert repr(key) not in repr(job)
    service = BackfillService(PCAPNG)
    try:
        found = await service._run(examine, job)
        assert not found.unreadable
        assert sum(len(item.have) for item in found.findings) > 5
        pool = service._pool
        assert isinstance(pool, ProcessPoolExecutor)
        for shown in map(seen_from_outside, pool._processes):
            assert shown
            assert key not in shown
            assert base64.b64encode(key) not in shown
        unread = await service._run(examine, replace(job, keys=MasterKeys(bytes(32))))
        assert "another key" in unread.unreadable[0]
    finally:
        service.close()


async def test_what_a_full_log_could_not_hold_is_not_taken(begin: Begin) -> None:
    sent = send("opus", seconds=3, loss=0)
    case = begin(sent)
    more = [(seq + 100, said) for seq, said in sent.chunks]
    said = ("s1", "p1", "t1", "opus", more)
    case.clock.left = 2
    with pytest.raises(BusyError, match="no room"):
        case.service.accept(*said, late=False)
    assert not case.known.ledger.knows("t1", [more[0][0]])
    case.clock.left = 0
    device = Device()
    with pytest.raises(BusyError, match="no room"):
        case.service.announce_key("s1", *device.announced("p2"))
    case.clock.left = 3
    case.service.announce_key("s1", *device.announced("p2"))
    case.service.accept(*said, late=False)
    assert case.known.ledger.knows("t1", [more[0][0]])
    assert len(case.events("device.key")) == 1


async def test_a_disk_that_is_full_is_said_and_leaves_nothing(
    place: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = begin(send("opus", seconds=1.5, loss=0.5))
    await case.service.tick()
    seq = min(case.wanted())
    full = OSError(28, "No space left on device")

    def refuse(_: int) -> None:
        raise full

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(BusyError, match="stored"):
        await case.put(seq)
    monkeypatch.undo()
    assert case.service.refused == {"disk": 1}
    assert not list((place / "tracks/t1/backfill").iterdir())
    await case.put(seq)
    assert [payload["chunk"] for payload in case.events("chunk.backfilled")] == [seq]
