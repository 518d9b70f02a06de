"""Joining by one request of HTTP: a hello and its offer without a socket."""

import json
from typing import Any

import pytest

from sfu import Role, Source
from signaling.config import LimitsConfig, SignalingConfig
from signaling.connection import Remote
from tests.signaling.offers import offer_sdp
from tests.signaling.scene import End, Scene, check_server_frame

LINES = [("audio", "sendonly"), ("audio", "recvonly")]
TRACKS = [{"mid": "0", "source": "microphone"}]


class Caller:
    """A client that joins by requests."""

    def __init__(self, scene: Scene, participant_id: str = "rm-1", role: Role = Role.RM) -> None:
        self.scene = scene
        self.token = scene.token(participant_id, role)

    def hello(self, id_: str = "h-1", **data: Any) -> dict[str, Any]:
        return {"type": "join", "id": id_, "data": {"token": self.token, **data}}

    def offer(self, id_: str = "o-1") -> dict[str, Any]:
        return {"type": "offer", "id": id_, "data": {"sdp": offer_sdp(LINES), "tracks": TRACKS}}

    def call(self, *messages: dict[str, Any] | str) -> list[dict[str, Any]]:
        lines = [text if isinstance(text, str) else json.dumps(text) for text in messages]
        frames = self.scene.hub.visit(lines, Remote(local=False), self.scene.now)
        read = [json.loads(frame) for frame in frames]
        for frame in read:
            check_server_frame(frame)
        return read

    def join(self) -> list[dict[str, Any]]:
        return self.call(self.hello(), self.offer())


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


def transports(scene: Scene) -> int:
    return len(scene.transports())


def test_hello_and_offer_are_answered_in_one_turn() -> None:
    scene = Scene()
    rm = scene.join()
    scene.publish(rm, Source.MICROPHONE)
    rm.clear()
    frames = Caller(scene, "customer-1", Role.CUSTOMER).join()
    assert frames[0]["type"] == "joined"
    assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))
    answer = next(frame for frame in frames if frame["type"] == "answer")
    assert answer["re"] == "o-1"
    assert [line["mid"] for line in answer["data"]["published"]] == ["0"]
    assert [line["participant_id"] for line in answer["data"]["subscribed"]] == ["rm-1"]
    assert "negotiate" not in kinds(frames)
    assert kinds(rm.pump())[:2] == ["participant.joined", "track.published"]


def test_request_that_is_repeated_is_answered_again_and_carried_out_once() -> None:
    scene = Scene()
    rm = scene.join("rm-2")
    caller = Caller(scene)
    first = caller.join()
    made = transports(scene)
    rm.clear()
    assert [caller.join() for _ in range(3)] == [first] * 3
    assert transports(scene) == made
    assert rm.pump() == []
    assert dict(scene.hub.stats.joins) == {"new": 2, "repeated": 3}
    # The hello arrived alone first, as when the offer was made later.
    other = Caller(scene, "customer-1", Role.CUSTOMER)
    assert kinds(other.call(other.hello())) == ["joined"]
    assert kinds(other.join())[:2] == ["joined", "answer"]


def test_later_offer_brings_its_answer_after_the_first() -> None:
    scene = Scene()
    caller = Caller(scene)
    first = caller.join()
    again = caller.call(caller.hello(), caller.offer(), caller.offer("o-2"))
    assert again[: len(first)] == first
    assert [frame["re"] for frame in again[len(first) :] if "re" in frame] == ["o-2"]


def test_socket_continues_by_resume_what_a_request_began() -> None:
    scene = Scene()
    customer = scene.join("customer-1", Role.CUSTOMER)
    frames = Caller(scene).join()
    customer.ask("message", text="您好")
    socket = scene.connect()
    socket.post(
        "resume", resume_token=frames[0]["data"]["resume_token"], last_seq=frames[-1]["seq"]
    )
    assert kinds(socket.pump())[:2] == ["resumed", "message"]
    assert socket.frames[0]["data"]["replay"] is True
    assert len(scene.hub.roster) == 2


def test_socket_that_says_the_same_hello_gets_the_same_messages() -> None:
    scene = Scene()
    caller = Caller(scene)
    first = caller.join()
    made = transports(scene)
    socket = scene.connect()
    socket.send(caller.hello())
    socket.send(caller.offer())
    assert socket.pump() == first
    assert transports(scene) == made
    # And the other way round: the socket stays, whatever requests arrive.
    assert caller.join() == first
    assert socket.closed is None
    assert socket.ask("message", text="在吗")["type"] == "ok"


def test_request_after_something_was_acknowledged_is_refused_and_changes_nothing() -> None:
    scene = Scene()
    caller = Caller(scene)
    frames = caller.join()
    socket = scene.connect()
    socket.post(
        "resume", resume_token=frames[0]["data"]["resume_token"], last_seq=frames[-1]["seq"]
    )
    socket.ack()
    (refused, unread) = caller.join()
    assert (refused["type"], refused["data"]["code"]) == ("error", "already_joined")
    assert unread["data"]["code"] == "not_joined"
    assert socket.closed is None
    assert socket.ask("message", text="在吗")["type"] == "ok"


@pytest.mark.parametrize("how", ["left", "timeout", "taken over"])
def test_hello_of_a_participation_that_is_over_brings_nobody_back(how: str) -> None:
    scene = Scene()
    caller = Caller(scene)
    frames = caller.join()
    if how == "timeout":
        scene.run(scene.config.resume_window_s + 1)
    else:
        socket = scene.connect()
        if how == "left":
            socket.post(
                "resume", resume_token=frames[0]["data"]["resume_token"], last_seq=frames[-1]["seq"]
            )
            socket.post("leave")
        else:
            socket.send(caller.hello("h-2"))
    present = len(scene.hub.roster)
    assert caller.call(caller.hello())[0]["data"]["code"] == "already_joined"
    assert len(scene.hub.roster) == present == int(how == "taken over")
    if how == "taken over":
        assert socket.closed is None


