"""Fuzzes the headers of pictures: each is read, or refused with ``NoPictureError``.

``python -m tests.fuzz.fuzz_picture --seconds 60``
"""

import sys

from tests.fuzz.runner import instrumented, main
from tests.signaling.test_picture import GOOD, MALFORMED

with instrumented("signaling"):
    from signaling.picture import NoPictureError, picture_head


def target(data: bytes) -> None:
    """Reads one header; a size is one that the format can have."""
    try:
        head = picture_head(data)
    except NoPictureError:
        return
    assert 0 <= head.width < 1 << 32
    assert 0 <= head.height < 1 << 32


def seeds() -> list[bytes]:
    """Good pictures, and those of the table of malformed ones."""
    return [data for data, _ in (*GOOD.values(), *MALFORMED.values())]


if __name__ == "__main__":
    sys.exit(main("picture", target, seeds()))
