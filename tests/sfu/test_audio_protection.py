"""RED and NACK of audio in the descriptions, and what the plane says about them."""

import pytest

from sfu import AudioProtection, Offer, Participant, PlayoutDelay
from tests.fakes.engine import Event
from tests.sfu.conftest import Scene
from tests.sfu.offers import OPUS, Client, Codec, section

RED: Codec = ("63 red/48000/2", [], "111/111", None)
OPUS_NACK: Codec = (OPUS[0], ["transport-cc", "nack"], OPUS[2], None)


def numbers(answer: str, line: int) -> list[str]:
    """Payload types of an m-line."""
    return section(answer, line)[0].split(" ")[3:]


@pytest.mark.parametrize(
    ("codecs", "direction", "expected"),
    [
        ([OPUS, RED], "sendonly", ["111", "63"]),
        ([RED, OPUS], "sendonly", ["63", "111"]),
        ([OPUS, RED], "recvonly", ["63", "111"]),
        ([RED, OPUS], "recvonly", ["63", "111"]),
        ([OPUS], "recvonly", ["111"]),
    ],
)
def test_answers_prefer_red_where_the_client_receives_or_wants_to_send_it(
    scene: Scene, codecs: list[Codec], direction: str, expected: list[str]
) -> None:
    customer = scene.join("customer")
    client = Client()
    client.add("audio", direction, codecs)
    answer = customer.negotiate(Offer(client.sdp)).sdp
    rows = section(answer, 0)
    assert numbers(answer, 0) == expected
    assert ("a=rtpmap:63 red/48000/2" in rows) == ("63" in expected)
    assert ("a=fmtp:63 111/111" in rows) == ("63" in expected)


def test_the_plane_learns_red_and_nack_of_both_sides(scene: Scene) -> None:
    customer, rm = scene.join("customer"), scene.join("rm")
    publisher, subscriber = Client(), Client()
    publisher.add("audio", "sendonly", [RED, OPUS_NACK])
    answer = customer.negotiate(Offer(publisher.sdp)).sdp
    assert "a=rtcp-fb:111 nack" in section(answer, 0)
    subscriber.add("audio", "recvonly", [OPUS_NACK, RED])
    answer = rm.negotiate(Offer(subscriber.sdp)).sdp
    assert "a=rtcp-fb:111 nack" in section(answer, 0)
    (producer,) = scene.engine.producers.values()
    (consumer,) = scene.engine.consumers.values()
    for side in (producer, consumer):
        (codec,) = side.arguments["codecs"]
        assert (codec.payload_type, codec.red_payload_type) == (111, 63)
        assert side.arguments["nack"] is True


def test_protection_and_delay_reach_the_listener_with_the_mid(scene: Scene) -> None:
    customer, rm = scene.join("customer"), scene.join("rm")
    publisher, subscriber = Client(), Client()
    publisher.add("video", "sendonly")
    publisher.add("audio", "sendonly", [RED, OPUS])
    customer.negotiate(Offer(publisher.sdp))
    subscriber.receive(1, 1)
    rm.negotiate(Offer(subscriber.sdp))
    assert (customer.audio_protections(), rm.playout_delays()) == ([], [])
    scene.listener.take()
    producer = scene.producer_of(customer)
    (line,) = (item for item in subscriber.lines if item.kind == "audio")
    consumer = next(
        key for key, item in scene.engine.consumers.items() if item.arguments["mid"] == line.mid
    )
    scene.emit(Event.AudioProtection(producer, [1, 2, 4], 20_000))
    scene.emit(Event.PlayoutDelay(consumer, 260))
    protection = AudioProtection("1", (1, 2, 4), 20_000)
    delay = PlayoutDelay(line.mid, 0.26)
    assert scene.listener.take() == [
        ("audio_protection_changed", (customer, protection)),
        ("playout_delay_changed", (rm, delay)),
    ]
    assert customer.audio_protections() == [protection]
    assert rm.playout_delays() == [delay]
    scene.emit(Event.PlayoutDelay(consumer, 0), Event.AudioProtection(producer, []))
    assert rm.playout_delays() == []
    assert customer.audio_protections() == [AudioProtection("1")]


def test_floor_of_a_way_up_belongs_to_its_transport(scene: Scene) -> None:
    customer = scene.join("customer")
    assert customer.uplink_floor_bps is None
    publisher = Client()
    publisher.add("video", "sendonly")
    customer.negotiate(Offer(publisher.sdp))
    scene.listener.take()
    assert customer.transport is not None
    transport = customer.transport.transport_id
    scene.emit(Event.UplinkFloor(transport, 900_000), Event.UplinkFloor(transport + 1, 500_000))
    assert scene.listener.take() == [("uplink_floor_changed", (customer,))]
    assert customer.uplink_floor_bps == 900_000
    scene.emit(Event.UplinkFloor(transport, None))
    assert customer.uplink_floor_bps is None


def test_events_of_tracks_that_are_gone_are_ignored(scene: Scene) -> None:
    scene.join("customer")
    scene.listener.take()
    scene.emit(Event.AudioProtection(77, [1]), Event.PlayoutDelay(78, 20))
    assert scene.listener.take() == []


def advised(scene: Scene) -> tuple[Participant, Client, Participant, str]:
    """A customer told to send copies and an RM told to wait for them, with the RM's audio line."""
    customer, rm = scene.join("customer"), scene.join("rm")
    publisher, subscriber = Client(), Client()
    publisher.add("audio", "sendonly", [RED, OPUS])
    customer.negotiate(Offer(publisher.sdp))
    subscriber.receive(1, 0)
    rm.negotiate(Offer(subscriber.sdp))
    (consumer,) = scene.engine.consumers
    scene.emit(Event.AudioProtection(scene.producer_of(customer), [1, 2], None))
    scene.emit(Event.PlayoutDelay(consumer, 260))
    scene.listener.take()
    (line,) = subscriber.lines
    return customer, publisher, rm, line.mid


def said(scene: Scene) -> list[tuple[str, object]]:
    """Advice of either kind."""
    kinds = ("audio_protection_changed", "playout_delay_changed")
    return [(name, values[1]) for name, values in scene.listener.take() if name in kinds]


def test_a_line_that_becomes_free_is_held_no_longer(scene: Scene) -> None:
    _, _, rm, mid = advised(scene)
    (track_id,) = rm.reception.subscriptions
    rm.unsubscribe(track_id)
    assert said(scene) == [("playout_delay_changed", PlayoutDelay(mid, 0.0))]
    rm.subscribe(track_id)
    rm.unsubscribe(track_id)
    assert said(scene) == [], "nothing was said of the one that came after"


def test_a_track_that_ends_needs_no_copies_and_its_line_no_waiting(scene: Scene) -> None:
    customer, publisher, _, mid = advised(scene)
    publisher.lines[0].direction = "inactive"
    customer.negotiate(Offer(publisher.sdp))
    assert sorted(said(scene), key=str) == [
        ("audio_protection_changed", AudioProtection("0")),
        ("playout_delay_changed", PlayoutDelay(mid, 0.0)),
    ]
    assert customer.audio_protections() == []


def test_what_was_said_ends_with_the_connection_without_a_word(scene: Scene) -> None:
    customer, publisher, rm, _ = advised(scene)
    rm.negotiate(Offer(Client().receive(1, 0).reloaded().sdp))
    customer.negotiate(Offer(publisher.reloaded().sdp))
    assert [item for item in said(scene) if item[0] == "playout_delay_changed"] == []
    assert customer.audio_protections() == []
