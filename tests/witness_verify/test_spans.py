"""Both sides derive the same from a log, each with code of its own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.timeline import derive_timeline
from tests.recorder.test_session import Happened
from witness_verify.story import Track

S = 1_000_000
END = 30
SPANS = st.lists(
    st.tuples(st.integers(0, END), st.integers(0, END)).map(lambda pair: tuple(sorted(pair))),
    max_size=6,
)


@given(SPANS, SPANS, SPANS, SPANS, SPANS, st.tuples(st.integers(0, 15), st.integers(15, END)))
def test_the_verifier_finds_the_account_that_the_sealer_writes(
    gaps: list[tuple[int, int]],
    final: list[tuple[int, int]],
    uploads: list[tuple[int, int]],
    proved: list[tuple[int, int]],
    lost: list[tuple[int, int]],
    pause: tuple[int, int],
) -> None:
    files = [(0, pause[0]), (pause[0] + 2, END)]
    track = Track(0)
    events = [Happened("recording.started", 0), Happened("track.opened", 0, {"track": "t"})]

    def tell(kind: str, span: tuple[int, int], **more: Any) -> tuple[int, int]:
        low, high = span[0] * S, span[1] * S
        payload = {"track": "t", "from_us": low, "to_us": high, "cause": "network", **more}
        events.append(Happened(kind, END * S, payload))
        return low, high

    for number, span in enumerate(files, 1):
        track.captured.append(tell("segment.closed", span, segment=number, file="f"))
    for span in gaps + final:
        more = {"chunk": 1} if span in final else {}
        low, high = tell("gap.declared", span, **more)
        track.declared.append((low, high))
        track.gaps.append({"from_us": low, "to_us": high, "cause": "network"})
        track.final += [(low, high)] if more else []
    track.uploaded += [tell("chunk.backfilled", span) for span in uploads]
    for span in proved:
        low, high = span[0] * S, span[1] * S
        track.arrived.append(tell("chunk.verified", span, spans=[[low, high]]))
    for span in lost:
        track.lacks(tell("log.lost", span), "log_lost", final=True)
    events += [Happened("recording.paused", pause[0] * S)]
    events += [Happened("recording.resumed", pause[1] * S)]
    events += [Happened("recording.stopped", END * S)]
    timeline = derive_timeline(events)
    (told,) = timeline.to_json()["tracks"]
    if not told["undeclared"]:
        account = track.account(0, END * S, timeline.pauses)
        assert account == {key: told[key] for key in account}


@pytest.mark.parametrize(
    ("kind", "more"),
    [("chunk.verified", {"spans": [[0, 60 * S]]}), ("chunk.backfilled", {"file": None})],
)
def test_nothing_arrived_where_there_is_no_file(kind: str, more: dict[str, Any]) -> None:
    track, span = Track(0), {"from_us": 0, "to_us": 60 * S}
    track.take("t", "gap.declared", {**span, "cause": "crash"})
    track.take("t", kind, {**span, **more})
    account = track.account(0, 60 * S, [])
    assert (account["filled_us"], account["missing_us"]) == (0, 60 * S)
