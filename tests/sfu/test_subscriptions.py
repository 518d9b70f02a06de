"""Who receives what, on which line, and when a client is asked for more lines."""

import pytest

from sfu import Grant, Lines, Offer, Participant, Role, Source
from sfu.errors import ForbiddenError, IllegalTransitionError, UnknownTrackError
from sfu.subscription import Subscription, SubscriptionState
from tests.fakes.engine import Event
from tests.sfu.conftest import FOREVER, Scene
from tests.sfu.offers import AV1, H264, VP8, VP9, Client, direction


def asked(scene: Scene, participant: Participant) -> list[Lines]:
    return [lines for who, lines in scene.listener.of("negotiation_needed") if who is participant]


def test_joining_tells_the_lines_needed_without_asking(scene: Scene) -> None:
    scene.call(scene.join("a"))
    late = scene.join("b")
    assert late.lines == Lines(audio=1, video=1)
    assert not asked(scene, late)
    answer = scene.call(late, "audio")
    assert len(answer.subscribed) == 2
    assert not asked(scene, late)


def test_a_new_publisher_makes_the_others_be_asked_once(scene: Scene) -> None:
    first, second = scene.join("a"), scene.join("b")
    scene.call(first)
    scene.listener.take()
    scene.call(second)
    assert asked(scene, first) == [Lines(audio=1, video=1)]
    third = scene.join("c")
    scene.call(third)
    assert asked(scene, first) == [Lines(audio=1, video=1)]
    assert first.lines == Lines(audio=2, video=2)
    assert len(scene.call(first).subscribed) == 4
    assert len(asked(scene, first)) == 1


def test_what_changed_while_a_request_was_out_is_asked_after_the_next_offer(scene: Scene) -> None:
    a, b, c = scene.join("a"), scene.join("b"), scene.join("c")
    scene.call(a)
    scene.call(b)
    client = scene.clients[a].receive(1, 1)
    scene.call(c)
    scene.listener.take()
    answer = a.negotiate(Offer(client.sdp))
    assert len(answer.subscribed) == 2
    assert asked(scene, a) == [Lines(audio=2, video=2)]


def test_an_offer_with_too_few_lines_is_answered_and_asked_again_once(scene: Scene) -> None:
    scene.call(scene.join("a"))
    late = scene.join("b")
    scene.listener.take()
    client = Client().receive(1, 0)
    assert len(late.negotiate(Offer(client.sdp)).subscribed) == 1
    assert asked(scene, late) == [Lines(audio=1, video=1)]
    client.receive(1, 1)
    assert len(late.negotiate(Offer(client.sdp)).subscribed) == 2
    assert len(asked(scene, late)) == 1


def test_a_refused_offer_is_not_asked_for_at_once_but_the_need_is_kept(scene: Scene) -> None:
    scene.call(scene.join("a"))
    late = scene.join("b")
    with pytest.raises(Exception, match="v=0"):
        late.negotiate(Offer("nonsense"))
    assert not asked(scene, late)
    assert len(scene.call(late).subscribed) == 2


def test_a_line_is_freed_and_used_again(scene: Scene) -> None:
    a, b, c = scene.join("a"), scene.join("b"), scene.join("c", auto_subscribe=False)
    scene.call(a)
    scene.call(b)
    scene.call(c, "audio")
    tracks = {item.owner.participant_id: item for item in scene.room.publications.values()}
    c.subscribe(tracks["a"].track.track_id)
    assert asked(scene, c) == [Lines(0, 1)]
    before = scene.call(c)
    c.unsubscribe(tracks["a"].track.track_id)
    assert not [i for i in scene.engine.consumers.values() if i.transport == scene.transport_of(c)]
    c.subscribe(tracks["b"].track.track_id)
    after = scene.call(c)
    (mid,) = before.subscribed
    assert after.subscribed == {mid: tracks["b"].track.track_id}
    assert len(scene.clients[c].lines) == 2


