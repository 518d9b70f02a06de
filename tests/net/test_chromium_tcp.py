"""Chromium in a network that carries no UDP, from the start or suddenly."""

import pytest

from loadtest.browser.browser import until as until_page
from loadtest.browser.call_page import CallPage
from tests.e2e.stage import Stage
from tests.net.far import (
    frames_at,
    gap,
    join_far,
    join_near,
)
from tests.net.namespaces import Path, why_unavailable

_REASON = why_unavailable()
pytestmark = [
    pytest.mark.net,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(_REASON is not None, reason=_REASON or ""),
]

RECOVERY_S = 60.0
"""Longest a busy machine may take; alone it is about ten seconds."""


async def test_a_call_comes_up_without_udp(path: Path, scene: Stage) -> None:
    path.only_tcp()
    rm = await join_near(scene)
    customer = await join_far(scene)
    await scene.call.hears_and_sees(rm)
    await customer.sees_and_hears()
    assert await _protocol(customer) == "tcp"
    await customer.goes_on()

    async def counted() -> bool:
        seen = await scene.call.metrics()
        return (
            seen['sfu_transport_paths{protocol="tcp"}'] == 1
            and seen['sfu_transport_paths{protocol="udp"}'] == 1
            and seen["sfu_tcp_connections"] >= 1
        )

    await until_page(counted, "metrics of TCP")
    assert (await scene.call.metrics())['sfu_tcp_closed_connections_total{reason="malformed"}'] == 0


async def test_media_resumes_over_tcp_when_udp_ends(path: Path, scene: Stage) -> None:
    rm = await join_near(scene)
    customer = await join_far(scene)
    await scene.call.hears_and_sees(rm)
    before = await customer.sees_and_hears()
    assert await _protocol(customer) == "udp"
    path.only_tcp()
    # Chromium gave up its TCP connection when UDP was chosen; the call page notices the silence
    # and restarts ICE.
    for count in (lambda: frames_at(rm), lambda: frames_at(customer)):
        await gap(count, within_s=RECOVERY_S)
    assert await _protocol(customer) == "tcp"
    await customer.goes_on()
    after = await customer.measure()
    assert after.transport["localCertificateId"] == before.transport["localCertificateId"]


async def _protocol(person: CallPage) -> object:
    """What the browser sends media over."""
    return (await person.measure()).remote_candidate["protocol"]
