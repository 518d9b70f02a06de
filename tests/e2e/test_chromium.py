"""Chromium ↔ Witness ↔ Chromium or aiortc, through the real call page."""

import math
import statistics
from urllib.parse import urlsplit

import pytest

from loadtest.browser.browser import Browser, until
from loadtest.browser.call_page import FRAMES, CallPage
from loadtest.browser.fake_devices import PICTURE_SIZE
from loadtest.browser.report import Report
from tests.e2e.stage import stage
from tests.e2e.tcp_relay import tcp_relay

pytestmark = [pytest.mark.net, pytest.mark.browser, pytest.mark.timeout(600)]

DTLS_1_3 = "FEFC"
LIP_SYNC_MS = 100.0
LIP_SYNC_SAMPLES = 5
LATE_JOINS = 3
FROZEN_S = 1.0
"""Pictures may stand still for so long in all, besides the stalls of a busy machine."""


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
async def test_two_browsers_hear_and_see_each_other(chromium: Browser, codec: str) -> None:
    async with stage(chromium) as scene:
        rm = await scene.join("rm", codec=codec)
        customer = await scene.join("customer", codec=codec)
        for person in (rm, customer):
            await person.sees_and_hears()
            await person.goes_on()
            report = await person.measure()
            _carries(report, codec)
            _is_undisturbed(report)
            _is_encrypted(report)


async def test_everybody_may_send_another_codec(chromium: Browser) -> None:
    async with stage(chromium) as scene:
        rm = await scene.join("rm", codec="vp9")
        customer = await scene.join("customer", codec="h264")
        _carries(await rm.sees_and_hears(), "h264")
        _carries(await customer.sees_and_hears(), "vp9")


async def test_a_newcomer_takes_the_lines_of_somebody_who_left(chromium: Browser) -> None:
    async with stage(chromium) as scene:
        rm = await scene.join("rm")
        for role in ("customer", "expert"):
            guest = await scene.call.join(role)
            report = await rm.sees_and_hears()
            assert {item.track["participant_id"] for item in report.received()} == {
                guest.participant_id
            }
            await guest.leave()
            scene.call.people.remove(guest)
            await until(lambda: _is_alone(rm), "farewell")
        lines = await rm.run("return globalThis.witness.call.peer.getTransceivers().length;")
        assert lines == 4


async def test_muted_camera_shows_again_at_once(chromium: Browser) -> None:
    async with stage(chromium) as scene:
        rm = await scene.join("rm")
        customer = await scene.join("customer")
        await rm.sees_and_hears()
        await customer.sees_and_hears()
        for _ in range(3):
            await customer.run("await globalThis.witness.call.setMuted('camera', true);")
            mark = (await rm.measure()).frames()
            await rm.hears_more()
            assert (await rm.measure()).frames() <= mark + FRAMES / 5
            await customer.run("await globalThis.witness.call.setMuted('camera', false);")
            await rm.goes_on()


async def test_lips_and_voice_stay_together(chromium: Browser) -> None:
    async with stage(chromium) as scene:
        rm = await scene.join("rm")
        customer = await scene.join("customer")
        await rm.sees_and_hears()
        await customer.sees_and_hears()
        await _stays_in_step(rm)
        await _stays_in_step(customer)


async def test_browser_and_program_hear_and_see_each_other(chromium: Browser) -> None:
    async with stage(chromium) as scene:
        program = await scene.call.join("rm")
        customer = await scene.join("customer")
        await scene.call.hears_and_sees(program)
        report = await customer.sees_and_hears()
        _is_undisturbed(report)
        assert all(not item.lost for item in await program.reports())


async def test_late_browser_sees_everybody_within_a_second(chromium: Browser) -> None:
    async with stage(chromium) as scene:
        program = await scene.call.join("customer")
        rm = await scene.join("rm")
        await scene.call.hears_and_sees(program)
        await rm.sees_and_hears()
        waits = []
        for _ in range(LATE_JOINS):
            expert = await scene.join("expert")
            await expert.sees_and_hears(others=2)
            pictures = await expert.first_pictures()
            assert len(pictures) == 2
            waits.append(max(pictures))
            await scene.leave(expert)
        assert statistics.median(waits) < 1.0


