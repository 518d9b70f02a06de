"""Errors of the ``archive`` package.

Each carries ``template`` and ``values``, so that whoever shows it can say it in another language::

    ArchiveError
    ├── StorageError          the storage can't be reached, is full, or refused
    │   └── MissingError      there is no such object
    ├── IntegrityError        what lies in the storage is not what was put there
    ├── RetainedError         the object may not be deleted yet
    ├── PackageError          the file is no evidence package, or of another session
    ├── DepositError          the session can't be archived as it is
    ├── JournalError          the journal was changed, or can't be written
    └── CatalogueError        the catalogue can't be used
        └── QueryError        a question to it makes no sense
"""

from typing import LiteralString

__all__ = [
    "ArchiveError",
    "CatalogueError",
    "DepositError",
    "IntegrityError",
    "JournalError",
    "MissingError",
    "PackageError",
    "QueryError",
    "RetainedError",
    "StorageError",
]


class ArchiveError(Exception):
    """Root of all errors of this package.

    Attributes:
        template: the sentence in English, with ``{name}`` for values.
        values: what to fill it with.
    """

    def __init__(self, template: LiteralString, **values: object) -> None:
        self.template = template
        self.values = values
        super().__init__(template.format(**values))

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross the border of the worker process."""
        return _again, (type(self), self.template, self.values)


def _again(
    kind: type[ArchiveError], template: LiteralString, values: dict[str, object]
) -> ArchiveError:
    return kind(template, **values)


class StorageError(ArchiveError):
    """The storage can't be reached, is full, or refused."""


class MissingError(StorageError):
    """There is no such object."""


class IntegrityError(ArchiveError):
    """What lies in the storage is not what was put there."""


class RetainedError(ArchiveError):
    """The object may not be deleted yet; nothing was."""


class PackageError(ArchiveError):
    """The file is no evidence package, or of another session."""


class DepositError(ArchiveError):
    """The session can't be archived as it is."""


class JournalError(ArchiveError):
    """The journal was changed, or can't be written."""


class CatalogueError(ArchiveError):
    """The catalogue can't be used, or doesn't know what is asked for."""


class QueryError(CatalogueError):
    """A question to the catalogue makes no sense."""
