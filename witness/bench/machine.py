"""What the measurement asks of the machine, so that other work on it disturbs less."""

import contextlib
import os
from pathlib import Path

__all__ = ["bind", "cpus", "prefer"]

_NICE = -19


def cpus() -> list[int]:
    """CPUs this process may use."""
    return sorted(os.sched_getaffinity(0))


def bind(cpu: int | None) -> None:
    """Binds the calling thread and those it starts later to one CPU; ``None`` leaves it."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})


def prefer() -> bool:
    """Asks to be scheduled before other processes; says whether that was granted.

    With automatic groups, one for each session, niceness only counts within the group, and the
    group has one of its own (``sched(7)``).
    """
    granted = False
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE))
        granted = True
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        granted = True
    return granted
