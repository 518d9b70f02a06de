"""Muting oneself and others."""

import pytest

from sfu import Role, Source
from signaling.config import MutePolicy, MuteRules, SignalingConfig
from signaling.muting import MAX_OPEN_REQUESTS
from tests.signaling.scene import End, Scene


def call(policy: MutePolicy = MutePolicy.ASK) -> tuple[Scene, End, End, str]:
    scene = Scene(SignalingConfig(mute=MuteRules(customer=policy)))
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    track = scene.publish(customer, Source.MICROPHONE)["microphone"]
    rm.clear()
    customer.clear()
    return scene, rm, customer, track


def test_own_track_is_muted_and_unmuted_and_others_are_told() -> None:
    _, rm, customer, track = call()
    assert customer.ask("mute", track_id=track, muted=True)["type"] == "ok"
    assert customer.ask("mute", track_id=track, muted=False)["type"] == "ok"
    told = [{"track_id": track, "muted": m, "by": "customer-1"} for m in (True, False)]
    assert rm.take("track.muted") == told
    assert customer.take("track.muted") == []


@pytest.mark.parametrize("muted", [True, False])
def test_nobody_mutes_or_unmutes_anothers_track_directly(muted: bool) -> None:
    _, rm, _, track = call()
    assert rm.ask("mute", track_id=track, muted=muted)["data"]["code"] == "forbidden"


@pytest.mark.parametrize("accept", [True, False])
def test_asked_participant_decides(accept: bool) -> None:
    _, rm, customer, track = call()
    reply = rm.ask("mute.request", track_id=track)["data"]
    asked = customer.take("mute.asked")
    assert reply == {"state": "asked", "request_id": asked[0]["request_id"]}
    assert (asked[0]["track_id"], asked[0]["by"], asked[0]["expires_in_s"]) == (track, "rm-1", 30)
    customer.ask("mute.answer", request_id=reply["request_id"], accept=accept)
    result = {"request_id": reply["request_id"], "track_id": track, "accepted": accept}
    assert rm.take("mute.result") == [{**result, "reason": "answered"}]
    muted = [{"track_id": track, "muted": True, "by": "rm-1"}] if accept else []
    assert customer.take("track.muted") == rm.take("track.muted") == muted
    again = customer.ask("mute.answer", request_id=reply["request_id"], accept=True)
    assert again["data"]["code"] == "unknown_request"


def test_forced_mute_is_done_at_once_and_the_owner_may_undo_it() -> None:
    _, rm, customer, track = call(MutePolicy.FORCE)
    assert rm.ask("mute.request", track_id=track)["data"] == {"state": "muted", "request_id": None}
    assert customer.take("track.muted") == [{"track_id": track, "muted": True, "by": "rm-1"}]
    assert customer.ask("mute", track_id=track, muted=False)["type"] == "ok"


def test_denied_by_policy() -> None:
    _, rm, _, track = call(MutePolicy.DENY)
    assert rm.ask("mute.request", track_id=track)["data"]["code"] == "forbidden"


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.EXPERT, Role.SUPERVISOR])
def test_only_an_rm_asks(role: Role) -> None:
    scene, _, _, track = call()
    other = scene.join("other-1", role)
    assert other.ask("mute.request", track_id=track)["data"]["code"] == "forbidden"


def test_muted_track_needs_no_question() -> None:
    _, rm, customer, track = call()
    customer.ask("mute", track_id=track, muted=True)
    assert rm.ask("mute.request", track_id=track)["data"] == {"state": "muted", "request_id": None}


def test_asking_again_returns_the_open_request() -> None:
    _, rm, customer, track = call()
    first = rm.ask("mute.request", track_id=track)["data"]
    assert rm.ask("mute.request", track_id=track)["data"] == first
    assert len(customer.take("mute.asked")) == 1


def test_unanswered_request_is_declined_after_thirty_seconds() -> None:
    scene, rm, customer, track = call()
    request_id = rm.ask("mute.request", track_id=track)["data"]["request_id"]
    scene.run(29.9)
    assert rm.take("mute.result") == []
    scene.run(0.2)
    assert rm.take("mute.result")[0] == {
        "request_id": request_id, "track_id": track, "accepted": False, "reason": "expired",
    }  # fmt: skip
    late = customer.ask("mute.answer", request_id=request_id, accept=True)
    assert late["data"]["code"] == "unknown_request"


def test_request_ends_when_its_owner_leaves_or_the_asker_does() -> None:
    scene, rm, customer, track = call()
    rm.ask("mute.request", track_id=track)
    customer.ask("leave")
    assert [r["reason"] for r in rm.take("mute.result")] == ["left"]
    other = scene.join("customer-2", Role.CUSTOMER)
    track = scene.publish(other, Source.MICROPHONE)["microphone"]
    request_id = rm.ask("mute.request", track_id=track)["data"]["request_id"]
    rm.ask("leave")
    reply = other.ask("mute.answer", request_id=request_id, accept=True)
    assert reply["data"]["code"] == "unknown_request"
    assert other.take("track.muted") == []


def test_only_the_owner_answers() -> None:
    scene, rm, _, track = call()
    expert = scene.join("expert-1", Role.EXPERT)
    request_id = rm.ask("mute.request", track_id=track)["data"]["request_id"]
    reply = expert.ask("mute.answer", request_id=request_id, accept=True)
    assert reply["data"]["code"] == "unknown_request"


def test_open_requests_for_one_participant_are_bounded() -> None:
    scene, _, customer, track = call()
    answers = []
    for index in range(MAX_OPEN_REQUESTS + 1):
        rm = scene.join(f"rm-x{index}")
        answers.append(rm.ask("mute.request", track_id=track)["data"])
    assert [a.get("state") for a in answers[:-1]] == ["asked"] * MAX_OPEN_REQUESTS
    assert answers[-1]["code"] == "rate_limited"
    assert len(customer.take("mute.asked")) == MAX_OPEN_REQUESTS


def test_reloaded_page_is_asked_again_with_the_time_left() -> None:
    scene, rm, customer, track = call()
    rm.ask("mute.request", track_id=track)
    scene.run(10.0)
    again = scene.resume(customer, last_seq=None)
    assert [a["expires_in_s"] for a in again.take("mute.asked")] == [20.0]


def test_own_track_is_not_requested() -> None:
    scene, rm, _, _ = call()
    own = scene.publish(rm, Source.MICROPHONE)["microphone"]
    assert rm.ask("mute.request", track_id=own)["data"]["code"] == "forbidden"
