"""aiortc ↔ Witness ↔ aiortc over real sockets."""

import asyncio

import pytest

from tests.e2e.relay import UdpRelay
from tests.e2e.scene import frames, scene, until

pytestmark = [pytest.mark.net, pytest.mark.timeout(120)]


async def test_two_participants_hear_and_see_each_other() -> None:
    async with scene() as call:
        rm = await call.join("rm")
        customer = await call.join("customer")
        await call.hears_and_sees(rm)
        await call.hears_and_sees(customer)
        for person in (rm, customer):
            for report in await person.reports():
                assert report.lost == 0
                assert report.packets > 0


async def test_late_joiner_sees_a_picture_within_a_second() -> None:
    async with scene() as call:
        rm = await call.join("rm")
        customer = await call.join("customer")
        await call.hears_and_sees(rm)
        await call.hears_and_sees(customer)
        expert = await call.join("expert", sends="")
        await until(lambda: expert.connection_state == "connected", "connection")
        await until(lambda: len(expert.received) == 4, "subscriptions")
        waited = await until(lambda: frames(expert, "video") > 0, "picture", 5.0)
        assert waited < 1.0


async def test_supervisor_listens_and_is_not_seen() -> None:
    async with scene() as call:
        rm = await call.join("rm")
        supervisor = await call.join("supervisor", sends="")
        await call.hears_and_sees(supervisor)
        assert all(kind != "participant.joined" for kind, _ in rm.notices)


async def test_muted_microphone_is_not_forwarded() -> None:
    async with scene() as call:
        rm = await call.join("rm", sends="a")
        customer = await call.join("customer", sends="")
        await call.hears_and_sees(customer, tracks=1)
        (track,) = customer.received.values()
        await rm.signal.request("mute", {"track_id": track.track_id, "muted": True})
        await until(
            lambda: any(kind == "track.muted" for kind, _ in customer.notices), "mute notice"
        )
        before = (await customer.reports())[0].packets
        await asyncio.sleep(0.5)
        assert (await customer.reports())[0].packets - before <= 1
        await rm.signal.request("mute", {"track_id": track.track_id, "muted": False})
        heard = frames(customer, "audio")
        await until(lambda: frames(customer, "audio") > heard + 20, "sound after unmuting")


async def test_call_goes_on_when_the_address_changes() -> None:
    async with scene() as call:
        relay = UdpRelay(call.media_address)
        try:
            rm = await call.join("rm")
            customer = await call.join("customer", rewrite_answer=relay.rewrite_answer)
            await call.hears_and_sees(rm)
            await call.hears_and_sees(customer)
            seen_before = relay.upstream_ports()
            relay.rebind()
            assert not set(relay.upstream_ports()) & set(seen_before)
            marks = [frames(rm, "video"), frames(customer, "video")]
            # aiortc checks its path every five seconds; the server follows the first check.
            await until(lambda: frames(rm, "video") > marks[0] + 25, "picture at the RM")
            await until(lambda: frames(customer, "video") > marks[1] + 25, "picture")
            assert customer.connection_state == "connected"
            assert customer.signal.resumes == 0
        finally:
            relay.close()


async def test_media_goes_on_while_the_socket_is_broken() -> None:
    async with scene() as call:
        rm = await call.join("rm")
        customer = await call.join("customer")
        await call.hears_and_sees(rm)
        seen = frames(rm, "video")
        await customer.signal.drop_socket()
        await until(lambda: frames(rm, "video") > seen + 5, "picture without signaling")
        await until(lambda: customer.signal.resumes == 1, "resume")
        sent = await customer.signal.request("message", {"text": "我回来了", "to": None})
        await until(
            lambda: any(
                kind == "message" and data["message_id"] == sent["message_id"]
                for kind, data in rm.notices
            ),
            "message after the resume",
        )
        told = [kind for kind, _ in rm.notices]
        assert "participant.left" not in told
        assert told.count("participant.joined") == 1


async def test_reloaded_page_keeps_its_tracks_for_the_others() -> None:
    async with scene() as call:
        rm = await call.join("rm")
        customer = await call.join("customer")
        await call.hears_and_sees(rm)
        before = set(rm.received)
        sinks = [track.sink for track in rm.received.values()]
        await customer.restart_media()
        goals = [(sink, sink.frames + 20) for sink in sinks]
        await until(lambda: all(sink.frames > goal for sink, goal in goals), "media after it")
        assert set(rm.received) == before
        assert "track.unpublished" not in [kind for kind, _ in rm.notices]
        await call.hears_and_sees(customer)


async def test_metrics_agree_with_the_call() -> None:
    async with scene() as call:
        rm = await call.join("rm")
        customer = await call.join("customer")
        await call.hears_and_sees(rm)
        await call.hears_and_sees(customer)
        await asyncio.sleep(1.5)  # the plane publishes its counters once a second
        seen = await call.metrics()
        assert seen["witness_rooms"] == 1
        assert seen['witness_participants{role="rm"}'] == 1
        for kind in ("audio", "video"):
            assert seen[f'witness_rtp_packets_total{{dir="in",kind="{kind}"}}'] > 0
            assert seen[f'witness_rtp_packets_total{{dir="out",kind="{kind}"}}'] > 0
        assert seen["witness_forward_latency_seconds_count"] > 0
