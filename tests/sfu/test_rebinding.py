"""A page reload: another connection of the same participant takes its tracks over."""

from sfu import MediaState, Offer, Source, TrackDeclaration
from tests.fakes.engine import Event
from tests.sfu.conftest import Scene
from tests.sfu.offers import AV1, H264, VP8, Client


def test_tracks_keep_their_identifier_and_the_others_keep_their_streams(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    before = scene.call(a)
    scene.call(b)
    scene.call(a)
    old_transport = scene.transport_of(a)
    consumers = {k for k, v in scene.engine.consumers.items() if v.transport != old_transport}
    streams = [scene.engine.consumers[k].arguments for k in consumers]
    scene.listener.take()
    scene.engine.take()
    after = a.negotiate(Offer(scene.clients[a].reloaded().sdp))
    assert set(after.published.values()) == set(before.published.values())
    assert len(after.subscribed) == 2
    reported = {name for name, _ in scene.listener.calls}
    assert not reported & {"track_published", "track_unpublished", "participant_left"}
    assert old_transport not in scene.engine.transports
    assert [scene.engine.consumers[k].arguments for k in consumers] == streams
    for key in consumers:
        producer = scene.engine.consumers[key].producer
        assert producer is not None
        assert scene.engine.producers[producer].transport == scene.transport_of(a)
    names = scene.engine.names()
    assert names.index("set_consumer_source") < names.index("close_transport")
    assert names.index("create_transport") < names.index("close_transport")
    video = scene.producer_of(a, "video")
    assert ("request_keyframe", {"producer": video}) in scene.engine.commands


def test_the_keyframe_is_asked_for_again_when_the_video_starts(scene: Scene) -> None:
    a = scene.join("a")
    scene.call(a)
    a.negotiate(Offer(scene.clients[a].reloaded().sdp))
    scene.engine.take()
    video = scene.producer_of(a, "video")
    scene.emit(Event.ProducerStarted(video, "vp8"), Event.ProducerStarted(video, "vp8"))
    assert scene.engine.names() == ["request_keyframe"]


def test_events_of_the_old_connection_are_ignored(scene: Scene) -> None:
    a = scene.join("a")
    scene.call(a)
    old = scene.transport_of(a)
    a.negotiate(Offer(scene.clients[a].reloaded().sdp))
    scene.emit(
        Event.TransportStateChanged(scene.transport_of(a), "connected"),
        Event.TransportStateChanged(old, "closed", "remote_closed"),
    )
    assert a.media is MediaState.CONNECTED


def test_sources_left_out_after_a_reload_are_unpublished(scene: Scene) -> None:
    a = scene.join("a")
    scene.call(a)
    scene.listener.take()
    answer = a.negotiate(Offer(Client().publish("audio").reloaded().sdp))
    assert len(answer.published) == 1
    assert [track.source for (track,) in scene.listener.of("track_unpublished")] == [Source.CAMERA]


def test_the_muted_state_of_a_reload_is_what_it_declares(scene: Scene) -> None:
    a = scene.join("a")
    track_id = scene.call(a, "audio").published["0"]
    a.set_muted(track_id, True, by="rm")
    client = scene.clients[a].reloaded()
    a.negotiate(Offer(client.sdp))
    assert a.published[track_id].muted
    assert scene.engine.producers[scene.producer_of(a)].paused
    client = client.reloaded("D4" + client.fingerprint[2:])
    scene.listener.take()
    a.negotiate(Offer(client.sdp, [TrackDeclaration("0", Source.MICROPHONE, muted=False)]))
    assert not a.published[track_id].muted
    assert not scene.engine.producers[scene.producer_of(a)].paused
    assert [(t.track_id, by) for t, by in scene.listener.of("track_muted")] == [(track_id, "a")]


def test_a_stale_declaration_does_not_unmute(scene: Scene) -> None:
    a = scene.join("a")
    declared = [TrackDeclaration("0", Source.MICROPHONE, muted=False)]
    client = Client().publish("audio")
    track_id = a.negotiate(Offer(client.sdp, declared)).published["0"]
    a.set_muted(track_id, True, by="rm")
    a.negotiate(Offer(client.sdp, declared))
    assert a.published[track_id].muted


def test_a_reload_in_another_browser_fits_the_subscribers_payload_types(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    client = Client()
    client.add("video", "sendonly", [VP8])
    a.negotiate(Offer(client.sdp))
    viewer = Client()
    viewer.add("video", "recvonly", [VP8, H264])
    b.negotiate(Offer(viewer.sdp))
    client = client.reloaded()
    client.lines[0].codecs = [H264]
    a.negotiate(Offer(client.sdp))
    (consumer,) = scene.engine.consumers.values()
    assert [item.codec for item in consumer.arguments["codecs"]] == ["h264"]
    client = client.reloaded("D4" + client.fingerprint[2:])
    client.lines[0].codecs = [AV1]
    a.negotiate(Offer(client.sdp))
    assert not scene.engine.consumers
    assert len(scene.listener.of("track_unavailable")) == 1
