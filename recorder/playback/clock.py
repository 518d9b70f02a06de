"""From RTP timestamps to the session clock.

Two steps. Sender reports say which moment of the *sender's* clock an RTP timestamp is: that
relation is exact but for rounding, and the clock is the same for all tracks of a participant, so
sound and picture stay together whatever the network does. The sender's clock is then laid on the
*session's*: arrival is never before sending, so the line below all arrivals is the relation, up to
the shortest delay of the link. Without reports, arrival of the packets themselves has to do.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from recorder.playback.lines import (
    Fit,
    Floats,
    Piece,
    follow,
    lower_line,
    median_line,
    split_at_steps,
)
from rtp.order import Unwrapper

__all__ = ["SenderReport", "StreamClock", "StreamTimes", "fit_clocks"]

Key = TypeVar("Key")
"""Names a stream among those of a participant."""

_STEP_OF_SENDER_US = 300_000.0
_STEP_OF_STREAM_US = 60_000.0
_STEP_OF_ARRIVAL_US = 6_000_000.0
"""What is asked for again comes up to 5 s late: that is no step of the sender's."""
_EVERY_US = 250_000


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a sender said of one stream (RFC 3550, section 6.4.1).

    Attributes:
        ssrc: the stream.
        rtp_timestamp: 32 bits.
        ntp_us: the same moment by the sender's clock, µs since any one moment.
        arrival_us: when it arrived, session clock.
    """

    ssrc: int
    rtp_timestamp: int
    ntp_us: int
    arrival_us: int


@dataclass(slots=True)
class StreamTimes:
    """What is known of one stream's times: gathered in order of arrival, packet by packet."""

    clock_rate: int
    reports: list[SenderReport] = field(default_factory=list)
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    """Arrival in µs and timestamp in long ticks, of the packet that came soonest in 250 ms."""
    report_ticks: list[int] = field(default_factory=list)
    _unwrapper: Unwrapper = field(default_factory=lambda: Unwrapper(32))
    _slot: int = -1

    def packet(self, arrival_us: int, timestamp: int) -> None:
        """A packet arrived."""
        ticks = self._unwrapper.unwrap(timestamp)
        slot = arrival_us // _EVERY_US
        if slot != self._slot:
            self._slot = slot
            self.arrivals.append((arrival_us, ticks))
        elif self._earliness(arrival_us, ticks) > self._earliness(*self.arrivals[-1]):
            self.arrivals[-1] = (arrival_us, ticks)

    def report(self, report: SenderReport) -> None:
        """A sender report arrived."""
        self.reports.append(report)
        self.report_ticks.append(self._unwrapper.unwrap(report.rtp_timestamp))

    def _earliness(self, arrival_us: int, ticks: int) -> float:
        return ticks * 1e6 / self.clock_rate - arrival_us


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A relation of clocks and the RTP times, in µs, it was found at."""

    first: float
    last: float
    piece: Piece

    def distance(self, x: float) -> float:
        """How far outside of it a time lies."""
        return max(self.first - x, x - self.last, 0.0)


class StreamClock:
    """Maps RTP timestamps of one stream to the session clock."""

    def __init__(
        self, times: StreamTimes, pieces: Sequence[_Stretch], to_session: Piece | None
    ) -> None:
        self._rate = times.clock_rate
        self._pieces = pieces
        self._to_session = to_session
        known = [(a, t) for a, t in times.arrivals]
        known += [(r.arrival_us, t) for r, t in zip(times.reports, times.report_ticks, strict=True)]
        known.sort()
        self._known_at = [at for at, _ in known]
        self._known_ticks = [ticks for _, ticks in known]

    def session_us(self, timestamp: int, arrival_us: int) -> int:
        """When what bears this timestamp was captured.

        Args:
            timestamp: 32 bits.
            arrival_us: when it came; tells apart times 2³² ticks from each other, and those
                before and after the sender changed its timestamps.

        Returns:
            µs on the session clock; may be below 0 for what was captured before its start.
        """
        x = self._unwrap(timestamp, arrival_us) * 1e6 / self._rate
        # Arrival tells little: what was repaired or uploaded came late, its neighbours did not.
        nearest = min(stretch.distance(x) for stretch in self._pieces)
        best = min(
            (self._through(s.piece, x) for s in self._pieces if s.distance(x) == nearest),
            key=lambda time_us: abs(time_us - arrival_us),
        )
        return round(best)

    def _through(self, piece: Piece, x: float) -> float:
        y = x + piece.at(x)
        return y if self._to_session is None else y + self._to_session.at(y)

    def _unwrap(self, timestamp: int, arrival_us: int) -> int:
        place = max(0, bisect_right(self._known_at, arrival_us) - 1)
        expected = self._known_ticks[place]
        expected += (arrival_us - self._known_at[place]) * self._rate // 1_000_000
        distance = (timestamp - expected) % 2**32
        return expected + (distance if distance < 2**31 else distance - 2**32)


def fit_clocks(streams: Mapping[Key, StreamTimes]) -> dict[Key, StreamClock]:
    """Clocks of all streams of *one* participant, each under the key of its stream.

    Streams of which neither packets nor reports came have none.
    """
    corrected = _without_steps(report for times in streams.values() for report in times.reports)
    to_session = None
    if corrected:
        ntp = np.array([ntp_us for ntp_us, _ in corrected.values()])
        arrival = np.array([float(at) for _, at in corrected.values()])
        to_session = follow(ntp, arrival - ntp, lower_line)
    clocks: dict[Key, StreamClock] = {}
    for key, times in streams.items():
        if times.reports:
            ticks = np.array(times.report_ticks, dtype=np.float64) * 1e6 / times.clock_rate
            ntp = np.array([corrected[id(report)][0] for report in times.reports])
            cuts = split_at_steps(ntp - ticks, least=_STEP_OF_STREAM_US)
            pieces = [_stretch(ticks[cut], (ntp - ticks)[cut], median_line) for cut in cuts]
            clocks[key] = StreamClock(times, pieces, to_session)
        elif times.arrivals:
            ticks = np.array([t for _, t in times.arrivals], dtype=np.float64)
            ticks *= 1e6 / times.clock_rate
            arrival = np.array([float(at) for at, _ in times.arrivals])
            cuts = split_at_steps(arrival - ticks, least=_STEP_OF_ARRIVAL_US)
            pieces = [_stretch(ticks[cut], (arrival - ticks)[cut], lower_line) for cut in cuts]
            clocks[key] = StreamClock(times, pieces, None)
    return clocks


def _stretch(x: Floats, y: Floats, fit: Fit) -> _Stretch:
    return _Stretch(float(x.min()), float(x.max()), follow(x, y, fit))


def _without_steps(reports: Iterable[SenderReport]) -> dict[int, tuple[float, int]]:
    """The sender's clock as if nobody had ever set it: time and arrival by ``id`` of a report."""
    ordered = sorted(reports, key=lambda report: report.arrival_us)
    if not ordered:
        return {}
    lead = np.array([float(r.ntp_us - r.arrival_us) for r in ordered])
    cuts = split_at_steps(lead, least=_STEP_OF_SENDER_US)
    shift, out = 0.0, {}
    previous: slice | None = None
    for cut in cuts:
        if previous is not None:
            # Delay makes the lead smaller: its greatest values are the truest.
            before = lead[max(previous.start, previous.stop - 8) : previous.stop].max()
            shift += before - lead[cut][:8].max()
        for report in ordered[cut]:
            out[id(report)] = (report.ntp_us + shift, report.arrival_us)
        previous = cut
    return out
