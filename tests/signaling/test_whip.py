"""WHIP and WHEP without sockets: requests in, replies out, in virtual time."""

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from multidict import CIMultiDict
from pydantic import SecretStr

from sfu import Role, SfuConfig, Source
from signaling.config import (
    IceConfig,
    LimitsConfig,
    MutePolicy,
    MuteRules,
    SignalingConfig,
    WebConfig,
    WhipConfig,
)
from signaling.http_member import HttpProtocol
from signaling.http_message import HttpReply, HttpRequest, accepts_sdp, ice_links, names_etag
from signaling.ice import turn_credentials
from tests.signaling.offers import offer_sdp
from tests.signaling.scene import Scene

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
SENDING = [("audio", "sendonly"), ("video", "sendonly")]
RECEIVING = [("audio", "recvonly"), ("video", "recvonly")]
RESTART = (
    "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=ice-ufrag:wxyz\r\na=ice-pwd:zyxwvutsrqponmlkjihgfedc\r\n"
)
CANDIDATE = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n"


@dataclass
class Web:
    """Whoever asks by HTTP."""

    scene: Scene
    address: str = "192.0.2.7"

    def send(
        self,
        method: str,
        path: str,
        body: str | bytes | None = "",
        token: str | None = None,
        *,
        local: bool = False,
        participants: tuple[str, ...] = (),
        tracks: tuple[str, ...] = (),
        **headers: str,
    ) -> HttpReply:
        protocol, room, *session = path.strip("/").split("/")
        fields = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
        if token is not None:
            fields["Authorization"] = f"Bearer {token}"
        request = HttpRequest(
            method=method,
            protocol=HttpProtocol(protocol),
            room_id=room,
            session_id=session[0] if session else None,
            headers=fields,
            body=body.encode() if isinstance(body, str) else body,
            participants=participants,
            tracks=tracks,
            address=self.address,
            local=local,
        )
        return self.scene.hub.http.handle(request, self.scene.now)

    def post(self, path: str, lines: Any, token: str, **more: Any) -> HttpReply:
        sdp = lines if isinstance(lines, str | bytes) else offer_sdp(lines, **more.pop("sdp", {}))
        return self.send("POST", path, sdp, token, **{"Content_Type": SDP, **more})

    def whip(
        self, name: str = "cam-1", role: Role = Role.CUSTOMER, **more: Any
    ) -> tuple[HttpReply, str]:
        """A session that publishes; returns the reply and the token."""
        token = self.scene.token(name, role, **more.pop("grant", {}))
        reply = self.post("/whip/sale-1", more.pop("lines", SENDING), token, **more)
        return reply, token

    def whep(
        self, name: str = "wall-1", role: Role = Role.SUPERVISOR, **more: Any
    ) -> tuple[HttpReply, str]:
        """A session that watches."""
        token = self.scene.token(name, role, **more.pop("grant", {}))
        reply = self.post("/whep/sale-1", more.pop("lines", RECEIVING), token, **more)
        return reply, token

    def patch(self, at: str, body: str, token: str, etag: str | None, **more: Any) -> HttpReply:
        headers = {"Content_Type": FRAGMENT, **({"If_Match": etag} if etag else {}), **more}
        return self.send("PATCH", at, body, token, **headers)


def header(reply: HttpReply, name: str) -> str:
    (value,) = [value for key, value in reply.headers if key == name]
    return value


def code(reply: HttpReply) -> str:
    assert reply.content_type == "application/problem+json"
    body = json.loads(reply.body)
    assert body["status"] == reply.status
    assert body["title"]
    return str(body["code"])


def made(reply: HttpReply) -> str:
    """Address of the session."""
    assert reply.status == 201, reply.body
    return header(reply, "Location")


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def web(scene: Scene) -> Web:
    return Web(scene)


