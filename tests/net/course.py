"""The course of a call over time: what a page received, what waited, what the server believed."""

import asyncio
import contextlib
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import pytest

from loadtest.browser.call_page import CallPage
from sfu._media import Engine
from tests.net.namespaces import Path, Towards

__all__ = ["Course", "Span", "observe", "show", "skip_if_busy", "table", "watch"]

_SCRIPT = FilePath(__file__).with_name("course.js").read_text("utf-8")
_EVERY_S = 0.1
_MOST_LOAD = 2
_HEADINGS = (
    "settled, s | estimate, kb/s | arrives, kb/s | width | frames/s | frozen, s "
    "| queue p95, ms | audio concealed, % | audio waits, ms"
)


def is_busy() -> bool:
    """Whether times would be those of the machine: encoders need processors."""
    return _load() > _MOST_LOAD


def skip_if_busy() -> None:
    """Skips a measurement that would be one of the machine."""
    if is_busy():
        pytest.skip(f"{_load():.0f} processes wait for each processor; at most {_MOST_LOAD} may")


def _load() -> float:
    return os.getloadavg()[0] / (os.cpu_count() or 1)


async def observe(page: CallPage) -> None:
    """Begins to note what the page measures; do it before the call starts."""
    await page.run(_SCRIPT)


@dataclass
class Course:
    """What was seen; times are seconds of the machine's clock."""

    rate_bps: float = math.inf
    """Of the limited direction, now."""
    queue: list[tuple[float, float]] = field(default_factory=list)
    """When, and for how many seconds what arrives will have to wait."""
    estimates: list[tuple[float, float]] = field(default_factory=list)
    """When, and how much the server believes can be sent, in bit/s."""
    notes: Sequence[Mapping[str, Any]] = ()

    async def collect(self, page: CallPage) -> None:
        """Takes what the page noted."""
        self.notes = await page.run("return globalThis.notes;")

    def span(self, begin_s: float, end_s: float) -> "Span":
        """What happened in a time."""
        notes = [note for note in self.notes if begin_s <= note["at_s"] <= end_s]
        assert len(notes) >= 2, f"{len(notes)} notes"
        return Span(
            notes,
            [wait_s for at_s, wait_s in self.queue if begin_s <= at_s <= end_s],
            [bps for at_s, bps in self.estimates if begin_s <= at_s <= end_s],
        )

    def settled_s(
        self, since_s: float, condition: Callable[["Span"], bool], over_s: float = 1.5
    ) -> float:
        """Seconds from a moment until a stretch of ``over_s`` begins that meets a condition."""
        last_s = self.notes[-1]["at_s"]
        for note in self.notes:
            at_s = float(note["at_s"])
            if (
                at_s >= since_s
                and at_s + over_s <= last_s
                and condition(self.span(at_s, at_s + over_s))
            ):
                return at_s - since_s
        return math.inf

    def first_s(self, since_s: float, condition: Callable[[Mapping[str, Any]], bool]) -> float:
        """Seconds from a moment to the first note that meets a condition."""
        found = (float(note["at_s"]) for note in self.notes if condition(note))
        return next((at_s - since_s for at_s in found if at_s >= since_s), math.inf)


@dataclass(frozen=True)
class Span:
    """A stretch of time in a course."""

    notes: Sequence[Mapping[str, Any]]
    waits_s: Sequence[float]
    estimates_bps: Sequence[float]

    @property
    def seconds(self) -> float:
        """Its length."""
        return float(self.notes[-1]["at_s"] - self.notes[0]["at_s"])

    def _more(self, kind: str, member: str) -> float:
        return float(self.notes[-1][kind][member] - self.notes[0][kind][member])

    @property
    def kbps(self) -> float:
        """All that arrived."""
        return float(self.notes[-1]["received"] - self.notes[0]["received"]) / self.seconds / 125

    @property
    def sent_kbps(self) -> float:
        """All that was sent."""
        return float(self.notes[-1]["sent"] - self.notes[0]["sent"]) / self.seconds / 125

    @property
    def frames_per_s(self) -> float:
        """Decoded pictures."""
        return self._more("video", "frames") / self.seconds

    @property
    def frozen_s(self) -> float:
        """How long pictures stood still in all, but for what the machine is to blame for."""
        stalled_s = self.notes[-1]["stalled_s"] - self.notes[0]["stalled_s"]
        return max(0.0, self._more("video", "frozen_s") - float(stalled_s))

    @property
    def concealed(self) -> float:
        """Share of the sound that was made up, silence apart."""
        return self._more("audio", "concealed") / max(1.0, self._more("audio", "samples"))

    @property
    def audio_buffer_ms(self) -> float:
        """How long sound waited in the browser."""
        return 1e3 * self._more("audio", "buffer_s") / max(1.0, self._more("audio", "buffered"))

    @property
    def width(self) -> int:
        """Of the pictures, mostly."""
        widths = [int(note["video"]["width"]) for note in self.notes]
        return max(widths, key=widths.count)

    @property
    def queue_ms(self) -> float:
        """What 95 % of the moments stay below."""
        waits = sorted(self.waits_s)
        return 1e3 * waits[int(len(waits) * 0.95)] if waits else 0.0

    @property
    def estimate_kbps(self) -> float:
        """What the server believed on average; 0: nothing."""
        known = self.estimates_bps
        return sum(known) / len(known) / 1e3 if known else 0.0


@contextlib.asynccontextmanager
async def watch(path: Path, towards: Towards, engines: Sequence[Engine]) -> AsyncIterator[Course]:
    """Notes the queue of one direction and the estimate of the transport that has the lowest."""
    course = Course()

    async def look() -> None:
        while True:
            queued = await asyncio.to_thread(path.queued_bytes, towards)
            now_s = time.time()
            course.queue.append((now_s, queued * 8 / course.rate_bps))
            transports = [item for engine in engines for item in engine.snapshot().transports]
            known = [item.estimate_bps for item in transports if item.estimate_bps is not None]
            if known:
                course.estimates.append((now_s, float(min(known))))
            await asyncio.sleep(_EVERY_S)

    task = asyncio.create_task(look())
    try:
        yield course
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def show(text: str) -> None:
    """Writes to the terminal of whoever runs the test with ``-s``."""
    sys.stdout.write(f"{text}\n")


def table(title: str, rows: Mapping[str, tuple[Span, float | None]]) -> str:
    """Rows as Markdown: a name, what happened, and how long it took to become so."""
    lines = [
        "",
        f"| {title} | {_HEADINGS} |",
        "|---" * 10 + "|",
    ]
    for name, (span, settled_s) in rows.items():
        settled = "" if settled_s is None else f"{settled_s:.1f}"
        lines.append(
            f"| {name} | {settled} | {span.estimate_kbps:.0f} | {span.kbps:.0f} "
            f"| {span.width} | {span.frames_per_s:.1f} | {span.frozen_s:.1f} "
            f"| {span.queue_ms:.0f} | {span.concealed * 100:.2f} | {span.audio_buffer_ms:.0f} |"
        )
    return "\n".join(lines)
