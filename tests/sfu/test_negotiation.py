"""Offers and answers: what is accepted, refused, published, and what the plane is told."""

from typing import Any

import pytest

from sfu import Grant, MediaState, Offer, Role, SfuConfig, Size, Source, TrackDeclaration
from sfu.errors import (
    EngineUnavailableError,
    ForbiddenError,
    NoCommonCodecError,
    SdpError,
    SfuError,
    TrackLimitError,
    UnknownParticipantError,
)
from tests.fakes.engine import Event
from tests.sfu.conftest import FOREVER, Scene
from tests.sfu.offers import (
    AV1,
    FINGERPRINT_B,
    H264,
    RECORDED,
    VP8,
    VP9,
    Client,
    direction,
    recorded,
    section,
)


def declare(**sources: str) -> list[TrackDeclaration]:
    return [TrackDeclaration(mid[1:], Source(source)) for mid, source in sources.items()]


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_offers_get_an_answer_line_by_line(scene: Scene, name: str) -> None:
    offer = recorded(name)
    answer = scene.join("a").negotiate(Offer(offer)).sdp
    theirs = [row.split(" ") for row in offer.split("\r\n") if row.startswith("m=")]
    ours = [row.split(" ") for row in answer.split("\r\n") if row.startswith("m=")]
    assert [(row[0], row[2]) for row in ours] == [(row[0], row[2]) for row in theirs]
    for their, our in zip(theirs, ours, strict=True):
        assert set(our[3:]) <= set(their[3:])


def test_the_first_offer_makes_a_transport_and_producers(scene: Scene) -> None:
    scene.join("a").negotiate(Offer(recorded("chromium_publish")))
    names = scene.engine.names()
    assert names == ["create_room", "create_transport", "set_extensions"] + ["add_producer"] * 2
    (transport,) = scene.engine.transports.values()
    assert transport.arguments["dtls_role"] == "server"
    assert transport.arguments["remote_fingerprints"][0][0] == "sha-256"
    assert transport.extensions["mid"] == 4
    audio, video = scene.engine.producers.values()
    assert audio.arguments["kind"] == "audio"
    assert [item.codec for item in audio.arguments["codecs"]] == ["opus"]
    assert {item.codec for item in video.arguments["codecs"]} == {"vp8", "vp9", "h264", "av1"}
    assert video.arguments["nack"]
    assert not audio.arguments["nack"]
    assert video.arguments["encodings"][0].ssrc is not None
    assert video.arguments["encodings"][0].rtx_ssrc is not None


def test_the_answer_is_ice_lite_bundled_and_complete(scene: Scene) -> None:
    answer = scene.call(scene.join("a")).sdp
    assert "a=ice-lite\r\n" in answer
    assert "a=group:BUNDLE 0 1\r\n" in answer
    audio, video = section(answer, 0), section(answer, 1)
    for rows in (audio, video):
        assert "a=candidate:1 1 udp 2130706431 192.0.2.10 3478 typ host" in rows
        assert "a=candidate:2 1 udp 2130706175 2001:db8::10 3478 typ host" in rows
        assert "a=end-of-candidates" in rows
        assert "a=setup:passive" in rows
        assert "a=rtcp-mux" in rows
        assert "a=rtcp-rsize" in rows
        assert "a=recvonly" in rows
        assert "a=fingerprint:sha-256 " + ":".join(["CC"] * 32) in rows
    assert "a=fmtp:111 minptime=10;useinbandfec=1" in audio
    assert "a=rtcp-fb:96 transport-cc" in video
    assert "a=rtcp-fb:96 goog-remb" not in video
    assert video[0] == "m=video 9 UDP/TLS/RTP/SAVPF 96 102 97 103"


def test_the_sending_line_names_the_track_and_its_ssrcs(scene: Scene) -> None:
    publisher, subscriber = scene.join("pub"), scene.join("sub")
    scene.call(publisher)
    client = scene.clients[subscriber].receive(1, 1)
    answer = subscriber.negotiate(Offer(client.sdp))
    video = section(answer.sdp, 1)
    track_id = answer.subscribed["1"]
    assert f"a=msid:pub {track_id}" in video
    (consumer,) = [
        item.arguments for item in scene.engine.consumers.values() if item.arguments["mid"] == "1"
    ]
    assert f"a=ssrc-group:FID {consumer['ssrc']} {consumer['rtx_ssrc']}" in video
    assert f"a=ssrc:{consumer['ssrc']} cname:{consumer['cname']}" in video
    cnames = {item.arguments["cname"] for item in scene.engine.consumers.values()}
    assert len(cnames) == 1
    assert "pub" not in cnames


