"""What a log may ask of the verifier's memory, and what has to be in it."""

from collections.abc import Iterator
from typing import Any

import pytest

from recorder.canonical import canonical
from recorder.digests import Digests, digests_of
from recorder.timeline import derive_timeline
from tests.recorder.test_session import Happened
from witness_verify import Failure, story
from witness_verify.story import Story

GENESIS = digests_of(b"session")


def lines(*events: tuple[str, int, dict[str, Any]]) -> Iterator[bytes]:
    """The lines of a log of these: type, time in µs, payload."""
    prev: Digests = GENESIS
    for seq, (kind, at_us, payload) in enumerate(events, 1):
        body = {
            "actor": "server",
            "at_us": at_us,
            "payload": payload,
            "prev": prev.to_json(),
            "seq": seq,
            "ts_server": "2026-11-22T04:00:00.000Z",
            "type": kind,
        }
        prev = digests_of(canonical(body))
        yield canonical({**body, "digest": prev.to_json()})


def told(*events: tuple[str, int, dict[str, Any]]) -> Story:
    made = Story((GENESIS.sha256, GENESIS.sm3), "s1")
    made.read(lines(*events))
    return made


@pytest.mark.parametrize("lost_first", [True, False])
def test_lost_events_count_for_every_track_whichever_came_first(
    monkeypatch: pytest.MonkeyPatch, lost_first: bool
) -> None:
    monkeypatch.setattr(story, "MAX_GAPS", 100)
    lost = [("log.lost", 0, {"from_us": 0, "to_us": 5}) for _ in range(10)]
    tracks = [("track.opened", 0, {"track": f"t{number}"}) for number in range(11)]

    def events(count: int) -> list[tuple[str, int, dict[str, Any]]]:
        some = tracks[:count]
        return [*lost, *some] if lost_first else [*some, *lost]

    assert sum(len(track.gaps) for track in told(*events(10)).tracks.values()) == 100
    with pytest.raises(Failure, match="too_large"):
        told(*events(11))


@pytest.mark.parametrize(
    ("every_us", "absent_us", "is_hole"),
    [(200_000, 100_000, True), (20_000_000, 100_000, True), (200_000_000, 100_000, False)],
)
def test_small_holes_are_forgiven_only_while_they_are_few(
    every_us: int, absent_us: int, *, is_hole: bool
) -> None:
    """Both sides say the same: half of it, one part in 200, one in 2,000."""
    count = 50
    end = count * every_us
    kinds: list[tuple[str, int, dict[str, Any]]] = [
        ("recording.started", 0, {}),
        ("track.opened", 0, {"track": "t"}),
    ]
    for number in range(count):
        low, high = number * every_us + absent_us, (number + 1) * every_us
        span = {"from_us": low, "to_us": high, "segment": number + 1, "file": f"{number}.pcapng"}
        kinds.append(("segment.closed", high, {"track": "t", **span}))
    kinds.append(("recording.stopped", end, {}))
    timeline = derive_timeline([Happened(kind, at, payload) for kind, at, payload in kinds])
    assert len(timeline.tracks["t"].undeclared) == is_hole * count
    track = told(*kinds).tracks["t"]
    if is_hole:
        with pytest.raises(Failure, match="in 50 pieces"):
            track.account(0, end, [])
    else:
        assert track.account(0, end, [])["captured_us"] == end - count * absent_us
