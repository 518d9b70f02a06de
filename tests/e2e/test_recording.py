"""Recorded calls over real sockets: files others can open, and what a killed server leaves."""

import asyncio
import contextlib
import hashlib
import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from loadtest.addresses import local_addresses
from recorder.config import RecordedRooms, RecordingConfig
from recorder.envelope import MasterKeys
from recorder.log import Event, read_events
from recorder.playback.errors import RecordingError
from recorder.playback.pcapng import read_segment
from recorder.recovery import recover_all
from recorder.session_file import SessionFile, read_session
from recorder.timeline import derive_timeline
from tests.e2e.scene import Scene, frames, scene, settings, until
from tests.witness.test_process import join, running

pytestmark = [pytest.mark.net, pytest.mark.timeout(120)]


def recorded(directory: Path, **more: object) -> RecordingConfig:
    return RecordingConfig(
        directory=directory, rooms=RecordedRooms.ALL, segment_seconds=2, buffer_mib=4, **more
    )


def sessions(directory: Path) -> list[tuple[Path, SessionFile, list[Event]]]:
    places = sorted(item for item in directory.iterdir() if item.is_dir())
    found = [(place, read_session(place)) for place in places]
    return [(place, session, list(read_events(place, session))) for place, session in found]


def check_files(place: Path, events: list[Event]) -> int:
    """Every file in the log is as it says, and no other is there; returns packets."""
    packets = 0
    names = set()
    for event in events:
        if event.type == "segment.closed":
            payload = event.payload
            path = place / "tracks" / payload["track"] / payload["file"]
            data = path.read_bytes()
            assert len(data) == payload["bytes"]
            assert hashlib.sha256(data).hexdigest() == payload["sha256"]
            packets += payload["packets"] or 0
            names.add(path)
    there = {path for path in place.glob("tracks/*/*") if path.name != "track.json"}
    assert there == names
    return packets


async def _call(made: Scene, seconds: float) -> None:
    rm = await made.join("rm")
    customer = await made.join("customer")
    await made.hears_and_sees(rm)
    await made.hears_and_sees(customer)
    await asyncio.sleep(seconds)


async def test_a_call_is_recorded_completely(tmp_path: Path) -> None:
    async with scene(settings(recording=recorded(tmp_path))) as made:
        await _call(made, 3)
    ((place, _, events),) = sessions(tmp_path)
    kinds = [event.type for event in events]
    assert kinds[0] == "recording.started"
    assert kinds[-1] == "recording.stopped"
    assert kinds.count("track.opened") == kinds.count("track.closed") == 4
    assert check_files(place, events) > 4 * 50
    timeline = derive_timeline(events)
    for track in timeline.tracks.values():
        assert not track.undeclared
        assert track.captured
    about = [json.loads(path.read_bytes()) for path in place.glob("tracks/*/track.json")]
    assert {(item["role"], item["kind"]) for item in about} == {
        ("rm", "audio"),
        ("rm", "video"),
        ("customer", "audio"),
        ("customer", "video"),
    }


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
async def test_another_program_reads_the_same_packets(tmp_path: Path) -> None:
    async with scene(settings(recording=recorded(tmp_path))) as made:
        await _call(made, 1)
    ((place, session, events),) = sessions(tmp_path)
    for event in events:
        if event.type != "segment.closed":
            continue
        path = place / "tracks" / event.payload["track"] / event.payload["file"]
        command = ["tshark", "-r", str(path), "-d", "udp.port==5004,rtp", "-Y", "rtp"]
        fields = ["-T", "fields", "-e", "frame.time_epoch", "-e", "rtp.seq", "-e", "rtp.version"]
        done = await asyncio.to_thread(
            subprocess.run, [*command, *fields], capture_output=True, text=True, check=True
        )
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        assert len(rows) == event.payload["packets"]
        assert {row[2] for row in rows} == {"2"}
        times = [float(row[0]) for row in rows]
        assert times == sorted(times)
        assert abs(times[0] - session.started_ns / 1e9 - event.payload["from_us"] / 1e6) < 1.1


