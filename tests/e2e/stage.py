"""A server and a browser with people on call pages; nothing may go wrong unnoticed."""

import contextlib
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.e2e.chromium import Chromium, Page, Report, until_page
from tests.e2e.scene import Scene, scene
from witness.config import Settings

__all__ = ["FRAMES", "Person", "Stage", "errors_logged", "stage"]

FRAMES = 30
"""So many decoded pictures count as seeing somebody."""

ENERGY = 0.01
"""Speech has more than this after a second, comfort noise less after a minute."""


@dataclass(frozen=True, slots=True)
class Person:
    """A participant on a call page."""

    page: Page
    role: str

    async def sees_and_hears(self, others: int = 1, frames: int = FRAMES) -> Report:
        """Waits for pictures and speech of so many others, and returns what was measured then."""
        last: list[Report] = []

        async def flows() -> bool:
            report = await self.page.measure()
            last[:] = [report]
            video, audio = report.received("video"), report.received("audio")
            return (
                len(video) == len(audio) == others
                and all(item.stats["framesDecoded"] >= frames for item in video)
                and all(item.stats.get("totalAudioEnergy", 0) > ENERGY for item in audio)
            )

        await until_page(flows, f"sound and pictures at the {self.role}")
        return last[0]

    async def goes_on(self, frames: int = FRAMES, within_s: float = 15.0) -> float:
        """Waits for more pictures and sound of everybody than now; returns the seconds it took."""
        marks = {
            item.track["track_id"]: _progress(item.stats)
            for item in (await self.page.measure()).received()
        }
        assert marks, f"the {self.role} receives nothing"

        async def more() -> bool:
            items = (await self.page.measure()).received()
            gained = {
                item.track["track_id"]: _progress(item.stats) - marks[item.track["track_id"]]
                for item in items
                if item.track["track_id"] in marks
            }
            return set(gained) == set(marks) and all(gain >= frames for gain in gained.values())

        return await until_page(more, f"more media at the {self.role}", within_s)

    async def hears_more(self) -> None:
        """Waits for a second of sound of everybody from now on."""
        mark = _packets(await self.page.measure())

        async def more() -> bool:
            gained = _packets(await self.page.measure())
            return all(gained.get(track, 0) >= count + 50 for track, count in mark.items())

        assert mark, f"the {self.role} hears nobody"
        await until_page(more, f"more sound at the {self.role}")


def _packets(report: Report) -> dict[str, int]:
    return {
        item.track["track_id"]: int(item.stats["packetsReceived"])
        for item in report.received("audio")
    }


def _progress(stats: object) -> int:
    assert isinstance(stats, dict)
    member = "framesDecoded" if stats["kind"] == "video" else "packetsReceived"
    return int(stats[member])


@dataclass
class Stage:
    """A server, a browser and whoever joined in it."""

    call: Scene
    chromium: Chromium
    people: list[Person] = field(default_factory=list)

    async def join(
        self, role: str, *, codec: str | None = None, url: str | None = None, token: str = ""
    ) -> Person:
        """Opens a call page of its own and joins as ``role`` through its lobby."""
        query = {"debug": "1", "lang": "en", **({"codec": codec} if codec else {})}
        token = token or await self.call.token(role)
        address = f"{url or self.call.server.url}/?{urlencode(query)}#token={token}"
        person = Person(await self.chromium.open(address), role)
        self.people.append(person)
        await person.page.join()
        return person

    async def leave(self, person: Person) -> None:
        """Leaves the call and closes the page."""
        failures = await person.page.events("error")
        assert not failures, f"call of the {person.role}: {failures}"
        await person.page.run("globalThis.witness.call.leave();")
        await until_page(lambda: person.page.events("closed"), "end of the call")
        await person.page.close()
        self.people.remove(person)

    async def check(self, expected: Sequence[str]) -> None:
        """No page reported an error but those that match a pattern of ``expected``."""
        found = [
            line
            for line in await self.chromium.console()
            if not any(re.search(pattern, line) for pattern in expected)
        ]
        assert not found, f"console: {found}"
        for person in self.people:
            failures = await person.page.events("error")
            assert not failures, f"call of the {person.role}: {failures}"


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextlib.contextmanager
def errors_logged() -> Iterator[list[str]]:
    """Collects what anything in this process logs as an error."""
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    try:
        yield handler.lines
    finally:
        logging.getLogger().removeHandler(handler)


@contextlib.asynccontextmanager
async def stage(
    chromium: Chromium, configured: Settings | None = None, *, expected: Sequence[str] = ()
) -> AsyncIterator[Stage]:
    """Starts a server in this process; checks consoles and the server's log at the end.

    Args:
        expected: patterns of lines a browser's console may have.
    """
    await chromium.console()  # of a test before this one
    with errors_logged() as logged:
        async with scene(configured) as call:
            made = Stage(call, chromium)
            try:
                yield made
                await made.check(expected)
            finally:
                await chromium.close_pages()
    assert not logged, logged
