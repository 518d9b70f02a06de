"""The first pass over captured tracks: their clocks, and which encoding to show when."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from recorder.playback.clock import SenderReport, StreamClock, StreamTimes, fit_clocks
from recorder.playback.source import TrackInfo, TrackSource
from rtp.errors import PacketError
from rtp.packet import parse_rtp

__all__ = ["Selection", "TrackSurvey", "survey_participant"]

_BIN_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which stream of a track is shown from when on: of several encodings the best there is."""

    starts_us: list[int]
    ssrcs: list[int]

    def at(self, arrival_us: int) -> int | None:
        """The stream chosen for what arrived then; ``None`` for a track without packets."""
        if not self.ssrcs:
            return None
        return self.ssrcs[max(0, bisect_right(self.starts_us, arrival_us) - 1)]


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
class _Stream:
    times: StreamTimes
    bins: dict[int, int] = field(default_factory=dict)


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
    return [
        TrackSurvey(
            info=track.info(),
            clocks={key[1]: clock for key, clock in clocks.items() if key[0] == place},
            selection=_select({ssrc: s.bins for ssrc, s in track.streams.items() if s.bins}),
            packets=track.packets,
            malformed=track.malformed,
            first_us=track.first_us,
            last_us=track.last_us,
        )
        for place, track in enumerate(tracks)
    ]


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
        place = item.arrival_us // _BIN_US
        stream.bins[place] = stream.bins.get(place, 0) + len(packet.payload)
        track.packets += 1
        track.first_us = item.arrival_us if track.first_us is None else track.first_us
        track.last_us = item.arrival_us
    return track


def _stream(track: _Track, ssrc: int) -> _Stream:
    if ssrc not in track.streams:
        track.streams[ssrc] = _Stream(StreamTimes(track.source.info.clock_rate))
    return track.streams[ssrc]


def _select(streams: Mapping[int, Mapping[int, int]]) -> Selection:
    """In every second the stream that sends most; a pause below 1 s changes nothing."""
    rates = {ssrc: sum(bins.values()) / len(bins) for ssrc, bins in streams.items()}
    order = sorted(rates, key=lambda ssrc: rates[ssrc], reverse=True)
    places = sorted({place for bins in streams.values() for place in bins})
    selection = Selection([], [])
    for place in places:
        near = (place - 1, place, place + 1)
        chosen = next(
            ssrc
            for ssrc in order
            if streams[ssrc].get(place)
            or (streams[ssrc].get(near[0]) and streams[ssrc].get(near[2]))
        )
        if not selection.ssrcs or selection.ssrcs[-1] != chosen:
            selection.starts_us.append(place * _BIN_US)
            selection.ssrcs.append(chosen)
    return selection
