"""Chromium behind a NAT: its public address moves, its packets get lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial

import pytest

from loadtest.participant import Participant
from sfu.config import SfuConfig
from sfu.model import Role
from signaling.auth import MintingKey, mint_token
from signaling.config import Algorithm, AuthConfig, KeyConfig, SignalingConfig
from tests.browser.browser import Browser
from tests.browser.browser import until as until_page
from tests.browser.call_page import FRAMES, CallPage
from tests.browser.programs import launch_chromium
from tests.e2e.scene import frames, settings, until
from tests.e2e.stage import Stage, stage
from tests.net.inside import enter, inside
from tests.net.namespaces import PUBLIC_ADDRESSES, SERVER_ADDRESS, Path, why_unavailable
from witness.config import MediaConfig, ServerConfig, Settings

_REASON = why_unavailable()
pytestmark = [
    pytest.mark.net,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(_REASON is not None, reason=_REASON or ""),
]

PORT = 8080
URL = f"http://{SERVER_ADDRESS}:{PORT}"
KEY = MintingKey("test", b"a secret that only this test knows")
INTERRUPTION_S = 5.0
UNDER_WAY = 6
"""Pictures that may still be decoded of what had arrived before."""
LOSS_PERCENT = 30
LOSS_S = 15.0
FRAMES_UNDER_LOSS = 30
"""Decoded in all of the lossy time, of about 400: a floor for a busy machine."""
BROKEN_SOCKET = "WebSocket connection to .* failed"


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with Path() as made:
        yield made


@pytest.fixture(scope="module")
def chromium(path: Path) -> Iterator[Browser]:
    flags = [f"--unsafely-treat-insecure-origin-as-secure={URL}"]
    browser = Browser(partial(launch_chromium, flags=flags), prepare=lambda: enter(path.client))
    yield browser
    browser.close()


@pytest.fixture
async def scene(path: Path, chromium: Browser) -> AsyncIterator[Stage]:
    path.set_loss(0)
    path.move_client(PUBLIC_ADDRESSES[0])
    with inside(path.server):
        async with stage(chromium, _settings(), expected=[BROKEN_SOCKET]) as made:
            yield made


async def test_media_goes_on_when_the_address_moves(path: Path, scene: Stage) -> None:
    rm = await scene.call.join("rm", token=_token("near", Role.RM))
    customer = await _join_far(scene)
    await scene.call.hears_and_sees(rm)
    before = await customer.sees_and_hears()
    told = len(rm.notices)
    path.move_client(PUBLIC_ADDRESSES[1])
    gaps = await asyncio.gather(_gap(lambda: _frames_at(rm)), _gap(lambda: _frames_at(customer)))
    assert max(gaps) < INTERRUPTION_S
    await customer.goes_on()
    await customer.run("await globalThis.witness.call.sendMessage('换了网络');")
    await until(lambda: _texts(rm) == ["换了网络"], "message by the new way")
    after = await customer.measure()
    # The same peer connection, without an ICE restart.
    assert after.transport["localCertificateId"] == before.transport["localCertificateId"]
    ufrag = "iceLocalUsernameFragment"
    assert after.transport[ufrag] == before.transport[ufrag]
    assert {kind for kind, _ in rm.notices[told:]} == {"message"}


async def test_pictures_come_through_heavy_loss(path: Path, scene: Stage) -> None:
    rm = await scene.call.join("rm", token=_token("near", Role.RM))
    customer = await _join_far(scene)
    await scene.call.hears_and_sees(rm)
    await customer.sees_and_hears()
    path.set_loss(LOSS_PERCENT)
    marks = await _frames_at(rm), await _frames_at(customer)
    await asyncio.sleep(LOSS_S)
    decoded = await _frames_at(rm) - marks[0], await _frames_at(customer) - marks[1]
    path.set_loss(0)
    assert min(decoded) > FRAMES_UNDER_LOSS
    seen = await scene.call.metrics()
    for direction in ("in", "out"):
        assert seen[f'sfu_rtcp_nack_packets_total{{dir="{direction}"}}'] > 0
        assert seen[f'sfu_rtx_packets_total{{dir="{direction}"}}'] > 0
    await customer.goes_on()
    mark = await _frames_at(rm)
    await until(lambda: frames(rm, "video") > mark + FRAMES, "pictures after the loss")


async def _gap(count: Callable[[], Awaitable[int]]) -> float:
    """Seconds from now until pictures that were not under way yet are decoded."""
    started = time.monotonic()
    mark = await count() + UNDER_WAY

    async def more() -> bool:
        return await count() > mark

    await until_page(more, "picture after the move", every_s=0.02)
    return time.monotonic() - started


async def _frames_at(person: CallPage | Participant) -> int:
    if isinstance(person, CallPage):
        return (await person.measure()).frames()
    return frames(person, "video")


def _texts(person: Participant) -> list[object]:
    return [data["text"] for kind, data in person.notices if kind == "message"]


def _token(participant_id: str, role: Role) -> str:
    return mint_token(
        KEY, room="call", participant_id=participant_id, role=role, now_unix_s=time.time()
    )


async def _join_far(scene: Stage) -> CallPage:
    return await scene.join("customer", url=URL, token=_token("far", Role.CUSTOMER))


def _settings() -> Settings:
    key = KeyConfig(kid=KEY.kid, algorithm=Algorithm.HS256, secret=KEY.secret.decode())
    return settings(
        server=ServerConfig(host="0.0.0.0", port=PORT, drain_s=0),
        media=MediaConfig(engines=1, listen=(SERVER_ADDRESS,)),
        sfu=SfuConfig(advertised_addresses=(SERVER_ADDRESS,)),
        signaling=SignalingConfig(auth=AuthConfig(keys=(key,))),
    )
