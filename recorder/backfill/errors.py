"""Errors of filling gaps::

RecorderError
└── BackfillError
    ├── BodyError             uploaded bytes are no frames
    ├── ContradictionError    another digest was said before under the same number
    ├── DeviceKeyError        a device's key can't be taken
    ├── UnknownChunkError     no digest of it was said
    ├── NotYoursError         the track is somebody else's
    ├── IncompleteError       frames are still missing
    ├── MismatchError         the frames are not those that were sent
    ├── BusyError             too many uploads wait
    ├── LedgerFullError       a session has as many chunks as may be
    └── ChunkStateError       an illegal transition; nothing has changed
"""

from typing import LiteralString

from recorder.errors import RecorderError

__all__ = [
    "BackfillError",
    "BodyError",
    "BusyError",
    "ChunkStateError",
    "ContradictionError",
    "DeviceKeyError",
    "IncompleteError",
    "LedgerFullError",
    "MismatchError",
    "NotYoursError",
    "UnknownChunkError",
]


class BackfillError(RecorderError):
    """Something about a gap and its filling is not as it should be."""


class BodyError(BackfillError):
    """Uploaded bytes can't be read."""


class ContradictionError(BackfillError):
    """What was said once can't be said differently."""


class DeviceKeyError(BackfillError):
    """It is no key, somebody else's, or one too many."""


class UnknownChunkError(BackfillError):
    """Nobody said that this was sent."""


class NotYoursError(BackfillError):
    """A track belongs to one participant."""


class IncompleteError(BackfillError):
    """Neither the upload nor the capture has all frames.

    Attributes:
        have: RTP timestamps of those the capture has.
    """

    def __init__(
        self, template: LiteralString, *, have: tuple[int, ...] = (), **values: object
    ) -> None:
        super().__init__(template, **values)
        self.have = have


class MismatchError(BackfillError):
    """Frames differ from what was sent, or from what arrived live."""


class BusyError(BackfillError):
    """Too many uploads wait; later there is room again."""


class LedgerFullError(BackfillError):
    """More chunks than a recording can have."""


class ChunkStateError(BackfillError):
    """A chunk can't go from its state to that one."""
