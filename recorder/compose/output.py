"""The film's file: MP4 with H.264 and AAC, as phones play it."""

import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from struct import pack
from typing import Any, Final

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from recorder.compose.plan import Chapter
from recorder.compose.sound import RATE_HZ
from recorder.playback.recording import Line

__all__ = ["About", "Coding", "FilmFile"]

_AHEAD: Final = 4
_MICROSECOND: Final = Fraction(1, 1_000_000)
_MAX_TEXT: Final = 60_000
_LANGUAGES: Final = {"zh": "chi", "en": "eng"}
_STYLE: Final = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass(frozen=True, slots=True)
class Coding:
    """Size in pixels, pictures a second, and quality and effort of x264."""

    width: int
    height: int
    fps: int
    crf: int
    preset: str


@dataclass(frozen=True, slots=True)
class About:
    """What stands in the file beside sound and picture; times on the session clock.

    Attributes:
        epoch_us: moment that is 0 in the file.
        language: ``zh`` or ``en``, of sound and subtitles.
    """

    chapters: Sequence[Chapter]
    subtitles: Sequence[Line]
    epoch_us: int
    language: str
    metadata: dict[str, str]


class FilmFile:
    """Encodes and writes in a thread of its own; the queue of four pictures is what waits.

    Use as a context manager. Unless :meth:`finish` was called, leaving removes the file.

    Attributes:
        encode_s: CPU seconds of the thread; those of the encoder's own threads come on top.
    """

    def __init__(
        self,
        path: Path,
        coding: "Coding",
        about: "About",
    ) -> None:
        self.encode_s = 0.0
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._lines = _samples(about.subtitles, about.epoch_us)
        self._file: Any = av.open(
            str(self._part), "w", format="mp4", options={"movflags": "+faststart"}
        )
        self._file.metadata.update(about.metadata)
        self._video = self._add_video(coding)
        self._audio = self._file.add_stream("aac", rate=RATE_HZ, layout="mono")
        self._audio.bit_rate = 96_000
        self._audio.metadata["language"] = _LANGUAGES[about.language]
        self._text: Any = None
        if about.subtitles:
            # Its encoder never runs: it writes the style that players want to find.
            self._text = self._file.add_stream("mov_text")
            self._text.codec_context.subtitle_header = _STYLE
            self._text.time_base = _MICROSECOND
            self._text.metadata["language"] = _LANGUAGES[about.language]
        self._file.set_chapters(
            [_chapter(i, c, about.epoch_us) for i, c in enumerate(about.chapters)]
        )
        self._queue: queue.Queue[tuple[av.VideoFrame, NDArray[np.float32]] | None] = queue.Queue(
            _AHEAD
        )
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._fps = coding.fps
        self._thread.start()

    def _add_video(self, coding: Coding) -> Any:
        stream = self._file.add_stream("libx264", rate=coding.fps)
        stream.width, stream.height = coding.width, coding.height
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 2 * coding.fps
        stream.codec_context.thread_count = 2
        # What cameras are encoded in; untagged, players take 720 lines for BT.709.
        stream.codec_context.colorspace = Colorspace.SMPTE170M
        stream.codec_context.color_primaries = ColorPrimaries.SMPTE170M
        stream.codec_context.color_trc = ColorTrc.SMPTE170M
        stream.codec_context.color_range = ColorRange.MPEG
        stream.options = {"preset": coding.preset, "crf": str(coding.crf), "profile": "high"}
        return stream

    def write(self, picture: av.VideoFrame, sound: NDArray[np.float32]) -> None:
        """The next tick.

        Raises:
            OSError: the file can't be written.
            av.FFmpegError: an encoder or the container refused.
        """
        while self._error is None:
            try:
                self._queue.put((picture, sound), timeout=0.5)
            except queue.Full:
                continue
            return
        raise self._error

    def finish(self) -> None:
        """Writes what is left, moves the index to the front, and gives the file its name.

        Raises:
            OSError: the file can't be written.
            av.FFmpegError: an encoder or the container refused.
        """
        self._stop()
        if self._error is not None:
            raise self._error
        self._file.close()
        self._part.replace(self._path)

    def abort(self) -> None:
        """Ends the thread and removes the file; nothing after :meth:`finish`."""
        self._stop()
        if self._part.exists():
            self._error = self._error or RuntimeError("aborted")
            with suppress(av.FFmpegError, OSError):  # why is on its way already
                self._file.close()
            self._part.unlink(missing_ok=True)

    def _stop(self) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=0.1)
            except queue.Full:
                continue
            self._thread.join()

    def _run(self) -> None:
        try:
            count = 0
            while (item := self._queue.get()) is not None:
                self._encode(count, *item)
                count += 1
            self._mux_text(None)
            for stream in (self._video, self._audio):
                self._file.mux(stream.encode(None))
        except Exception as error:  # noqa: BLE001 - raised again by write() and finish()
            self._error = error
        self.encode_s = time.thread_time()

    def _encode(self, index: int, picture: av.VideoFrame, sound: NDArray[np.float32]) -> None:
        picture.pts, picture.time_base = index, Fraction(1, self._fps)
        self._mux_text((index + 1) * 1_000_000 // self._fps)
        self._file.mux(self._video.encode(picture))
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts, frame.time_base = index * len(sound), Fraction(1, RATE_HZ)
        self._file.mux(self._audio.encode(frame))

    def _mux_text(self, until_us: int | None) -> None:
        while self._lines and (until_us is None or self._lines[0][0] < until_us):
            from_us, to_us, data = self._lines.pop(0)
            packet = av.Packet(data)
            packet.stream = self._text
            packet.pts = packet.dts = from_us
            packet.duration = to_us - from_us
            packet.time_base = _MICROSECOND
            packet.is_keyframe = True
            self._file.mux(packet)


def _chapter(index: int, chapter: Chapter, epoch_us: int) -> Any:
    return {
        "id": index,
        "start": chapter.from_us - epoch_us,
        "end": chapter.to_us - epoch_us,
        "time_base": _MICROSECOND,
        "metadata": {"title": chapter.title},
    }


def _samples(lines: Sequence[Line], epoch_us: int) -> list[tuple[int, int, bytes]]:
    """Timed text: what is said together stands together, and empty samples lie between.

    Spec: 3GPP TS 26.245, section 5.17.
    """
    edges = sorted({max(0, at - epoch_us) for line in lines for at in (line.from_us, line.to_us)})
    if not edges:
        return []
    out = [(0, edges[0], pack("!H", 0))] if edges[0] > 0 else []
    waiting = deque(sorted(lines, key=lambda line: line.from_us))
    spoken: list[Line] = []
    for start, end in pairwise(edges):
        spoken = [line for line in spoken if line.to_us - epoch_us > start]
        while waiting and waiting[0].from_us - epoch_us <= start:
            spoken.append(waiting.popleft())
        text = "\n".join(
            f"{line.speaker}：{line.text}" if line.speaker else line.text
            for line in spoken
            if line.to_us - epoch_us > start
        )
        data = text.encode()[:_MAX_TEXT].decode(errors="ignore").encode()
        out.append((start, end, pack("!H", len(data)) + data))
    return out
