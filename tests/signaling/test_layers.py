"""Sizes from subscribers, and what publishers are told to send."""

from sfu import Role, Source
from tests.fakes.engine import Event
from tests.signaling.scene import End, Scene


def call() -> tuple[Scene, End, End, str]:
    """A customer with a camera and an RM that receives it."""
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    track = scene.publish(customer, Source.CAMERA)["camera"]
    scene.publish(rm, receive=["video"])
    rm.clear()
    customer.clear()
    return scene, rm, customer, track


def layers(scene: Scene) -> object:
    (consumer,) = scene.engine.consumers.values()
    return consumer.layers


def test_the_feature_is_announced() -> None:
    scene = Scene()
    end = scene.join()
    features = end.take("joined")[0]["features"]
    assert features == ["layers", "protection", "dtls_server", "sdp_deflate"]


def test_hidden_tracks_are_not_sent_and_shown_ones_are() -> None:
    scene, rm, _, track = call()
    hidden = [{"track_id": track, "width": 0, "height": 0}]
    assert rm.ask("layers.want", tracks=hidden)["type"] == "ok"
    assert layers(scene) == {"spatial": None, "temporal": 7, "priority": 0}
    commands = len(scene.engine.commands)
    assert rm.ask("layers.want", tracks=hidden)["type"] == "ok"
    assert len(scene.engine.commands) == commands, "said twice is said once"
    shown = [{"track_id": track, "width": 640, "height": 360}]
    assert rm.ask("layers.want", tracks=[*shown, {**shown[0], "track_id": "t-x"}])["type"] == "ok"
    assert layers(scene) == {"spatial": 0, "temporal": 7, "priority": 0}


def test_an_rm_puts_the_screen_or_faces_first_for_everybody() -> None:
    scene, rm, customer, _ = call()
    scene.publish(rm, Source.SCREEN)
    watcher = scene.join("expert-1", Role.EXPERT)
    scene.publish(watcher, receive=["video", "video"])

    def priorities() -> dict[int | None, int]:
        """By producer, for whom they were ever said."""
        consumers = scene.engine.consumers.values()
        return {item.producer: item.layers["priority"] for item in consumers if item.layers}

    assert rm.ask("layers.first", first="screen")["type"] == "ok"
    screen_first = priorities()
    commands = len(scene.engine.commands)
    assert rm.ask("layers.first", first="screen")["type"] == "ok"
    assert len(scene.engine.commands) == commands, "said twice is said once"
    for other in (customer, watcher):
        assert other.ask("layers.first", first="faces")["data"]["code"] == "forbidden"
        assert priorities() == screen_first
    assert rm.ask("layers.first", first="faces")["type"] == "ok"
    faces_first = priorities()
    assert faces_first.keys() == screen_first.keys()
    assert all(faces_first[producer] != screen_first[producer] for producer in faces_first)


def test_wishes_outlive_the_socket() -> None:
    scene, rm, _, track = call()
    rm.ask("layers.want", tracks=[{"track_id": track, "width": 0, "height": 0}])
    rm.ack()
    rm.lose()
    scene.run(3)
    scene.resume(rm, last_seq=rm.last_seq)
    assert layers(scene) == {"spatial": None, "temporal": 7, "priority": 0}


def test_too_many_wishes_are_slowed_down() -> None:
    _, rm, _, track = call()
    wish = {"track_id": track, "width": 0, "height": 0}
    replies = [rm.ask("layers.want", tracks=[wish]) for _ in range(80)]
    codes = [reply["data"].get("code") for reply in replies]
    assert "rate_limited" in codes
    assert codes[0] is None


def demand(scene: Scene, wanted: bool) -> None:
    (producer,) = scene.engine.producers
    scene.emit(Event.ProducerDemand(producer, [wanted]))


def test_the_publisher_is_told_and_nobody_else() -> None:
    scene, rm, customer, track = call()
    demand(scene, False)
    demand(scene, False)
    demand(scene, True)
    told = [
        {"track_id": track, "encodings": [{"rid": None, "wanted": wanted}]}
        for wanted in (False, True)
    ]
    assert customer.take("layers.wanted") == told
    assert rm.take("layers.wanted") == []


def test_a_publisher_that_missed_it_is_told_again() -> None:
    scene, _, customer, track = call()
    customer.lose()
    demand(scene, False)
    told = {"track_id": track, "encodings": [{"rid": None, "wanted": False}]}
    replayed = scene.resume(customer, last_seq=customer.last_seq)
    assert replayed.take("layers.wanted") == [told]
    replayed.ack()
    replayed.lose()
    anew = scene.resume(replayed, last_seq=None)
    assert anew.frames[0]["data"]["replay"] is False
    assert anew.take("layers.wanted") == [told]
    demand(scene, True)
    anew.ack()
    anew.lose()
    assert scene.resume(anew, last_seq=None).take("layers.wanted") == []