def test_publisher_is_a_participant_like_others(web: Web) -> None:
    rm = web.scene.join()
    reply, token = web.whip(grant={"name": "王芳"})
    at = made(reply)
    assert re.fullmatch(r"/whip/sale-1/[A-Za-z0-9_-]{32}", at)
    assert re.fullmatch(r'"[A-Za-z0-9_-]{12}"', header(reply, "ETag"))
    assert reply.content_type == SDP
    assert reply.body.count("a=recvonly") == 2
    (joined,) = rm.take("participant.joined")
    assert joined["participant"] == {
        "participant_id": "cam-1",
        "role": "customer",
        "name": "王芳",
        "connection": "connected",
    }
    sources = [item["track"]["source"] for item in rm.take("track.published")]
    assert sources == ["microphone", "camera"]
    assert web.send("DELETE", at, token=token).status == 200
    assert rm.take("participant.left") == [{"participant_id": "cam-1", "reason": "left"}]
    gone = web.send("DELETE", at, token=token)
    assert (gone.status, code(gone)) == (404, "unknown_session")
    assert web.scene.hub.stats.http_sessions == {"whip": 0}


def test_viewer_is_sent_what_is_published(web: Web) -> None:
    customer = web.scene.join("customer-1", Role.CUSTOMER)
    web.scene.publish(customer, Source.MICROPHONE, Source.CAMERA)
    reply, token = web.whep()
    assert reply.body.count("a=sendonly") == 2
    assert len(web.scene.engine.consumers) == 2
    customer.clear()
    assert web.send("DELETE", made(reply), token=token).status == 200
    assert not web.scene.engine.consumers
    assert customer.take("participant.left") == []


def test_viewer_by_http_publishes_nothing_and_publisher_receives_nothing(web: Web) -> None:
    rm = web.scene.join()
    web.scene.publish(rm, Source.MICROPHONE, Source.CAMERA)
    both = [("audio", "sendrecv"), ("video", "sendrecv")]
    reply, _ = web.whep("expert-1", Role.EXPERT, lines=both)
    assert reply.body.count("a=sendonly") == 2
    reply, _ = web.whip(lines=both)
    assert reply.body.count("a=recvonly") == 2
    assert rm.take("track.published") != []
    assert {item["track"]["participant_id"] for item in rm.take("track.published")} == {"cam-1"}


def test_hidden_supervisor_stays_hidden(web: Web) -> None:
    rm = web.scene.join()
    web.scene.publish(rm, Source.MICROPHONE)
    made(web.whep()[0])
    assert rm.take("participant.joined") == []
    assert web.scene.join("rm-2").take("joined")[0]["participants"][0]["participant_id"] == "rm-1"


def test_sources_follow_the_grant(web: Web) -> None:
    rm = web.scene.join()
    made(web.whip(grant={"publish": [Source.SCREEN, Source.SCREEN_AUDIO]})[0])
    sources = [item["track"]["source"] for item in rm.take("track.published")]
    assert sources == ["screen_audio", "screen"]


REFUSED_OFFERS: dict[str, tuple[Any, int, str]] = {
    "not a description": ("nonsense", 400, "bad_sdp"),
    "empty": ("", 400, "bad_sdp"),
    "not UTF-8": (b"v=0\xff", 400, "bad_message"),
    "too large": ("v=0\r\n" + "a=x\r\n" * 20_000, 413, "too_large"),
    "no m-line": ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", 422, "bad_sdp"),
    "wrong direction": (RECEIVING, 422, "bad_sdp"),
    "inactive line": ([*SENDING, ("video", "inactive")], 422, "bad_sdp"),
    "more lines than sources": ([("video", "sendonly")] * 3, 422, "bad_sdp"),
    "a data channel": (
        offer_sdp(SENDING)
        .replace("BUNDLE 0 1", "BUNDLE 0 1 2")
        .__add__("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n"),
        422,
        "bad_sdp",
    ),
    "no codec in common": (
        offer_sdp(SENDING).replace("VP8/90000", "H263/90000"),
        422,
        "no_common_codec",
    ),
}


