"""Days, and that no sequence of operations deletes anything before its own."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from archive.archive import Archive
from archive.catalogue import Query
from archive.config import RetentionConfig
from archive.errors import ArchiveError, IntegrityError
from archive.keep import Keep
from archive.local import LocalBackend
from archive.retention import BUILT_IN, Dates, Rules
from archive.storage import Backend
from recorder.sale import Sale
from tests.archive.packages import Clock, an_archive, material, passing

DAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("kind", "dates", "until"),
    [
        ("insurance_short", Dates(DAY, date(2027, 1, 31)), date(2032, 1, 31)),
        ("insurance_life", Dates(DAY, date(2046, 1, 31)), date(2056, 1, 31)),
        ("fund", Dates(DAY, date(2027, 1, 31)), date(2047, 1, 31)),
        ("own_wealth", Dates(DAY, date(2027, 1, 31)), date(2047, 1, 31)),
        ("never_heard_of", Dates(DAY, date(2027, 1, 31)), date(2047, 1, 31)),
        (None, Dates(DAY, date(2028, 2, 29)), date(2048, 2, 29)),
        ("insurance_short", Dates(DAY, date(2028, 2, 29)), date(2033, 3, 1)),
        # A contract can't end before it was made.
        ("insurance_short", Dates(DAY, date(2020, 1, 1)), date(2031, 11, 22)),
        # Two years after a dispute, three with the internet: the longer.
        ("insurance_short", Dates(DAY, DAY, date(2040, 5, 1)), date(2043, 5, 1)),
        ("insurance_short", Dates(DAY, DAY, date(2027, 5, 1)), date(2031, 11, 22)),
        # What the session said only makes it longer.
        ("fund", Dates(DAY, date(2027, 1, 31), None, date(2030, 1, 31)), date(2050, 1, 31)),
        ("fund", Dates(DAY, date(2027, 1, 31), None, date(1970, 1, 1)), date(2047, 1, 31)),
        ("insurance_short", Dates(DAY, None, None, date(1970, 1, 1)), None),
        ("fund", Dates(DAY), None),
        ("fund", Dates(DAY, None, date(2040, 5, 1)), None),
    ],
)
def test_days_follow_from_the_contract(kind: str | None, dates: Dates, until: date | None) -> None:
    assert Rules(RetentionConfig()).keep(kind, dates).retain_until == until


def test_own_rules_come_first() -> None:
    config = RetentionConfig.model_validate(
        {"default_years": 15, "classes": [{"product_class": "fund", "years": 30, "basis": "board"}]}
    )
    rules = Rules(config)
    assert (rules.rule("fund").years, rules.rule("x").years, rules.rule(None).years) == (30, 15, 15)
    assert all(rule.basis for rule in BUILT_IN.values())
    with pytest.raises(ValidationError):
        RetentionConfig.model_validate({"classes": [{"product_class": "fund", "years": 0}]})


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b"[" * 5_000,
        b'{"format":"witness-keep/2","lock_until":"2026-01-01","retain_until":null,"holds":[]}',
        b'{"format":"witness-keep/1","lock_until":null,"retain_until":null,"holds":[]}',
        b'{"format":"witness-keep/1","lock_until":"2026-02-30","retain_until":null,"holds":[]}',
        b'{"format":"witness-keep/1","lock_until":"2026-01-01","retain_until":5,"holds":[]}',
        b'{"format":"witness-keep/1","lock_until":"2026-01-01","retain_until":null,"holds":"a"}',
        b'{"format":"witness-keep/1","lock_until":"2026-01-01","retain_until":null,"holds":[5]}',
        b'{"format":"witness-keep/1","lock_until":"2026-01-01","retain_until":null,"holds":["\\ud800"]}',
        b'{"format":"witness-keep/1","lock_until":"2026-01-01","retain_until":null}',
    ],
)  # fmt: skip
def test_what_lies_beside_an_object_and_can_not_be_read(text: bytes) -> None:
    with pytest.raises(IntegrityError):
        Keep.from_bytes(text)


def test_a_keep_is_read_as_it_was_written() -> None:
    for keep in (Keep(DAY), Keep(DAY, DAY), Keep(DAY, DAY, ("a", "b"))):
        assert Keep.from_bytes(keep.to_bytes()) == keep


MEMORY = Path("/dev/shm")
"""Where syncing costs nothing."""
SESSIONS = ("s1", "s2")
CASES = ("c1", "c2")
DAYS = st.integers(-400, 30_000).map(lambda days: DAY + timedelta(days=days))
OPERATION = st.one_of(
    st.tuples(st.just("deposit"), st.sampled_from(SESSIONS)),
    st.tuples(st.just("hold"), st.sampled_from(SESSIONS), st.sampled_from(CASES)),
    st.tuples(st.just("release"), st.sampled_from(SESSIONS), st.sampled_from(CASES)),
    st.tuples(st.just("contract"), st.sampled_from(SESSIONS), DAYS),
    st.tuples(st.just("dispute"), st.sampled_from(SESSIONS), DAYS),
    st.tuples(st.just("expire")),
    st.tuples(st.just("delete"), st.sampled_from(SESSIONS)),
    st.tuples(st.just("reindex")),
    st.tuples(st.just("wait"), st.integers(1, 9_000)),
)


class Story:
    """An archive, and beside it what ought to hold, kept by other means."""

    def __init__(self, root: Path, backend: Backend) -> None:
        self.root = root
        self.clock = Clock(DAY)
        self.archive = an_archive(root, backend, self.clock)
        self.cases: dict[str, set[str]] = {name: set() for name in SESSIONS}
        self.ends: dict[str, tuple[date | None, date | None]] = {}
        self.given = {name: material(root, name, sale=Sale("o", None, "fund"), started=DAY)
                      for name in SESSIONS}  # fmt: skip

    def earliest(self, name: str) -> date | None:
        contract, dispute = self.ends.get(name, (None, None))
        if contract is None:
            return None
        last = max(DAY, contract)
        until = (last + timedelta(days=1)).replace(year=last.year + 20) - timedelta(days=3)
        if dispute is not None:
            until = max(until, dispute + timedelta(days=3 * 365))
        return until

    def may_go(self, name: str) -> bool:
        until = self.earliest(name)
        return until is not None and self.clock.day > until and not self.cases[name]

    def there(self) -> set[str]:
        return {
            one.key.partition("/")[0]
            for one in self.archive.storage.find()
            if one.key.endswith("package.zip")
        }

    def do(self, what: str, *arguments: object) -> None:
        archive, who = self.archive, {"who": "p", "why": "w"}
        name = str(arguments[0]) if arguments else ""
        match what:
            case "deposit":
                archive.deposit(self.given[name], passing, who="p")
            case "hold":
                archive.hold(name, str(arguments[1]), **who)
                self.cases[name].add(str(arguments[1]))
            case "release":
                archive.release(name, str(arguments[1]), **who)
                self.cases[name].discard(str(arguments[1]))
            case "contract" | "dispute":
                day = arguments[1]
                assert isinstance(day, date)
                contract, dispute = self.ends.get(name, (None, None))
                if what == "contract":
                    archive.retain(name, contract_end=day, who="p", why="w")
                    self.ends[name] = (day, dispute)
                else:
                    archive.retain(name, dispute_end=day, who="p", why="w")
                    self.ends[name] = (contract, day)
            case "expire":
                for deposit in archive.due():
                    archive.expire(deposit, today=archive.today, **who)
            case "delete":
                # Past the catalogue.
                for one in list(archive.storage.find(f"{name}/")):
                    archive.storage.delete(one.key, self.clock.day)
            case "reindex":
                archive.reindex("p")
            case "wait":
                self.clock.day += timedelta(days=int(str(arguments[0])))


def tell(story: Story, operations: list[tuple[object, ...]]) -> None:
    for what, *arguments in operations:
        before = story.there()
        with suppress(ArchiveError):
            story.do(str(what), *arguments)
        for name in before - story.there():
            assert what in {"expire", "delete"}
            assert story.may_go(name), (what, name, story.clock.day, story.earliest(name))


@settings(max_examples=100, deadline=None)
@given(st.lists(OPERATION, max_size=25))
def test_no_sequence_deletes_before_the_day_or_under_a_hold(
    operations: list[tuple[object, ...]],
) -> None:
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        root = Path(name)
        story = Story(root, LocalBackend(root / "objects"))
        tell(story, [("deposit", "s1"), *operations])


@pytest.mark.net
def test_no_sequence_deletes_from_a_service(s3_server: object, tmp_path: Path) -> None:
    from archive.s3 import S3Backend
    from tests.archive.s3_server import SECRET, S3Server

    assert isinstance(s3_server, S3Server)
    numbers: Iterator[int] = iter(range(10_000))

    @settings(max_examples=6, deadline=None)
    @given(st.lists(OPERATION, max_size=12))
    def run(operations: list[tuple[object, ...]]) -> None:
        root = tmp_path / str(next(numbers))
        root.mkdir()
        backend = S3Backend(s3_server.config(prefix=f"p{root.name}/"), SECRET)
        tell(Story(root, backend), [("deposit", "s1"), *operations])

    run()


def test_what_is_due_goes_and_the_rest_stays(tmp_path: Path) -> None:
    story = Story(tmp_path, LocalBackend(tmp_path / "objects"))
    end = DAY + timedelta(days=100)
    tell(story, [("deposit", "s1"), ("deposit", "s2"), ("contract", "s1", end)])
    tell(story, [("contract", "s2", end), ("hold", "s2", "c1"), ("wait", 30_000), ("expire",)])
    assert story.there() == {"s2"}
    archive: Archive = story.archive
    assert [one.facts.session for one in archive.search(Query(state="held")).deposits] == ["s2"]
    tell(story, [("reindex",), ("release", "s2", "c1"), ("expire",)])
    assert story.there() == set()
    assert len(archive.search(Query(state="deleted")).deposits) == 2
