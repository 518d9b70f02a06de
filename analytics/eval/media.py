"""What the detectors of a clip are given: frames, sound and marks, in order of their time."""

import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from analytics.detector import SAMPLE_RATE_HZ, AudioChunk, Mark, VideoFrame
from analytics.errors import EvalError
from analytics.eval.labels import Clip, ClipTrack, require_file

__all__ = ["Fed", "items_of"]

Fed: TypeAlias = VideoFrame | AudioChunk | Mark
_STEP: Final = 512


def items_of(
    clip: Clip, directory: Path, video_hz: Mapping[str, float], height: int, chunk_ms: int
) -> Iterator[Fed]:
    """All that happens in a clip.

    Args:
        clip: its label.
        directory: where its media are.
        video_hz: frames wanted each second, by source.
        height: of frames; larger ones are scaled down to it.
        chunk_ms: length of sound chunks, a multiple of 32.

    Raises:
        EvalError: a file can't be opened.
    """
    streams: list[Iterator[Fed]] = [iter(_marks(clip))]
    for track in clip.tracks:
        path = directory / track.file
        if track.kind == "audio":
            streams.append(_chunks(track, path, chunk_ms))
        elif track.source in video_hz:
            streams.append(_frames(track, path, video_hz[track.source], height))
    return heapq.merge(*streams, key=_time)


def _time(item: Fed) -> int:
    return item.at_us if isinstance(item, Mark) else item.pts_us


def _marks(clip: Clip) -> list[Mark]:
    marks = [
        Mark(
            "track.started",
            track.offset_us,
            track.participant_id,
            {"role": track.role, "track_id": track.track_id, "source": track.source},
        )
        for track in clip.tracks
    ]
    marks += [Mark(one.kind, one.at_us, one.participant_id, one.data) for one in clip.marks]
    return sorted(marks, key=lambda mark: mark.at_us)


def _decoded(path: Path, kind: str) -> Iterator[Any]:
    """Decoded frames; what the codec can't read after loss is left out."""
    import av

    try:
        require_file(path)
        container = av.open(str(path))
    except (OSError, av.FFmpegError) as error:
        raise EvalError("media {path} can't be opened: {cause}", path=path, cause=error) from error
    with container:
        streams = [stream for stream in container.streams if stream.type == kind]
        if not streams:
            raise EvalError("media {path} has no {kind}", path=path, kind=kind)
        streams[0].codec_context.thread_count = 1
        for packet in container.demux(streams[0]):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                continue


def _frames(track: ClipTrack, path: Path, rate_hz: float, height: int) -> Iterator[VideoFrame]:
    due_us = -1.0
    for frame in _decoded(path, "video"):
        if frame.time is None:
            continue
        at_us = track.offset_us + round(frame.time * 1e6)
        if at_us + 1 < due_us:
            continue
        due_us = max(due_us, float(at_us)) if due_us < 0 else due_us
        while due_us <= at_us:
            due_us += 1e6 / rate_hz
        width = frame.width
        if frame.height > height:
            width = max(round(frame.width * height / frame.height / 2) * 2, 2)
            frame = frame.reformat(width=width, height=height, format="rgb24")  # noqa: PLW2901
        image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        yield VideoFrame(track.track_id, track.participant_id, at_us, image)


def _chunks(track: ClipTrack, path: Path, chunk_ms: int) -> Iterator[AudioChunk]:
    import av

    size = max(chunk_ms * SAMPLE_RATE_HZ // 1000 // _STEP, 1) * _STEP
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    waiting = np.zeros(0, np.float32)
    at = 0
    for frame in _decoded(path, "audio"):
        parts = [part.to_ndarray().ravel() for part in resampler.resample(frame)]
        waiting = np.concatenate([waiting, *parts]).astype(np.float32)
        while len(waiting) >= size:
            pts_us = track.offset_us + at * 1_000_000 // SAMPLE_RATE_HZ
            yield AudioChunk(track.track_id, track.participant_id, pts_us, waiting[:size])
            waiting, at = waiting[size:], at + size