@pytest.mark.parametrize(
    ("setup", "answered", "role"),
    [
        ("actpass", "passive", "server"),
        ("active", "passive", "server"),
        ("passive", "active", "client"),
    ],
)
def test_dtls_roles(scene: Scene, setup: str, answered: str, role: str) -> None:
    answer = scene.join("a").negotiate(Offer(Client(setup=setup).publish().sdp)).sdp
    assert f"a=setup:{answered}\r\n" in answer
    (transport,) = scene.engine.transports.values()
    assert transport.arguments["dtls_role"] == role


@pytest.mark.parametrize(
    ("setup", "answered", "role"),
    [
        ("actpass", "active", "aead_client"),
        ("passive", "active", "aead_client"),
        ("active", "passive", "server"),
    ],
)
def test_a_client_that_would_rather_be_the_dtls_server(
    scene: Scene, setup: str, answered: str, role: str
) -> None:
    participant = scene.join("a")
    offer = Offer(Client(setup=setup).publish().sdp, dtls_server=True)
    assert f"a=setup:{answered}\r\n" in participant.negotiate(offer).sdp
    (transport,) = scene.engine.transports.values()
    assert transport.arguments["dtls_role"] == role
    again = participant.negotiate(Offer(offer.sdp)).sdp
    assert f"a=setup:{answered}\r\n" in again, "the role stays without being asked for again"


def roles_of_handshakes(scene: Scene, reasons: list[tuple[str, ...]]) -> list[str]:
    """What the plane was told for connections of one participant that went so."""
    participant = scene.join("a")
    roles = []
    for number, states in enumerate([*reasons, ()]):
        fingerprint = ":".join([f"{number:02X}"] * 32)
        client = Client(fingerprint=fingerprint)
        participant.negotiate(Offer(client.publish().sdp, dtls_server=True))
        (transport,) = scene.engine.transports
        roles.append(scene.engine.transports[transport].arguments["dtls_role"])
        for state in states:
            name, _, reason = state.partition(" ")
            scene.emit(Event.TransportStateChanged(transport, name, reason or "none"))
    return roles


def test_a_client_without_our_profile_is_the_dtls_client_from_then_on(scene: Scene) -> None:
    roles = roles_of_handshakes(scene, [("connecting", "failed no_srtp_profile"), ()])
    assert roles == ["aead_client", "server", "server"]


def test_handshakes_that_come_to_nothing_change_roles(scene: Scene) -> None:
    roles = roles_of_handshakes(scene, [("connecting",)] * 4)
    assert roles == ["aead_client"] * 4 + ["server"], "the last of them is given up by that offer"


def test_a_path_that_never_was_says_nothing_of_dtls(scene: Scene) -> None:
    assert roles_of_handshakes(scene, [()] * 5) == ["aead_client"] * 6


def test_a_handshake_that_succeeds_forgives_those_before(scene: Scene) -> None:
    went = [("connecting",)] * 3 + [("connecting", "connected")] + [("connecting",)] * 3
    assert roles_of_handshakes(scene, went) == ["aead_client"] * 8


def test_data_channels_are_rejected_in_place(scene: Scene) -> None:
    client = Client()
    client.add("application", "")
    client.publish()
    answer = scene.join("a").negotiate(Offer(client.sdp)).sdp
    assert section(answer, 0)[0] == "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
    assert direction(answer, 1) == "recvonly"
    assert "a=group:BUNDLE 1 2\r\n" in answer
    assert [row for row in section(answer, 1) if "candidate:" in row]


@pytest.mark.parametrize("name", ["chromium_empty", "aiortc_datachannel"])
def test_an_offer_without_media_makes_no_transport(scene: Scene, name: str) -> None:
    participant = scene.join("a")
    answer = participant.negotiate(Offer(recorded(name)))
    assert not answer.published
    assert "BUNDLE" not in answer.sdp
    assert participant.media is MediaState.NONE
    assert not scene.engine.transports


def rids_of(scene: Scene) -> list[str | None]:
    (producer,) = scene.engine.producers.values()
    return [item.rid for item in producer.arguments["encodings"]]


def test_simulcast_is_taken_with_all_its_streams(scene: Scene) -> None:
    answer = scene.join("a").negotiate(Offer(recorded("chromium_simulcast"))).sdp
    rows = section(answer, 0)
    assert [row for row in rows if row.startswith("a=rid:")] == [
        "a=rid:q recv",
        "a=rid:h recv",
        "a=rid:f recv",
    ]
    assert "a=simulcast:recv q;h;f" in rows
    assert direction(answer, 0) == "recvonly"
    assert rids_of(scene) == ["q", "h", "f"]
    (transport,) = scene.engine.transports.values()
    assert {"rid", "repaired_rid"} <= set(transport.extensions)


