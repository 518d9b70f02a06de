"""Memory that workers share stays as long as it is, and what it is."""

import mmap
import os

import pytest

from analytics.host.memory import shared_memory


@pytest.mark.parametrize("size", [0, 1, 8_192])
@pytest.mark.parametrize("is_read_only", [True, False])
def test_nobody_changes_its_size(size: int, is_read_only: bool) -> None:
    fd, mapped = shared_memory("witness-test", 4_096, is_read_only=is_read_only)
    with mapped:
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
        mapped[0] = 7
        assert os.pread(fd, 1, 0) == b"\7"
        assert os.fstat(fd).st_size == 4_096
    os.close(fd)


def test_who_shall_only_read_can_not_write() -> None:
    fd, mapped = shared_memory("witness-test", 4_096, is_read_only=True)
    with mapped:
        with pytest.raises(PermissionError):
            mmap.mmap(fd, 4_096)
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        with mmap.mmap(fd, 4_096, prot=mmap.PROT_READ) as theirs:
            mapped[5] = 9
            assert theirs[5] == 9
    os.close(fd)


def test_marker_is_written_by_both() -> None:
    fd, mapped = shared_memory("witness-test", 4_096, is_read_only=False)
    with mapped, mmap.mmap(fd, 4_096) as theirs:
        theirs[1] = 3
        assert mapped[1] == 3
    os.close(fd)
