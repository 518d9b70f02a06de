"""``consents.json`` says what the event log says, and the verifier holds it to that."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.consents import CONSENTS_FILE, write_consents
from recorder.errors import SealError
from recorder.log import read_events
from recorder.session_file import read_session
from tests.recorder.evidence import Office, Shape, record
from witness_verify import verify


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office.made(tmp_path_factory.mktemp("office"))


def sealed(office: Office, place: Path, *, honest: bool = True) -> tuple[str, str]:
    office.seal(place, out := place.parent / "s1.zip", honest=honest)
    with out.open("rb") as file:
        result = verify(file)
    step = {one.name: one for one in result.steps}.get("documents", result.steps[-1])
    return step.outcome, step.code


def test_withdrawn_consents_stay_in_it(tmp_path: Path, office: Office) -> None:
    place = record(tmp_path, "s1", Shape(documents=True))
    outcome, _ = sealed(office, place)
    told = json.loads((place / CONSENTS_FILE).read_bytes())
    assert told["format"] == "witness-consents/1"
    held, withdrawn = told["consents"]
    assert (held["permission"], held["withdrawn_at"]) == ("face", None)
    assert (withdrawn["by"], withdrawn["withdrawn_by"]) == ("rm", "p-7f")
    assert told["texts"]["face"]["zh"]["text"] == "我同意"
    assert outcome == "pass"


def test_a_session_without_consents_has_no_such_file(tmp_path: Path) -> None:
    place = record(tmp_path, "s1", Shape())
    assert not write_consents(place, read_events(place, read_session(place)))
    assert not (place / CONSENTS_FILE).exists()


def forget(place: Path) -> None:
    """As if whoever seals would rather not show a withdrawal."""
    told = json.loads((place / CONSENTS_FILE).read_bytes())
    told["consents"][1]["withdrawn_at"] = None
    (place / CONSENTS_FILE).write_text(json.dumps(told))


@pytest.mark.parametrize(
    "lie", [forget, lambda place: (place / CONSENTS_FILE).unlink()], ids=["another", "none"]
)
def test_whoever_seals_other_consents_than_the_log_has_is_found_out(
    tmp_path: Path, office: Office, monkeypatch: pytest.MonkeyPatch, lie: Callable[[Path], None]
) -> None:
    place = record(tmp_path, "s1", Shape(documents=True))

    def write(place: Path, events: object) -> bool:
        written = write_consents(place, events)  # type: ignore[arg-type]
        lie(place)
        return written

    monkeypatch.setattr("recorder.seal.write_consents", write)
    with pytest.raises(SealError, match="would not pass, at documents"):
        sealed(office, place)
    assert sealed(office, place, honest=False) == ("fail", "files")
