"""WHIP and WHEP over real sockets, with clients that know nothing of this server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtest.sinks import AudioSink, VideoSink
from loadtest.sources import ClipVideo, SpeechAudio
from tests.e2e.http_peer import HttpPeer, ffmpeg_publishes
from tests.e2e.scene import SPEECH_DBOV, Scene, _clip, _speech, frames, scene, until

pytestmark = [pytest.mark.net, pytest.mark.timeout(120)]


@contextlib.asynccontextmanager
async def peer(call: Scene, role: str, name: str) -> AsyncIterator[HttpPeer]:
    token = await call.token(role, participant_id=name)
    made = HttpPeer(call.session, call.server.url, token)
    try:
        yield made
    finally:
        await made.close()


async def sees_and_hears(viewer: HttpPeer, more: int = 25) -> None:
    """Waits for pictures, and for sound that is speech."""
    goals = [(sink, sink.frames + more) for sink in viewer.sinks]

    def flows() -> bool:
        return all(sink.frames >= goal for sink, goal in goals) and all(
            (level := sink.level_dbov()) is not None and level > SPEECH_DBOV
            for sink, _ in goals
            if isinstance(sink, AudioSink)
        )

    await until(flows, "sound and pictures by WHEP")


def left(call: Scene, name: str) -> list[object]:
    """Why the others were told that somebody left."""
    return [
        data["reason"]
        for person in call.people
        for kind, data in person.notices
        if kind == "participant.left" and data["participant_id"] == name
    ]


async def test_ffmpeg_publishes_and_aiortc_watches(tmp_path: Path) -> None:
    async with scene() as call, peer(call, "supervisor", "wall-1") as viewer:
        rm = await call.join("rm", sends="")
        token = await call.token("customer", participant_id="camera-1")
        async with ffmpeg_publishes(f"{call.server.url}/whip/call", token, tmp_path):
            await until(lambda: len(rm.received) == 2, "subscriptions")
            await call.hears_and_sees(rm)
            viewer.receive("audio", "video")
            await viewer.open("/whep/call")
            await sees_and_hears(viewer)
            for report in await rm.reports():
                assert report.lost == 0
            seen = await call.metrics()
            assert seen['sfu_signaling_http_sessions{protocol="whip"}'] == 1
            assert seen['sfu_signaling_http_sessions{protocol="whep"}'] == 1
        await until(lambda: left(call, "camera-1") == ["left"], "farewell of FFmpeg")
        assert (await viewer.request("DELETE"))[0] == 200
        assert (await viewer.request("GET"))[0] == 404
        assert all(data.get("participant_id") != "wall-1" for _, data in rm.notices)


async def test_ffmpeg_that_starts_again_with_its_certificate_takes_its_tracks_over(
    tmp_path: Path,
) -> None:
    async with scene() as call:
        rm = await call.join("rm", sends="")
        token = await call.token("customer", participant_id="camera-1")
        url = f"{call.server.url}/whip/call"
        async with ffmpeg_publishes(url, token, tmp_path, crashes=True):
            await until(lambda: len(rm.received) == 2, "subscriptions")
            await call.hears_and_sees(rm)
        tracks, mark = set(rm.received), frames(rm, "video")
        async with ffmpeg_publishes(url, token, tmp_path):
            await until(lambda: frames(rm, "video") > mark + 25, "pictures at the RM")
            assert set(rm.received) == tracks
            assert left(call, "camera-1") == []


async def test_ffmpeg_without_a_good_token_is_refused(tmp_path: Path) -> None:
    async with scene() as call:
        token = await call.token("customer", room="other", participant_id="camera-1")
        for bad, status in ((token, "403 Forbidden"), ("x.y.z", "401 Unauthorized")):
            with pytest.raises(AssertionError, match=status):
                async with ffmpeg_publishes(f"{call.server.url}/whip/call", bad, tmp_path):
                    raise NotImplementedError
        assert call.server.hub.is_idle  # type: ignore[union-attr]


async def test_aiortc_watches_through_an_ice_restart() -> None:
    async with scene() as call, peer(call, "supervisor", "wall-1") as viewer:
        await call.join("rm")
        viewer.receive("audio", "video")
        await viewer.open("/whep/call")
        await sees_and_hears(viewer)
        assert await viewer.check_path()
        etag = viewer.etag
        old = await viewer.restart_ice()
        assert viewer.etag != etag
        assert await viewer.check_path()
        assert not await viewer.check_path(old)
        await sees_and_hears(viewer)
        assert viewer.connection.connectionState == "connected"
        assert (await viewer.request("DELETE"))[0] == 200
        await until(lambda: viewer.connection.connectionState == "closed", "end by the server")


async def test_aiortc_publishes_and_comes_back_on_a_new_connection() -> None:
    async with scene() as call, peer(call, "expert", "wall-1") as viewer:
        rm = await call.join("rm", sends="")
        async with peer(call, "customer", "camera-1") as first:
            first.send(SpeechAudio(_speech("zh_tts0.wav")), ClipVideo(_clip()))
            await first.open("/whip/call")
            await until(lambda: len(rm.received) == 2, "subscriptions")
            await call.hears_and_sees(rm)
            viewer.receive("audio", "video")
            await viewer.open("/whep/call?participant=camera-1")
            await sees_and_hears(viewer)
            tracks = set(rm.received)
            async with peer(call, "customer", "camera-1") as second:
                second.send(SpeechAudio(_speech("zh_tts0.wav")), ClipVideo(_clip()))
                await second.open("/whip/call")
                assert (await first.request("GET"))[0] == 404
                await sees_and_hears(viewer)
                mark = frames(rm, "video")
                await until(lambda: frames(rm, "video") > mark + 10, "pictures at the RM")
                assert set(rm.received) == tracks
                # It ends its connection and says nothing by HTTP.
            await until(lambda: left(call, "camera-1") == ["left"], "end of the session")
            assert (await second.request("GET"))[0] == 404


async def test_viewer_goes_on_with_the_next_publisher() -> None:
    async with scene() as call, peer(call, "supervisor", "wall-1") as viewer:
        customer = await call.join("customer")
        viewer.receive("audio", "video")
        await viewer.open("/whep/call")
        await sees_and_hears(viewer)
        await customer.leave()
        call.people.remove(customer)
        await asyncio.sleep(0.3)
        sinks = [sink.frames for sink in viewer.sinks]
        await call.join("rm")
        await sees_and_hears(viewer)
        for sink, before in zip(viewer.sinks, sinks, strict=True):
            assert sink.frames > before
            assert not isinstance(sink, VideoSink) or sink.width
