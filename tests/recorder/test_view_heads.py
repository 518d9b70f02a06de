from pathlib import Path

import pytest

from recorder.errors import LogDamagedError
from recorder.view_heads import HEADS_FILE, note_head, read_heads


def test_heads_are_those_of_a_session(tmp_path: Path) -> None:
    assert read_heads(tmp_path, "s1") == {}
    for name, seq in (("s1", 1), ("s2", 1), ("s1", 7), ("s1", 7)):
        note_head(tmp_path, name, seq, f"{name}-{seq}")
    assert read_heads(tmp_path, "s1") == {1: "s1-1", 7: "s1-7"}
    assert read_heads(tmp_path, "s3") == {}


def test_half_a_line_of_a_crash_is_cut_off(tmp_path: Path) -> None:
    note_head(tmp_path, "s1", 1, "a")
    path = tmp_path / HEADS_FILE
    path.write_bytes(path.read_bytes() + b'{"prev":"')
    assert read_heads(tmp_path, "s1") == {1: "a"}
    note_head(tmp_path, "s1", 2, "b")
    assert read_heads(tmp_path, "s1") == {1: "a", 2: "b"}


@pytest.mark.parametrize(
    "line", [b"[]\n", b"{\n", b"{}\n", b"\xff\n", b"[" * 3_000 + b"\n", b'{"prev":null}\n']
)
def test_heads_that_are_none_show(tmp_path: Path, line: bytes) -> None:
    note_head(tmp_path, "s1", 1, "a")
    path = tmp_path / HEADS_FILE
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(LogDamagedError, match="line 2"):
        read_heads(tmp_path, "s1")


def test_a_line_that_was_taken_out_shows(tmp_path: Path) -> None:
    for seq in (1, 2, 3):
        note_head(tmp_path, "s1", seq, str(seq))
    path = tmp_path / HEADS_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(LogDamagedError, match="line 2"):
        read_heads(tmp_path, "s1")


def test_another_digest_of_a_line_shows(tmp_path: Path) -> None:
    note_head(tmp_path, "s1", 1, "a")
    note_head(tmp_path, "s1", 1, "b")
    with pytest.raises(LogDamagedError, match="begun anew"):
        read_heads(tmp_path, "s1")
