"""Fuzzes the cutting of torn files: what is kept is a whole file, and stays when cut again.

``python -m tests.fuzz.fuzz_recovery --seconds 60``
"""

import io
import sys

from tests.fuzz.runner import instrumented, main
from tests.recorder.test_recovery import HEADER, packet

with instrumented("recorder"):
    from recorder.recovery import _whole

_FRAME = (40).to_bytes(4, "big") + bytes(40)


def target(data: bytes) -> None:
    """Cuts one file, as a plain one and as an encrypted one."""
    for name in ("000001.pcapng", "000001.pcapng.enc"):
        content = _whole(io.BytesIO(data), name)
        assert 0 <= content.size <= len(data)
        assert _whole(io.BytesIO(data[: content.size]), name) == content


def seeds() -> list[bytes]:
    """Whole and torn ones."""
    plain = HEADER + packet(5_000) + packet(25_000)
    return [plain, plain[:-3], HEADER, b"WITNESS\x01" + bytes(75) + 3 * _FRAME, b""]


if __name__ == "__main__":
    sys.exit(main("recovery", target, seeds()))
