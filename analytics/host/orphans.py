"""A process that ends with the one that started it, whatever it is doing then (Linux)."""

import ctypes
import os
import signal
from typing import Final

__all__ = ["end_with_parent"]

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """Has the kernel kill this process when the thread that started it ends."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        # It ended just before.
        os.kill(os.getpid(), signal.SIGKILL)
