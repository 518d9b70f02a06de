"""Whatever a client sends: never a fault, always an answer or a close, bounded state."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sfu import Role, Source
from signaling.connection import ConnectionState
from tests.signaling.scene import End, Scene
from tests.signaling.test_messages import GOOD, NO_ID

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["token", "track_id", "muted", "sdp", "tracks", "text", "to", "seq", "last_seq", "resume_token"]
)


@st.composite
def messages(draw: Any) -> str:
    """A message that is right, or wrong in a few places."""
    kind = draw(st.sampled_from(sorted(GOOD)) | st.text(max_size=12))
    data: Any = dict(GOOD.get(kind, {}))
    for _ in range(draw(st.integers(0, 2))):
        data[draw(KEYS | st.text(max_size=8))] = draw(VALUES)
    message: dict[str, Any] = {"type": kind, "data": draw(st.just(data) | VALUES)}
    if kind not in NO_ID or draw(st.booleans()):
        message["id"] = draw(st.sampled_from(["a", "b", "c"]) | VALUES)
    text = json.dumps(message, ensure_ascii=draw(st.booleans()))
    cut = draw(st.integers(0, len(text)) | st.none())
    return text if cut is None else text[:cut]


def check(end: End, frames_before: int, text: str) -> None:
    end.pump()
    connection = end.connection
    answered = len(end.frames) > frames_before
    if '"ack"' not in text:
        assert answered or connection.state is ConnectionState.CLOSED, text
    assert len(connection._control) == 0
    member = connection.member
    if member is not None:
        limits = end.scene.config.limits
        assert len(member.outbox) <= limits.outbox_messages
        assert member.outbox.bytes <= limits.outbox_bytes
        assert len(member.replies) <= limits.reply_cache_messages


@settings(max_examples=150)
@given(st.lists(messages() | st.text() | VALUES.map(json.dumps), min_size=1, max_size=20))
def test_joined_connection_survives_any_text(texts: list[str]) -> None:
    scene = Scene()
    customer = scene.join("customer-1", Role.CUSTOMER)
    rm = scene.join()
    scene.publish(rm, Source.MICROPHONE)
    for text in texts:
        before = len(rm.frames)
        closed = rm.connection.state is ConnectionState.CLOSED
        rm.send_text(text)
        if not closed:
            check(rm, before, text)
        scene.run(0.2)
        rm.pump()
    assert customer.ask("message", text="still here")["type"] == "ok"


@settings(max_examples=150)
@given(st.lists(messages() | st.binary().map(lambda b: b.decode("latin-1")), max_size=8))
def test_fresh_connection_survives_any_text(texts: list[str]) -> None:
    scene = Scene()
    end = scene.connect()
    for text in texts:
        before = len(end.frames)
        closed = end.connection.state is ConnectionState.CLOSED
        end.send_text(text)
        if not closed:
            check(end, before, text)
    scene.run(11.0)
    assert end.connection.state is ConnectionState.CLOSED
    assert scene.hub.next_timeout is None
    assert scene.hub.is_idle
