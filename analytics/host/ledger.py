"""What is still open: findings of watches, and times nobody watched."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from analytics.host.board import Key
from analytics.link import Found, Unknown, UnknownCause

__all__ = ["FindingIds", "UnknownTimes"]

_MOST_OPEN: Final = 256


@dataclass(slots=True)
class FindingIds:
    """Names of one watch's findings: an open one keeps its name until it is over.

    A watch with more open findings than can be meant loses the oldest: it is closed.
    """

    new: Callable[[], str]
    open: dict[tuple[str, int], Found] = field(default_factory=dict)

    def name(self, kind: str, start_us: int) -> str:
        """The name of a finding."""
        present = self.open.get((kind, start_us))
        return self.new() if present is None else present.finding_id

    def note(self, found: Found) -> Found | None:
        """Takes a finding's state. Returns one that has to be closed for it."""
        place = found.kind, found.start_us
        if not found.is_open:
            self.open.pop(place, None)
            return None
        self.open[place] = found
        if len(self.open) <= _MOST_OPEN:
            return None
        return _closed(self.open.pop(next(iter(self.open))))

    def close_all(self) -> list[Found]:
        """The last states of all that is open, as over: their watch is gone."""
        closed = [_closed(found) for found in self.open.values()]
        self.open.clear()
        return closed


def _closed(found: Found) -> Found:
    return found.model_copy(update={"is_open": False})


class UnknownTimes:
    """Times for which a detector can't say anything; open while they go on."""

    def __init__(self, new: Callable[[], str], say: Callable[[Unknown], None]) -> None:
        self._new = new
        self._say = say
        self._open: dict[str, dict[Key, Unknown]] = {}
        """By session."""

    def begin(self, key: Key, cause: UnknownCause, at_us: int) -> None:
        """Nobody watches from now on; the first cause stands until it is over."""
        open_ = self._open.setdefault(key.session_id, {})
        if key in open_:
            return
        unknown = Unknown(
            finding_id=self._new(),
            session_id=key.session_id,
            detector=key.detector,
            cause=cause,
            start_us=at_us,
            end_us=at_us,
            participant_id=key.participant_id,
            track_id=key.track_id,
            is_open=True,
        )
        open_[key] = unknown
        self._say(unknown)

    def end(self, key: Key, at_us: int, *causes: UnknownCause) -> None:
        """Somebody watches again, or there is nothing to watch any more.

        Args:
            key: of what.
            at_us: session clock.
            causes: only where it is one of these; none: whatever it is.
        """
        open_ = self._open.get(key.session_id)
        unknown = None if open_ is None else open_.get(key)
        if open_ is None or unknown is None or (causes and unknown.cause not in causes):
            return
        del open_[key]
        if not open_:
            del self._open[key.session_id]
        end_us = max(at_us, unknown.start_us)
        self._say(unknown.model_copy(update={"end_us": end_us, "is_open": False}))

    def keys(self, session_id: str) -> set[Key]:
        """All that is open of a session."""
        return set(self._open.get(session_id, ()))
