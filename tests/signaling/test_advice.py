"""What clients are told against loss of audio: copies to send, how long to hold what comes."""

import pytest
from pydantic import ValidationError

from sfu import Role, Source
from signaling.advice import ADVICE_INTERVAL_S
from signaling.notices import Playout, PlayoutLine, ProtectedLine, Protection
from tests.fakes.engine import Event
from tests.signaling.scene import End, Scene


def call() -> tuple[Scene, End, End]:
    """A customer with a microphone and an RM that hears it."""
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    scene.publish(customer, Source.MICROPHONE)
    scene.publish(rm, receive=["audio"])
    rm.clear()
    customer.clear()
    return scene, rm, customer


def protect(scene: Scene, offsets: list[int], bitrate_bps: int | None = None) -> None:
    (producer,) = scene.engine.producers
    scene.emit(Event.AudioProtection(producer, offsets, bitrate_bps))
    scene.run(0)


def hold(scene: Scene, delay_ms: int) -> None:
    (consumer,) = scene.engine.consumers
    scene.emit(Event.PlayoutDelay(consumer, delay_ms))
    scene.run(0)


def test_the_publisher_learns_the_copies_and_the_subscriber_the_delay() -> None:
    scene, rm, customer = call()
    protect(scene, [1, 2, 4], 24_000)
    hold(scene, 320)
    line = {"mid": "0", "offsets": [1, 2, 4], "bitrate_bps": 24_000}
    assert customer.take("protection") == [{"tracks": [line], "floor_bps": None}]
    assert rm.take("playout") == [{"tracks": [{"mid": "0", "delay_ms": 320}]}]
    assert customer.take("playout") == rm.take("protection") == []
    assert all("seq" not in frame for frame in [*rm.frames, *customer.frames])


def test_the_end_of_loss_is_told_too() -> None:
    scene, rm, customer = call()
    protect(scene, [1])
    hold(scene, 100)
    scene.run(1)
    protect(scene, [])
    hold(scene, 0)
    assert customer.take("protection")[-1] == {"tracks": [], "floor_bps": None}
    assert rm.take("playout")[-1] == {"tracks": []}


def test_quick_changes_are_told_once_per_interval_and_the_newest_wins() -> None:
    scene, _, customer = call()
    for count in range(1, 18):
        protect(scene, list(range(1, count + 1)))
    assert [len(told["tracks"][0]["offsets"]) for told in customer.take("protection")] == [1]
    scene.run(ADVICE_INTERVAL_S)
    assert [len(told["tracks"][0]["offsets"]) for told in customer.take("protection")] == [1, 17]
    scene.run(60)
    assert len(customer.take("protection")) == 2


def test_a_socket_that_takes_nothing_gets_only_the_newest() -> None:
    scene, _, customer = call()
    for count in range(1, 18):
        protect(scene, list(range(1, count + 1)))
        scene.run(1)
    told = customer.take("protection")
    assert [len(item["tracks"][0]["offsets"]) for item in told] == [17]


def test_whoever_comes_back_is_told_how_things_are_now() -> None:
    scene, _, customer = call()
    customer.lose()
    for count in range(1, 18):
        protect(scene, list(range(1, count + 1)))
        scene.run(1)
    back = scene.resume(customer, last_seq=customer.last_seq)
    assert back.frames[0]["type"] == "resumed"
    scene.run(0)
    assert [len(item["tracks"][0]["offsets"]) for item in back.take("protection")] == [17]
    back.ack()
    back.lose()
    protect(scene, [])
    again = scene.resume(back, last_seq=back.last_seq)
    scene.run(ADVICE_INTERVAL_S)
    assert again.take("protection") == [{"tracks": [], "floor_bps": None}]
    again.ack()
    again.lose()
    quiet = scene.resume(again, last_seq=again.last_seq)
    scene.run(60)
    assert quiet.take("protection") == [], "what is known needs no reminder"


def test_a_page_that_is_new_is_told_only_what_is_not_so_by_itself() -> None:
    scene, rm, customer = call()
    protect(scene, [1])
    hold(scene, 200)
    scene.run(1)
    for end, name, role in ((customer, "customer-1", Role.CUSTOMER), (rm, "rm-1", Role.RM)):
        end.lose()
        anew = scene.join(name, role)
        scene.run(60)
        # Of a new page nothing is known until it has offered, and then the plane begins anew.
        assert anew.take("protection") == anew.take("playout") == []


def test_a_new_media_connection_begins_without_advice() -> None:
    scene, _, customer = call()
    protect(scene, [1, 2])
    (participant,) = (
        item for item in scene.hub.sfu.rooms["sale-1"].participants.values() if item.published
    )
    assert participant.audio_protections()
    customer.lose()
    anew = scene.resume(customer, last_seq=None)
    scene.publish(anew, Source.MICROPHONE)
    scene.run(1)
    anew.clear()
    protect(scene, [1, 2])
    assert anew.take("protection") == [
        {"tracks": [{"mid": "0", "offsets": [1, 2], "bitrate_bps": None}], "floor_bps": None}
    ]


def test_advice_about_what_is_gone_is_ignored() -> None:
    scene, rm, customer = call()
    (producer,) = scene.engine.producers
    (consumer,) = scene.engine.consumers
    customer.ask("leave")
    scene.emit(Event.AudioProtection(producer, [1], None))
    scene.emit(Event.PlayoutDelay(consumer, 100))
    scene.run(1)
    assert rm.take("playout") == rm.take("protection") == []


def test_a_publisher_is_told_how_low_its_estimate_may_fall() -> None:
    scene, _, customer = call()
    (producer,) = scene.engine.producers.values()
    transport = producer.transport
    scene.emit(Event.UplinkFloor(transport, 900_000))
    scene.run(1)
    assert customer.take("protection") == [{"tracks": [], "floor_bps": 900_000}]
    scene.emit(Event.UplinkFloor(transport, None))
    scene.run(1)
    assert customer.take("protection")[-1] == {"tracks": [], "floor_bps": None}


def test_a_delay_beyond_what_browsers_take_is_cut() -> None:
    scene, rm, _ = call()
    hold(scene, 60_000)
    assert rm.take("playout") == [{"tracks": [{"mid": "0", "delay_ms": 10_000}]}]


@pytest.mark.parametrize(
    ("offsets", "bitrate_bps"), [((0,), None), ((18,), None), (tuple([1] * 18), None), ((1,), 0)]
)
def test_what_the_schema_forbids_is_not_sent(
    offsets: tuple[int, ...], bitrate_bps: int | None
) -> None:
    with pytest.raises(ValidationError):
        Protection(tracks=(ProtectedLine(mid="0", offsets=offsets, bitrate_bps=bitrate_bps),))
    with pytest.raises(ValidationError):
        Playout(tracks=(PlayoutLine(mid="0", delay_ms=-1),))
