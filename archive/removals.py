"""Removals of originals that a crash cut off after the last of them was gone."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from archive.catalogue import Catalogue
from archive.journal import Journal

__all__ = ["REMOVED", "finish_removals"]

REMOVED: Final = "originals.removed"
"""In the journal; written before the catalogue, which says what is still to be done."""


def finish_removals(
    catalogue: Catalogue, journal: Journal, who: str, left: Callable[[str], Iterable[Path]]
) -> list[str]:
    """Says of originals that are gone that they are.

    Where some are there the next deposit of their session goes on.

    Args:
        catalogue: of the archive.
        journal: of the same.
        who: for the journal.
        left: what is there of the originals of a session.

    Returns:
        Sessions that were finished.

    Raises:
        CatalogueError: the catalogue can't be used.
        JournalError: the journal can't be written.
    """
    finished = []
    cut_off = [one.facts for one in catalogue.removing() if not any(left(one.facts.session))]
    told = (
        {entry.package for entry in journal.read() if entry.what == REMOVED} if cut_off else set()
    )
    for facts in cut_off:
        if facts.package not in told:
            journal.append(REMOVED, facts.package, who, session=facts.session)
        catalogue.set_originals(facts.package, "removed")
        finished.append(facts.session)
    return finished
