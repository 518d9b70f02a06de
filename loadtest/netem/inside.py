"""Running parts of a test inside a network namespace, thread by thread.

A socket belongs to the namespace of the thread that makes it, and a new thread or process begins
in the namespace of the one that starts it. So a test can have its server in one namespace and its
browser in another without being split into programs.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["enter", "inside", "why_no_namespaces"]

_CLONE_NEWNET = 0x4000_0000
_NAMED = Path("/run/netns")
_OWN = Path("/proc/thread-self/ns/net")


@cache
def why_no_namespaces() -> str | None:
    """Why namespaces can't be made here; ``None`` if they can. Tried once in a process."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    ip = shutil.which("ip")
    if ip is None:
        return "ip (iproute2) is not installed"
    probe = f"witness-probe-{os.getpid()}"
    made = subprocess.run(  # noqa: S603 - the name is made here
        [ip, "netns", "add", probe], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        return f"the kernel refuses network namespaces: {made.stderr.strip()}"
    subprocess.run([ip, "netns", "delete", probe], check=True)  # noqa: S603
    return None


def enter(namespace: str) -> None:
    """Moves the calling thread into ``namespace`` for good.

    Raises:
        OSError: there is no such namespace, or it may not be entered.
    """
    _enter(_NAMED / namespace)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """The calling thread is in ``namespace`` meanwhile."""
    before = os.open(_OWN, os.O_RDONLY)
    try:
        enter(namespace)
        try:
            yield
        finally:
            _set(before)
    finally:
        os.close(before)


def _enter(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        _set(handle)
    finally:
        os.close(handle)


def _set(handle: int) -> None:
    # os.setns came with Python 3.12.
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(handle, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
