"""What is wrong with a configuration, and where it stands."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from witness.i18n import t

__all__ = ["KeyPath", "Place", "Problem", "Severity", "in_order"]

KeyPath = tuple[str, ...]


class Severity(StrEnum):
    """An error makes ``witness config check`` fail."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key stands: in a file, lines and columns counted from 1, or in a variable."""

    source: str
    line: int = 0
    column: int = 0
    variable: bool = False

    def names(self, key: str) -> bool:
        """Whether this is the variable of ``key``."""
        return self.variable and self.source.lower().endswith("_" + key.replace(".", "__"))

    def __str__(self) -> str:
        if self.line == 0:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence.

    Attributes:
        text: what is wrong and what is allowed; holds no secret.
        place: where; ``None`` where it is not known.
        key: path of the key with dots, or nothing.
        severity: whether it matters now.
        fatal: the server refuses to start.
    """

    text: str
    place: Place | None = None
    key: str = ""
    severity: Severity = Severity.ERROR
    fatal: bool = True

    def __str__(self) -> str:
        parts = [str(self.place)] if self.place else []
        # The name of a variable mostly says which key it is.
        if self.key and not (self.place and self.place.names(self.key)):
            parts.append(self.key)
        line = ": ".join([*parts, self.text])
        return line if self.severity is Severity.ERROR else t("warning: {text}").format(text=line)

    def as_json(self) -> dict[str, object]:
        """For ``witness config check --json``; what is not known is ``null``."""
        place = self.place
        return {
            "severity": self.severity.value,
            "file": place.source if place and not place.variable else None,
            "variable": place.source if place and place.variable else None,
            "line": (place.line or None) if place else None,
            "column": (place.column or None) if place else None,
            "key": self.key or None,
            "message": self.text,
        }


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """The file from top to bottom, then variables by name; nothing twice."""

    def rank(problem: Problem) -> tuple[bool, str, int, int, str]:
        place = problem.place or Place("")
        name = place.source if place.variable else ""
        return place.variable, name, place.line, place.column, problem.key

    return sorted(dict.fromkeys(problems), key=rank)