@pytest.mark.parametrize(
    ("body", "status", "expected"), REFUSED_OFFERS.values(), ids=REFUSED_OFFERS.keys()
)
def test_refused_offer_leaves_no_trace(web: Web, body: Any, status: int, expected: str) -> None:
    rm = web.scene.join()
    reply, _ = web.whip(lines=body)
    assert (reply.status, code(reply)) == (status, expected)
    assert rm.take("participant.joined") == []
    assert len(web.scene.hub.http) == 0


def test_body_that_was_not_read_is_too_large(web: Web) -> None:
    reply = web.send("POST", "/whip/sale-1", None, web.scene.token(), Content_Type=SDP)
    assert (reply.status, code(reply)) == (413, "too_large")


def test_who_may_not(web: Web) -> None:
    scene = web.scene
    rm = scene.join()
    scene.publish(rm, Source.CAMERA)
    cases = [
        (web.post("/whip/sale-1", SENDING, ""), 401, "unauthorized", 'realm="witness"'),
        (web.post("/whip/sale-1", SENDING, "x.y.z"), 401, "unauthorized", "invalid_token"),
        (web.whip(grant={"ttl_s": -60.0})[0], 401, "token_expired", "invalid_token"),
        (web.whip(grant={"key": scene.demo_key})[0], 401, "unauthorized", "invalid_token"),
        (web.whip(grant={"room": "sale-2"})[0], 403, "forbidden", "insufficient_scope"),
        (web.whip(grant={"publish": []})[0], 403, "forbidden", "insufficient_scope"),
        (web.whip("s-1", Role.SUPERVISOR)[0], 403, "forbidden", "insufficient_scope"),
        (web.whep(grant={"subscribe": []})[0], 403, "forbidden", "insufficient_scope"),
    ]
    for reply, status, expected, challenge in cases:
        assert (reply.status, code(reply)) == (status, expected)
        assert header(reply, "WWW-Authenticate").startswith("Bearer ")
        assert challenge in header(reply, "WWW-Authenticate")
    bare = web.send("POST", "/whip/sale-1", Content_Type=SDP)
    assert header(bare, "WWW-Authenticate") == 'Bearer realm="witness"'
    made(web.whip(grant={"key": scene.demo_key}, local=True)[0])


def test_session_is_nobody_elses(web: Web) -> None:
    reply, token = web.whip()
    at = made(reply)
    others = [
        web.scene.token("cam-2", Role.CUSTOMER),
        web.scene.token("cam-1", Role.CUSTOMER, room="sale-2"),
    ]
    for method in ("GET", "PATCH", "DELETE"):
        assert web.send(method, at).status == 401
        assert web.send(method, at, token=others[0]).status == 404
        assert web.send(method, at, token=others[1]).status == 403
        assert web.send(method, at.replace("whip", "whep"), token=token).status == 404
    assert web.send("GET", at, token=token).status == 204


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/whip/sale-1", "OPTIONS, GET, HEAD, POST"),
        ("PATCH", "/whep/sale-1", "OPTIONS, GET, HEAD, POST"),
        ("DELETE", "/whip/sale-1", "OPTIONS, GET, HEAD, POST"),
        ("POST", "/whip/sale-1/abc", "OPTIONS, GET, HEAD, PATCH, DELETE"),
    ],
)
def test_other_methods(web: Web, method: str, path: str, allow: str) -> None:
    reply = web.send(method, path, token=web.scene.token())
    assert (reply.status, code(reply)) == (405, "method_not_allowed")
    assert header(reply, "Allow") == allow


def test_other_types(web: Web) -> None:
    reply, _ = web.whip(Content_Type="application/json")
    assert (reply.status, code(reply)) == (415, "unsupported_media_type")
    reply, _ = web.whip(Accept="application/json")
    assert (reply.status, code(reply)) == (406, "not_acceptable")
    reply, token = web.whip(Content_Type="Application/SDP; charset=utf-8", Accept="*/*")
    reply = web.patch(made(reply), RESTART, token, "*", Content_Type=SDP)
    assert (reply.status, header(reply, "Accept-Patch")) == (415, FRAGMENT)


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        (None, True),
        ("", True),
        ("*/*", True),
        ("application/*;q=0.1, text/html", True),
        ("text/html, application/SDP", True),
        ("text/html", False),
        ("*/*, application/sdp;q=0", False),
        ("*/*;q=0.0", False),
        ("application/sdp;q=0, */*;q=1", False),
    ],
)
def test_accept(accept: str | None, accepted: bool) -> None:
    assert accepts_sdp(accept) is accepted


