import pytest

from witness.bench.capture import CaptureResult, Stage


def result(*, dropped: int = 0, lag_s: float = 0.0, **stages: Stage) -> CaptureResult:
    return CaptureResult(
        1, (), (), dropped, 1.0, True, written=1_000, seconds=10.0, stages=stages, lag_s=lag_s
    )


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (result(write=Stage(9, 0)), None),
        (result(dropped=1, write=Stage(9, 0), hash=Stage(5, 0)), "write"),
        (result(lag_s=2, write=Stage(1, 0), hash=Stage(8, 1)), "hash"),
        (result(dropped=1, write=Stage(1, 8), hash=Stage(1, 2)), "processor"),
        (result(dropped=1, write=Stage(1, 1), close=Stage(1, 0)), "disk"),
        (result(dropped=1, write=Stage(1, 1, waits=True), close=Stage(1, 0)), "processor"),
    ],
)
def test_what_fell_behind_is_named(found: CaptureResult, what: str | None) -> None:
    assert found.fell_behind == what


def test_costs_are_of_written_packets() -> None:
    found = result(write=Stage(0.001, 5), hash=Stage(0.002, 0))
    assert found.us_per_packet == {"write": 1.0, "hash": 2.0}
