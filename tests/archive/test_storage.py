"""What holds of objects wherever they lie; the S3 side against a real server."""

import hashlib
import random
from datetime import date, timedelta
from pathlib import Path

import pytest

from archive.errors import IntegrityError, MissingError, RetainedError, StorageError
from archive.keep import Keep
from archive.storage import Backend, Storage, is_key

pytestmark = pytest.mark.net

TODAY = date(2026, 11, 22)
LATER = TODAY + timedelta(days=3_650)
MIB = 1 << 20


def a_file(at: Path, size: int, seed: int = 1) -> tuple[Path, str]:
    data = random.Random(seed).randbytes(size)
    path = at / f"source-{size}-{seed}"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1, 12 * MIB])
def test_what_is_put_is_there(backend: Backend, tmp_path: Path, size: int) -> None:
    storage = Storage(backend)
    source, sha256 = a_file(tmp_path, size)
    told: list[tuple[int, int]] = []
    storage.put("s/p/package.zip", source, sha256, Keep(TODAY), lambda *at: told.append(at))
    found = storage.head("s/p/package.zip")
    assert found is not None
    assert (found.bytes, storage.digest("s/p/package.zip")) == (size, sha256)
    assert size == 0 or told[-1] == (2 * size, 2 * size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    # Again: nothing to do.
    storage.put("s/p/package.zip", source, sha256, Keep(TODAY))
    assert [item.key for item in storage.find("s/")] == ["s/p/package.zip"]
    assert list(storage.find("t/")) == []


def test_ranges_are_read(backend: Backend, tmp_path: Path) -> None:
    storage = Storage(backend)
    source, sha256 = a_file(tmp_path, 3_000_000)
    data = source.read_bytes()
    storage.put("a", source, sha256, Keep(TODAY))
    for start, length in ((0, 10), (10, 0), (2_999_990, 10), (2_999_990, None), (5, 1_500_000)):
        end = None if length is None else start + length
        assert b"".join(storage.read("a", start, length)) == data[start:end]
    with pytest.raises(MissingError):
        b"".join(storage.read("b"))
    assert storage.head("b") is None


def test_objects_are_never_replaced(backend: Backend, tmp_path: Path) -> None:
    storage = Storage(backend)
    storage.put("a", *a_file(tmp_path, 10), Keep(TODAY))
    with pytest.raises(IntegrityError, match="never replaced"):
        storage.put("a", *a_file(tmp_path, 10, seed=2), Keep(TODAY))
    assert storage.digest("a") == a_file(tmp_path, 10)[1]


def test_a_file_that_is_not_what_it_should_be_is_not_archived(
    backend: Backend, tmp_path: Path
) -> None:
    storage = Storage(backend)
    source, _ = a_file(tmp_path, 10)
    with pytest.raises(IntegrityError, match="came out different"):
        storage.put("a", source, "0" * 64, Keep(TODAY))
    assert storage.head("a") is None
    storage.put("a", *a_file(tmp_path, 10), Keep(TODAY))


def test_nothing_is_deleted_before_its_day_or_while_it_is_held(
    backend: Backend, tmp_path: Path
) -> None:
    storage = Storage(backend)
    lock = TODAY - timedelta(days=2)
    storage.put("a", *a_file(tmp_path, 10), Keep(lock))
    with pytest.raises(RetainedError, match="isn't known"):
        storage.delete("a", LATER)
    storage.protect("a", Keep(lock, TODAY))
    with pytest.raises(RetainedError, match="kept until 2026-11-22"):
        storage.delete("a", TODAY)
    storage.protect("a", Keep(lock, TODAY, ("case-1",)))
    with pytest.raises(RetainedError, match="held for case-1"):
        storage.delete("a", LATER)
    with pytest.raises(RetainedError, match="can't become earlier"):
        storage.protect("a", Keep(lock, TODAY - timedelta(days=1)))
    with pytest.raises(RetainedError, match="can't become earlier"):
        storage.protect("a", Keep(lock))
    assert storage.keep_of("a") == Keep(lock, TODAY, ("case-1",))
    assert storage.head("a") is not None


def test_what_has_passed_is_deleted(backend: Backend, tmp_path: Path) -> None:
    if getattr(backend, "lock_mode", None):
        pytest.skip("the server's own clock decides; see test_the_service_itself_refuses")
    storage = Storage(backend)
    day = TODAY - timedelta(days=1)
    storage.put("s/a", *a_file(tmp_path, 10), Keep(day, day))
    storage.delete("s/a", TODAY)
    assert storage.head("s/a") is None
    assert storage.keep_of("s/a") is None
    storage.delete("s/a", TODAY)
    with pytest.raises(MissingError):
        storage.protect("s/a", Keep(day))


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "../a", "a/../b", "a//b", ".a", "a b", "ä", "a" * 129, "a/b/c/d/e/f/g", "a\n"],
)
def test_keys_that_are_no_names(key: str, tmp_path: Path) -> None:
    assert not is_key(key)
    from archive.local import LocalBackend

    with pytest.raises(StorageError, match="no key"):
        Storage(LocalBackend(tmp_path)).head(key)


def test_a_small_object_changes(backend: Backend) -> None:
    storage = Storage(backend)
    for text in (b"one", b"two"):
        storage.put_small("s/record.json", text)
        assert storage.read_small("s/record.json") == text


def test_keys_that_are_alike_are_apart(backend: Backend, tmp_path: Path) -> None:
    storage = Storage(backend)
    day = TODAY - timedelta(days=1)
    storage.put("s/a", *a_file(tmp_path, 10), Keep(day, day))
    storage.put("s/a2", *a_file(tmp_path, 20), Keep(day, day))
    if getattr(backend, "lock_mode", None) is None:
        storage.delete("s/a", TODAY)
        assert [item.key for item in storage.find("s/a")] == ["s/a2"]
