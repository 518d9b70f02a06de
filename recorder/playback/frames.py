"""The second pass: the frames of a track in time."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

from recorder.playback.clock import SenderReport
from recorder.playback.source import TrackSource
from recorder.playback.survey import TrackSurvey
from recorder.playback.uploads import SaidRange
from rtp.assembly import FORMATS, Assembler, Losses
from rtp.errors import PacketError
from rtp.frame import EncodedFrame
from rtp.keyframes import is_keyframe
from rtp.order import Ordered, Reorder
from rtp.packet import parse_rtp

__all__ = ["TimedFrame", "TrackFrames"]

_MAX_KEPT_BYTES = 16_000_000
_WAIT_US = 15_000_000
_REPAIR_US = 6_000_000
"""Packets that were asked for again come so late at most, and then wait as long as all others."""
_HOLD_US = _WAIT_US + _REPAIR_US


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A frame and its place in the recording.

    Attributes:
        time_us: when it was captured, session clock.
        frame: what came.
        shown: it belongs to the stream that is shown; others are only there because later frames
            of the same stream need them.
        restart: the first frame of another stream than before.
        after_gap: frames are missing before it, or could not be decoded.
    """

    time_us: int
    frame: EncodedFrame
    shown: bool = True
    restart: bool = False
    after_gap: bool = False


@dataclass(slots=True)
class _Stream:
    order: Reorder
    assembler: Assembler
    kept: list[TimedFrame] = field(default_factory=list)
    kept_bytes: int = 0
    key_us: int = 0
    last_ts: int | None = None
    last_us: int = 0
    is_decodable: bool = False
    is_complete: bool = False
    has_gap: bool = False


