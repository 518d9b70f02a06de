"""Joining, telling others, leaving."""

from typing import Any

import pytest

from sfu import Role, SfuConfig, Source
from signaling.config import LimitsConfig, SignalingConfig
from signaling.deflated import deflated, inflated
from tests.fakes.engine import Event
from tests.signaling.offers import offer_sdp
from tests.signaling.scene import End, Scene, resume_token


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


def reason(end: End) -> str | None:
    """Why the socket was closed; a call, because its answer changes between two asserts."""
    return end.closed


def test_joined_describes_room_and_rights() -> None:
    scene = Scene()
    customer = scene.join("customer-1", Role.CUSTOMER, name="王芳")
    tracks = scene.publish(customer, Source.MICROPHONE, Source.CAMERA)
    rm = scene.join("rm-1", name="李明")
    data = rm.frames[0]["data"]
    assert rm.frames[0]["seq"] == 1
    assert data["participants"] == [
        {
            "participant_id": "customer-1",
            "role": "customer",
            "name": "王芳",
            "connection": "connected",
        }
    ]
    assert {t["track_id"] for t in data["tracks"]} == set(tracks.values())
    assert data["lines"] == {"audio": 1, "video": 1}
    assert data["grant"]["publish"] == ["camera", "microphone", "screen", "screen_audio"]
    assert data["media"] == "none"
    assert data["limits"]["message_bytes"] == 131072


def test_others_learn_of_a_newcomer_and_of_its_leaving() -> None:
    scene = Scene()
    rm = scene.join()
    customer = scene.join("customer-1", Role.CUSTOMER, name="王芳")
    assert rm.take("participant.joined")[0]["participant"]["name"] == "王芳"
    reply = customer.ask("leave")
    assert reply["type"] == "ok"
    assert customer.closed == "left"
    assert customer.connection.close is not None
    assert customer.connection.close.code == 1000
    assert rm.take("participant.left") == [{"participant_id": "customer-1", "reason": "left"}]


def test_published_tracks_are_announced_and_need_lines() -> None:
    scene = Scene()
    rm = scene.join()
    customer = scene.join("customer-1", Role.CUSTOMER)
    tracks = scene.publish(customer, Source.MICROPHONE, Source.CAMERA)
    published = rm.take("track.published")
    assert {t["track"]["track_id"] for t in published} == set(tracks.values())
    assert rm.take("negotiate")
    assert customer.take("track.published") == []


def test_reply_comes_before_the_notices_it_causes() -> None:
    scene = Scene()
    customer = scene.join("customer-1", Role.CUSTOMER)
    track = scene.publish(customer, Source.MICROPHONE)["microphone"]
    rm = scene.connect()
    rm.ask("join", token=scene.token(), auto_subscribe=False)
    scene.publish(rm, Source.MICROPHONE)
    rm.clear()
    rm.post("subscribe", track_id=track)
    assert kinds(rm.pump()) == ["ok", "negotiate"]


def test_answer_names_lines_of_both_directions() -> None:
    scene = Scene()
    customer = scene.join("customer-1", Role.CUSTOMER)
    track = scene.publish(customer, Source.MICROPHONE)["microphone"]
    rm = scene.join()
    scene.publish(rm, Source.MICROPHONE, receive=["audio"])
    answer = rm.take("answer")[0]
    assert answer["subscribed"] == [{"mid": "1", "track_id": track, "participant_id": "customer-1"}]
    assert answer["published"][0]["mid"] == "0"


def test_supervisor_is_never_seen() -> None:
    scene = Scene()
    rm = scene.join()
    customer = scene.join("customer-1", Role.CUSTOMER)
    supervisor = scene.join("supervisor-1", Role.SUPERVISOR, name="赵督导")
    assert len(supervisor.frames[0]["data"]["participants"]) == 2
    late = scene.join("expert-1", Role.EXPERT)
    assert {p["participant_id"] for p in late.frames[0]["data"]["participants"]} == {
        "rm-1",
        "customer-1",
    }
    assert supervisor.ask("message", text="x")["data"]["code"] == "forbidden"
    assert rm.ask("message", text="x", to="supervisor-1")["data"]["code"] == "unknown_participant"
    rm.ask("message", text="大家好")
    assert supervisor.take("message")[0]["text"] == "大家好"
    supervisor.lose()
    scene.run(70)
    for end in (rm, customer, late):
        end.pump()
        assert "supervisor" not in str(end.frames)


def test_quality_is_sent_every_two_seconds_with_the_hidden_only_to_themselves() -> None:
    scene = Scene()
    rm = scene.join()
    supervisor = scene.join("supervisor-1", Role.SUPERVISOR)
    scene.run(2.1)
    assert [p["participant_id"] for p in rm.take("quality")[0]["participants"]] == ["rm-1"]
    seen = supervisor.take("quality")[0]["participants"]
    assert [p["participant_id"] for p in seen] == ["rm-1", "supervisor-1"]


def test_volatile_notices_keep_only_the_latest() -> None:
    scene = Scene()
    rm = scene.join()
    scene.run(25.0)
    assert len(rm.take("quality")) == 1
    assert scene.hub.stats.volatile_replaced == 2


