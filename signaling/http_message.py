"""Requests and replies of WHIP and WHEP as values, and what their headers mean."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from signaling.errors import ErrorCode, HttpCode
from signaling.http_member import HttpProtocol

__all__ = [
    "EXPOSED",
    "FRAGMENT_TYPE",
    "METHODS",
    "SDP_TYPE",
    "HttpRefusal",
    "HttpReply",
    "HttpRequest",
    "accepts_sdp",
    "bearer_token",
    "ice_links",
    "media_type",
    "names_any",
    "names_etag",
]

SDP_TYPE: Final = "application/sdp"
FRAGMENT_TYPE: Final = "application/trickle-ice-sdpfrag"
EXPOSED: Final = "Location, ETag, Link, Retry-After, WWW-Authenticate"
METHODS: Final[Mapping[bool, str]] = {
    False: "OPTIONS, GET, HEAD, POST",
    True: "OPTIONS, GET, HEAD, PATCH, DELETE",
}
"""By whether the address is that of a session."""

_ETAG: Final = re.compile(r'\s*(W/)?("[\x21\x23-\x7e]*"|\*)\s*(?:,|$)')
_ANY: Final = frozenset({"*", '"*"'})
"""The asterisk, also as the drafts of the specification had it."""
MAX_AGENT_CHARS: Final = 256
_CHALLENGE: Final = 'Bearer realm="witness"'


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.

    Attributes:
        session_id: ``None``: at the endpoint of the room.
        headers: looked up without regard to case.
        participants: of the query, in order.
        tracks: likewise.
        body: ``None`` where it was too large to be read.
        address: to count by.
        local: from this machine and not through a proxy.
    """

    method: str
    protocol: HttpProtocol
    room_id: str
    session_id: str | None
    headers: Mapping[str, str]
    body: bytes | None = b""
    participants: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()
    address: str = "unknown"
    local: bool = False

    @property
    def log_extra(self) -> dict[str, str]:
        """Personal data for log lines; written only where the configuration asks for it."""
        agent = (self.header("User-Agent") or "")[:MAX_AGENT_CHARS]
        return {"pii.remote": self.address, "pii.user_agent": agent}

    def header(self, name: str) -> str | None:
        """Value of a header."""
        return self.headers.get(name)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One answer.

    Attributes:
        headers: name and value; a name may be there several times.
        content_type: of ``body``, where there is one.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    content_type: str | None = None

    def having(self, *headers: tuple[str, str]) -> "HttpReply":
        """The same with more headers."""
        return replace(self, headers=(*self.headers, *headers))


@dataclass(eq=False)
class HttpRefusal(Exception):
    """A request is not carried out.

    Attributes:
        status: HTTP status.
        code: stable code of the protocol.
        detail: English, for developers; holds nothing personal.
        retry_after_s: when to try again.
        headers: further ones.
    """

    status: int
    code: ErrorCode | HttpCode
    detail: str
    retry_after_s: float | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def reply(self) -> HttpReply:
        """The answer (RFC 9457; RFC 6750, section 3)."""
        body = {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code.value,
            "detail": self.detail,
        }
        headers = dict(self.headers)
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, int(-(-self.retry_after_s // 1))))
        if self.status == 401:
            error = "" if self.detail == _ADVICE else ', error="invalid_token"'
            headers["WWW-Authenticate"] = _CHALLENGE + error
        elif self.status == 403:
            headers["WWW-Authenticate"] = _CHALLENGE + ', error="insufficient_scope"'
        return HttpReply(
            self.status, tuple(headers.items()), json.dumps(body), "application/problem+json"
        )


_ADVICE: Final = "send 'Authorization: Bearer' and a token"


def bearer_token(request: HttpRequest) -> str:
    """The token of a request (RFC 6750, section 2.1).

    Raises:
        HttpRefusal: there is none.
    """
    scheme, _, token = (request.header("Authorization") or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise HttpRefusal(401, ErrorCode.UNAUTHORIZED, _ADVICE)
    return token


def media_type(request: HttpRequest) -> str:
    """Type of the body, without parameters."""
    return (request.header("Content-Type") or "").partition(";")[0].strip().lower()


def accepts_sdp(accept: str | None) -> bool:
    """Whether a description is among what ``Accept`` names (RFC 9110, section 12.5.1)."""
    if accept is None or not accept.strip():
        return True
    best: tuple[int, bool] = (-1, False)
    for item in accept.split(","):
        kind, *parameters = [part.strip().lower() for part in item.split(";")]
        exactness = {"*/*": 0, "application/*": 1, SDP_TYPE: 2}.get(kind)
        if exactness is None:
            continue
        wanted = not any(re.fullmatch(r"q=0(?:\.0{0,3})?", part) for part in parameters)
        best = max(best, (exactness, wanted))
    return best[1]


def names_etag(if_match: str, etag: str) -> bool:
    """Whether ``If-Match`` is fulfilled (RFC 9110, section 13.1.1).

    Clients are seen to quote the asterisk, as drafts of the specification did in their examples.
    """
    return bool(_strong(if_match) & {etag, *_ANY})


def names_any(if_match: str) -> bool:
    """Whether ``If-Match`` is the asterisk: that of an ICE restart (RFC 9725, section 4.3.3)."""
    return bool(_strong(if_match) & _ANY)


def _strong(if_match: str) -> set[str]:
    """Entity tags up to the first thing that is none, but for weak ones, which never match."""
    found: set[str] = set()
    at = 0
    while at < len(if_match) and (match := _ETAG.match(if_match, at)) is not None:
        weak, value = match.groups()
        if not weak:
            found.add(value)
        at = match.end()
    return found


def ice_links(servers: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """``Link`` headers for STUN and TURN servers (RFC 9725, section 4.6).

    Args:
        servers: entries as in ``RTCConfiguration.iceServers``.
    """
    links = []
    for server in servers:
        credentials = ""
        if "username" in server:
            credentials = (
                f"; username={_quoted(server['username'])}"
                f"; credential={_quoted(server['credential'])}"
                '; credential-type="password"'
            )
        links += [("Link", f'<{url}>; rel="ice-server"{credentials}') for url in server["urls"]]
    return links


def _quoted(text: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'
