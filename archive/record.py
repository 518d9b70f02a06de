"""One archived package as the catalogue knows it, and what lies beside it in the storage."""

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, Self

from archive.errors import IntegrityError
from archive.keep import Keep
from archive.package import Facts
from archive.retention import Dates
from archive.storage import is_key
from recorder.canonical import canonical
from recorder.sale import Sale

__all__ = [
    "PACKAGE",
    "Deposit",
    "Stored",
    "is_record_key",
    "key_of",
    "package_key",
    "record_from",
    "record_key",
    "record_of",
    "tombstone_from",
]

PACKAGE: Final = "package.zip"
"""Name of the evidence package among the objects of a deposit."""

_FORMAT: Final = "witness-archive/1"
_RECORD: Final = "record.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """One object of a deposit.

    Attributes:
        kind: ``package``, ``film`` or ``file``.
        sha256: of its content, as it was put there.
    """

    key: str
    kind: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Deposit:
    """One package that was archived.

    Attributes:
        state: ``archived`` or ``deleted``.
        originals: ``present``, ``removing``, ``removed``, or ``unknown`` after the catalogue was
            made anew.
        verdict: what the verifier said before it was archived: ``pass``, ``gaps``, ``unknown``.
        dates: what its time of keeping counts from.
        keep: how long it stays.
    """

    facts: Facts
    objects: tuple[Stored, ...]
    archived_at: str
    verdict: str
    dates: Dates
    keep: Keep
    state: str = "archived"
    originals: str = "present"

    @property
    def package(self) -> Stored:
        """The evidence package itself."""
        return self.objects[0]

    @property
    def bytes(self) -> int:
        """Of all objects."""
        return sum(item.bytes for item in self.objects)

    def kept(self, keep: Keep, dates: Dates) -> Self:
        """With another time of keeping."""
        return replace(self, keep=keep, dates=dates)

    def to_json(self) -> dict[str, Any]:
        """For programs; the same over HTTP."""
        facts = self.facts
        return {
            "session_id": facts.session,
            "package": facts.package,
            "room": facts.room,
            "started_at": facts.started_at,
            "sealed_at": facts.sealed_at,
            "archived_at": self.archived_at,
            "length_us": facts.length_us,
            "missing_us": facts.missing_us,
            **facts.sale.to_json(),
            "participants": [
                {"participant_id": one.participant, "role": one.role} for one in facts.parties
            ],
            "state": self.state,
            "verdict": self.verdict,
            "originals": self.originals,
            "bytes": self.bytes,
            "objects": [
                {"key": item.key, "kind": item.kind, "bytes": item.bytes, "sha256": item.sha256}
                for item in self.objects
            ],
            "contract_end": _text(self.dates.contract_end),
            "dispute_end": _text(self.dates.dispute_end),
            "lock_until": _text(self.keep.lock_until),
            "retain_until": _text(self.keep.retain_until),
            "legal_hold": bool(self.keep.holds),
            "holds": list(self.keep.holds),
        }


def key_of(session: str, package: str, name: str) -> str:
    """Where a file of a deposit lies: ids only, nothing about people.

    Raises:
        IntegrityError: the name can't be part of a key.
    """
    key = f"{session}/{package}/{name}"
    if not is_key(key):
        raise IntegrityError("{name} can't be the name of an archived file", name=repr(name))
    return key


def record_key(session: str, package: str) -> str:
    """Where the record of a deposit lies."""
    return key_of(session, package, _RECORD)


def is_record_key(key: str) -> bool:
    """Whether the record of a deposit lies there."""
    return key.endswith(f"/{_RECORD}")


def package_key(record: str) -> str:
    """Where the package of a record lies."""
    return record.removesuffix(_RECORD) + PACKAGE


def record_of(deposit: Deposit) -> bytes:
    """What lies beside the package: all the package doesn't say itself.

    Of a deleted one also what the catalogue keeps of it: nothing of what was sold to whom.
    """
    tomb = {"tombstone": _tomb(deposit)} if deposit.state == "deleted" else {}
    return canonical(
        {
            **tomb,
            "format": _FORMAT,
            "package": deposit.facts.package,
            "session": deposit.facts.session,
            "state": deposit.state,
            "archived_at": deposit.archived_at,
            "verdict": deposit.verdict,
            "contract_end": _text(deposit.dates.contract_end),
            "dispute_end": _text(deposit.dates.dispute_end),
            "objects": [
                {"key": one.key, "kind": one.kind, "bytes": one.bytes, "sha256": one.sha256}
                for one in deposit.objects
            ],
        }
    )


def record_from(data: bytes, facts: Facts, keep: Keep) -> Deposit:
    """The inverse of :func:`record_of`.

    Raises:
        IntegrityError: it is of another form, or of another package.
    """
    try:
        return _understood(json.loads(data), facts, keep)
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        raise IntegrityError(
            "the record beside {package} can't be read", package=facts.package
        ) from None


def tombstone_from(data: bytes) -> Deposit | None:
    """What the record of a deleted deposit says; ``None`` if it is of none, or says too little."""
    try:
        value = json.loads(data)
        told = value["tombstone"]
        facts = Facts(
            str(value["package"]),
            str(value["session"]),
            str(told["room"]),
            str(told["started_at"]),
            str(told["sealed_at"]),
            int(told["length_us"]),
            int(told["missing_us"]),
            int(told["events"]),
            Sale(),
            (),
        )
        keep = Keep(date.fromisoformat(told["lock_until"]), _day(told["retain_until"]))
        found = _understood(value, facts, keep)
        return replace(found, state="deleted", originals=str(told["originals"]))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _tomb(deposit: Deposit) -> dict[str, Any]:
    facts, keep = deposit.facts, deposit.keep
    return {
        "room": facts.room,
        "started_at": facts.started_at,
        "sealed_at": facts.sealed_at,
        "length_us": facts.length_us,
        "missing_us": facts.missing_us,
        "events": facts.events,
        "originals": deposit.originals,
        "lock_until": _text(keep.lock_until),
        "retain_until": _text(keep.retain_until),
    }


def _understood(value: Any, facts: Facts, keep: Keep) -> Deposit:
    if (value["format"], value["package"]) != (_FORMAT, facts.package):
        raise ValueError("another package's")
    objects = tuple(
        Stored(str(one["key"]), str(one["kind"]), int(one["bytes"]), str(one["sha256"]))
        for one in value["objects"]
    )
    if not objects or not all(is_key(one.key) for one in objects):
        raise ValueError("no objects")
    contract_end, dispute_end = _day(value["contract_end"]), _day(value["dispute_end"])
    dates = Dates(facts.recorded, contract_end, dispute_end, facts.sold_until)
    archived_at, verdict = str(value["archived_at"]), str(value["verdict"])
    return Deposit(facts, objects, archived_at, verdict, dates, keep, originals="unknown")


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
