import os
from dataclasses import replace

import pytest

from loadtest.errors import LoadtestError
from loadtest.soak.run import Failure, Freeze, Observed
from loadtest.soak.samples import Sample, parse_metrics, process_state, sample_of
from loadtest.soak.stuck import Stuck
from loadtest.soak.verdict import Bounds, Outcome, judge

MIB = 1 << 20
IDLE = Sample(
    at_s=0, rss_bytes=80 * MIB, own_bytes=50 * MIB,
    descriptors=20, threads=6, rooms=0, participants=0, transports=0,
    connections=0, waiting_packets=0, waiting_commands=0, lag_s=0.001, packets_in=5, packets_out=5,
    dropped=0,
)  # fmt: skip


def observed(mib_per_hour: float = 0.0) -> Observed:
    samples = [
        replace(IDLE, at_s=5.0 * n, rooms=4, own_bytes=int((100 + mib_per_hour * n / 720) * MIB))
        for n in range(360)
    ]
    seen = Observed(baseline=IDLE, samples=samples, final=replace(IDLE, at_s=1_830))
    seen.stuck.checked = 100
    seen.done.update(join=12, watch=40)
    seen.layer_switches = {"up": 30, "down": 20}
    return seen


def failed(seen: Observed) -> set[str]:
    checks = judge(seen, Bounds(mib_per_hour=16)).checks
    return {check.name for check in checks if check.outcome is Outcome.FAILED}


def test_a_good_run_holds() -> None:
    verdict = judge(observed(), Bounds())
    assert verdict.held
    assert {check.outcome for check in verdict.checks} == {Outcome.HELD}


def test_each_fault_is_found_by_its_own_check() -> None:
    assert failed(observed(mib_per_hour=40)) == {"memory_grows"}
    seen = observed()
    seen.final = replace(IDLE, rooms=1)
    assert failed(seen) == {"everybody_gone"}
    seen.final = replace(IDLE, descriptors=21)
    assert failed(seen) == {"descriptors"}
    seen.final = replace(IDLE, threads=7)
    assert failed(seen) == {"threads"}
    seen = observed()
    seen.samples[7] = replace(seen.samples[7], unaccounted={"copy": 1})
    assert failed(seen) == {"accounts"}
    seen = observed()
    seen.stuck.found.append(Stuck(1.0, 2, "video", 11.0))
    assert failed(seen) == {"stuck"}
    seen = observed()
    seen.failures.append(Failure(1.0, "join", "refused"))
    assert failed(seen) == {"actions"}
    seen = observed()
    seen.room_panics, seen.dropped_events = 1, 2
    assert failed(seen) == {"rooms_alive", "events_kept"}
    seen = observed()
    seen.layer_switches = {"up": 30, "down": 0}
    assert failed(seen) == {"layers"}
    seen = observed()
    seen.final = None
    assert failed(seen) == {"everybody_gone"}


def test_frozen_machines_excuse_scrapes_that_failed() -> None:
    seen = observed()
    seen.failed_scrapes = 1
    assert failed(seen) == {"metrics_answered"}
    seen.freezes.append(Freeze(100.0, 12.0))
    assert failed(seen) == set()


def test_short_runs_say_nothing_of_memory_and_do_not_fail() -> None:
    seen = observed()
    seen.samples = seen.samples[:6]
    outcomes = {check.name: check.outcome for check in judge(seen, Bounds()).checks}
    assert outcomes["memory_unknown"] is Outcome.UNKNOWN
    assert judge(seen, Bounds()).held


def test_runs_in_which_hardly_a_tile_changed_say_nothing_of_layers() -> None:
    seen = observed()
    seen.done["watch"], seen.layer_switches = 3, {"up": 1, "down": 0}
    outcomes = {check.name: check.outcome for check in judge(seen, Bounds()).checks}
    assert outcomes["layers"] is Outcome.UNKNOWN


TEXT = """\
# HELP sfu_stage_packets_total Packets.
# TYPE sfu_stage_packets_total counter
sfu_stage_packets_total{result="entered",stage="rtp"} 12.0
sfu_stage_packets_total{result="passed",stage="rtp"} 9.0
sfu_stage_waiting_packets{stage="rtp"} 0.0
sfu_stage_dropped_packets_total{reason="srtp_replay",stage="rtp"} 2.0
sfu_stage_unaccounted_packets{stage="rtp"} 0.0
sfu_consumer_layer_switches_total{direction="up",reason="wish"} 2.0
sfu_engine_dropped_events_total{engine="0"} 0.0
sfu_engine_receive_overflow_packets_total{engine="0"} 0.0
sfu_engine_waiting_commands{engine="0"} 0.0
sfu_room_panics_total 0.0
sfu_signaling_connections 0.0
sfu_transport_transports{state="connected"} 0.0
witness_participants{role="rm"} 0.0
witness_rooms 3.0
witness_rtp_packets_total{dir="in",kind="audio"} 4.0
witness_rtp_packets_total{dir="in",kind="video"} 5e+00
witness_rtp_packets_total{dir="out",kind="video"} 7.0
broken line
"""


def test_metrics_are_read_and_added_up_anew() -> None:
    sample = sample_of(parse_metrics(TEXT), os.getpid(), 2.0, None)
    assert (sample.rooms, sample.packets_in, sample.packets_out) == (3, 9, 7)
    assert sample.unaccounted == {"rtp": 1}, "although the server says there is nothing"
    assert sample.rss_bytes >= sample.own_bytes > MIB
    assert sample.descriptors > 2


def test_a_stage_that_is_only_entered_is_not_even() -> None:
    text = TEXT + 'sfu_stage_packets_total{result="entered",stage="copy"} 3.0\n'
    sample = sample_of(parse_metrics(text), os.getpid(), 2.0, None)
    assert sample.unaccounted == {"rtp": 1, "copy": 3}


@pytest.mark.parametrize(
    "name", ["witness_rooms", "sfu_stage_waiting_packets", "sfu_stage_packets"]
)
def test_what_the_metrics_lack_is_named_and_never_zero(name: str) -> None:
    text = "\n".join(line for line in TEXT.splitlines() if not line.startswith(name))
    with pytest.raises(LoadtestError, match=name):
        sample_of(parse_metrics(text), os.getpid(), 2.0, None)


def test_a_process_that_is_gone_has_no_state() -> None:
    with pytest.raises(FileNotFoundError):
        process_state(2**30)
