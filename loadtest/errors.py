"""Errors of the ``loadtest`` package.

LoadtestError
├── RefusedError: the server answered with an error; ``code`` is the protocol's
├── MeasureError: a measurement could not be made; the text says why
├── PathError: the machine refuses namespaces, devices or rules
├── ProfileError: a network profile can't be used
├── SignalClosedError: the WebSocket ended and can't be resumed
└── ReplyTimeoutError: no reply came in time
"""

__all__ = [
    "LoadtestError",
    "MeasureError",
    "PathError",
    "ProfileError",
    "RefusedError",
    "ReplyTimeoutError",
    "SignalClosedError",
]


class LoadtestError(Exception):
    """Root of the tree."""


class RefusedError(LoadtestError):
    """The server's error reply."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class MeasureError(LoadtestError):
    """A measurement could not be made."""


class PathError(LoadtestError):
    """The machine refuses what a bad network is made of."""


class ProfileError(LoadtestError):
    """A network profile can't be used."""


class SignalClosedError(LoadtestError):
    """The connection is gone for good; the text says why."""


class ReplyTimeoutError(LoadtestError):
    """No reply came in time."""
