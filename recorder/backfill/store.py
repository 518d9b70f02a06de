"""Files of uploaded frames. Written once, synced, then renamed; nothing is ever written over."""

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recorder.backfill.chunk import SaidChunk
from recorder.backfill.errors import BodyError, IncompleteError, MismatchError
from recorder.backfill.examine import Job, captured_frames, live_frames
from recorder.backfill.form import Frame, digest_of, pack, unpack
from recorder.digests import Digests, digests_of
from recorder.durable import sync_directory

__all__ = ["FOLDER", "Stored", "fill", "is_track_id", "read_stored"]

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
        )
    if len(whole) != said.frames or digest_of(whole) != said.sha256:
        raise MismatchError("the frames of chunk {seq} have another digest than was said", seq=seq)
    packed = pack(fresh)
    file = _write(place, track, seq, packed) if fresh else None
    return Stored(file, len(fresh), len(packed), digests_of(packed))


def read_stored(place: Path, file: str) -> Iterator[Frame]:
    """The frames of a file.

    Raises:
        BodyError: the file is not as it was written.
        OSError: it can't be read.
    """
    yield from unpack((place / file).read_bytes())


def _together(said: SaidChunk, captured: dict[int, bytes], fresh: list[Frame]) -> list[Frame]:
    return live_frames(said, captured | {frame.timestamp: frame.data for frame in fresh})


def _write(place: Path, track: str, seq: int, packed: bytes) -> str:
    folder = place / "tracks" / track / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = next(path for path in _names(folder, seq) if _is_free(path, packed))
    if path.exists():
        return _relative(place, path)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    for directory in (folder, folder.parent):
        sync_directory(directory)
    return _relative(place, path)


def _names(folder: Path, seq: int) -> Iterator[Path]:
    yield folder / f"{seq}.frames"
    yield from (folder / f"{seq}-{attempt}.frames" for attempt in itertools.count(2))


def _is_free(path: Path, packed: bytes) -> bool:
    """Whether nothing else has the name: a crash between file and event leaves a file behind."""
    return not path.exists() or path.read_bytes() == packed


def _relative(place: Path, path: Path) -> str:
    return path.relative_to(place).as_posix()