def test_declared_sizes_put_the_streams_in_order(scene: Scene) -> None:
    sizes = {"q": Size(1280, 720), "h": Size(640, 360), "f": Size(320, 180)}
    declared = [TrackDeclaration("0", Source.CAMERA, sizes=sizes)]
    answer = scene.join("a").negotiate(Offer(recorded("chromium_simulcast"), declared)).sdp
    assert rids_of(scene) == ["f", "h", "q"]
    assert "a=simulcast:recv q;h;f" in section(answer, 0)


@pytest.mark.parametrize(
    ("lines", "taken", "answered"),
    [
        ("a=simulcast:send f;q,h", ["f", "q"], "recv f;q"),
        ("a=simulcast:send ~q;~h", ["q", "h"], "recv q;h"),
        ("a=simulcast:recv x send h;f", ["h", "f"], "recv h;f"),
        ("a=simulcast:send h;h;nobody", ["h"], None),
        ("a=simulcast:recv q;h", ["q"], None),
        ("", ["q"], None),
    ],
)
def test_what_simulcast_lines_mean(
    scene: Scene, lines: str, taken: list[str], answered: str | None
) -> None:
    text = recorded("chromium_simulcast").replace("a=simulcast:send q;h;f\r\n", "")
    text = text.replace(
        "a=rid:f send\r\n", f"a=rid:f send\r\n{lines}\r\n" if lines else "a=rid:f send\r\n"
    )
    answer = scene.join("a").negotiate(Offer(text)).sdp
    assert rids_of(scene) == taken
    rows = [row for row in section(answer, 0) if "simulcast" in row]
    assert rows == ([f"a=simulcast:{answered}"] if answered else [])


def test_stream_identifiers_are_negotiated_for_simulcast_only(scene: Scene) -> None:
    answer = scene.join("a").negotiate(Offer(recorded("chromium_publish"))).sdp
    assert "rtp-stream-id" not in answer


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("sendonly", "recvonly"),
        ("recvonly", "inactive"),
        ("sendrecv", "recvonly"),
        ("inactive", "inactive"),
    ],
)
def test_directions_while_nobody_else_publishes(scene: Scene, offered: str, answered: str) -> None:
    client = Client()
    client.add("audio", offered)
    assert direction(scene.join("a").negotiate(Offer(client.sdp)).sdp, 0) == answered


def test_a_sendrecv_line_publishes_and_receives(scene: Scene) -> None:
    scene.call(scene.join("a"))
    client = Client()
    client.add("audio", "sendrecv")
    answer = scene.join("b").negotiate(Offer(client.sdp))
    assert direction(answer.sdp, 0) == "sendrecv"
    assert list(answer.published) == list(answer.subscribed) == ["0"]


def test_sources_by_default_and_by_declaration(scene: Scene) -> None:
    client = Client().publish("audio", "video", "video")
    participant = scene.join("a")
    participant.negotiate(Offer(client.sdp))
    assert [item.source for item in participant.published.values()] == [
        Source.MICROPHONE,
        Source.CAMERA,
        Source.SCREEN,
    ]
    other = scene.join("b")
    answer = other.negotiate(Offer(client.sdp, declare(m1="screen")))
    sources = {mid: other.published[track].source for mid, track in answer.published.items()}
    assert sources == {"0": Source.MICROPHONE, "1": Source.SCREEN, "2": Source.CAMERA}


@pytest.mark.parametrize(
    ("tracks", "error", "text"),
    [
        (declare(m9="camera"), SdpError, "not in the offer"),
        (declare(m0="microphone") * 2, SdpError, "twice"),
        (declare(m0="camera"), SdpError, "m-section 1: camera is video"),
        (declare(m1="camera", m2="camera"), SdpError, "two lines carry camera"),
        (declare(m3="screen_audio"), SdpError, "does not send"),
        (declare(m1="screen"), ForbiddenError, "publish screen"),
    ],
)
def test_declarations_must_fit_and_nothing_changes_if_they_do_not(
    scene: Scene, tracks: list[TrackDeclaration], error: type[SfuError], text: str
) -> None:
    grant = Grant(
        Role.CUSTOMER,
        frozenset({Source.MICROPHONE, Source.CAMERA}),
        frozenset(Role),
        hidden=False,
        expires_at=FOREVER,
    )
    participant = scene.join("a", grant=grant)
    scene.engine.take()
    client = Client().publish("audio", "video", "video").receive(1, 0)
    with pytest.raises(error, match=text):
        participant.negotiate(Offer(client.sdp, tracks))
    assert not scene.engine.commands
    assert not participant.published
    assert participant.media is MediaState.NONE


