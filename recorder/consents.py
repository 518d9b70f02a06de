"""Consents of a session: what its event log says of them, and ``consents.json`` made of it.

Nothing is ever removed: a withdrawal is an event of its own, and giving again is another consent.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol

from recorder.canonical import canonical
from recorder.durable import sync_directory

__all__ = ["CONSENTS_FILE", "ConsentBook", "write_consents"]

CONSENTS_FILE: Final = "consents.json"

_FIELDS: Final = (
    "consent", "participant", "permission", "how", "text_sha256", "given_at",
)  # fmt: skip


class _Told(Protocol):
    @property
    def type(self) -> str: ...

    @property
    def actor(self) -> str: ...

    @property
    def payload(self) -> dict[str, Any]: ...


class ConsentBook:
    """Consents, in the order in which they were given.

    Attributes:
        texts: what people were asked, by permission, as ``consent.asked`` has it.
        consents: each as ``consents.json`` has it, by identifier.
    """

    def __init__(self) -> None:
        self.texts: dict[str, Any] = {}
        self.consents: dict[str, dict[str, Any]] = {}
        self._held: dict[tuple[str, str], str] = {}

    def apply(self, event: _Told) -> None:
        """Takes an event of the log; types that don't concern consents pass."""
        payload = event.payload
        match event.type:
            case "consent.asked":
                self.texts = {**self.texts, **payload["texts"]}
            case "consent.given":
                told = {key: payload[key] for key in _FIELDS}
                withdrawn = {"withdrawn_at": None, "withdrawn_by": None}
                self.consents[payload["consent"]] = {**told, "by": event.actor, **withdrawn}
                self._held[payload["participant"], payload["permission"]] = payload["consent"]
            case "consent.withdrawn":
                consent = self.consents.get(payload["consent"])
                if consent is not None and consent["withdrawn_at"] is None:
                    consent["withdrawn_at"] = payload["withdrawn_at"]
                    consent["withdrawn_by"] = event.actor
                    self._held.pop((consent["participant"], consent["permission"]), None)

    def held_by(self, participant: str) -> dict[str, str]:
        """Identifiers of consents that are held, by permission."""
        return {what: one for (who, what), one in self._held.items() if who == participant}

    @property
    def holders(self) -> list[str]:
        """Everybody who holds one."""
        return sorted({who for who, _ in self._held})

    def to_json(self) -> dict[str, Any]:
        """``consents.json``."""
        return {
            "format": "witness-consents/1",
            "texts": self.texts,
            "consents": list(self.consents.values()),
        }


def write_consents(place: Path, events: Iterable[_Told]) -> bool:
    """Writes ``consents.json`` from the log, where the log tells of consents at all.

    Returns:
        Whether it does.

    Raises:
        OSError: the disk refused.
    """
    book = ConsentBook()
    for event in events:
        book.apply(event)
    if not book.consents:
        return False
    path = place / CONSENTS_FILE
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(canonical(book.to_json()))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(place)
    return True
