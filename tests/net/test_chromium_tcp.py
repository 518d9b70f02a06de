"""Chromium in a network that carries no UDP, from the start or suddenly."""

from loadtest.browser.browser import until as until_page
from loadtest.browser.call_page import CallPage
from loadtest.participant import Participant
from tests.e2e.scene import frames, until
from tests.e2e.stage import Stage
from tests.net.far import (
    frames_at,
    gap,
    join_far,
    join_near,
)
from tests.net.namespaces import Path, browser_marks

pytestmark = browser_marks()

RECOVERY_S = 60.0
"""Longest a busy machine may take; alone it is about ten seconds."""

SPOKEN = 50
"""Frames of speech of 20 ms: more than may have been under way."""

LOST_PACKETS = 5
"""Less than a tenth of a second of a call, which a busy machine may lose by itself."""


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


async def test_media_returns_to_udp_by_itself_and_nobody_notices(path: Path, scene: Stage) -> None:
    rm = await join_near(scene)
    path.only_tcp()
    customer = await join_far(scene)
    await scene.call.hears_and_sees(rm)
    before = await customer.sees_and_hears()
    assert await _protocol(customer) == "tcp"
    first = await _ufrag(customer)

    async def tried() -> bool:
        return await _ufrag(customer) != first

    # UDP is tried in vain, and media stays where it is.
    await until_page(tried, "an ICE restart without UDP", RECOVERY_S)
    await customer.goes_on()
    lost = await _return(path, customer, rm)
    states = [status["media"] for status in await customer.events("connection")]
    assert set(states[states.index("connected") :]) == {"connected"}, states
    # A move that loses packets does so every time, a machine that stands still now and then.
    for _ in range(2):
        if lost <= LOST_PACKETS:
            break
        path.only_tcp()
        await until_page(lambda: _sends_over(customer, "tcp"), "fall to TCP", RECOVERY_S)
        await customer.goes_on()
        lost = await _return(path, customer, rm)
    assert lost <= LOST_PACKETS
    after = await customer.measure()
    assert after.transport["localCertificateId"] == before.transport["localCertificateId"]


async def _return(path: Path, customer: CallPage, rm: Participant) -> int:
    """Lets UDP through when the browser has given it up by itself; returns the packets lost."""

    async def given_up() -> bool:
        return not await _tries_udp(customer)

    await until_page(given_up, "end of the browser's own tries", 2 * RECOVERY_S)
    assert await _protocol(customer) == "tcp"
    lost, ufrag = await _lost(customer, rm), await _ufrag(customer)
    path.set_loss(0)
    await customer.run("dispatchEvent(new Event('online'));")
    await until_page(lambda: _sends_over(customer, "udp"), "return to UDP", RECOVERY_S)
    assert await _ufrag(customer) != ufrag
    await customer.goes_on()
    # Speech: whether pictures are sent is also up to the estimate of the listener's link.
    heard = frames(rm, "audio")
    await until(lambda: frames(rm, "audio") > heard + SPOKEN, "speech after the move")
    # What was under way over TCP arrived as well.
    return await _lost(customer, rm) - lost


async def _sends_over(person: CallPage, protocol: str) -> bool:
    return await _protocol(person) == protocol


async def _ufrag(person: CallPage) -> object:
    """Of the newest offer: each ICE restart has another."""
    return await person.run(
        "return /a=ice-ufrag:(.*)/.exec(witness.call.peer.localDescription.sdp)[1];"
    )


async def _tries_udp(person: CallPage) -> bool:
    """Whether the browser still has a pair over UDP."""
    found = await person.run(
        "const all = await witness.call.peer.getStats();"
        "return [...all.values()].some((entry) => entry.type === 'candidate-pair'"
        " && all.get(entry.remoteCandidateId)?.protocol === 'udp');"
    )
    return bool(found)


async def _lost(page: CallPage, person: Participant) -> int:
    """Packets of others that these two never got."""
    at_page = await page.run(
        "const all = await witness.call.peer.getStats();"
        "return [...all.values()].reduce((sum, entry) => sum + (entry.packetsLost ?? 0)"
        " * (entry.type === 'inbound-rtp'), 0);"
    )
    return int(at_page) + sum(report.lost for report in await person.reports())


async def _protocol(person: CallPage) -> object:
    """What the browser sends media over."""
    return (await person.measure()).remote_candidate["protocol"]