def test_undeclared_lines_beyond_the_grant_are_not_taken(scene: Scene) -> None:
    supervisor = scene.join("s", Role.SUPERVISOR)
    answer = supervisor.negotiate(Offer(recorded("chromium_sendrecv_datachannel")))
    assert not answer.published
    assert [direction(answer.sdp, index) for index in range(3)] == [
        "inactive",
        "inactive",
        "rejected",
    ]
    assert not scene.engine.producers


def test_hidden_participants_publish_nothing_whatever_the_grant_says(scene: Scene) -> None:
    grant = Grant(Role.SUPERVISOR, frozenset(Source), frozenset(Role), True, FOREVER)
    participant = scene.join("s", grant=grant)
    with pytest.raises(ForbiddenError):
        participant.negotiate(Offer(Client().publish().sdp, declare(m0="microphone")))


def test_track_limit() -> None:
    scene = Scene(SfuConfig(max_tracks_per_participant=2))
    participant = scene.join("a")
    with pytest.raises(TrackLimitError) as caught:
        participant.negotiate(Offer(Client().publish("audio", "video", "video").sdp))
    assert caught.value.code == "forbidden"
    assert participant.negotiate(Offer(Client().publish().sdp)).published


def test_lines_without_a_known_codec_are_rejected_and_an_error_if_declared(scene: Scene) -> None:
    h265 = ("96 H265/90000", ["nack"], "", None)
    client = Client().publish("audio")
    client.add("video", "sendonly", [h265])
    participant = scene.join("a")
    assert direction(participant.negotiate(Offer(client.sdp)).sdp, 1) == "rejected"
    with pytest.raises(NoCommonCodecError) as caught:
        participant.negotiate(Offer(client.sdp, declare(m1="camera")))
    assert caught.value.code == "no_common_codec"


def test_the_configuration_restricts_codecs() -> None:
    scene = Scene(SfuConfig(video_codecs=("h264",)))
    client = Client()
    client.add("video", "sendonly", [VP8, VP9, H264, AV1])
    answer = scene.join("a").negotiate(Offer(client.sdp)).sdp
    assert section(answer, 0)[0] == "m=video 9 UDP/TLS/RTP/SAVPF 102 103"


def test_the_same_offer_again_changes_nothing_in_the_plane(scene: Scene) -> None:
    participant = scene.join("a")
    first = scene.call(participant)
    scene.engine.take()
    second = scene.call(participant)
    assert not scene.engine.commands
    assert second.published == first.published
    credentials = [row for row in first.sdp.split("\r\n") if row.startswith("a=ice-")]
    assert credentials == [row for row in second.sdp.split("\r\n") if row.startswith("a=ice-")]
    assert _origin(second.sdp)[0] == _origin(first.sdp)[0]
    assert _origin(second.sdp)[1] > _origin(first.sdp)[1]


def test_new_ice_credentials_restart_ice(scene: Scene) -> None:
    participant = scene.join("a")
    before = scene.call(participant).sdp
    scene.engine.take()
    scene.clients[participant].ufrag = "efgh"
    after = scene.call(participant).sdp
    ((name, arguments),) = scene.engine.take()
    assert name == "restart_ice"
    assert arguments["remote_ufrag"] == "efgh"
    assert f"a=ice-ufrag:{arguments['local_ufrag']}\r\n" in after
    assert f"a=ice-ufrag:{arguments['local_ufrag']}\r\n" not in before


@pytest.mark.parametrize("setup", ["active", "actpass"])
def test_the_dtls_role_stays_what_it_was(scene: Scene, setup: str) -> None:
    participant = scene.join("a")
    scene.call(participant)
    scene.clients[participant].setup = setup
    assert "a=setup:passive\r\n" in scene.call(participant).sdp
    scene.clients[participant].setup = "passive"
    with pytest.raises(SdpError, match="a=setup changed"):
        scene.call(participant)


def test_changed_streams_update_the_producer(scene: Scene) -> None:
    participant = scene.join("a")
    scene.call(participant)
    scene.engine.take()
    scene.clients[participant].lines[1].ssrc = 4711
    scene.call(participant)
    ((name, arguments),) = scene.engine.take()
    assert name == "update_producer"
    assert arguments["encodings"][0].ssrc == 4711