@pytest.mark.parametrize(
    ("if_match", "fulfilled"),
    [
        ('"a"', True),
        ("*", True),
        ('"*"', True),
        ('"b", "a"', True),
        (' "b" ,"a" ', True),
        ('W/"a"', False),
        ('"b"', False),
        ("a", False),
        ("", False),
        ('"a', False),
        ('"b" "a"', False),
    ],
)
def test_if_match(if_match: str, fulfilled: bool) -> None:
    assert names_etag(if_match, '"a"') is fulfilled


def test_ice_restart(web: Web) -> None:
    reply, token = web.whip()
    at, etag = made(reply), header(reply, "ETag")
    restarted = web.patch(at, RESTART, token, "*")
    assert (restarted.status, restarted.content_type) == (200, FRAGMENT)
    assert header(restarted, "ETag") != etag
    name, arguments = web.scene.engine.commands[-1]
    assert name == "restart_ice"
    assert arguments["remote_ufrag"] == "wxyz"
    assert f"a=ice-ufrag:{arguments['local_ufrag']}\r\n" in restarted.body
    assert f"a=ice-pwd:{arguments['local_password']}\r\n" in restarted.body
    assert restarted.body.startswith("a=ice-lite\r\nm=audio 9 ")
    assert "a=mid:0\r\n" in restarted.body
    assert "a=candidate:" in restarted.body
    assert restarted.body.endswith("a=end-of-candidates\r\n")
    # The same again is what a client says that got no answer: the same answer, and no restart.
    before = len(web.scene.engine.commands)
    assert web.patch(at, RESTART, token, "*") == restarted
    assert web.patch(at, RESTART, token, header(restarted, "ETag")).status == 204
    assert len(web.scene.engine.commands) == before
    # The old ETag is that of an ICE session that is over.
    late = web.patch(at, CANDIDATE, token, etag)
    assert (late.status, code(late)) == (412, "precondition_failed")
    assert web.patch(at, CANDIDATE, token, header(restarted, "ETag")).status == 204


def test_candidates_are_taken_and_not_needed(web: Web) -> None:
    reply, token = web.whip()
    before = len(web.scene.engine.commands)
    taken = web.patch(made(reply), CANDIDATE, token, header(reply, "ETag"))
    assert taken == HttpReply(204)
    assert len(web.scene.engine.commands) == before


def test_refused_patches_leave_the_session_as_it_is(web: Web) -> None:
    reply, token = web.whip()
    at, etag = made(reply), header(reply, "ETag")
    before = len(web.scene.engine.commands)
    missing = web.patch(at, RESTART, token, None)
    assert (missing.status, code(missing)) == (428, "precondition_required")
    malformed = web.patch(at, "a=ice-ufrag:wxyz\r\n", token, "*")
    assert (malformed.status, code(malformed)) == (400, "bad_fragment")
    large = web.patch(at, "a=x\r\n" * 4_000, token, "*")
    assert (large.status, code(large)) == (413, "too_large")
    assert len(web.scene.engine.commands) == before
    web.scene.media(web.scene.transports()[0], "failed", "dtls_failed")
    late = web.patch(at, RESTART, token, "*")
    assert (late.status, code(late)) == (422, "bad_sdp")
    assert web.patch(at, CANDIDATE, token, etag).status == 204


