"""The ways to put a bad network between a browser and the server, and one face for all of them."""

import json
import os
import socket
from abc import abstractmethod
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

from loadtest.errors import PathError
from loadtest.netem.built import Built
from loadtest.netem.emulator import Emulator
from loadtest.netem.inside import enter, why_no_namespaces
from loadtest.netem.kernel import KernelPath, why_no_kernel_path
from loadtest.netem.profile import Profile, Traffic
from loadtest.netem.relay import REWRITE_CANDIDATES, ImpairedRelay
from loadtest.netem.tun import NEAR_ADDRESS, TunPath, why_no_tun

__all__ = ["BrowserPath", "Way", "browser_path", "why_not"]

_PORT = 8080
_LOOPBACK = "127.0.0.1"
_RELAY_CLIENTS = 512
"""Every connection that a browser tries has an address of its own."""


class Way(StrEnum):
    """What applies the profile."""

    TUN = "tun"
    """This project's emulator between two namespaces; needs root."""
    TC = "tc"
    """``tc netem`` of the kernel, on a router between two namespaces; needs root."""
    RELAY = "relay"
    """A relay on the loopback interface that the far browser is told of; UDP only, no root."""


def why_not(way: Way, profile: Profile, traffic: Traffic, *, tcp: bool) -> str | None:
    """Why a measurement can't go this way here; ``None`` if it can.

    Args:
        way: which one.
        profile: of the path.
        traffic: what is to be impaired.
        tcp: whether media may go over TCP.
    """
    match way:
        case Way.TUN:
            return why_no_tun()
        case Way.TC:
            return why_no_namespaces() or why_no_kernel_path(profile)
        case Way.RELAY if traffic is not Traffic.UDP:
            return "the relay impairs UDP alone: all traffic takes --via tun or tc"
        case Way.RELAY if tcp:
            return "media over TCP goes past the relay: that takes --via tun or tc"
    return None


class BrowserPath(Built):
    """A server at the near end, and a bad network before the browser at the far one.

    Attributes:
        address: where the server is to receive media; pages are there too.
        port: of signaling; 0 lets the kernel choose.
        media_port: of the server's only engine; 0 lets the kernel choose.
    """

    address: str
    port: int
    media_port: int

    @property
    @abstractmethod
    def server_command(self) -> Sequence[str]:
        """What the server's command line begins with."""

    @abstractmethod
    def enter_near(self) -> None:
        """Brings the calling thread to where the server is."""

    @abstractmethod
    def enter_far(self) -> None:
        """Brings the calling thread to the bad end."""

    @property
    def far_script(self) -> str:
        """Runs in pages at the bad end before their own scripts."""
        return ""

    @property
    @abstractmethod
    def _link(self) -> Any:
        """What has the profile: ``impair``, ``heal``, ``begin`` and ``report``."""

    def impair(self) -> None:
        """Brings the path into the profile's first state; until then it only has its delay."""
        self._link.impair()

    def heal(self) -> None:
        """Nothing but delay, as before :meth:`impair`."""
        self._link.heal()

    def begin(self) -> None:
        """The profile's time begins now."""
        self._link.begin()

    def report(self) -> tuple[Any, Any]:
        """What became of the packets so far: down, up; each a ``PathReport``."""
        down, up = self._link.report()
        return down, up


class _BetweenNamespaces(BrowserPath):
    def __init__(self, make: Callable[[], TunPath | KernelPath]) -> None:
        super().__init__()
        self._make = make
        self.address, self.port, self.media_port = NEAR_ADDRESS, _PORT, 0

    def _build(self) -> None:
        made = self._make()
        self._opened.enter_context(made)
        self._between = made

    @property
    def _link(self) -> TunPath | KernelPath:
        return self._between

    @property
    def server_command(self) -> Sequence[str]:
        return self._between.command(self._between.near)

    def enter_near(self) -> None:
        enter(self._between.near)

    def enter_far(self) -> None:
        enter(self._between.far)


class _OverRelay(BrowserPath):
    def __init__(self, emulator: Emulator, profile: Profile) -> None:
        super().__init__()
        self._emulator = emulator
        self._profile = profile
        self.address, self.port = _LOOPBACK, 0
        self.media_port = _free_port()

    def _build(self) -> None:
        server = (self.address, self.media_port)
        relay = ImpairedRelay(self._emulator, self._profile, server, clients=_RELAY_CLIENTS)
        self._relay = self._opened.enter_context(relay)

    @property
    def _link(self) -> ImpairedRelay:
        return self._relay

    @property
    def server_command(self) -> Sequence[str]:
        return ()

    def enter_near(self) -> None:
        """Both ends are where we are."""

    def enter_far(self) -> None:
        """Both ends are where we are."""

    @property
    def far_script(self) -> str:
        host, port = self._relay.address
        return REWRITE_CANDIDATES % (json.dumps(host), port)


def browser_path(way: Way, emulator: Emulator, profile: Profile, traffic: Traffic) -> BrowserPath:
    """Makes one; a context manager.

    Raises:
        PathError: when entered, if the machine refuses what it is made of.
    """
    match way:
        case Way.TUN:
            return _BetweenNamespaces(partial(TunPath, emulator, profile, traffic))
        case Way.TC:
            return _BetweenNamespaces(partial(KernelPath, profile, traffic))
        case Way.RELAY:
            return _OverRelay(emulator, profile)


def _free_port() -> int:
    """One that nobody has now."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((_LOOPBACK, 0))
            return int(sock.getsockname()[1])
    except OSError as error:
        text = os.strerror(error.errno or 0)
        raise PathError(f"there is no free UDP port: {text}") from error
