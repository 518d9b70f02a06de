"""What participants are told of a recording, and what they say they sent."""

from typing import Any

import pytest

from sfu import Role, Source
from signaling.errors import ErrorCode, RefusedError
from signaling.messages import DigestBatchData
from signaling.recording import Kept, Wanted
from tests.recorder.backfill.test_device_key import Device
from tests.signaling.scene import End, Scene

PROOF = "A" * 86 + "=="
KEY, OTHERS_KEY = (Device(number).public for number in (1, 2))
SIGNED = {"key": "0b" * 32, "batch": 4, "prev": "0c" * 32, "late": False, "signature": PROOF}
CHUNK = {"ssrc": 7, "first_ts": 0, "last_ts": 960, "frames": 2, "bytes": 20, "sha256": "0a" * 32}


class Ledger:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.is_full = False
        self.said: list[tuple[str, str, DigestBatchData, bool]] = []
        self.lacks: list[Wanted] = []
        self.keys: list[tuple[str, str, str, str]] = []

    def accept_digests(
        self, session_id: str, participant_id: str, batch: DigestBatchData, *, late: bool
    ) -> Kept:
        if self.is_full:
            raise RefusedError(ErrorCode.BUSY, "no room", retry_after_s=2)
        if session_id != "s-1":
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, "not recorded here")
        self.said.append((session_id, participant_id, batch, late))
        return Kept(batch.from_seq, None if batch.signed is None else batch.signed.batch)

    def announce_key(self, session_id: str, participant_id: str, public: str, proof: str) -> None:
        if public == OTHERS_KEY:
            raise RefusedError(ErrorCode.BAD_MESSAGE, "another participant's")
        self.keys.append((session_id, participant_id, public, proof))

    def wanted(self, session_id: str, participant_id: str, limit: int) -> tuple[list[Wanted], int]:
        mine = self.lacks if participant_id == "customer-1" else []
        return mine[:limit], max(0, len(mine) - limit)

    def issue_token(
        self, session_id: str, participant_id: str, now_unix_s: float
    ) -> tuple[str, float]:
        return f"{session_id}.{participant_id}", now_unix_s + 60


def call() -> tuple[Scene, Ledger, End, End, str]:
    """An RM and a customer with a microphone, in a room of a server that records."""
    scene, ledger = Scene(), Ledger()
    scene.hub.recordings.completeness = ledger
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    track = scene.publish(customer, Source.MICROPHONE)["microphone"]
    return scene, ledger, rm, customer, track


def batch(track: str, **changes: Any) -> dict[str, Any]:
    data = {"session_id": "s-1", "track_id": track, "codec": "opus", "from_seq": 5}
    return {**data, "chunks": [CHUNK], **changes}


def test_the_feature_is_announced_where_the_server_records() -> None:
    scene, *_, customer, _ = call()
    assert "recording" in customer.take("joined")[0]["features"]
    assert "recording" not in Scene().join().take("joined")[0]["features"]
    again = scene.resume(customer, last_seq=None)
    assert "recording" in again.take("resumed")[0]["features"]


def test_everybody_is_told_that_the_room_is_recorded_who_comes_later_too() -> None:
    scene, _, rm, customer, _ = call()
    scene.hub.recordings.set_state("sale-1", "s-1", "on", scene.now)
    (told,) = customer.take("recording")
    assert (told["state"], told["session_id"]) == ("on", "s-1")
    assert told["upload"]["url"] == "/v1/sessions/s-1"
    assert told["upload"]["token"] == "s-1.customer-1"
    assert rm.take("recording")[0]["upload"]["token"] == "s-1.rm-1"
    watcher = scene.join("boss", Role.SUPERVISOR)
    assert watcher.take("recording")[0]["upload"] is None, "who publishes nothing uploads nothing"
    scene.hub.recordings.set_state("sale-1", "s-1", "off", scene.now)
    assert [item["state"] for item in customer.take("recording")] == ["on", "off"]
    elsewhere = scene.join("rm-2", room="sale-2")
    assert not elsewhere.take("recording")


def test_a_page_that_knows_nothing_is_told_again_one_that_does_is_not() -> None:
    scene, _, _, customer, _ = call()
    scene.hub.recordings.set_state("sale-1", "s-1", "paused", scene.now)
    customer.ack()
    customer.lose()
    knows = scene.resume(customer, last_seq=customer.last_seq)
    assert not knows.take("recording")
    knows.lose()
    blank = scene.resume(knows, last_seq=None)
    assert blank.take("recording")[0]["state"] == "paused"


