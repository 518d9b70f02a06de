from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from recorder.intervals import Range, intersect, length, normalised, subtract, union
from recorder.timeline import BORDER_US, Timeline, derive_timeline
from tests.recorder.test_session import Happened

S = 1_000_000


def segment(track: str, number: int, from_us: int, to_us: int) -> Happened:
    payload = {
        "track": track,
        "segment": number,
        "file": f"tracks/{track}/{number:06}.pcapng",
        "from_us": from_us,
        "to_us": to_us,
    }
    return Happened("segment.closed", to_us, payload)


def gap(track: str, from_us: int, to_us: int, cause: str = "network") -> Happened:
    payload: dict[str, Any] = {
        "track": track,
        "from_us": from_us,
        "to_us": to_us,
        "cause": cause,
        "packets": 1,
    }
    return Happened("gap.declared", to_us, payload)


def of_track(*inner: Happened, until_us: int = 20 * S) -> Timeline:
    return derive_timeline(
        [
            Happened("recording.started", 0),
            Happened("track.opened", 0, {"track": "mic"}),
            *inner,
            Happened("track.closed", until_us, {"track": "mic"}),
            Happened("recording.stopped", until_us),
        ]
    )


def test_a_whole_recording_has_nothing_undeclared() -> None:
    mic = of_track(segment("mic", 1, 0, 10 * S), segment("mic", 2, 10 * S, 20 * S)).tracks["mic"]
    assert mic.captured == [(0, 20 * S)]
    assert mic.missing == []
    assert mic.undeclared == []


def test_a_segment_that_is_not_there_is_undeclared() -> None:
    mic = of_track(segment("mic", 1, 0, 8 * S), segment("mic", 3, 12 * S, 20 * S)).tracks["mic"]
    assert mic.undeclared == [(8 * S, 12 * S)]


def upload(track: str, from_us: int, to_us: int) -> Happened:
    payload = {"track": track, "from_us": from_us, "to_us": to_us}
    return Happened("chunk.backfilled", 30 * S, payload)


def test_what_was_uploaded_is_told_apart_from_what_is_missing_still() -> None:
    media = [segment("mic", 1, 0, 20 * S), gap("mic", 3 * S, 6 * S), gap("mic", 9 * S, 10 * S)]
    mic = of_track(*media, upload("mic", 2 * S, 4 * S), upload("mic", 4 * S, 5 * S)).tracks["mic"]
    assert mic.filled == [(3 * S, 5 * S)]
    assert mic.missing == [(5 * S, 6 * S), (9 * S, 10 * S)]
    assert mic.captured == [(0, 3 * S), (6 * S, 9 * S), (10 * S, 20 * S)]
    assert [(one.filled_us, one.is_filled) for one in mic.gaps] == [(2 * S, False), (0, False)]


def whole(track: str, *spans: Range) -> Happened:
    payload = {"track": track, "chunks": [], "spans": [list(span) for span in spans]}
    return Happened("chunk.verified", 30 * S, payload)


def test_a_gap_is_filled_by_uploads_and_by_what_proved_to_have_arrived() -> None:
    media = [segment("mic", 1, 0, 20 * S), gap("mic", 3 * S, 6 * S)]
    tiny = BORDER_US // 2
    around = [upload("mic", 2 * S, 4 * S), whole("mic", (4 * S + tiny, 8 * S))]
    mic = of_track(*media, *around).tracks["mic"]
    assert mic.gaps[0].is_filled
    assert mic.missing == []
    assert mic.filled == [(3 * S, 6 * S)]


def test_chunks_that_reach_the_last_frame_fill_a_gap_to_the_end() -> None:
    tiny = BORDER_US // 2
    media = [segment("mic", 1, S, 12 * S), gap("mic", 0, S), gap("mic", 12 * S, 20 * S)]
    around = [upload("mic", tiny, 2 * S), upload("mic", 11 * S, 20 * S - tiny)]
    mic = of_track(*media, *around).tracks["mic"]
    assert all(one.is_filled for one in mic.gaps)
    assert mic.missing == []
    late = [upload("mic", 3 * BORDER_US, 2 * S), upload("mic", 11 * S, 20 * S - 3 * BORDER_US)]
    mic = of_track(*media, *late).tracks["mic"]
    assert mic.missing == [(0, 3 * BORDER_US), (20 * S - 3 * BORDER_US, 20 * S)]


def lost(track: str, from_us: int, to_us: int) -> Happened:
    payload = {**gap(track, from_us, to_us).payload, "chunk": 7, "cause": "evicted"}
    return Happened("gap.declared", 30 * S, payload)


