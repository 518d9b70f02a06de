"""Errors of the ``signaling`` package::

SignalingError
├── RefusedError              a message or a hello is refused with a code of the protocol
│   └── UnauthorizedError     the token doesn't let anybody in
├── IllegalTransitionError    a state machine has no such step; nothing was changed
└── KeyMaterialError          a configured key can't be used
"""

from enum import StrEnum

__all__ = [
    "ErrorCode",
    "HttpCode",
    "IllegalTransitionError",
    "KeyMaterialError",
    "RefusedError",
    "SignalingError",
    "UnauthorizedError",
]


class ErrorCode(StrEnum):
    """Stable codes of the protocol; meanings in ``docs/protocol.md``."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    NOT_JOINED = "not_joined"
    ALREADY_JOINED = "already_joined"
    UNAUTHORIZED = "unauthorized"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a code, not a password
    FORBIDDEN = "forbidden"
    ROOM_FULL = "room_full"
    SERVER_FULL = "server_full"
    ROOM_CLOSED = "room_closed"
    DUPLICATE_PARTICIPANT = "duplicate_participant"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    SLOW_CONSUMER = "slow_consumer"
    UNKNOWN_TRACK = "unknown_track"
    UNKNOWN_PARTICIPANT = "unknown_participant"
    UNKNOWN_REQUEST = "unknown_request"
    BAD_SDP = "bad_sdp"
    NO_COMMON_CODEC = "no_common_codec"
    RESUME_UNKNOWN = "resume_unknown"
    RESUME_SUPERSEDED = "resume_superseded"
    DRAINING = "draining"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class HttpCode(StrEnum):
    """Codes of errors that only HTTP knows; meanings in ``docs/protocol.md``."""

    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNKNOWN_SESSION = "unknown_session"
    WRONG_STATE = "wrong_state"
    UNKNOWN_NODE = "unknown_node"
    NO_CONSENT = "no_consent"
    UNKNOWN_CONSENT = "unknown_consent"
    UNKNOWN_DETECTOR = "unknown_detector"
    NO_VIEW = "no_view"
    NOTHING_PUBLISHED = "nothing_published"
    NOT_ACCEPTABLE = "not_acceptable"
    PRECONDITION_FAILED = "precondition_failed"
    PRECONDITION_REQUIRED = "precondition_required"
    BAD_FRAGMENT = "bad_fragment"
    UNKNOWN_CHUNK = "unknown_chunk"
    INCOMPLETE = "incomplete"
    DIGEST_MISMATCH = "digest_mismatch"


class SignalingError(Exception):
    """Root of all errors of this package."""


class RefusedError(SignalingError):
    """What a client asked for is not done.

    Attributes:
        code: stable code.
        message: English, for developers; holds nothing the client sent but identifiers.
        field: JSON path of what was wrong.
        retry_after_s: when to try again.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s


class UnauthorizedError(RefusedError):
    """The token is not good, or not good here.

    Attributes:
        cause: one word for logs and metrics, from a closed set.
    """

    def __init__(self, cause: str, *, expired: bool = False) -> None:
        if expired:
            super().__init__(ErrorCode.TOKEN_EXPIRED, "the token has expired")
        else:
            super().__init__(ErrorCode.UNAUTHORIZED, "the token is not accepted")
        self.cause = cause


class IllegalTransitionError(SignalingError):
    """A state machine was asked for a step it doesn't have; nothing was changed."""


class KeyMaterialError(SignalingError):
    """A configured key can't be read or doesn't fit its algorithm; the text says which.

    Attributes:
        template: what is wrong with it, English, with ``{name}`` for the values.
        values: fill the template.
        kid: of the key.
    """

    def __init__(self, template: str, kid: str, **values: str) -> None:
        super().__init__(f"key {kid}: {template.format(**values)}")
        self.template = template
        self.values = values
        self.kid = kid


class SessionRefusedError(Exception):
    """A request is refused.

    Attributes:
        status: of HTTP.
        code: stable code of the protocol.
        detail: English, for developers.
    """

    def __init__(self, status: int, code: ErrorCode | HttpCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
