"""WHIP and WHEP without the sockets: requests in, replies out.

A session is a participation without a WebSocket. It lives as long as its media connection: it
ends with ``DELETE``, with its token, when the media connection fails or stays away, and when the
server goes.

Spec: RFC 9725 (WHIP), draft-ietf-wish-whep (WHEP).
"""

import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sfu.errors import (
    EngineUnavailableError,
    ForbiddenError,
    NoCommonCodecError,
    SdpError,
    SfuError,
)
from sfu.model import MediaState, Offer
from sfu.sdp import RemoteDescription, parse_offer
from sfu.standing import Selection
from signaling.auth import Identity, TokenVerifier
from signaling.clock import Deadlines, Instant, TokenBucket
from signaling.config import SignalingConfig
from signaling.deadlines import Due, DueKey
from signaling.errors import ErrorCode, HttpCode, RefusedError, UnauthorizedError
from signaling.http_member import HttpMember, HttpProtocol, HttpSession
from signaling.http_message import (
    EXPOSED,
    FRAGMENT_TYPE,
    METHODS,
    SDP_TYPE,
    HttpRefusal,
    HttpReply,
    HttpRequest,
    accepts_sdp,
    bearer_token,
    ice_links,
    media_type,
    names_any,
    names_etag,
)
from signaling.notices import LeftReason
from signaling.origin import is_allowed_origin
from signaling.roster import Roster
from signaling.sdpfrag import MAX_FRAGMENT_BYTES, FragmentError, read_fragment, write_fragment
from signaling.stats import Stats
from signaling.whip_offer import declare, has_something_for

if TYPE_CHECKING:
    from sfu import Participant, Sfu
    from signaling.admission import Admission
    from signaling.announcer import Announcer

__all__ = ["MAX_OFFER_BYTES", "HttpSessions"]

log = logging.getLogger(__name__)

MAX_OFFER_BYTES: Final = 65_536
SESSION_ID_BYTES: Final = 24
ETAG_BYTES: Final = 9
RETRY_BUSY_S: Final = 5.0
_KEPT_ADDRESSES: Final = 4_096
"""Addresses whose rate is remembered; the longest unheard is forgotten."""

_REMOTE_CLOSED: Final = "remote_closed"

