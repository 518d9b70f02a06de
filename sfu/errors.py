"""Errors of the ``sfu`` package.

Every error carries ``code``, the stable code of the wire protocol, and a text that says what to
do about it. No text contains an address, a name or a piece of a description other than
identifiers the sender chose (mid, source)::

    SfuError                        internal
    ├── RoomLimitError              server_full
    ├── DrainingError               draining
    ├── RoomClosedError             room_closed
    ├── RoomFullError               room_full
    ├── DuplicateParticipantError   duplicate_participant
    ├── UnknownParticipantError     unknown_participant
    ├── UnknownTrackError           unknown_track
    ├── InvalidIdentifierError      bad_message
    ├── ForbiddenError              forbidden
    │   └── TrackLimitError         forbidden
    ├── SdpError                    bad_sdp
    ├── NoCommonCodecError          no_common_codec
    ├── EngineUnavailableError      internal
    ├── IllegalTransitionError      internal
    └── AddressError                internal
"""

from typing import ClassVar

__all__ = [
    "AddressError",
    "DrainingError",
    "DuplicateParticipantError",
    "EngineUnavailableError",
    "ForbiddenError",
    "IllegalTransitionError",
    "InvalidIdentifierError",
    "NoCommonCodecError",
    "RoomClosedError",
    "RoomFullError",
    "RoomLimitError",
    "SdpError",
    "SfuError",
    "TrackLimitError",
    "UnknownParticipantError",
    "UnknownTrackError",
]


class SfuError(Exception):
    """Root of all errors of this package."""

    code: ClassVar[str] = "internal"


class RoomLimitError(SfuError):
    """This process holds as many rooms as it may."""

    code = "server_full"


class DrainingError(SfuError):
    """New rooms are refused because the process is about to stop."""

    code = "draining"


class RoomClosedError(SfuError):
    """The room was closed."""

    code = "room_closed"


class RoomFullError(SfuError):
    """The room holds as many participants as it may."""

    code = "room_full"


class DuplicateParticipantError(SfuError):
    """A participant of this identifier is already present."""

    code = "duplicate_participant"


class UnknownParticipantError(SfuError):
    """The participant is not, or no longer, in the room."""

    code = "unknown_participant"


class UnknownTrackError(SfuError):
    """No such track, or none the caller may know of."""

    code = "unknown_track"


class InvalidIdentifierError(SfuError):
    """An identifier can't be written into a description (RFC 8830 token, 1 to 64 characters)."""

    code = "bad_message"


class ForbiddenError(SfuError):
    """The grant does not allow it."""

    code = "forbidden"


class TrackLimitError(ForbiddenError):
    """The participant publishes as many tracks as it may."""


class SdpError(SfuError):
    """The offer can't be used.

    Attributes:
        line: line of the offer, from 1; ``None`` where no single line is to blame.
        section: m-section, from 1; ``None`` for the session part.
    """

    code = "bad_sdp"

    def __init__(self, text: str, *, line: int | None = None, section: int | None = None) -> None:
        where = [f"line {line}"] if line is not None else []
        where += [f"m-section {section}"] if section is not None else []
        super().__init__(f"{', '.join(where)}: {text}" if where else text)
        self.line = line
        self.section = section


class NoCommonCodecError(SfuError):
    """A declared track has no codec this server forwards."""

    code = "no_common_codec"


class EngineUnavailableError(SfuError):
    """No engine can take the command or the room."""


class IllegalTransitionError(SfuError):
    """A state machine was asked for a step it does not have; nothing was changed."""


class AddressError(SfuError):
    """The engines' addresses and ``advertised_addresses`` yield no candidate."""
