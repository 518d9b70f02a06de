"""Chromium behind a NAT: its public address moves, its packets get lost."""

import asyncio

from loadtest.browser.call_page import FRAMES
from loadtest.participant import Participant
from tests.e2e.scene import frames, until
from tests.e2e.stage import Stage
from tests.net.far import (
    frames_at,
    gap,
    join_far,
    join_near,
)
from tests.net.namespaces import PUBLIC_ADDRESSES, Path, browser_marks

pytestmark = browser_marks()

INTERRUPTION_S = 5.0
LOSS_PERCENT = 30
LOSS_S = 15.0
FRAMES_UNDER_LOSS = 30
"""Decoded in all of the lossy time, of about 400: a floor for a busy machine."""


async def test_media_goes_on_when_the_address_moves(path: Path, scene: Stage) -> None:
    rm = await join_near(scene)
    customer = await join_far(scene)
    await scene.call.hears_and_sees(rm)
    before = await customer.sees_and_hears()
    told = len(rm.notices)
    path.move_client(PUBLIC_ADDRESSES[1])
    gaps = await asyncio.gather(gap(lambda: frames_at(rm)), gap(lambda: frames_at(customer)))
    assert max(gaps) < INTERRUPTION_S
    await customer.goes_on()
    await customer.run("await globalThis.witness.call.sendMessage('换了网络');")
    await until(lambda: _texts(rm) == ["换了网络"], "message by the new way")
    after = await customer.measure()
    # The same peer connection, without an ICE restart.
    assert after.transport["localCertificateId"] == before.transport["localCertificateId"]
    ufrag = "iceLocalUsernameFragment"
    assert after.transport[ufrag] == before.transport[ufrag]
    assert {kind for kind, _ in rm.notices[told:]} <= {"message", "playout", "protection"}


async def test_pictures_come_through_heavy_loss(path: Path, scene: Stage) -> None:
    rm = await join_near(scene)
    customer = await join_far(scene)
    await scene.call.hears_and_sees(rm)
    await customer.sees_and_hears()
    path.set_loss(LOSS_PERCENT)
    marks = await frames_at(rm), await frames_at(customer)
    await asyncio.sleep(LOSS_S)
    decoded = await frames_at(rm) - marks[0], await frames_at(customer) - marks[1]
    path.set_loss(0)
    assert min(decoded) > FRAMES_UNDER_LOSS
    seen = await scene.call.metrics()
    for direction in ("in", "out"):
        assert seen[f'sfu_rtcp_nack_packets_total{{dir="{direction}"}}'] > 0
        assert seen[f'sfu_rtx_packets_total{{dir="{direction}"}}'] > 0
    await customer.goes_on()
    mark = await frames_at(rm)
    await until(lambda: frames(rm, "video") > mark + FRAMES, "pictures after the loss")


def _texts(person: Participant) -> list[object]:
    return [data["text"] for kind, data in person.notices if kind == "message"]
