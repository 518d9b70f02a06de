"""Errors of making files people can play."""

from recorder.errors import RecorderError

__all__ = ["DamagedError", "PlaybackError", "RecordingError"]


class PlaybackError(RecorderError):
    """A file can't be made; says what to do about it."""


class RecordingError(PlaybackError):
    """Files of a session are missing, or say what they must not."""


class DamagedError(RecordingError):
    """Bytes of a file are not those that were written; others of the session may be."""
