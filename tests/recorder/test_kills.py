"""Finishing and storing, killed between any two steps; the next start ends with the same files."""

import itertools
import os
import shutil
from pathlib import Path

import pytest

from recorder.backfill.ledger import SETTLE_US
from recorder.backfill.service import BackfillService
from recorder.backfill.store import fill
from recorder.digests import digests_of
from recorder.envelope import MasterKeys, seal
from recorder.log import EventLog, read_events
from recorder.recovery import recover_session
from recorder.session_file import read_session, write_session
from tests.recorder.backfill.segments import READER, send, write
from tests.recorder.backfill.test_service import Clock
from tests.recorder.backfill.world import InTurn
from tests.recorder.dying import dies_at
from tests.recorder.test_recovery import HEADER, STARTED_NS, events, packet, session

KEY = bytes(range(32))
WRITTEN_NS = STARTED_NS + 7_000_000_000


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("torn", [0, 9])
def test_finishing_that_is_killed_anywhere_is_finished_by_the_next_start(
    tmp_path: Path, torn: int, *, encrypted: bool
) -> None:
    whole = HEADER + packet(5_000) + packet(25_000)
    name = "000001.pcapng"
    if encrypted:
        name += ".enc"
        whole = seal(whole, KEY, f"s1/t1/{name}")
    for number in itertools.count(1):
        base = tmp_path / str(number)
        base.mkdir()
        place = session(base, (f"{name}.part", whole + bytes(torn)))
        path = place / "tracks/t1" / name
        os.utime(path.with_name(f"{name}.part"), ns=(WRITTEN_NS, WRITTEN_NS))
        was_killed = dies_at(number, lambda: recover_session(place))  # noqa: B023 - at once
        recover_session(place)
        assert list(path.parent.iterdir()) == [path], number
        assert path.read_bytes() == whole
        (segment,) = events(place, "segment.closed")
        assert digests_of(whole).to_json().items() <= segment.payload.items()
        assert segment.payload["to_us"] == (7_000_000 if encrypted else 25_000), number
        assert len(events(place, "gap.declared")) >= 1
        assert len(events(place, "track.closed")) == 1
        assert len(events(place, "recording.recovered")) >= 1
        assert recover_session(place) is None
        if not was_killed:
            break
    assert number > 8


@pytest.mark.parametrize("keys", [None, MasterKeys(KEY)], ids=["plain", "encrypted"])
async def test_an_upload_that_is_killed_anywhere_is_not_asked_for_again_once_it_is_whole(
    tmp_path: Path, keys: MasterKeys | None
) -> None:
    sent = send("opus", seconds=1.5, loss=0.5)
    seq = sent.chunks[0][0]
    write_session(tmp_path, session="s1", room="r", started_ns=STARTED_NS)
    stored = 0
    for number in itertools.count(1):
        place = tmp_path / str(number) / "s1"
        shutil.copytree(tmp_path / "s1", place)
        write(place / "tracks/t1/000001.pcapng", sent.items)
        with EventLog.open(place) as log:
            clock = Clock(log)
            service = BackfillService(READER, executor=InTurn(), keys=keys)
            known = service.open("s1", place, clock)
            service.accept("s1", "p1", "t1", "opus", sent.chunks, late=False)
            service.segment_closed("s1", "t1", "000001.pcapng", 0, 10_000_000)
            clock.at_us = 10_000_000
            await service.tick()
            job = service._job(known, known.ledger.tracks["t1"], [known.ledger.chunk("t1", seq)])
            body = sent.missing(seq, known.ledger.chunk("t1", seq).have)
        was_killed = dies_at(number, lambda: fill(place, "t1", job, body))  # noqa: B023 - at once
        with EventLog.open(place) as log:
            clock = Clock(log)
            clock.at_us = 20_000_000
            service = BackfillService(READER, executor=InTurn(), keys=keys)
            events_before = list(read_events(place, read_session(place)))
            service.open("s1", place, clock, events_before)
            service.segment_closed("s1", "t1", "000001.pcapng", 0, 10_000_000)
            clock.at_us += 6 * SETTLE_US
            await service.tick()
            wanted = {one for _, one, _ in service.wanted("s1", "p1", 64)[0]}
            folder = place / "tracks/t1/backfill"
            files = [path.name for path in folder.glob("*.frames*")] if folder.exists() else []
            is_whole = any(not name.endswith(".part") for name in files)
            assert (seq in wanted) != is_whole, (number, files)
            stored += is_whole
            if seq in wanted:
                await service.put("s1", "p1", "t1", seq, body)
            told = [
                e for e in read_events(place, read_session(place)) if e.type == "chunk.backfilled"
            ]
            assert [event.payload["chunk"] for event in told] == [seq]
            assert told[0].actor == "p1"
            assert not list(folder.glob("*.part"))
        if not was_killed:
            break
    assert number > 4
    assert stored > 1
