"""Errors of the ``loadtest`` package.

LoadtestError
├── RefusedError: the server answered with an error; ``code`` is the protocol's
├── SignalClosedError: the WebSocket ended and can't be resumed
└── ReplyTimeoutError: no reply came in time
"""

__all__ = ["LoadtestError", "RefusedError", "ReplyTimeoutError", "SignalClosedError"]


class LoadtestError(Exception):
    """Root of the tree."""


class RefusedError(LoadtestError):
    """The server's error reply."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class SignalClosedError(LoadtestError):
    """The connection is gone for good; the text says why."""


class ReplyTimeoutError(LoadtestError):
    """No reply came in time."""
