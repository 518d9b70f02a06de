"""Files are opened only where they are files: a pipe would be waited for without end."""

import errno
import os
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, Final, cast

__all__ = ["open_regular", "read_regular"]

_NO_FILE: Final = "is no regular file"


def open_regular(path: Path, flags: int = os.O_RDONLY, *, buffering: int = -1) -> BinaryIO:
    """Opens a file, to read or as the flags say.

    Raises:
        OSError: it can't be opened, or is a pipe, a device, a directory.
    """
    # A pipe without a writer is opened at once then, and refused.
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, _NO_FILE, str(path))
    mode = "r+b" if flags & os.O_RDWR else "rb"
    return cast("BinaryIO", os.fdopen(descriptor, mode, buffering))


def read_regular(path: Path) -> bytes:
    """A file's content.

    Raises:
        OSError: see :func:`open_regular`.
    """
    with open_regular(path) as file:
        return file.read()
