from pathlib import Path

import pytest

from recorder.session_file import write_session

STARTED_NS = 1_790_000_000_123_000_000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory of a session that has just begun."""
    write_session(tmp_path, session="s1", room="r1", started_ns=STARTED_NS)
    return tmp_path / "s1"
