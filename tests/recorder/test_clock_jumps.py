"""A wall clock that is set during a recording: time goes on, and evidence stays evidence."""

import random
import time
from pathlib import Path

import pytest

from recorder.log import EventLog, read_events
from recorder.session_file import read_session, write_session
from recorder.timeline import derive_timeline
from tests.recorder.evidence import Office, S, close_segment
from witness_verify import verify
from witness_verify.asn1 import load_pem

DAY_NS = 86_400 * 10**9


class Wall:
    """A wall clock that is set."""

    def __init__(self) -> None:
        self.zero_ns = time.time_ns() - 10 * DAY_NS
        self.set_ns = 0

    def __call__(self) -> int:
        return self.zero_ns + self.set_ns


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("days", [(2, -3), (-3, 1), (0, -5), (-1, -1), (12, -6), (0, 12)])
def test_a_wall_clock_that_is_set_moves_no_event_and_no_package_fails(
    tmp_path: Path, days: tuple[int, int], *, restarted: bool
) -> None:
    wall, rng = Wall(), random.Random(1)
    write_session(tmp_path, session="s1", room="r", started_ns=wall())
    place = tmp_path / "s1"
    (place / "tracks/t0").mkdir(parents=True)
    log = EventLog.open(place, wall_ns=wall)
    log.append("recording.started", {}, actor="rm", at=0)
    log.append("track.opened", {"track": "t0"}, at=0)
    end_us = before_us = 0
    for segment, jump in enumerate((0, *days), 1):
        wall.set_ns += jump * DAY_NS
        if restarted and segment > 1:
            log.close()
            log = EventLog.open(place, wall_ns=wall)
        now_us = log.now_us()
        # A clock that was ahead and nobody used is forgotten by a restart; what was logged counts.
        assert now_us >= (end_us if restarted else before_us), "the session's clock went back"
        if not restarted:
            assert now_us - before_us < 60 * S, "the session's clock jumped"
        before_us = now_us
        close_segment(log, place, "t0", segment, (end_us, end_us + 10 * S), rng, 400)
        end_us += 10 * S
        log.append("mark", {"label": str(segment)}, actor="rm", at=end_us)
    log.append("track.closed", {"track": "t0"}, at=end_us)
    log.append("recording.stopped", {}, actor="rm", at=end_us, durable=True)
    log.close()
    events = list(read_events(place, read_session(place)))
    assert [event.at_us for event in events] == sorted(event.at_us for event in events)
    timeline = derive_timeline(events)
    assert (timeline.from_us, timeline.to_us) == (0, 30 * S)
    assert not timeline.tracks["t0"].undeclared
    office = Office.made(tmp_path / "office")
    sealed = office.seal(place, tmp_path / "s1.zip")
    trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
    with sealed.path.open("rb") as file:
        result = verify(file, trusted)
    assert result.exit_code == 0, [step for step in result.steps if step.outcome != "pass"]
    # A clock that is ahead of the one that seals is told of where nothing else came after it.
    told = [event for event in read_events(place, read_session(place)) if "clock" in event.type]
    assert len(told) == (days == (0, 12))
