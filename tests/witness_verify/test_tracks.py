"""Who sent a track stands in the chain of events, and nobody says otherwise."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from recorder.canonical import canonical
from recorder.errors import SealError
from tests.recorder.evidence import Office, Shape, record
from tests.witness_verify.tampering import (
    Files,
    chained_anew,
    listed_anew,
    packed,
    signed_by,
    unpacked,
)
from witness_verify import verify
from witness_verify.asn1 import load_pem
from witness_verify.steps import Result

ABOUT = "media/t0/track.json"
Change = Callable[[Files, list[dict[str, Any]], dict[str, Any]], None]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office.made(tmp_path_factory.mktemp("office"))


def checked(office: Office, data: bytes) -> Result:
    trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
    return verify(BytesIO(data), trusted)


def outcome(result: Result) -> tuple[str, str]:
    return next((one.outcome, one.detail) for one in result.steps if one.name == "tracks")


def test_tracks_that_the_log_describes_pass(office: Office, tmp_path: Path) -> None:
    data = office.seal(record(tmp_path, "s1"), tmp_path / "s1.zip").path.read_bytes()
    result = checked(office, data)
    assert (result.exit_code, *outcome(result)) == (0, "pass", "2 of 2 described in the log")


def test_packages_of_before_are_told_to_say_nothing_of_it(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1", Shape(described=False))
    result = checked(office, office.seal(place, tmp_path / "s1.zip").path.read_bytes())
    assert (result.exit_code, *outcome(result)) == (0, "absent", "0 of 2 described in the log")


def told(**changes: object) -> Change:
    """The file is another; ``None`` removes it."""

    def change(files: Files, _: list[dict[str, Any]], __: dict[str, Any]) -> None:
        files[ABOUT] = canonical({**json.loads(files[ABOUT]), **changes})

    return change


def removed(files: Files, _: list[dict[str, Any]], __: dict[str, Any]) -> None:
    del files[ABOUT]


def logged(**changes: object) -> Change:
    """The event says otherwise than the file whose digest it has."""

    def change(_: Files, events: list[dict[str, Any]], __: dict[str, Any]) -> None:
        next(one["payload"] for one in events if one["type"] == "track.described").update(changes)

    return change


def listed(**changes: object) -> Change:
    """The manifest, which catalogues are made of."""

    def change(_: Files, __: list[dict[str, Any]], manifest: dict[str, Any]) -> None:
        manifest["tracks"][0].update(changes)

    return change


@pytest.mark.parametrize(
    "change",
    [
        told(participant="p-other"),
        told(name="somebody"),
        removed,
        logged(participant="p-other"),
        logged(role="rm"),
        logged(about={"sha256": "0" * 64, "sm3": "0" * 64}),
        listed(participant="p-other"),
        listed(codec="pcmu"),
    ],
)
def test_whoever_has_the_keys_cannot_say_that_somebody_else_spoke(
    office: Office, tmp_path: Path, change: Change
) -> None:
    place = record(tmp_path, "s1")
    files = unpacked(office.seal(place, tmp_path / "s1.zip", stamped=False).path)
    events = [json.loads(line) for line in files["events.jsonl"].splitlines()]
    manifest = json.loads(files["manifest.json"])
    change(files, events, manifest)
    files["manifest.json"] = canonical(manifest)
    result = checked(office, packed(signed_by(office, listed_anew(chained_anew(files, events)))))
    assert (result.steps[-1].name, result.code) == ("tracks", "track"), result.steps


def test_a_track_of_another_description_is_not_sealed(office: Office, tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    office.seal(record(tmp_path, "s0"), tmp_path / "s0.zip")
    entered = office.root / "log/leaves.jsonl"
    before = entered.read_bytes()
    about = place / "tracks/t0/track.json"
    about.write_bytes(canonical({"participant": "p-other"}))
    with pytest.raises(SealError, match="is not the file the event log tells of"):
        office.seal(place, tmp_path / "s1.zip")
    about.unlink()
    with pytest.raises(SealError, match="is missing"):
        office.seal(place, tmp_path / "s1.zip")
    assert entered.read_bytes() == before
