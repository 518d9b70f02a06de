"""Tries as a distribution."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.joins.scene import STAGES, JoinPlan, Try

__all__ = ["MARKS_S", "JoinResult"]

MARKS_S = (5.0, 10.0, 15.0)
"""Shares of the tries are told for these times."""
_BUSY_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class JoinResult:
    """What became of the tries over one profile."""

    name: str
    plan: JoinPlan
    tries: Sequence[Try]

    def times(self, stage: str) -> list[float]:
        """Seconds until the stage, rising; infinite where it was not reached in time."""
        return sorted(math.inf if (at := one.reached[stage]) is None else at for one in self.tries)

    def quantile(self, stage: str, share: float) -> float | None:
        """Seconds by which this share of the tries had reached the stage; ``None``: fewer did."""
        times = self.times(stage)
        at = times[max(0, math.ceil(share * len(times)) - 1)]
        return None if math.isinf(at) else at

    def share(self, stage: str, within_s: float) -> float:
        """Share of the tries that reached the stage within this time."""
        times = self.times(stage)
        return sum(at <= within_s for at in times) / len(times)

    @property
    def carriers(self) -> dict[str, int]:
        """How many tries had their media over ``udp`` and ``tcp``."""
        return dict(Counter(one.carrier for one in self.tries if one.carrier).most_common())

    @property
    def busy(self) -> bool:
        """Whether the machine was too busy for the figures to be believed."""
        waited = sum(one.reached["seen"] or self.plan.within_s for one in self.tries)
        return sum(one.stalled_s for one in self.tries) > _BUSY_SHARE * waited

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "profile": self.name,
            "direction": self.plan.direction.value,
            "traffic": self.plan.traffic.value,
            "transport": self.plan.transport.value,
            "via": self.plan.way.value,
            "seed": self.plan.profile.seed,
            "within_s": self.plan.within_s,
            "tries": len(self.tries),
            "carriers": self.carriers,
            "machine_busy": self.busy,
            "stages": {stage: self._stage(stage) for stage in STAGES},
            "each": [
                {
                    **{f"{name}_s": _rounded(at) for name, at in one.reached.items()},
                    "carrier": one.carrier,
                    "stalled_s": _rounded(one.stalled_s),
                }
                for one in self.tries
            ],
        }

    def _stage(self, stage: str) -> dict[str, float | None]:
        shares = {f"within_{at:g}_s": round(self.share(stage, at), 4) for at in MARKS_S}
        return {
            "median_s": _rounded(self.quantile(stage, 0.5)),
            "p90_s": _rounded(self.quantile(stage, 0.9)),
            "p95_s": _rounded(self.quantile(stage, 0.95)),
            **shares,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
