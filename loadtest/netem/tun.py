"""A bad network between two namespaces, for kernels without ``sch_netem``.

::

    far 10.77.1.2 ── TUN ── emulator thread ── TUN ── near 10.77.2.2

Whatever is sent into either device comes out of the other one as the profile has it. Nothing is
dropped where a sender could notice, and nothing leaves the namespaces. Needs root and iproute2.
"""

import fcntl
import os
import struct
import subprocess
from pathlib import Path

from loadtest.errors import PathError
from loadtest.netem.built import Built
from loadtest.netem.emulator import Emulator, PathReport
from loadtest.netem.inside import inside, why_no_namespaces
from loadtest.netem.profile import Profile, Traffic

__all__ = ["FAR_ADDRESS", "NEAR_ADDRESS", "TunPath", "why_no_tun"]

FAR_ADDRESS = "10.77.1.2"
NEAR_ADDRESS = "10.77.2.2"
_DEVICE = Path("/dev/net/tun")
_NAME = "witness0"
_TUNSETIFF = 0x4004_54CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_QUEUE_PACKETS = "2000"


def why_no_tun() -> str | None:
    """Why paths between namespaces can't be made here; ``None`` if they can."""
    return why_no_namespaces() or (None if _DEVICE.exists() else f"the kernel has no {_DEVICE}")


class TunPath(Built):
    """Two namespaces and the path between them; a context manager that removes what it made.

    Args:
        emulator: the native side.
        profile: of the path.
        traffic: what it impairs.

    Attributes:
        far: name of the namespace at the bad end.
        near: name of the namespace of the server.
    """

    def __init__(self, emulator: Emulator, profile: Profile, traffic: Traffic) -> None:
        super().__init__()
        self._emulator = emulator
        self._profile = profile
        self._traffic = traffic
        tag = f"witness-{os.getpid()}-{id(self) & 0xFFFF:x}"
        self.far, self.near = f"{tag}-far", f"{tag}-near"
        self._handles: list[int] = []

    def command(self, namespace: str) -> list[str]:
        """What a command line begins with to run inside ``namespace``."""
        return ["ip", "netns", "exec", namespace]

    def impair(self) -> None:
        """Brings the path into the profile's first state; until then it only has its delay."""
        self._take(first_only=True)

    def heal(self) -> None:
        """Nothing but delay, as before :meth:`impair`."""
        links = (self._profile.down, self._profile.up)
        down, up = ([(0.0, self._emulator.link(link.unimpaired()))] for link in links)
        self._path.begin(down=down, up=up)

    def begin(self) -> None:
        """The profile's time begins now."""
        self._take(first_only=False)

    def _take(self, *, first_only: bool) -> None:
        count = 1 if first_only else None
        down, up = (self._emulator.steps(self._profile, way)[:count] for way in ("down", "up"))
        self._path.begin(down=down, up=up)

    def report(self) -> tuple[PathReport, PathReport]:
        """What became of the packets so far: down, up."""
        down, up = self._path.report()
        return down, up

    def _build(self) -> None:
        ends = ((self.far, FAR_ADDRESS, NEAR_ADDRESS), (self.near, NEAR_ADDRESS, FAR_ADDRESS))
        for namespace, own, other in ends:
            _must("netns", "add", namespace)
            self._opened.callback(_ip, "netns", "delete", namespace)
            _must("-n", namespace, "link", "set", "lo", "up")
            self._handles.append(self._device(namespace))
            device = ("dev", _NAME)
            _must("-n", namespace, "address", "add", own, "peer", other, *device)
            _must("-n", namespace, "link", "set", *device, "txqueuelen", _QUEUE_PACKETS, "up")
            _must("-n", namespace, "route", "add", "default", *device)
        first, second = self._handles
        self._path = self._emulator.connect(first, second, self._profile, self._traffic)
        self._opened.callback(self._path.close)

    def _device(self, namespace: str) -> int:
        """A TUN device in ``namespace``: packets without a link layer, one each read and write."""
        try:
            with inside(namespace):
                handle = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
                self._opened.callback(os.close, handle)
                request = struct.pack("16sH22x", _NAME.encode(), _IFF_TUN | _IFF_NO_PI)
                fcntl.ioctl(handle, _TUNSETIFF, request)
        except OSError as error:
            raise PathError(f"the kernel refuses a TUN device: {error.strerror}") from error
        return handle


def _must(*arguments: str) -> None:
    problem = _ip(*arguments)
    if problem is not None:
        raise PathError(f"ip {' '.join(arguments)}: {problem}")


def _ip(*arguments: str) -> str | None:
    """Runs ``ip``; returns what it complains of."""
    done = subprocess.run(  # noqa: S603 - names made here
        ["ip", *arguments],  # noqa: S607 - where the system has it
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else done.stderr.strip() or str(done.returncode)
