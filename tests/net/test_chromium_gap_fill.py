"""A recorded call over a network that loses 70 % both ways: nothing is missing in the end."""

import logging
from collections.abc import AsyncIterator

import pytest

from loadtest.browser.browser import Browser
from loadtest.browser.browser import until as until_page
from loadtest.browser.call_page import CallPage
from loadtest.netem.inside import inside
from recorder.backfill.ledger import Counts
from tests.e2e.stage import Stage, stage
from tests.net.far import BROKEN_SOCKET, URL, far_settings, join_far, join_near
from tests.net.namespaces import Path, browser_marks
from tests.net.recorded import Recording, recording

__all__ = ["recording"]

log = logging.getLogger(__name__)
pytestmark = browser_marks(400)

LOSS_PERCENT = 70
CALL_S = 20
UPLOADED = "return document.documentElement.dataset.upload === 'done'"
EXPECTED = [BROKEN_SOCKET, "ERR_"]


def figures(recorded: Recording) -> dict[str, Counts]:
    """Frames by kind of track."""
    return recorded.service.completeness("s-1") or {}


@pytest.fixture
async def recorded(
    path: Path, chromium: Browser, recording: Recording
) -> AsyncIterator[tuple[Stage, Recording]]:
    """A server that records, at the far end of a path."""
    path.heal()
    with inside(path.server):
        async with stage(chromium, far_settings(), expected=EXPECTED) as made:
            recording.begin(made.call)
            try:
                yield made, recording
            finally:
                path.heal()
                await recording.end()


async def _call(path: Path, made: Stage, recorded: Recording, seconds: float) -> CallPage:
    """A customer's call, most of which is lost."""
    rm = await join_near(made)
    recorded.record(made.call)
    customer = await join_far(made)
    await customer.shows(".pill-recording", "Recording")
    await made.call.hears_and_sees(rm)
    path.set_loss(LOSS_PERCENT)
    began = recorded.log.now_us()

    async def lasted() -> bool:
        return recorded.log.now_us() - began > seconds * 1e6

    await until_page(lasted, "call", 10 * seconds)
    log.info("captured at %d %% loss: %s", LOSS_PERCENT, figures(recorded))
    return customer


async def test_chromium_fills_what_70_percent_of_loss_took(
    path: Path, recorded: tuple[Stage, Recording]
) -> None:
    made, recording = recorded
    customer = await _call(path, made, recording, CALL_S)
    before = figures(recording)
    await customer.run("globalThis.witness.call.leave();")
    path.set_loss(0)
    recording.stop(made.call)
    await customer.until(UPLOADED, "uploads")
    found = figures(recording)
    log.info("with uploads: %s", found)
    assert before["audio"].ratio != 1
    assert found["audio"].ratio == 1
    assert found["video"].ratio >= 0.99
    assert found["audio"].sent >= 40 * CALL_S
    assert not recording.service.refused


async def test_a_page_that_was_closed_goes_on_when_it_is_opened_again(
    path: Path, recorded: tuple[Stage, Recording]
) -> None:
    made, recording = recorded
    customer = await _call(path, made, recording, CALL_S / 2)
    await customer.go("about:blank")
    path.set_loss(0)
    recording.stop(made.call)
    await customer.visit(URL, token="later")
    await customer.until(UPLOADED, "uploads")
    found = figures(recording)
    assert found["audio"].ratio == found["video"].ratio == 1
    assert found["audio"].sent >= 40 * CALL_S / 2
    stored = [event.payload for event in recording.logged("chunk.backfilled")]
    assert sum(item["frames"] for item in stored) > 0
