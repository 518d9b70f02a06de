"""Reading client messages: what is accepted, what is refused, and what the refusal names."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from signaling.errors import ErrorCode, RefusedError
from signaling.messages import CLIENT_ADAPTER, read_message, read_request_id
from tests.signaling.scene import client_validator

QUALITY = {"track_id": "t", "packets_lost": 0, "packets_received": 1, "jitter_ms": 0.5}
SHOWN = {"track_id": "t", "width": 0, "height": 16_384}
CHUNK = {
    "ssrc": 2**32 - 1,
    "first_ts": 0,
    "last_ts": 47_040,
    "frames": 50,
    "bytes": 4_000,
    "sha256": "0a" * 32,
}
KEY = "BGsX0fLhLEJH+Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT+NC4v4af5uO5+tKfA+eFivOM1drMV7Oy7ZAaDe/UfU="
"""The base point of P-256."""
PROOF = "A" * 86 + "=="
SIGNED = {"key": "0b" * 32, "batch": 1, "prev": "0c" * 32, "late": True, "signature": PROOF}
DECLARED = {"mid": "0", "source": "camera"}

GOOD: dict[str, dict[str, Any]] = {
    "join": {
        "token": "t",
        "client": {"name": "n", "version": "1"},
        "language": "zh-CN",
    },
    "resume": {"resume_token": "t", "last_seq": None},
    "offer": {"sdp": "v=0", "tracks": [{"mid": "0", "source": "camera", "muted": True}]},
    "subscribe": {"track_id": "t"},
    "unsubscribe": {"track_id": "t"},
    "mute": {"track_id": "t", "muted": False},
    "mute.request": {"track_id": "t"},
    "mute.answer": {"request_id": "q", "accept": True},
    "message": {"text": "你好", "to": None},
    "quality.report": {"tracks": [QUALITY], "rtt_ms": 3},
    "layers.want": {"tracks": [SHOWN]},
    "layers.first": {"first": "screen"},
    "device.key": {"session_id": "s", "public": KEY, "proof": PROOF},
    "digest.batch": {
        "session_id": "s",
        "track_id": "t",
        "codec": "opus",
        "from_seq": 0,
        "chunks": [CHUNK],
        "signed": SIGNED,
    },
    "leave": {},
    "ack": {"seq": 0},
    "ping": {},
}
NO_ID = {"ack", "ping"}


def message(kind: str, **changes: Any) -> dict[str, Any]:
    data = {k: v for k, v in (GOOD[kind] | changes).items() if v is not ...}
    return {"type": kind, "data": data} | ({} if kind in NO_ID else {"id": "i-1"})


def refusal(text: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        read_message(text)
    return caught.value


@pytest.mark.parametrize("kind", GOOD)
def test_good_message_is_read_and_fits_the_schema(kind: str) -> None:
    assert read_message(json.dumps(message(kind))).type == kind
    assert client_validator().is_valid(message(kind))


@pytest.mark.parametrize("kind", GOOD)
def test_unknown_field_is_refused_by_name(kind: str) -> None:
    wrong = message(kind)
    wrong["data"]["surplus"] = 1
    error = refusal(json.dumps(wrong))
    assert (error.code, error.field) == (ErrorCode.BAD_MESSAGE, "data.surplus")
    assert not client_validator().is_valid(wrong)


@pytest.mark.parametrize("kind", sorted(set(GOOD) - NO_ID))
@pytest.mark.parametrize("wrong", [None, "", "x" * 65, "a b", "ä", 7, "a\n", '"'])
def test_id_must_be_there_and_plain(kind: str, wrong: Any) -> None:
    bad = message(kind) | {"id": wrong}
    assert refusal(json.dumps(bad)).field == "id"
    del bad["id"]
    assert refusal(json.dumps(bad)).field == "id"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("join", {"token": ...}, "data.token"),
    ("join", {"token": ""}, "data.token"),
    ("join", {"token": "t" * 8193}, "data.token"),
    ("join", {"token": 1}, "data.token"),
    ("join", {"auto_subscribe": "yes"}, "data.auto_subscribe"),
    ("join", {"language": "zh_CN;"}, "data.language"),
    ("join", {"client": {"name": "n"}}, "data.client.version"),
    ("join", {"client": {"name": "n" * 65, "version": "1"}}, "data.client.name"),
    ("device.key", {"public": ""}, "data.public"),
    ("device.key", {"public": 4}, "data.public"),
    ("device.key", {"public": KEY[:-4]}, "data.public"),
    ("device.key", {"public": KEY + "AAAA"}, "data.public"),
    ("device.key", {"public": "C" + KEY[1:]}, "data.public"),
    ("device.key", {"public": KEY.replace("=", "\n")}, "data.public"),
    ("device.key", {"proof": PROOF[:-4]}, "data.proof"),
    ("device.key", {"proof": None}, "data.proof"),
    ("device.key", {"session_id": "a b"}, "data.session_id"),
    ("digest.batch", {"signed": SIGNED | {"late": 0}}, "data.signed.late"),
    ("digest.batch", {"signed": []}, "data.signed"),
    ("digest.batch", {"signed": {}}, "data.signed.key"),
    ("digest.batch", {"signed": SIGNED | {"key": "0B" * 32}}, "data.signed.key"),
    ("digest.batch", {"signed": SIGNED | {"batch": 0}}, "data.signed.batch"),
    ("digest.batch", {"signed": SIGNED | {"batch": 2**53}}, "data.signed.batch"),
    ("digest.batch", {"signed": SIGNED | {"batch": "1"}}, "data.signed.batch"),
    ("digest.batch", {"signed": SIGNED | {"prev": None}}, "data.signed.prev"),
    ("digest.batch", {"signed": SIGNED | {"signature": "A" * 88}}, "data.signed.signature"),
    ("digest.batch", {"signed": SIGNED | {"signature": "A" * 84}}, "data.signed.signature"),
    ("digest.batch", {"signed": SIGNED | {"extra": 1}}, "data.signed.extra"),
    ("resume", {"last_seq": ...}, "data.last_seq"),
    ("resume", {"last_seq": -1}, "data.last_seq"),
    ("resume", {"last_seq": 1.5}, "data.last_seq"),
    ("resume", {"last_seq": 2**53}, "data.last_seq"),
    ("resume", {"last_seq": True}, "data.last_seq"),
    ("resume", {"resume_token": "t" * 129}, "data.resume_token"),
    ("offer", {"sdp": ""}, "data.sdp"),
    ("offer", {"sdp": "v" * 65_537}, "data.sdp"),
    ("offer", {"sdp": ...}, "data"),
    ("offer", {"sdp_deflate": "AwA="}, "data"),
    ("offer", {"sdp": ..., "sdp_deflate": "A" * 65_537}, "data.sdp_deflate"),
    ("offer", {"tracks": ...}, "data.tracks"),
    ("offer", {"tracks": [{"mid": "0", "source": "kitchen"}]}, "data.tracks.0.source"),
    ("offer", {"tracks": [{"mid": "m" * 17, "source": "camera"}]}, "data.tracks.0.mid"),
    ("offer", {"tracks": [{"mid": "0\r\n", "source": "camera"}]}, "data.tracks.0.mid"),
    ("offer", {"tracks": [{"mid": "0", "source": "camera"}] * 33}, "data.tracks"),
    ("subscribe", {"track_id": "a b"}, "data.track_id"),
    ("unsubscribe", {"track_id": None}, "data.track_id"),
    ("mute", {"muted": "true"}, "data.muted"),
    ("mute", {"muted": 1}, "data.muted"),
    ("mute.request", {"track_id": ["t"]}, "data.track_id"),
    ("mute.answer", {"accept": None}, "data.accept"),
    ("message", {"text": ""}, "data.text"),
    ("message", {"text": "x" * 16_001}, "data.text"),
    ("message", {"to": 5}, "data.to"),
    ("quality.report", {"rtt_ms": -1}, "data.rtt_ms"),
    ("layers.first", {"first": "slides"}, "data.first"),
    ("layers.first", {"first": None}, "data.first"),
    ("layers.first", {"extra": 1}, "data.extra"),
    ("layers.want", {"tracks": None}, "data.tracks"),
    ("layers.want", {"tracks": [SHOWN] * 65}, "data.tracks"),
    ("layers.want", {"tracks": [SHOWN | {"width": -1}]}, "data.tracks.0.width"),
    ("layers.want", {"tracks": [SHOWN | {"height": 16_385}]}, "data.tracks.0.height"),
    ("layers.want", {"tracks": [SHOWN | {"height": 1.5}]}, "data.tracks.0.height"),
    ("layers.want", {"tracks": [SHOWN | {"track_id": "a b"}]}, "data.tracks.0.track_id"),
    ("layers.want", {"tracks": [SHOWN | {"extra": 1}]}, "data.tracks.0.extra"),
    ("offer", {"tracks": [DECLARED | {"encodings": [{"rid": "q", "width": 0, "height": 9}]}]},
     "data.tracks.0.encodings.0.width"),
    ("offer", {"tracks": [DECLARED | {"encodings": [{"rid": "~", "width": 1, "height": 9}]}]},
     "data.tracks.0.encodings.0.rid"),
    ("offer", {"tracks": [DECLARED | {"encodings": [{"rid": "q"}]}]},
     "data.tracks.0.encodings.0.width"),
    ("quality.report", {"rtt_ms": 600_001}, "data.rtt_ms"),
    ("quality.report", {"tracks": [QUALITY] * 65}, "data.tracks"),
    ("quality.report", {"tracks": [QUALITY | {"packets_lost": -1}]}, "data.tracks.0.packets_lost"),
    ("quality.report", {"tracks": [QUALITY | {"concealed_ratio": 1.1}]},
     "data.tracks.0.concealed_ratio"),
    ("leave", {"why": "bored"}, "data.why"),
    ("ack", {"seq": "1"}, "data.seq"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("codec", "frames", "ticks", "is_taken"),
    [
        ("opus", 5, 96_000, True),
        ("opus", 50, 96_001, False),
        ("opus", 2, 24_000, True),
        ("opus", 2, 24_001, False),
        ("opus", 1, 0, True),
        ("opus", 1, 1, False),
        ("vp8", 2, 180_000, True),
        ("av1", 2, 180_001, False),
    ],
)
@pytest.mark.parametrize("first_ts", [0, 2**32 - 1])
def test_few_frames_do_not_answer_for_a_long_time(
    codec: str, frames: int, ticks: int, first_ts: int, *, is_taken: bool
) -> None:
    times = {"first_ts": first_ts, "last_ts": (first_ts + ticks) % 2**32, "frames": frames}
    text = json.dumps(message("digest.batch", codec=codec, chunks=[CHUNK, CHUNK | times]))
    if is_taken:
        assert read_message(text)
    else:
        error = refusal(text)
        assert (error.code, error.field) == (ErrorCode.BAD_MESSAGE, "data")
        assert f"chunk 1 is too long: {frames} frames" in str(error)


@pytest.mark.parametrize(("kind", "changes", "field"), WRONG)
def test_wrong_field_is_named(kind: str, changes: dict[str, Any], field: str) -> None:
    error = refusal(json.dumps(message(kind, **changes)))
    assert (error.code, error.field) == (ErrorCode.BAD_MESSAGE, field)
    # JSON Schema, unlike Python, knows no difference between 1 and true or a final line end.
    assert not client_validator().is_valid(message(kind, **changes))


NOT_MESSAGES = [
    "", " ", "null", "true", "7", '"join"', "[]", "[{}]", "{", '{"type":"ping","data":{}} x',
    "\x00", "[" * 100_000, '{"a":' * 50_000,
    '{"type":"message","id":"a","data":{"text":"\\ud800"}}', "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_MESSAGES, ids=range(len(NOT_MESSAGES)))
def test_what_is_no_json_object_is_refused(text: str) -> None:
    assert refusal(text).code is ErrorCode.BAD_MESSAGE
    assert read_request_id(text) is None


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_are_finite(literal: str) -> None:
    text = json.dumps(message("quality.report", rtt_ms=12345)).replace("12345", literal)
    assert refusal(text).field == "data.rtt_ms"


def test_unknown_type_is_told_from_a_missing_one() -> None:
    assert refusal('{"type":"fly","id":"a","data":{}}').code is ErrorCode.UNKNOWN_TYPE
    error = refusal('{"id":"a","data":{}}')
    assert (error.code, error.field) == (ErrorCode.BAD_MESSAGE, "type")


def test_refusal_never_repeats_values() -> None:
    error = refusal(json.dumps(message("join", token="", language="secret-language-42;")))
    assert "secret" not in error.message


def test_long_field_names_are_cut() -> None:
    error = refusal(json.dumps(message("leave", **{"k" * 5000: 1})))
    assert error.field is not None
    assert len(error.field) <= 120


def test_thousands_of_surplus_fields_are_not_described_one_by_one() -> None:
    error = refusal(json.dumps(message("leave", **{f"k{i}": 1 for i in range(5000)})))
    assert (error.code, error.field) == (ErrorCode.BAD_MESSAGE, None)


@pytest.mark.parametrize("kind", ["offer", "quality.report"])
def test_reading_stops_at_the_first_wrong_item_of_a_list(kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CLIENT_ADAPTER.validate_json(json.dumps(message(kind, tracks=[{}] * 30_000)))
    assert caught.value.error_count() <= 5


def test_a_device_key_that_is_no_point_of_the_curve_is_refused() -> None:
    """Which no schema can say."""
    wrong = message("device.key", public="BAAA" + KEY[4:])
    assert refusal(json.dumps(wrong)).field == "data.public"
