"""What runs over labelled clips add up to: recall, precision, delay and false alarms per hour.

An event counts as found when an alarm of its kind, about the same track and participant, was said
in time. An alarm of a kind for which the labels are complete, with no event under it, is a false
alarm. Time without any event of a kind is the time in which false alarms of it are counted.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from analytics.detector import Finding, Outcome
from analytics.eval.labels import Clip, ClipEvent
from analytics.eval.run import Run, Said

__all__ = [
    "AFTER_US",
    "BEFORE_US",
    "TARGETS",
    "Case",
    "Judged",
    "Score",
    "Target",
    "is_alarm",
    "judge",
    "score",
    "upper_rate",
    "wilson",
]

BEFORE_US: Final = 1_500_000
"""So much before an event a finding of it may begin,"""
AFTER_US: Final = 4_000_000
"""and so much after it it may begin or go on."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached on the set; ``None``: no aim."""

    within_s: float | None = None
    recall: float | None = None
    alarms_per_hour: float | None = None


TARGETS: Final = {
    "face_absent": Target(within_s=4.0, recall=0.95, alarms_per_hour=1.0),
    "person_swapped": Target(within_s=6.0, recall=0.95, alarms_per_hour=1.0),
    "phone_at_ear": Target(within_s=5.0, recall=0.85),
}


@dataclass(frozen=True, slots=True)
class Case:
    """An event and what was said of it: found when ``delay_s`` is there and not too long."""

    event: ClipEvent
    said: Said | None
    delay_s: float | None
    found: bool


@dataclass(slots=True)
class Judged:
    """One clip, judged."""

    run: Run
    cases: list[Case] = field(default_factory=list)
    false_alarms: list[Said] = field(default_factory=list)
    true_alarms: list[Said] = field(default_factory=list)


@dataclass(slots=True)
class Score:
    """Figures of one kind.

    Attributes:
        late: found, but after the time allowed; counted as missed.
        free_s: seconds in which an alarm would be a false one.
        by_tag: found and all events, by how they were made.
        unknown_s: seconds for which the detector said that it didn't know.
    """

    kind: str
    events: int = 0
    found: int = 0
    late: int = 0
    false_alarms: int = 0
    true_alarms: int = 0
    free_s: float = 0.0
    unknown_s: float = 0.0
    delays_s: list[float] = field(default_factory=list)
    by_tag: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def recall(self) -> float | None:
        """Found of all events; ``None`` without any."""
        return self.found / self.events if self.events else None

    @property
    def precision(self) -> float | None:
        """Right alarms of all; ``None`` without any."""
        alarms = self.true_alarms + self.false_alarms
        return self.true_alarms / alarms if alarms else None

    @property
    def alarms_per_hour(self) -> float | None:
        """False alarms per hour; ``None`` without time to count in."""
        return self.false_alarms / self.free_s * 3600 if self.free_s else None

    def meets(self, target: Target) -> bool | None:
        """Whether the figures reach the target; ``None`` where one is missing."""
        checks = [
            (target.recall, self.recall, 1.0),
            (target.alarms_per_hour, self.alarms_per_hour, -1.0),
        ]
        wanted = [(aim, value, sign) for aim, value, sign in checks if aim is not None]
        if any(value is None for _, value, _ in wanted):
            return None
        return all(sign * (value or 0.0) >= sign * aim for aim, value, sign in wanted)


def judge(run: Run) -> Judged:
    """Compares what was said with what is true."""
    clip = run.clip
    judged = Judged(run)
    taken: set[int] = set()
    for event in clip.events:
        matching = [
            (index, said)
            for index, said in enumerate(run.said)
            if _matches(said.finding, event, clip)
        ]
        taken |= {index for index, _ in matching}
        if not event.optional:
            judged.cases.append(_case(event, [said for _, said in matching]))
    for index, said in enumerate(run.said):
        if said.finding.kind not in clip.scored or not is_alarm(said.finding):
            continue
        (judged.true_alarms if index in taken else judged.false_alarms).append(said)
    return judged


def is_alarm(finding: Finding) -> bool:
    """Whether it warns or fails: what a right or a false alarm can be."""
    return finding.outcome in {Outcome.WARN, Outcome.FAIL}


