"""Files of uploaded frames. Written once, synced, then renamed; nothing is ever written over."""

import itertools
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recorder.backfill.chunk import SaidChunk
from recorder.backfill.errors import BodyError, IncompleteError, MismatchError
from recorder.backfill.examine import Job, captured_frames, live_frames
from recorder.backfill.form import Frame, digest_of, pack, unpack
from recorder.digests import Digests, digests_of
from recorder.durable import sync_directory
from recorder.envelope import SUFFIX, MasterKeys, place_of, seal
from recorder.playback.errors import RecordingError
from recorder.playback.sealed import open_sealed
from recorder.regular import read_regular

__all__ = ["FOLDER", "Stored", "fill", "is_track_id", "left_files", "read_stored", "refill"]

FOLDER: Final = "backfill"
"""In a track's directory."""

_TRACK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def is_track_id(text: str) -> bool:
    """Whether a text may be a directory's name among those of tracks."""
    return _TRACK.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of uploaded frames; ``file`` is its path in the session's directory.

    ``None``, and no frames, where all had arrived live meanwhile.
    """

    file: str | None
    frames: int
    bytes: int
    digests: Digests


def fill(place: Path, track: str, job: Job, body: bytes) -> Stored:
    """Checks an upload against its digest and against what arrived live, and stores what is new.

    Runs in a process of its own: it reads captured packets.

    Args:
        place: the session's directory.
        track: the track.
        job: has the one chunk the frames are of.
        body: frames in the form of :mod:`recorder.backfill.form`.

    Raises:
        BodyError: the body can't be read, or has frames that are not of this chunk.
        MismatchError: a frame differs from the one that arrived live, or all together have
            another digest than was said.
        IncompleteError: frames are still missing.
        OSError: the disk refused.
    """
    ((seq, said),) = job.chunks
    uploaded = unpack(body)
    if any(said.ticks(frame.timestamp) is None for frame in uploaded):
        raise BodyError("a frame is not of chunk {seq}", seq=seq)
    captured = captured_frames(job).get(said.ssrc, {})
    for frame in uploaded:
        if captured.get(frame.timestamp, frame.data) != frame.data:
            raise MismatchError(
                "the frame at {timestamp} is not the one that arrived", timestamp=frame.timestamp
            )
    fresh = [frame for frame in uploaded if frame.timestamp not in captured]
    whole = _together(said, captured, fresh)
    if len(whole) < said.frames:
        raise IncompleteError(
            "{missing} of {frames} frames are missing",
            missing=said.frames - len(whole),
            frames=said.frames,
            have=tuple(frame.timestamp for frame in live_frames(said, captured)),
        )
    if len(whole) != said.frames or digest_of(whole) != said.sha256:
        raise MismatchError(
            "chunk {seq} has another digest than was said: {uploaded} uploaded frames and {live}"
            " live ones instead of {frames}",
            seq=seq,
            uploaded=len(fresh),
            live=len(whole) - len(fresh),
            frames=said.frames,
        )
    packed = pack(fresh)
    if not fresh:
        return Stored(None, 0, 0, digests_of(packed))
    path = _write(place / "tracks" / track / FOLDER, seq, packed, job.keys)
    data = path.read_bytes()
    return Stored(path.relative_to(place).as_posix(), len(fresh), len(data), digests_of(data))


def left_files(place: Path, named: Collection[str]) -> dict[tuple[str, int], Path]:
    """Files of uploaded frames that no event tells of, by track and chunk.

    A crash between file and event leaves one behind; whoever brought it may have forgotten it.

    Args:
        place: the session's directory.
        named: files events tell of, by their path there.
    """
    found = {}
    for path in sorted(place.glob(f"tracks/*/{FOLDER}/*.frames*")):
        seq = path.name.partition(".")[0].partition("-")[0]
        is_whole = path.suffix != ".part" and seq.isdecimal()
        if is_whole and path.relative_to(place).as_posix() not in named:
            found[path.parent.parent.name, int(seq)] = path
    return found


def refill(place: Path, track: str, job: Job, path: Path) -> Stored:
    """Checks a file that was left behind as :func:`fill` checks an upload.

    Raises:
        BackfillError: as :func:`fill`.
        RecordingError: it is encrypted with another key, or was changed.
        OSError: it can't be read.
    """
    return fill(place, track, job, _content(path, job.keys))


def read_stored(place: Path, file: str, keys: MasterKeys | None = None) -> list[Frame]:
    """The frames of a file.

    Args:
        place: the session's directory.
        file: its path there.
        keys: for encrypted ones.

    Raises:
        BodyError: the file is not as it was written.
        RecordingError: it is encrypted with another key, or was changed.
        OSError: it can't be read.
    """
    return unpack(_content(place / file, keys))


def _together(said: SaidChunk, captured: dict[int, bytes], fresh: list[Frame]) -> list[Frame]:
    return live_frames(said, captured | {frame.timestamp: frame.data for frame in fresh})


def _write(folder: Path, seq: int, packed: bytes, keys: MasterKeys | None) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = _names(folder, seq, "" if keys is None else SUFFIX)
    path = next(path for path in names if _is_free(path, packed, keys))
    if path.exists():
        return path
    data = packed if keys is None else seal(packed, keys.current, place_of(path) or path.name)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        # A disk that is full needs the room.
        part.unlink(missing_ok=True)
        raise
    for directory in (folder, folder.parent):
        sync_directory(directory)
    return path


def _names(folder: Path, seq: int, suffix: str) -> Iterator[Path]:
    yield folder / f"{seq}.frames{suffix}"
    yield from (folder / f"{seq}-{attempt}.frames{suffix}" for attempt in itertools.count(2))


def _is_free(path: Path, packed: bytes, keys: MasterKeys | None) -> bool:
    """Whether nothing else has the name: a crash between file and event leaves a file behind."""
    if not path.exists():
        return True
    try:
        return _content(path, keys) == packed
    except RecordingError:
        # Of another key, or damaged: it stays, under its name.
        return False


def _content(path: Path, keys: MasterKeys | None) -> bytes:
    if path.suffix != SUFFIX:
        return read_regular(path)
    with open_sealed(path, keys) as sealed:
        return sealed.read()
