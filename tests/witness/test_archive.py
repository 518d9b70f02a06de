"""``witness archive`` from the command line, over really sealed sessions."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archive.archive import Archive
from recorder.session_file import read_session
from tests.recorder.evidence import Shape, record
from witness.cli import main


@pytest.fixture(autouse=True)
def _office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings, keys and an empty archive."""
    monkeypatch.chdir(tmp_path)
    for name in ("recordings", "packages"):
        (tmp_path / name).mkdir()
    for key, value in (
        ("RECORDING__DIRECTORY", "recordings"),
        ("EVIDENCE__KEYS_DIRECTORY", "keys"),
        ("EVIDENCE__LOG_DIRECTORY", "log"),
        ("EVIDENCE__TSA_LOCAL", "true"),
        ("EVIDENCE__PACKAGES_DIRECTORY", "packages"),
        ("ARCHIVE__DIRECTORY", "archive"),
    ):
        monkeypatch.setenv(f"WITNESS_{key}", value)
    assert main(["keys", "init", "--local-tsa"]) == 0
    assert main(["archive", "init"]) == 0


def sealed(tmp_path: Path, name: str, shape: Shape | None = None) -> None:
    record(tmp_path / "recordings", name, shape or Shape())
    assert main(["seal", name]) == 0


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert main(["archive", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_from_sealed_to_archived_to_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(tmp_path, "s1", Shape(gaps=1))
    sealed(tmp_path, "s2")
    assert told(capsys, "status")["waiting"] == ["s1", "s2"]
    (one,) = told(capsys, "put", "s1")
    assert (one["session_id"], one["verdict"], one["originals"]) == ("s1", "gaps", "present")
    assert told(capsys, "status")["waiting"] == ["s2"]
    monkeypatch.setenv("WITNESS_ARCHIVE__REMOVE_ORIGINALS", "true")
    (two,) = told(capsys, "put", "--all-sealed")
    assert (two["verdict"], two["originals"]) == ("pass", "removed")
    assert not (tmp_path / "recordings/s2").exists()
    assert (tmp_path / "recordings/s1").exists()
    assert [item["verdict"] for item in told(capsys, "verify", "s1", "s2")] == ["gaps", "pass"]
    told(capsys, "fetch", "s2", "--reason", "complaint 5", "--out", str(tmp_path / "case/5"))
    trust = [f"keys/{name}.crt" for name in ("seal-ed25519", "seal-sm2", "tsa")]
    assert main(["verify", "case/5/s2.zip", "--trust", *trust]) == 0
    entries = told(capsys, "journal", "--session", "s2")
    assert [entry["what"] for entry in entries] == [
        "deposit.begun", "deposit.verified", "originals.removing", "originals.removed",
        "verify.passed", "fetched",
    ]  # fmt: skip


def test_holds_days_and_deletion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sealed(tmp_path, "s1")
    told(capsys, "hold", "s1", "--case", "c-1", "--reason", "complaint")
    told(capsys, "put", "s1")
    (one,) = told(capsys, "list", "--state", "held")["deposits"]
    assert (one["holds"], one["retain_until"]) == (["c-1"], None)
    (one,) = told(capsys, "retain", "s1", "--contract-end", "2030-01-31", "--reason", "ended")
    assert one["retain_until"] == "2050-01-31"
    assert told(capsys, "release", "s1", "--case", "c-1", "--reason", "settled") == [
        {"session_id": "s1", "holds": []}
    ]
    assert told(capsys, "expire") == []
    assert told(capsys, "expire", "--delete", "--reason", "time", "--today", "2026-11-22") == []
    assert told(capsys, "reindex") == {"packages": 1, "without_record": 0}
    assert main(["archive", "list", "--order", "PO-9"]) == 0
    assert "nothing found" in capsys.readouterr().out
    assert main(["archive", "list"]) == 0
    assert "2050-01-31" in capsys.readouterr().out


def test_a_session_that_went_on_keeps_its_originals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recorder.log import EventLog

    sealed(tmp_path, "s1")
    place = tmp_path / "recordings" / "s1"
    with EventLog.open(place) as log:
        log.append("mark", {"label": "later"}, durable=True)
    monkeypatch.setenv("WITNESS_ARCHIVE__REMOVE_ORIGINALS", "true")
    assert told(capsys, "put", "s1")[0]["originals"] == "present"
    assert read_session(place).session == "s1"


def test_what_comes_while_it_is_copied_keeps_the_originals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from archive.storage import Storage
    from recorder.log import EventLog

    sealed(tmp_path, "s1")
    place = tmp_path / "recordings" / "s1"
    put, logs = Storage.put, []

    def slow(*arguments: Any) -> None:
        put(*arguments)
        logs.append(EventLog.open(place))  # the server waits for an upload

    monkeypatch.setattr(Storage, "put", slow)
    monkeypatch.setenv("WITNESS_ARCHIVE__REMOVE_ORIGINALS", "true")
    assert told(capsys, "put", "s1")[0]["originals"] == "present"
    logs[0].append("mark", {"label": "upload"}, durable=True)
    logs[0].close()
    assert told(capsys, "put", "s1")[0]["originals"] == "present"
    assert (place / "events.jsonl").exists()


def test_what_nobody_verified_keeps_its_originals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(tmp_path, "s1")
    sealed(tmp_path, "s2")
    monkeypatch.delenv("WITNESS_EVIDENCE__KEYS_DIRECTORY")
    assert told(capsys, "put", "s1")[0]["verdict"] == "unknown"
    path = tmp_path / "packages" / "s2.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"media/") + 2_000] ^= 1
    path.write_bytes(data)
    assert "does not pass" in told(capsys, "put", "s2", code=1)[0]["error"]
    monkeypatch.setenv("WITNESS_ARCHIVE__REMOVE_ORIGINALS", "true")
    assert main(["archive", "put", "s1"]) != 0
    assert "evidence.keys_directory" in capsys.readouterr().err
    assert path.exists()
    assert (tmp_path / "recordings" / "s1").exists()


def test_a_session_sealed_anew_waits_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed(tmp_path, "s1")
    told(capsys, "put", "s1")
    assert told(capsys, "status")["waiting"] == []
    (tmp_path / "packages" / "s1.zip").unlink()
    assert main(["seal", "s1"]) == 0
    assert told(capsys, "status")["waiting"] == ["s1"]
    assert len(told(capsys, "put", "--all-sealed")) == 1
    assert told(capsys, "status")["waiting"] == []


def test_a_package_that_fails_is_not_archived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed(tmp_path, "s1")
    path = tmp_path / "packages" / "s1.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"media/") + 2_000] ^= 1
    path.write_bytes(data)
    (one,) = told(capsys, "put", "s1", code=1)
    assert "does not pass" in one["error"]
    assert told(capsys, "list") == {"deposits": [], "next": None}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["put"], 2, "give sessions, or --all-sealed"),
        (["put", "s9"], 1, "there is no session s9"),
        (["put", "s0"], 1, "seal it first"),
        (["verify", "s9"], 1, "session s9 is not archived"),
        (["fetch", "s9", "--reason", "x"], 1, "session s9 is not archived"),
        (["retain", "s9", "--reason", "x"], 2, "give --contract-end or --dispute-end"),
        (["retain", "s9", "--reason", "x", "--contract-end", "soon"], 2, "is no day"),
        (["hold", "s0", "--case", "a b", "--reason", "x"], 1, "is no name of a case"),
        (["release", "s0", "--case", "c", "--reason", "x"], 1, "does not hold session s0"),
        (["expire", "--delete", "--reason", "x"], 2, "--delete needs --reason and --today"),
        (["list", "--limit", "0"], 1, "limit must be 1 to 500"),
        (["list", "--cursor", "x"], 1, "the cursor is none"),
    ],
)
def test_what_can_not_be_done_is_said(
    arguments: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "recordings", "s0")
    assert main(["archive", *arguments]) == code
    assert said in capsys.readouterr().err