class TrackFrames:
    """Iterates over the frames of one track in constant memory.

    Streams that wait for late packets hold up the others, so that a change between them finds all
    frames before it. Frames of the chosen stream come in order of time; one that is not later
    than the frame before it is dropped and counted in ``repeated``. At a change to another
    stream, the frames it needs come first, up to 16 MB of them; beyond that it starts with its
    next keyframe.
    """

    def __init__(self, source: TrackSource, survey: TrackSurvey) -> None:
        self._source = source
        self._survey = survey
        self._streams: dict[int, _Stream] = {}
        self._current: int | None = None
        self._last_us: int | None = None
        self._waiting: list[tuple[int, int, TimedFrame]] = []
        self._added = 0
        self._uploads = deque(self._placed_uploads())
        self.repeated = 0
        self.undecodable = 0
        self.uploaded = 0

    @property
    def losses(self) -> list[Losses]:
        """Of every stream."""
        return [stream.assembler.losses for stream in self._streams.values()]

    def __iter__(self) -> Iterator[TimedFrame]:
        """All frames that can be decoded.

        Raises:
            RecorderError: a file can't be read, or is not what was written.
        """
        types = self._survey.info.payload_types
        for item in self._source.read():
            if isinstance(item, SenderReport):
                continue
            try:
                packet = parse_rtp(item.data)
            except PacketError:
                continue
            if types and packet.payload_type not in types:
                continue
            stream = self._stream(packet.ssrc)
            for ordered in stream.order.push(item.arrival_us, packet):
                self._assemble(stream, ordered)
            # Encodings pause: what they left waits no longer than the rest.
            for other in self._streams.values():
                for ordered in other.order.poll(item.arrival_us):
                    self._assemble(other, ordered)
            self._take_uploads(item.arrival_us)
            while self._waiting and self._waiting[0][0] < item.arrival_us - _HOLD_US:
                yield from self._release()
        for stream in self._streams.values():
            for ordered in stream.order.flush():
                self._assemble(stream, ordered)
        self._take_uploads(None)
        while self._waiting:
            yield from self._release()

    def _stream(self, ssrc: int) -> _Stream:
        if ssrc not in self._streams:
            form = FORMATS[self._survey.info.codec]()
            self._streams[ssrc] = _Stream(Reorder(wait_us=_WAIT_US), Assembler(form))
        return self._streams[ssrc]

    def _assemble(self, stream: _Stream, ordered: Ordered) -> None:
        for frame in stream.assembler.push(ordered):
            clock = self._survey.clocks[frame.ssrc]
            time_us = clock.session_us(frame.timestamp, frame.arrival_us)
            # Within a stream the order of decoding stays.
            stream.key_us = max(stream.key_us, time_us)
            self._wait(stream.key_us, TimedFrame(time_us, frame))

    def _placed_uploads(self) -> list[tuple[int, SaidRange]]:
        """Files of uploaded frames by the time of their first one.

        The log's own time of a chunk is that of its digest where nothing of its stream had come.
        """
        placed = []
        for item in self._source.uploads.files():
            clock = self._survey.clocks[item.ssrc]
            placed.append((clock.session_us(item.first_ts, item.from_us), item))
        return sorted(placed, key=lambda pair: pair[0])

    def _take_uploads(self, until_us: int | None) -> None:
        """Puts uploaded frames among the captured ones."""
        while self._uploads and (until_us is None or self._uploads[0][0] <= until_us):
            _, item = self._uploads.popleft()
            clock = self._survey.clocks[item.ssrc]
            for uploaded in self._source.uploads.frames(item):
                time_us = clock.session_us(uploaded.timestamp, item.from_us)
                frame = EncodedFrame(
                    item.ssrc,
                    uploaded.timestamp,
                    time_us,
                    uploaded.data,
                    is_keyframe(self._survey.info.codec, uploaded.data),
                    decodable=False,
                    after_loss=True,
                )
                self.uploaded += 1
                self._wait(time_us, TimedFrame(time_us, frame))

    def _wait(self, key_us: int, timed: TimedFrame) -> None:
        self._added += 1
        heappush(self._waiting, (key_us, self._added, timed))

    def _release(self) -> Iterator[TimedFrame]:
        timed = heappop(self._waiting)[2]
        frame = timed.frame
        stream = self._stream(frame.ssrc)
        if stream.last_ts == frame.timestamp and stream.is_decodable:
            # Uploaded, and captured after all; or sent twice by a browser that stalled.
            self.repeated += 1
            return
        is_chosen = frame.ssrc == self._survey.selection.at(timed.time_us)
        stream.is_decodable = self._is_decodable(stream, timed)
        if not stream.is_decodable:
            self.undecodable += is_chosen
            return
        timed = replace(timed, after_gap=stream.has_gap)
        stream.has_gap = False
        if is_chosen:
            yield from self._show(stream, timed)
        else:
            _keep(stream, timed)

    def _is_decodable(self, stream: _Stream, timed: TimedFrame) -> bool:
        """Judges again: what was missing when packets were put together may be there now."""
        frame = timed.frame
        before, stream.last_ts = stream.last_ts, frame.timestamp
        before_us, stream.last_us = stream.last_us, timed.time_us
        is_joined = not frame.after_loss or (
            before is not None
            # What was whole once can't be read any more.
            and not self._is_damaged(before_us, timed.time_us)
            and self._source.uploads.is_whole(frame.ssrc, before, frame.timestamp)
        )
        # Nothing is missing since the last keyframe.
        stream.is_complete = frame.keyframe or (stream.is_complete and is_joined)
        is_decodable = frame.decodable or stream.is_complete
        stream.has_gap = stream.has_gap or not is_joined or not is_decodable
        return is_decodable

    def _is_damaged(self, from_us: int, to_us: int) -> bool:
        return any(one.from_us <= to_us and from_us <= one.to_us for one in self._source.damage)

    def _show(self, stream: _Stream, timed: TimedFrame) -> Iterator[TimedFrame]:
        if self._last_us is not None and timed.time_us <= self._last_us:
            self.repeated += 1
            if timed.frame.ssrc != self._current:
                _keep(stream, timed)
                return
            yield replace(timed, shown=False)
            return
        restart = timed.frame.ssrc != self._current
        if restart and not timed.frame.keyframe:
            if not stream.kept:
                self.undecodable += 1
                return
            for index, kept in enumerate(stream.kept):
                yield replace(kept, shown=False, restart=index == 0)
            restart = False
        # Another stream may be shown next, and then this one again.
        _keep(stream, timed)
        self._current = timed.frame.ssrc
        self._last_us = timed.time_us
        yield replace(timed, restart=restart)


def _keep(stream: _Stream, timed: TimedFrame) -> None:
    if timed.frame.keyframe:
        stream.kept.clear()
        stream.kept_bytes = 0
    elif not stream.kept:
        return
    stream.kept.append(timed)
    stream.kept_bytes += len(timed.frame.data)
    if stream.kept_bytes > _MAX_KEPT_BYTES:
        stream.kept.clear()
        stream.kept_bytes = 0