def test_another_hello_by_request_takes_over_as_one_by_socket_does() -> None:
    scene = Scene()
    socket = scene.join()
    frames = Caller(scene).call(Caller(scene).hello("h-9"))
    assert frames[0]["type"] == "joined"
    assert socket.closed == "resume_superseded"
    assert scene.hub.stats.joins["takeover"] == 1


def test_request_of_somebody_else_with_the_same_id_is_another_hello() -> None:
    scene = Scene()
    Caller(scene).join()
    other = Caller(scene, "customer-1", Role.CUSTOMER).join()
    assert other[0]["data"]["participant_id"] == "customer-1"
    assert len(scene.hub.roster) == 2


def test_who_opens_no_socket_is_gone_after_the_window() -> None:
    scene = Scene()
    rm = scene.join("rm-2")
    Caller(scene).join()
    scene.run(scene.config.resume_window_s + 1)
    assert rm.take("participant.left")[-1]["reason"] == "timeout"


def test_answer_lost_with_its_request_leaves_the_resume_token_good() -> None:
    scene = Scene()
    caller = Caller(scene)
    token = caller.join()[0]["data"]["resume_token"]
    socket: End = scene.connect()
    socket.post("resume", resume_token=token, last_seq=None)
    socket.lose()  # its reply, with the next token, never arrived
    caller.call(caller.hello(), caller.offer("o-2"))
    again = scene.connect()
    assert again.ask("resume", resume_token=token, last_seq=None)["type"] == "resumed"


BAD: dict[str, tuple[list[dict[str, Any] | str], list[str]]] = {
    "no json": (["{"], ["bad_message"]),
    "empty line": ([""], ["bad_message"]),
    "no object": (["[]"], ["bad_message"]),
    "no token": ([{"type": "join", "id": "h", "data": {}}], ["bad_message"]),
    "unknown field": (
        [{"type": "join", "id": "h", "data": {"token": "t", "offer": {}}}],
        ["bad_message"],
    ),
    "bad token": ([{"type": "join", "id": "h", "data": {"token": "t"}}], ["unauthorized"]),
    "offer first": (
        [{"type": "offer", "id": "o", "data": {"sdp": "v=0", "tracks": []}}],
        ["not_joined"],
    ),
    "resume": (
        [{"type": "resume", "id": "h", "data": {"resume_token": "t", "last_seq": None}}],
        ["bad_message"],
    ),
    "leave": ([{"type": "leave", "id": "l", "data": {}}], ["not_joined"]),
    "ack": ([{"type": "ack", "data": {"seq": 1}}], ["bad_message"]),
    "ping": ([{"type": "ping", "data": {}}], ["bad_message"]),
    "unknown type": ([{"type": "hello", "id": "h", "data": {}}], ["unknown_type"]),
    "too often": (["{"] * 5, ["bad_message"] * 4),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_request_is_refused_and_lets_nobody_in(name: str) -> None:
    messages, codes = BAD[name]
    scene = Scene()
    frames = Caller(scene).call(*messages)
    assert [frame["data"]["code"] for frame in frames] == codes
    assert scene.hub.is_idle


@pytest.mark.parametrize("kind", ["subscribe", "mute", "message"])
def test_only_offers_follow_a_hello(kind: str) -> None:
    scene = Scene()
    caller = Caller(scene)
    data = {
        "subscribe": {"track_id": "t-1"},
        "mute": {"track_id": "t-1", "muted": True},
        "message": {"text": "a"},
    }
    frames = caller.call(caller.hello(), {"type": kind, "id": "x", "data": data[kind]})
    assert {frame["type"] for frame in frames} == {"joined", "error"}
    assert len(scene.hub.roster) == 1


def test_who_has_no_socket_yet_leaves_by_request() -> None:
    scene = Scene()
    rm = scene.join("rm-2")
    caller = Caller(scene)
    caller.join()
    frames = caller.call(caller.hello(), {"type": "leave", "id": "l-1", "data": {}})
    assert (frames[-1]["type"], frames[-1]["re"]) == ("ok", "l-1")
    assert rm.take("participant.left") == [{"participant_id": "rm-1", "reason": "left"}]
    assert caller.join()[0]["data"]["code"] == "already_joined"


def test_refused_offer_leaves_the_hello_good() -> None:
    scene = Scene()
    caller = Caller(scene)
    bad = {"type": "offer", "id": "o-1", "data": {"sdp": "v=0", "tracks": []}}
    frames = caller.call(caller.hello(), bad)
    assert kinds(frames) == ["joined", "error"]
    assert frames[1]["data"]["code"] == "bad_sdp"
    assert frames[1]["re"] == "o-1"


def test_requests_are_limited_as_messages_are() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(messages_per_s=1, message_burst=8)))
    caller = Caller(scene)
    codes = []
    for _ in range(8):
        # Every request is a connection of its own, and yet not a burst of its own.
        codes += [
            frame["data"].get("code") for frame in caller.call(caller.hello(), caller.offer())
        ]
    assert "rate_limited" in codes


def test_draining_server_lets_nobody_in_by_request() -> None:
    scene = Scene()
    scene.hub.drain(60.0, scene.now)
    assert Caller(scene).join()[0]["data"]["code"] == "draining"
    assert scene.hub.is_idle
