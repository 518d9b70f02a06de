"""What is still waited for when a session is sealed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from recorder.backfill.chunk import Chunk
from recorder.backfill.ledger import Ledger, TrackLedger
from recorder.intervals import Range
from recorder.log import Event

__all__ = ["Pending"]

_MOST: Final = 1_000
"""Chunks of one event."""


@dataclass(slots=True)
class Pending:
    """Chunks that were neither compared, uploaded nor declared lost.

    Uploads may go on after sealing, so chunks stay as they are: their time is declared missing
    with cause ``pending`` and their numbers, and a later package may have them.
    """

    ledger: Ledger = field(default_factory=Ledger)
    _declared: set[tuple[str, int]] = field(default_factory=set)

    def note(self, event: Event) -> None:
        """Takes an event of the log.

        Raises:
            BackfillError: the log contradicts itself.
        """
        payload = event.payload
        self.ledger.apply(event.type, payload, event.at_us, event.actor)
        if event.type == "gap.declared":
            track = payload["track"]
            self._declared.update((track, seq) for seq in payload.get("chunks", ()))

    @property
    def count(self) -> int:
        """How many there are, of all tracks."""
        return sum(len(known.open) for known in self.ledger.tracks.values())

    def gaps(self, recorded: Range) -> Iterator[dict[str, Any]]:
        """Payloads of ``gap.declared`` for those that no earlier sealing declared."""
        for known in self.ledger.tracks.values():
            chunks = [
                known.open[seq]
                for seq in sorted(known.open)
                if (known.track, seq) not in self._declared
            ]
            run: list[Chunk] = []
            for chunk in chunks:
                if run and (chunk.seq != run[-1].seq + 1 or len(run) >= _MOST):
                    yield _gap(known, run, recorded)
                    run = []
                run.append(chunk)
            if run:
                yield _gap(known, run, recorded)


def _gap(known: TrackLedger, run: list[Chunk], recorded: Range) -> dict[str, Any]:
    start, end = recorded
    spans = [known.span_us(chunk) for chunk in run]
    from_us = min(max(min(low for low, _ in spans), start), end)
    return {
        "track": known.track,
        "from_us": from_us,
        "to_us": min(max(from_us, *(high for _, high in spans)), end),
        "cause": "pending",
        "packets": None,
        "chunks": [chunk.seq for chunk in run],
    }
