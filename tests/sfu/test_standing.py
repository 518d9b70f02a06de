"""A participant that offers once and is never asked again."""

import re

import pytest

from sfu import Grant, Offer, Participant, Role, Selection, Source
from sfu.errors import SdpError, UnknownParticipantError
from sfu.plane import Ice
from sfu.subscription import SubscriptionState
from tests.fakes.engine import Event
from tests.sfu.conftest import FOREVER, Scene
from tests.sfu.offers import (
    FINGERPRINT_A,
    FINGERPRINT_B,
    H264,
    VP8,
    Client,
    Codec,
    direction,
    section,
)


def watch(
    scene: Scene,
    audio: int = 1,
    video: int = 1,
    selection: Selection | None = None,
    client: Client | None = None,
) -> tuple[Participant, str]:
    """A viewer and the answer to its one offer."""
    viewer = scene.join("viewer", selection=selection or Selection())
    client = (client or Client()).receive(audio, video)
    return viewer, viewer.negotiate(Offer(client.sdp)).sdp


def carried(viewer: Participant) -> dict[str, str]:
    """mid → publisher and source of what is on it."""
    assert viewer.transport is not None
    return {
        mid: f"{item.subscription.track.participant_id}/{item.subscription.track.source}"
        for mid, item in viewer.transport.lines.items()
        if item.subscription is not None
    }


def ssrcs(sdp: str, number: int) -> set[str]:
    return set(re.findall(r"a=ssrc:(\d+) ", "\n".join(section(sdp, number))))


def test_lines_are_answered_as_sending_before_anything_is_published(scene: Scene) -> None:
    viewer, sdp = watch(scene, 1, 2)
    assert [direction(sdp, number) for number in range(3)] == ["sendonly"] * 3
    assert all(ssrcs(sdp, number) for number in range(3))
    assert not carried(viewer)
    assert not scene.engine.consumers


def test_a_track_that_comes_later_is_sent_on_what_was_announced(scene: Scene) -> None:
    viewer, sdp = watch(scene)
    scene.call(scene.join("rm-1", Role.RM))
    assert carried(viewer) == {"0": "rm-1/microphone", "1": "rm-1/camera"}
    sent = {item.arguments["mid"]: item.arguments for item in scene.engine.consumers.values()}
    for mid in ("0", "1"):
        assert str(sent[mid]["ssrc"]) in ssrcs(sdp, int(mid))
        assert f"a=ssrc:{sent[mid]['ssrc']} cname:{sent[mid]['cname']}" in sdp
    assert not [who for who, _ in scene.listener.of("negotiation_needed") if who is viewer]


def test_the_rm_comes_first_then_the_customer_then_the_expert(scene: Scene) -> None:
    for name, role in (("e", Role.EXPERT), ("c", Role.CUSTOMER), ("r", Role.RM)):
        scene.call(scene.join(name, role))
    viewer, _ = watch(scene, 2, 1)
    assert carried(viewer) == {"0": "r/microphone", "1": "c/microphone", "2": "r/camera"}


def test_a_line_keeps_its_track_and_goes_to_the_next_when_that_ends(scene: Scene) -> None:
    customer = scene.join("c", Role.CUSTOMER)
    scene.call(customer)
    viewer, _ = watch(scene)
    before = dict(scene.engine.consumers)
    rm = scene.join("r", Role.RM)
    scene.call(rm)
    assert carried(viewer) == {"0": "c/microphone", "1": "c/camera"}
    customer.leave("left")
    assert carried(viewer) == {"0": "r/microphone", "1": "r/camera"}
    assert dict(scene.engine.consumers) == before
    sources = {item.producer for item in scene.engine.consumers.values()}
    assert sources == {scene.producer_of(rm, "audio"), scene.producer_of(rm, "video")}


def test_a_publisher_that_comes_back_is_on_the_same_stream(scene: Scene) -> None:
    rm = scene.join("r", Role.RM)
    scene.call(rm)
    viewer, _ = watch(scene)
    streams = set(scene.engine.consumers)
    rm.leave("left")
    assert not carried(viewer)
    assert {item.producer for item in scene.engine.consumers.values()} == {None}
    again = scene.join("r", Role.RM)
    scene.call(again)
    assert carried(viewer) == {"0": "r/microphone", "1": "r/camera"}
    assert set(scene.engine.consumers) == streams


