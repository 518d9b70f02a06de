"""Composition root and command line: puts sfu, signaling and the media plane into one process."""

from functools import cache
from importlib import metadata

__all__ = ["version"]


@cache
def version() -> str:
    """The installed version, or ``unknown`` when run from sources that were never installed."""
    try:
        return metadata.version("witness-media-server")
    except metadata.PackageNotFoundError:
        return "unknown"
