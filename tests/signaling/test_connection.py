"""One socket: order of steps, limits, and clients that mean harm."""

import json

import pytest

from sfu import Role
from signaling.config import LimitsConfig, SignalingConfig
from signaling.connection import ConnectionState
from signaling.deflated import deflated
from signaling.errors import ErrorCode, IllegalTransitionError
from tests.signaling.offers import offer_sdp
from tests.signaling.scene import End, Scene


def codes(end: End) -> list[str]:
    return [data["code"] for data in end.take("error")]


def test_request_before_the_hello_is_refused() -> None:
    end = Scene().connect()
    reply = end.ask("message", text="x")
    assert reply["data"]["code"] == "not_joined"
    assert "seq" not in reply


def test_ack_before_the_hello_is_refused_without_harm() -> None:
    end = Scene().connect()
    end.send({"type": "ack", "data": {"seq": 1}})
    assert codes(end) == ["not_joined"]


@pytest.mark.parametrize("kind", ["join", "resume"])
def test_second_hello_on_a_socket_is_refused(kind: str) -> None:
    scene = Scene()
    rm = scene.join()
    data = {"token": scene.token()} if kind == "join" else {"resume_token": "x", "last_seq": 1}
    reply = rm.ask(kind, **data)
    assert reply["data"]["code"] == "already_joined"
    assert rm.ask("message", text="x")["type"] == "ok"


def test_ping_is_answered_before_and_after_the_hello() -> None:
    scene = Scene()
    end = scene.connect()
    for _ in range(3):
        end.send({"type": "ping", "data": {}})
    assert len(end.take("pong")) == 1
    assert end.ask("join", token=scene.token())["type"] == "joined"
    end.send({"type": "ping", "data": {}})
    assert len(end.take("pong")) == 2


def test_broken_message_with_an_id_gets_a_numbered_reply() -> None:
    rm = Scene().join()
    rm.send({"type": "mute", "id": "x-1", "data": {"track_id": "t", "muted": "yes"}})
    frame = rm.pump()[-1]
    assert (frame["re"], frame["seq"], frame["data"]["field"]) == ("x-1", 2, "data.muted")


def test_broken_message_without_an_id_gets_an_unnumbered_error() -> None:
    rm = Scene().join()
    rm.send_text("nonsense")
    frame = rm.pump()[-1]
    assert frame["type"] == "error"
    assert "re" not in frame
    assert "seq" not in frame


@pytest.mark.parametrize(("kind", "code"), [("offer", "bad_message"), ("fly", "unknown_type")])
def test_long_request_that_is_wrong_is_answered_by_its_id(kind: str, code: str) -> None:
    rm = Scene().join()
    rm.send({"type": kind, "id": "x-1", "data": {"sdp": "v" * 65_537}})
    frame = rm.pump()[-1]
    assert (frame["re"], frame["data"]["code"]) == ("x-1", code)


def test_unknown_type_is_told() -> None:
    rm = Scene().join()
    rm.send({"type": "fly", "id": "x-1", "data": {}})
    assert codes(rm) == ["unknown_type"]


def test_ack_of_the_future_is_refused() -> None:
    rm = Scene().join()
    rm.ack(99)
    assert codes(rm) == ["bad_message"]


def test_burst_above_the_limit_is_refused_with_the_time_to_wait_and_not_remembered() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(message_burst=5, messages_per_s=10)))
    rm = scene.join()
    replies = [rm.ask("message", f"m-{i}", text="x") for i in range(5)]
    assert [r["type"] for r in replies] == ["ok"] * 4 + ["error"]
    refused = replies[-1]
    assert refused["data"]["code"] == "rate_limited"
    assert refused["data"]["retry_after_s"] == pytest.approx(0.1)
    assert "seq" not in refused
    scene.run(0.11)
    assert rm.ask("message", "m-4", text="x")["type"] == "ok"


def test_bytes_are_limited_too() -> None:
    limits = LimitsConfig(byte_burst=17_000, bytes_per_s=1_000, text_chars=16_000)
    rm = Scene(SignalingConfig(limits=limits)).join()
    replies = [rm.ask("message", text="x" * 3_900) for _ in range(5)]
    assert [r["type"] for r in replies] == ["ok"] * 4 + ["error"]
    assert replies[-1]["data"]["code"] == "rate_limited"
    assert rm.scene.hub.stats.rate_limited == {"bytes": 1}


def test_deflated_offers_count_as_what_they_are() -> None:
    rm = Scene().join()
    offer = offer_sdp([("audio", "sendonly")])
    packed = deflated(offer + "a=x-nothing\r\n" * 4_900)
    assert len(packed) < 2_000
    replies = [rm.ask("offer", sdp_deflate=packed, tracks=[]) for _ in range(12)]
    kinds = [r["type"] for r in replies]
    assert kinds == ["answer"] * 8 + ["error"] * 4
    assert {r["data"]["code"] for r in replies[8:]} == {"rate_limited"}


@pytest.mark.parametrize("leaves", [False, True])
def test_reconnecting_brings_no_new_burst(leaves: bool) -> None:
    scene = Scene()
    rm = scene.join()
    heard = 0
    for _ in range(10):
        customer = scene.join("customer-1", Role.CUSTOMER)
        for index in range(100):
            customer.post("message", f"m-{index}", text="x")
        heard += len(rm.take("message"))
        rm.clear()
        if leaves and customer.closed is None:
            customer.post("leave")
    assert heard <= 60
    assert rm.closed is None


