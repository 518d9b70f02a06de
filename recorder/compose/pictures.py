"""Decoded pictures of one track, scaled, when they are due."""

import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import av
from av.video.reformatter import VideoReformatter

from recorder.compose.canvas import Rect, fit
from recorder.playback.decoders import picture_decoder
from recorder.playback.frames import TimedFrame

__all__ = ["Picture", "PictureTrack"]

_AHEAD: Final = 6
_SCALING: Final = "BILINEAR"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to be shown.

    Attributes:
        time_us: when it was captured, session clock.
        original: as it was decoded.
        scaled: to the size wanted when it was decoded.
        after_gap: others before it are missing.
    """

    time_us: int
    original: av.VideoFrame
    scaled: av.VideoFrame
    after_gap: bool


class PictureTrack:
    """Decodes in a thread of its own, a few pictures ahead.

    Pictures no tick falls on are neither scaled nor handed over.

    :meth:`close` ends the thread.

    Ticks are asked for at ``epoch_us`` and every ``tick_us`` from there.

    Attributes:
        area: how large a picture may be; pictures decoded from now on are scaled to it.
        now: the picture at the time asked for last.
        upcoming: the one after it, ``None`` at the end of the track.
        decode_s: CPU seconds of the thread.
        unreadable: frames the decoder refused.
    """

    def __init__(
        self, frames: Iterable[TimedFrame], codec: str, *, epoch_us: int, tick_us: int, area: Rect
    ) -> None:
        self.area = area
        self.now: Picture | None = None
        self.upcoming: Picture | None = None
        self.decode_s = 0.0
        self.unreadable = 0
        self._frames = frames
        self._codec = codec
        self._epoch_us = epoch_us
        self._tick_us = tick_us
        self._reformatter = VideoReformatter()
        self._queue: queue.Queue[Picture | BaseException | None] = queue.Queue(_AHEAD)
        self._is_stopped = threading.Event()
        self._is_over = False
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Ends the thread."""
        if self._is_stopped.is_set():
            return
        self._is_stopped.set()
        if self._thread is not None:
            while self._thread.is_alive():
                self._drain()
                self._thread.join(0.01)

    def _drain(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()

    def seek(self, time_us: int) -> None:
        """Goes on to ``time_us``: sets :attr:`now` and :attr:`upcoming`.

        Raises:
            RecorderError: the track can't be read.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
            self._thread.start()
            self._advance()
        while self.upcoming is not None and self.upcoming.time_us <= time_us:
            self.now = self.upcoming
            self._advance()

    def _advance(self) -> None:
        self.upcoming = None
        if self._is_over:
            return
        item = self._queue.get()
        if isinstance(item, BaseException):
            self._is_over = True
            raise item
        self._is_over = item is None
        self.upcoming = item

    def _put(self, item: Picture | BaseException | None) -> None:
        while not self._is_stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def _run(self) -> None:
        try:
            self._decode_all()
        except Exception as error:  # noqa: BLE001 - raised again by who takes the pictures
            self._put(error)
            return
        self._put(None)

    def _decode_all(self) -> None:
        decoder = picture_decoder(self._codec)
        before: tuple[av.VideoFrame, bool] | None = None
        gaps: dict[int, bool] = {}
        has_gap = False
        for timed in self._ending():
            if self._is_stopped.is_set():
                return
            if timed is None or timed.restart:
                before = self._pass_on(before, self._decode(decoder, None), gaps)
                decoder = picture_decoder(self._codec)
            if timed is None:
                break
            has_gap = has_gap or timed.after_gap
            if timed.shown:
                gaps[timed.time_us] = has_gap
                has_gap = False
            packet = av.Packet(timed.frame.data)
            packet.pts = timed.time_us
            before = self._pass_on(before, self._decode(decoder, packet), gaps)
        if before is not None:
            self._show(*before)
        self.decode_s = time.thread_time()

    def _ending(self) -> Iterable[TimedFrame | None]:
        yield from self._frames
        yield None

    def _decode(self, decoder: Any, packet: "av.Packet[Any] | None") -> list[av.VideoFrame]:
        try:
            pictures: list[av.VideoFrame] = decoder.decode(packet)
        except av.FFmpegError:
            self.unreadable += 1
            return []
        return pictures

    def _pass_on(
        self,
        before: tuple[av.VideoFrame, bool] | None,
        pictures: list[av.VideoFrame],
        gaps: dict[int, bool],
    ) -> tuple[av.VideoFrame, bool] | None:
        """Shows each picture once the next is known and a tick lies between them."""
        for picture in pictures:
            if picture.pts is None or picture.pts not in gaps:
                continue
            after_gap = gaps.pop(picture.pts)
            if before is not None:
                if self._tick(before[0].pts) < self._tick(picture.pts):
                    self._show(*before)
                else:
                    after_gap = after_gap or before[1]
            before = picture, after_gap
        return before

    def _tick(self, time_us: int | None) -> int:
        """The first tick at or after a moment."""
        return -(-((time_us or 0) - self._epoch_us) // self._tick_us)

    def _show(self, picture: av.VideoFrame, after_gap: bool) -> None:
        time_us = picture.pts or 0
        self._put(Picture(time_us, picture, self.scale(picture, self.area), after_gap))

    def scale(self, picture: av.VideoFrame, area: Rect) -> av.VideoFrame:
        """The picture as large as fits into the area, YUV 4:2:0."""
        place = fit(picture.width, picture.height, area)
        return self._reformatter.reformat(
            picture, place.width, place.height, "yuv420p", interpolation=_SCALING
        )
