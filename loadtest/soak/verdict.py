"""Says whether a server held, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from loadtest.soak.run import Observed
from loadtest.soak.samples import Sample
from loadtest.soak.trend import Trend, robust_trend

__all__ = ["Bounds", "Check", "Outcome", "Verdict", "judge"]

_MIB = 1 << 20
_LEAST_TREND_S = 600.0
"""Caches and the allocator take some ten minutes to fill at this load."""
_LEAST_RESIZED = 4
"""Changes of tiles below which layers may happen to stay as they are."""


class Outcome(StrEnum):
    """Of one check."""

    HELD = "held"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is allowed."""

    mib_per_hour: float = 16.0
    """Growth of memory in the second half."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    outcome: Outcome
    values: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks."""

    checks: tuple[Check, ...]
    memory: Trend | None
    """MiB per hour in the second half."""

    @property
    def held(self) -> bool:
        """Whether nothing failed."""
        return all(check.outcome is not Outcome.FAILED for check in self.checks)


def judge(observed: Observed, bounds: Bounds) -> Verdict:
    """Looks at everything; what can't be told is unknown and fails nothing."""
    memory = _second_half(observed.samples)
    return Verdict(
        checks=(
            *_returned(observed),
            _memory(memory, bounds),
            _accounts(observed),
            _stuck(observed),
            _layers(observed),
            _check("actions", not observed.failures, failed=len(observed.failures),
                   done=observed.done.total()),
            _check("rooms_alive", not observed.room_panics, panics=observed.room_panics),
            _check("events_kept", not observed.dropped_events, events=observed.dropped_events),
            _check("metrics_answered", observed.failed_scrapes <= len(observed.freezes),
                   failed=observed.failed_scrapes),
        ),
        memory=memory,
    )  # fmt: skip


def _check(name: str, held: bool, **values: object) -> Check:
    return Check(name, Outcome.HELD if held else Outcome.FAILED, values)


def _returned(observed: Observed) -> Sequence[Check]:
    final, baseline = observed.final, observed.baseline
    if final is None:
        return [_check("everybody_gone", held=False, rooms="?", transports="?", sockets="?")]
    left = {
        "rooms": final.rooms,
        "transports": final.transports,
        "sockets": final.connections,
        "packets": final.waiting_packets,
    }
    return [
        _check("everybody_gone", not any(left.values()), **left),
        _check("descriptors", final.descriptors <= baseline.descriptors,
               start=baseline.descriptors, end=final.descriptors),
        _check("threads", final.threads <= baseline.threads,
               start=baseline.threads, end=final.threads),
    ]  # fmt: skip


def _second_half(samples: Sequence[Sample]) -> Trend | None:
    half = samples[len(samples) // 2 :]
    if len(half) < 2 or half[-1].at_s - half[0].at_s < _LEAST_TREND_S:
        # While rooms fill memory grows, and that is no trend.
        return None
    return robust_trend([(sample.at_s, sample.own_bytes / _MIB) for sample in half])


def _memory(trend: Trend | None, bounds: Bounds) -> Check:
    bound = bounds.mib_per_hour
    if trend is None:
        return Check("memory_unknown", Outcome.UNKNOWN, {"bound": bound})
    values: dict[str, object] = {
        "slope": round(trend.per_hour, 1),
        "low": round(trend.low, 1),
        "high": round(trend.high, 1),
        "bound": bound,
    }
    if trend.low > bound:
        return Check("memory_grows", Outcome.FAILED, values)
    if trend.high > bound:
        return Check("memory_unsure", Outcome.UNKNOWN, values)
    return Check("memory_flat", Outcome.HELD, values)


def _accounts(observed: Observed) -> Check:
    samples = [*observed.samples, *([observed.final] if observed.final else [])]
    wrong = [sample for sample in samples if sample.unaccounted]
    stages = sorted({stage for sample in wrong for stage in sample.unaccounted})
    if not samples:
        return Check("accounts", Outcome.UNKNOWN, {"wrong": 0, "samples": 0, "stages": ""})
    return _check(
        "accounts",
        not wrong,
        wrong=len(wrong),
        samples=len(samples),
        stages=", ".join(stages) or "–",
    )


def _layers(observed: Observed) -> Check:
    """Layers have to be switched both ways, or nothing else was tested under that."""
    up, down = (observed.layer_switches.get(way, 0) for way in ("up", "down"))
    if observed.done["watch"] < _LEAST_RESIZED:
        return Check("layers", Outcome.UNKNOWN, {"up": up, "down": down})
    return _check("layers", bool(up and down), up=up, down=down)


def _stuck(observed: Observed) -> Check:
    stuck = observed.stuck
    values = {
        "count": len(stuck.found),
        "patience": round(stuck.patience_s),
        "checked": stuck.checked,
        "longest": round(stuck.longest_silence_s, 1),
    }
    if not stuck.checked:
        return Check("stuck", Outcome.UNKNOWN, dict(values))
    return _check("stuck", not stuck.found, **values)
