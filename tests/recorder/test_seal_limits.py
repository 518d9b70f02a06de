"""What the verifier would refuse is not sealed, and costs no entry of the transparency log."""

import random
from pathlib import Path
from types import ModuleType

import pytest

from recorder.errors import SealError
from recorder.log import EventLog, read_events
from recorder.session_file import read_session, write_session
from tests.recorder.backfill.test_device_key import Device
from tests.recorder.evidence import Office, S, Shape, close_segment, record
from witness_verify import container, devices, frames, segments, steps, story, values


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    office = Office.made(tmp_path_factory.mktemp("office"))
    place = record(office.root, "s0")
    office.seal(place, office.root / "s0.zip")
    return office


LIMITS: list[tuple[ModuleType, str, int, str]] = [
    (container, "MAX_ENTRIES", 12, "structure: too_large"),
    (container, "MAX_NAME", 20, "structure: path"),
    (steps, "_MAX_MANIFEST", 2_000, "structure: too_large"),
    (steps, "_MAX_SMALL", 50, "structure: too_large"),
    (values, "_MAX_VALUES", 60, "structure: too_large"),
    (story, "MAX_EVENTS", 20, "events: too_large"),
    (story, "MAX_GAPS", 2, "events: too_large"),
    (devices, "MAX_CHUNKS", 3, "events: too_large"),
    (devices, "MAX_KEYS", 0, "events: too_large"),
    (steps, "MAX_LINE", 300, "events: too_large"),
    (segments, "_MAX_PACKET", 20, "media: device"),
    (segments, "_MAX_BLOCK", 100, "media: segment"),
    (steps, "MAX_UPLOAD", 10, "client: too_large"),
    (frames, "_MAX_TOGETHER", 0, "client: too_large"),
    (steps, "_MAX_GAPS", 100, "timeline: too_large"),
]


def entries(office: Office) -> bytes:
    return (office.root / "log/leaves.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("module", "name", "value", "told"), LIMITS, ids=[f"{m.__name__}.{n}" for m, n, *_ in LIMITS]
)
def test_what_is_beyond_a_limit_of_the_verifier_is_not_entered(
    office: Office,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    value: int,
    told: str,
) -> None:
    place = record(tmp_path, "s1", Shape(gaps=3, uploads=5, documents=True))
    with EventLog.open(place) as log:
        device = Device()
        made = {"key": device.key, "public": device.public, "proof": device.proof("p-7f")}
        log.append("device.key", {"alg": "ES256", **made}, actor="p-7f")
    before, out = entries(office), tmp_path / "s1.zip"
    with monkeypatch.context() as lower:
        lower.setattr(module, name, value)
        with pytest.raises(SealError, match=f"would not pass, at {told}"):
            office.seal(place, out)
    assert entries(office) == before
    assert list(tmp_path.glob("s1.zip*")) == []


@pytest.mark.parametrize("names", [("t0", "T0"), ("-t",), ("t~1",), ("t" * 250,), ("音",)])
def test_tracks_whose_names_no_package_takes_are_not_entered(
    office: Office, tmp_path: Path, names: tuple[str, ...]
) -> None:
    write_session(tmp_path, session="s1", room="r", started_ns=1_790_000_000 * 10**9)
    place = tmp_path / "s1"
    with EventLog.open(place) as log:
        log.append("recording.started", {}, at=0)
        for name in names:
            (place / "tracks" / name).mkdir(parents=True)
            log.append("track.opened", {"track": name}, at=0)
            close_segment(log, place, name, 1, (0, S), random.Random(1), 100)
            log.append("track.closed", {"track": name}, at=S)
        log.append("recording.stopped", {}, at=S)
    before = entries(office)
    with pytest.raises(SealError, match="would not pass, at structure: path"):
        office.seal(place, tmp_path / "s1.zip")
    assert entries(office) == before


def test_a_recorder_that_says_other_than_it_wrote_is_found_before_sealing(
    office: Office, tmp_path: Path
) -> None:
    place = record(tmp_path, "s1")
    told = next(
        one.payload
        for one in read_events(place, read_session(place))
        if one.type == "segment.closed"
    )
    (place / "tracks/t0/000009.pcapng").write_bytes((place / told["file"]).read_bytes())
    with EventLog.open(place) as log:
        later = {"segment": 9, "file": "000009.pcapng", "from_us": 40 * S, "to_us": 50 * S}
        log.append("segment.closed", {**told, **later})
    before = entries(office)
    with pytest.raises(SealError, match="media: segment"):
        office.seal(place, tmp_path / "s1.zip")
    assert entries(office) == before
