"""A host with real workers, and calls that it watches."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from analytics.host.config import HostConfig
from analytics.host.core import Host
from analytics.link import (
    Consents,
    Found,
    FromHost,
    Marked,
    ToHost,
    TrackEnded,
    TrackStarted,
    Unknown,
)
from tests.analytics.host.media import Camera, Microphone

HERE = "tests.analytics.host.detectors:"
PATIENCE_S = 45.0
FRAME_US = 40_000
M = TypeVar("M")


def detectors(**settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{HERE}{name}": values for name, values in settings.items()}


def config(names: dict[str, dict[str, Any]], **limits: Any) -> HostConfig:
    limits = {"hang_after_s": 3.0, "backoff_s": 0.2, **limits}
    return HostConfig.model_validate({"detectors": names, "limits": limits})


class Scene:
    """A host, one session with one participant, and a clock that the test moves."""

    def __init__(self, settings: HostConfig) -> None:
        self.now_us = 0
        self.said: list[Any] = []
        self.session = "s"
        self.host = Host(settings, self._note, clock=lambda: self.now_us / 1e6)
        self.camera = Camera()
        self.microphone = Microphone()

    def _note(self, message: BaseModel) -> None:
        # As it goes over the wire.
        self.said.append(message)

    async def __aenter__(self) -> Self:
        self.host.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.host.stop()

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.said if isinstance(message, kind)]

    def found(self, detector: str, kind: str = "picture") -> list[Found]:
        name = HERE + detector
        return [item for item in self.of(Found) if (item.detector, item.kind) == (name, kind)]

    def unknown(self, detector: str) -> list[Unknown]:
        return [item for item in self.of(Unknown) if item.detector == HERE + detector]

    def tell(self, message: ToHost) -> None:
        self.host.take_line(message.model_dump_json().encode())

    def allow(self, *permissions: str, who: str = "a") -> None:
        self.tell(Consents.model_validate(
            {
                "session_id": self.session,
                "participant_id": who,
                "permissions": list(permissions),
            }
        ))  # fmt: skip

    def mark(self, kind: str, who: str = "a", **data: Any) -> None:
        self.tell(
            Marked(
                session_id=self.session,
                kind=kind,
                at_us=self.now_us,
                participant_id=who,
                data=data,
            )
        )

    def join(self, who: str = "a", role: str = "customer") -> None:
        self.mark("participant.joined", who, role=role)

    def start(
        self, kind: str = "video", who: str = "a", tap: int = 1, track: str | None = None
    ) -> None:
        self.tell(
            TrackStarted.model_validate(
                {
                    "session_id": self.session,
                    "room_id": "r",
                    "participant_id": who,
                    "role": "customer",
                    "track_id": track or f"{kind}-{who}",
                    "kind": kind,
                    "source": "camera" if kind == "video" else "microphone",
                    "codec": "vp8" if kind == "video" else "opus",
                    "clock_rate_hz": 90_000 if kind == "video" else 48_000,
                    "tap": tap,
                    "at_us": self.now_us,
                }
            )
        )

    def end(self, kind: str = "video", who: str = "a") -> None:
        self.tell(TrackEnded(track_id=f"{kind}-{who}", at_us=self.now_us))

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Lets the workers work until it is so."""
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, what or self.said[-5:]
            await asyncio.sleep(0.01)

    async def ready(self, *names: str) -> None:
        """Detectors are loaded."""
        wanted = {HERE + name for name in names}
        await self.until(lambda: wanted <= set(self.host.board.detectors) - set(self.host._down))

    async def show(self, pictures: int = 1, tap: int = 1) -> None:
        """Pictures of the camera go by, each as soon as the last one was handed over."""
        for _ in range(pictures):
            self.now_us += FRAME_US
            self.host.take_tap(self.camera.message(self.now_us, tap=tap))
            await asyncio.sleep(0.005)

    async def speak(self, packets: int = 1, tap: int = 2) -> None:
        """Sound goes by."""
        for _ in range(packets):
            self.now_us += 20_000
            self.host.take_tap(self.microphone.message(self.now_us, tap=tap))
        await asyncio.sleep(0)


__all__ = ["FRAME_US", "HERE", "FromHost", "Scene", "config", "detectors"]
