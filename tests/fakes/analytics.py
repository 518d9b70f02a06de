"""A way to a host that isn't there, and a sink that remembers."""

from collections.abc import Callable
from typing import Any

from analytics.link import Found, Hello, Said, Status, Unknown, Wants, to_host


class FakeWay:
    """Remembers what it was told; the test speaks for the host."""

    def __init__(self) -> None:
        self.restarts = 0
        self.dropped: dict[str, int] = {}
        self.said: list[Any] = []
        self.ended = 0
        self.came: Callable[[], None]
        self.heard: Callable[[bytes], None]
        self.gone: Callable[[], None]

    def say(self, line: bytes) -> None:
        self.said.append(to_host(line))

    def end(self) -> None:
        self.ended += 1

    def take(self) -> list[Any]:
        said, self.said = self.said, []
        return said

    async def run(
        self, came: Callable[[], None], heard: Callable[[bytes], None], gone: Callable[[], None]
    ) -> None:
        self.came, self.heard, self.gone = came, heard, gone

    def hello(self, run: str = "1", **wants: Wants) -> None:
        message = Hello(host="h", run=run, detectors=dict.fromkeys(wants, "1"), wants=wants)
        self.heard(message.model_dump_json().encode())


class FakeSink:
    """Takes all findings."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.hosts: list[Hello | None] = []

    def found(self, found: Found) -> None:
        self.items.append(found)

    def said(self, said: Said) -> None:
        self.items.append(said)

    def unknown(self, unknown: Unknown) -> None:
        self.items.append(unknown)

    def status(self, status: Status) -> None:
        self.items.append(status)

    def host(self, hello: Hello | None) -> None:
        self.hosts.append(hello)