_STATUS: Final = {
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.TOKEN_EXPIRED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.UNKNOWN_TRACK: 404,
    ErrorCode.ROOM_FULL: 409,
    ErrorCode.ROOM_CLOSED: 409,
    ErrorCode.DUPLICATE_PARTICIPANT: 409,
    ErrorCode.UNKNOWN_PARTICIPANT: 404,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.BAD_SDP: 422,
    ErrorCode.NO_COMMON_CODEC: 422,
    ErrorCode.BAD_MESSAGE: 400,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.SERVER_FULL: 503,
    ErrorCode.DRAINING: 503,
}
_RETRIED: Final = frozenset({409, 429, 503})


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a ``POST`` asks for, once it has been found to make sense."""

    request: HttpRequest
    identity: Identity
    offer: Offer
    remote: RemoteDescription
    selection: Selection | None


class HttpSessions:
    """All sessions of a process."""

    def __init__(  # noqa: PLR0913, PLR0917 - parts of the hub
        self,
        config: SignalingConfig,
        verifier: TokenVerifier,
        sfu: "Sfu",
        roster: Roster,
        deadlines: Deadlines[DueKey],
        stats: Stats,
        admission: "Admission",
        announcer: "Announcer",
    ) -> None:
        self._config = config
        self._limits = config.whip
        self._verifier = verifier
        self._sfu = sfu
        self._roster = roster
        self._deadlines = deadlines
        self._stats = stats
        self._admission = admission
        self._announcer = announcer
        self._sessions: dict[str, HttpSession] = {}
        self._by_address: Counter[str] = Counter()
        self._rates: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    # Requests.

    def handle(self, request: HttpRequest, now: Instant) -> HttpReply:
        """Carries out one request; never raises for what it holds."""
        try:
            reply = self._carry_out(request, now)
        except HttpRefusal as refusal:
            reply = self._refused(request, refusal)
        except RefusedError as refused:
            reply = self._refused(request, _refusal(refused))
        except SfuError as error:
            wrapped = RefusedError(ErrorCode(error.code), str(error))
            reply = self._refused(request, _refusal(wrapped))
        self.count(request.protocol, reply.status)
        return reply.having(*self._cors(request))

    def count(self, protocol: HttpProtocol, status: int) -> None:
        """Counts a request by the class of its answer."""
        self._stats.http_requests[protocol.value, f"{status // 100}xx"] += 1

    def _carry_out(self, request: HttpRequest, now: Instant) -> HttpReply:
        at_session = request.session_id is not None
        if request.method == "OPTIONS":
            return self._options(request)
        self._check_origin(request)
        self._check_rate(request, now)
        actions: dict[tuple[str, bool], Callable[[HttpRequest, Instant], HttpReply]] = {
            ("POST", False): self._post,
            ("PATCH", True): self._patch,
            ("DELETE", True): self._delete,
            ("GET", False): self._get,
            ("HEAD", False): self._get,
            ("GET", True): self._get,
            ("HEAD", True): self._get,
        }
        action = actions.get((request.method, at_session))
        if action is None:
            raise HttpRefusal(
                405,
                HttpCode.METHOD_NOT_ALLOWED,
                f"this address takes {METHODS[at_session]}",
                headers={"Allow": METHODS[at_session]},
            )
        return action(request, now)

    def _options(self, request: HttpRequest) -> HttpReply:
        at_session = request.session_id is not None
        accepted = ("Accept-Patch", FRAGMENT_TYPE) if at_session else ("Accept-Post", SDP_TYPE)
        return HttpReply(200, (("Allow", METHODS[at_session]), accepted))

    def _get(self, request: HttpRequest, now: Instant) -> HttpReply:
        """There is nothing to see (RFC 9725, section 4.1)."""
        if request.session_id is not None:
            self._session(request, now)
        return HttpReply(204)

    def _post(self, request: HttpRequest, now: Instant) -> HttpReply:
        identity = self._identify(request, now)
        if media_type(request) != SDP_TYPE:
            raise HttpRefusal(415, HttpCode.UNSUPPORTED_MEDIA_TYPE, f"send {SDP_TYPE}")
        if not accepts_sdp(request.header("Accept")):
            raise HttpRefusal(406, HttpCode.NOT_ACCEPTABLE, f"the answer is {SDP_TYPE}")
        wish = self._understand(request, identity)
        present = self._present(identity, request.protocol)
        continues = present is not None and _continues(present, wish)
        self._check_limits(request, present, continues=continues)
        if present is not None and continues:
            session, sdp = self._replace(present, wish, now)
        else:
            session, sdp = self._open(present, wish, now)
        location = f"/{request.protocol}/{request.room_id}/{session.session_id}"
        links = ice_links(self._admission.ice_servers.issue(now.unix_s))
        headers = (("Location", location), ("ETag", session.etag), *links)
        return HttpReply(201, headers, sdp, SDP_TYPE)

    def _patch(self, request: HttpRequest, now: Instant) -> HttpReply:
        session = self._session(request, now)
        if media_type(request) != FRAGMENT_TYPE:
            raise HttpRefusal(
                415,
                HttpCode.UNSUPPORTED_MEDIA_TYPE,
                f"send {FRAGMENT_TYPE}; only ICE can be changed",
                headers={"Accept-Patch": FRAGMENT_TYPE},
            )
        if_match = request.header("If-Match")
        if if_match is None:
            raise HttpRefusal(
                428, HttpCode.PRECONDITION_REQUIRED, "send If-Match: the ETag, or * to restart ICE"
            )
        if not names_etag(if_match, session.etag):
            raise HttpRefusal(
                412, HttpCode.PRECONDITION_FAILED, "this is the ETag of an older ICE session"
            )
        try:
            fragment = read_fragment(_text(request, MAX_FRAGMENT_BYTES))
        except FragmentError as error:
            raise HttpRefusal(400, HttpCode.BAD_FRAGMENT, str(error)) from None
        participant = session.member.participant
        present = participant.ice
        if fragment.ice is None:
            # A lite agent has no use for candidates.
            return HttpReply(204)
        if present is not None and fragment.ice == present[1]:
            if not names_any(if_match):
                return HttpReply(204)
            # The restart was done, and whoever asks again never got the answer.
            local = present[0]
        else:
            local = participant.restart_ice(fragment.ice)
            session.etag = _new_etag()
            log.info("ice restarted", extra=_extra(session))
        body = write_fragment(
            media=session.media, mid=session.mid, ice=local, candidates=participant.candidates
        )
        return HttpReply(200, (("ETag", session.etag),), body, FRAGMENT_TYPE)

    def _delete(self, request: HttpRequest, now: Instant) -> HttpReply:
        session = self._session(request, now)
        session.member.participant.leave(LeftReason.LEFT.value)
        return HttpReply(200)

    # What has to be true.

    def _check_origin(self, request: HttpRequest) -> None:
        if not self._may_come_from(request):
            raise HttpRefusal(403, ErrorCode.FORBIDDEN, "pages of this origin may not ask")

    def _may_come_from(self, request: HttpRequest) -> bool:
        return is_allowed_origin(
            request.header("Origin"),
            request.header("Host") or "",
            self._config.web.allowed_origins,
        )

    def _check_rate(self, request: HttpRequest, now: Instant) -> None:
        if request.local:
            return
        limits = self._limits
        bucket = self._rates.setdefault(
            request.address, TokenBucket(limits.requests_per_s, limits.request_burst, now.steady_s)
        )
        self._rates.move_to_end(request.address)
        if len(self._rates) > _KEPT_ADDRESSES:
            self._rates.popitem(last=False)
        wait_s = bucket.take(1, now.steady_s)
        if wait_s > 0:
            raise HttpRefusal(429, ErrorCode.RATE_LIMITED, "too many requests", wait_s)

    def _identify(self, request: HttpRequest, now: Instant) -> Identity:
        """Who asks, with the rights that this way of taking part has."""
        token = bearer_token(request)
        identity = self._verifier.verify(token, now_unix_s=now.unix_s, local=request.local)
        if identity.room_id != request.room_id:
            raise HttpRefusal(403, ErrorCode.FORBIDDEN, "the token is for another room")
        grant = identity.grant
        if request.protocol is HttpProtocol.WHIP:
            if grant.hidden or not grant.publish:
                raise HttpRefusal(403, ErrorCode.FORBIDDEN, "the grant allows to publish nothing")
            return replace(identity, grant=replace(grant, subscribe=frozenset()))
        if not grant.subscribe:
            raise HttpRefusal(403, ErrorCode.FORBIDDEN, "the grant allows to watch nobody")
        return replace(identity, grant=replace(grant, publish=frozenset()))

    def _session(self, request: HttpRequest, now: Instant) -> HttpSession:
        """The session a request is about, if it is that of whoever asks."""
        identity = self._identify(request, now)
        session = self._sessions.get(request.session_id or "")
        if (
            session is None
            or session.protocol is not request.protocol
            or session.member.room_id != identity.room_id
            or session.member.participant_id != identity.participant_id
        ):
            raise HttpRefusal(404, HttpCode.UNKNOWN_SESSION, "no such session, or not any more")
        return session

    def _understand(self, request: HttpRequest, identity: Identity) -> _Wish:
        text = _text(request, MAX_OFFER_BYTES)
        try:
            remote = parse_offer(text)
        except SdpError as error:
            raise HttpRefusal(400, ErrorCode.BAD_SDP, str(error)) from None
        tracks = declare(remote, request.protocol, identity.grant)
        offer = Offer(text, tracks, restarts_ice=False)
        try:
            self._sfu.check_offer(offer, identity.grant)
        except ForbiddenError as error:
            raise HttpRefusal(403, ErrorCode.FORBIDDEN, str(error)) from None
        except (SdpError, NoCommonCodecError) as error:
            raise HttpRefusal(422, ErrorCode(error.code), str(error)) from None
        selection = None
        if request.protocol is HttpProtocol.WHEP:
            selection = Selection(request.participants, request.tracks)
            self._check_published(identity, selection)
        return _Wish(request, identity, offer, remote, selection)

    def _check_published(self, identity: Identity, selection: Selection) -> None:
        room = self._sfu.rooms.get(identity.room_id)
        if room is None or not has_something_for(identity, selection, room):
            raise HttpRefusal(
                409,
                HttpCode.NOTHING_PUBLISHED,
                "nothing to watch is published in this room",
                self._limits.retry_after_s,
            )

    def _present(self, identity: Identity, protocol: HttpProtocol) -> HttpMember | None:
        member = self._roster.get(identity.room_id, identity.participant_id)
        if member is None:
            return None
        if not isinstance(member, HttpMember) or member.protocol is not protocol:
            raise HttpRefusal(
                409,
                ErrorCode.DUPLICATE_PARTICIPANT,
                f"the participant is there by {member.signaling}; give this one another sub",
                RETRY_BUSY_S,
            )
        return member

    def _check_limits(
        self, request: HttpRequest, present: HttpMember | None, *, continues: bool
    ) -> None:
        limits = self._limits
        if self._admission.draining and not continues:
            raise HttpRefusal(503, ErrorCode.DRAINING, "the server is shutting down", RETRY_BUSY_S)
        if present is not None:
            return
        if len(self._sessions) >= limits.sessions:
            raise HttpRefusal(503, ErrorCode.SERVER_FULL, "too many sessions", RETRY_BUSY_S)
        in_room = sum(
            isinstance(member, HttpMember) for member in self._roster.in_room(request.room_id)
        )
        if in_room >= limits.sessions_per_room:
            raise HttpRefusal(
                409, ErrorCode.ROOM_FULL, "too many sessions in this room", RETRY_BUSY_S
            )
        if not request.local and self._by_address[request.address] >= limits.sessions_per_address:
            raise HttpRefusal(
                429, ErrorCode.RATE_LIMITED, "too many sessions of one address", RETRY_BUSY_S
            )

    # Sessions.

    def _open(
        self, present: HttpMember | None, wish: _Wish, now: Instant
    ) -> tuple[HttpSession, str]:
        if present is not None:
            present.participant.leave(LeftReason.REMOVED.value)
        member = self._admit(wish)
        try:
            sdp = self._negotiate(member.participant, wish)
        except SfuError:
            member.participant.leave(LeftReason.REMOVED.value)
            raise
        session = self._enter(member, wish, now)
        self._stats.joins["new"] += 1
        log.info("session opened", extra=_extra(session) | wish.request.log_extra)
        return session, sdp

    def _replace(self, member: HttpMember, wish: _Wish, now: Instant) -> tuple[HttpSession, str]:
        """The same participant on a new connection: its tracks go on, others notice nothing."""
        try:
            sdp = self._negotiate(member.participant, wish)
        except (NoCommonCodecError, EngineUnavailableError):
            # The first is of a viewer; in both cases the old connection is gone by then.
            member.participant.leave(LeftReason.REMOVED.value)
            raise
        self._forget(member)
        member.identity = wish.identity
        session = self._enter(member, wish, now)
        self._stats.http_replaced[session.protocol.value] += 1
        log.info("session replaced", extra=_extra(session) | wish.request.log_extra)
        return session, sdp

    def _admit(self, wish: _Wish) -> HttpMember:
        identity, protocol = wish.identity, wish.request.protocol
        participant = self._sfu.open_room(identity.room_id).admit(
            identity.participant_id,
            identity.grant,
            name=identity.name,
            auto_subscribe=protocol is HttpProtocol.WHEP,
            selection=wish.selection,
        )
        member = HttpMember(
            identity, participant, protocol, limits=self._config.limits, stats=self._stats
        )
        self._roster.add(member)
        return member

    @staticmethod
    def _negotiate(participant: "Participant", wish: _Wish) -> str:
        answer = participant.negotiate(wish.offer)
        if wish.selection is not None and not answer.subscribed:
            raise NoCommonCodecError("no offered codec is one of what is published")
        return answer.sdp

    def _enter(self, member: HttpMember, wish: _Wish, now: Instant) -> HttpSession:
        request, remote = wish.request, wish.remote
        tagged = next(item for item in remote.sections if item.mid == _tag(remote))
        session = HttpSession(
            session_id=secrets.token_urlsafe(SESSION_ID_BYTES),
            protocol=request.protocol,
            member=member,
            address=None if request.local else request.address,
            etag=_new_etag(),
            media=tagged.media,
            mid=tagged.mid,
        )
        self._sessions[session.session_id] = member.session = session
        if session.address is not None:
            self._by_address[session.address] += 1
        self._stats.http_sessions[session.protocol.value] += 1
        self._stats.http_opened[session.protocol.value] += 1
        self._admission.set_deadlines(member, now)
        if member.participant.media is not MediaState.CONNECTED:
            due_s = now.steady_s + self._limits.connect_timeout_s
            self._deadlines.set((Due.SILENCE, member), due_s)
        return session

    def _forget(self, member: HttpMember) -> HttpSession | None:
        session, member.session = member.session, None
        if session is None:
            return None
        del self._sessions[session.session_id]
        self._stats.http_sessions[session.protocol.value] -= 1
        if session.address is not None:
            self._by_address[session.address] -= 1
            if not self._by_address[session.address]:
                del self._by_address[session.address]
        return session

    # What the hub reports.

    def media_changed(self, member: HttpMember, reason: str) -> None:
        """The state of a member's media changed; :meth:`follow_media` is due now."""
        member.closed_by_client = reason == _REMOTE_CLOSED
        self._deadlines.set((Due.MEDIA, member), 0.0)

    def follow_media(self, member: HttpMember, now: Instant) -> None:
        """Ends a session whose media connection failed; waits for one that is away."""
        silence: DueKey = (Due.SILENCE, member)
        overdue: DueKey = (Due.OVERDUE, member)
        match member.participant.media:
            case MediaState.CONNECTED:
                self._deadlines.cancel(silence)
                self._deadlines.cancel(overdue)
                member.overdue = False
            case MediaState.DISCONNECTED:
                self._deadlines.set(silence, now.steady_s + self._limits.media_timeout_s)
                self._deadlines.set(overdue, now.steady_s + self._config.reconnecting_after_s)
            case MediaState.CONNECTING:
                if silence not in self._deadlines:
                    self._deadlines.set(silence, now.steady_s + self._limits.connect_timeout_s)
            case MediaState.FAILED | MediaState.NONE:
                left = LeftReason.LEFT if member.closed_by_client else LeftReason.TIMEOUT
                member.participant.leave(left.value)
                return
        self._announcer.refresh_reach(member)

    def ended(self, member: HttpMember, reason: LeftReason) -> None:
        """A participation ended; its resource is gone."""
        session = self._forget(member)
        if session is not None:
            log.info("session closed", extra={**_extra(session), "reason": reason.value})

    # Replies.

    def _refused(self, request: HttpRequest, refusal: HttpRefusal) -> HttpReply:
        self._stats.errors[refusal.code.value] += 1
        log.info(
            "session request refused",
            extra={
                "protocol": request.protocol.value,
                "status": refusal.status,
                "code": refusal.code.value,
                **request.log_extra,
            },
        )
        return refusal.reply()

    def _cors(self, request: HttpRequest) -> list[tuple[str, str]]:
        """What lets a page of another origin see the answer (Fetch, section 3.2)."""
        origin = request.header("Origin")
        if origin is None or not self._may_come_from(request):
            return []
        headers = [
            ("Access-Control-Allow-Origin", origin),
            ("Vary", "Origin"),
            ("Access-Control-Expose-Headers", EXPOSED),
            # A page of another origin may read the answer, so a browser may hand it over.
            ("Cross-Origin-Resource-Policy", "cross-origin"),
        ]
        if request.method == "OPTIONS":
            headers += [
                ("Access-Control-Allow-Methods", METHODS[request.session_id is not None]),
                ("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match"),
                ("Access-Control-Max-Age", "600"),
            ]
        return headers


