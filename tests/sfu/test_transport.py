"""The association's states and credentials."""

import re

import pytest

from sfu.errors import IllegalTransitionError
from sfu.model import MediaState
from sfu.plane import Ice
from sfu.transport import Transport, TransportState, new_ice


def transport(state: TransportState) -> Transport:
    return Transport(1, Ice("a", "b"), new_ice(), frozenset(), "passive", "1", state=state)


LEGAL = {
    ("new", "connecting"), ("new", "connected"), ("new", "disconnected"), ("new", "failed"),
    ("new", "closed"), ("connecting", "connected"), ("connecting", "disconnected"),
    ("connecting", "failed"), ("connecting", "closed"), ("connected", "disconnected"),
    ("connected", "failed"), ("connected", "closed"), ("disconnected", "connecting"),
    ("disconnected", "connected"), ("disconnected", "failed"), ("disconnected", "closed"),
    ("failed", "closed"),
}  # fmt: skip


@pytest.mark.parametrize("start", list(TransportState))
@pytest.mark.parametrize("step", list(TransportState))
def test_transitions(start: TransportState, step: TransportState) -> None:
    item = transport(start)
    if (start.value, step.value) in LEGAL:
        item.advance(step)
        assert item.state is step
    else:
        with pytest.raises(IllegalTransitionError):
            item.advance(step)
        assert item.state is start


def test_final_states_count_as_failed_media() -> None:
    for state in (TransportState.FAILED, TransportState.CLOSED):
        assert transport(state).final
        assert transport(state).media_state is MediaState.FAILED


def test_credentials_are_fresh_and_of_the_characters_allowed() -> None:
    seen = {new_ice() for _ in range(200)}
    assert len(seen) == 200
    for item in seen:
        assert re.fullmatch(r"[A-Za-z0-9+/]{8}", item.ufrag)
        assert re.fullmatch(r"[A-Za-z0-9+/]{24}", item.password)