def test_ice_servers_are_told(web: Web) -> None:
    ice = IceConfig(
        stun_urls=("stun:192.0.2.1:3478",),
        turn_urls=("turn:192.0.2.1:3478?transport=tcp", "turns:192.0.2.1:443?transport=tcp"),
        turn_secret=SecretStr("shared with the TURN server"),
    )
    web = Web(Scene(SignalingConfig(ice=ice)))
    stun, *turn = [value for name, value in web.whip()[0].headers if name == "Link"]
    assert stun == '<stun:192.0.2.1:3478>; rel="ice-server"'
    pattern = re.compile(
        r'<(turns?:[^>]+)>; rel="ice-server"; username="(\d+:\w+)"'
        r'; credential="([A-Za-z0-9+/=]+)"; credential-type="password"'
    )
    found = [match.groups() for value in turn if (match := pattern.fullmatch(value))]
    assert [url for url, _, _ in found] == list(ice.turn_urls)
    for _, username, credential in found:
        expires_at, name = username.split(":")
        expected = turn_credentials("shared with the TURN server", name, int(expires_at))
        assert (username, credential) == expected


def test_quotes_in_what_is_told_are_escaped() -> None:
    entry = {"urls": ["turn:a"], "username": 'a"b', "credential": "c\\d"}
    ((_, value),) = ice_links([entry])
    assert 'username="a\\"b"; credential="c\\\\d"' in value


def test_nothing_to_watch_yet(web: Web) -> None:
    reply, _ = web.whep()
    assert (reply.status, code(reply)) == (409, "nothing_published")
    assert header(reply, "Retry-After") == "2"
    rm = web.scene.join()
    assert web.whep()[0].status == 409
    tracks = web.scene.publish(rm, Source.CAMERA)
    assert web.whep(participants=("customer-1",))[0].status == 409
    unknown = web.whep(tracks=("t-none",))[0]
    assert (unknown.status, code(unknown)) == (404, "unknown_track")
    grant = {"subscribe": [Role.EXPERT]}
    assert web.whep(grant=grant)[0].status == 409
    made(web.whep("wall-1", tracks=(tracks["camera"],))[0])
    made(web.whep("wall-2", participants=("rm-1",))[0])


def test_viewer_without_a_common_codec_is_refused(web: Web) -> None:
    rm = web.scene.join()
    web.scene.publish(rm, Source.CAMERA)
    h264 = offer_sdp([("video", "recvonly")]).replace("VP8/90000", "H264/90000")
    reply, _ = web.whep("expert-1", Role.EXPERT, lines=h264)
    assert (reply.status, code(reply)) == (422, "no_common_codec")
    assert web.scene.hub.roster.get("sale-1", "expert-1") is None


def test_stream_goes_on_when_the_publisher_comes_back(web: Web) -> None:
    reply, token = web.whip()
    made(web.whep()[0])
    streams = set(web.scene.engine.consumers)
    assert web.send("DELETE", made(reply), token=token).status == 200
    assert {item.producer for item in web.scene.engine.consumers.values()} == {None}
    made(web.whip(sdp={"page": 2, "ufrag": "efgh"})[0])
    assert set(web.scene.engine.consumers) == streams
    assert {item.producer for item in web.scene.engine.consumers.values()} == set(
        web.scene.engine.producers
    )


def test_publisher_on_a_new_connection_keeps_its_tracks(web: Web) -> None:
    rm = web.scene.join()
    first, token = web.whip()
    second, _ = web.whip(sdp={"page": 2, "ufrag": "efgh"})
    assert made(first) != made(second)
    assert web.send("GET", made(first), token=token).status == 404
    assert web.send("GET", made(second), token=token).status == 204
    assert len(rm.take("participant.joined")) == 1
    assert len(rm.take("track.published")) == 2
    assert rm.take("track.unpublished") == []
    assert len(web.scene.hub.http) == 1
    # A refused offer leaves the session alone.
    assert web.whip(lines="nonsense")[0].status == 400
    assert web.send("GET", made(second), token=token).status == 204


