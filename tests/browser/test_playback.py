"""The playback page in Chromium: a call that was recorded, found, filmed, watched and verified."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadtest.browser.browser import Browser
from loadtest.browser.call_page import CallPage
from recorder.compose.fonts import CANDIDATES
from recorder.config import EvidenceConfig, RecordedRooms, RecordingConfig
from recorder.views import playback_place, read_views
from signaling.auth import MintingKey
from signaling.config import Algorithm, AuthConfig, KeyConfig, SignalingConfig
from signaling.staff import StaffRole, mint_staff_token
from tests.e2e.scene import Scene, scene, settings
from tests.recorder.evidence import Office
from witness.config import Settings

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path(CANDIDATES[0]).exists(), reason="fonts-noto-cjk is not installed"),
]

KEY = MintingKey("k", b"0123456789abcdef" * 2)
FLOW = {
    "id": "fund-sale",
    "version": "3",
    "nodes": [
        {"code": "consent", "title": {"zh": "录制同意", "en": "Consent"}},
        {"code": "risk", "title": {"zh": "风险揭示", "en": "Risk disclosure"}},
    ],
}
PHONE = (390, 844)
PRESS = """
const event = new KeyboardEvent("keydown", { key: arguments[0], bubbles: true });
document.querySelector(".timeline").dispatchEvent(event);
"""
VIDEO = "const v = document.querySelector('video');"


@dataclass
class Watched:
    """A server with one sealed recording, and a page."""

    made: Scene
    root: Path
    session: str
    browser: Browser

    async def page(
        self, size: tuple[int, int] = (1280, 900), role: StaffRole = StaffRole.REVIEWER
    ) -> CallPage:
        """Opens the page on the recording, before a purpose was given."""
        page = await CallPage.open(self.browser, size=size)
        token = mint_staff_token(KEY, role=role, now_unix_s=time.time(), ttl_s=600, subject="qc-7")
        await page.go(f"{self.made.server.url}/playback?lang=en#token={token}")
        return page

    def views(self) -> list[dict[str, Any]]:
        """The log of views."""
        place = playback_place(self.root / "recordings/_playback", self.session)
        return [view.to_json() for view in read_views(place)[1]]


def configured(root: Path) -> Settings:
    (root / "recordings").mkdir()
    (root / "packages").mkdir()
    key = KeyConfig(kid="k", algorithm=Algorithm.HS256, secret=KEY.secret.decode())
    return settings(
        recording=RecordingConfig(
            directory=root / "recordings", rooms=RecordedRooms.NONE, segment_seconds=1
        ),
        evidence=EvidenceConfig(
            keys_directory=root / "office/keys",
            log_directory=root / "office/log",
            packages_directory=root / "packages",
            tsa_local=True,
        ),
        signaling=SignalingConfig(auth=AuthConfig(demo_key=True, keys=(key,))),
    )


async def recorded(made: Scene) -> str:
    """A call of two with a flow, a pause and a node recorded again; returns its session."""
    headers = {"Authorization": f"Bearer {await made.token('rm')}"}
    url = f"{made.server.url}/v1/sessions"

    async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with made.session.post(f"{url}{path}", json=body, headers=headers) as response:
            assert response.status < 300, await response.text()
            return dict(await response.json())

    rm, customer = await made.join("rm"), await made.join("customer")
    await made.hears_and_sees(rm)
    await made.hears_and_sees(customer)
    name = str((await post("", {"room": "call", "flow": FLOW}))["session_id"])
    for command in (
        {"command": "start"},
        {"command": "next", "node": "consent"},
        {"command": "next", "node": "risk"},
        {"command": "mark", "label": "看这里"},
        {"command": "re_record", "node": "risk"},
    ):
        await post(f"/{name}/commands", command)
        await asyncio.sleep(1.2)
    await post(f"/{name}/commands", {"command": "stop"})
    for person in (rm, customer):
        await person.leave()
    return name


@pytest.fixture
async def watched(chromium: Browser, tmp_path: Path) -> AsyncIterator[Watched]:
    async with scene(configured(tmp_path)) as made:
        name = await recorded(made)
        office = await asyncio.to_thread(Office.made, tmp_path / "office")
        place, package = tmp_path / "recordings" / name, tmp_path / f"packages/{name}.zip"
        await asyncio.to_thread(office.seal, place, package)
        yield Watched(made, tmp_path, name, chromium)
        await chromium.close_windows()
        chromium.mend()


async def opened(watched: Watched, page: CallPage) -> None:
    await page.until("return document.querySelector('.found-item') !== null", "a recording")
    await page.click(f"[data-session='{watched.session}']")
    await page.until("return document.querySelector('.purpose') !== null", "the purpose")
    await page.click(".purpose-form button")
    await page.until("return document.querySelector('.recording') !== null", "the recording")


async def test_a_recording_is_found_filmed_watched_and_verified(watched: Watched) -> None:
    page = await watched.page()
    assert "token" not in str(await page.run("return location.href"))
    await opened(watched, page)
    assert [view["purpose"] for view in watched.views()] == ["review"]
    assert not await page.visible("video")
    await page.click(".film-offer .primary")
    await page.until(f"{VIDEO} return v.readyState >= 2 && v.duration > 5", "the film")
    # A node of the timeline jumps there, and its title stands beside the film.
    await page.click(".tl-node:nth-child(2)")
    now = "return document.querySelector('.film-now').textContent === arguments[0]"
    await page.until(now, "the old attempt", "Risk disclosure, replaced by attempt 2")
    await page.until(f"{VIDEO} return v.currentTime > 1 && !v.seeking", "the node")
    at_s = float(await page.run(f"{VIDEO} return v.currentTime"))
    # The superseded attempt leads to the one that replaced it.
    await page.click(".event-link")
    await page.until(f"{VIDEO} return v.currentTime > {at_s} + 1", "the replacement")
    await page.until(now, "the new attempt", "Risk disclosure (attempt 2)")
    assert "attempt 2" in await page.text("[aria-current]")
    # Keys: to the event before (the mark), then playing.
    await page.run(PRESS, "PageUp")
    await page.until(f"{VIDEO} return v.currentTime < {at_s} + 2", "the mark")
    await page.run(f"{VIDEO} v.muted = true; v.play()")
    await page.until(f"{VIDEO} return v.currentTime > {at_s} + 2.5", "the film going on")
    # The verifier's own word, the package and its digest.
    await page.click(".evidence-actions button")
    await page.until("return /PASS/.test(document.querySelector('.verdict').innerText)", "verdict")
    shown = await page.text(".evidence")
    assert "FAIL" not in shown
    assert "File SHA-256" in shown
    await page.run("return fetch(document.querySelector('.as-button').href).then((r) => r.blob())")
    (view,) = watched.views()
    assert view["fetched_bytes"]["film"] > 0
    size = (watched.root / f"packages/{watched.session}.zip").stat().st_size
    assert view["fetched_bytes"]["package"] == size
    # Chinese, without another purpose.
    await page.click(".language")
    await page.until("return document.documentElement.lang === 'zh-CN'", "Chinese")
    assert "风险揭示" in await page.text(".events")
    assert len(watched.views()) == 1
    assert not page.console()


async def test_it_fits_a_phone_and_customers_see_nothing(watched: Watched) -> None:
    page = await watched.page(PHONE, StaffRole.AUDITOR)
    await opened(watched, page)
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.run(wide) == 0
    await page.until("return document.querySelectorAll('.event').length > 4", "events")
    other = await CallPage.open(watched.browser, size=PHONE)
    token = await watched.made.token("customer")
    await other.go(f"{watched.made.server.url}/playback?lang=en#token={token}")
    await other.until("return document.querySelector('[role=alert]') !== null", "a refusal")
    assert "not accepted" in await other.text(".card")
    other.browser.console()