def test_control_frames_are_limited_like_messages() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(message_burst=5, messages_per_s=10)))
    rm = scene.join()
    for _ in range(5):
        rm.connection.receive_control(125, scene.now)
    assert rm.closed == "rate_limited"


def test_flood_ends_the_socket_and_costs_others_nothing() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    for index in range(10_000):
        rm.send({"type": "message", "id": f"f-{index}", "data": {"text": "x"}})
    assert rm.closed == "rate_limited"
    assert len(customer.take("message")) <= 60
    assert customer.ask("message", text="x")["type"] == "ok"
    again = scene.resume(rm, last_seq=None)
    assert again.frames[0]["type"] == "resumed"


def test_flood_of_nonsense_that_nobody_reads_stays_bounded() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(refusal_burst=10_000, message_burst=10_000)))
    rm = scene.join()
    for _ in range(1_000):
        rm.send_text("nonsense")
    assert len(rm.connection._control) <= 66
    assert rm.closed == "slow_consumer"


def test_pings_that_nobody_reads_the_answers_of_stay_bounded() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(message_burst=10_000)))
    rm = scene.join()
    for _ in range(5_000):
        rm.send({"type": "ping", "data": {}})
    assert len(rm.pump()) == 1


@pytest.mark.parametrize(
    "text", ["x" * 131_073, "字" * 50_000, "[" * 131_073], ids=["ascii", "multibyte", "deep"]
)
def test_message_above_the_size_limit_ends_the_socket(text: str) -> None:
    scene = Scene()
    rm = scene.join()
    rm.send_text(text)
    assert rm.closed == "too_large"
    assert rm.connection.close is not None
    assert rm.connection.close.code == 1009
    assert scene.resume(rm, last_seq=1).frames[0]["type"] == "resumed"


def test_deep_json_below_the_size_limit_is_just_wrong() -> None:
    rm = Scene().join()
    rm.send_text('{"type":"leave","id":"a","data":' + "[" * 60_000)
    assert codes(rm) == ["bad_message"]
    assert rm.closed is None


def test_binary_frame_ends_the_socket() -> None:
    scene = Scene()
    rm = scene.join()
    rm.connection.receive_binary(scene.now)
    rm.connection.receive_binary(scene.now)
    assert rm.closed == "bad_message"
    assert len(rm.take("bye")) == 1


def test_text_longer_than_configured_is_refused() -> None:
    rm = Scene(SignalingConfig(limits=LimitsConfig(text_chars=10))).join()
    assert rm.ask("message", text="一" * 10)["type"] == "ok"
    assert rm.ask("message", text="一" * 11)["data"]["field"] == "data.text"


def test_message_to_oneself_is_refused() -> None:
    rm = Scene().join()
    assert rm.ask("message", text="x", to="rm-1")["data"]["field"] == "data.to"


def test_closed_connection_takes_and_gives_nothing() -> None:
    scene = Scene()
    rm = scene.join()
    rm.ask("leave")
    rm.send({"type": "message", "id": "late", "data": {"text": "x"}})
    assert rm.pump() == []
    assert rm.connection.state is ConnectionState.CLOSED


def test_illegal_steps_raise_and_change_nothing() -> None:
    scene = Scene()
    rm, waiting = scene.join(), scene.connect()
    member = rm.connection.member
    assert member is not None
    with pytest.raises(IllegalTransitionError):
        rm.connection.attach(member, after_seq=0)
    with pytest.raises(IllegalTransitionError):
        waiting.connection.finish()
    assert waiting.connection.state is ConnectionState.AWAITING_HELLO
    with pytest.raises(IllegalTransitionError):
        scene.hub.roster.add(member)
    rm.connection.end(ErrorCode.INTERNAL, "x", scene.now)
    rm.connection.end(ErrorCode.TIMEOUT, "x", scene.now)
    assert rm.closed == "internal"


def test_every_message_wakes_the_socket() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    before = rm.wakes
    customer.post("message", text="x")
    assert rm.wakes == before + 1


def test_duplicate_ids_are_carried_out_once_whatever_they_hold() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    first = rm.ask("message", "same", text="一")
    second = rm.ask("message", "same", text="二")
    assert first["data"] == second["data"]
    assert [m["text"] for m in customer.take("message")] == ["一"]


def test_remembered_replies_are_bounded() -> None:
    scene = Scene(SignalingConfig(limits=LimitsConfig(reply_cache_messages=16)))
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    for index in range(17):
        rm.ask("message", f"m-{index}", text="x")
        rm.ack()
        scene.run(0.1)
    rm.ask("message", "m-0", text="x")
    rm.ask("message", "m-16", text="x")
    assert len(customer.take("message")) == 18


def test_frames_are_json_with_unescaped_text() -> None:
    scene = Scene()
    rm, customer = scene.join(), scene.join("customer-1", Role.CUSTOMER)
    rm.ask("message", text='引号 " 反斜线 \\ 换行 \n 表情 😀')
    assert customer.take("message")[0]["text"] == '引号 " 反斜线 \\ 换行 \n 表情 😀'
    assert json.dumps(customer.frames)
