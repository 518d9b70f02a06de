"""What subscribers show, what the plane is told of it, and what publishers are asked for."""

from types import SimpleNamespace

import pytest

from sfu import EncodingDemand, Offer, Role, SfuConfig, Size, Source, TrackDeclaration
from sfu.layers import priority_of, spatial_for
from tests.fakes.engine import Event
from tests.sfu.conftest import Scene
from tests.sfu.offers import FINGERPRINT_B, recorded

QHF = (Size(320, 180), Size(640, 360), Size(1280, 720))


@pytest.mark.parametrize(
    ("shown", "encodings", "expected"),
    [
        (Size(0, 0), QHF, None),
        (Size(640, 0), QHF, None),
        (Size(1, 1), QHF, 0),
        (Size(320, 180), QHF, 0),
        (Size(384, 216), QHF, 0),
        (Size(400, 225), QHF, 1),
        # A bar: the picture inside is no taller than the bar.
        (Size(1600, 180), QHF, 0),
        (Size(768, 432), QHF, 1),
        (Size(800, 450), QHF, 2),
        (Size(3840, 2160), QHF, 2),
        # Upright, as a telephone shows it.
        (Size(180, 320), QHF, 0),
        (Size(360, 640), QHF, 1),
        # Not declared: halves of 1,280 × 720.
        (Size(640, 360), (None, None, None), 1),
        (Size(640, 360), (None, None), 0),
        (Size(16_384, 16_384), (None,), 0),
        (Size(300, 300), (None,) * 8, 5),
        (Size(640, 360), (Size(160, 90), None, Size(1280, 720)), 1),
    ],
)
def test_the_smallest_encoding_that_looks_as_good_is_chosen(
    shown: Size, encodings: tuple[Size | None, ...], expected: int | None
) -> None:
    assert spatial_for(shown, encodings) == expected


def test_faces_of_the_parties_come_first_unless_the_room_says_otherwise() -> None:
    table = {
        (Role.RM, Source.CAMERA): (0, 1),
        (Role.CUSTOMER, Source.CAMERA): (0, 1),
        (Role.EXPERT, Source.CAMERA): (1, 2),
        (Role.RM, Source.SCREEN): (2, 0),
        (Role.EXPERT, Source.SCREEN): (2, 0),
    }
    for (role, source), (normal, screen_first) in table.items():
        assert priority_of(role, source, screen_first=False) == normal
        assert priority_of(role, source, screen_first=True) == screen_first


def simulcast_call(scene: Scene, *, declared: bool = True) -> tuple[str, int]:
    """An RM with three encodings and a customer who receives them; track and consumer."""
    rm = scene.join("rm", Role.RM)
    sizes = dict(zip("qhf", QHF, strict=True)) if declared else {}
    tracks = [TrackDeclaration("0", Source.CAMERA, sizes=sizes)]
    answer = rm.negotiate(Offer(recorded("chromium_simulcast"), tracks))
    scene.call(scene.join("customer"), "audio")
    (consumer,) = scene.engine.consumers
    return answer.published["0"], consumer


def layers(scene: Scene, consumer: int) -> dict[str, int | None]:
    told = scene.engine.consumers[consumer].layers
    assert told is not None
    return told


def test_sizes_become_layers_and_repetition_becomes_nothing(scene: Scene) -> None:
    track, consumer = simulcast_call(scene)
    customer = scene.room.participants["customer"]
    assert scene.engine.consumers[consumer].layers is None, "everything, first class"
    for size, spatial in [
        (Size(320, 180), 0),
        (Size(640, 360), 1),
        (Size(0, 0), None),
        (Size(1280, 720), 2),
    ]:
        scene.engine.take()
        for _ in range(3):
            customer.show({track: size})
        assert scene.engine.names() == ["set_consumer_layers"]
        assert layers(scene, consumer) == {"spatial": spatial, "temporal": 7, "priority": 0}


def test_what_is_not_there_or_not_visible_is_passed_over(scene: Scene) -> None:
    track, _ = simulcast_call(scene)
    rm, customer = (scene.room.participants[name] for name in ("rm", "customer"))
    scene.engine.take()
    rm.show({track: Size(0, 0)})
    customer.show({"t-nobody": Size(0, 0)})
    assert scene.engine.names() == []


