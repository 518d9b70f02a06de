"""Sealing, uploading and removing, killed between any two steps; the next start finishes it."""

import itertools
import shutil
import zipfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from archive.archive import Archive, Material
from archive.local import LocalBackend
from archive.removals import finish_removals
from recorder.errors import SealError
from recorder.log import read_events
from recorder.session_file import read_session
from tests.archive.packages import an_archive, passing
from tests.recorder.dying import dies_at
from tests.recorder.evidence import Office, Shape, record
from witness_verify import verify
from witness_verify.asn1 import load_pem


@dataclass(frozen=True)
class Bank:
    """A session that was stopped, and where its package and its archived copy go."""

    root: Path

    @property
    def place(self) -> Path:
        return self.root / "s1"

    @property
    def package(self) -> Path:
        return self.root / "s1.zip"

    def check(self, path: Path) -> str:
        office = Office.opened(self.root / "office")
        trusted = [one for name in office.trust for one in load_pem(name.read_bytes())]
        with path.open("rb") as file:
            result = verify(file, trusted)
        assert result.exit_code == 0, [step for step in result.steps if step.outcome != "pass"]
        return "pass"

    def archive(self) -> Archive:
        return an_archive(self.root, LocalBackend(self.root / "objects"))

    def seal(self) -> None:
        """As a start of the server, or somebody who asks again, does it."""
        if self.place.exists():
            try:
                Office.opened(self.root / "office").seal(self.place, self.package)
            except SealError as error:
                if "exists already" not in str(error):
                    raise

    def deposit(self) -> None:
        if self.package.exists():
            given = Material(self.package, (), (self.place, self.package))
            self.archive().deposit(given, passing, who="system", remove=lambda _: nullcontext(True))

    def left(self, _: str) -> list[Path]:
        """Originals that are there."""
        return [path for path in (self.place, self.package) if path.exists()]

    def told(self) -> list[str]:
        """Packages the session's log tells of."""
        events = read_events(self.place, read_session(self.place))
        return [event.payload["package"] for event in events if event.type == "recording.sealed"]

    def package_id(self) -> str:
        with zipfile.ZipFile(self.package) as box:
            return box.read("manifest.json").decode().split('"package":"')[1][:32]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    root = tmp_path_factory.mktemp("bank")
    Office.made(root / "office")
    record(root, "s1", Shape(tracks=1, segments=2, bytes=400, documents=True))
    return Bank(root)


def copied(bank: Bank, to: Path) -> Bank:
    shutil.copytree(bank.root, to)
    return Bank(to)


def test_sealing_that_is_killed_anywhere_is_finished_by_the_next_try(
    stopped: Bank, tmp_path: Path
) -> None:
    for number in itertools.count(1):
        bank = copied(stopped, tmp_path / str(number))
        was_killed = dies_at(number, bank.seal)
        bank.seal()
        assert bank.check(bank.package) == "pass"
        assert bank.told()[-1:] == [bank.package_id()], f"killed at change {number}"
        assert len(bank.told()) == 1
        assert {path.name for path in bank.root.iterdir()} == {"office", "s1", "s1.zip"}
        if not was_killed:
            break
        shutil.rmtree(bank.root)
    assert number > 15


@pytest.fixture(scope="module")
def sealed(stopped: Bank, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    bank = copied(stopped, tmp_path_factory.mktemp("sealed") / "bank")
    bank.seal()
    bank.archive()
    return bank


def test_archiving_that_is_killed_anywhere_is_finished_by_the_next_start(
    sealed: Bank, tmp_path: Path
) -> None:
    original = sealed.package.read_bytes()
    for number in itertools.count(1):
        bank = copied(sealed, tmp_path / str(number))
        was_killed = dies_at(number, bank.deposit)
        at = f"killed at change {number}"
        if not bank.package.exists() or not bank.place.exists():
            # The original is gone: what was archived is whole.
            archive = bank.archive()
            key = archive.newest("s1").package.key
            assert b"".join(archive.storage.read(key)) == original, at
        bank.deposit()
        archive = bank.archive()
        finish_removals(archive.catalogue, archive.journal, "system", bank.left)
        assert archive.newest("s1").originals == "removed", at
        assert b"".join(archive.storage.read(archive.newest("s1").package.key)) == original
        told = [entry.what for entry in archive.journal.read()]
        assert told[-1] == "originals.removed", at
        assert told.count("originals.removed") == 1, at
        assert not bank.left("s1")
        removing = bank.root / ".removing"
        assert not removing.exists() or not list(removing.iterdir())
        # Of what is written over again and again, the next time takes what a crash left.
        halves = (bank.root / "objects").rglob("*~part")
        assert {path.name for path in halves} <= {"record.json~part"}, at
        if not was_killed:
            break
        shutil.rmtree(bank.root)
    assert number > 40
