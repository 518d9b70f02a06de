"""Several runs as one result: the worst counts."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.weaknet.figures import Figures
from loadtest.weaknet.scene import Measured, Plan

__all__ = ["KEYS", "Result"]

KEYS = (
    "concealed_ratio",
    "interruptions_per_min",
    "video_fps",
    "freeze_ratio",
    "audio_kbps",
    "video_kbps",
    "mouth_to_ear_ms",
    "join_s",
)
_LEAST_IS_WORST = frozenset({"video_fps"})
_MIDDLE = frozenset({"video_kbps"})
"""Neither much nor little of it is bad as such."""
BUSY_SHARE = 0.05
"""A page that could not run for a larger share of the time was kept from it by the machine."""


@dataclass(slots=True)
class Result:
    """What was measured with one profile.

    Attributes:
        name: of the profile.
        plan: what was asked for.
        runs: one or more.
    """

    name: str
    plan: Plan
    runs: Sequence[Measured]

    def way(self, name: str) -> list[Figures]:
        """One direction, run by run."""
        return [run.down if name == "down" else run.up for run in self.runs]

    def worst(self, name: str) -> dict[str, Any]:
        """One direction's keys; ``None`` where a run has no value: unknown is worse than bad."""
        runs = [figures.as_json() for figures in self.way(name)]
        made: dict[str, Any] = {"impaired": runs[0]["impaired"]}
        for key in KEYS:
            values = [run[key] for run in runs]
            if any(value is None for value in values):
                made[key] = None
            elif key in _MIDDLE:
                made[key] = statistics.median(values)
            else:
                made[key] = min(values) if key in _LEAST_IS_WORST else max(values)
        return made

    @property
    def carriers(self) -> dict[str, float]:
        """Mean share of the time that media at the bad end went over each transport."""
        names = dict.fromkeys(name for run in self.runs for name in run.carriers)
        count = len(self.runs)
        return _rounded(
            {name: sum(run.carriers.get(name, 0) for run in self.runs) / count for name in names}
        )

    @property
    def busy(self) -> bool:
        """Whether the machine was too busy for the figures to be believed."""
        return any(run.stalled_s > BUSY_SHARE * self.plan.seconds for run in self.runs)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``: the worst of every key, then the runs."""
        return {
            "profile": self.name,
            "direction": self.plan.direction.value,
            "traffic": self.plan.traffic.value,
            "transport": self.plan.transport.value,
            "via": self.plan.way.value,
            "carriers": self.carriers,
            "seconds": self.plan.seconds,
            "seed": self.plan.profile.seed,
            "machine_busy": self.busy,
            "down": self.worst("down"),
            "up": self.worst("up"),
            "runs": [
                {
                    "down": run.down.as_json(),
                    "up": run.up.as_json(),
                    "stalled_s": round(run.stalled_s, 2),
                    "problems": run.problems,
                    "carriers": _rounded(run.carriers),
                }
                for run in self.runs
            ],
        }


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: round(share, 4) for name, share in shares.items()}
