"""Errors of the ``recorder`` package.

Each carries ``template`` and ``values``, so that whoever shows it can say it in another language::

    RecorderError
    ├── CanonicalError         a value has no canonical JSON
    ├── SessionFileError       session.json is missing or not what it should be
    ├── LogError
    │   ├── LogDamagedError    a line of the event log is not the one that was written
    │   ├── LogBusyError       another process writes this log
    │   ├── LogStalledError    the disk does not answer
    │   └── LogWriteError      the disk did not take an event
    ├── SigningError           a key is missing or unusable, or the signing program failed
    ├── SealError              the session can't be sealed as it is
    ├── TimestampError         the time-stamp authority gave no usable answer
    ├── TransparencyError      the transparency log is damaged or busy
    ├── RepeatedKeyError       an idempotency key was used for another command
    ├── FlowError              a flow is not of the form it must have
    └── SessionStateError      the command makes no sense in the state the session is in
        └── UnknownNodeError   the session's flow has no such node
"""

from typing import LiteralString

__all__ = [
    "CanonicalError",
    "FlowError",
    "LogBusyError",
    "LogDamagedError",
    "LogError",
    "LogStalledError",
    "LogWriteError",
    "RecorderError",
    "RepeatedKeyError",
    "SealError",
    "SessionFileError",
    "SessionStateError",
    "SigningError",
    "TimestampError",
    "TransparencyError",
    "UnknownNodeError",
]


class RecorderError(Exception):
    """Root of all errors of this package.

    Attributes:
        template: the sentence in English, with ``{name}`` for values.
        values: what to fill it with.
    """

    def __init__(self, template: LiteralString, **values: object) -> None:
        self.template = template
        self.values = values
        super().__init__(template.format(**values))


class CanonicalError(RecorderError):
    """A value can't be written as canonical JSON."""


class SessionFileError(RecorderError):
    """A session's own file is missing or can't be used."""


class LogError(RecorderError):
    """The event log can't be used."""


class LogDamagedError(LogError):
    """The event log was changed after it was written."""


class LogBusyError(LogError):
    """Two writers would fork the chain."""


class LogStalledError(LogError):
    """The disk does not answer."""


class LogWriteError(LogError):
    """An event could not be stored; the log is as it was before."""


class SessionStateError(RecorderError):
    """An illegal transition; nothing has changed."""


class UnknownNodeError(SessionStateError):
    """A command names a node that the session's flow doesn't have."""


class FlowError(RecorderError):
    """What was given as a flow is none."""


class SigningError(RecorderError):
    """A key is missing or unusable, or the signing program failed."""


class RepeatedKeyError(RecorderError):
    """A key that was given to one command comes with another."""


class SealError(RecorderError):
    """The session can't be sealed as it is."""


class TimestampError(RecorderError):
    """The time-stamp authority gave no usable answer."""


class TransparencyError(RecorderError):
    """The transparency log is damaged or busy."""
