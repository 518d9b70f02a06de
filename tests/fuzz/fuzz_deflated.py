"""Fuzzes the inflating of texts: every one is inflated within its bound, or refused.

``python -m tests.fuzz.fuzz_deflated --seconds 60``
"""

import sys

from tests.fuzz.runner import instrumented, main

with instrumented("signaling"):
    from signaling.deflated import deflated, inflated

MOST = 4_096


def target(data: bytes) -> None:
    """Inflates one text; what was understood is the same when deflated and inflated again."""
    try:
        text = inflated(data.decode("utf-8", "replace"), MOST)
    except ValueError:
        return
    assert len(text.encode()) <= MOST
    assert inflated(deflated(text), MOST) == text


def seeds() -> list[bytes]:
    """Texts of all sizes, and one that is too long."""
    texts = ["", "v=0\r\n", "v=0\r\na=group:BUNDLE 0 1\r\n" * 20, "a" * (MOST + 1)]
    return [deflated(text).encode() for text in texts]


if __name__ == "__main__":
    sys.exit(main("deflated", target, seeds()))
