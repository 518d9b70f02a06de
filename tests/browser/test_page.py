"""The call page in real browsers against a real server."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.browser.harness import Page, Server, chromium_missing, wait_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(180),
    pytest.mark.skipif(chromium_missing() is not None, reason=str(chromium_missing())),
]

PHONE = (390, 844)
# Energy of the fake microphone's beeps in a second or two.
HEARD = 1e-3
SILENT = 1e-5
OTHERS_TRACKS = """
const { call } = window.witness;
return call.participants.flatMap((p) => call.tracksOf(p.participant_id)).map((t) => t.track_id);
"""

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server.start() as started:
        yield started


@pytest.fixture
def open_page() -> Iterator[OpenPage]:
    opened: list[Page] = []

    def start(**options: object) -> Page:
        page = Page.open(**options)  # type: ignore[arg-type]
        opened.append(page)
        return page

    yield start
    for page in opened:
        page.close()


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).replace("[", "-").replace("]", "")[:60]


def call(open_page: OpenPage, server: Server, room: str, **params: str) -> tuple[Page, Page]:
    """An RM and a customer who see and hear each other."""
    rm, customer = open_page(), open_page(language="zh-CN")
    rm.join(server.url, room=room, role="rm", name="Li Ming", **params)
    customer.join(server.url, room=room, role="customer", name="王芳", language="zh-CN", **params)
    for page in (rm, customer):
        page.wait_media("video")
        page.wait_media("audio")
    return rm, customer


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264"])
def test_two_people_see_and_hear_each_other(
    codec: str, server: Server, open_page: OpenPage, room: str
) -> None:
    for page in call(open_page, server, room, codec=codec):
        video = page.receives(kind="video", seconds=3)
        audio = page.receives(kind="audio", seconds=2)
        assert video.codecs == {f"video/{codec.upper()}"}
        assert video.frames_per_second > 8
        assert audio.audio_energy > HEARD
        assert audio.packets > 50
        assert page.console() == []


def test_a_broken_socket_is_resumed_while_sound_and_pictures_go_on(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = call(open_page, server, room)
    tracks = rm.run(OTHERS_TRACKS)
    customer.block_sockets(True)
    assert customer.break_sockets() == 1
    customer.wait_connection("signaling_lost")
    assert "声音和画面不受影响" in customer.text(".banner")
    assert customer.receives(kind="audio", seconds=2).audio_energy > HEARD
    assert rm.receives(kind="video", seconds=2).frames_decoded > 10
    customer.write("断线时写的")
    customer.block_sockets(False)
    customer.wait_connection("connected")
    wait_until(lambda: not customer.visible(".banner"), timeout_s=20, what="banner gone")
    rm.click("[aria-controls=messages]")
    wait_until(lambda: "断线时写的" in rm.text(".messages"), timeout_s=20, what="message arrives")
    assert rm.text(".messages").count("断线时写的") == 1
    assert rm.run(OTHERS_TRACKS) == tracks
    assert not rm.visible(".is-away")


def test_a_reloaded_page_comes_back_with_the_same_tracks(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = call(open_page, server, room)
    customer.click(".control:nth-child(1)")
    wait_until(lambda: rm.visible(".tile-person .tile-muted"), timeout_s=20, what="muted mark")
    tracks = rm.run(OTHERS_TRACKS)
    rm.run("window.left = 0; window.witness.call.on('participants', () => { window.left += 1 })")
    started = time.monotonic()
    customer.driver.refresh()
    customer.wait_connection("connected")
    assert time.monotonic() - started < 10
    customer.wait_media("video")
    assert rm.run(OTHERS_TRACKS) == tracks
    assert rm.receives(kind="video", seconds=2).frames_decoded > 10
    assert rm.run("return window.left") == 0
    assert rm.visible(".tile-person .tile-muted"), "a reload must not unmute"


def test_an_outage_of_everything_is_told_and_overcome(open_page: OpenPage, room: str) -> None:
    with Server.start() as own_server:
        rm, customer = call(open_page, own_server, room)
        own_server.pause()
        customer.wait_connection("lost", timeout_s=40)
        rm.wait_connection("lost", timeout_s=40)
        assert customer.visible(".banner-danger")
        own_server.resume()
        customer.wait_connection("connected", timeout_s=60)
        rm.wait_connection("connected", timeout_s=60)
        # First come the packets that piled up meanwhile, which no decoder can use.
        wait_until(
            lambda: rm.receives(kind="video", seconds=2).frames_decoded > 10,
            timeout_s=30,
            what="moving picture",
        )
        assert customer.receives(kind="audio", seconds=2).audio_energy > HEARD


def test_the_rm_asks_and_the_customer_decides(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = call(open_page, server, room)
    rm.run("document.querySelector('.tile-ask').click()")
    wait_until(lambda: customer.visible("dialog"), timeout_s=20, what="question")
    assert "Li Ming" in customer.text("dialog")
    customer.click("dialog .secondary")
    wait_until(lambda: "didn't agree" in rm.text(".toasts"), timeout_s=20, what="declined")
    assert customer.text(".control:nth-child(1)") == "静音"
    rm.run("document.querySelector('.tile-ask').click()")
    wait_until(lambda: customer.visible("dialog"), timeout_s=20, what="second question")
    customer.click("dialog .primary")
    wait_until(lambda: rm.visible(".tile-person .tile-muted"), timeout_s=20, what="muted mark")
    time.sleep(1)
    assert rm.receives(kind="audio", seconds=1.5).audio_energy < SILENT
    customer.click(".control:nth-child(1)")
    wait_until(
        lambda: rm.receives(kind="audio", seconds=1).audio_energy > HEARD,
        timeout_s=20,
        what="sound after unmuting",
    )


def test_a_camera_that_is_off_is_released_and_comes_back(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = call(open_page, server, room)
    customer.click(".control:nth-child(2)")
    wait_until(lambda: rm.visible(".tile-person .avatar"), timeout_s=20, what="avatar")
    state = customer.run("return window.witness.call.localTrack('camera').readyState")
    assert state == "ended"
    customer.click(".control:nth-child(2)")
    wait_until(lambda: rm.visible(".tile-person video"), timeout_s=20, what="picture")
    assert rm.receives(kind="video", seconds=2).frames_decoded > 10


def test_a_shared_screen_is_seen_until_it_is_stopped(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = call(open_page, server, room)
    rm.click(".control:nth-child(3)")
    wait_until(lambda: customer.visible(".tile-screen"), timeout_s=20, what="screen tile")
    customer.wait_media("video", tracks=2)
    assert "Li Ming" in customer.text(".tile-screen")
    rm.click(".control:nth-child(3)")
    wait_until(lambda: not customer.visible(".tile-screen"), timeout_s=20, what="screen gone")


def test_a_hidden_supervisor_sees_everybody_and_is_seen_by_nobody(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, _ = call(open_page, server, room)
    supervisor = open_page(hold_sound=True)
    supervisor.visit(server.url, room=room, role="supervisor", name="Hidden")
    supervisor.click("button[type=submit]")
    supervisor.wait_connection("connected")
    supervisor.wait_media("video", tracks=2)
    assert "Hidden" not in rm.text()
    assert not supervisor.visible(".tile-self")
    wait_until(lambda: supervisor.visible(".hear"), timeout_s=20, what="tap to hear")
    supervisor.click(".hear")
    assert not supervisor.visible(".hear")
    assert supervisor.receives(kind="audio", seconds=2).audio_energy > HEARD


def test_a_person_without_camera_or_microphone_is_told_why_and_can_join(
    server: Server, open_page: OpenPage, room: str
) -> None:
    page = open_page(
        without_flags=["--use-fake-ui-for-media-stream"],
        flags=["--deny-permission-prompts"],
        size=PHONE,
        phone=True,
    )
    page.visit(server.url, room=room, language="zh-CN")
    wait_until(lambda: page.visible(".problem"), timeout_s=20, what="explanation")
    assert "没有使用权限" in page.text(".problems")
    page.run("document.querySelector('button[type=submit]').click()")
    page.wait_view("call")
    assert page.connection == "connected"


def test_a_refused_token_is_explained_and_never_stays_in_the_address(
    server: Server, open_page: OpenPage
) -> None:
    page = open_page()
    page.visit(server.url, token="not.a.token")
    assert "token" not in page.driver.current_url
    page.click("button[type=submit]")
    wait_until(lambda: page.visible(".problem"), timeout_s=20, what="explanation")
    assert "couldn't be identified" in page.text(".problem")
    page.click(".language")
    assert "身份验证失败" in page.text(".problem")
    stored = page.run("return JSON.stringify([{...sessionStorage}, {...localStorage}])")
    assert "not.a.token" not in stored


def test_leaving_is_confirmed_and_told_to_the_others(
    server: Server, open_page: OpenPage, room: str
) -> None:
    rm, customer = call(open_page, server, room)
    customer.click(".control-leave")
    customer.click("dialog .danger")
    customer.wait_view("ended")
    wait_until(lambda: not rm.visible(".tile-person"), timeout_s=20, what="tile gone")
    assert "王芳 left" in rm.text(".toasts")
    customer.driver.refresh()
    customer.wait_view("lobby")


def test_a_draining_server_warns_and_the_call_goes_on(open_page: OpenPage, room: str) -> None:
    with Server.start(settings={"WITNESS_SERVER__DRAIN_S": "120"}) as own_server:
        rm, _ = call(open_page, own_server, room)
        own_server.drain()
        wait_until(lambda: "2 min" in rm.text(".banner"), timeout_s=20, what="drain banner")
        assert rm.receives(kind="video", seconds=2).frames_decoded > 10


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_nothing_overflows_on_a_phone(
    language: str, server: Server, open_page: OpenPage, room: str
) -> None:
    page = open_page(size=PHONE, phone=True)
    page.visit(server.url, room=room, language=language)
    page.wait_camera()
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.run(overflow) <= 0
    page.run("document.querySelector('button[type=submit]').click()")
    page.wait_connection("connected")
    assert page.run(overflow) <= 0
    small = """
    return [...document.querySelectorAll('.controls button')].filter((b) => !b.hidden)
      .map((b) => b.getBoundingClientRect()).filter((r) => r.width < 44 || r.height < 44).length
    """
    assert page.run(small) == 0
    nameless = """
    return [...document.querySelectorAll('button, select, input, textarea')].filter((e) =>
      !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).length
    """
    assert page.run(nameless) == 0
