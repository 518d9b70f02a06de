"""A recorded call over a network that loses 70 % both ways: nothing is missing in the end."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path as FilePath

import pytest

from loadtest.browser.browser import Browser
from loadtest.browser.browser import until as until_page
from loadtest.browser.call_page import CallPage
from loadtest.netem.inside import inside
from tests.e2e.stage import Stage, stage
from tests.net.far import BROKEN_SOCKET, URL, join_far, join_near
from tests.net.namespaces import Path, browser_marks
from tests.net.recorded import (
    Recorded,
    playable_frames,
    recording_settings,
    sealed_and_verified,
    uploaded_frames,
)
from witness.recording import load_key

log = logging.getLogger(__name__)
pytestmark = browser_marks(400)

LOSS_PERCENT = 70
CALL_S = 20
UPLOADED = "return document.documentElement.dataset.upload === 'done'"
EXPECTED = [BROKEN_SOCKET, "ERR_"]


@pytest.fixture
async def recorded(
    request: pytest.FixtureRequest, path: Path, chromium: Browser, tmp_path: FilePath
) -> AsyncIterator[tuple[Stage, Recorded]]:
    """A server that records, encrypted if it is asked for, at the far end of a path."""
    path.heal()
    directory = tmp_path / "recordings"
    encrypted = getattr(request, "param", "plain") == "encrypted"
    settings = recording_settings(directory, encrypted=encrypted)
    with inside(path.server):
        async with stage(chromium, settings, expected=EXPECTED) as made:
            yield made, Recorded(made.call, directory, load_key(settings.recording))
            path.heal()


async def _call(path: Path, made: Stage, recorded: Recorded, seconds: float) -> CallPage:
    """A customer's call, most of which is lost; whoever saw it has left."""
    rm = await join_near(made)
    customer = await join_far(made)
    await customer.shows(".pill-recording", "Recording")
    await made.call.hears_and_sees(rm)
    path.set_loss(LOSS_PERCENT)
    began = time.monotonic()

    async def lasted() -> bool:
        return time.monotonic() - began > seconds

    await until_page(lasted, "call", 10 * seconds)
    log.info("captured at %d %% loss: %s", LOSS_PERCENT, recorded.figures)
    await rm.leave()
    return customer


@pytest.mark.parametrize("recorded", ["plain", "encrypted"], indirect=True)
async def test_chromium_fills_what_70_percent_of_loss_took(
    path: Path, recorded: tuple[Stage, Recorded], tmp_path: FilePath
) -> None:
    made, recording = recorded
    customer = await _call(path, made, recording, CALL_S)
    before = recording.figures
    await customer.run("globalThis.witness.call.leave();")
    path.set_loss(0)
    await customer.until(UPLOADED, "uploads")
    found = recording.figures
    log.info("with uploads: %s", found)
    assert before["audio"].ratio != 1
    assert found["audio"].ratio == 1
    assert found["video"].ratio >= 0.99
    assert found["audio"].sent >= 40 * CALL_S
    assert recording.refused == 0
    await _is_sealed_whole(recording, tmp_path)


async def _is_sealed_whole(recording: Recorded, root: FilePath) -> None:
    """The package passes: gaps were filled, and files that play have what was uploaded."""

    async def stopped() -> bool:
        return bool(recording.logged("recording.stopped"))

    await until_page(stopped, "the end of the recording", 30)
    place = recording.copied(root)
    result = await asyncio.to_thread(sealed_and_verified, place, root)
    log.info("%s", {step.name: step.detail for step in result.steps})
    keys = recording.keys
    if keys is not None:
        media = [path for path in (place / "tracks").rglob("*") if path.suffix != ".json"]
        assert all(path.suffix == ".enc" for path in media if path.is_file())
    played = await asyncio.to_thread(playable_frames, place, root, keys)
    kinds = {item["track"]: item["codec"] for item in recording.logged("digest.batch")}
    for track, codec in kinds.items():
        there, uploaded = played.get(track, ([], []))
        frames = set(there)
        brought = sum(frame in frames for frame in uploaded)
        log.info("%s %s: %d of %d uploaded frames play", codec, track, brought, len(uploaded))
        assert brought >= (1 if codec == "opus" else 0.99) * len(uploaded)
    assert sum(len(uploaded_frames(place, track, keys)) for track in kinds) > 100
    (timeline,) = (step for step in result.steps if step.name == "timeline")
    assert "filled" in timeline.detail
    (client,) = (step for step in result.steps if step.name == "client")
    said = sum(len(item["chunks"]) for item in recording.logged("digest.batch"))
    assert client.detail.endswith(f" {said} of {said}"), client.detail
    assert result.exit_code == 0, [step for step in result.steps if step.outcome != "pass"]


async def test_a_page_that_was_closed_goes_on_when_it_is_opened_again(
    path: Path, recorded: tuple[Stage, Recorded]
) -> None:
    made, recording = recorded
    customer = await _call(path, made, recording, CALL_S / 2)
    await customer.go("about:blank")
    path.set_loss(0)
    await customer.visit(URL, token="later")
    await customer.until(UPLOADED, "uploads")
    found = recording.figures
    assert found["audio"].ratio == found["video"].ratio == 1
    assert found["audio"].sent >= 40 * CALL_S / 2
    assert sum(item["frames"] for item in recording.logged("chunk.backfilled")) > 0
