"""What the operating system refuses, in the language of the environment."""

import errno
import os
import re
import socket

from witness.i18n import marked, t

__all__ = ["native_reason", "reason"]

_REASONS = {
    errno.ENOENT: marked("No such file or directory"),
    errno.EACCES: marked("Permission denied"),
    errno.EPERM: marked("Operation not permitted"),
    errno.EISDIR: marked("Is a directory"),
    errno.ENOTDIR: marked("Not a directory"),
    errno.EEXIST: marked("File exists"),
    errno.ENAMETOOLONG: marked("File name too long"),
    errno.ELOOP: marked("Too many levels of symbolic links"),
    errno.EROFS: marked("Read-only file system"),
    errno.ENOSPC: marked("No space left on device"),
    errno.EDQUOT: marked("Disk quota exceeded"),
    errno.EIO: marked("Input/output error"),
    errno.EINVAL: marked("Invalid argument"),
    errno.EMFILE: marked("Too many open files"),
    errno.ENFILE: marked("Too many open files in system"),
    errno.ENOMEM: marked("Cannot allocate memory"),
    errno.EADDRINUSE: marked("Address already in use"),
    errno.EADDRNOTAVAIL: marked("this machine has no such address"),
    errno.EAFNOSUPPORT: marked("Address family not supported by protocol"),
    errno.ENETUNREACH: marked("Network is unreachable"),
    errno.EHOSTUNREACH: marked("No route to host"),
    errno.ECONNREFUSED: marked("Connection refused"),
    errno.ECONNRESET: marked("Connection reset by peer"),
    errno.ETIMEDOUT: marked("Connection timed out"),
}
_NAME_REASONS = {
    socket.EAI_NONAME: marked("Name or service not known"),
    socket.EAI_AGAIN: marked("Temporary failure in name resolution"),
    socket.EAI_FAIL: marked("Non-recoverable failure in name resolution"),
}
_NATIVE = re.compile(r"\(os error (\d+)\)")


def reason(error: OSError | ValueError) -> str:
    """Why a file or an address can't be used; a ``ValueError`` is a path that no system takes."""
    if not isinstance(error, OSError):
        return t("Invalid argument")
    if isinstance(error, socket.gaierror):
        return t(_NAME_REASONS.get(error.errno or 0, error.strerror or str(error)))
    return t(_REASONS.get(error.errno or 0, error.strerror or str(error)))


def native_reason(text: str) -> str:
    """The same for a text of the media plane, which ends in ``(os error 98)``; else all of it."""
    found = _NATIVE.search(text)
    if found is None:
        return text
    number = int(found[1])
    return t(_REASONS.get(number, os.strerror(number)))
