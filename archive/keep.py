"""How long an object has to stay: what lies beside every object, and decides about its deletion."""

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, Self

from archive.errors import IntegrityError
from recorder.canonical import canonical
from recorder.session_file import is_session_id

__all__ = ["Keep"]

_FORMAT: Final = "witness-keep/1"


@dataclass(frozen=True, slots=True)
class Keep:
    """The time of keeping of one object. Days are UTC; a day's object may go on the next one.

    Attributes:
        lock_until: the earliest day there can be, known when the recording was made.
        retain_until: the day that holds; ``None`` while nobody knows when the contract ends: then
            it stays.
        holds: cases (legal holds) that need it, sorted.
    """

    lock_until: date
    retain_until: date | None = None
    holds: tuple[str, ...] = ()

    def may_go(self, today: date) -> bool:
        """Whether the object may be deleted."""
        return (
            not self.holds
            and self.retain_until is not None
            and today > max(self.retain_until, self.lock_until)
        )

    def later(self, lock_until: date, retain_until: date | None) -> Self:
        """With later days; a day that is known is never forgotten nor moved forward."""
        known = [day for day in (self.retain_until, retain_until) if day is not None]
        lock = max(self.lock_until, lock_until)
        return replace(self, lock_until=lock, retain_until=max(known, default=None))

    def merged(self, other: "Keep") -> Self:
        """What both ask for."""
        holds = tuple(sorted({*self.holds, *other.holds}))
        return replace(self.later(other.lock_until, other.retain_until), holds=holds)

    def held(self, case: str) -> Self:
        """With one more case."""
        return replace(self, holds=tuple(sorted({*self.holds, case})))

    def released(self, case: str) -> Self:
        """Without a case."""
        return replace(self, holds=tuple(one for one in self.holds if one != case))

    def allows(self, new: "Keep") -> bool:
        """Whether it may be replaced by another: only holds may be taken away."""
        if new.lock_until < self.lock_until:
            return False
        if self.retain_until is None:
            return True
        return new.retain_until is not None and new.retain_until >= self.retain_until

    def to_bytes(self) -> bytes:
        """As it lies beside the object."""
        return canonical(
            {
                "format": _FORMAT,
                "lock_until": self.lock_until.isoformat(),
                "retain_until": None
                if self.retain_until is None
                else self.retain_until.isoformat(),
                "holds": list(self.holds),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of :meth:`to_bytes`.

        Raises:
            IntegrityError: it is of another form; the object then stays.
        """
        try:
            return cls(*_understood(json.loads(data)))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise IntegrityError("the time of keeping beside an object can't be read") from None


def _understood(value: Any) -> tuple[date, date | None, tuple[str, ...]]:
    retain, holds = value["retain_until"], value["holds"]
    if value["format"] != _FORMAT or not isinstance(holds, list):
        raise ValueError(value["format"])
    if not all(isinstance(one, str) and is_session_id(one) for one in holds):
        raise ValueError("holds")
    retain_until = None if retain is None else date.fromisoformat(retain)
    return date.fromisoformat(value["lock_until"]), retain_until, tuple(holds)
