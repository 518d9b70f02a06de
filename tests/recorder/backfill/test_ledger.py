"""The account of what was sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.backfill.chunk import ChunkState, LossCause, SaidChunk
from recorder.backfill.errors import (
    ChunkStateError,
    ContradictionError,
    LedgerFullError,
    NotYoursError,
    UnknownChunkError,
)
from recorder.backfill.ledger import PATIENCE_US, SETTLE_US, Finding, Ledger, digest_payloads

A, V = "t-a", "t-v"


def said(seq: int, ssrc: int = 7, frames: int = 50) -> SaidChunk:
    first = (seq * 48_000) % 2**32
    return SaidChunk(ssrc, first, (first + 47_040) % 2**32, frames, 4_000, f"{seq:064x}")


def rows(*seqs: int, **more: int) -> list[tuple[int, SaidChunk]]:
    return [(seq, said(seq, **more)) for seq in seqs]


def whole(*seqs: int) -> list[Finding]:
    return [Finding(seq, tuple(range(50)), f"{seq:064x}") for seq in seqs]


def lacking(*seqs: int, have: int = 30) -> list[Finding]:
    return [Finding(seq, tuple(range(have)), None) for seq in seqs]


def test_what_is_said_again_is_passed_over_what_contradicts_is_refused_whole() -> None:
    ledger = Ledger()
    assert len(ledger.accept("p", A, "opus", rows(1, 2), 0)) == 2
    assert [chunk.seq for chunk in ledger.accept("p", A, "opus", rows(2, 3), 0)] == [3]
    wrong = [(4, said(4)), (3, said(99))]
    for codec, chunks in (("opus", wrong), ("vp8", rows(3))):
        with pytest.raises(ContradictionError):
            ledger.accept("p", A, codec, chunks, 0)
    with pytest.raises(UnknownChunkError):
        ledger.chunk(A, 4)
    for refused in (
        lambda: ledger.accept("q", A, "opus", rows(9), 0),
        lambda: ledger.chunk(A, 1, "q"),
    ):
        with pytest.raises(NotYoursError):
            refused()


def test_a_session_has_only_so_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.backfill.ledger.MAX_CHUNKS", 3)
    ledger = Ledger()
    ledger.accept("p", A, "opus", rows(1, 2), 0)
    with pytest.raises(LedgerFullError):
        ledger.accept("p", V, "vp8", rows(1, 2), 0)
    ledger.accept("p", V, "vp8", rows(1), 0)


def test_chunks_are_looked_for_when_their_files_are_closed_or_when_none_comes() -> None:
    ledger = Ledger()
    ledger.accept("p", A, "opus", rows(1), 1_000_000)
    ledger.accept("p", A, "opus", rows(2), 9_000_000)
    track = ledger.tracks[A]
    assert not ledger.due(A, 9_000_000)
    track.closed_us = 1_000_000 + SETTLE_US
    assert [chunk.seq for chunk in ledger.due(A, 9_000_000)] == [1]
    assert [chunk.seq for chunk in ledger.due(A, 9_000_000 + PATIENCE_US)] == [1, 2]
    assert [chunk.seq for chunk in ledger.due(A, 9_000_000 + SETTLE_US, ended=True)] == [1, 2]


def test_what_is_complete_needs_to_be_kept_no_longer() -> None:
    ledger = Ledger()
    ledger.accept("p", A, "opus", rows(5, 6, 7), 0)
    ledger.found(A, [*whole(5), *lacking(6), *whole(7)])
    assert ledger.tracks[A].settled_below == 6
    assert [(track, chunk.seq) for track, chunk in ledger.wanted("p")] == [(A, 6)]
    assert not list(ledger.wanted("q"))
    counts = ledger.completeness()["audio"]
    assert (counts.sent, counts.present, counts.missing_chunks) == (150, 130, 1)
    ledger.filled(A, 6)
    assert ledger.tracks[A].settled_below == 8
    assert ledger.completeness()["audio"].ratio == 1
    assert ledger.completeness()["video"].ratio is None
    assert ledger.is_settled


def test_sound_is_asked_for_before_pictures() -> None:
    ledger = Ledger()
    ledger.accept("p", V, "vp8", rows(1), 0)
    ledger.accept("p", A, "opus", rows(3, 2), 0)
    ledger.found(V, lacking(1))
    ledger.found(A, lacking(3, 2))
    assert [(track, chunk.seq) for track, chunk in ledger.wanted("p")] == [(A, 2), (A, 3), (V, 1)]


def test_frames_that_came_and_are_others_than_were_said_are_rejected() -> None:
    ledger = Ledger()
    ledger.accept("p", A, "opus", rows(1), 0)
    (changed,) = ledger.found(A, [Finding(1, tuple(range(50)), "f" * 64)])
    assert changed.state is ChunkState.REJECTED
    assert ledger.rejected == 1
    (declared,) = ledger.declare(A, [1], LossCause.NETWORK)
    assert declared.cause is LossCause.REFUSED


def test_illegal_steps_raise_and_change_nothing() -> None:
    ledger = Ledger()
    ledger.accept("p", A, "opus", rows(1), 0)
    ledger.found(A, whole(1))
    for states in (
        [ChunkState.MISSING],
        [ChunkState.REJECTED],
        [ChunkState.BACKFILLED, ChunkState.VERIFIED],
    ):
        with pytest.raises(ChunkStateError):
            ledger.chunk(A, 1).move(*states)
    assert ledger.chunk(A, 1).state is ChunkState.VERIFIED
    assert not ledger.declare(A, [1, 99], LossCause.EVICTED)


def test_a_chunk_has_its_place_in_time_also_where_timestamps_wrap() -> None:
    ledger = Ledger()
    near = SaidChunk(7, 2**32 - 24_000, 23_040, 50, 4_000, "0" * 64)
    ledger.accept("p", A, "opus", [(1, near)], 60_000_000)
    track, chunk = ledger.tracks[A], ledger.chunk(A, 1)
    assert track.span_us(chunk) == (59_000_000, 60_000_000)
    track.clocks[7] = (0, 50_500_000)
    assert track.span_us(chunk) == (50_000_000, 51_000_000)


def test_a_chunk_reaches_to_the_next_of_its_stream_if_nothing_unsaid_lies_between() -> None:
    ledger = Ledger()
    track_of = [(1, 7, 0), (2, 8, 0), (3, 7, 60_000), (4, 7, 180_000), (6, 7, 240_000)]
    said = [(seq, SaidChunk(ssrc, at, at + 36_000, 11, 1, "0" * 64)) for seq, ssrc, at in track_of]
    ledger.accept("p", V, "vp8", said, 9_000_000)
    track = ledger.tracks[V]
    track.clocks[7] = track.clocks[8] = (0, 5_000_000)
    spans = [track.span_us(ledger.chunk(V, seq)) for seq, _, _ in track_of]
    assert spans[0] == (5_000_000, 5_666_666), "to the next one, past that of another stream"
    assert spans[1] == (5_000_000, 5_440_000), "nothing follows on its stream"
    assert spans[2] == (5_666_666, 7_000_000), "the stream paused"
    assert spans[3] == (7_000_000, 7_440_000), "the next number is not known"
    ledger.accept("p", V, "vp8", [(7, said[0][1])], 9_000_000)
    assert track.span_us(ledger.chunk(V, 6)) == (7_666_666, 8_106_666), "timestamps jumped back"


def spans_of(codec: str, *frames: tuple[int, ...]) -> list[tuple[int, int]]:
    """Times chunks of one stream answer for, µs; each has frames at these times, ms."""
    rate = 48 if codec == "opus" else 90
    said = [
        (seq, SaidChunk(7, run[0] * rate, run[-1] * rate, len(run), 9 * len(run), "0" * 64))
        for seq, run in enumerate(frames)
    ]
    ledger = Ledger()
    ledger.accept("p", A, codec, said, 60_000_000)
    track = ledger.tracks[A]
    track.clocks[7] = (0, 0)
    return [track.span_us(ledger.chunk(A, seq)) for seq, _ in said]


@pytest.mark.parametrize(
    ("codec", "frames", "ends_ms"),
    [
        ("opus", [(0, 20, 40)], [60]),
        ("opus", [(0, 20, 40), (60,)], [60, 60]),
        ("opus", [(0, 400, 800), (1_200, 1_600)], [1_200, 1_720]),
        ("opus", [(0, 20), (4_000, 4_020)], [520, 4_040]),
        ("opus", [(0, 4_000)], [500]),
        ("opus", [(0, 20, *range(40, 4_040, 400))], [2_000]),
        ("vp8", [(0,), (1_000,), (2_000,)], [1_000, 2_000, 2_000]),
        ("vp8", [(0, 990), (1_990, 2_980)], [1_990, 3_970]),
        ("vp8", [(0, 40), (9_000, 9_040)], [9_000, 9_080]),
        ("vp8", [(0, 4_000), (4_040,)], [2_000, 4_040]),
    ],
    ids=[
        "sound",
        "sound and more of it",
        "silence of DTX",
        "a microphone that stood still",
        "two frames for four seconds",
        "a chunk that is too long",
        "one picture a second",
        "two pictures in two seconds",
        "a still picture",
        "two pictures for four seconds",
    ],
)
def test_few_frames_answer_for_little_time(
    codec: str, frames: list[tuple[int, ...]], ends_ms: list[int]
) -> None:
    assert [end for _, end in spans_of(codec, *frames)] == [1_000 * end for end in ends_ms]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "whole", "lacking", "fill", "lose", "differs"]),
        st.sampled_from([A, V]),
        st.integers(0, 12),
    ),
    max_size=60,
)


class Walk:
    """A ledger that is taken through steps, and the events of its log."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.events: list[tuple[str, dict[str, Any], str]] = []

    def say(self, track: str, seq: int) -> None:
        codec = "opus" if track == A else "vp8"
        made = self.ledger.accept("p", track, codec, rows(seq, seq + 1), 5)
        for payload in digest_payloads(track, codec, made, late=False):
            self.events.append(("digest.batch", payload, "p"))

    def step(self, step: str, track: str, seq: int) -> None:
        known = self.ledger.tracks.get(track)
        chunk = known.chunks.get(seq) if known else None
        if step == "say":
            self.say(track, seq)
        elif chunk is None:
            return
        elif step == "fill" and chunk.state is ChunkState.MISSING:
            self.ledger.filled(track, seq)
            self.note("chunk.backfilled", track, chunk=seq)
        elif step == "lose":
            for lost in self.ledger.declare(track, [seq], LossCause.NETWORK):
                self.note("gap.declared", track, chunk=seq, cause=str(lost.cause))
        elif step in FINDINGS:
            for changed in self.ledger.found(track, FINDINGS[step](seq)):
                if changed.state is ChunkState.VERIFIED:
                    self.note("chunk.verified", track, chunks=[seq])
                if changed.state is ChunkState.REJECTED:
                    self.note("chunk.rejected", track, chunk=seq)

    def note(self, type_: str, track: str, **payload: Any) -> None:
        self.events.append((type_, {"track": track, **payload}, "system"))