def test_only_the_selected_participant_is_sent(scene: Scene) -> None:
    scene.call(scene.join("r", Role.RM))
    viewer, _ = watch(scene, 2, 2, Selection(participants=("c", "e")))
    assert not carried(viewer)
    scene.call(scene.join("e", Role.EXPERT), "audio")
    scene.call(scene.join("c"), "audio")
    assert set(carried(viewer).values()) == {"c/microphone", "e/microphone"}


def test_only_the_selected_tracks_are_sent(scene: Scene) -> None:
    rm = scene.join("r", Role.RM)
    scene.call(rm)
    (camera,) = [key for key, item in rm.published.items() if item.source is Source.CAMERA]
    viewer, _ = watch(scene, 1, 1, Selection(tracks=(camera,)))
    assert carried(viewer) == {"1": "r/camera"}


def test_tracks_of_roles_outside_the_grant_are_not_sent(scene: Scene) -> None:
    scene.call(scene.join("r", Role.RM))
    grant = Grant(Role.CUSTOMER, frozenset(), frozenset({Role.EXPERT}), hidden=False, expires_at=0)
    viewer = scene.join("v", grant=grant, selection=Selection())
    viewer.negotiate(Offer(Client().receive(1, 1).sdp))
    assert not carried(viewer)


def test_a_track_without_a_common_codec_leaves_the_line_to_another(scene: Scene) -> None:
    h264 = Client()
    h264.add("video", "sendonly", [H264])
    scene.join("r", Role.RM).negotiate(Offer(h264.sdp))
    client = Client()
    client.add("video", "recvonly", [VP8])
    viewer, _ = watch(scene, 0, 1, client=client)
    assert not carried(viewer)
    states = [item.state for item in viewer.reception.subscriptions.values()]
    assert states == [SubscriptionState.UNAVAILABLE]
    vp8 = Client()
    vp8.add("video", "sendonly", [VP8])
    scene.join("c").negotiate(Offer(vp8.sdp))
    assert carried(viewer) == {"0": "c/camera"}


@pytest.mark.parametrize("again", ["on the same connection", "on a new one"])
def test_a_track_whose_codec_the_viewer_lacks_from_now_on_leaves_the_line_to_the_next(
    scene: Scene, again: str
) -> None:
    def camera(codec: Codec, certificate: str = FINGERPRINT_A) -> str:
        client = Client(certificate)
        client.add("video", "sendonly", [codec])
        return client.sdp

    rm, customer = scene.join("r", Role.RM), scene.join("c")
    rm.negotiate(Offer(camera(VP8)))
    customer.negotiate(Offer(camera(VP8)))
    client = Client()
    client.add("video", "recvonly", [VP8])
    viewer, _ = watch(scene, 0, 0, client=client)
    assert carried(viewer) == {"0": "r/camera"}
    certificate = FINGERPRINT_A if again == "on the same connection" else FINGERPRINT_B
    rm.negotiate(Offer(camera(H264, certificate)))
    assert carried(viewer) == {"0": "c/camera"}
    rm.negotiate(Offer(camera(VP8, certificate)))
    assert carried(viewer) == {"0": "c/camera"}
    customer.leave("left")
    assert carried(viewer) == {"0": "r/camera"}


def test_a_viewer_on_a_new_connection_gets_everything_again(scene: Scene) -> None:
    scene.call(scene.join("r", Role.RM))
    viewer, first = watch(scene)
    second = viewer.negotiate(Offer(Client().receive(1, 1).reloaded().sdp)).sdp
    assert carried(viewer) == {"0": "r/microphone", "1": "r/camera"}
    assert ssrcs(first, 0) != ssrcs(second, 0)
    assert len(scene.engine.consumers) == 2


def test_a_viewer_that_keeps_its_certificate_has_a_new_connection_all_the_same(
    scene: Scene,
) -> None:
    scene.call(scene.join("r", Role.RM))
    viewer, _ = watch(scene, 2, 2)
    before = scene.transport_of(viewer)
    client = Client()
    client.ufrag = "other"
    viewer.negotiate(Offer(client.receive(1, 1).sdp, restarts_ice=False))
    assert scene.transport_of(viewer) != before
    assert carried(viewer) == {"0": "r/microphone", "1": "r/camera"}
    assert before not in scene.engine.transports
    assert len(scene.engine.consumers) == 2