def test_without_a_directory_or_a_secret_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, value in (
        ("STORAGE", "s3"),
        ("S3__ENDPOINT", "http://127.0.0.1:1"),
        ("S3__BUCKET", "archive"),
        ("S3__ACCESS_KEY_ID", "key"),
    ):
        monkeypatch.setenv(f"WITNESS_ARCHIVE__{key}", value)
    assert main(["archive", "status"]) == 1
    assert "WITNESS_ARCHIVE__S3__SECRET_ACCESS_KEY" in capsys.readouterr().err
    monkeypatch.delenv("WITNESS_ARCHIVE__STORAGE")
    monkeypatch.delenv("WITNESS_ARCHIVE__DIRECTORY")
    assert main(["archive", "status"]) == 1
    assert "archive.directory is not set" in capsys.readouterr().err


def test_a_file_system_that_is_not_mounted_is_no_empty_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(tmp_path, "s1")
    told(capsys, "put", "s1")
    mounted, objects = tmp_path / "archive", tmp_path / "archive" / "objects"
    for gone in (mounted, objects):
        gone.rename(tmp_path / "elsewhere")
        gone.mkdir()  # where it would be mounted
        monkeypatch.setenv("WITNESS_ARCHIVE__REMOVE_ORIGINALS", "true")
        for arguments in (["put", "--all-sealed"], ["expire"], ["status"]):
            assert main(["archive", *arguments]) == 1
            assert "mount" in capsys.readouterr().err
        assert (tmp_path / "recordings" / "s1").exists()
        assert list(gone.iterdir()) == []
        gone.rmdir()
        (tmp_path / "elsewhere").rename(gone)
    # A lost directory is begun anew on purpose, by the storage that is there.
    (mounted / "archive.json").unlink()
    (mounted / "catalogue.sqlite3").unlink()
    assert main(["archive", "init"]) == 1
    assert "--adopt" in capsys.readouterr().err
    told(capsys, "init", "--adopt")
    assert told(capsys, "reindex")["packages"] == 1


def test_one_that_is_damaged_does_not_end_the_looking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("s1", "s2"):
        sealed(tmp_path, name)
        told(capsys, "put", name)
    (copy,) = (tmp_path / "archive" / "objects" / "s1").glob("*/package.zip")
    copy.write_bytes(copy.read_bytes() + b"x")
    one, two = told(capsys, "verify", "s1", "s2", code=1)
    assert "is not what was archived" in one["error"]
    assert two["verdict"] == "pass"


def test_what_is_left_on_this_machine_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(tmp_path, "s1")
    told(capsys, "put", "s1")
    told(capsys, "retain", "s1", "--contract-end", "2030-01-31", "--reason", "ended")
    later = datetime(2070, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(Archive, "today", later.date())
    arguments = ["expire", "--delete", "--reason", "time", "--today"]
    assert main(["archive", *arguments, "2026-11-22"]) == 1
    assert "nothing is deleted" in capsys.readouterr().err
    (one,) = told(capsys, *arguments, "2070-01-01", code=1)
    left = [str(tmp_path / name) for name in ("packages/s1.zip", "recordings/s1")]
    assert (one["deleted"], one["left"]) == (True, left)
    last = told(capsys, "journal")[-1]
    assert (last["what"], last["facts"]["left"]) == ("expiry.left", ["s1.zip", "s1"])
