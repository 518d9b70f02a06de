"""Fuzzes the reading of offers: every text is read, or refused with ``SdpError``.

``python -m tests.fuzz.fuzz_sdp --seconds 60``
"""

import sys
from pathlib import Path

from tests.fuzz.runner import instrumented, main
from tests.signaling.offers import offer_sdp

with instrumented("sfu", "aiortc.sdp"):
    from sfu.errors import SdpError
    from sfu.sdp import parse_offer

RECORDED = Path(__file__).parents[1] / "data" / "sdp"


def target(data: bytes) -> None:
    """Reads one offer."""
    try:
        parse_offer(data.decode("utf-8", "replace"))
    except SdpError:
        return


def seeds() -> list[bytes]:
    """Offers of browsers, and small ones."""
    recorded = [path.read_bytes() for path in sorted(RECORDED.glob("*")) if path.is_file()]
    small = offer_sdp([("audio", "sendonly"), ("video", "sendrecv"), ("audio", "recvonly")])
    return [*recorded, small.encode()]


if __name__ == "__main__":
    sys.exit(main("sdp", target, seeds()))