def test_tracks_of_roles_outside_the_grant_stay_unknown() -> None:
    scene = Scene()
    customer = scene.join("customer-1", Role.CUSTOMER)
    expert = scene.join("expert-1", Role.EXPERT, subscribe=[Role.RM])
    track = scene.publish(customer, Source.MICROPHONE)["microphone"]
    assert expert.take("track.published") == []
    assert expert.ask("subscribe", track_id=track)["data"]["code"] == "unknown_track"
    again = scene.join("expert-2", Role.EXPERT, subscribe=[Role.RM])
    assert again.frames[0]["data"]["tracks"] == []


def test_source_outside_the_grant_is_forbidden() -> None:
    scene = Scene()
    customer = scene.join("customer-1", Role.CUSTOMER, publish=[Source.MICROPHONE])
    reply = customer.ask(
        "offer",
        sdp=offer_sdp([("video", "sendonly")]),
        tracks=[{"mid": "0", "source": "screen"}],
    )
    assert reply["data"]["code"] == "forbidden"


def test_unusable_offer_is_refused_and_the_call_goes_on() -> None:
    scene = Scene()
    rm = scene.join()
    assert rm.ask("offer", sdp="v=0\r\nnonsense", tracks=[])["data"]["code"] == "bad_sdp"
    assert rm.ask("message", text="x")["type"] == "ok"


def test_a_deflated_offer_has_a_deflated_answer() -> None:
    scene = Scene()
    rm = scene.join("rm-1", publish=[Source.MICROPHONE])
    sdp = offer_sdp([("audio", "sendonly")])
    tracks = [{"mid": "0", "source": "microphone"}]
    plain = rm.ask("offer", sdp=sdp, tracks=tracks)["data"]
    packed = rm.ask("offer", sdp_deflate=deflated(sdp), tracks=tracks)["data"]
    assert "sdp_deflate" not in plain
    assert "sdp" not in packed
    assert inflated(packed["sdp_deflate"], 65_536).splitlines()[2:] == plain["sdp"].splitlines()[2:]
    refused = rm.ask("offer", sdp_deflate="AAAA", tracks=tracks)["data"]
    assert (refused["code"], "sdp_deflate" in refused["message"]) == ("bad_sdp", True)


def test_media_state_is_reported_to_its_participant() -> None:
    scene = Scene()
    rm = scene.join()
    scene.publish(rm, Source.MICROPHONE)
    transport = scene.transports()[-1]
    scene.media(transport, "connecting")
    scene.media(transport, "connected")
    scene.media(transport, "disconnected", "consent_expired")
    assert [s["state"] for s in rm.take("media.state")][-2:] == ["connected", "disconnected"]
    assert rm.take("media.state")[-1]["reason"] == "consent_expired"


def test_message_to_one_reaches_only_that_one() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    expert = scene.join("expert-1", Role.EXPERT)
    reply = rm.ask("message", text="请出示您的身份证", to="customer-1")
    assert customer.take("message") == [
        {
            "message_id": reply["data"]["message_id"],
            "from": "rm-1",
            "to": "customer-1",
            "text": "请出示您的身份证",
            "at": reply["data"]["at"],
        }
    ]
    assert expert.take("message") == []
    assert rm.take("message") == []


def test_same_id_in_two_rooms_does_not_mix() -> None:
    scene = Scene()
    rm_a, rm_b = scene.join(room="sale-a"), scene.join(room="sale-b")
    other_a = scene.join("customer-1", Role.CUSTOMER, room="sale-a")
    other_b = scene.join("customer-1", Role.CUSTOMER, room="sale-b")
    scene.publish(other_a, Source.MICROPHONE)
    assert len(rm_a.take("track.published")) == 1
    assert rm_b.take("track.published") == []
    other_a.ask("leave")
    assert rm_b.take("participant.left") == []
    assert rm_b.ask("message", text="x")["type"] == "ok"
    assert len(other_b.take("message")) == 1


def test_expired_grant_ends_the_participation() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER, ttl_s=100.0)
    scene.run(129.0)
    assert reason(customer) is None
    scene.run(2.0)
    assert reason(customer) == "token_expired"
    assert rm.take("participant.left") == [{"participant_id": "customer-1", "reason": "expired"}]


@pytest.mark.parametrize(
    ("limit", "code"),
    [({"max_rooms": 1}, "server_full"), ({"max_participants_per_room": 1}, "room_full")],
)
def test_limits_of_the_media_scope_are_told_by_code(limit: dict[str, int], code: str) -> None:
    scene = Scene(sfu=SfuConfig.model_validate(limit))
    scene.join()
    room = "sale-2" if code == "server_full" else "sale-1"
    reply = scene.connect().ask("join", token=scene.token("customer-1", Role.CUSTOMER, room=room))
    assert reply["data"]["code"] == code
    assert "seq" not in reply