def test_publisher_whose_new_connection_the_plane_refuses_is_gone(web: Web) -> None:
    rm = web.scene.join()
    reply, token = web.whip()
    web.scene.media(web.scene.transports()[0], "connected")
    web.scene.engine.refuse.add("create_transport")
    refused = web.whip(sdp={"page": 2, "ufrag": "efgh"})[0]
    assert (refused.status, code(refused)) == (500, "internal")
    assert web.send("GET", made(reply), token=token).status == 404
    assert rm.take("participant.left") == [{"participant_id": "cam-1", "reason": "removed"}]
    assert len(web.scene.hub.http) == 0
    web.scene.engine.refuse.clear()
    made(web.whip(sdp={"page": 3, "ufrag": "ijkl"})[0])


def test_other_rights_are_another_participation(web: Web) -> None:
    rm = web.scene.join()
    made(web.whip()[0])
    made(web.whip(grant={"publish": [Source.MICROPHONE]}, lines=[("audio", "sendonly")])[0])
    assert rm.take("participant.left") == [{"participant_id": "cam-1", "reason": "removed"}]
    assert len(rm.take("participant.joined")) == 2
    assert len(web.scene.hub.http) == 1


def test_one_participant_comes_one_way_at_a_time(web: Web) -> None:
    customer = web.scene.join("cam-1", Role.CUSTOMER)
    reply, _ = web.whip()
    assert (reply.status, code(reply)) == (409, "duplicate_participant")
    assert customer.closed is None
    rm = web.scene.join()
    web.scene.publish(rm, Source.CAMERA)
    at = made(web.whip("cam-2")[0])
    reply, token = web.whep("cam-2", Role.CUSTOMER)
    assert (reply.status, code(reply)) == (409, "duplicate_participant")
    # A person who opens the page takes the place of a device.
    web.scene.join("cam-2", Role.CUSTOMER)
    assert web.send("GET", at, token=token).status == 404


def test_sessions_are_bounded() -> None:
    whip = WhipConfig(sessions=3, sessions_per_room=2, sessions_per_address=2)
    web = Web(Scene(SignalingConfig(whip=whip)))
    one, token = web.whip("cam-1")
    made(web.whip("cam-2")[0])
    full = web.whip("cam-3")[0]
    assert (full.status, code(full), header(full, "Retry-After")) == (409, "room_full", "5")
    token_2 = web.scene.token("cam-3", Role.CUSTOMER, room="sale-2")
    many = web.post("/whip/sale-2", SENDING, token_2)
    assert (many.status, code(many)) == (429, "rate_limited")
    made(web.post("/whip/sale-2", SENDING, token_2, local=True))
    token_3 = web.scene.token("cam-4", Role.CUSTOMER, room="sale-3")
    all_ = web.post("/whip/sale-3", SENDING, token_3, local=True)
    assert (all_.status, code(all_)) == (503, "server_full")
    # Whoever has one may replace it, and frees it when it goes.
    one = web.whip("cam-1", sdp={"page": 2, "ufrag": "efgh"})[0]
    assert web.send("DELETE", made(one), token=token).status == 200
    made(web.whip("cam-3")[0])


def test_a_full_room_is_full_for_everybody() -> None:
    web = Web(Scene(sfu=SfuConfig(max_participants_per_room=1)))
    web.scene.join()
    reply, _ = web.whip()
    assert (reply.status, code(reply)) == (409, "room_full")
    assert len(web.scene.hub.http) == 0


