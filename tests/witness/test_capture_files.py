"""``witness capture``: plain copies of encrypted files, and what files are."""

import json
import stat
from pathlib import Path

import pytest

from recorder.envelope import seal
from recorder.session_file import write_session
from witness.cli import main

KEY, OTHER = bytes(range(32)), bytes(32)
PLAIN = {"000001.pcapng": b"a" * 2_500_000, "000002.pcapng": b"b"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session with two encrypted files and one of uploads; keys in ``key`` and ``other``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WITNESS_RECORDING__DIRECTORY", str(tmp_path / "all"))
    Path("key").write_bytes(KEY)
    Path("other").write_bytes(OTHER)
    write_session(tmp_path / "all", session="s-1", room="r", started_ns=1)
    place = tmp_path / "all/s-1"
    folder = place / "tracks/t_1"
    (folder / "backfill").mkdir(parents=True)
    for name, data in PLAIN.items():
        (folder / f"{name}.enc").write_bytes(seal(data, KEY, f"s-1/t_1/{name}.enc"))
    uploaded = seal(b"frames", KEY, "s-1/t_1/backfill/7.frames.enc")
    (folder / "backfill/7.frames.enc").write_bytes(uploaded)
    return place


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["capture", *arguments]) == 1
    return capsys.readouterr().err


def test_a_session_is_decrypted_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["capture", "decrypt", "s-1", "--key", "other", "--key", "file:key"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["files"]
    assert [item["cut"] for item in told] == [False] * 3
    folder = Path("s-1-plain/t_1")
    for name, data in {**PLAIN, "backfill/7.frames": b"frames"}.items():
        assert (folder / name).read_bytes() == data
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert "exists already; nothing is written over" in refused(capsys, *command[1:])
    assert not list(folder.glob("*.part"))


def test_one_file_is_decrypted_wherever_it_lies(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = Path("moved.pcapng.enc")
    away.write_bytes((place / "tracks/t_1/000001.pcapng.enc").read_bytes())
    assert main(["capture", "decrypt", str(away), "--key", "key"]) == 0
    assert capsys.readouterr().out == "moved.pcapng\n"
    assert Path("moved.pcapng").read_bytes() == PLAIN["000001.pcapng"]


def test_a_file_that_a_crash_cut_is_told_of(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place / "tracks/t_1/000001.pcapng.enc"
    data = path.read_bytes()
    header = 85 + len("s-1/t_1/000001.pcapng.enc")
    path.write_bytes(data[: header + 4 + (1 << 20) + 16])
    assert main(["capture", "decrypt", str(path), "--key", "key", "--out", "x"]) == 0
    assert "has no last frame" in capsys.readouterr().err
    assert Path("x").read_bytes() == b"a" * (1 << 20)


@pytest.mark.parametrize("at", [0, 40, 500, -1])
def test_what_was_changed_is_not_written(
    place: Path, capsys: pytest.CaptureFixture[str], at: int
) -> None:
    path = place / "tracks/t_1/000001.pcapng.enc"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    said = refused(capsys, "decrypt", str(path), "--key", "key", "--out", "x")
    assert "was changed or cut off" in said or "no capture file" in said
    assert not list(Path().glob("x*"))


def test_what_can_not_be_done_is_said(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "tracks/t_1/000001.pcapng.enc"
    wrong = refused(capsys, "decrypt", str(path), "--key", "other")
    assert "is encrypted with another key (630dcd2966c43366)" in wrong
    assert "can't read nowhere" in refused(capsys, "decrypt", "s-1", "--key", "nowhere")
    assert main(["capture", "decrypt", "s-1"]) == 2
    assert "give the key" in capsys.readouterr().err
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "用另一个密钥加密" in refused(capsys, "decrypt", str(path), "--key", "other")
    (place / "tracks/t_1/plain").write_bytes(b"")
    plain = str(place / "tracks/t_1/plain")
    assert "未加密" in refused(capsys, "decrypt", plain, "--key", "key")


def test_files_say_what_they_are(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place / "tracks/t_1"
    (folder / "000003.pcapng").write_bytes(b"plain")
    (folder / "000004.pcapng.enc").write_bytes((folder / "000002.pcapng.enc").read_bytes())
    assert main(["capture", "info", "s-1", "--json"]) == 0
    told = {Path(item["file"]).name: item for item in json.loads(capsys.readouterr().out)["files"]}
    assert told["000001.pcapng.enc"]["key_id"] == "630dcd2966c43366"
    assert told["000001.pcapng.enc"]["place"] == "s-1/t_1/000001.pcapng.enc"
    assert (told["000003.pcapng"]["key_id"], told["000003.pcapng"]["bytes"]) == (None, 5)
    elsewhere = [name for name, item in told.items() if item["elsewhere"]]
    assert elsewhere == ["000004.pcapng.enc"]
    assert main(["capture", "info", "s-1"]) == 0
    assert "s-1/t_1/backfill/7.frames.enc" in capsys.readouterr().out
    (folder / "000005.pcapng.enc").write_bytes(b"no")
    assert "is no encrypted file" in refused(capsys, "info", "s-1")


def test_no_plain_copy_is_written_beside_its_original(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = str(Path("key").absolute())
    folder = place / "tracks/t_1"
    before = sorted(folder.iterdir())
    monkeypatch.chdir(folder)
    said = refused(capsys, "decrypt", "000001.pcapng.enc", "--key", key)
    assert "choose another place with --out" in said
    assert sorted(folder.iterdir()) == before