def test_a_wish_said_before_the_line_is_there_is_kept(scene: Scene) -> None:
    customer = scene.join("customer")
    expert = scene.join("expert", Role.EXPERT)
    scene.call(expert, "audio", "video")
    (track,) = (item.track_id for item in expert.published.values() if item.kind == "video")
    customer.show({track: Size(0, 0)})
    scene.call(customer)
    told = [item.layers for item in scene.engine.consumers.values() if item.layers]
    assert told == [{"spatial": None, "temporal": 7, "priority": 1}]


def test_another_page_of_the_subscriber_starts_with_everything(scene: Scene) -> None:
    track, _ = simulcast_call(scene)
    customer = scene.room.participants["customer"]
    customer.show({track: Size(0, 0)})
    client = scene.clients[customer]
    client.fingerprint = FINGERPRINT_B
    customer.negotiate(Offer(client.sdp))
    (consumer,) = scene.engine.consumers
    assert scene.engine.consumers[consumer].layers is None


def test_priorities_follow_roles_and_the_room(scene: Scene) -> None:
    expert = scene.join("expert", Role.EXPERT)
    scene.call(expert, "video")
    scene.call(scene.join("customer"))
    (consumer,) = scene.engine.consumers
    assert layers(scene, consumer)["priority"] == 1
    scene.room.put_screen_first(True)
    assert layers(scene, consumer) == {"spatial": 255, "temporal": 7, "priority": 2}
    scene.engine.take()
    scene.room.put_screen_first(True)
    assert scene.engine.names() == []


def test_the_configuration_may_put_screens_first() -> None:
    scene = Scene(SfuConfig(screen_first=True))
    scene.call(scene.join("rm", Role.RM), "video")
    scene.call(scene.join("customer"))
    (consumer,) = scene.engine.consumers
    assert layers(scene, consumer)["priority"] == 1


def test_publishers_are_told_what_is_wanted_once(scene: Scene) -> None:
    track, _ = simulcast_call(scene)
    rm = scene.room.participants["rm"]
    producer = scene.producer_of(rm, "video")
    everything = [(rid, True) for rid in "qhf"]
    assert [(item.rid, item.wanted) for item in rm.demands()[0][1]] == everything
    scene.emit(Event.ProducerDemand(producer, [True, True, True]))
    assert scene.listener.of("demand_changed") == []
    for _ in range(2):
        scene.emit(Event.ProducerDemand(producer, [True, False, False]))
    ((told, demand),) = scene.listener.take("demand_changed")
    assert told.track_id == track
    expected = (("q", True), ("h", False), ("f", False))
    assert demand == tuple(EncodingDemand(*item) for item in expected)
    assert rm.demands() == [(told, demand)]
    # A new producer is asked for everything again.
    client_offer = recorded("chromium_simulcast").replace("sha-256 ", "sha-256 ", 1)
    client_offer = client_offer.replace(
        next(row for row in client_offer.split("\r\n") if row.startswith("a=fingerprint")),
        f"a=fingerprint:sha-256 {FINGERPRINT_B}",
    )
    rm.negotiate(Offer(client_offer))
    assert all(item.wanted for item in rm.demands()[0][1])


def test_events_about_what_is_gone_are_passed_over(scene: Scene) -> None:
    simulcast_call(scene)
    scene.emit(
        Event.ProducerDemand(999, [True]),
        Event.ConsumerLayersChanged(999, None, (0, 7), "budget"),
    )
    assert scene.listener.of("demand_changed") == []


def test_demand_that_was_lost_is_taken_from_the_snapshot(scene: Scene) -> None:
    simulcast_call(scene)
    producer = scene.producer_of(scene.room.participants["rm"], "video")
    encodings = [SimpleNamespace(wanted=wanted) for wanted in (True, False, False)]
    stats = SimpleNamespace(producer=producer, encodings=encodings)
    scene.engine.stats.producers.append(stats)
    scene.now_s += 1.0
    scene.emit(Event.EventsDropped(3))
    ((_, demand),) = scene.listener.of("demand_changed")
    assert [item.wanted for item in demand] == [True, False, False]


def test_a_demand_of_another_length_means_everything(scene: Scene) -> None:
    simulcast_call(scene)
    rm = scene.room.participants["rm"]
    scene.emit(Event.ProducerDemand(scene.producer_of(rm, "video"), [False]))
    assert all(item.wanted for item in rm.demands()[0][1])
