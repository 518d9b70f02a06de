"""A call over a network that loses half of all packets, both ways."""

import logging

from loadtest.browser.browser import until as until_page
from tests.e2e.stage import Stage
from tests.net.far import join_far, join_near
from tests.net.namespaces import Path, browser_marks

log = logging.getLogger(__name__)
pytestmark = browser_marks(300)

LOSS_PERCENT = 50
HEARD_SAMPLES = 6 * 48_000
CONCEALED_RATIO = 0.15
"""Without copies it would be half; alone on a machine it is below one percent."""

PROTECTION = "return window.witness.call.protection;"
HEARD = """
let [total, concealed] = [0, 0];
for (const entry of (await window.witness.call.peer.getStats()).values()) {
  if (entry.type !== "inbound-rtp" || entry.kind !== "audio") continue;
  total += entry.totalSamplesReceived;
  concealed += entry.concealedSamples - entry.silentConcealedSamples;
}
return [total, concealed];
"""


async def test_chromium_and_server_send_copies_of_audio_while_packets_are_lost(
    path: Path, scene: Stage
) -> None:
    rm = await join_near(scene)
    customer = await join_far(scene)
    await scene.call.hears_and_sees(rm)
    await customer.sees_and_hears()
    path.set_loss(LOSS_PERCENT)

    async def protected() -> bool:
        now = await customer.run(PROTECTION)
        copies = [item for item in now["sending"] if len(item["offsets"]) >= 3]
        held = [item for item in now["receiving"] if item["delayMs"] >= 60]
        return now["steering"] == "server" and bool(copies) and bool(held)

    await until_page(protected, "copies on the way up and time for those on the way down", 30)
    before = await customer.run(HEARD)

    async def heard() -> bool:
        return (await customer.run(HEARD))[0] - before[0] >= HEARD_SAMPLES

    await until_page(heard, "six seconds of sound", 60)
    total, concealed = (
        now - then for now, then in zip(await customer.run(HEARD), before, strict=True)
    )
    log.info("concealed %.2f %% at %d %% loss", 100 * concealed / total, LOSS_PERCENT)
    assert concealed <= CONCEALED_RATIO * total
    metrics = await scene.call.metrics()
    assert metrics["sfu_audio_red_packets_total"] > 100
    assert metrics["sfu_audio_recovered_frames_total"] > 100

    path.set_loss(0)

    async def healed() -> bool:
        now = await customer.run(PROTECTION)
        return all(not item["offsets"] for item in now["sending"])

    await until_page(healed, "an end of the copies", 60)