@pytest.mark.parametrize("change", ["stopped", "inactive", "recvonly"])
def test_a_line_that_no_longer_sends_unpublishes(scene: Scene, change: str) -> None:
    participant = scene.join("a")
    scene.call(participant)
    line = scene.clients[participant].lines[1]
    if change == "stopped":
        line.port = 0
    else:
        line.direction = change
    scene.listener.take()
    answer = scene.call(participant)
    assert list(answer.published) == ["0"]
    assert [item.kind for (item,) in scene.listener.of("track_unpublished")] == ["video"]
    assert len(scene.engine.producers) == 1


def test_a_recycled_line_may_carry_another_track(scene: Scene) -> None:
    participant = scene.join("a")
    scene.call(participant)
    line = scene.clients[participant].lines[1]
    line.port = 0
    scene.call(participant)
    line.port, line.mid = 9, "7"
    assert list(scene.call(participant).published) == ["0", "7"]


def test_a_track_that_moves_to_another_line_keeps_its_identifier(scene: Scene) -> None:
    publisher, subscriber = scene.join("a"), scene.join("b")
    before = scene.call(publisher).published["1"]
    scene.call(subscriber)
    client = scene.clients[publisher]
    client.lines[1].port = 0
    client.add("video", "sendonly")
    scene.listener.take()
    after = publisher.negotiate(Offer(client.sdp)).published
    assert after["2"] == before
    assert not scene.listener.of("track_published")
    (consumer,) = [
        item
        for item in scene.engine.consumers.values()
        if item.arguments["codecs"][0].codec != "opus"
        and item.transport == scene.transport_of(subscriber)
    ]
    assert consumer.producer == scene.producer_of(publisher, "video")


def test_stopping_everything_closes_the_transport_and_a_later_offer_makes_a_new_one(
    scene: Scene,
) -> None:
    participant = scene.join("a")
    scene.call(participant)
    client = scene.clients[participant]
    for line in client.lines:
        line.port = 0
    participant.negotiate(Offer(client.sdp))
    assert participant.media is MediaState.NONE
    assert not scene.engine.transports
    assert not scene.engine.producers
    for line in client.lines:
        line.port = 9
    client.ufrag = "next"
    assert participant.negotiate(Offer(client.sdp)).published
    assert len(scene.engine.transports) == 1


def test_muted_tracks_start_paused(scene: Scene) -> None:
    participant = scene.join("a")
    tracks = [TrackDeclaration("0", Source.MICROPHONE, muted=True)]
    participant.negotiate(Offer(Client().publish().sdp, tracks))
    assert [item.paused for item in scene.engine.producers.values()] == [True, False]
    assert [item.muted for item in participant.published.values()] == [True, False]


def test_after_leaving_nothing_is_negotiated(scene: Scene) -> None:
    participant = scene.join("a")
    participant.leave("left")
    with pytest.raises(UnknownParticipantError):
        participant.negotiate(Offer(recorded("chromium_publish")))


@pytest.mark.parametrize("command", ["create_transport", "set_extensions", "add_producer"])
def test_a_refusal_of_the_plane_leaves_no_half_made_connection(scene: Scene, command: str) -> None:
    participant = scene.join("a")
    scene.engine.refuse = {command}
    with pytest.raises(EngineUnavailableError):
        scene.call(participant)
    assert not participant.published
    assert participant.media is MediaState.NONE
    assert not scene.sfu._registry.transports
    scene.engine.refuse = set()
    assert scene.call(participant).published


def test_an_offer_on_a_connection_that_is_gone_is_refused_but_a_new_connection_is_not(
    scene: Scene,
) -> None:
    participant = scene.join("a")
    scene.call(participant)
    scene.emit(
        Event.TransportStateChanged(scene.transport_of(participant), "failed", "consent_expired")
    )
    assert participant.media == "failed"
    client = scene.clients[participant]
    client.ufrag = "efgh"
    with pytest.raises(SdpError, match="new RTCPeerConnection"):
        participant.negotiate(Offer(client.sdp))
    for reborn in (client.reloaded(client.fingerprint), client.reloaded(FINGERPRINT_B)):
        scene.emit(Event.TransportStateChanged(scene.transport_of(participant), "failed"))
        assert participant.negotiate(Offer(reborn.sdp)).published
        assert participant.media == "connecting"
        assert len(scene.engine.transports) == 1


def _origin(sdp: str) -> tuple[Any, int]:
    words = sdp.split("\r\n")[1].split(" ")
    return words[1], int(words[2])
