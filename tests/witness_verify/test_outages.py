"""A server that was gone: what passed until the recording went on is told of."""

from pathlib import Path

import pytest

import recorder.seal
from recorder.digests import digests_of
from recorder.log import EventLog
from recorder.session_file import write_session
from recorder.timeline import Timeline
from tests.recorder.capture_files import datagram, header
from tests.recorder.evidence import Office, S
from witness_verify.asn1 import load_pem
from witness_verify.steps import Result, verify


def close(log: EventLog, place: Path, track: str, from_us: int, to_us: int) -> None:
    folder = place / "tracks" / track
    folder.mkdir(parents=True)
    times_us = range(from_us, to_us, S)
    data = header() + b"".join(datagram(at_us, 5_004, bytes(40)) for at_us in times_us)
    (folder / "000001.pcapng").write_bytes(data)
    log.append("track.opened", {"track": track}, at=from_us)
    segment = {"segment": 1, "file": "000001.pcapng", "bytes": len(data), "packets": len(times_us)}
    times = {"from_us": from_us, "to_us": to_us}
    payload = {"track": track, **segment, **times, **digests_of(data).to_json()}
    log.append("segment.closed", payload, at=to_us)
    log.append("track.closed", {"track": track}, at=to_us)


def checked(root: Path) -> Result:
    office = Office.made(root / "office")
    write_session(root, session="s1", room="r", started_ns=1_790_000_000 * 10**9)
    place = root / "s1"
    with EventLog.open(place) as log:
        log.append("recording.started", {}, at=0)
        close(log, place, "t0", 0, 10 * S)
        log.append("recording.recovered", {"tracks": 1, "files": []}, at=1_790 * S)
        log.append("recording.resumed", {}, at=1_800 * S)
        close(log, place, "t1", 1_800 * S, 1_810 * S)
        log.append("recording.stopped", {}, at=1_810 * S)
    sealed = office.seal(place, root / "s1.zip")
    trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
    with sealed.path.open("rb") as file:
        return verify(file, trusted)


def test_half_an_hour_without_a_server_is_a_declared_gap(tmp_path: Path) -> None:
    result = checked(tmp_path)
    (step,) = (step for step in result.steps if step.name == "timeline")
    assert (result.code, result.exit_code, step.outcome) == ("", 1, "gaps")
    assert "out of service 1 times, 1790000000 us" in step.detail


def test_a_package_of_before_outages_were_written_down_still_passes_with_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorder.seal._gaps

    def before(timeline: Timeline) -> dict[str, object]:
        return {key: value for key, value in made(timeline).items() if key != "outages"}

    monkeypatch.setattr(recorder.seal, "_gaps", before)
    result = checked(tmp_path)
    assert (result.code, result.exit_code) == ("", 1)