async def test_media_goes_on_while_the_socket_is_broken(chromium: Browser) -> None:
    expected = ["WebSocket connection to .* failed"]
    async with (
        stage(chromium, expected=expected) as scene,
        tcp_relay(urlsplit(scene.call.server.url).port or 0) as relay,
    ):
        rm = await scene.join("rm")
        customer = await scene.join("customer", url=relay.url)
        await rm.sees_and_hears()
        await customer.sees_and_hears()
        told = len(await rm.events("participants"))
        assert relay.cut() > 0
        await until(lambda: _is(customer, "signaling_lost"), "loss of the socket")
        await customer.run("void globalThis.witness.call.sendMessage('还在吗'); return 0;")
        await rm.goes_on()
        await customer.goes_on()
        assert await _is(customer, "signaling_lost")
        relay.mend()
        await until(lambda: _is(customer, "connected"), "resume")
        await customer.run("await globalThis.witness.call.sendMessage('我回来了');")
        await until(lambda: _texts(rm, 2), "messages")
        await rm.goes_on()
        texts = [message["text"] for message in await rm.events("message")]
        assert texts == ["还在吗", "我回来了"]
        assert len(await rm.events("participants")) == told
        for person in (rm, customer):
            _is_undisturbed(await person.measure())


async def test_reloaded_page_comes_back_as_the_same_participant(chromium: Browser) -> None:
    async with stage(chromium) as scene:
        rm = await scene.join("rm")
        customer = await scene.join("customer")
        before = await rm.sees_and_hears()
        own = (await customer.sees_and_hears()).self_id
        told = {name: len(await rm.events(name)) for name in ("participants", "tracks")}
        await customer.come_back()
        await rm.goes_on()
        after = await rm.measure()
        assert _track_ids(after) == _track_ids(before)
        assert {name: len(await rm.events(name)) for name in told} == told
        assert (await customer.sees_and_hears()).self_id == own


def _carries(report: Report, codec: str) -> None:
    (video,) = report.received("video")
    assert video.mime_type.lower() == f"video/{codec}"
    size = video.stats["frameWidth"], video.stats["frameHeight"]
    assert size[0] * PICTURE_SIZE[1] == pytest.approx(size[1] * PICTURE_SIZE[0], rel=0.05)
    assert PICTURE_SIZE[0] / 2 <= size[0] <= PICTURE_SIZE[0]
    (audio,) = report.received("audio")
    assert audio.mime_type.lower() == "audio/opus"


def _is_undisturbed(report: Report) -> None:
    for item in report.received():
        assert item.stats["packetsLost"] == 0
    assert report.frozen_s() < FROZEN_S


def _is_encrypted(report: Report) -> None:
    transport = report.transport
    assert transport["dtlsState"] == "connected"
    assert transport["tlsVersion"] == DTLS_1_3
    assert transport["srtpCipher"].removeprefix("SRTP_") == "AEAD_AES_128_GCM"


async def _stays_in_step(person: CallPage) -> None:
    """Sound and pictures of the one publisher come to be played together, and stay so."""
    apart: list[float] = []

    async def in_step() -> bool:
        apart.append(await _apart_ms(person))
        return len(apart) >= LIP_SYNC_SAMPLES and max(apart[-LIP_SYNC_SAMPLES:]) < LIP_SYNC_MS

    # The browser brings them together by steps; a busy machine moves them apart meanwhile.
    await until(in_step, "lip-sync", every_s=0.5)


async def _apart_ms(person: CallPage) -> float:
    """How far sound and pictures are apart; infinite before the browser knows."""
    received = (await person.measure()).received()
    times = [item.stats.get("estimatedPlayoutTimestamp", math.nan) for item in received]
    apart = max(times) - min(times)
    return math.inf if math.isnan(apart) else float(apart)


async def _is(person: CallPage, state: str) -> bool:
    return (await person.measure()).state == state


async def _is_alone(person: CallPage) -> bool:
    return not (await person.measure()).tracks


async def _texts(person: CallPage, count: int) -> bool:
    return len(await person.events("message")) >= count


def _track_ids(report: Report) -> set[str]:
    return {item.track["track_id"] for item in report.received()}