async def test_an_encrypted_recording_shows_nothing(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    directory = tmp_path / "sessions"
    directory.mkdir()
    async with scene(settings(recording=recorded(directory, key_file=key))) as made:
        await _call(made, 1)
    ((place, _, events),) = sessions(directory)
    check_files(place, events)
    files = list(place.glob("tracks/*/*.pcapng.enc"))
    assert files
    assert not list(place.glob("tracks/*/*.pcapng"))
    assert all(b"participant" not in path.read_bytes() for path in files)
    keys = MasterKeys(key.read_bytes())
    packets = sum(1 for path in files for item in read_segment(path, keys))
    assert packets > 100
    # Each is bound to its place.
    one, other, *_ = files
    other.write_bytes(one.read_bytes())
    with pytest.raises(RecordingError, match="belongs to"):
        list(read_segment(other, keys))


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of 400 KiB, where this process may mount one."""
    options = ["-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("can't mount file systems here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


async def test_a_full_disk_is_a_gap_and_the_call_does_not_notice(tmp_path: Path) -> None:
    with small_disk(tmp_path):
        async with scene(settings(recording=recorded(tmp_path))) as made:
            await _call(made, 0)
            await _until_failing(made, lambda count: count > 0)
            before = frames(made.people[0], "video")
            await asyncio.sleep(1)
            assert frames(made.people[0], "video") > before + 5
            remount = ["mount", "-o", "remount,size=64m", str(tmp_path)]
            subprocess.run(remount, check=True)  # noqa: ASYNC221
            await _until_failing(made, lambda count: count == 0)
            await asyncio.sleep(1)
        ((place, _, events),) = sessions(tmp_path)
        check_files(place, events)
        gaps = [item.payload for item in events if item.type == "gap.declared"]
        full = [gap for gap in gaps if gap["cause"] == "disk_full"]
        assert full
        assert all(gap["packets"] > 0 for gap in full)
        kinds = [event.type for event in events]
        assert "alert.raised" in kinds
        assert "alert.ended" in kinds
        for track in derive_timeline(events).tracks.values():
            assert not track.undeclared


async def test_a_mount_that_vanished_is_not_replaced_by_the_disk_below(tmp_path: Path) -> None:
    with small_disk(tmp_path):
        subprocess.run(["mount", "-o", "remount,size=64m", str(tmp_path)], check=True)  # noqa: ASYNC221
        async with scene(settings(recording=recorded(tmp_path))) as made:
            await _call(made, 0)
            subprocess.run(["umount", "-l", str(tmp_path)], check=True)  # noqa: ASYNC221
            await _until_failing(made, lambda count: count == 4)
            before = frames(made.people[0], "video")
            await asyncio.sleep(1)
            assert frames(made.people[0], "video") > before + 5
            found = await made.metrics()
            assert found['witness_capture_failures_total{cause="disk_error"}'] >= 4
        assert not list(tmp_path.iterdir())  # noqa: ASYNC240


async def _until_failing(made: Scene, wanted: Callable[[float], bool]) -> None:
    for _ in range(300):
        if wanted((await made.metrics())["witness_capture_failing_tracks"]):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("no such number of failing tracks")


@pytest.mark.parametrize("seed", range(3))
async def test_a_killed_server_loses_a_second_at_most(tmp_path: Path, seed: int) -> None:
    environment = {
        "WITNESS_RECORDING__DIRECTORY": str(tmp_path),
        "WITNESS_RECORDING__ROOMS": "all",
        "WITNESS_RECORDING__SEGMENT_SECONDS": "1",
    }
    async with running(**environment) as (process, url), aiohttp.ClientSession() as session:
        with local_addresses(["127.0.0.1"]):
            person = await join(session, url, media=True)
        await until(lambda: bool(list(tmp_path.glob("*/tracks/*/*.pcapng"))), "a file", 30)
        await asyncio.sleep(random.Random(seed).uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        killed_ns = time.time_ns()
        await process.wait()
        await person.leave()
    (found,) = recover_all(tmp_path, lambda *_: None)
    assert found.tracks == 1
    ((place, about, events),) = sessions(tmp_path)
    check_files(place, events)
    assert not list(place.glob("tracks/*/*.part"))
    ends = [event.payload["to_us"] for event in events if event.type == "segment.closed"]
    assert killed_ns // 1000 - (about.started_ns // 1000 + max(ends)) < 1_000_000
    gaps = [event.payload for event in events if event.type == "gap.declared"]
    assert [gap["from_us"] for gap in gaps if gap["cause"] == "crash"] == [max(ends)]
    assert events[-1].type == "recording.recovered"
    assert not next(iter(derive_timeline(events).tracks.values())).undeclared
    assert recover_all(tmp_path, lambda *_: None) == [], "done once"
