"""Lets what is measured run before anything else: a browser without a CPU looks like bad network.

A kernel with autogroups shares the CPU among sessions first, and a browser has one of its own: the
niceness of its processes says nothing about it, that of its group does.
"""

import contextlib
import os
from pathlib import Path

__all__ = ["prefer_descendants"]

_NICE = -10
_PROC = Path("/proc")


def prefer_descendants(root: int) -> None:
    """Raises the priority of a process and all below it, where that is allowed (root)."""
    for process in _descendants(root):
        with contextlib.suppress(OSError):
            if os.getpriority(os.PRIO_PROCESS, process) > _NICE:
                os.setpriority(os.PRIO_PROCESS, process, _NICE)
        with contextlib.suppress(OSError):
            (_PROC / str(process) / "autogroup").write_text(str(_NICE))


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name in parentheses may hold anything.
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, left = [], [root]
    while left:
        process = left.pop()
        found.append(process)
        left += children.get(process, [])
    return found
