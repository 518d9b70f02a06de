"""A condition over time, with hysteresis: said once it has held, over once it no longer holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from analytics.detector import Finding, FrameRef, Outcome

__all__ = ["Episode", "Episodes", "Rule"]

_MAX_FRAMES: Final = 4


@dataclass(frozen=True, slots=True)
class Rule:
    """When a condition is worth saying.

    Attributes:
        after_s: it must have held that long.
        clear_s: it is over once it has not held that long; shorter gaps don't count.
        gap_s: without any input for that long nobody knows: it ends where it was last seen.
    """

    kind: str
    after_s: float
    clear_s: float = 1.0
    gap_s: float = 5.0
    outcome: Outcome = Outcome.WARN


class Episode:
    """One condition of one subject."""

    def __init__(self, rule: Rule, participant_id: str = "", track_id: str = "") -> None:
        self.rule = rule
        self._about = (participant_id, track_id)
        self._clear()
        self._last_us: int | None = None

    def _clear(self) -> None:
        self._start_us: int | None = None
        self._held_us = 0
        self._freed_us: int | None = None
        self._said = False
        self._score: float | None = None
        self._values: Mapping[str, float | int | str] = {}
        self._frames: tuple[FrameRef, ...] = ()

    @property
    def is_open(self) -> bool:
        """It was said, and isn't over."""
        return self._said

    def update(
        self,
        at_us: int,
        holds: bool | None,
        *,
        score: float | None = None,
        values: Mapping[str, float | int | str] | None = None,
        frame: FrameRef | None = None,
        since_us: int | None = None,
    ) -> list[Finding]:
        """Takes whether the condition holds at ``at_us``; ``None``: can't be told, nothing moves.

        It began at ``since_us``, where that is given and it wasn't known to hold before.

        Score, values and frames of the finding are those of the moments when it held: the highest
        score, the values with it, the first frames.
        """
        said: list[Finding] = []
        if self._last_us is not None and at_us - self._last_us > self.rule.gap_s * 1e6:
            said += self.flush(at_us)
        self._last_us = at_us
        if holds is None:
            return said
        said += self._release(at_us, holds=holds)
        if not holds:
            return said
        if self._start_us is None:
            self._start_us = at_us if since_us is None else min(since_us, at_us)
        self._held_us, self._freed_us = at_us, None
        self._keep(score, values, frame)
        if not self._said and at_us - self._start_us >= self.rule.after_s * 1e6:
            self._said = True
            said.append(self._finding(is_open=True))
        return said

    def flush(self, at_us: int) -> list[Finding]:
        """Ends it where it was last seen to hold; what was never said stays unsaid."""
        if not self._said:
            self._clear()
            return []
        return self._end(min(self._held_us, at_us))

    def _release(self, at_us: int, *, holds: bool) -> list[Finding]:
        """Ends it if it hasn't held for long enough."""
        if self._start_us is None or (holds and self._freed_us is None):
            return []
        if self._freed_us is None:
            self._freed_us = at_us
        if at_us - self._freed_us < self.rule.clear_s * 1e6:
            return []
        if not self._said:
            self._clear()
            return []
        return self._end(self._freed_us)

    def _end(self, at_us: int) -> list[Finding]:
        finding = replace(self._finding(is_open=False), end_us=at_us)
        self._clear()
        return [finding]

    def _keep(
        self,
        score: float | None,
        values: Mapping[str, float | int | str] | None,
        frame: FrameRef | None,
    ) -> None:
        if not self._said and frame is not None and len(self._frames) < _MAX_FRAMES:
            self._frames = (*self._frames, frame)
        if score is None or self._score is None or score >= self._score:
            self._score = score if score is not None else self._score
            self._values = values if values is not None else self._values

    def _finding(self, *, is_open: bool) -> Finding:
        assert self._start_us is not None
        participant_id, track_id = self._about
        return Finding(
            kind=self.rule.kind,
            start_us=self._start_us,
            end_us=self._held_us,
            outcome=self.rule.outcome,
            score=self._score,
            participant_id=participant_id,
            track_id=track_id,
            is_open=is_open,
            values=self._values,
            frames=self._frames,
        )


class Episodes:
    """Several conditions of one subject, ended together."""

    def __init__(self, rules: Sequence[Rule], participant_id: str = "", track_id: str = "") -> None:
        self._by_rule = {rule: Episode(rule, participant_id, track_id) for rule in rules}

    def __getitem__(self, rule: Rule) -> Episode:
        return self._by_rule[rule]

    def flush(self, at_us: int) -> list[Finding]:
        """Ends all of them."""
        return [finding for one in self._by_rule.values() for finding in one.flush(at_us)]