def test_requests_of_one_address_are_bounded() -> None:
    web = Web(Scene(SignalingConfig(whip=WhipConfig(requests_per_s=1, request_burst=3))))
    statuses = [web.send("POST", "/whip/sale-1").status for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    refused = web.send("POST", "/whip/sale-1")
    assert (code(refused), header(refused, "Retry-After")) == ("rate_limited", "1")
    assert Web(web.scene, "192.0.2.8").send("POST", "/whip/sale-1").status == 401
    assert web.send("POST", "/whip/sale-1", local=True).status == 401
    web.scene.run(1.0)
    assert web.send("POST", "/whip/sale-1").status == 401


def test_session_that_never_connects_is_removed(web: Web) -> None:
    rm = web.scene.join()
    reply, token = web.whip()
    web.scene.run(19.9)
    assert web.send("GET", made(reply), token=token).status == 204
    web.scene.run(0.2)
    assert web.send("GET", made(reply), token=token).status == 404
    assert rm.take("participant.left") == [{"participant_id": "cam-1", "reason": "timeout"}]
    assert not web.scene.engine.transports


def test_session_lives_by_its_media(web: Web) -> None:
    rm = web.scene.join()
    reply, token = web.whip()
    at = made(reply)
    (transport,) = web.scene.transports()
    web.scene.media(transport, "connecting")
    web.scene.media(transport, "connected")
    web.scene.run(600.0)
    web.scene.media(transport, "disconnected", "consent_expired")
    web.scene.run(6.0)
    web.scene.media(transport, "connected")
    web.scene.run(100.0)
    reaches = [item["connection"] for item in rm.take("participant.connection")]
    assert reaches == ["reconnecting", "connected"]
    web.scene.media(transport, "disconnected", "consent_expired")
    web.scene.run(29.9)
    assert web.send("GET", at, token=token).status == 204
    web.scene.run(0.2)
    assert web.send("GET", at, token=token).status == 404


@pytest.mark.parametrize(
    ("reason", "left"), [("dtls_failed", "timeout"), ("remote_closed", "left")]
)
def test_session_ends_with_its_connection(web: Web, reason: str, left: str) -> None:
    rm = web.scene.join()
    reply, token = web.whip()
    web.scene.media(web.scene.transports()[0], "failed", reason)
    web.scene.run(0.0)
    assert web.send("GET", made(reply), token=token).status == 404
    assert rm.take("participant.left") == [{"participant_id": "cam-1", "reason": left}]


def test_new_connection_that_is_kept_is_not_waited_for(web: Web) -> None:
    reply, token = web.whip()
    web.scene.media(web.scene.transports()[0], "connected")
    web.scene.run(1.0)
    again, _ = web.whip()
    assert made(again) != made(reply)
    web.scene.run(60.0)
    assert web.send("GET", made(again), token=token).status == 204


def test_session_ends_with_its_token(web: Web) -> None:
    rm = web.scene.join()
    reply, _ = web.whip(grant={"ttl_s": 60.0})
    web.scene.media(web.scene.transports()[0], "connected")
    web.scene.run(89.0)
    assert len(web.scene.hub.http) == 1
    web.scene.run(2.0)
    assert len(web.scene.hub.http) == 0
    assert rm.take("participant.left") == [{"participant_id": "cam-1", "reason": "expired"}]
    assert made(reply)


def test_drain(web: Web) -> None:
    reply, token = web.whip()
    web.scene.media(web.scene.transports()[0], "connected")
    web.scene.hub.drain(30.0, web.scene.now)
    refused = web.whip("cam-2")[0]
    assert (refused.status, code(refused), header(refused, "Retry-After")) == (503, "draining", "5")
    other = web.whip("cam-1", sdp={"page": 3, "ufrag": "ijkl"}, grant={"name": "Another"})[0]
    assert (other.status, code(other)) == (503, "draining")
    made(web.whip("cam-1", sdp={"page": 2, "ufrag": "efgh"})[0])
    assert len(web.scene.hub.http) == 1
    web.scene.run(31.0)
    assert web.scene.hub.is_idle
    assert web.send("GET", made(reply), token=token).status == 404


@pytest.mark.parametrize(
    ("policy", "answer"),
    [(MutePolicy.FORCE, "ok"), (MutePolicy.ASK, "error"), (MutePolicy.DENY, "error")],
)
def test_muting_a_publisher_by_http(policy: MutePolicy, answer: str) -> None:
    web = Web(Scene(SignalingConfig(mute=MuteRules(customer=policy))))
    rm = web.scene.join()
    made(web.whip()[0])
    track = rm.take("track.published")[0]["track"]["track_id"]
    reply = rm.ask("mute.request", track_id=track)
    assert reply["type"] == answer
    assert bool(rm.take("track.muted")) is (policy is MutePolicy.FORCE)


def test_nothing_is_kept_for_those_who_can_not_be_told() -> None:
    web = Web(Scene(SignalingConfig(limits=LimitsConfig(outbox_messages=64))))
    rm = web.scene.join()
    made(web.whip()[0])
    web.scene.media(web.scene.transports()[0], "connected")
    for index in range(100):
        web.scene.run(1.0)
        rm.ask("message", text=str(index))
        rm.ack()
    member = web.scene.hub.roster.get("sale-1", "cam-1")
    assert member is not None
    assert len(member.outbox) == 0
    assert web.scene.hub.stats.outbox_discarded == 0


def test_pages_of_other_origins(web: Web) -> None:
    config = SignalingConfig(web=WebConfig(allowed_origins=("https://crm.example",)))
    web = Web(Scene(config))
    asked = web.send("OPTIONS", "/whip/sale-1", Origin="https://crm.example", Host="w.example")
    assert asked.status == 200
    assert header(asked, "Accept-Post") == SDP
    assert header(asked, "Access-Control-Allow-Origin") == "https://crm.example"
    assert "POST" in header(asked, "Access-Control-Allow-Methods")
    assert "If-Match" in header(asked, "Access-Control-Allow-Headers")
    session = web.send("OPTIONS", "/whip/sale-1/x", Origin="https://crm.example", Host="w.example")
    assert header(session, "Accept-Patch") == FRAGMENT
    assert "PATCH" in header(session, "Access-Control-Allow-Methods")
    reply, _ = web.whip(Origin="https://crm.example", Host="w.example")
    assert made(reply)
    assert "Location" in header(reply, "Access-Control-Expose-Headers")
    for origin in ("https://evil.example", "null"):
        foreign = web.send("OPTIONS", "/whip/sale-1", Origin=origin, Host="w.example")
        assert not [name for name, _ in foreign.headers if name.startswith("Access-Control")]
        refused, _ = web.whip("cam-2", Origin=origin, Host="w.example")
        assert (refused.status, code(refused)) == (403, "forbidden")
        assert not [name for name, _ in refused.headers if name.startswith("Access-Control")]


def test_requests_are_counted_by_class(web: Web) -> None:
    reply, token = web.whip()
    web.send("DELETE", made(reply), token=token)
    web.send("DELETE", made(reply), token=token)
    assert web.scene.hub.stats.http_requests == {("whip", "2xx"): 2, ("whip", "4xx"): 1}
    assert web.scene.hub.stats.http_opened == {"whip": 1}
    assert web.scene.hub.stats.errors["unknown_session"] == 1


def test_administrator_sees_how_people_came(web: Web) -> None:
    web.scene.join()
    made(web.whip()[0])
    (room,) = web.scene.hub.describe()
    assert [item["signaling"] for item in room["participants"]] == ["websocket", "whip"]


def test_logs_tell_the_steps_and_no_secrets(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    reply, token = web.whip(grant={"name": "王芳"})
    web.patch(made(reply), RESTART, token, "*")
    web.whip(grant={"name": "王芳"}, sdp={"page": 2, "ufrag": "efgh"})
    web.scene.media(web.scene.transports()[-1], "failed", "dtls_failed")
    web.whip(lines="nonsense")
    web.scene.run(0.0)
    lines = [record for record in caplog.records if record.name == "signaling.whip"]
    assert [record.getMessage() for record in lines] == [
        "session opened",
        "ice restarted",
        "session replaced",
        "session request refused",
        "session closed",
    ]
    assert vars(lines[0])["pii.remote"] == "192.0.2.7"
    text = repr(
        [
            {key: value for key, value in vars(record).items() if not key.startswith("pii.")}
            for record in caplog.records
        ]
    )
    for secret in (token, "王芳", "192.0.2.7", "wxyz", made(reply).rpartition("/")[2]):
        assert secret not in text
