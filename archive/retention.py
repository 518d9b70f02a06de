"""How long recordings are kept: the longest of the rules for a class of products.

Times count from the end of the contract, not from the recording; where that end isn't known the
recording stays, and the earliest day it could be is all that is promised to the storage.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from archive.config import RetentionConfig
from archive.errors import RetainedError
from archive.keep import Keep

__all__ = ["BUILT_IN", "Dates", "Rule", "Rules", "expect_likely"]

_FAR_YEARS: Final = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """Years of keeping, and what they follow from."""

    years: int
    basis: str


_SECURITIES: Final = "securities suitability measures art. 32; securities law (2019) art. 137"
_WEALTH: Final = (
    "20 years after the product's end (practice); longer than the 6 months of notice 110"
)
_INSURANCE: Final = "insurance traceability notice 54; internet insurance measures 26"

BUILT_IN: Final[Mapping[str, Rule]] = {
    "own_wealth": Rule(20, _WEALTH),
    "agency_wealth": Rule(20, _WEALTH),
    "trust": Rule(20, _WEALTH),
    "fund": Rule(20, _SECURITIES),
    "securities": Rule(20, _SECURITIES),
    "insurance_short": Rule(5, f"{_INSURANCE}: term of a year at most"),
    "insurance_life": Rule(10, f"{_INSURANCE}: term of more than a year"),
    "insurance_ul": Rule(10, f"{_INSURANCE}: term of more than a year"),
    "mifid": Rule(7, "MiFID II art. 16(7), on request"),
}
"""Classes of products and how long their recordings are kept; citations in ``docs/archive.md``."""


@dataclass(frozen=True, slots=True)
class Dates:
    """Days that times of keeping count from.

    Attributes:
        recorded: when the recording began.
        contract_end: of the contract or product; ``None`` if unknown.
        dispute_end: when a dispute was settled; ``None`` without one.
        sold_until: the contract's end as the session itself said; it only lengthens the time, as
            whoever sells must not decide when the recording may go.
    """

    recorded: date
    contract_end: date | None = None
    dispute_end: date | None = None
    sold_until: date | None = None


class Rules:
    """The rules of one archive."""

    def __init__(self, config: RetentionConfig) -> None:
        own = {item.product_class: Rule(item.years, item.basis) for item in config.classes}
        self._classes = {**BUILT_IN, **own}
        self._default = Rule(config.default_years, "no rule for this class: the longest")
        self._dispute_years = config.dispute_years

    def rule(self, product_class: str | None) -> Rule:
        """The rule for a class of products; the default for one that isn't known."""
        return self._classes.get(product_class or "", self._default)

    def keep(self, product_class: str | None, dates: Dates, promised: Iterable[Keep] = ()) -> Keep:
        """How long a recording stays.

        No contract ends before it was made: so ``lock_until`` counts from the recording, and says
        which years held when it was archived.

        Args:
            product_class: whose rule is followed.
            dates: what the time counts from.
            promised: what holds of the session by now: a rule that was made shorter since then
                is for others.
        """
        before = (one.lock_until.year - dates.recorded.year for one in promised)
        years = max(self.rule(product_class).years, *before, 0)
        lock = _later(dates.recorded, years)
        if dates.contract_end is None:
            return Keep(lock)
        days = [lock, _later(dates.contract_end, years)]
        if dates.sold_until is not None:
            days.append(_later(dates.sold_until, years))
        if dates.dispute_end is not None:
            days.append(_later(dates.dispute_end, self._dispute_years))
        return Keep(lock, max(days))

    def keep_beside(self, others: Sequence[Keep], product_class: str | None, dates: Dates) -> Keep:
        """How long another package of a session stays: not shorter than those that are there."""
        keep = self.keep(product_class, dates, others)
        for other in others if keep.retain_until else ():
            keep = keep.later(other.lock_until, other.retain_until)
        return keep


def _later(day: date, years: int) -> date:
    try:
        return day.replace(year=min(day.year + years, date.max.year))
    except ValueError:  # 29 February
        return day.replace(year=day.year + years, month=3, day=1)


def expect_likely(day: date, recorded: date, today: date, repeated: date | None) -> None:
    """A slip of the pen decides nothing: what is kept for too long can't be let go.

    Args:
        day: a contract's or a dispute's end.
        recorded: when the recording began.
        today: to tell what is far away.
        repeated: the day once more, from whoever means one that is far away.

    Raises:
        RetainedError: it is before the recording, or more than 60 years away and not repeated.
    """
    if day < recorded:
        raise RetainedError(
            "{day} is before the recording ({recorded}): give the right day",
            day=day,
            recorded=recorded,
        )
    if day.year - today.year > _FAR_YEARS and day != repeated:
        raise RetainedError(
            "{day} is more than {years} years away, and can't become earlier once it is said:"
            " if it is right, say it again with --repeat {day}",
            day=day,
            years=_FAR_YEARS,
        )
