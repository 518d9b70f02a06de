"""Pipes and devices where files should be are refused; nobody waits for them."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from recorder.errors import RecorderError
from recorder.playback.opening import open_recording
from recorder.recovery import recover_all
from recorder.regular import open_regular, read_regular
from recorder.review import describe_recording
from tests.recorder.evidence import Office, record


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office.made(tmp_path_factory.mktemp("office"))


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_APPEND])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda it: it.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_opened(
    tmp_path: Path, flags: int, make: Callable[[Path], None]
) -> None:
    path, opened = tmp_path / "x", descriptors()
    make(path)
    with pytest.raises(OSError, match=r"is no regular file|directory"):
        open_regular(path, flags)
    assert descriptors() == opened


def test_files_are_read_written_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, buffering=0) as file:
        file.write(b"one")
        file.seek(0)
        file.write(b"two")
    assert read_regular(path) == b"onetwo"


PIPES = {
    "session.json": "is no regular file",
    "events.jsonl": "is no regular file",
    "tracks/t0/track.json": "is no regular file",
    "tracks/t0/000001.pcapng": "is no regular file",
    "tracks/t0/000009.pcapng.part": "was never closed",
    # Not told of in the log: they are not part of the recording.
    "flow.json": "",
    "policy.json": "",
    "tracks/t0/000009.pcapng": "",
    "recovered.mark": "",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", PIPES)
def test_a_pipe_in_a_session_keeps_nobody_waiting(
    office: Office, tmp_path: Path, name: str
) -> None:
    place = record(tmp_path / "r", "s1")
    pipe(place / name)
    damaged: list[str] = []
    recover_all(tmp_path / "r", lambda session, _: damaged.append(session))
    # Without a file of its own it is no session.
    assert damaged == (["s1"] if name in {"events.jsonl", "recovered.mark"} else [])
    for watch in (describe_recording, open_recording):
        with suppress(OSError, RecorderError):
            watch(place)
    if PIPES[name]:
        with pytest.raises((OSError, RecorderError), match=PIPES[name]):
            office.seal(place, tmp_path / "s1.zip")
    else:
        assert office.seal(place, tmp_path / "s1.zip").segments == 6


@pytest.mark.timeout(60)
def test_a_pipe_where_the_package_should_be_is_no_package(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    pipe(tmp_path / "s1.zip")
    with pytest.raises(OSError, match="is no regular file"):
        office.seal(place, tmp_path / "s1.zip")
    assert (tmp_path / "s1.zip").is_fifo()
