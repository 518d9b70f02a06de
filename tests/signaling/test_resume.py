"""Broken sockets, reloaded pages, taken-over participations, repeated requests."""

from typing import Any

import pytest

from sfu import Role, Source
from signaling.config import LimitsConfig, SignalingConfig
from signaling.resume import ResumeTokens
from tests.signaling.offers import offer_sdp
from tests.signaling.scene import Scene, resume_token


def test_resume_replays_what_was_not_received_in_order() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    rm.ack()
    seen = rm.last_seq
    rm.lose()
    for text in ("一", "二", "三"):
        customer.ask("message", text=text)
    again = scene.resume(rm, last_seq=seen)
    first = again.frames[0]
    assert first["type"] == "resumed"
    assert first["data"]["replay"] is True
    assert first["data"]["latest_seq"] == seen + 3
    assert "seq" not in first
    assert [f["seq"] for f in again.frames[1:]] == [seen + 1, seen + 2, seen + 3]
    assert [d["text"] for d in again.take("message")] == ["一", "二", "三"]


def test_lost_reply_comes_again_and_the_request_is_not_carried_out_twice() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    seen = rm.last_seq
    rm.pump()
    seen = rm.last_seq
    rm.post("message", "m-1", text="只此一次")
    rm.lose()
    again = scene.resume(rm, last_seq=seen)
    replayed = [f for f in again.frames if f.get("re") == "m-1"]
    assert len(replayed) == 1
    repeated = again.ask("message", "m-1", text="只此一次")
    assert repeated["data"] == replayed[0]["data"]
    assert repeated["seq"] == replayed[0]["seq"] + 1
    assert len(customer.take("message")) == 1
    assert scene.hub.stats.repeated == 1


def test_others_notice_nothing_when_media_flows() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    scene.publish(customer, Source.MICROPHONE)
    scene.media(scene.transports()[-1], "connecting")
    scene.media(scene.transports()[-1], "connected")
    rm.clear()
    customer.lose()
    scene.run(50.0)
    again = scene.resume(customer, last_seq=None)
    assert again.frames[0]["type"] == "resumed"
    scene.run(50.0)
    assert {f["type"] for f in rm.pump()} <= {"quality"}


def test_others_see_reconnecting_after_five_seconds_without_socket_and_media() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    customer.lose()
    scene.run(4.9)
    assert rm.take("participant.connection") == []
    scene.run(0.2)
    expected = {"participant_id": "customer-1", "connection": "reconnecting"}
    assert rm.take("participant.connection") == [expected]
    late = scene.join("expert-1", Role.EXPERT)
    shown = {p["participant_id"]: p["connection"] for p in late.frames[0]["data"]["participants"]}
    assert shown["customer-1"] == "reconnecting"
    scene.resume(customer, last_seq=customer.last_seq)
    assert rm.take("participant.connection")[1]["connection"] == "connected"


def test_media_that_stops_later_or_comes_back_changes_what_others_see() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    scene.publish(customer, Source.MICROPHONE)
    transport = scene.transports()[-1]
    scene.media(transport, "connecting")
    scene.media(transport, "connected")
    customer.lose()
    scene.run(10.0)
    assert rm.take("participant.connection") == []
    scene.media(transport, "disconnected", "consent_expired")
    scene.media(transport, "connected")
    states = [d["connection"] for d in rm.take("participant.connection")]
    assert states == ["reconnecting", "connected"]


def test_participant_leaves_when_the_resume_window_is_over() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    customer.lose()
    scene.run(59.9)
    assert rm.take("participant.left") == []
    scene.run(0.2)
    assert rm.take("participant.left") == [{"participant_id": "customer-1", "reason": "timeout"}]
    reply = scene.resume(customer, last_seq=1).frames[0]
    assert reply["data"]["code"] == "resume_unknown"


