"""The first pass over captured tracks: their clocks, and which encoding to show when."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from recorder.playback.clock import SenderReport, StreamClock, StreamTimes, fit_clocks
from recorder.playback.source import TrackInfo, TrackSource
from recorder.playback.uploads import Uploads
from rtp.errors import PacketError
from rtp.packet import parse_rtp

__all__ = ["Selection", "TrackSurvey", "survey_participant"]

_BIN_US = 200_000
_PAUSE_BINS = 5
_WORD = 1 << 32


@dataclass(frozen=True, slots=True)
class Selection:
    """Which stream of a track is shown from when on: of several encodings the best there is.

    Attributes:
        starts_us: µs on the session clock, of capture.
    """

    starts_us: list[int]
    ssrcs: list[int]

    def at(self, time_us: int) -> int | None:
        """The stream chosen for what was captured then; ``None`` for a track without packets."""
        if not self.ssrcs:
            return None
        return self.ssrcs[max(0, bisect_right(self.starts_us, time_us) - 1)]


@dataclass(frozen=True, slots=True)
class TrackSurvey:
    """What the first pass found.

    Attributes:
        clocks: by SSRC.
        packets: RTP packets of the track's payload types.
        malformed: bytes that are no RTP packet.
    """

    info: TrackInfo
    clocks: Mapping[int, StreamClock]
    selection: Selection
    packets: int
    malformed: int
    first_us: int | None
    last_us: int | None


@dataclass(slots=True)
class _Bin:
    timestamp: int
    arrival_us: int
    bytes: int = 0


@dataclass(slots=True)
class _Stream:
    times: StreamTimes
    bins: dict[int, _Bin] = field(default_factory=dict)

    def note(self, timestamp: int, arrival_us: int, size: int) -> None:
        """A packet: bins are of RTP time, because what was repaired came late."""
        width = self.times.clock_rate * _BIN_US // 1_000_000
        found = self.bins.setdefault(timestamp // width, _Bin(timestamp, arrival_us))
        found.bytes += size


@dataclass(slots=True)
class _Track:
    source: TrackSource
    streams: dict[int, _Stream] = field(default_factory=dict)
    packets: int = 0
    malformed: int = 0
    first_us: int | None = None
    last_us: int | None = None
    types: Counter[int] = field(default_factory=Counter)

    def info(self) -> TrackInfo:
        """The track with the codec that most of its packets are of."""
        info = self.source.info
        if not info.formats or not self.types:
            return info
        codec = info.formats[self.types.most_common(1)[0][0]]
        types = frozenset(number for number, name in info.formats.items() if name == codec)
        return replace(info, codec=codec, payload_types=types)


def survey_participant(
    sources: Iterable[TrackSource], on_packet: Callable[[], None] = lambda: None
) -> list[TrackSurvey]:
    """Reads all tracks of one participant once; they share the clock of the sender."""
    tracks = [_read(source, on_packet) for source in sources]
    # Two tracks never share an SSRC, but a sender may reuse one after a reload.
    keyed = {
        (place, ssrc): stream.times
        for place, track in enumerate(tracks)
        for ssrc, stream in track.streams.items()
    }
    clocks = fit_clocks(keyed)
    surveys = []
    for place, track in enumerate(tracks):
        own = {key[1]: clock for key, clock in clocks.items() if key[0] == place}
        surveys.append(
            TrackSurvey(
                info=track.info(),
                clocks=own,
                selection=_select(_seen(track, own)),
                packets=track.packets,
                malformed=track.malformed,
                first_us=track.first_us,
                last_us=track.last_us,
            )
        )
    return surveys


def _read(source: TrackSource, on_packet: Callable[[], None]) -> _Track:
    track = _Track(source)
    info = source.info
    for item in source.read():
        if isinstance(item, SenderReport):
            _stream(track, item.ssrc).times.report(item)
            continue
        on_packet()
        try:
            packet = parse_rtp(item.data)
        except PacketError:
            track.malformed += 1
            continue
        wanted = info.payload_types or info.formats
        if wanted and packet.payload_type not in wanted:
            continue
        track.types[packet.payload_type] += 1
        stream = _stream(track, packet.ssrc)
        stream.times.packet(item.arrival_us, packet.timestamp)
        stream.note(packet.timestamp, item.arrival_us, len(packet.payload))
        track.packets += 1
        track.first_us = item.arrival_us if track.first_us is None else track.first_us
        track.last_us = item.arrival_us
    for ssrc in _silent(track, source.uploads):
        # Not a packet of it arrived: all that is known is when its digests did.
        for said in source.uploads.files():
            if said.ssrc == ssrc:
                _stream(track, ssrc).times.packet(said.from_us, said.first_ts)
    return track


def _silent(track: _Track, uploads: Uploads) -> set[int]:
    known = {
        ssrc
        for ssrc, stream in track.streams.items()
        if stream.times.arrivals or stream.times.reports
    }
    return {said.ssrc for said in uploads.files()} - known


def _stream(track: _Track, ssrc: int) -> _Stream:
    if ssrc not in track.streams:
        track.streams[ssrc] = _Stream(StreamTimes(track.source.info.clock_rate))
    return track.streams[ssrc]


def _seen(track: _Track, clocks: Mapping[int, StreamClock]) -> dict[int, dict[int, int]]:
    """Bytes of each stream by bin of session time: what arrived, and what was brought later."""
    seen: dict[int, dict[int, int]] = {}
    for ssrc, stream in track.streams.items():
        bins: dict[int, int] = {}
        for found in stream.bins.values():
            place = clocks[ssrc].session_us(found.timestamp, found.arrival_us) // _BIN_US
            bins[place] = bins.get(place, 0) + found.bytes
        seen[ssrc] = bins
    for said in track.source.uploads.files():
        clock = clocks[said.ssrc]
        first_us = clock.session_us(said.first_ts, said.from_us)
        ticks = (said.last_ts - said.first_ts) % _WORD
        last_us = first_us + ticks * 1_000_000 // track.source.info.clock_rate
        places = range(first_us // _BIN_US, last_us // _BIN_US + 1)
        bins = seen.setdefault(said.ssrc, {})
        for place in places:
            bins[place] = max(bins.get(place, 0), said.bytes // len(places))
    return {ssrc: bins for ssrc, bins in seen.items() if bins}


def _select(streams: Mapping[int, Mapping[int, int]]) -> Selection:
    """At every time the stream that sends most; a pause below 1 s changes nothing."""
    rates = {ssrc: sum(bins.values()) / len(bins) for ssrc, bins in streams.items()}
    chosen: dict[int, int] = {}
    for ssrc in sorted(rates, key=lambda ssrc: rates[ssrc]):
        chosen |= dict.fromkeys(_bridged(streams[ssrc]), ssrc)
    selection = Selection([], [])
    for place in sorted(chosen):
        if not selection.ssrcs or selection.ssrcs[-1] != chosen[place]:
            selection.starts_us.append(place * _BIN_US)
            selection.ssrcs.append(chosen[place])
    return selection


def _bridged(bins: Iterable[int]) -> Iterator[int]:
    """Bins in order, with those of short pauses."""
    last: int | None = None
    for place in sorted(bins):
        if last is not None and place - last <= _PAUSE_BINS:
            yield from range(last + 1, place)
        yield place
        last = place