def _matches(finding: Finding, event: ClipEvent, clip: Clip) -> bool:
    if finding.kind != event.kind:
        return False
    if event.outcome is None and not is_alarm(finding):
        return False
    if event.track_id and finding.track_id and finding.track_id != event.track_id:
        return False
    who = finding.participant_id
    if event.participant_id and who and who != event.participant_id:
        return False
    if any(finding.values.get(name) != value for name, value in event.match.items()):
        return False
    end_us = min(event.end_us + AFTER_US, clip.duration_us)
    return finding.start_us <= end_us and finding.end_us >= event.start_us - BEFORE_US


def _case(event: ClipEvent, matching: Sequence[Said]) -> Case:
    if event.outcome is not None:
        # A verdict: the last word counts, and has to be the right one.
        last = max(matching, key=lambda said: said.finding.end_us, default=None)
        right = last is not None and last.finding.outcome is event.outcome
        delay_s = None if last is None else max(last.said_us - event.start_us, 0) / 1e6
        return Case(event, last, delay_s, right and _in_time(event, delay_s))
    first = min(matching, key=lambda said: said.said_us, default=None)
    if first is None:
        return Case(event, None, None, found=False)
    delay_s = max(first.said_us - event.start_us, 0) / 1e6
    return Case(event, first, delay_s, _in_time(event, delay_s))


def _in_time(event: ClipEvent, delay_s: float | None) -> bool:
    return delay_s is not None and (event.within_s is None or delay_s <= event.within_s + 1e-6)


def score(clips: Iterable[Judged]) -> dict[str, Score]:
    """Figures of each kind, by its name."""
    scores: dict[str, Score] = {}
    for judged in clips:
        clip = judged.run.clip
        for kind in clip.scored:
            one = scores.setdefault(kind, Score(kind))
            events = [event for event in clip.events if event.kind == kind]
            one.free_s += clip.duration_us / 1e6 - _covered_s(events)
        for case in judged.cases:
            _count(scores[case.event.kind], case, clip)
        for said in judged.false_alarms:
            scores[said.finding.kind].false_alarms += 1
        for said in judged.true_alarms:
            scores[said.finding.kind].true_alarms += 1
        for said in judged.run.said:
            finding = said.finding
            if finding.outcome is Outcome.UNKNOWN and finding.kind in clip.scored:
                scores[finding.kind].unknown_s += (finding.end_us - finding.start_us) / 1e6
    return dict(sorted(scores.items()))


def _count(one: Score, case: Case, clip: Clip) -> None:
    one.events += 1
    one.found += case.found
    one.late += case.said is not None and not case.found
    if case.found and case.delay_s is not None:
        one.delays_s.append(case.delay_s)
    for name, value in {**clip.tags, **case.event.tags}.items():
        found, events = one.by_tag.get(f"{name}={value}", (0, 0))
        one.by_tag[f"{name}={value}"] = (found + case.found, events + 1)


def _covered_s(events: Sequence[ClipEvent]) -> float:
    """Length of the union of events."""
    covered, until = 0, 0
    for event in sorted(events, key=lambda one: one.start_us):
        start = max(event.start_us, until)
        covered += max(event.end_us - start, 0)
        until = max(until, event.end_us)
    return covered / 1e6


def wilson(found: int, events: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson); of no events it is all."""
    if not events:
        return 0.0, 1.0
    z, p = 1.96, found / events
    middle = p + z * z / (2 * events)
    spread = z * math.sqrt(p * (1 - p) / events + z * z / (4 * events * events))
    whole = 1 + z * z / events
    return max((middle - spread) / whole, 0.0), min((middle + spread) / whole, 1.0)


def upper_rate(count: int, hours: float) -> float | None:
    """Upper end of a rate per hour, 95 %, one-sided (Poisson); of none it is 3 / hours."""
    if hours <= 0:
        return None
    low, high = 0.0, 4.0 * count + 10.0
    for _ in range(60):
        middle = (low + high) / 2
        # Chance of so few or fewer, were the rate that high.
        term = total = math.exp(-middle)
        for k in range(1, count + 1):
            term *= middle / k
            total += term
        low, high = (middle, high) if total > 0.05 else (low, middle)
    return high / hours
