"""The watches there are, and which of them a track feeds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from analytics.host.board import Board, Key
from analytics.host.ledger import FindingIds
from analytics.host.numbers import WatchNumbers
from analytics.link import TrackStarted
from analytics.pacing import Pace

__all__ = ["MOST_SAID", "Watches", "Watching"]

MOST_SAID: Final = 500
"""Findings and words of one watch in a second; a detector that says more has gone mad, and is
ended before those that read it can't keep up."""


@dataclass(slots=True)
class Watching:
    """What the host knows of a watch.

    Attributes:
        ids: names of its findings.
        pace: when it is due frames.
        done_us: time of the newest input that was looked at, session clock.
    """

    key: Key
    ids: FindingIds
    pace: Pace
    done_us: int = 0
    _since_s: float = 0.0
    _said: int = 0
    """Since when, and how much it has said since; about a second."""

    def is_flooding(self, now_s: float) -> bool:
        """It says something more: whether that is more than can be meant."""
        if not 0 <= now_s - self._since_s < 1:
            self._since_s, self._said = now_s, 0
        self._said += 1
        return self._said > MOST_SAID


class Watches:
    """Watches by number.

    Attributes:
        by_key: the numbers of those that go on; one that was ended keeps its number here no longer,
            and is known by it until its worker has said its last words.
    """

    def __init__(self, board: Board) -> None:
        self.by_key = WatchNumbers()
        self._board = board
        self._by_number: dict[int, Watching] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[tuple[int, Watching]]:
        return iter(list(self._by_number.items()))

    def __getitem__(self, number: int) -> Watching:
        return self._by_number[number]

    def get(self, number: int) -> Watching | None:
        """A watch, if it is still known."""
        return self._by_number.get(number)

    def begin(self, number: int, watching: Watching) -> None:
        """A watch begins."""
        self._by_number[number] = watching
        self.by_key.note(watching.key, number)

    def forget(self, number: int) -> Watching | None:
        """A watch says nothing more; what it was, if it was still known."""
        return self._by_number.pop(number, None)

    def fed(self, track: TrackStarted) -> Iterator[tuple[Watching, int]]:
        """Watches that media of a track go to."""
        session, person = track.session_id, track.participant_id
        for name in self._board.detectors:
            if not self._board.feeds(name, track):
                continue
            for key in (
                Key(name, session, person, track.track_id),
                Key(name, session, person),
                Key(name, session),
            ):
                number = self.by_key.get(key)
                if number is not None:
                    yield self._by_number[number], number

    def about(self, track: TrackStarted) -> Iterator[tuple[Key, int]]:
        """Of those, watches of this track or of the person whose it is."""
        for key, number in self.by_key.of(track.session_id):
            if (
                key.participant_id == track.participant_id
                and key.track_id in ("", track.track_id)
                and self._board.feeds(key.detector, track)
            ):
                yield key, number
