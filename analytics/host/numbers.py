"""Numbers of the watches there are, by what they are of."""

from collections.abc import Iterator, Mapping

from analytics.host.board import Key

__all__ = ["WatchNumbers"]

_NONE: Mapping[Key, int] = {}


class WatchNumbers:
    """Found by key, and by session: what happens in one costs no more with thousands of others."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[Key, int]] = {}

    def __contains__(self, key: object) -> bool:
        return isinstance(key, Key) and key in self._sessions.get(key.session_id, _NONE)

    def __iter__(self) -> Iterator[tuple[Key, int]]:
        for numbers in self._sessions.values():
            yield from numbers.items()

    def __len__(self) -> int:
        return sum(map(len, self._sessions.values()))

    def of(self, session_id: str) -> list[tuple[Key, int]]:
        """Those of a session, as they are now."""
        return list(self._sessions.get(session_id, _NONE).items())

    def get(self, key: Key) -> int | None:
        """The number of a watch, if there is one."""
        return self._sessions.get(key.session_id, _NONE).get(key)

    def note(self, key: Key, number: int) -> None:
        """A watch begins."""
        self._sessions.setdefault(key.session_id, {})[key] = number

    def drop(self, key: Key) -> int | None:
        """A watch is over; its number, if there was one."""
        numbers = self._sessions.get(key.session_id)
        number = None if numbers is None else numbers.pop(key, None)
        if numbers is not None and not numbers:
            del self._sessions[key.session_id]
        return number