def test_minutes_without_socket_cost_nothing_while_media_flows() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    scene.publish(customer, Source.MICROPHONE)
    (transport,) = scene.transports()
    scene.media(transport, "connected")
    customer.ack()
    rm.clear()
    customer.clear()
    customer.lose()
    scene.run(300)
    for text in ("一", "二"):
        rm.ask("message", text=text)
    scene.run(300)
    back = scene.resume(customer, last_seq=customer.last_seq)
    assert back.frames[0]["data"]["replay"] is True
    assert [data["text"] for data in back.take("message")] == ["一", "二"]
    assert rm.take("participant.left") == rm.take("participant.connection") == []
    back.ack()
    back.lose()
    again = scene.resume(back, last_seq=back.last_seq)
    assert again.take("message") == []


@pytest.mark.parametrize("stops_after_s", [1, 59, 61, 100, 400])
def test_a_whole_window_is_left_after_media_stopped_too(stops_after_s: float) -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    scene.publish(customer, Source.MICROPHONE)
    (transport,) = scene.transports()
    scene.media(transport, "connected")
    customer.lose()
    scene.run(stops_after_s)
    scene.media(transport, "disconnected")
    scene.run(59.9)
    assert rm.take("participant.left") == []
    scene.run(60.2)
    assert [left["reason"] for left in rm.take("participant.left")] == ["timeout"]


def test_media_alone_holds_a_place_for_a_quarter_of_an_hour_at_most() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    scene.publish(customer, Source.MICROPHONE)
    (transport,) = scene.transports()
    scene.media(transport, "connected")
    customer.lose()
    scene.run(899)
    assert rm.take("participant.left") == []
    scene.run(1)
    assert [left["reason"] for left in rm.take("participant.left")] == ["timeout"]


def test_reload_gets_the_state_keeps_its_tracks_and_may_count_ids_anew() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    tracks = scene.publish(customer, Source.MICROPHONE, Source.CAMERA)
    customer.ask("message", "1", text="旧页")
    rm.clear()
    again = scene.resume(customer, last_seq=None)
    data = again.frames[0]["data"]
    assert data["replay"] is False
    assert {t["track_id"] for t in data["tracks"]} == set(tracks.values())
    assert customer.closed == "resume_superseded"
    again.ask("message", "1", text="新页")
    reply = again.ask(
        "offer",
        sdp=offer_sdp([("audio", "sendonly"), ("video", "sendonly")], page=2),
        tracks=[{"mid": "0", "source": "microphone"}, {"mid": "1", "source": "camera"}],
    )
    assert {p["track_id"] for p in reply["data"]["published"]} == set(tracks.values())
    assert [d["text"] for d in rm.take("message")] == ["新页"]
    assert {f["type"] for f in rm.frames} == {"message"}


def test_numbers_go_on_after_a_snapshot_without_a_gap() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    customer.ask("message", text="x")
    again = scene.resume(rm, last_seq=None)
    latest = again.frames[0]["data"]["latest_seq"]
    customer.ask("message", text="y")
    assert [f["seq"] for f in again.pump()] == [latest + 1]


@pytest.mark.parametrize("last_seq", [0, 1, 999, 2**53 - 1])
def test_resume_outside_of_what_is_kept_gets_the_state(last_seq: int) -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    for _ in range(3):
        customer.ask("message", text="x")
    rm.ack()
    again = scene.resume(rm, last_seq=last_seq)
    assert again.frames[0]["data"]["replay"] is False
    assert len(again.frames) == 1


def test_resume_token_works_once() -> None:
    scene = Scene()
    rm = scene.join()
    first = resume_token(rm)
    again = scene.resume(rm, last_seq=None, token=first)
    again.ack()
    reply = scene.resume(rm, last_seq=None, token=first).frames[0]
    assert reply["data"]["code"] == "resume_unknown"
    assert again.closed is None


def test_used_token_stays_good_until_the_client_shows_it_has_the_next() -> None:
    scene = Scene()
    rm = scene.join()
    first = resume_token(rm)
    lost = scene.resume(rm, last_seq=None, token=first)
    lost.lose()
    again = scene.resume(rm, last_seq=None, token=first)
    assert again.frames[0]["type"] == "resumed"
    never_arrived = resume_token(lost)
    reply = scene.resume(rm, last_seq=None, token=never_arrived).frames[0]
    assert reply["data"]["code"] == "resume_unknown"


