"""From a sealed session to its deletion many years later."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from archive.archive import Archive
from archive.catalogue import Query
from archive.config import RetentionConfig
from archive.errors import (
    CatalogueError,
    DepositError,
    IntegrityError,
    PackageError,
    RetainedError,
    StorageError,
)
from archive.identity import begin
from archive.local import LocalBackend
from archive.package import Facts
from archive.record import Deposit, record_key, record_of, tombstone_from
from archive.storage import Backend, Storage
from recorder.sale import Sale
from tests.archive.packages import (
    TODAY,
    Clock,
    an_archive,
    material,
    package,
    passing,
    whole,
    years,
)

pytestmark = pytest.mark.net

SOLD = Sale("PO-1", "L-20", "insurance_life", "2030-01-31", "c-7")


def judged(_: Deposit) -> str:
    return "gaps"


def whats(archive: Archive) -> list[str]:
    return [entry.what for entry in archive.journal.read()]


def test_a_session_is_archived_found_and_fetched(backend: Backend, tmp_path: Path) -> None:
    archive = an_archive(tmp_path, backend)
    given = material(tmp_path, sale=SOLD)
    told: list[tuple[int, int]] = []
    deposit = archive.deposit(given, passing, who="system", progress=lambda *at: told.append(at))
    assert told[-1][0] == told[-1][1]
    assert (deposit.state, deposit.verdict, deposit.originals) == ("archived", "pass", "present")
    assert deposit.facts.missing_us == 12
    assert [one.kind for one in deposit.objects] == ["package", "film"]
    assert deposit.keep.retain_until is None  # whoever sells does not decide
    assert archive.search(Query(customer="c-7")).deposits == (deposit,)
    # Keys are made of ids alone.
    keys = [one.key for one in archive.storage.find("s1/")]
    assert all(key.startswith(f"s1/{deposit.facts.package}/") for key in keys)
    # Again: nothing happens.
    before = whats(archive)
    assert archive.deposit(given, passing, who="system") == deposit
    assert whats(archive) == before == ["deposit.begun", "deposit.verified"]
    out = tmp_path / "out.zip"
    (tmp_path / "out.zip.part").write_bytes(given.package.read_bytes()[:1_000])
    archive.fetch(deposit, deposit.package, out, who="auditor", why="case 5")
    assert out.read_bytes() == given.package.read_bytes()
    assert out.stat().st_mode & 0o777 == 0o600
    last = list(archive.journal.read())[-1]
    assert (last.what, last.who, last.why) == ("fetched", "auditor", "case 5")
    with pytest.raises(FileExistsError):
        archive.fetch(deposit, deposit.package, out, who="auditor", why="case 5")


def test_the_journal_says_passed_only_after_the_verifier_did(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    deposit = archive.deposit(material(tmp_path), passing, who="system")

    def not_yet(_: Deposit) -> str:
        assert "verify.passed" not in whats(archive)
        return "fail:signature"

    assert archive.verify("s1", "auditor", not_yet) == [(deposit, "fail:signature")]
    last = list(archive.journal.read())[-1]
    assert (last.what, last.facts["verdict"]) == ("verify.failed", "fail:signature")
    archive.verify("s1", "auditor", judged)
    last = list(archive.journal.read())[-1]
    assert (last.what, last.facts["verdict"]) == ("verify.passed", "gaps")


def test_a_file_that_only_looks_like_half_a_copy_stays(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    deposit = archive.deposit(material(tmp_path), passing, who="system")
    out = tmp_path / "out.zip"
    part = tmp_path / "out.zip.part"
    for other in (b"my own notes", b"n" * (deposit.package.bytes + 1)):
        part.write_bytes(other)
        with pytest.raises(IntegrityError, match=r"out\.zip\.part is not the beginning of"):
            archive.fetch(deposit, deposit.package, out, who="auditor", why="case 5")
        assert part.read_bytes() == other
        assert not out.exists()
    part.unlink()
    archive.fetch(deposit, deposit.package, out, who="auditor", why="case 5")
    assert out.stat().st_size == deposit.package.bytes


def test_originals_go_only_when_asked_and_after_the_copy_was_compared(
    backend: Backend, tmp_path: Path
) -> None:
    archive = an_archive(tmp_path, backend)
    given = material(tmp_path)
    archive.deposit(given, passing, who="system")
    assert all(path.exists() for path in given.originals)
    deposit = archive.deposit(given, passing, who="system", remove=whole)
    assert deposit.originals == "removed"
    assert not any(path.exists() for path in given.originals)
    assert given.films[0].exists()
    assert archive.verify("s1", "auditor", judged) == [(deposit, "gaps")]
    assert whats(archive)[-3:] == ["originals.removing", "originals.removed", "verify.passed"]


def test_originals_stay_when_the_session_went_on_or_nobody_verified(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    given = material(tmp_path)
    asked: list[str] = []

    def went_on(facts: Facts) -> AbstractContextManager[bool]:
        asked.extend(what for what in whats(archive))
        return nullcontext(False)

    deposit = archive.deposit(given, passing, who="system", remove=went_on)
    assert asked == ["deposit.begun", "deposit.verified"]  # after the copy, not before
    other = material(tmp_path, "s2")
    unknown = archive.deposit(other, lambda _: "unknown", who="system", remove=whole)
    assert (deposit.originals, unknown.originals) == ("present", "present")
    assert all(path.exists() for path in (*given.originals, *other.originals))


def test_removing_keeps_what_others_said_meanwhile(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))

    def meanwhile(step: str) -> None:
        if step == "removed capture":
            archive.retain("s1", contract_end=date(2045, 5, 1), who="r", why="extended")

    deposit = archive.deposit(
        material(tmp_path, sale=SOLD), passing, who="system", remove=whole, step=meanwhile
    )
    assert deposit.originals == "removed"
    assert deposit.keep.retain_until == date(2055, 5, 1)


def test_a_copy_that_was_damaged_keeps_the_originals(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    given = material(tmp_path)
    deposit = archive.deposit(given, passing, who="system")
    copy = tmp_path / "objects" / deposit.package.key
    data = bytearray(copy.read_bytes())
    data[700] ^= 1
    copy.write_bytes(data)
    with pytest.raises(IntegrityError, match="is not what was archived"):
        archive.deposit(given, passing, who="system", remove=whole)
    assert all(path.exists() for path in given.originals)
    with pytest.raises(IntegrityError):
        archive.verify("s1", "auditor", judged)
    assert whats(archive)[-1] == "verify.failed"
    with pytest.raises(IntegrityError):
        archive.fetch(deposit, deposit.package, tmp_path / "out", who="a", why="b")
    assert not (tmp_path / "out").exists()
    copy.unlink()
    with pytest.raises(IntegrityError, match="is gone"):
        archive.verify("s1", "auditor", judged)


def test_what_does_not_pass_is_not_archived(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    given = material(tmp_path)

    def failing(_: Path) -> str:
        raise DepositError("package {path} fails", path="x")

    with pytest.raises(DepositError):
        archive.deposit(given, failing, who="system")
    assert list(archive.storage.find("s1/")) == []
    assert whats(archive) == []
    archive.deposit(given, passing, who="system")
    given.package.write_bytes(given.package.read_bytes() + b"x")
    with pytest.raises((DepositError, PackageError)):
        archive.deposit(given, passing, who="system", remove=whole)
    assert given.package.exists()


STEPS = [
    "checked", "begun", "put package", "put film", "recorded", "catalogued", "journaled",
    "removed capture", "removed .zip",
]  # fmt: skip


@pytest.mark.parametrize("at", [*STEPS, "copying", "reading again"])
def test_a_crash_leaves_the_original_or_a_compared_copy(
    backend: Backend, tmp_path: Path, at: str
) -> None:
    given = material(tmp_path, size=9_000_000 if at in {"copying", "reading again"} else 3_000)
    original = given.package.read_bytes()

    def die(now: str) -> None:
        if now == at:
            os._exit(9)

    def halfway(done: int, total: int) -> None:
        size = len(original)
        if at == ("copying" if 0 < done <= size else "reading again" if done > size else ""):
            os._exit(9)

    child = os.fork()
    if child == 0:
        try:
            an_archive(tmp_path, backend).deposit(
                given, passing, who="system", remove=whole, progress=halfway, step=die
            )
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    archive = an_archive(tmp_path, backend)
    if not all(path.exists() for path in given.originals):
        deposit = archive.newest("s1")
        assert b"".join(archive.storage.read(deposit.package.key)) == original
    if given.package.exists():
        deposit = archive.deposit(given, passing, who="system", remove=whole)
        assert deposit.originals == "removed"
    assert not any(path.exists() for path in given.originals)
    left = tmp_path / ".removing"
    assert not (left.exists() and list(left.iterdir()))
    ((deposit, _),) = archive.verify("s1", "auditor", judged)
    assert archive.storage.digest(deposit.package.key) == deposit.package.sha256
    assert b"".join(archive.storage.read(deposit.package.key)) == original


def test_holds_and_days_decide_together(tmp_path: Path) -> None:
    clock = Clock()
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"), clock)
    archive.deposit(material(tmp_path, sale=Sale("PO-1", None, "fund")), passing, who="system")
    clock.day = TODAY + years(50)
    assert archive.due() == []  # nobody said when the contract ends
    end = TODAY + timedelta(days=400)
    (deposit,) = archive.retain("s1", contract_end=end, who="records", why="surrendered")
    assert deposit.keep.retain_until == end.replace(year=end.year + 20)
    archive.hold("s1", "case-1", who="legal", why="complaint 12")
    archive.hold("s1", "case-2", who="legal", why="complaint 13")
    assert archive.due() == []
    assert (
        archive.expire(deposit, today=archive.today, who="records", why="time is over").refused
        is not None
    )
    assert archive.release("s1", "case-1", who="legal", why="settled") == ("case-2",)
    assert archive.due() == []
    archive.release("s1", "case-2", who="legal", why="settled")
    clock.day = deposit.keep.retain_until
    assert archive.due() == []
    clock.day += timedelta(days=1)
    (due,) = archive.due()
    done = archive.expire(due, today=archive.today, who="records", why="time is over")
    assert done.refused is None
    assert [one.key for one in archive.storage.find("s1/")] == [
        f"s1/{due.facts.package}/record.json"
    ]
    (gone,) = archive.search(Query(state="deleted")).deposits
    assert gone.facts.sale == Sale()
    assert gone.facts.parties == ()
    entries = [entry for entry in archive.journal.read() if entry.what.startswith("expiry")]
    assert [(one.what, one.who) for one in entries] == [
        ("expiry.decided", "records"),
        ("expiry.done", "records"),
    ]
    assert entries[0].why == "time is over"
    with pytest.raises(CatalogueError, match="not archived"):
        archive.newest("s1")


def ended(archive: Archive) -> Deposit:
    """Whoever keeps the records says that the contract ended."""
    return archive.retain("s1", contract_end=date(2030, 1, 31), who="records", why="ended")[0]


def test_the_storage_has_a_word_too(tmp_path: Path) -> None:
    """Catalogue and storage both have to allow it: either alone keeps the object."""
    clock = Clock()
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"), clock)
    archive.deposit(material(tmp_path, sale=SOLD), passing, who="system")
    deposit = ended(archive)
    clock.day = TODAY + years(60)
    assert len(archive.due()) == 1
    for one in deposit.objects:
        keep = archive.storage.keep_of(one.key)
        assert keep is not None
        archive.storage.protect(one.key, keep.held("somebody"))
        refused = archive.expire(archive.due()[0], today=archive.today, who="r", why="w").refused
        assert refused is not None
        archive.storage.protect(one.key, keep)
    (tmp_path / "objects" / f"{deposit.package.key}.keep.json").write_text("{}")
    with pytest.raises(IntegrityError):
        archive.expire(archive.due()[0], today=archive.today, who="r", why="w")
    assert archive.storage.head(deposit.package.key) is not None


def test_a_slip_of_the_pen_is_no_day_to_keep_until(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    archive.deposit(material(tmp_path, sale=SOLD), passing, who="system")
    recorded = archive.newest("s1").dates.recorded
    far = date(9_000, 1, 1)
    for day in (date(1990, 1, 1), recorded - timedelta(days=1), far):
        with pytest.raises(RetainedError):
            archive.retain("s1", contract_end=day, who="r", why="typo")
        with pytest.raises(RetainedError):
            archive.retain("s1", dispute_end=day, who="r", why="typo")
    with pytest.raises(RetainedError):
        archive.retain("s1", contract_end=far, repeated=date(9_001, 1, 1), who="r", why="typo")
    assert "retention.set" not in whats(archive)
    (deposit,) = archive.retain("s1", contract_end=far, repeated=far, who="r", why="typo")
    assert deposit.dates.contract_end == far


def test_days_only_become_later(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    archive.deposit(material(tmp_path, sale=SOLD), passing, who="system")
    (deposit,) = archive.retain("s1", contract_end=date(2027, 1, 1), who="r", why="surrendered")
    assert deposit.keep.retain_until == date(2040, 1, 31)  # as long as the session said
    (deposit,) = archive.retain("s1", contract_end=date(2045, 5, 1), who="r", why="extended")
    assert deposit.keep.retain_until == date(2055, 5, 1)
    with pytest.raises(RetainedError):
        archive.retain("s1", contract_end=date(2027, 1, 1), who="r", why="typo")
    assert whats(archive).count("retention.set") == 2
    (deposit,) = archive.retain("s1", dispute_end=date(2060, 1, 1), who="r", why="court")
    assert deposit.keep.retain_until == date(2063, 1, 1)
    assert archive.storage.keep_of(deposit.package.key) == deposit.keep


def test_a_rule_that_was_made_shorter_is_for_others(tmp_path: Path) -> None:
    """Whoever changes the configuration does not shorten what was promised."""
    backend = LocalBackend(tmp_path / "objects")
    long = RetentionConfig(default_years=30, dispute_years=9)
    archive = an_archive(tmp_path, backend, rules=long)
    given = material(tmp_path)
    first = archive.deposit(given, passing, who="system")
    archive.retain("s1", dispute_end=date(2050, 1, 1), who="r", why="court")
    short = RetentionConfig(default_years=1, dispute_years=0)
    later = an_archive(tmp_path, backend, rules=short)
    package(given.package, number=2)
    second = later.deposit(given, passing, who="system")
    assert second.keep.lock_until == first.keep.lock_until
    until = date(2075, 1, 31)
    for deposit in later.retain("s1", contract_end=date(2045, 1, 31), who="r", why="signed"):
        assert (deposit.keep.lock_until, deposit.keep.retain_until) == (
            first.keep.lock_until,
            until,
        )
        assert later.storage.keep_of(deposit.package.key) == deposit.keep
    (*_, deposit) = later.retain("s1", contract_end=date(2046, 1, 31), who="r", why="extended")
    assert deposit.keep.retain_until == date(2076, 1, 31)
    with pytest.raises(RetainedError):
        later.retain("s1", contract_end=date(2045, 1, 31), who="r", why="typo")
    package(given.package, number=3)
    assert later.deposit(given, passing, who="system").keep == deposit.keep


def test_a_hold_comes_before_the_deposit(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    assert archive.hold("s1", "case-1", who="legal", why="complaint") == ("case-1",)
    deposit = archive.deposit(material(tmp_path), passing, who="system")
    keep = archive.storage.keep_of(deposit.package.key)
    assert keep is not None
    assert deposit.keep.holds == keep.holds == ("case-1",)


def test_a_second_package_of_a_session_is_another_deposit(tmp_path: Path) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    given = material(tmp_path, sale=SOLD)
    archive.deposit(given, passing, who="system")
    archive.retain("s1", contract_end=date(2045, 5, 1), who="r", why="extended")
    archive.hold("s1", "case-1", who="legal", why="complaint")
    package(given.package, number=2, sale=SOLD)
    second = archive.deposit(given, passing, who="system")
    assert second.keep.holds == ("case-1",)
    assert second.keep.retain_until == date(2055, 5, 1)
    assert len(archive.verify("s1", "auditor", judged)) == 2
    assert archive.newest("s1") == second


def test_the_catalogue_is_made_anew_from_what_is_stored(backend: Backend, tmp_path: Path) -> None:
    archive = an_archive(tmp_path, backend)
    for name in ("s1", "s2", "s3"):
        archive.deposit(material(tmp_path, name, sale=SOLD), passing, who="system")
    archive.hold("s2", "case-1", who="legal", why="complaint")
    archive.hold("s9", "case-2", who="legal", why="not archived yet")
    archive.retain("s3", contract_end=date(2045, 5, 1), who="r", why="extended")
    before = archive.search(Query()).deposits
    first = next(one for one in before if one.facts.session == "s1")
    record = f"s1/{first.facts.package}/record.json"
    archive.storage._backend.remove(record)
    (tmp_path / "archive" / "catalogue.sqlite3").unlink()
    again = an_archive(tmp_path, backend)
    assert again.reindex("admin") == (3, 1)
    after = again.search(Query()).deposits
    for one, other in zip(before, after, strict=True):
        assert (one.facts, one.keep, one.dates) == (other.facts, other.keep, other.dates)
        assert one.package == other.package
    assert again.catalogue.holds("s9") == ("case-2",)
    assert again.storage.head(record) is not None
    assert again.reindex("admin") == (3, 0)


class Failing:
    """A backend whose storage fails at the n-th call."""

    def __init__(self, inner: Backend, at: int) -> None:
        self._inner = inner
        self._left = at
        self.name = inner.name

    def __getattr__(self, name: str) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self._inner, name)

        def called(*arguments: object) -> object:
            self._left -= 1
            if self._left == 0:
                raise StorageError("the storage failed at {key}: {reason}", key="x", reason="test")
            return method(*arguments)

        return called


def test_a_storage_that_fails_anywhere_leaves_nothing_half_done(tmp_path: Path) -> None:
    for at in range(1, 100, 2):
        root = tmp_path / str(at)
        root.mkdir()
        inner = LocalBackend(root / "objects")
        given = material(root)
        failing = Failing(inner, at)
        try:
            an_archive(root, failing).deposit(  # type: ignore[arg-type]
                given, passing, who="system", remove=whole
            )
        except StorageError:
            assert all(path.exists() for path in given.originals)
            archive = an_archive(root, inner)
            deposit = archive.deposit(given, passing, who="system", remove=whole)
            assert archive.verify("s1", "a", judged) == [(deposit, "gaps")]
        else:
            break
    else:
        raise AssertionError("it never came to an end")
    assert at > 10


def test_an_object_that_was_lost_was_not_deleted(tmp_path: Path) -> None:
    clock = Clock()
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"), clock)
    deposit = archive.deposit(material(tmp_path, sale=SOLD), passing, who="system")
    clock.day = TODAY + years(60)
    deposit = ended(archive)
    folder = tmp_path / "objects" / "s1"
    folder.rename(tmp_path / "away")
    refused = archive.expire(deposit, today=archive.today, who="r", why="w").refused
    assert refused is not None
    assert "is gone" in str(refused)
    objects = tmp_path / "objects"
    objects.rename(tmp_path / "unmounted")
    with pytest.raises(StorageError, match="mounted"):
        archive.expire(deposit, today=archive.today, who="r", why="w")
    (tmp_path / "unmounted").rename(objects)
    (tmp_path / "away").rename(folder)
    assert archive.newest("s1").state == "archived"

    class CutOffError(Exception):
        pass

    remove, removed = archive.storage.delete, []

    def cut_off(key: str, today: date) -> None:
        remove(key, today)
        removed.append(key)
        raise CutOffError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive.storage, "delete", cut_off)
        with pytest.raises(CutOffError):
            archive.expire(deposit, today=archive.today, who="r", why="w")
    assert len(removed) == 1
    assert archive.expire(deposit, today=archive.today, who="r", why="w").refused is None


def test_holds_of_a_lost_catalogue_stay_until_they_are_released(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "objects")
    first = an_archive(tmp_path, backend)
    deposit = first.deposit(material(tmp_path, sale=SOLD), passing, who="system")
    first.hold("s1", "case-1", who="legal", why="complaint")
    with pytest.raises(StorageError, match="--adopt"):
        begin(tmp_path / "second", first.storage)
    first.catalogue.set_hold("s1", "case-1", on=False)  # as on a host that never heard of it
    first.hold("s1", "case-2", who="legal", why="complaint")

    def holds() -> tuple[str, ...]:
        keep = first.storage.keep_of(deposit.package.key)
        assert keep is not None
        return keep.holds

    assert holds() == ("case-1", "case-2")
    first.release("s1", "case-2", who="legal", why="settled")
    assert holds() == ("case-1",)


def test_a_film_that_was_made_anew_or_is_gone_does_not_keep_the_package_out(
    tmp_path: Path,
) -> None:
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    given = material(tmp_path)
    (film,) = given.films
    odd = film.rename(film.with_name("film 1.mp4"))
    given = replace(given, films=(odd, film.with_name("gone.mp4")))

    class CutOffError(Exception):
        pass

    def cut_off(step: str) -> None:
        if step == "put film":
            raise CutOffError

    with pytest.raises(CutOffError):
        archive.deposit(given, passing, who="system", step=cut_off)
    odd.write_bytes(b"made anew")
    deposit = archive.deposit(given, passing, who="system")
    assert [one.kind for one in deposit.objects] == ["package", "film", "film"]
    assert archive.verify("s1", "a", judged) == [(deposit, "gaps")]
    failed = [one for one in archive.journal.read() if one.what == "film.failed"]
    assert {one.why for one in failed} == {"FileNotFoundError"}


@pytest.mark.parametrize("lost", ["catalogue", "directory"])
def test_what_was_deleted_is_known_without_the_catalogue(tmp_path: Path, lost: str) -> None:
    clock = Clock()
    backend = LocalBackend(tmp_path / "objects")
    archive = an_archive(tmp_path, backend, clock)
    archive.deposit(material(tmp_path, sale=SOLD), passing, who="system")
    archive.deposit(material(tmp_path, "s2"), passing, who="system")
    deposit = ended(archive)
    clock.day = TODAY + years(60)
    archive.expire(deposit, today=archive.today, who="records", why="over")
    (gone,) = archive.search(Query(state="deleted")).deposits
    if lost == "catalogue":
        (tmp_path / "archive" / "catalogue.sqlite3").unlink()
    else:
        (tmp_path / "archive").rename(tmp_path / "lost")
        begin(tmp_path / "archive", Storage(backend), adopt=True)
    again = an_archive(tmp_path, backend, clock)
    again.reindex("admin")
    (tombstone,) = again.search(Query(state="deleted")).deposits
    assert tombstone == gone
    assert tombstone.facts.sale == Sale()
    assert [one.facts.session for one in again.search(Query(state="archived")).deposits] == ["s2"]


def test_a_record_alone_does_not_make_a_lost_package_a_deleted_one(tmp_path: Path) -> None:
    clock = Clock()
    archive = an_archive(tmp_path, LocalBackend(tmp_path / "objects"), clock)
    deposit = archive.deposit(material(tmp_path, sale=SOLD), passing, who="system")
    forged = replace(deposit, state="deleted")
    key = record_key("s1", deposit.facts.package)
    archive.storage.put_small(key, record_of(forged))
    (tmp_path / "objects" / deposit.package.key).unlink()
    archive.reindex("admin")
    assert archive.search(Query(state="deleted")).deposits == ()
    for data in (b"", b"[]", b'{"tombstone":{}}', record_of(deposit)):
        assert tombstone_from(data) is None