FINDINGS = {
    "whole": whole,
    "lacking": lacking,
    "differs": lambda seq: [Finding(seq, tuple(range(50)), "f" * 64)],
}


@given(STEPS)
def test_sent_is_present_or_declared_and_never_both(steps: list[tuple[str, str, int]]) -> None:
    walk = Walk()
    for step in steps:
        walk.step(*step)
    for known in walk.ledger.tracks.values():
        states = [chunk.state for chunk in known.chunks.values()]
        assert known.open.keys() == {s for s, c in known.chunks.items() if not c.is_settled}
        verified = states.count(ChunkState.VERIFIED)
        assert known.verified_frames == 50 * verified
        below = [chunk for seq, chunk in known.chunks.items() if seq < known.settled_below]
        assert all(chunk.is_settled for chunk in below)
        walk.ledger.declare(known.track, sorted(known.open), LossCause.CLIENT_GONE)
        states = [chunk.state for chunk in known.chunks.values()]
        lost = states.count(ChunkState.LOST_DECLARED)
        assert verified + lost == len(states)
        assert not known.open


@given(STEPS)
def test_the_log_gives_the_same_account_again(steps: list[tuple[str, str, int]]) -> None:
    walk, again = Walk(), Ledger()
    for step in steps:
        walk.step(*step)
    for type_, payload, actor in walk.events:
        again.apply(type_, payload, 5, actor)
    assert again.tracks.keys() == walk.ledger.tracks.keys()
    for name, known in walk.ledger.tracks.items():
        assert again.tracks[name].participant == "p"
        for seq, chunk in known.chunks.items():
            found = again.tracks[name].chunks[seq]
            assert (found.said, found.codec) == (chunk.said, chunk.codec)
            # What is missing is looked for again.
            kept = chunk.is_settled or chunk.state is ChunkState.REJECTED
            assert found.state is (chunk.state if kept else ChunkState.DIGESTED)
