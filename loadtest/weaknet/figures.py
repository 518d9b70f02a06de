"""Figures of one direction, from what was noted at both of its ends."""

import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtest.weaknet.markers import delays
from loadtest.weaknet.recording import AudioSample, PageRecord, VideoSample, Way

__all__ = ["INTERRUPTION_S", "Figures", "Series", "Window", "figures", "interruptions"]

INTERRUPTION_S = 0.15
"""A run of concealment from this length on is an interruption, as in NetEq."""
_RATE_HZ = 48_000
_STEP_S = 1.0
_FREEZE_S = 0.5
"""A picture that stands at an end of the measurement for this long is frozen."""


@dataclass(frozen=True, slots=True)
class Window:
    """Time that is measured, in seconds of the wall clock."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(slots=True)
class Series:
    """For plots, one value a second unless it says otherwise; ``None`` where nothing is known."""

    offered_loss: list[float | None] = field(default_factory=list)
    concealed: list[float | None] = field(default_factory=list)
    fps: list[float | None] = field(default_factory=list)
    audio_kbps: list[float | None] = field(default_factory=list)
    video_kbps: list[float | None] = field(default_factory=list)
    buffer_ms: list[float | None] = field(default_factory=list)
    delay_ms: list[tuple[float, float]] = field(default_factory=list)
    """Time and delay of each chirp."""
    interruptions: list[tuple[float, float]] = field(default_factory=list)
    """Beginning and length in seconds."""


@dataclass(slots=True)
class Figures:
    """What one direction was like; ``None`` is unknown."""

    impaired: bool
    concealed_ratio: float | None = None
    interruptions_per_min: float | None = None
    video_fps: float | None = None
    freeze_ratio: float | None = None
    audio_kbps: float | None = None
    video_kbps: float | None = None
    mouth_to_ear_ms: float | None = None
    join_s: float | None = None
    mouth_to_ear_p95_ms: float | None = None
    longest_interruption_s: float | None = None
    """Of the sound."""
    longest_still_s: float | None = None
    """Between two pictures."""
    path_loss_ratio: float | None = None
    fps_encoded: float | None = None
    series: Series = field(default_factory=Series)

    def as_json(self) -> dict[str, Any]:
        """Without the series."""
        made = asdict(self)
        del made["series"]
        return {name: _rounded(value) for name, value in made.items()}


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def figures(
    sender: PageRecord, receiver: PageRecord, path: Sequence[tuple[float, Way]], window: Window
) -> Figures:
    """Figures of the direction from ``sender`` to ``receiver``.

    Args:
        sender: page that speaks.
        receiver: page that listens.
        path: counters of this direction over time.
        window: what counts.
    """
    found = Figures(impaired=False)
    _audio(found, _within(receiver.audio(), window), window)
    _video(found, _within(receiver.video(), window), window)
    _cost(found, [(at, way) for at, way in path if window.start_s <= at <= window.end_s], window)
    heard = delays(sender.chirps("said"), receiver.chirps("heard"))
    inside = [(at, delay) for at, delay in heard if window.start_s <= at <= window.end_s]
    if inside:
        values = sorted(delay * 1000 for _, delay in inside)
        found.mouth_to_ear_ms = statistics.median(values)
        found.mouth_to_ear_p95_ms = values[min(len(values) - 1, int(len(values) * 0.95))]
    found.series.delay_ms = [(at - window.start_s, delay * 1000) for at, delay in inside]
    encoded = [(at, count) for at, count in sender.encoded() if window.start_s <= at]
    if len(encoded) > 1:
        found.fps_encoded = _rate(encoded[0], encoded[-1])
    return found


def _within(items: Sequence[Any], window: Window) -> list[Any]:
    return [item for item in items if window.start_s <= item.at_s <= window.end_s]


def _rate(first: tuple[float, float], last: tuple[float, float]) -> float:
    return (last[1] - first[1]) / (last[0] - first[0])


def _audio(found: Figures, samples: list[AudioSample], window: Window) -> None:
    if len(samples) < 2 or samples[-1].total <= samples[0].total:
        return
    first, last = samples[0], samples[-1]
    found.concealed_ratio = _audible_share(first, last)
    runs = interruptions(samples)
    found.interruptions_per_min = len(runs) * 60 / (last.at_s - first.at_s)
    found.longest_interruption_s = max((length for _, length in runs), default=0.0)
    found.series.interruptions = [(at - window.start_s, length) for at, length in runs]
    found.series.concealed = _per_second(samples, window, _audible_share)
    found.series.buffer_ms = _per_second(samples, window, _buffer_ms)


def _audible_share(first: AudioSample, last: AudioSample) -> float | None:
    total = last.total - first.total
    audible = (last.concealed - first.concealed) - (last.silent - first.silent)
    return max(0.0, audible / total) if total > 0 else None


def _buffer_ms(first: AudioSample, last: AudioSample) -> float | None:
    emitted = last.emitted - first.emitted
    return (last.buffer_s - first.buffer_s) / emitted * 1000 if emitted > 0 else None


def interruptions(samples: Sequence[AudioSample]) -> list[tuple[float, float]]:
    """Runs of concealment of :data:`INTERRUPTION_S` or longer, from cumulative counters.

    A run ends where nothing was concealed or a new event of concealment began. Where one run ends
    and another begins between two samples, each gets half: the error is below half the interval.

    Returns:
        Beginning (wall clock) and length of each, in seconds.
    """
    found: list[tuple[float, float]] = []
    start_s, length = 0.0, 0.0

    def close() -> None:
        if length >= INTERRUPTION_S * _RATE_HZ:
            found.append((start_s, length / _RATE_HZ))

    for before, now in itertools.pairwise(samples):
        concealed, events = now.concealed - before.concealed, now.events - before.events
        if events > 0:
            mine = concealed / 2 if length > 0 else 0.0
            length += mine
            close()
            start_s, length = before.at_s, concealed - mine
        elif concealed > 0:
            if length == 0:
                start_s = before.at_s
            length += concealed
        else:
            close()
            length = 0.0
    close()
    return found


def _video(found: Figures, samples: list[VideoSample], window: Window) -> None:
    if len(samples) < 2:
        return
    first, last = samples[0], samples[-1]
    found.video_fps = (last.frames - first.frames) / (last.at_s - first.at_s)
    frozen = last.frozen_s - first.frozen_s
    # The browser adds a freeze when it is over: the last one may not be.
    shown = [s.at_s for s, t in itertools.pairwise(samples) if t.frames > s.frames]
    still = last.at_s - (shown[-1] if shown else first.at_s)
    times = [first.at_s, *shown, last.at_s]
    found.longest_still_s = max(later - at for at, later in itertools.pairwise(times))
    if still >= _FREEZE_S:
        frozen += still
    found.freeze_ratio = min(1.0, max(0.0, frozen / window.length_s))
    found.series.fps = _per_second(
        samples, window, lambda a, b: (b.frames - a.frames) / (b.at_s - a.at_s)
    )


def _cost(found: Figures, samples: Sequence[tuple[float, Way]], window: Window) -> None:
    if len(samples) < 2:
        return
    (start, first), (end, last) = samples[0], samples[-1]
    found.path_loss_ratio = _loss(first, last)
    timed = [_Timed(at, way) for at, way in samples]
    series = found.series
    series.offered_loss = _per_second(timed, window, lambda a, b: _loss(a.way, b.way))
    if not last.audio[0] + last.video[0]:
        # The kernel's own counters don't tell audio from video.
        return
    found.audio_kbps = (last.audio[1] - first.audio[1]) * 8 / (end - start) / 1000
    found.video_kbps = (last.video[1] - first.video[1]) * 8 / (end - start) / 1000
    series.audio_kbps = _per_second(timed, window, lambda a, b: _kbps(a, b, "audio"))
    series.video_kbps = _per_second(timed, window, lambda a, b: _kbps(a, b, "video"))


@dataclass(frozen=True, slots=True)
class _Timed:
    at_s: float
    way: Way


def _loss(first: Way, last: Way) -> float | None:
    offered = last.total[0] - first.total[0]
    lost = last.lost + last.queue_full - first.lost - first.queue_full
    return lost / offered if offered else None


def _kbps(first: _Timed, last: _Timed, kind: str) -> float:
    octets = getattr(last.way, kind)[1] - getattr(first.way, kind)[1]
    return float(octets) * 8 / (last.at_s - first.at_s) / 1000


def _per_second(
    samples: Sequence[Any], window: Window, value: Callable[[Any, Any], float | None]
) -> list[float | None]:
    """The value between the samples nearest to each second's ends."""
    made: list[float | None] = []
    at = 0
    for second in range(int(window.length_s / _STEP_S)):
        begin, end = window.start_s + second * _STEP_S, window.start_s + (second + 1) * _STEP_S
        while at + 1 < len(samples) and samples[at + 1].at_s <= begin:
            at += 1
        after = at
        while after + 1 < len(samples) and samples[after].at_s < end:
            after += 1
        made.append(value(samples[at], samples[after]) if after > at else None)
    return made