def test_a_line_whose_subscription_ended_becomes_inactive(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    scene.call(a)
    scene.call(b, "audio")
    a.leave("left")
    assert b.lines == Lines(0, 0)
    answer = scene.call(b)
    assert [direction(answer.sdp, index) for index in range(3)] == [
        "recvonly",
        "inactive",
        "inactive",
    ]


def test_a_client_that_closes_its_line_keeps_the_subscription(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    scene.call(a)
    scene.call(b, "audio")
    client = scene.clients[b]
    scene.listener.take()
    client.lines[2].port = 0
    assert len(b.negotiate(Offer(client.sdp)).subscribed) == 1
    assert asked(scene, b) == [Lines(1, 1)]
    client.add("video", "recvonly")
    assert len(b.negotiate(Offer(client.sdp)).subscribed) == 2


def test_consumers_carry_all_payload_types_that_match(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    client = Client()
    client.add("video", "sendonly", [VP8, VP9, H264])
    a.negotiate(Offer(client.sdp))
    client = Client()
    again = ("110 VP8/90000", ["nack"], "", 111)
    client.add("video", "recvonly", [AV1, H264, again, VP8])
    b.negotiate(Offer(client.sdp))
    (consumer,) = scene.engine.consumers.values()
    numbers = [(item.codec, item.payload_type) for item in consumer.arguments["codecs"]]
    assert numbers == [("h264", 102), ("vp8", 110), ("vp8", 96)]


def test_no_common_codec_is_reported_and_tried_again_later(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    client_a, client_b = Client(), Client()
    client_a.add("video", "sendonly", [AV1])
    client_b.add("video", "recvonly", [VP8])
    a.negotiate(Offer(client_a.sdp))
    assert not b.negotiate(Offer(client_b.sdp)).subscribed
    ((who, track, reason),) = scene.listener.of("track_unavailable")
    assert (who, track.participant_id, reason) == (b, "a", "no_common_codec")
    assert b.lines == Lines(0, 0)
    scene.listener.take()
    b.negotiate(Offer(client_b.sdp))
    assert not scene.listener.of("track_unavailable")
    assert not asked(scene, b)
    client_a.lines[0].codecs = [AV1, VP8]
    a.negotiate(Offer(client_a.sdp))
    assert asked(scene, b) == [Lines(0, 1)]
    assert b.negotiate(Offer(client_b.sdp)).subscribed


def test_a_publisher_that_drops_the_common_codec_takes_the_track_away(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    client_a, client_b = Client(), Client()
    client_a.add("video", "sendonly", [VP8, AV1])
    client_b.add("video", "recvonly", [VP8, H264])
    a.negotiate(Offer(client_a.sdp))
    assert b.negotiate(Offer(client_b.sdp)).subscribed
    client_a.lines[0].codecs = [H264, AV1]
    a.negotiate(Offer(client_a.sdp))
    (consumer,) = scene.engine.consumers.values()
    assert [item.codec for item in consumer.arguments["codecs"]] == ["h264"]
    client_a.lines[0].codecs = [AV1]
    a.negotiate(Offer(client_a.sdp))
    assert not scene.engine.consumers
    assert scene.listener.of("track_unavailable")


def test_changed_payload_types_of_the_subscriber_reach_the_plane(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    scene.call(a)
    client = Client()
    client.add("video", "recvonly", [VP8])
    b.negotiate(Offer(client.sdp))
    client.lines[0].codecs = [("120 VP8/90000", ["nack"], "", None)]
    scene.engine.take()
    b.negotiate(Offer(client.sdp))
    ((name, arguments),) = scene.engine.take()
    assert name == "update_consumer"
    assert arguments["codecs"][0].payload_type == 120


def test_a_codec_actually_sent_that_the_subscriber_lacks_is_reported(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    client_a, client_b = Client(), Client()
    client_a.add("video", "sendonly", [VP8, H264])
    client_b.add("video", "recvonly", [H264])
    a.negotiate(Offer(client_a.sdp))
    b.negotiate(Offer(client_b.sdp))
    producer = scene.producer_of(a, "video")
    scene.emit(Event.ProducerStarted(producer, "h264"))
    assert not scene.listener.of("track_unavailable")
    scene.emit(Event.ProducerStarted(producer, "vp8"), Event.ConsumerStarted(99999))
    assert [who for who, _, _ in scene.listener.of("track_unavailable")] == [b]


def test_explicit_subscriptions_only(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b", auto_subscribe=False)
    scene.call(a)
    assert b.lines == Lines(0, 0)
    track_id = next(iter(a.published))
    b.subscribe(track_id)
    b.subscribe(track_id)
    assert asked(scene, b) == [Lines(1, 0)]
    for unknown in ("nope", next(iter(a.published))):
        with pytest.raises(UnknownTrackError):
            (b if unknown == "nope" else a).subscribe(unknown)
    with pytest.raises(UnknownTrackError):
        b.unsubscribe("nope")
    b.unsubscribe(track_id)
    b.unsubscribe(track_id)
    assert b.lines == Lines(0, 0)


def test_the_grant_says_whom_one_may_receive(scene: Scene) -> None:
    grant = Grant(Role.CUSTOMER, frozenset(Source), frozenset({Role.RM}), False, FOREVER)
    customer = scene.join("c", grant=grant)
    scene.call(scene.join("rm", Role.RM))
    expert = scene.join("e", Role.EXPERT)
    scene.call(expert)
    assert customer.lines == Lines(1, 1)
    with pytest.raises(ForbiddenError):
        customer.subscribe(next(iter(expert.published)))


def test_supervisors_receive_everybody_and_nobody_receives_them(scene: Scene) -> None:
    scene.call(scene.join("rm", Role.RM))
    customer = scene.join("c")
    scene.call(customer)
    supervisor = scene.join("s", Role.SUPERVISOR)
    assert supervisor.lines == Lines(2, 2)
    client = Client().receive(2, 2)
    assert len(supervisor.negotiate(Offer(client.sdp)).subscribed) == 4
    assert customer.lines == Lines(1, 1)


def test_ssrcs_are_unique_on_a_transport_and_free_of_the_clients(scene: Scene) -> None:
    publishers = [scene.join(f"p{i}") for i in range(6)]
    for item in publishers:
        scene.call(item)
    late = scene.join("late")
    scene.call(late)
    transport = late.transport
    assert transport is not None
    numbers = [
        item.arguments[key]
        for item in scene.engine.consumers.values()
        if item.transport == transport.transport_id
        for key in ("ssrc", "rtx_ssrc")
        if item.arguments[key]
    ]
    assert len(numbers) == len(set(numbers)) == 18
    assert transport.ssrcs == set(numbers)
    publishers[0].leave("left")
    assert len(transport.ssrcs) == 15


@pytest.mark.parametrize(
    ("start", "step"),
    [
        (SubscriptionState.ENDED, SubscriptionState.PENDING),
        (SubscriptionState.ENDED, SubscriptionState.ACTIVE),
        (SubscriptionState.UNAVAILABLE, SubscriptionState.ACTIVE),
        (SubscriptionState.PENDING, SubscriptionState.PENDING),
        (SubscriptionState.ACTIVE, SubscriptionState.ACTIVE),
    ],
)
def test_illegal_steps_raise_and_change_nothing(
    scene: Scene, start: SubscriptionState, step: SubscriptionState
) -> None:
    scene.call(scene.join("a"))
    publication = next(iter(scene.room.publications.values()))
    subscription = Subscription(publication, scene.join("b"), state=start)
    with pytest.raises(IllegalTransitionError):
        subscription.advance(step)
    assert subscription.state is start