@pytest.mark.parametrize("kept", [(1, 0), (1, 1), (0, 1)])
def test_lines_that_are_offered_no_more_end_with_their_streams(
    scene: Scene, kept: tuple[int, int]
) -> None:
    for name, role in (("r", Role.RM), ("c", Role.CUSTOMER)):
        scene.call(scene.join(name, role))
    viewer, _ = watch(scene, 2, 2)
    transport = scene.transport_of(viewer)
    answer = viewer.negotiate(Offer(Client().receive(*kept).sdp)).sdp
    assert scene.transport_of(viewer) == transport
    wanted = ["r/microphone"] * kept[0] + ["r/camera"] * kept[1]
    assert carried(viewer) == {str(mid): track for mid, track in enumerate(wanted)}
    sent = [item for item in scene.engine.consumers.values() if item.transport == transport]
    assert sorted(item.arguments["mid"] for item in sent) == sorted(carried(viewer))
    numbers = {item.arguments[key] for item in sent for key in ("ssrc", "rtx_ssrc")} - {None}
    announced = set().union(*(ssrcs(answer, line) for line in range(sum(kept))))
    assert {str(number) for number in numbers} == announced
    assert viewer.transport is not None
    assert viewer.transport.ssrcs == numbers


def test_lines_follow_roles_and_the_room_from_track_to_track(scene: Scene) -> None:
    def priorities() -> list[int]:
        wishes = [item.layers for item in scene.engine.consumers.values()]
        return [0 if wish is None else wish["priority"] for wish in wishes]

    expert = scene.join("e", Role.EXPERT)
    scene.call(expert, "video")
    watch(scene, 0, 1)
    assert priorities() == [1]
    expert.leave("left")
    rm = scene.join("r", Role.RM)
    scene.call(rm, "video")
    assert priorities() == [0]
    scene.room.put_screen_first(True)
    assert priorities() == [1]
    rm.leave("left")
    scene.room.put_screen_first(False)
    scene.call(scene.join("e", Role.EXPERT), "video")
    assert priorities() == [1]
    scene.engine.take()
    scene.room.put_screen_first(False)
    assert scene.engine.names() == []


def test_sound_and_picture_of_a_pair_of_lines_are_played_in_step(scene: Scene) -> None:
    _, sdp = watch(scene, 2, 2)
    streams = re.findall(r"a=msid:(\S+) (\S+)\r\n", sdp)
    assert streams == [
        ("watch-1", "audio-1"),
        ("watch-2", "audio-2"),
        ("watch-1", "video-1"),
        ("watch-2", "video-2"),
    ]


def test_nothing_is_sent_to_a_viewer_that_has_left(scene: Scene) -> None:
    scene.call(scene.join("r", Role.RM))
    viewer, _ = watch(scene)
    viewer.leave("left")
    assert not scene.engine.consumers
    scene.call(scene.join("c"))
    assert not viewer.reception.subscriptions


def test_ice_restart_without_an_offer_changes_both_credentials(scene: Scene) -> None:
    viewer, sdp = watch(scene)
    local = viewer.restart_ice(Ice("efgh", "b" * 24))
    assert f"a=ice-ufrag:{local.ufrag}\r" not in sdp
    assert viewer.ice == (local, Ice("efgh", "b" * 24))
    name, arguments = scene.engine.commands[-1]
    assert name == "restart_ice"
    assert (arguments["local_ufrag"], arguments["remote_ufrag"]) == (local.ufrag, "efgh")


def test_ice_can_not_be_restarted_where_there_is_no_connection(scene: Scene) -> None:
    viewer = scene.join("viewer", selection=Selection())
    assert viewer.ice is None
    with pytest.raises(SdpError, match="make a new one"):
        viewer.restart_ice(Ice("efgh", "b" * 24))
    viewer.negotiate(Offer(Client().receive(1, 1).sdp))
    scene.emit(Event.TransportStateChanged(scene.transport_of(viewer), "failed", "dtls_failed"))
    with pytest.raises(SdpError, match="make a new one"):
        viewer.restart_ice(Ice("efgh", "b" * 24))
    viewer.leave("left")
    with pytest.raises(UnknownParticipantError):
        viewer.restart_ice(Ice("efgh", "b" * 24))


def test_an_offer_is_checked_without_a_trace(scene: Scene) -> None:
    grant = Grant.default_for(Role.RM, FOREVER)
    scene.sfu.check_offer(Offer(Client(FINGERPRINT_A).publish().sdp), grant)
    with pytest.raises(SdpError):
        scene.sfu.check_offer(Offer("nonsense"), grant)
    assert not scene.sfu.rooms
    assert not scene.engine.commands
