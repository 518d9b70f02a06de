"""How much a finding matters: graded by kind and severity, and told no oftener than makes sense.

| grade | what happens |
|---|---|
| ``log`` | it is in the event log, and counted |
| ``callback`` | also a webhook (``finding.callback``): somebody should call the customer back |
| ``dispatch`` | also a webhook (``finding.dispatch``): somebody should step in now |
"""

from collections import OrderedDict
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from sfu.section import Section

__all__ = ["Cooldown", "FindingGrade", "FindingGrades", "KindGrade"]

_MAX_KEYS: Final = 16_384


class FindingGrade(StrEnum):
    """What a finding sets off."""

    LOG = "log"
    CALLBACK = "callback"
    DISPATCH = "dispatch"


class KindGrade(Section):
    """The grade of one kind of finding, whatever its severity."""

    kind: Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,128}$")] = Field(
        description="A kind of finding, such as person_swapped."
    )
    grade: FindingGrade = Field(description="What it sets off.")


class FindingGrades(Section):
    """What findings of detectors set off; all are in the event log and counted."""

    info: FindingGrade = Field(default=FindingGrade.LOG, description="Of findings that inform.")
    warning: FindingGrade = Field(
        default=FindingGrade.CALLBACK,
        description="Of findings that warn. callback posts a webhook: somebody should call back.",
    )
    critical: FindingGrade = Field(
        default=FindingGrade.DISPATCH,
        description="Of critical findings. dispatch posts a webhook: somebody should step in now.",
    )
    kinds: tuple[KindGrade, ...] = Field(
        default=(), max_length=256, description="Grades of single kinds, which come first."
    )
    cooldown_s: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="The same kind about the same person is told again after so long at the"
        " earliest; the event log has it every time.",
    )

    def grade_of(
        self, kind: str, severity: Literal["info", "warning", "critical"], outcome: str
    ) -> FindingGrade:
        """What a finding sets off; nothing but the log if it passed or nobody knows."""
        if outcome not in {"warn", "fail"}:
            return FindingGrade.LOG
        own = next((one.grade for one in self.kinds if one.kind == kind), None)
        return own or FindingGrade(getattr(self, severity))


class Cooldown:
    """Lets something through once in a while, by key; the oldest keys are forgotten."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def passes(self, key: tuple[str, ...], now_s: float) -> bool:
        """Whether it is let through now."""
        last_s = self._last.get(key)
        if last_s is not None and now_s - last_s < self._seconds:
            return False
        self._last[key] = now_s
        self._last.move_to_end(key)
        if len(self._last) > _MAX_KEYS:
            self._last.popitem(last=False)
        return True

    def forget(self, session_id: str) -> None:
        """The session is over; its keys begin with it."""
        for key in [key for key in self._last if key[0] == session_id]:
            del self._last[key]
