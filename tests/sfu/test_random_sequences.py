"""Random joins, offers, reloads, mutes and leaves: what must hold after each of them."""

import contextlib
import random

import pytest

from sfu import MediaState, Offer, Participant, Role, SfuConfig
from sfu.errors import ForbiddenError, RoomFullError, SdpError, UnknownTrackError
from sfu.subscription import SubscriptionState
from tests.fakes.engine import Event
from tests.sfu.conftest import Scene
from tests.sfu.offers import AV1, H264, VP8, VP9, Client

STEPS = 150
CODEC_SETS = [[VP8], [H264, VP8], [VP9, H264], [AV1], [VP8, VP9, H264, AV1]]


class Walk:
    """One random history."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.scene = Scene(SfuConfig(max_participants_per_room=6))
        self.present: list[Participant] = []
        self.outstanding: dict[Participant, bool] = {}
        self.counter = 0

    def step(self) -> None:
        actions = [self.join, self.offer, self.offer, self.offer, self.reload, self.leave]
        actions += [self.mute, self.subscribe, self.stop_line, self.fail, self.nonsense]
        self.scene.listener.take()
        self.rng.choice(actions)()
        self.check_requests()
        self.check()

    def join(self) -> None:
        self.counter += 1
        role = self.rng.choice(list(Role))
        try:
            participant = self.scene.join(
                f"p{self.counter}", role, auto_subscribe=self.rng.random() < 0.7
            )
        except RoomFullError:
            return
        self.present.append(participant)
        lines = participant.lines
        self.outstanding[participant] = bool(lines.audio or lines.video)

    def offer(self) -> None:
        participant = self.pick()
        if participant is None:
            return
        client = self.scene.clients[participant]
        if not client.lines or self.rng.random() < 0.2:
            self.change_lines(participant, client)
        videos = [item for item in client.lines if item.kind == "video"]
        if videos and self.rng.random() < 0.15:
            self.rng.choice(videos).codecs = self.rng.choice(CODEC_SETS)
        if self.rng.random() < 0.8:
            for kind, wanted in (
                ("audio", participant.lines.audio),
                ("video", participant.lines.video),
            ):
                have = sum(
                    i.kind == kind and i.direction == "recvonly" and i.port for i in client.lines
                )
                for _ in range(wanted - have):
                    codecs = self.rng.choice(CODEC_SETS) if kind == "video" else None
                    client.add(kind, "recvonly", codecs)
        if self.rng.random() < 0.1:
            client.ufrag += "x"
        self.negotiate(participant, client)

    def change_lines(self, participant: Participant, client: Client) -> None:
        sending = [item for item in client.lines if "send" in item.direction and item.port]
        if participant.grant.hidden:
            return
        if sending and self.rng.random() < 0.5:
            self.rng.choice(sending).direction = self.rng.choice(
                ["inactive", "sendonly", "sendrecv"]
            )
        elif len(sending) < 4:
            kind = self.rng.choice(["audio", "video"])
            if sum(item.kind == kind for item in sending) < 2:
                codecs = self.rng.choice(CODEC_SETS) if kind == "video" else None
                client.add(kind, self.rng.choice(["sendonly", "sendrecv"]), codecs)

    def reload(self) -> None:
        participant = self.pick()
        if participant is None:
            return
        self.counter += 1
        fingerprint = ":".join([f"{self.counter % 256:02X}"] * 32)
        client = self.scene.clients[participant].reloaded(fingerprint)
        client.ufrag = f"new{self.counter:05d}"
        for item in client.lines:
            item.port = 9
        self.scene.clients[participant] = client
        self.negotiate(participant, client)

    def negotiate(self, participant: Participant, client: Client) -> None:
        self.outstanding[participant] = False
        try:
            answer = participant.negotiate(Offer(client.sdp))
        except SdpError:
            assert participant.media is MediaState.FAILED
            return
        assert answer.sdp.count("\r\nm=") == len(client.lines)
        assert set(answer.published.values()) == set(participant.published)
        assert len(set(answer.subscribed.values())) == len(answer.subscribed)

    def nonsense(self) -> None:
        participant = self.pick()
        if participant is not None:
            self.outstanding[participant] = False
            with pytest.raises(SdpError):
                participant.negotiate(Offer("v=0\r\nnonsense"))

    def leave(self) -> None:
        participant = self.pick()
        if participant is not None:
            self.present.remove(participant)
            participant.leave("left")

    def mute(self) -> None:
        participant = self.pick()
        if participant is not None and participant.published:
            track_id = self.rng.choice(list(participant.published))
            participant.set_muted(track_id, self.rng.random() < 0.5, by="x")

    def subscribe(self) -> None:
        participant = self.pick()
        tracks = list(self.scene.room.tracks) if self.present else []
        if participant is None or not tracks:
            return
        action = self.rng.choice([participant.subscribe, participant.unsubscribe])
        with contextlib.suppress(UnknownTrackError, ForbiddenError):
            action(self.rng.choice(tracks))

    def stop_line(self) -> None:
        participant = self.pick()
        if participant is not None and self.scene.clients[participant].lines:
            self.rng.choice(self.scene.clients[participant].lines).port = 0

    def fail(self) -> None:
        participant = self.pick()
        if participant is not None and participant.transport is not None:
            state = self.rng.choice(
                ["connecting", "connected", "connected", "disconnected", "failed"]
            )
            self.scene.emit(
                Event.TransportStateChanged(self.scene.transport_of(participant), state)
            )

    def pick(self) -> Participant | None:
        return self.rng.choice(self.present) if self.present else None

    def check_requests(self) -> None:
        for participant, lines in self.scene.listener.of("negotiation_needed"):
            assert participant.present
            assert not self.outstanding[participant], "asked twice without an offer in between"
            self.outstanding[participant] = True
            assert lines.audio or lines.video

    def check(self) -> None:
        engine, registry = self.scene.engine, self.scene.sfu._registry
        assert set(registry.transports) == set(engine.transports)
        assert set(registry.publications) == set(engine.producers)
        assert set(registry.subscriptions) == set(engine.consumers)
        for consumer_id, subscription in registry.subscriptions.items():
            consumer = engine.consumers[consumer_id]
            assert subscription.state is SubscriptionState.ACTIVE
            assert subscription.line is not None
            assert subscription.line.subscription is subscription
            assert consumer.producer == subscription.publication.producer_id
            assert consumer.transport == self.scene.transport_of(subscription.subscriber)
            offered = {item.key for item in subscription.publication.settings.formats}
            assert {(i.codec, i.variant) for i in consumer.arguments["codecs"]} <= offered
            assert not subscription.publication.owner.grant.hidden
        for producer_id, publication in registry.publications.items():
            assert engine.producers[producer_id].paused == publication.track.muted
        for participant in self.present:
            held = [i.track.track_id for i in participant.reception.subscriptions.values()]
            assert set(held) <= set(self.scene.room.tracks)
            transport = participant.transport
            lines = list(transport.lines.values()) if transport else []
            placed = [i.subscription for i in lines if i.subscription]
            assert len(placed) == len(set(map(id, placed)))
            active = [i for i in participant.reception.subscriptions.values() if i.active]
            assert len(active) == len(placed)


@pytest.mark.parametrize("seed", range(60))
def test_random_histories_keep_plane_and_domain_in_step(seed: int) -> None:
    walk = Walk(seed)
    for _ in range(STEPS):
        walk.step()
    while walk.present:
        walk.leave()
    assert walk.scene.engine.empty
    registry = walk.scene.sfu._registry
    tables = (registry.rooms, registry.transports, registry.publications, registry.subscriptions)
    assert not any(tables)
    assert not walk.scene.sfu.rooms
