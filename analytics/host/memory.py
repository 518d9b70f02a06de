"""Memory that the host shares with its workers, and that no worker can take from under it."""

import contextlib
import fcntl
import mmap
import os
from typing import Final

__all__ = ["shared_memory"]

_F_SEAL_FUTURE_WRITE: Final = 0x10
"""Linux 5.1; Python has a name for it from 3.13 on."""


def shared_memory(name: str, size: int, *, is_read_only: bool) -> tuple[int, mmap.mmap]:
    """Memory of a fixed size: whoever shortened it would kill all that look at it (``SIGBUS``).

    Args:
        name: as ``/proc`` shows it.
        size: bytes.
        is_read_only: others that are given the descriptor can't write to it.

    Returns:
        Its descriptor, and where it is for this process to write.

    Raises:
        OSError: there is none.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        mapped = mmap.mmap(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        if is_read_only:
            # Where the kernel is too old, workers still map it for reading alone.
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _F_SEAL_FUTURE_WRITE)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)
    except OSError:
        os.close(fd)
        raise
    return fd, mapped