def test_what_is_lost_for_good_is_not_filled_by_what_another_encoding_uploaded() -> None:
    media = [segment("mic", 1, 0, 20 * S), gap("mic", 3 * S, 6 * S)]
    mic = of_track(*media, upload("mic", 0, 20 * S), lost("mic", 4 * S, 5 * S)).tracks["mic"]
    assert mic.filled == [(3 * S, 4 * S), (5 * S, 6 * S)]
    assert mic.missing == [(4 * S, 5 * S)]
    assert [one.filled_us for one in mic.gaps] == [2 * S, 0]


def test_what_is_said_to_have_arrived_fills_nothing_where_no_file_is() -> None:
    crash = gap("mic", 4 * S, 16 * S, "crash")
    media = [segment("mic", 1, 0, 4 * S), crash, segment("mic", 2, 16 * S, 20 * S)]
    nothing_new = {"track": "mic", "file": None, "frames": 0, "from_us": 0, "to_us": 20 * S}
    said = [whole("mic", (0, 20 * S)), Happened("chunk.backfilled", 30 * S, nothing_new)]
    mic = of_track(*media, *said).tracks["mic"]
    assert mic.filled == []
    assert mic.missing == [(4 * S, 16 * S)]


def test_lost_events_are_a_gap_of_every_track_that_nothing_fills() -> None:
    lost_events = Happened("log.lost", 9 * S, {"events": 3, "from_us": 8 * S, "to_us": 9 * S})
    later = Happened("track.opened", 12 * S, {"track": "cam"})
    media = [segment("mic", 1, 0, 20 * S), upload("mic", 0, 20 * S)]
    tracks = of_track(*media, lost_events, later).tracks
    assert tracks["mic"].missing == [(8 * S, 9 * S)]
    for track in tracks.values():
        (one,) = track.gaps
        assert (one.cause, one.is_final, one.is_filled) == ("log_lost", True, False)


def test_declared_gaps_are_missing_and_not_captured() -> None:
    mic = of_track(segment("mic", 1, 0, 20 * S), gap("mic", 3 * S, 4 * S)).tracks["mic"]
    assert mic.missing == [(3 * S, 4 * S)]
    assert mic.captured == [(0, 3 * S), (4 * S, 20 * S)]
    assert mic.undeclared == []


def test_a_pause_is_declared_by_the_command() -> None:
    timeline = of_track(
        segment("mic", 1, 0, 5 * S),
        Happened("recording.paused", 5 * S),
        Happened("recording.resumed", 9 * S),
        segment("mic", 2, 9 * S, 20 * S),
    )
    assert timeline.pauses == [(5 * S, 9 * S)]
    assert timeline.tracks["mic"].missing == [(5 * S, 9 * S)]
    assert timeline.tracks["mic"].undeclared == []


def test_the_distance_of_two_packets_is_no_hole() -> None:
    mic = of_track(
        segment("mic", 1, BORDER_US, 10 * S), segment("mic", 2, 10 * S + BORDER_US, 20 * S)
    ).tracks["mic"]
    assert mic.undeclared == []


def test_what_still_runs_ends_now() -> None:
    events = [
        Happened("recording.started", 0),
        Happened("track.opened", 0, {"track": "mic"}),
        Happened("recording.paused", 5 * S),
    ]
    timeline = derive_timeline(events, now_us=7 * S)
    assert timeline.to_us == 7 * S
    assert timeline.pauses == [(5 * S, 7 * S)]


RANGES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair))),
    max_size=8,
)


def points(ranges: list[Range]) -> set[int]:
    return {point for start, end in ranges for point in range(start, end)}


@given(RANGES, RANGES)
def test_sets_of_time_are_sets(first: list[Range], second: list[Range]) -> None:
    assert points(union(first, second)) == points(first) | points(second)
    assert points(subtract(first, second)) == points(first) - points(second)
    assert points(intersect(first, second)) == points(first) & points(second)
    assert length(first) == len(points(first))
    assert normalised(subtract(first, second)) == subtract(first, second)


