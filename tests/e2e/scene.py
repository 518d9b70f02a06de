"""A real server and real aiortc participants, for tests over sockets."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cache

import aiohttp
import numpy as np
from aiortc.mediastreams import MediaStreamTrack
from numpy.typing import NDArray

from loadtest.addresses import local_addresses
from loadtest.browser.browser import PATIENCE_S
from loadtest.browser.server import Server
from loadtest.participant import Participant, ReceivedTrack
from loadtest.signal import SignalConfig
from loadtest.sinks import AudioSink, VideoSink
from loadtest.sources import MEDIA_DIR, ClipVideo, SpeechAudio, load_clip, load_speech
from sfu.config import SfuConfig
from signaling.config import AuthConfig, SignalingConfig
from witness.config import MediaConfig, ServerConfig, Settings
from witness.server import WitnessServer

__all__ = ["Scene", "flows", "frames", "scene", "scene_at", "settings", "until"]

SPEECH_DBOV = -50.0
"""Speech is louder than this, comfort noise and silence are not."""


@cache
def _clip() -> list[NDArray[np.uint8]]:
    return load_clip(MEDIA_DIR / "carphone.mp4")


@cache
def _speech(name: str) -> NDArray[np.int16]:
    return load_speech(MEDIA_DIR / name)


async def until(condition: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> float:
    """Waits for ``condition`` and returns the seconds it took.

    Raises:
        AssertionError: it did not come true in time.
    """
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s, f"no {what} within {within_s} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


def settings(**changes: object) -> Settings:
    """Loopback only, any port, demo key, nothing waits at the end."""
    defaults: dict[str, object] = {
        "server": ServerConfig(port=0, drain_s=0),
        "media": MediaConfig(engines=1, listen=("127.0.0.1",)),
        "sfu": SfuConfig(advertised_addresses=("127.0.0.1",)),
        "signaling": SignalingConfig(auth=AuthConfig(demo_key=True)),
    }
    return Settings(**(defaults | changes))


@dataclass
class Scene:
    """A server, a room and whoever joined it."""

    server: WitnessServer | Server
    session: aiohttp.ClientSession
    people: list[Participant] = field(default_factory=list)

    @property
    def media_address(self) -> tuple[str, int]:
        """Where the first engine of a server in this process receives media."""
        assert isinstance(self.server, WitnessServer)
        return "127.0.0.1", self.server.media_ports[0]

    async def token(self, role: str, room: str = "call", **more: object) -> str:
        """A token of the demo key."""
        body = {"room": room, "role": role, "name": role.upper(), **more}
        async with self.session.post(f"{self.server.url}/v1/demo/tokens", json=body) as response:
            assert response.status == 200, await response.text()
            return str((await response.json())["token"])

    async def join(
        self,
        role: str,
        *,
        room: str = "call",
        sends: str = "av",
        rewrite_answer: Callable[[str], str] | None = None,
        auto_subscribe: bool = True,
        token: str | None = None,
    ) -> Participant:
        """Joins as ``role``; ``sends`` holds a for audio and v for video.

        Without ``token`` the server's demo key signs one.
        """
        sources: dict[str, MediaStreamTrack] = {}
        if "a" in sends:
            sources["microphone"] = SpeechAudio(_speech("zh_tts0.wav"))
        if "v" in sends:
            sources["camera"] = ClipVideo(_clip())
        config = SignalConfig(
            self.server.url,
            token or await self.token(role, room),
            auto_subscribe=auto_subscribe,
        )
        person = Participant(config, self.session, sources, rewrite_answer=rewrite_answer)
        self.people.append(person)
        await person.start()
        return person

    async def hears_and_sees(self, person: Participant, tracks: int = 2) -> None:
        """Waits until ``person`` decodes speech and pictures of everyone it should."""
        await until(lambda: len(person.received) >= tracks, f"{tracks} subscriptions")
        await until(lambda: all(flows(t) for t in person.received.values()), "sound and picture")

    async def metrics(self) -> dict[str, float]:
        """Samples of ``/metrics`` by name and labels as they are written there."""
        async with self.session.get(f"{self.server.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


def flows(track: ReceivedTrack) -> bool:
    """Pictures were decoded, or speech is audible."""
    if isinstance(track.sink, VideoSink):
        return track.sink.frames >= 5
    level = track.sink.level_dbov()
    return track.sink.frames >= 25 and level is not None and level > SPEECH_DBOV


def frames(person: Participant, kind: str) -> int:
    """Frames decoded so far of all tracks of ``kind``."""
    wanted = AudioSink if kind == "audio" else VideoSink
    return sum(t.sink.frames for t in person.received.values() if isinstance(t.sink, wanted))


@contextlib.asynccontextmanager
async def scene(configured: Settings | None = None) -> AsyncIterator[Scene]:
    """Starts a server in this process; ends calls and server afterwards."""
    server = WitnessServer(configured or settings())
    await server.start()
    try:
        async with scene_at(server) as made:
            yield made
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def scene_at(server: WitnessServer | Server) -> AsyncIterator[Scene]:
    """A scene on a running server; ends its calls afterwards."""
    async with aiohttp.ClientSession() as session:
        with local_addresses(["127.0.0.1"]):
            made = Scene(server, session)
            try:
                yield made
            finally:
                await asyncio.gather(*(person.leave() for person in made.people))
