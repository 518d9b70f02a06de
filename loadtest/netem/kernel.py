"""A bad network between two namespaces made by the kernel: ``tc netem`` on a router between them.

::

    far 10.77.1.2 ── 10.77.1.1 router 10.77.2.1 ── 10.77.2.2 near

Needs root, iproute2 and a kernel with ``sch_netem``. Nothing leaves the namespaces.
"""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from loadtest.errors import PathError
from loadtest.netem.built import Built
from loadtest.netem.emulator import Counted
from loadtest.netem.profile import Link, Profile, Traffic
from loadtest.netem.tc import commands, netem_arguments, parse_counters, why_no_netem
from loadtest.netem.tun import FAR_ADDRESS, NEAR_ADDRESS

__all__ = ["KernelPath", "KernelReport", "why_no_kernel_path"]

_FAR_GATEWAY, _NEAR_GATEWAY = "10.77.1.1", "10.77.2.1"
_TOWARDS = {"down": "to-far", "up": "to-near"}
"""The router's device of each direction."""


def why_no_kernel_path(profile: Profile) -> str | None:
    """Why the kernel can't apply this profile; ``None`` if it can. Needs root."""
    try:
        for way in ("down", "up"):
            for _, link in profile.timeline(way):
                netem_arguments(link, profile.seed)
    except PathError as error:
        return str(error)
    probe = f"witness-netem-{os.getpid()}"
    with _namespace(probe):
        return why_no_netem(probe)


@contextlib.contextmanager
def _namespace(name: str) -> Iterator[None]:
    _run("ip", "netns", "add", name)
    try:
        yield
    finally:
        _run("ip", "netns", "delete", name)


@dataclass(frozen=True, slots=True)
class _Netem:
    lost: int
    pushed: int
    delivered: int
    queue_full: int = 0
    duplicated: int = 0


@dataclass(frozen=True, slots=True)
class KernelReport:
    """Like ``sfu._media.PathReport``; the kernel tells nothing of kinds of packets."""

    netem: _Netem
    other_udp: Counted
    refused: int = 0
    rtp: list[tuple[int, Counted]] = field(default_factory=list)
    rtcp: Counted = (0, 0, 0, 0)
    not_udp: Counted = (0, 0, 0, 0)

    @classmethod
    def of(cls, packets: int, octets: int, drops: int) -> "KernelReport":
        """From the counters of a qdisc: what left it, and what it dropped."""
        netem = _Netem(lost=drops, pushed=packets + drops, delivered=packets)
        return cls(netem, (packets + drops, octets, packets, octets))


class KernelPath(Built):
    """Three namespaces; a context manager that removes what it made.

    Attributes:
        far: name of the namespace at the bad end.
        near: name of the namespace of the server.
    """

    def __init__(self, profile: Profile, traffic: Traffic) -> None:
        super().__init__()
        self._profile = profile
        self._traffic = traffic
        tag = f"witness-{os.getpid()}-{id(self) & 0xFFFF:x}"
        self.far, self.near, self._router = f"{tag}-far", f"{tag}-near", f"{tag}-router"
        self._steps: list[threading.Timer] = []

    def command(self, namespace: str) -> list[str]:
        """What a command line begins with to run inside ``namespace``."""
        return ["ip", "netns", "exec", namespace]

    def impair(self) -> None:
        """Brings the path into the profile's first state; until then it only has its delay."""
        self._cancel()
        for way in _TOWARDS:
            self._apply(way, next(self._profile.timeline(way))[1])

    def heal(self) -> None:
        """Nothing but delay, as before :meth:`impair`."""
        self._cancel()
        for way, link in (("down", self._profile.down), ("up", self._profile.up)):
            self._apply(way, link.unimpaired())

    def begin(self) -> None:
        """The profile's time begins now."""
        self.impair()
        for way in _TOWARDS:
            for at_s, link in islice(self._profile.timeline(way), 1, None):
                step = threading.Timer(at_s, self._apply, (way, link))
                step.daemon = True
                self._steps.append(step)
                step.start()

    def report(self) -> tuple[KernelReport, KernelReport]:
        """What became of the impaired packets since the last change of state: down, up."""
        down, up = (self._count(device) for device in _TOWARDS.values())
        return down, up

    def _count(self, device: str) -> KernelReport:
        text = _run("tc", "-n", self._router, "-s", "-j", "qdisc", "show", "dev", device)
        return KernelReport.of(*parse_counters(text))

    def _apply(self, way: str, link: Link) -> None:
        # Each direction has random numbers of its own.
        seed = self._profile.seed * 2 + (way == "up")
        for arguments in commands(_TOWARDS[way], link, self._traffic, seed):
            _run("tc", "-n", self._router, *arguments)

    def _cancel(self) -> None:
        while self._steps:
            self._steps.pop().cancel()

    def _build(self) -> None:
        for namespace in (self.far, self.near, self._router):
            self._opened.enter_context(_namespace(namespace))
            _run("ip", "-n", namespace, "link", "set", "lo", "up")
        self._opened.callback(self._cancel)
        self._link(self.far, FAR_ADDRESS, _FAR_GATEWAY, _TOWARDS["down"])
        self._link(self.near, NEAR_ADDRESS, _NEAR_GATEWAY, _TOWARDS["up"])
        forward = ["sysctl", "-qw", "net.ipv4.ip_forward=1"]
        _run(*self.command(self._router), *forward)
        self.heal()

    def _link(self, end: str, address: str, gateway: str, device: str) -> None:
        router = self._router
        peer = ("peer", "name", device, "netns", router)
        _run("ip", "-n", end, "link", "add", "witness0", "type", "veth", *peer)
        for namespace, name, own in ((end, "witness0", address), (router, device, gateway)):
            _run("ip", "-n", namespace, "address", "add", f"{own}/24", "dev", name)
            # A link-local address becomes valid later; browsers give up requests then.
            _run("ip", "-n", namespace, "link", "set", name, "addrgenmode", "none", "up")
        _run("ip", "-n", end, "route", "add", "default", "via", gateway)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - names made here
            command, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise PathError(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        raise PathError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