@given(
    files=RANGES,
    gaps=RANGES,
    uploads=RANGES,
    proved=RANGES,
    given_up=RANGES,
    pause=st.tuples(st.integers(0, 20), st.integers(20, 40)),
)
def test_captured_filled_missing_and_undeclared_are_disjoint_and_cover_the_timeline(
    files: list[Range],
    gaps: list[Range],
    uploads: list[Range],
    proved: list[Range],
    given_up: list[Range],
    pause: Range,
) -> None:
    inner = [segment("mic", n, a * S, b * S) for n, (a, b) in enumerate(files, 1)]
    inner += [gap("mic", a * S, b * S) for a, b in gaps]
    inner += [upload("mic", a * S, b * S) for a, b in uploads]
    inner += [whole("mic", *((a * S, b * S) for a, b in proved))]
    inner += [lost("mic", a * S, b * S) for a, b in given_up]
    inner += [
        Happened("recording.paused", pause[0] * S),
        Happened("recording.resumed", pause[1] * S),
    ]
    mic = of_track(*inner, until_us=40 * S).tracks["mic"]
    parts = [mic.captured, mic.filled, mic.missing, mic.undeclared]
    assert union(*parts) == [(0, 40 * S)]
    assert sum(length(part) for part in parts) == 40 * S
    # What is filled was declared and is there; what is lost for good never counts as there.
    there = union(*(((a * S, b * S) for a, b in one) for one in (uploads, proved)))
    assert not subtract(mic.filled, there)
    assert not intersect(mic.filled, [(a * S, b * S) for a, b in given_up])
    for one in mic.gaps:
        span = [(one.from_us, one.to_us)]
        assert one.filled_us == length(intersect(mic.filled, span))


def test_it_is_told_as_json() -> None:
    told = of_track(segment("mic", 1, 0, 20 * S), gap("mic", 0, S)).to_json()
    assert told["state"] == "stopped"
    assert told["tracks"][0]["captured_us"] == 19 * S
    assert told["tracks"][0]["gaps"] == [
        {"from_us": 0, "to_us": S, "cause": "network", "filled_us": 0}
    ]
    assert told["tracks"][0]["missing"] == [[0, S]]


def crashed(*after: Happened) -> Timeline:
    return derive_timeline(
        [
            Happened("recording.started", 0),
            Happened("track.opened", 0, {"track": "mic"}),
            segment("mic", 1, 0, 9 * S),
            gap("mic", 9 * S, 10 * S, "crash"),
            Happened("track.closed", 10 * S, {"track": "mic"}),
            Happened("recording.recovered", 1_790 * S, {}),
            Happened("recording.recovered", 1_795 * S, {}),
            *after,
        ]
    )


def test_from_a_crash_until_it_goes_on_nothing_is_recorded() -> None:
    went_on = crashed(
        Happened("recording.resumed", 1_800 * S), Happened("recording.stopped", 1_810 * S)
    )
    assert went_on.outages == [(10 * S, 1_800 * S)]
    assert went_on.to_json()["outages"] == [
        {"from_us": 10 * S, "to_us": 1_800 * S, "cause": "crash"}
    ]
    assert crashed(Happened("recording.stopped", 1_810 * S)).outages == [(10 * S, 1_810 * S)]
    ended = Happened("recording.stopped", 1_795 * S, {"interrupted": True})
    assert crashed(ended).outages == []


def test_a_recording_that_nobody_went_on_with_ends_where_it_broke_off() -> None:
    late = Happened("digest.batch", 86_400 * S, {})
    assert crashed(late).to_us == 10 * S
    ended = Happened("recording.stopped", 10 * S, {"interrupted": True})
    assert crashed(late, ended).to_us == 10 * S


def test_an_outage_is_missing_of_every_track_that_broke_off_with_it() -> None:
    shares = crashed(
        Happened("track.opened", 20 * S, {"track": "mic-2"}),
        Happened("recording.resumed", 20 * S),
        segment("mic-2", 1, 20 * S, 30 * S),
        Happened("track.closed", 30 * S, {"track": "mic-2"}),
        # Nobody was there when it broke off again.
        Happened("recording.recovered", 40 * S, {}),
        Happened("recording.resumed", 50 * S),
        Happened("recording.stopped", 60 * S),
    ).totals()
    assert (shares.captured_us, shares.missing_us) == (19 * S, (1 + 10 + 20) * S)
    assert shares.expected_us == 50 * S
    assert (shares.captured, shares.there) == (0.38, 0.38)


def test_an_outage_in_a_pause_is_the_pause() -> None:
    timeline = derive_timeline(
        [
            Happened("recording.started", 0),
            Happened("recording.paused", 5 * S),
            Happened("recording.recovered", 90 * S, {}),
            Happened("recording.resumed", 100 * S),
            Happened("recording.stopped", 110 * S),
        ]
    )
    assert (timeline.pauses, timeline.outages) == ([(5 * S, 100 * S)], [])
