"""Many participants that come, go, break and come back, in a seeded random order."""

import random
from typing import Any

import pytest

from sfu import Role, Source
from tests.signaling.scene import End, Scene

STEPS = 1_000
ROLES = [Role.RM, Role.CUSTOMER, Role.EXPERT, Role.SUPERVISOR]


class Walker:
    """A client that follows the protocol and keeps what it was told."""

    def __init__(self, scene: Scene, index: int) -> None:
        self.scene = scene
        self.participant_id = f"p-{index}"
        self.role = ROLES[index % 4]
        self.room = f"sale-{index % 3}"
        self.end: End | None = None
        self.last_seq = 0
        self.token = ""
        self.heard: list[str] = []
        self.since = 0
        """Length of the room's record from which on every message must be heard."""
        self.muted = False

    @property
    def present(self) -> bool:
        return self.token != ""

    def join(self, record: list[tuple[str, str]]) -> None:
        self.end = self.scene.connect()
        self.end.post(
            "join", token=self.scene.token(self.participant_id, self.role, room=self.room)
        )
        self.last_seq = 0
        self.heard, self.since = [], len(record)
        self.take()
        assert self.present

    def resume(self, *, reload: bool, record: list[tuple[str, str]]) -> None:
        self.end = self.scene.connect()
        last_seq = None if reload else self.last_seq
        self.end.post("resume", resume_token=self.token, last_seq=last_seq)
        if reload:
            self.heard, self.since = [], len(record)
        self.take()

    def take(self) -> None:
        """Reads everything, in order, without a gap."""
        assert self.end is not None
        for frame in self.end.pump():
            data = frame["data"]
            if frame["type"] == "resumed" and not data["replay"]:
                self.last_seq = data["latest_seq"]
            if "seq" in frame:
                assert frame["seq"] == self.last_seq + 1, frame
                self.last_seq = frame["seq"]
            self.token = data.get("resume_token", self.token)
            if frame["type"] == "message":
                self.heard.append(data["text"])
            if frame["type"] == "bye":
                assert data["code"] in {"timeout", "resume_superseded"}

    def lose(self) -> None:
        assert self.end is not None
        self.end.lose()
        self.end = None

    def gone(self) -> None:
        self.end, self.token, self.heard = None, "", []


def expected(walker: Walker, record: list[tuple[str, str]]) -> list[str]:
    return [text for sender, text in record[walker.since :] if sender != walker.participant_id]


def step(rng: random.Random, scene: Scene, walker: Walker, record: list[tuple[str, str]]) -> None:
    if not walker.present:
        walker.join(record)
    elif walker.end is None:
        walker.resume(reload=rng.random() < 0.2, record=record)
    else:
        act(rng, scene, walker, record)


def act(rng: random.Random, scene: Scene, walker: Walker, record: list[tuple[str, str]]) -> None:
    end = walker.end
    assert end is not None
    choice = rng.random()
    if choice < 0.45 and walker.role is not Role.SUPERVISOR:
        text = f"{walker.participant_id}:{len(record)}"
        message: dict[str, Any] = {"text": text}
        request_id = end.post("message", **message)
        if rng.random() < 0.2:
            end.post("message", request_id, **message)
        record.append((walker.participant_id, text))
    elif choice < 0.6:
        walker.take()
        end.ack(walker.last_seq)
    elif choice < 0.7 and walker.role is not Role.SUPERVISOR:
        walker.take()
        scene.publish(end, Source.MICROPHONE)
        walker.last_seq = end.last_seq
        walker.heard += [
            f["data"]["text"] for f in end.frames if f["type"] == "message"
            and f["data"]["text"] not in walker.heard
        ]  # fmt: skip
    elif choice < 0.85:
        if rng.random() < 0.5:
            walker.take()
        walker.lose()
    elif choice < 0.9:
        end.post("leave")
        walker.gone()
    else:
        walker.take()


@pytest.mark.parametrize("seed", range(4))
def test_everybody_hears_everything_once_and_in_order(seed: int) -> None:
    rng = random.Random(seed)
    scene = Scene()
    walkers = [Walker(scene, index) for index in range(24)]
    records: dict[str, list[tuple[str, str]]] = {f"sale-{i}": [] for i in range(3)}
    for _ in range(STEPS):
        walker = rng.choice(walkers)
        step(rng, scene, walker, records[walker.room])
        scene.run(rng.random() * 0.3)
        present = {m.participant_id for m in scene.hub.roster}
        for other in walkers:
            if other.present and other.participant_id not in present:
                # The resume window ended; the next step joins anew.
                other.gone()
    for walker in walkers:
        if walker.present and walker.end is None:
            walker.resume(reload=False, record=records[walker.room])
        elif walker.present:
            walker.take()
        if walker.present:
            assert walker.heard == expected(walker, records[walker.room])
    check_bounds(scene)
    for walker in walkers:
        if walker.present and walker.end is not None:
            walker.end.post("leave")
    check_nothing_is_left(scene)


def check_bounds(scene: Scene) -> None:
    limits = scene.config.limits
    for member in scene.hub.roster:
        assert len(member.outbox) <= limits.outbox_messages
        assert len(member.replies) <= limits.reply_cache_messages
    assert len(scene.hub._tokens) <= 2 * len(scene.hub.roster)
    assert len(scene.hub._deadlines) <= 5 * len(scene.hub.roster) + 3


def check_nothing_is_left(scene: Scene) -> None:
    hub = scene.hub
    scene.run(200.0)
    assert hub.is_idle
    assert hub.next_timeout is None
    assert (len(hub._tokens), len(hub._deadlines), len(hub._questions)) == (0, 0, 0)
    assert not hub._awaiting
    assert not hub.roster._track_rooms
    assert not hub.roster._by_id
    assert not hub.sfu.rooms


def test_two_hundred_joins_and_leaves_leave_nothing_behind() -> None:
    scene = Scene()
    for index in range(200):
        end = scene.join(f"p-{index}", ROLES[index % 3])
        scene.publish(end, Source.MICROPHONE)
        end.ask("leave")
        end.lose()
        scene.run(1.0)
    check_nothing_is_left(scene)
