"""Fuzzes the reading of capture files: every file is read, or refused with ``RecordingError``.

``python -m tests.fuzz.fuzz_capture_file --seconds 60``
"""

import io
import sys

from tests.fuzz.runner import instrumented, main
from tests.recorder.capture_files import capture_file
from tests.recorder.playback.test_opening import MALFORMED, track

with instrumented("recorder"):
    from recorder.playback.errors import RecordingError
    from recorder.playback.pcapng import read_items


def target(data: bytes) -> None:
    """Reads one file."""
    try:
        for item in read_items(io.BytesIO(data), "fuzz"):
            assert item.arrival_us >= 0
    except RecordingError:
        return


def seeds() -> list[bytes]:
    """The start of a good file, and the malformed ones."""
    return [capture_file(track().items[:12]), *MALFORMED.values()]


if __name__ == "__main__":
    sys.exit(main("capture file", target, seeds()))