def _refusal(refused: RefusedError) -> HttpRefusal:
    status = _STATUS.get(refused.code, 500)
    retry_s = refused.retry_after_s
    if retry_s is None and status in _RETRIED:
        retry_s = RETRY_BUSY_S
    if isinstance(refused, UnauthorizedError):
        log.info("token refused", extra={"cause": refused.cause})
    return HttpRefusal(status, refused.code, refused.message, retry_s)


def _text(request: HttpRequest, max_bytes: int) -> str:
    if request.body is None or len(request.body) > max_bytes:
        raise HttpRefusal(413, ErrorCode.TOO_LARGE, f"at most {max_bytes} bytes")
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError:
        raise HttpRefusal(400, ErrorCode.BAD_MESSAGE, "the body is not UTF-8") from None


def _continues(member: HttpMember, wish: _Wish) -> bool:
    """Whether whoever asks may go on as the member of the same id."""
    grant = replace(wish.identity.grant, expires_at=member.grant.expires_at)
    return (
        replace(wish.identity, grant=grant) == member.identity
        and wish.selection == member.participant.selection
    )


def _tag(remote: RemoteDescription) -> str:
    """The m-line the bundle goes by (RFC 9143, section 7.2.1)."""
    active = [item.mid for item in remote.sections if item.active]
    return next((mid for mid in remote.bundle if mid in active), active[0])


def _new_etag() -> str:
    return f'"{secrets.token_urlsafe(ETAG_BYTES)}"'


def _extra(session: HttpSession) -> dict[str, str]:
    return {**session.member.log_extra, "protocol": session.protocol.value}
