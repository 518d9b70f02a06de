"""Fuzzes the reading of uploads: every body is read, or refused with ``BodyError``.

``python -m tests.fuzz.fuzz_upload --seconds 60``
"""

import sys

from tests.fuzz.runner import instrumented, main
from tests.recorder.backfill.test_form import MALFORMED

with instrumented("recorder"):
    from recorder.backfill.errors import BodyError
    from recorder.backfill.form import Frame, pack, unpack


def target(data: bytes) -> None:
    """Reads one body; what was understood is written the same again."""
    try:
        frames = unpack(data)
    except BodyError:
        return
    assert pack(frames) == data


def seeds() -> list[bytes]:
    """Good bodies, and those of the table of malformed ones that are not long."""
    good = [pack(Frame(n * 960, b"\x08abc") for n in range(count)) for count in (1, 3, 50)]
    return good + [body for body, _ in MALFORMED.values() if len(body) < 5_000]


if __name__ == "__main__":
    sys.exit(main("upload", target, seeds()))
