import json

import pytest

from witness.demo_report import Line, problems, render_json, render_table


def line(**changes: object) -> Line:
    values: dict[str, object] = {
        "receiver": "rm", "sender": "customer", "kind": "video", "packets": 900, "lost": 3,
        "frames": 480, "expected": 500, "frames_per_s": 24.6, "delay_s": 0.0443, "rtt_s": 0.0012,
        "detail": "352x304",
    }  # fmt: skip
    return Line(**{**values, **changes})  # type: ignore[arg-type]


WANTED = [("rm", "customer", "video")]


def test_call_in_which_everything_flowed_has_no_problem() -> None:
    assert problems([line()], WANTED) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "rm received no video from customer"),
        ([line(packets=0, frames=0)], "rm received no video from customer"),
        ([line(frames=100)], "rm could decode only 100 of 500 video frames"),
        ([line(sender="expert")], "rm received no video from customer"),
    ],
)
def test_what_did_not_flow_is_named(lines: list[Line], expected: str) -> None:
    assert problems(lines, WANTED) == [expected]


def test_table_shows_unknown_instead_of_a_guess() -> None:
    text = render_table([line(delay_s=None, rtt_s=None)])
    assert text.splitlines()[1].split() == [
        "rm", "customer", "video", "900", "3", "480", "24.6", "unknown", "unknown", "352x304",
    ]  # fmt: skip


def test_columns_stay_aligned_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    head, first, second = render_table([line(), line(kind="audio", packets=7)]).splitlines()
    assert "接收方" in head
    assert first.index("900") + 2 == second.index("7")


def test_json_holds_numbers_and_problems() -> None:
    data = json.loads(render_json([line(delay_s=None)], ["x"]))
    assert data["problems"] == ["x"]
    assert data["received"][0]["delay_s"] is None
    assert data["received"][0]["frames"] == 480
