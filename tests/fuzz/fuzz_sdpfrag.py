"""Fuzzes the reading of ICE fragments: every text is read, or refused with ``FragmentError``.

``python -m tests.fuzz.fuzz_sdpfrag --seconds 60``
"""

import sys

from tests.fuzz.runner import instrumented, main
from tests.signaling.test_sdpfrag import GOOD, MALFORMED

with instrumented("signaling"):
    from signaling.sdpfrag import FragmentError, read_fragment, write_fragment


def target(data: bytes) -> None:
    """Reads one fragment; what was understood can be written and read again."""
    try:
        fragment = read_fragment(data.decode("utf-8", "replace"))
    except FragmentError:
        return
    if fragment.ice is not None:
        text = write_fragment(media="audio", mid="0", ice=fragment.ice, candidates=[])
        assert read_fragment(text).ice == fragment.ice


def seeds() -> list[bytes]:
    """Good fragments, and those of the table of malformed ones that are not long."""
    texts = [text for text, _ in [*GOOD.values(), *MALFORMED.values()]]
    return [text.encode() for text in texts if len(text) < 5_000]


if __name__ == "__main__":
    sys.exit(main("sdpfrag", target, seeds()))
