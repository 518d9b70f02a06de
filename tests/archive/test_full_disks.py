"""Disks that fill half-way: sealing and archiving refuse, and go on when there is room again."""

import shutil
from pathlib import Path

from tests.archive.test_kills import Bank, copied, sealed, stopped
from tests.recorder.dying import is_refused_beyond

__all__ = ["sealed", "stopped"]

STEPS = 24
ALMOST = 64
"""Bytes missing at last: signatures and time-stamps differ by a few from package to package."""


def sizes(largest: int) -> list[int]:
    """From nothing to just too little."""
    return [largest * step // STEPS for step in range(STEPS)] + [largest - ALMOST]


def test_a_disk_that_fills_while_a_package_is_sealed_leaves_none_of_it(
    stopped: Bank, tmp_path: Path
) -> None:
    whole = copied(stopped, tmp_path / "whole")
    whole.seal()
    largest = whole.package.stat().st_size
    for size in sizes(largest):
        bank = copied(stopped, tmp_path / str(size))
        refused = is_refused_beyond(size, bank.seal)
        assert refused is not None, size
        assert {path.name for path in bank.root.iterdir()} == {"office", "s1"}, size
        assert bank.told() == []
        bank.seal()
        assert bank.told() == [bank.package_id()]
        if size in {0, largest // 2, largest - ALMOST}:
            assert bank.check(bank.package) == "pass"
        shutil.rmtree(bank.root)


def test_a_disk_that_fills_while_a_package_is_archived_keeps_the_originals(
    sealed: Bank, tmp_path: Path
) -> None:
    original = sealed.package.read_bytes()
    for size in sizes(len(original)):
        bank = copied(sealed, tmp_path / str(size))
        refused = is_refused_beyond(size, bank.deposit)
        assert refused is not None, size
        assert bank.package.read_bytes() == original
        assert (bank.place / "session.json").exists()
        bank.deposit()
        archive = bank.archive()
        assert archive.newest("s1").originals == "removed", size
        assert b"".join(archive.storage.read(archive.newest("s1").package.key)) == original
        assert [entry.what for entry in archive.journal.read()][-1] == "originals.removed"
        shutil.rmtree(bank.root)
