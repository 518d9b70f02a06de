"""Processes that are killed at their n-th change of the disk, or whose disk takes no more."""

import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from archive.errors import ArchiveError
from recorder.errors import RecorderError

__all__ = ["dies_at", "is_refused_beyond"]

_CHANGES = (
    "fdatasync",
    "fsync",
    "ftruncate",
    "link",
    "mkdir",
    "pwrite",
    "rename",
    "replace",
    "rmdir",
    "truncate",
    "unlink",
    "utime",
    "write",
)
_TOLD = (ArchiveError, RecorderError, OSError)
_WRITING = os.O_WRONLY | os.O_RDWR


def dies_at(number: int, work: Callable[[], object]) -> bool:
    """Runs work in a child, which is killed just before its ``number``-th change, from 1.

    Changes are opening for writing, and what gives names, takes them, cuts or syncs; what stands
    in buffers then is lost.

    Returns:
        Whether it was killed; else it came to its end.
    """
    child = os.fork()
    if child == 0:
        try:
            _install(number)
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - told by the exit code
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, -signal.SIGKILL}, code
    return code != 0


def _install(number: int) -> None:
    left = number

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(name: str) -> Any:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            count()
            return real(*args, **kwargs)

        return call

    def heard(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[2], int) and args[2] & _WRITING:
            count()

    for name in _CHANGES:
        setattr(os, name, counted(name))
    sys.addaudithook(heard)


def is_refused_beyond(size: int, work: Callable[[], object]) -> type[Exception] | None:
    """Runs work in a child that can make no file larger than ``size``: the write that would is done
    in part, the next one fails, as on a disk that fills.

    Returns:
        What it raised, of the errors that programs are told of; ``None`` if it came to its end.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            work()
            code = 0
        except _TOLD as error:
            code = 2 + next(place for place, kind in enumerate(_TOLD) if isinstance(error, kind))
        except BaseException:  # noqa: BLE001 - told by the exit code
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, *range(2, 2 + len(_TOLD))}, code
    return _TOLD[code - 2] if code else None
