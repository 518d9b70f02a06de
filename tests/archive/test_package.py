"""What is read of packages, and what is none."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from archive.errors import IntegrityError, PackageError
from archive.keep import Keep
from archive.local import LocalBackend
from archive.package import StoredFile, facts_of
from archive.record import record_from
from archive.storage import Storage
from recorder.sale import Sale
from tests.archive.packages import TODAY, package
from tests.recorder.evidence import Office, Shape, record

SOLD = Sale("PO-1", "L-20", "insurance_life", "2046-01-31", "c-7")


def test_a_package_tells_what_the_catalogue_keeps(tmp_path: Path) -> None:
    with package(tmp_path / "p.zip", sale=SOLD).open("rb") as file:
        facts = facts_of(file)
    assert (facts.session, facts.room, facts.sale) == ("s1", "sale-1", SOLD)
    assert (facts.length_us, facts.missing_us, facts.events) == (60_000_000, 12, 12)
    assert [one.participant for one in facts.parties] == ["p-1", "p-2"]
    assert facts.recorded == TODAY


def test_a_sealed_package_is_read_from_the_storage(tmp_path: Path) -> None:
    sealed = Office.made(tmp_path).seal(record(tmp_path, "s1", Shape(gaps=2)), tmp_path / "s1.zip")
    storage = Storage(LocalBackend(tmp_path / "objects"))
    from archive.package import digest_of

    storage.put("s1/p", sealed.path, digest_of(sealed.path), Keep(TODAY))
    facts = facts_of(StoredFile(storage, "s1/p", sealed.bytes))  # type: ignore[arg-type]
    assert (facts.package, facts.missing_us) == (sealed.package, sealed.missing_us)
    assert facts.parties[0].participant == "p-7f"


def changed(name: str, **fields: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(a_package())) as box:
        files = {one: json.loads(box.read(one)) for one in box.namelist() if "json" in one}
    files[name].update(fields)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as box:
        for one, value in files.items():
            box.writestr(one, json.dumps(value))
    return out.getvalue()


def a_package() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        return package(Path(name) / "p.zip").read_bytes()


MALFORMED: list[bytes] = [
    b"",
    b"PK",
    b"x" * 10_000,
    a_package()[:-30],
    a_package()[100:],
    changed("manifest.json", format="witness-evidence/9"),
    changed("manifest.json", package="../../etc"),
    changed("manifest.json", package="A" * 32),
    changed("manifest.json", package=5),
    changed("manifest.json", session={"session": "s2"}),
    changed("manifest.json", session=None),
    changed("manifest.json", timeline=[]),
    changed("manifest.json", timeline={"from_us": "x", "to_us": 1}),
    changed("manifest.json", tracks=5),
    changed("manifest.json", sealed_at="yesterday"),
    changed("manifest.json", sealed_at="2026-11-22T00:00:00"),
    changed("session.json", session="../s1"),
    changed("session.json", started_at=None),
    changed("session.json", customer={"crm_customer_id": "a b"}),
    changed("session.json", order="PO-1"),
    changed("gaps.json", tracks=[{}]),
]


@pytest.mark.parametrize("data", MALFORMED)
def test_what_is_no_package(data: bytes) -> None:
    with pytest.raises(PackageError):
        facts_of(io.BytesIO(data))


def test_records_that_can_not_be_read(tmp_path: Path) -> None:
    with package(tmp_path / "p.zip").open("rb") as file:
        facts = facts_of(file)
    one = {"key": "s1/x/package.zip", "kind": "package", "bytes": 5, "sha256": "0" * 64}
    good = {
        "format": "witness-archive/1", "package": facts.package, "archived_at": "x",
        "verdict": "pass", "contract_end": None, "dispute_end": None, "objects": [one],
    }  # fmt: skip
    assert record_from(json.dumps(good).encode(), facts, Keep(TODAY)).package.bytes == 5
    for change in (
        {"format": "x"}, {"package": "0" * 32}, {"objects": []}, {"objects": None},
        {"objects": [{**one, "key": "../x"}]}, {"objects": [{**one, "bytes": "x"}]},
        {"contract_end": 5}, {"dispute_end": "2026-13-01"},
    ):  # fmt: skip
        with pytest.raises(IntegrityError):
            record_from(json.dumps({**good, **change}).encode(), facts, Keep(TODAY))
    for data in (b"", b"[]", b"[" * 5_000, b"\xff"):
        with pytest.raises(IntegrityError):
            record_from(data, facts, Keep(TODAY))


def test_gaps_that_the_verifier_takes_are_no_reason_to_refuse() -> None:
    gap = {"from_us": 1, "to_us": 2, "cause": "network", "filled_us": 0}
    track = {"track": "t0", "missing_us": 12, "gaps": [gap] * 200_000}
    package = io.BytesIO(changed("gaps.json", tracks=[track]))
    assert facts_of(package).missing_us == 12
