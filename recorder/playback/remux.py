"""Tracks as files that players open, without transcoding.

Sound, VP8, VP9 and AV1 become WebM, H.264 becomes Matroska. What is missing is missing in the
file too: timestamps jump, nothing is stretched or invented.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from recorder.playback.decoders import picture_decoder
from recorder.playback.errors import PlaybackError
from recorder.playback.frames import TimedFrame, TrackFrames
from recorder.playback.source import TrackInfo, TrackSource
from recorder.playback.survey import TrackSurvey
from rtp.opus import duration_ticks

__all__ = ["SUFFIXES", "Hole", "RemuxedTrack", "remux_track"]

SUFFIXES = {"opus": ".webm", "vp8": ".webm", "vp9": ".webm", "av1": ".webm", "h264": ".mkv"}
"""End of the file's name by codec."""

_MILLISECOND = Fraction(1, 1_000)
_MAX_HOLES = 10_000
_LEAST_HOLE_US = {"audio": 5_000, "video": 150_000}
_DEMUXERS = {"h264": "h264", "av1": "obu"}


@dataclass(frozen=True, slots=True)
class Hole:
    """Time without media although packets were sent, µs on the session clock."""

    from_us: int
    to_us: int


@dataclass(slots=True)
class RemuxedTrack:
    """What was written.

    Attributes:
        file: ``None`` if nothing of the track can be played.
        from_us: capture of the first frame.
        to_us: end of the last one.
        holes: the first 10,000; ``missing_us`` counts all.
        undecodable: frames left out because what they refer to is missing.
    """

    track: str
    file: Path | None = None
    frames: int = 0
    from_us: int | None = None
    to_us: int | None = None
    holes: list[Hole] = field(default_factory=list)
    missing_us: int = 0
    undecodable: int = 0


def remux_track(
    source: TrackSource, survey: TrackSurvey, folder: Path, *, epoch_us: int
) -> RemuxedTrack:
    """Writes one track, streaming.

    Args:
        source: the track.
        survey: of the same track.
        folder: where ``<track>.webm`` or ``<track>.mkv`` goes; one that is there is replaced.
        epoch_us: moment of the session clock that is 0 in the file; what was captured before it
            stands at 0. The same for all tracks, so that they can be played beside each other.

    Raises:
        RecorderError: the track can't be read.
        OSError: the file can't be written.
    """
    info = survey.info
    result = RemuxedTrack(info.track)
    frames = TrackFrames(source, survey)
    # Pictures that are not shown are there for those that are: sound needs none of them.
    needed = (timed for timed in frames if timed.shown or info.kind == "video")
    first = next(needed, None)
    if first is not None:
        result.file = folder / f"{info.track}{SUFFIXES[info.codec]}"
        with av.open(
            str(result.file), "w", format="matroska" if info.codec == "h264" else "webm"
        ) as out:
            stream = _add_stream(out, info, first.frame.data)
            last_ms = -1
            for timed in _noting(first, needed, info, result):
                if timed.shown:
                    last_ms = max(round((timed.time_us - epoch_us) / 1_000), last_ms + 1)
                # What isn't shown takes no time: players draw the last picture of a moment.
                at_ms = max(0, last_ms)
                packet = av.Packet(timed.frame.data)
                packet.stream = stream
                packet.pts = packet.dts = at_ms
                packet.time_base = _MILLISECOND
                packet.is_keyframe = timed.frame.keyframe
                out.mux(packet)
    result.undecodable = frames.undecodable
    return result


def _noting(
    first: TimedFrame, rest: Iterator[TimedFrame], info: TrackInfo, result: RemuxedTrack
) -> Iterator[TimedFrame]:
    """Passes frames on and notes what is missing between them."""
    timed: TimedFrame | None = first
    end_us = first.time_us
    while timed is not None:
        if not timed.shown:
            yield timed
            timed = next(rest, None)
            continue
        if result.frames and timed.after_gap:
            _note_hole(result, end_us, timed.time_us, _LEAST_HOLE_US[info.kind])
        result.frames += 1
        result.from_us = timed.time_us if result.from_us is None else result.from_us
        end_us = timed.time_us
        if info.codec == "opus":
            end_us += duration_ticks(timed.frame.data) * 1_000 // 48
        result.to_us = end_us
        yield timed
        timed = next(rest, None)


def _note_hole(result: RemuxedTrack, from_us: int, to_us: int, least_us: int) -> None:
    if to_us - from_us < least_us:
        return
    result.missing_us += to_us - from_us
    if len(result.holes) < _MAX_HOLES:
        result.holes.append(Hole(from_us, to_us))


def _add_stream(out: Any, info: TrackInfo, first: bytes) -> Any:
    if info.codec == "opus":
        layout = "stereo" if first[0] & 4 else "mono"
        # Its encoder never runs: it only writes the header of the stream.
        return out.add_stream("libopus", rate=48_000, layout=layout)
    if info.codec in _DEMUXERS:
        with av.open(io.BytesIO(first), format=_DEMUXERS[info.codec]) as probe:
            stream = out.add_stream_from_template(probe.streams.video[0], opaque=True)
            stream.time_base = _MILLISECOND
            return stream
    width, height = _size(info, first)
    return out.add_mux_stream(info.codec, rate=30, width=width, height=height)


def _size(info: TrackInfo, keyframe: bytes) -> tuple[int, int]:
    reason = "no picture"
    decoder = picture_decoder(info.codec)
    for packet in (av.Packet(keyframe), None):
        try:
            pictures = decoder.decode(packet)
        except av.FFmpegError as error:
            reason = error.strerror or reason
            break
        if pictures:
            return pictures[0].width, pictures[0].height
    raise PlaybackError(
        "the first picture of track {track} can't be decoded: {reason}",
        track=info.track,
        reason=reason,
    )
