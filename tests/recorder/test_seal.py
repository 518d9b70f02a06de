import base64
import io
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from recorder.errors import LogDamagedError, SealError, SigningError, TransparencyError
from recorder.keys import KeyRing, init_keys
from recorder.log import EventLog, read_events
from recorder.session_file import read_session
from tests.recorder.evidence import Office, Shape, record


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office.made(tmp_path_factory.mktemp("office"))


def test_a_package_opens_with_ordinary_tools(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1", Shape(documents=True, gaps=2))
    sealed = office.seal(place, tmp_path / "s1.zip")
    with zipfile.ZipFile(sealed.path) as package:
        assert package.testzip() is None
        names = package.namelist()
        manifest = json.loads(package.read("manifest.json"))
        media = package.read("media/t0/000002.pcapng")
        report = package.read("report.html").decode()
    assert media == (place / "tracks/t0/000002.pcapng").read_bytes()
    assert names[:2] == ["session.json", "events.jsonl"]
    assert names[-3:] == ["manifest.sig.json", "tsa/manifest.sig.tsr", "proofs/log.json"]
    assert manifest["documents"] == {
        "checks": "unknown",
        "consents": "consents.json",
        "flow": "unknown",
        "policy": "policy.json",
        "transcript": "unknown",
    }
    assert "<script" not in report
    assert "双录证据包" in report
    assert sealed.bytes == sealed.path.stat().st_size


def test_sealing_is_told_in_the_log_of_the_session(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    sealed = office.seal(place, tmp_path / "s1.zip")
    last = list(read_events(place, read_session(place)))[-1]
    assert last.type == "recording.sealed"
    assert last.payload["package"] == sealed.package


def test_a_hole_nobody_declared_is_declared_before_sealing(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1", Shape(tracks=1, segments=1))
    with EventLog.open(place) as log:
        log.append("track.opened", {"track": "late"}, at=2_000_000)
    sealed = office.seal(place, tmp_path / "s1.zip")
    assert sealed.missing_us == 8_000_000
    gaps = [event for event in read_events(place, read_session(place)) if "gap" in event.type]
    assert [gap.payload["cause"] for gap in gaps] == ["unknown"]


def test_a_running_recording_is_not_sealed(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    with EventLog.open(place), pytest.raises(SealError, match="stop it first"):
        office.seal(place, tmp_path / "s1.zip")
    data = (place / "events.jsonl").read_bytes()
    (place / "events.jsonl").write_bytes(b"".join(data.splitlines(keepends=True)[:-1]))
    with pytest.raises(SealError, match="has not been stopped"):
        office.seal(place, tmp_path / "s1.zip")


def test_a_recording_that_broke_off_is_stopped_where_it_did(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    log = (place / "events.jsonl").read_bytes().splitlines(keepends=True)
    (place / "events.jsonl").write_bytes(b"".join(log[:-1]))
    with EventLog.open(place) as events:
        events.append("recording.recovered", {}, at=30_000_000)
    sealed = office.seal(place, tmp_path / "s1.zip")
    stopped = [e for e in read_events(place, read_session(place)) if e.type == "recording.stopped"]
    assert [(event.at_us, event.payload) for event in stopped] == [
        (30_000_000, {"interrupted": True})
    ]
    assert sealed.missing_us == 0


@pytest.mark.parametrize("what", ["changed", "missing", "link", "open", "exists", "log"])
def test_what_does_not_agree_is_refused_and_leaves_nothing(
    office: Office, tmp_path: Path, what: str
) -> None:
    place = record(tmp_path, "s1")
    segment, out = place / "tracks/t0/000001.pcapng", tmp_path / "s1.zip"
    error: type[Exception] = SealError
    match what:
        case "changed":
            segment.write_bytes(segment.read_bytes()[:-1] + b"x")
        case "missing":
            segment.unlink()
        case "link":
            segment.rename(tmp_path / "elsewhere")
            segment.symlink_to(tmp_path / "elsewhere")
            error = OSError
        case "open":
            (place / "tracks/t0/000009.pcapng.part").touch()
        case "exists":
            out.touch()
        case _:
            log = (place / "events.jsonl").read_bytes()
            (place / "events.jsonl").write_bytes(log.replace(b"risk", b"rusk", 1))
            error = LogDamagedError
    entries = len((office.root / "log/leaves.jsonl").read_bytes().splitlines())
    with pytest.raises(error):
        office.seal(place, out)
    assert what == "exists" or not out.exists()
    assert not out.with_name("s1.zip.part").exists()
    assert len((office.root / "log/leaves.jsonl").read_bytes().splitlines()) == entries


def test_keys_are_private_and_never_replaced(tmp_path: Path) -> None:
    init_keys(tmp_path, name="bank")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {0o600}
    with pytest.raises(SigningError, match="never replaced"):
        init_keys(tmp_path, name="bank")
    (tmp_path / "seal-sm2.key").chmod(0o640)
    with pytest.raises(SigningError, match="chmod 600"):
        KeyRing.load(tmp_path)


def test_signatures_are_those_openssl_accepts(office: Office, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"what is signed")
    for entry, name in zip(
        office.keys.sign(data.read_bytes(), chains=True), ("seal-ed25519", "seal-sm2"), strict=True
    ):
        (tmp_path / "sig").write_bytes(base64.b64decode(entry["signature"]))
        extra = (
            ["-digest", "sm3", "-pkeyopt", f"distid:{entry['distid']}"] if entry["distid"] else []
        )
        subprocess.run(
            [
                *("openssl", "pkeyutl", "-verify", "-certin"),
                *("-inkey", f"{office.root}/keys/{name}.crt", "-rawin", *extra),
                *("-in", str(data), "-sigfile", str(tmp_path / "sig")),
            ],
            check=True,
            capture_output=True,
        )


def test_a_changed_transparency_log_takes_nothing_more(tmp_path: Path) -> None:
    office = Office.made(tmp_path)
    for number in range(3):
        office.log.add({"package": str(number)}, "2026-01-01T00:00:00.000Z")
    leaves = tmp_path / "log/leaves.jsonl"
    leaves.write_bytes(leaves.read_bytes().replace(b'"1"', b'"7"'))
    with pytest.raises(TransparencyError):
        office.log.add({"package": "3"}, "2026-01-01T00:00:00.000Z")


def test_only_a_package_of_this_very_log_is_told_of_later(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    log = place / "events.jsonl"
    before = log.read_bytes()
    sealed = office.seal(place, tmp_path / "s1.zip")
    after = log.read_bytes()
    other = record(tmp_path, "s2", seed=2)
    cut = before[: before.rindex(b"\n", 0, -1) + 1]
    for refused, content in ((place, after), (place, cut), (place, b""), (other, None)):
        if content is not None:
            log.write_bytes(content)
        told = (refused / "events.jsonl").read_bytes()
        with pytest.raises(SealError, match="exists already"):
            office.seal(refused, sealed.path)
        assert (refused / "events.jsonl").read_bytes() == told
    log.write_bytes(before)
    again = office.seal(place, sealed.path)
    assert again == sealed
    (event,) = (one for one in read_events(place, read_session(place)) if "sealed" in one.type)
    assert event.payload["package"] == sealed.package
    whole = sealed.path.read_bytes()
    log.write_bytes(before)
    told = before
    media = whole.index(b"media/t0/000001.pcapng") + 400
    changed = whole[:media] + bytes([whole[media] ^ 1]) + whole[media + 1 :]
    for content in (b"", b"PK", whole[:-50], changed, packed_anew(sealed.path)):
        sealed.path.write_bytes(content)
        with pytest.raises(SealError, match="exists already"):
            office.seal(place, sealed.path)
        assert log.read_bytes() == told


def packed_anew(path: Path) -> bytes:
    """The same files as an ordinary program packs them: not a package."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as box, zipfile.ZipFile(out, "w") as anew:
        for name in box.namelist():
            anew.writestr(name, box.read(name))
    return out.getvalue()


def test_a_directory_that_is_not_there_is_named(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    before = (place / "events.jsonl").read_bytes()
    with pytest.raises(SealError, match=f"no directory {tmp_path / 'away'}: make it first"):
        office.seal(place, tmp_path / "away/s1.zip")
    assert (place / "events.jsonl").read_bytes() == before