def test_newest_socket_wins_and_others_notice_nothing() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER, name="王芳")
    rm.clear()
    again = scene.join("customer-1", Role.CUSTOMER, name="王芳", ttl_s=7200.0)
    assert again.frames[0]["seq"] == 1
    assert customer.closed == "resume_superseded"
    assert customer.connection.close is not None
    assert customer.connection.close.code == 4000
    assert rm.pump() == []
    customer.lose()
    scene.run(100.0)
    assert again.closed is None
    reply = scene.resume(customer, last_seq=1).frames[0]
    assert reply["data"]["code"] == "resume_unknown"
    assert scene.hub.stats.joins == {"new": 2, "takeover": 1}


@pytest.mark.parametrize("change", [{"name": "别人"}, {"publish": [Source.MICROPHONE]}])
def test_join_with_other_rights_leaves_and_joins(change: dict[str, Any]) -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER, name="王芳")
    rm.clear()
    again = scene.join("customer-1", Role.CUSTOMER, **({"name": "王芳"} | change))
    assert [f["type"] for f in rm.pump()] == ["participant.left", "participant.joined"]
    assert customer.closed == "resume_superseded"
    assert again.closed is None


def test_reader_that_falls_behind_loses_its_socket_but_not_its_place() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(outbox_messages=64)))
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    expert = scene.join("expert-1", Role.EXPERT)
    rm.ack()
    for index in range(70):
        scene.run(0.1)
        customer.ask("message", text=str(index))
        customer.ack()
        expert.ack()
    assert rm.closed == "slow_consumer"
    assert expert.closed is None
    assert len(expert.take("message")) == 70
    again = scene.resume(rm, last_seq=rm.last_seq)
    assert again.frames[0]["data"]["replay"] is False
    customer.ask("message", text="更多")
    assert [d["text"] for d in again.take("message")] == ["更多"]


def test_reader_that_never_acknowledged_is_removed() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(outbox_messages=64)))
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    for index in range(70):
        scene.run(0.1)
        customer.ask("message", text=str(index))
        customer.ack()
    assert rm.closed == "slow_consumer"
    assert customer.take("participant.left") == [{"participant_id": "rm-1", "reason": "removed"}]


def test_absent_participant_overflows_into_a_snapshot() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(outbox_messages=64)))
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    rm.pump()
    rm.lose()
    for index in range(70):
        scene.run(0.1)
        customer.ask("message", text=str(index))
        customer.ack()
    again = scene.resume(rm, last_seq=rm.last_seq)
    assert again.frames[0]["data"]["replay"] is False
    assert scene.hub.stats.outbox_discarded == 1


def test_resume_lets_an_expired_grant_not_go_on() -> None:
    scene = Scene()
    rm = scene.join(ttl_s=20.0)
    rm.lose()
    scene.run(51.0)
    reply = scene.resume(rm, last_seq=None).frames[0]
    assert reply["data"]["code"] == "resume_unknown"
    assert scene.hub.is_idle


def test_tokens_are_not_stored_in_clear() -> None:
    tokens: ResumeTokens[str] = ResumeTokens(lambda: "plain-token")
    assert tokens.issue("a") == "plain-token"
    assert "plain-token" not in repr(vars(tokens))
    assert tokens.find("plain-token") == "a"
    assert tokens.find("\ud800") is None


def test_revoked_holder_leaves_nothing_behind() -> None:
    tokens: ResumeTokens[str] = ResumeTokens()
    first = tokens.issue("a")
    second = tokens.rotate("a", first)
    assert (tokens.find(first), tokens.find(second), len(tokens)) == ("a", "a", 2)
    tokens.confirm("a")
    assert (tokens.find(first), tokens.find(second), len(tokens)) == (None, "a", 1)
    tokens.revoke("a")
    tokens.confirm("a")
    assert len(tokens) == 0
