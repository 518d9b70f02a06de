"""The call page in real browsers against a real server process."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from loadtest.browser.browser import Browser
from loadtest.browser.call_page import CallPage
from loadtest.browser.programs import launch_chromium
from loadtest.browser.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PHONE = (390, 844)
MICROPHONE, CAMERA, SCREEN, _, DEVICES = (f".control:nth-child({i})" for i in range(1, 6))
# What a browser does that starts no audio before a click; the driver's scripts count as one.
HOLD_MEASURING = """
let touched = false;
addEventListener("pointerup", (event) => { touched ||= event.isTrusted; }, true);
globalThis.AudioContext = class extends globalThis.AudioContext {
  constructor(...values) { super(...values); void this.suspend(); }
  resume() { return touched ? super.resume() : new Promise(() => {}); }
};
"""
OTHERS_TRACKS = """
const { call } = window.witness;
return call.participants.flatMap((p) => call.tracksOf(p.participant_id)).map((t) => t.track_id);
"""

OFFERS = "return globalThis.watched.peers.map(({ offers }) => offers);"
DEVICE = "return window.witness.call.localTrack(arguments[0]).getSettings().deviceId;"
IS_OTHER_DEVICE = DEVICE.replace(";", " !== arguments[1];")
# The second camera of Chromium's three gives no pictures.
CHOOSE_OTHER = """
const list = document.querySelector(arguments[0]);
list.selectedIndex = list.selectedIndex === 0 ? 2 : 0;
list.dispatchEvent(new Event("change"));
"""
FROZEN_S = 1.0

OpenPage = Callable[..., Awaitable[CallPage]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server.start() as started:
        yield started


@pytest.fixture
async def open_page(chromium: Browser) -> AsyncIterator[OpenPage]:
    yield partial(CallPage.open, chromium)
    await chromium.close_windows()
    chromium.mend()


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).replace("[", "-").replace("]", "")[:60]


async def call(
    open_page: OpenPage, server: Server, room: str, **params: str
) -> tuple[CallPage, CallPage]:
    """An RM and a customer who see and hear each other."""
    rm, customer = await open_page(), await open_page()
    await rm.join(server.url, room=room, role="rm", name="Li Ming", **params)
    chinese = {"name": "王芳", "language": "zh-CN"}
    await customer.join(server.url, room=room, role="customer", **chinese, **params)
    await rm.sees_and_hears()
    await customer.sees_and_hears()
    return rm, customer


async def test_a_broken_socket_is_resumed_while_sound_and_pictures_go_on(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = await call(open_page, server, room)
    tracks = await rm.run(OTHERS_TRACKS)
    await customer.block_sockets(True)
    assert await customer.break_sockets() == 1
    await customer.wait_connection("signaling_lost")
    assert "声音和画面不受影响" in await customer.text(".banner")
    await customer.hears_more()
    await rm.sees_more()
    await customer.write("断线时写的")
    await customer.block_sockets(False)
    await customer.wait_connection("connected")
    await customer.hides(".banner")
    await rm.click("[aria-controls=messages]")
    await rm.shows(".messages", "断线时写的")
    assert (await rm.text(".messages")).count("断线时写的") == 1
    assert await rm.run(OTHERS_TRACKS) == tracks
    assert not await rm.visible(".is-away")


async def test_a_reloaded_page_comes_back_with_the_same_tracks(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = await call(open_page, server, room)
    await customer.click(MICROPHONE)
    await rm.shows(".tile-person .tile-muted")
    tracks = await rm.run(OTHERS_TRACKS)
    told = len(await rm.events("participants"))
    await customer.come_back()
    await customer.wait_connection("connected")
    await customer.sees_and_hears()
    assert await rm.run(OTHERS_TRACKS) == tracks
    await rm.sees_more()
    assert len(await rm.events("participants")) == told
    assert await rm.visible(".tile-person .tile-muted"), "a reload must not unmute"


async def test_an_outage_of_everything_is_told_and_overcome(open_page: OpenPage, room: str) -> None:
    with Server.start() as own_server:
        rm, customer = await call(open_page, own_server, room)
        own_server.pause()
        await customer.wait_connection("lost")
        await rm.wait_connection("lost")
        assert await customer.visible(".banner-danger")
        own_server.resume()
        await customer.wait_connection("connected")
        await rm.wait_connection("connected")
        # First come the packets that piled up meanwhile, which no decoder can use.
        await rm.sees_more()
        await customer.hears_more()


async def test_the_rm_asks_and_the_customer_decides(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = await call(open_page, server, room)
    ask = "document.querySelector('.tile-ask').click()"
    await rm.run(ask)
    await customer.shows("dialog", "Li Ming")
    await customer.click("dialog .secondary")
    await rm.shows(".toasts", "didn't agree")
    assert await customer.text(MICROPHONE) == "静音"
    await rm.run(ask)
    await customer.click("dialog .primary")
    await rm.shows(".tile-person .tile-muted")
    await rm.hears_nothing()
    await customer.click(MICROPHONE)
    await rm.hears_more()


async def test_a_camera_that_is_off_is_released_and_comes_back(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = await call(open_page, server, room)
    await customer.click(CAMERA)
    await rm.shows(".tile-person .avatar")
    state = "return window.witness.call.localTrack('camera').readyState"
    assert await customer.run(state) == "ended"
    await customer.click(CAMERA)
    await rm.shows(".tile-person video")
    await rm.sees_more()


async def test_a_shared_screen_is_seen_until_it_is_stopped(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = await call(open_page, server, room)
    await rm.click(SCREEN)
    await customer.shows(".tile-screen", "Li Ming")
    await customer.until(
        "return [...document.querySelectorAll('.grid video')].filter((v) => v.videoWidth).length"
        " === 2",
        "two pictures",
    )
    await rm.click(SCREEN)
    await customer.hides(".tile-screen")


async def test_a_hidden_supervisor_sees_everybody_and_is_seen_by_nobody(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, _ = await call(open_page, server, room)
    supervisor = await open_page(hold_sound=True)
    await supervisor.join(server.url, room=room, role="supervisor", name="Hidden")
    await supervisor.sees_more()
    assert "Hidden" not in await rm.text()
    assert not await supervisor.visible(".tile-self")
    await supervisor.click(".hear")
    await supervisor.hides(".hear")
    await supervisor.sees_and_hears(others=2)


async def test_another_camera_and_microphone_take_over_without_negotiation(
    chromium: Browser, open_page: OpenPage, server: Server, room: str
) -> None:
    three_of_each = partial(
        launch_chromium,
        files=False,
        without=["--use-fake-device-for-media-stream"],
        flags=["--use-fake-device-for-media-stream=device-count=3"],
    )
    with closing(Browser(three_of_each)) as browser:
        rm, customer = await open_page(), await CallPage.open(browser)
        await rm.join(server.url, room=room, role="rm", name="Li Ming")
        await customer.join(server.url, room=room, role="customer", name="Wang Fang")
        await rm.sees_and_hears()
        await customer.sees_and_hears()
        offers = await customer.run(OFFERS)
        frozen = (await rm.measure()).frozen_s()
        await customer.click(DEVICES)
        await customer.shows("#call-camera")
        for source in ("camera", "microphone"):
            listed = "return document.querySelector(arguments[0]).options.length >= 3"
            await customer.until(listed, f"choice of {source}", f"#call-{source}")
            before = await customer.run(DEVICE, source)
            await customer.run(CHOOSE_OTHER, f"#call-{source}")
            await customer.until(IS_OTHER_DEVICE, f"other {source}", source, before)
            await rm.sees_more()
            await rm.hears_more()
        assert (await rm.measure()).frozen_s() - frozen < FROZEN_S
        # A microphone that is chosen while muted is the one that is heard afterwards.
        await customer.run("await window.witness.call.setMuted('microphone', true)")
        before = await customer.run(DEVICE, "microphone")
        await customer.run(CHOOSE_OTHER, "#call-microphone")
        await customer.until(IS_OTHER_DEVICE, "other microphone", "microphone", before)
        await rm.hears_nothing()
        await customer.run("await window.witness.call.setMuted('microphone', false)")
        await rm.hears_more()
        assert await customer.run(OFFERS) == offers


async def test_a_person_without_camera_or_microphone_is_told_why_and_can_join(
    server: Server, room: str
) -> None:
    denied = partial(
        launch_chromium,
        without=["--use-fake-ui-for-media-stream"],
        flags=["--deny-permission-prompts"],
    )
    with closing(Browser(denied)) as browser:
        page = await CallPage.open(browser, size=PHONE, phone=True)
        await page.visit(server.url, room=room, name="Test", language="zh-CN")
        await page.shows(".problems", "没有使用权限")
        await page.click("button[type=submit]")
        await page.until(
            "return document.documentElement.dataset.connection === 'connected'", "call"
        )


async def test_a_refused_token_is_explained_and_never_stays_in_the_address(
    server: Server, open_page: OpenPage
) -> None:
    page = await open_page()
    await page.visit(server.url, token="not.a.token")
    assert "token" not in await page.run("return location.href")
    await page.click("button[type=submit]")
    await page.shows(".problem", "couldn't be identified")
    await page.click(".language")
    await page.shows(".problem", "身份验证失败")
    stored = await page.run("return JSON.stringify([{...sessionStorage}, {...localStorage}])")
    assert "not.a.token" not in stored


@pytest.mark.parametrize("path", ["/app/main.js", "/sdk/emitter.js"])
async def test_a_page_whose_modules_did_not_come_loads_itself_again(
    path: str, chromium: Browser, server: Server, open_page: OpenPage
) -> None:
    await chromium.fail_requests(path, times=1)
    page = await open_page()
    await page.visit(server.url, token="kept.through.reloads")
    assert any("failed" in line and path in line for line in page.console())
    # Told once everything has been loaded, which may be after the page has started.
    counted = "return sessionStorage.getItem('witness.reloads') === null"
    await page.until(counted, "end of the count of reloads")


async def test_a_page_that_can_not_be_loaded_says_so_and_can_be_tried_again(
    chromium: Browser, server: Server, open_page: OpenPage
) -> None:
    await chromium.fail_requests("/app/strings.js", times=1000)
    page = await open_page()
    await page.before_load("globalThis.setTimeout = (run) => queueMicrotask(run);")
    await page.go(f"{server.url}/?name=Test")
    await page.shows("[data-start=failed]", "didn't load")
    await page.shows("[data-start=failed]", "没有加载完整")
    chromium.mend()
    await page.click("#app button")
    await page.wait_view("lobby")


async def test_a_style_sheet_that_did_not_come_is_fetched_again(
    chromium: Browser, server: Server, open_page: OpenPage
) -> None:
    await chromium.fail_requests("/app/base.css", times=1)
    page = await open_page()
    await page.visit(server.url, name="Test")
    painted = "return getComputedStyle(document.body).backgroundColor === 'rgb(244, 243, 238)'"
    await page.until(painted, "style")


async def test_leaving_is_confirmed_and_told_to_the_others(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = await call(open_page, server, room)
    await customer.click(".control-leave")
    await customer.click("dialog .danger")
    await customer.wait_view("ended")
    await rm.hides(".tile-person")
    assert "王芳 left" in await rm.text(".toasts")
    await customer.reload()
    await customer.wait_view("lobby")


async def test_a_draining_server_warns_and_the_call_goes_on(open_page: OpenPage, room: str) -> None:
    with Server.start(settings={"WITNESS_SERVER__DRAIN_S": "600"}) as own_server:
        rm, _ = await call(open_page, own_server, room)
        own_server.drain()
        await rm.shows(".banner", " min")
        await rm.sees_more()


async def test_the_microphone_is_measured_after_the_first_click(
    server: Server, open_page: OpenPage
) -> None:
    page = await open_page()
    await page.before_load(HOLD_MEASURING)
    await page.visit(server.url, name="Test")
    await page.wait_camera()
    await page.shows(".preview .hint", "Click anywhere")
    await page.click("h1")
    await page.shows(".preview .hint", "Say something")
    level = "return document.querySelector('.level').getAttribute('aria-valuenow') > 10"
    await page.until(level, "level")


@pytest.mark.parametrize("size", [(1366, 600), (390, 664), (320, 568), (844, 390)])
async def test_joining_is_in_reach_without_scrolling(
    size: tuple[int, int], server: Server, open_page: OpenPage
) -> None:
    page = await open_page(size=size)
    await page.visit(server.url, name="Test")
    await page.wait_camera()
    bottom = "return document.querySelector('[type=submit]').getBoundingClientRect().bottom"
    assert await page.run(bottom) <= size[1]


@pytest.mark.parametrize("size", [(1280, 800), PHONE])
async def test_nobody_is_covered_in_a_call_of_three(
    size: tuple[int, int], server: Server, open_page: OpenPage, room: str
) -> None:
    page = await open_page(size=size)
    await page.join(server.url, room=room, role="rm", name="Li Ming")
    for number in range(2):
        other = await open_page()
        await other.join(server.url, room=room, role="customer", name=f"Customer {number}")
    covered = """
    const boxes = [...document.querySelectorAll('.tile')].map((t) => t.getBoundingClientRect());
    return boxes.length !== 3 || boxes.some((a, i) => boxes.some((b, j) => i < j &&
      a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom));
    """
    await page.until(f"return !await (async () => {{ {covered} }})()", "three tiles side by side")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_nothing_overflows_on_a_phone(
    language: str, server: Server, open_page: OpenPage, room: str
) -> None:
    page = await open_page(size=PHONE, phone=True)
    await page.visit(server.url, room=room, name="Test", language=language)
    await page.wait_camera()
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.run(overflow) <= 0
    await page.click("button[type=submit]")
    await page.record()
    await page.wait_connection("connected")
    assert await page.run(overflow) <= 0
    small = """
    return [...document.querySelectorAll('.controls button')].filter((b) => !b.hidden)
      .map((b) => b.getBoundingClientRect()).filter((r) => r.width < 44 || r.height < 44).length
    """
    assert await page.run(small) == 0
    stops = "return [...document.querySelectorAll('video')].filter((v) => v.tabIndex >= 0).length"
    assert await page.run(stops) == 0
    nameless = """
    return [...document.querySelectorAll('button, select, input, textarea')].filter((e) =>
      !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).length
    """
    assert await page.run(nameless) == 0
