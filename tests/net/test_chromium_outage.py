"""A network that carries nothing for half a minute."""

import asyncio
import logging

from loadtest.browser.browser import until as until_page
from tests.e2e.stage import Stage
from tests.net.far import frames_at, gap, join_far, join_near
from tests.net.namespaces import Path, browser_marks

log = logging.getLogger(__name__)
pytestmark = browser_marks()

OUTAGE_S = 32.0
"""Longer than consent to send lasts (RFC 7675)."""

RECOVERY_S = 60.0
"""Longest a busy machine may take; alone it is two seconds."""

WHO_IS_THERE = """
const { call } = window.witness;
const tracks = [call.selfId, ...call.participants.map((p) => p.participant_id)]
  .flatMap((id) => call.tracksOf(id)).map((t) => t.track_id).sort();
return { id: call.selfId, tracks, signaling: call.connection.signaling.state };
"""


async def test_an_outage_of_half_a_minute_costs_no_rejoin(path: Path, scene: Stage) -> None:
    rm = await join_near(scene)
    customer = await join_far(scene)
    await scene.call.hears_and_sees(rm)
    await customer.sees_and_hears()
    before = await customer.run(WHO_IS_THERE)
    path.set_loss(100, udp_only=False)
    await asyncio.sleep(OUTAGE_S)
    path.set_loss(0)
    seconds = [await gap(lambda: frames_at(customer), RECOVERY_S)]
    seconds.append(await gap(lambda: frames_at(rm), RECOVERY_S))
    log.info("pictures again after the return, then at the other end: %s s", seconds)

    async def signaled() -> bool:
        return (await customer.run(WHO_IS_THERE))["signaling"] == "open"

    await until_page(signaled, "signaling", RECOVERY_S)
    assert await customer.run(WHO_IS_THERE) == before
    assert await customer.events("closed") == []
    assert [e for e in await customer.events("participants") if e["change"] != "presence"] == []
    metrics = await scene.call.metrics()
    assert metrics['sfu_signaling_joins_total{how="new"}'] == 2
