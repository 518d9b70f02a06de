"""The stand-in for the analytics host: what its intake takes, and what it refuses."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from signaling.notices import ServerData
from witness.bench.findings import (
    DETECTORS,
    FINDINGS_PER_S,
    ROOMS,
    FindingsIntake,
    _finding,
)


class _Member:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def notify(self, data: ServerData, *, data_json: str) -> None:
        assert data.data_json() == data_json
        self.told.append(json.loads(data_json))


def intake(**rooms: dict[str, _Member]) -> FindingsIntake:
    hub: Any = SimpleNamespace(roster=SimpleNamespace(rooms=rooms))
    return FindingsIntake(hub)


def line(**change: object) -> bytes:
    return json.dumps({**_finding(0, 1), "room_id": "one", **change}).encode() + b"\n"


def test_everybody_in_the_room_is_told_and_nobody_else() -> None:
    a, b, other = _Member(), _Member(), _Member()
    taking = intake(one={"a": a, "b": b}, two={"c": other})
    taking._handle(line(detector="speech"))
    assert (taking.accepted, taking.told, taking.refused) == (1, 2, 0)
    assert a.told == b.told
    assert a.told[0]["detector"] == "speech"
    assert "room_id" not in a.told[0]
    assert other.told == []


def test_rooms_that_are_gone_are_no_error() -> None:
    taking = intake()
    taking._handle(line())
    assert (taking.accepted, taking.told, taking.refused) == (1, 0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[1]\n",
        b"{\xff}\n",
        line()[:-9],
        line(score=1.5),
        line(score=float("nan")),
        line(score="0.5"),
        line(start_us=-1),
        line(end_us=1.5),
        line(state="maybe"),
        line(room_id="../x"),
        line(room_id=""),
        line(detector="d" * 65),
        line(more=1),
        line(kind=None),
        line(kind="k" * 5_000),
    ],
)
def test_malformed_findings_are_refused_and_counted(bad: bytes) -> None:
    taking = intake(one={"a": _Member()})
    taking._handle(bad)
    assert (taking.accepted, taking.told, taking.refused) == (0, 0, 1)


def test_the_rate_is_that_of_all_detectors_in_all_rooms() -> None:
    assert FINDINGS_PER_S == 1_600
    findings = [_finding(number, 40) for number in range(ROOMS * len(DETECTORS))]
    pairs = {(item["room_id"], item["detector"]) for item in findings}
    assert len(pairs) == 40 * len(DETECTORS)
