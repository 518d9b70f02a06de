"""What happens in the demonstration, so that detectors have something to find.

A scene goes on until it was found: detectors of a busy machine come late. One that isn't there, or
whose models are missing, is said not to watch; its scene is left out.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from loadtest.sources import ClipVideo, black_pictures, empty_seat
from witness.demo_findings import finding_line
from witness.i18n import marked, t

__all__ = ["DETECTORS", "LEAST_S", "SCENES", "Pace", "Scene", "Story"]

LEAST_S: Final = 15.0
"""A shorter call has no room for anything to go wrong in it."""

_Pictures = list[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that happens to somebody's camera.

    Attributes:
        detector: finds it.
        kind: as which finding.
        happens: what, for people.
        pictures: what the camera shows, from what it shows else.
    """

    role: str
    detector: str
    kind: str
    happens: str
    pictures: Callable[[_Pictures], _Pictures]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds.

    Attributes:
        before: until the next scene.
        least: that a scene lasts.
        most: that it is waited for.
        over: that its end is waited for.
    """

    before: float = 2.5
    least: float = 3.0
    most: float = 20.0
    over: float = 6.0


SCENES: Final = (
    Scene(
        "customer",
        "picture_health",
        "picture_black",
        marked("somebody covers the customer's camera"),
        black_pictures,
    ),
    Scene(
        "customer",
        "face_presence",
        "face_absent",
        marked("the customer leaves the seat"),
        lambda _: empty_seat(),
    ),
)
DETECTORS: Final = frozenset(scene.detector for scene in SCENES)


class Story:
    """Plays the scenes, and tells what is found as an RM hears of it.

    Args:
        cameras: by role.
        names: of people, by participant.
        say: takes lines for people.
        lang: ``zh`` or ``en``.
        pace: how fast.

    Attributes:
        found_s: how long after its beginning each scene was found; ``None``: it wasn't.
    """

    def __init__(
        self,
        cameras: Mapping[str, ClipVideo],
        names: Mapping[str, str],
        say: Callable[[str], None],
        lang: str,
        pace: Pace | None = None,
    ) -> None:
        self.found_s: dict[str, float | None] = {}
        self._cameras = cameras
        self._names = names
        self._say = say
        self._lang = lang
        self._pace = pace or Pace()
        self._scene: Scene | None = None
        self._began_s = 0.0
        self._found = asyncio.Event()
        self._over = asyncio.Event()

    async def play(self, scenes: Iterable[Scene] = SCENES) -> None:
        """Plays scenes, one after the other."""
        for scene in scenes:
            await asyncio.sleep(self._pace.before)
            await self._play(scene)

    async def _play(self, scene: Scene) -> None:
        pace, camera = self._pace, self._cameras[scene.role]
        self._scene, self._began_s = scene, time.monotonic()
        self._found.clear()
        self._over.clear()
        self.found_s[scene.kind] = None
        self._say(t("happens:     {text}").format(text=t(scene.happens)))
        camera.show_instead(scene.pictures(camera.pictures), pace.most + pace.least)
        try:
            await asyncio.sleep(pace.least)
            async with asyncio.timeout(pace.most):
                await self._found.wait()
        except TimeoutError:
            self._say(t("not found:   the machine is too busy for detectors, it seems"))
        finally:
            camera.show_instead(camera.pictures, 0)
        if self._found.is_set():
            try:
                async with asyncio.timeout(pace.over):
                    await self._over.wait()
            except TimeoutError:
                self._say(t("             its end was not told yet"))
        self._scene = None

    def heard(self, kind: str, data: Mapping[str, Any]) -> None:
        """Takes what the RM's page is told."""
        if kind != "finding":
            return
        about = {
            **data, "participant": self._names.get(data["participant_id"] or "", ""),
            "is_open": data["state"] == "open",
        }  # fmt: skip
        text = finding_line(about, self._lang)
        scene = self._scene
        if scene is None or data["kind"] != scene.kind:
            self._say(t("found:       {text}").format(text=text))
        elif data["state"] == "open" and not self._found.is_set():
            after_s = self.found_s[scene.kind] = time.monotonic() - self._began_s
            told = t("found:       {text}, told {seconds:.1f} s after it began")
            self._say(told.format(text=text, seconds=after_s))
            self._found.set()
        elif data["state"] == "over":
            self._say(t("over:        {text}").format(text=text))
            self._over.set()
