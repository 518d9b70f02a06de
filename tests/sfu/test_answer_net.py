"""Answers as another stack reads them, and a call through the compiled plane."""

import asyncio
from typing import Any

import pytest
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

from sfu import Grant, MediaState, Offer, Participant, Role, Sfu, SfuConfig
from tests.sfu.conftest import FOREVER, RecordingListener

pytestmark = pytest.mark.net

SETTLE_S = 15.0


class AiortcClient:
    """One aiortc connection of a participant; counts the frames it receives."""

    def __init__(self, participant: Participant) -> None:
        self.participant = participant
        self.frames: dict[str, int] = {"audio": 0, "video": 0}
        self._pumps: list[asyncio.Task[None]] = []
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self.connection.addTransceiver(AudioStreamTrack(), direction="sendonly")
        self.connection.addTransceiver(VideoStreamTrack(), direction="sendonly")
        self.connection.on("track", self._on_track)

    async def negotiate(self) -> dict[str, str]:
        transceivers = self.connection.getTransceivers()
        for kind in ("audio", "video"):
            have = sum(i.kind == kind and i.direction == "recvonly" for i in transceivers)
            for _ in range(getattr(self.participant.lines, kind) - have):
                self.connection.addTransceiver(kind, direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = self.participant.negotiate(Offer(self.connection.localDescription.sdp))
        await self.connection.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        return dict(answer.subscribed)

    async def close(self) -> None:
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await self.connection.close()

    def _on_track(self, track: Any) -> None:
        async def pump() -> None:
            while True:
                try:
                    await track.recv()
                except MediaStreamError:
                    return
                self.frames[track.kind] += 1

        self._pumps.append(asyncio.ensure_future(pump()))


async def until(condition: Any, *, timeout_s: float = SETTLE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.05)


async def test_two_aiortc_clients_see_each_other_and_survive_a_reload() -> None:
    media = pytest.importorskip("sfu._media")
    certificate = media.Certificate()
    engine = media.Engine(certificate=certificate, listen=["127.0.0.1:0"])
    listener = RecordingListener()
    sfu = Sfu(SfuConfig(), [engine], certificate.fingerprint, listener)
    sfu.attach(asyncio.get_running_loop())
    room = sfu.open_room("room")
    clients = [
        AiortcClient(room.admit(name, Grant.default_for(role, FOREVER)))
        for name, role in (("rm", Role.RM), ("customer", Role.CUSTOMER))
    ]
    try:
        first, second = clients
        await first.negotiate()
        await until(lambda: first.participant.media is MediaState.CONNECTED)
        assert len(await second.negotiate()) == 2
        await until(lambda: min(second.frames.values()) > 10)
        assert len(await first.negotiate()) == 2
        await until(lambda: min(first.frames.values()) > 10)
        # Known from the engine's snapshot, which is up to a second old.
        await until(lambda: first.participant.quality().uplink_loss == 0.0)

        await first.close()
        tracks = set(first.participant.published)
        reloaded = AiortcClient(first.participant)
        clients.append(reloaded)
        await reloaded.negotiate()
        assert set(first.participant.published) == tracks
        await until(lambda: first.participant.media is MediaState.CONNECTED)
        seen = dict(second.frames)
        await until(lambda: all(second.frames[kind] > seen[kind] + 10 for kind in seen))
        await until(lambda: min(reloaded.frames.values()) > 10)
    finally:
        for client in clients:
            await client.close()
        sfu.close()
        engine.close()
    assert not sfu.rooms
    assert sfu._ports[0].counters.failed == 0