def test_quality_report_keeps_the_latest_and_ignores_unknown_tracks() -> None:
    scene = Scene()
    rm = scene.join()
    track = scene.publish(rm, Source.MICROPHONE)["microphone"]
    entry = {"packets_lost": 1, "packets_received": 9, "jitter_ms": 3.5}
    tracks = [{"track_id": track, **entry}, {"track_id": "t-gone", **entry}]
    assert rm.ask("quality.report", tracks=tracks, rtt_ms=40)["type"] == "ok"
    described = scene.hub.describe()[0]["participants"][0]
    assert [t["track_id"] for t in described["quality_report"]["tracks"]] == [track]
    assert scene.hub.stats.report_tracks_ignored == 1


def test_closed_room_says_bye_to_everybody() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    scene.hub.sfu.rooms["sale-1"].close("panicked")
    assert (rm.closed, customer.closed) == ("room_closed", "room_closed")
    assert scene.hub.is_idle
    assert scene.hub.next_timeout is None


def test_draining_refuses_newcomers_lets_calls_go_on_and_ends_them_at_the_deadline() -> None:
    scene = Scene()
    rm = scene.join()
    scene.hub.drain(600.0, scene.now)
    assert rm.take("draining") == [{"deadline_s": 600.0}]
    newcomer = scene.connect()
    reply = newcomer.ask("join", token=scene.token("customer-1", Role.CUSTOMER))
    assert reply["data"]["code"] == "draining"
    rm.lose()
    rm = scene.resume(rm, last_seq=rm.last_seq)
    assert rm.frames[0]["type"] == "resumed"
    scene.run(599.0)
    assert reason(rm) is None
    waiting = scene.connect()
    scene.run(2.0)
    assert reason(rm) == reason(waiting) == "draining"
    assert rm.connection.close is not None
    assert rm.connection.close.code == 1001
    assert scene.hub.is_idle


def test_a_join_refused_while_draining_leaves_the_older_session_alone() -> None:
    scene = Scene()
    rm = scene.join()
    scene.hub.drain(600.0, scene.now)
    other = scene.connect()
    # Other rights: no continuation. The room would have to be opened anew.
    reply = other.ask("join", token=scene.token("rm-1", Role.RM, name="Another name"))
    assert reply["data"]["code"] == "draining"
    assert reason(rm) is None
    assert rm.ask("message", text="still there")["type"] == "ok"
    again = scene.connect()
    assert again.ask("join", token=scene.token("rm-1", Role.RM))["type"] == "joined"


def test_reload_during_draining_is_reminded_of_the_deadline() -> None:
    scene = Scene()
    rm = scene.join()
    scene.hub.drain(600.0, scene.now)
    scene.run(100.0)
    again = scene.resume(rm, last_seq=None)
    assert again.take("draining") == [{"deadline_s": 500.0}]


def test_silent_socket_is_closed_after_the_hello_timeout() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(hello_timeout_s=3.0)))
    end = scene.connect()
    scene.run(2.9)
    assert reason(end) is None
    scene.run(0.2)
    assert reason(end) == "timeout"


def test_three_refused_hellos_end_the_socket() -> None:
    scene = Scene()
    end = scene.connect()
    for _ in range(3):
        assert reason(end) is None
        end.post("join", token="x.y.z")
    assert reason(end) == "unauthorized"
    assert [f["type"] for f in end.frames] == ["error", "error", "error", "bye"]


def test_failed_resume_may_be_followed_by_join_on_the_same_socket() -> None:
    scene = Scene()
    end = scene.connect()
    assert end.ask("resume", resume_token="nope", last_seq=3)["data"]["code"] == "resume_unknown"
    assert end.ask("join", token=scene.token())["type"] == "joined"


def test_demo_key_works_only_from_this_machine() -> None:
    scene = Scene()
    token = scene.token(key=scene.demo_key)
    assert scene.connect(local=False).ask("join", token=token)["data"]["code"] == "unauthorized"
    assert scene.connect(local=True).ask("join", token=token)["type"] == "joined"


def test_leaving_twice_and_late_losses_change_nothing() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    customer.ask("leave")
    customer.lose()
    customer.send_text("{}")
    scene.run(100)
    assert len(rm.take("participant.left")) == 1
    assert resume_token(customer)
    assert scene.resume(customer, last_seq=1).frames[0]["data"]["code"] == "resume_unknown"


def test_levels_reach_those_who_may_hear_them() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    expert = scene.join("expert-1", Role.EXPERT, subscribe=[Role.RM])
    track = scene.publish(customer, Source.MICROPHONE)["microphone"]
    (producer,), (room,) = scene.engine.producers, scene.engine.rooms
    scene.emit(Event.ActiveSpeaker(room, producer))
    scene.emit(Event.AudioLevels(room, [(producer, 23)]))
    heard = {"active": track, "levels": [[track, -23]]}
    assert rm.take("speakers") == customer.take("speakers") == [heard]
    assert expert.take("speakers") == [{"active": None, "levels": []}]


def test_track_that_no_common_codec_carries_is_told() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    track = scene.publish(customer, Source.CAMERA)["camera"]
    scene.publish(rm, receive=["video"])
    (producer,) = scene.engine.producers
    scene.emit(Event.ProducerStarted(producer, "av1"))
    assert rm.take("track.unavailable") == [{"track_id": track, "reason": "no_common_codec"}]
