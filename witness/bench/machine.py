"""What the measurement asks of the machine, so that other work on it disturbs less."""

import contextlib
import os
from pathlib import Path

__all__ = ["bind", "cpus", "prefer", "stolen_s"]

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


def stolen_s(cpu: int | None) -> float | None:
    """Seconds for which the machine's host has had a CPU do something else, since it began.

    Threads that could run stand still meanwhile, and nothing in the machine knows why.

    Args:
        cpu: which; ``None``: the sum of all.

    Returns:
        ``None`` where the kernel doesn't tell (``steal`` of ``/proc/stat``, proc(5)).
    """
    name = "cpu" if cpu is None else f"cpu{cpu}"
    try:
        lines = Path("/proc/stat").read_text("ascii").splitlines()
        fields = next(line.split() for line in lines if line.split()[:1] == [name])
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None
