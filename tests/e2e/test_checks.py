"""Checks from the RM's page, with real detectors: who is asked, what is seen, what comes of it."""

import base64
import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from analytics.config import AnalyticsConfig
from analytics.registry import BUILTIN, the_registry
from loadtest.browser.browser import Browser
from loadtest.browser.call_page import CallPage
from loadtest.sources import MEDIA_DIR, load_clip
from recorder.config import RecordedRooms, RecordingConfig
from recorder.log import read_events
from recorder.session_file import read_session
from tests.e2e.scene import settings, until
from tests.e2e.stage import stage
from tests.models import installed
from witness.server import WitnessServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PATIENCE_S = 120.0
CHOOSE = """
const input = document.querySelector("#checks-photo");
const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
const files = new DataTransfer();
files.items.add(new File([bytes], "photo", { type: arguments[1] }));
input.files = files.files;
input.dispatchEvent(new Event("change"));
"""
FIT = """
return (async () => {
// As large as a camera makes it.
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [4000, 3000];
const context = canvas.getContext("2d");
const shade = context.createLinearGradient(0, 0, 4000, 3000);
shade.addColorStop(0, "#203040");
shade.addColorStop(1, "#f0d0b0");
context.fillStyle = shade;
context.fillRect(0, 0, 4000, 3000);
const { fittingPhoto } = await import("/app/photo.js");
const camera = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
const photo = await fittingPhoto(camera);
const { width, height } = await createImageBitmap(photo);
return photo.size <= 40000 && { type: photo.type, width, height };
})();
"""
RESULT = """
const { state } = [...document.querySelectorAll(".checks-row")]
  .find((row) => row.querySelector(arguments[0])).querySelector(".checks-result").dataset;
return state && state !== "waiting" ? state : null;
"""
OUTCOMES = {
    ("challenge_seen", "unknown"): "seen",
    ("challenge_missed", "warn"): "missed",
    ("challenge_missed", "unknown"): "unknown",
}
WATCHED = ("liveness_hint", "person_swap")


def portrait() -> bytes:
    """The man of the fake camera, as on a card."""
    picture = Image.fromarray(load_clip(MEDIA_DIR / "carphone.mp4")[0])
    out = io.BytesIO()
    picture.resize((640, 640 * picture.height // picture.width)).save(out, "JPEG", quality=85)
    return out.getvalue()


async def test_an_rm_asks_for_a_turn_and_gives_a_photo(chromium: Browser, tmp_path: Path) -> None:
    installed(*{model for name in WATCHED for model in the_registry().find(name).card.models})
    directory = tmp_path / "r"
    directory.mkdir()
    recording = RecordingConfig(
        directory=directory, rooms=RecordedRooms.ALL, segment_seconds=1, buffer_mib=4
    )
    detectors: dict[str, dict[str, object]] = {
        name: {"enabled": name in WATCHED} for name in BUILTIN
    }
    watched = settings(
        recording=recording, analytics=AnalyticsConfig(enabled=True, detectors=detectors)
    )
    async with stage(chromium, watched, expected=["status 409"]) as made:
        customer, rm = await made.join("customer"), await made.join("rm")
        server = made.call.server
        assert isinstance(server, WitnessServer)
        await customer.shows(".dialog-consents")
        await rm.shows(".dialog-consents")
        await rm.click(".dialog-consents .secondary")
        await rm.sees_and_hears()
        # Nobody may look yet, and the RM is told so.
        await rm.run("document.querySelector('.tile-check').click()")
        await rm.shows(".checks [role=status]")
        await rm.click(".checks [data-ask=turn]")
        await rm.shows(".checks-result[data-state=refused]", "has not agreed")
        assert not await customer.visible(".challenge")
        await customer.click(".dialog-consents .primary")
        await customer.hides(".dialog-consents")
        await until_watched(server)

        await rm.run(CHOOSE, base64.b64encode(b"GIF89a").decode(), "image/gif")
        await rm.shows(".checks-result[data-state=refused]", "Only JPEG and PNG")
        await rm.run(CHOOSE, base64.b64encode(bytes(40_001)).decode(), "image/png")
        await rm.shows(".checks-result[data-state=refused]", "can't be read")
        assert await rm.run(FIT) == {"type": "image/jpeg", "width": 1280, "height": 960}
        await rm.run(CHOOSE, base64.b64encode(portrait()).decode(), "image/jpeg")
        await rm.shows(".checks-result[data-state=match]", "Like the photo")

        await rm.click(".checks [data-ask=turn]")
        await customer.shows(".challenge [lang=en]", "turn your head")
        await customer.shows(".challenge [lang=zh-CN]", "请慢慢向一侧转头")
        shown = await state_of(rm, "[data-ask=turn]")
        assert not await rm.visible(".challenge")
        assert not await customer.visible(".checks")
        assert not await customer.visible(".tile-check")
        await customer.hides(".challenge")
        # From the keyboard: closed by Escape, with the focus where it came from.
        escape = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', "
        await rm.run("document.querySelector('.checks').focus()")
        await rm.run(escape + "{ key: 'Escape', bubbles: true }))")
        await rm.hides(".checks")
        assert await rm.run("return document.activeElement.className") == "tile-check"
    (place,) = (path.parent for path in directory.glob("*/session.json"))
    events = list(read_events(place, read_session(place)))
    (given,) = [event.payload for event in events if event.type == "id_photo.given"]
    assert given["sha256"] == hashlib.sha256(portrait()).hexdigest()
    told = [event.payload for event in events if event.type == "finding"]
    answers = [
        OUTCOMES[finding["kind"], finding["outcome"]]
        for finding in told
        if finding["kind"].startswith("challenge_")
    ]
    assert answers == [shown]
    assert [one["outcome"] for one in told if one["kind"] == "id_match"] == ["pass"]
    # Nothing of the photo is in the recording.
    held = base64.b64encode(portrait())[100:140]
    assert not any(held in path.read_bytes() for path in place.glob("*.json*"))


async def state_of(page: CallPage, row: str) -> str:
    """What a check came to, as the page says it."""
    await page.until(RESULT, "result", row)
    return str(await page.run(RESULT, row))


async def until_watched(server: WitnessServer) -> None:
    """The detectors have loaded, and have the customer's picture."""
    service = server.analytics
    assert service is not None
    await until(lambda: service.has_host and service.tap_count >= 1, "taps", PATIENCE_S)
    await until(lambda: service.totals.seconds["person_swap"] > 0, "a look", PATIENCE_S)