def test_digests_reach_the_ledger_once_and_are_answered() -> None:
    _, ledger, _, customer, track = call()
    reply = customer.ask("digest.batch", "d-1", **batch(track))
    assert reply["data"] == {"settled_below": 5, "batches": None}
    assert customer.ask("digest.batch", "d-1", **batch(track))["data"] == reply["data"]
    ((session, participant, said, late),) = ledger.said
    assert (session, participant, late) == ("s-1", "customer-1", False)
    assert said.chunks[0].sha256 == "0a" * 32


def test_digests_there_is_no_room_for_are_taken_when_the_same_request_comes_again() -> None:
    _, ledger, _, customer, track = call()
    ledger.is_full = True
    refused = customer.ask("digest.batch", "d-1", **batch(track))
    assert (refused["data"]["code"], refused["data"]["retry_after_s"]) == ("busy", 2)
    ledger.is_full = False
    assert customer.ask("digest.batch", "d-1", **batch(track))["type"] == "ok"
    assert len(ledger.said) == 1


@pytest.mark.parametrize(
    ("who", "changes", "code"),
    [
        ("rm", {}, "forbidden"),
        ("customer", {"session_id": "s-2"}, "unknown_request"),
    ],
)
def test_digests_of_others_and_of_other_sessions_are_refused(
    who: str, changes: dict[str, Any], code: str
) -> None:
    _, ledger, rm, customer, track = call()
    end = rm if who == "rm" else customer
    assert end.ask("digest.batch", **batch(track, **changes))["data"]["code"] == code
    assert not ledger.said


def test_a_server_that_does_not_record_takes_no_digests() -> None:
    scene = Scene()
    end = scene.join()
    assert end.ask("digest.batch", **batch("t"))["data"]["code"] == "unknown_request"


def test_only_who_lacks_something_is_asked_and_only_when_that_changed() -> None:
    scene, ledger, rm, customer, track = call()
    scene.hub.recordings.ask("sale-1")
    scene.hub.recordings.set_state("sale-1", "s-1", "on", scene.now)
    ledger.lacks = [Wanted(track, seq, (0, 960)) for seq in range(20)]
    for _ in range(3):
        scene.hub.recordings.ask("sale-1")
    (asked,) = customer.take("gap.want")
    assert not rm.take("gap.want")
    assert len(asked["chunks"]) == 16
    assert asked["more"] == 4
    assert asked["chunks"][0] == {"track_id": track, "seq": 0, "have": [0, 960]}
    ledger.lacks = ledger.lacks[1:]
    scene.hub.recordings.ask("sale-1")
    ledger.lacks = []
    scene.hub.recordings.ask("sale-1")
    assert [len(item["chunks"]) for item in customer.take("gap.want")] == [16, 0]


def test_a_new_page_is_asked_again() -> None:
    scene, ledger, _, customer, track = call()
    scene.hub.recordings.set_state("sale-1", "s-1", "on", scene.now)
    ledger.lacks = [Wanted(track, 1, ())]
    scene.hub.recordings.ask("sale-1")
    customer.lose()
    scene.hub.recordings.ask("sale-1")
    blank = scene.resume(customer, last_seq=None)
    scene.hub.recordings.ask("sale-1")
    assert len(blank.take("gap.want")) == 1


def test_a_room_that_closed_is_no_longer_recorded_for_those_who_come_later() -> None:
    scene, _, rm, customer, _ = call()
    scene.hub.recordings.set_state("sale-1", "s-1", "on", scene.now)
    rm.post("leave")
    customer.post("leave")
    assert not scene.join().take("recording")


def test_a_device_key_reaches_the_ledger_or_is_refused() -> None:
    _, ledger, _, customer, _ = call()
    told = {"session_id": "s-1", "public": KEY, "proof": PROOF}
    assert customer.ask("device.key", **told)["type"] == "ok"
    assert ledger.keys == [("s-1", "customer-1", KEY, PROOF)]
    refused = customer.ask("device.key", **{**told, "public": OTHERS_KEY})
    assert refused["data"]["code"] == "bad_message"
    nowhere = Scene().join().ask("device.key", **told)
    assert nowhere["data"]["code"] == "unknown_request"


def test_a_signed_batch_is_answered_with_how_many_there_are() -> None:
    _, ledger, _, customer, track = call()
    reply = customer.ask("digest.batch", **batch(track, signed=SIGNED))
    assert reply["data"] == {"settled_below": 5, "batches": 4}
    assert ledger.said[0][2].signed is not None
