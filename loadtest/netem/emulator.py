"""The native emulator, as this package sees it: it is given by whoever has the media plane."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loadtest.netem.profile import Link, Profile, Traffic

__all__ = ["Counted", "Emulator", "NetemCounters", "NetemPath", "PathReport"]

Counted = tuple[int, int, int, int]
"""Packets and bytes offered, packets and bytes delivered."""


class NetemCounters(Protocol):
    """See ``sfu._media.NetemCounters``."""

    pushed: int
    delivered: int
    lost: int
    queue_full: int
    duplicated: int


class PathReport(Protocol):
    """See ``sfu._media.PathReport``."""

    @property
    def netem(self) -> NetemCounters:
        """Of the impaired packets."""

    refused: int
    rtp: list[tuple[int, Counted]]
    rtcp: Counted
    other_udp: Counted
    not_udp: Counted


class NetemPath(Protocol):
    """See ``sfu._media.NetemPath``."""

    def begin(self, *, down: Sequence[tuple[float, Any]], up: Sequence[tuple[float, Any]]) -> None:
        """Changes the directions at these times from now on."""

    def report(self) -> tuple[Any, Any]:
        """What became of the packets so far: down, up; each a :class:`PathReport`."""

    def close(self) -> None:
        """Ends it. Idempotent."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """Classes of ``sfu._media``."""

    config: Callable[..., Any]
    netem: Callable[..., Any]
    path: Callable[..., NetemPath]

    def link(self, link: Link) -> Any:
        """The native form of one direction's state."""
        return self.config(**link.parameters())

    def steps(self, profile: Profile, way: str) -> list[tuple[float, Any]]:
        """The native form of one direction over time."""
        return [(at, self.link(link)) for at, link in profile.timeline(way)]

    def connect(self, first: int, second: int, profile: Profile, traffic: Traffic) -> NetemPath:
        """Carries packets between two descriptors, at first with nothing but delay."""
        others = None if traffic is Traffic.ALL else self.link(profile.down.unimpaired())
        return self.path(
            first,
            second,
            down=self.link(profile.down.unimpaired()),
            up=self.link(profile.up.unimpaired()),
            others=others,
            seed=profile.seed,
        )
