"""A server in one namespace and a Chromium in another."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from loadtest.browser.browser import PATIENCE_S, Browser
from loadtest.browser.browser import until as until_page
from loadtest.browser.call_page import CallPage
from loadtest.browser.programs import launch_chromium
from loadtest.netem.inside import enter
from loadtest.participant import Participant
from sfu.config import SfuConfig
from sfu.model import Role
from signaling.auth import MintingKey, mint_token
from signaling.config import Algorithm, AuthConfig, IceConfig, KeyConfig, SignalingConfig
from tests.e2e.scene import frames, settings
from tests.e2e.stage import Stage
from tests.net.course import observe
from tests.net.namespaces import SERVER_ADDRESS, Path
from witness.config import MediaConfig, ServerConfig, Settings

__all__ = [
    "BROKEN_SOCKET",
    "PORT",
    "URL",
    "enter_call",
    "far_settings",
    "frames_at",
    "gap",
    "join_far",
    "join_near",
    "join_page",
    "open_lobby",
    "start_camera",
    "start_chromium",
    "start_near",
]

PORT = 8080
URL = f"http://{SERVER_ADDRESS}:{PORT}"
KEY = MintingKey("test", b"a secret that only this test knows")
UNDER_WAY = 6
"""Pictures that may still be decoded of what had arrived before."""
BROKEN_SOCKET = "WebSocket connection to .* failed"


def start_chromium(path: Path, flags: Sequence[str] = ()) -> Browser:
    """A browser in the client's namespace, with these flags beside the usual ones."""
    return _start(path.client, flags=flags)


def start_near(path: Path) -> Browser:
    """A browser in the server's namespace."""
    return _start(path.server)


def start_camera(namespace: str) -> Browser:
    """A browser in a namespace whose camera is large and hard to encode."""
    return _start(namespace, busy=True)


def _start(namespace: str, *, busy: bool = False, flags: Sequence[str] = ()) -> Browser:
    flags = [f"--unsafely-treat-insecure-origin-as-secure={URL}", *flags]
    launch = partial(launch_chromium, flags=flags, busy=busy)
    return Browser(launch, prepare=lambda: enter(namespace))


async def gap(count: Callable[[], Awaitable[int]], within_s: float = PATIENCE_S) -> float:
    """Seconds from now until pictures that were not under way yet are decoded."""
    started = time.monotonic()
    mark = await count() + UNDER_WAY

    async def more() -> bool:
        return await count() > mark

    await until_page(more, "picture after the move", within_s, every_s=0.02)
    return time.monotonic() - started


async def frames_at(person: CallPage | Participant) -> int:
    """Pictures decoded so far."""
    if isinstance(person, CallPage):
        return (await person.measure()).frames()
    return frames(person, "video")


def _token(participant_id: str, role: Role) -> str:
    return mint_token(
        KEY, room="call", participant_id=participant_id, role=role, now_unix_s=time.time()
    )


async def join_near(scene: Stage) -> Participant:
    """Joins as the relationship manager beside the server."""
    return await scene.call.join("rm", token=_token("near", Role.RM))


async def join_far(scene: Stage) -> CallPage:
    """Joins as the customer from the client's namespace."""
    return await scene.join("customer", url=URL, token=_token("far", Role.CUSTOMER))


async def join_page(
    scene: Stage, role: Role, browser: Browser | None = None, codec: str | None = None
) -> CallPage:
    """Joins with a page, in the client's namespace or another browser, and notes its course."""
    page = await open_lobby(scene, role, browser, codec)
    await enter_call(page)
    return page


async def open_lobby(
    scene: Stage, role: Role, browser: Browser | None = None, codec: str | None = None
) -> CallPage:
    """A page just before it joins; its course is noted."""
    page = await CallPage.open(browser or scene.browser, size=(1300, 900))
    scene.pages.append(page)
    query = {"codec": codec} if codec else {}
    await page.visit(URL, token=_token(f"{role}-page", role), **query)
    await page.wait_camera()
    await observe(page)
    return page


async def enter_call(page: CallPage) -> None:
    """Joins from the lobby."""
    await page.click("button[type=submit]")
    await page.record()


def far_settings(ice: IceConfig | None = None) -> Settings:
    """A server at its address in the namespaces that takes the key."""
    key = KeyConfig(kid=KEY.kid, algorithm=Algorithm.HS256, secret=KEY.secret.decode())
    return settings(
        server=ServerConfig(host="0.0.0.0", port=PORT, drain_s=0),
        media=MediaConfig(engines=1, listen=(SERVER_ADDRESS,)),
        sfu=SfuConfig(advertised_addresses=(SERVER_ADDRESS,)),
        signaling=SignalingConfig(auth=AuthConfig(keys=(key,)), ice=ice or IceConfig()),
    )
