import base64
from itertools import pairwise

import numpy as np
import pytest

from loadtest.netem.profile import Profile
from loadtest.weaknet.figures import Figures, Window, figures, interruptions
from loadtest.weaknet.html import page
from loadtest.weaknet.recording import AudioSample, PageRecord, PathSample, Way
from loadtest.weaknet.result import KEYS, Result
from loadtest.weaknet.scene import Measured, Plan

EVERY_S = 0.05
FRAME_S = 0.01
WINDOW = Window(1_000.0, 1_010.0)


def sampled(concealed_ms: list[tuple[int, int]], length_ms: int = 2_000) -> list[AudioSample]:
    """Counters of a track with runs of concealment ``(from, to)``, read every 50 ms."""
    frames = [any(a <= at < b for a, b in concealed_ms) for at in range(0, length_ms, 10)]
    events = [now and not before for before, now in pairwise([False, *frames])]
    per_sample = round(EVERY_S / FRAME_S)
    return [
        AudioSample(
            at_s=n * FRAME_S,
            concealed=480.0 * sum(frames[:n]),
            silent=0.0,
            total=480.0 * n,
            events=sum(events[:n]),
            buffer_s=0.0,
            emitted=0.0,
        )
        for n in range(0, len(frames) + 1, per_sample)
    ]


@pytest.mark.parametrize(
    ("concealed_ms", "lengths_ms"),
    [
        ([], []),
        ([(100, 240)], []),
        ([(100, 250)], [150]),
        ([(130, 280)], [150]),
        ([(130, 270)], []),
        ([(100, 400), (1_000, 1_500)], [300, 500]),
        ([(start, start + 20) for start in range(0, 2_000, 40)], []),
        ([(start, start + 60) for start in range(0, 2_000, 80)], []),
        ([(1_800, 2_000)], [200]),
    ],
)
def test_long_runs_of_concealment_are_interruptions(
    concealed_ms: list[tuple[int, int]], lengths_ms: list[int]
) -> None:
    found = interruptions(sampled(concealed_ms))
    assert [round(length * 1000) for _, length in found] == lengths_ms


def carried(protocols: list[str | None]) -> dict[str, float]:
    """Shares of what was noted every 50 ms from the window's beginning on."""
    rows = [
        [(WINDOW.start_s + n * EVERY_S) * 1000, None, None, None, None, name and [0.04, None, name]]
        for n, name in enumerate(protocols)
    ]
    page = PageRecord({"samples": rows, "audioTypes": [], "stalled": 0, "sounds": {}})
    return page.carriers(WINDOW.start_s, WINDOW.end_s)


def test_what_media_went_over_is_a_share_of_the_time_it_is_known_of() -> None:
    assert carried(["udp"] * 3 + ["tcp"] * 6 + [None]) == {"tcp": 2 / 3, "udp": 1 / 3}
    assert carried([None, None]) == {}
    late = round(WINDOW.length_s / EVERY_S) + 2
    assert carried(["udp"] * late + ["relay"] * late) == {"udp": 1.0}


def test_runs_that_touch_the_same_sample_share_it() -> None:
    """One of 300 ms ends and another begins within one interval: the error is half of it."""
    ((start, length),) = interruptions(sampled([(100, 400), (420, 460)]))
    assert start == pytest.approx(0.1, abs=EVERY_S)
    assert length == pytest.approx(0.3, abs=EVERY_S / 2)


def record(
    fps: float, concealed: float = 0.0, frozen_from: float = 10.0, silent: float = 0.0
) -> PageRecord:
    """Ten seconds of a page that gets so many pictures and so much concealment."""
    rows = []
    for step in range(201):
        at = step * EVERY_S
        total = at * 48_000
        frames = int(min(at, frozen_from) * fps)
        audio = [total * concealed, total * silent, total, 0, at * 0.1 * 48_000, total]
        rows.append([(1_000 + at) * 1000, audio, [frames, 0, 0], [int(at * 25)], None, None])
    empty = base64.b64encode(b"").decode()
    sounds = {"said": {"chunks": [], "pcm": empty, "problem": None}}
    return PageRecord({"samples": rows, "audioTypes": [111], "stalled": 300, "sounds": sounds})


def path() -> list[tuple[float, Way]]:
    """50 packets of 100 bytes and 100 of 1,000 a second, half of which are lost."""

    def way(s: int) -> Way:
        audio, video = (50 * s, 5_000 * s, 25 * s, 2_500 * s), (100 * s, 100_000 * s, 50 * s, 0)
        total = (150 * s, 105_000 * s, 75 * s, 2_500 * s)
        return Way(total, audio, video, lost=70 * s, queue_full=5 * s)

    return [(1_000.0 + s, way(s)) for s in range(11)]


def test_figures_are_those_of_the_window() -> None:
    found = figures(record(25), record(12.5, concealed=0.3, silent=0.1), path(), WINDOW)
    assert found.concealed_ratio == pytest.approx(0.2)
    assert found.video_fps == pytest.approx(12.5, abs=0.1)
    assert found.fps_encoded == pytest.approx(25, abs=0.2)
    assert found.audio_kbps == pytest.approx(40)
    assert found.video_kbps == pytest.approx(800)
    assert found.path_loss_ratio == pytest.approx(0.5)
    assert found.freeze_ratio == 0
    assert found.mouth_to_ear_ms is None
    assert found.series.fps == pytest.approx([12.5] * 10, abs=1)
    assert found.series.offered_loss == pytest.approx([0.5] * 10)
    assert found.series.buffer_ms == pytest.approx([100] * 10)


def test_a_picture_that_stands_at_the_end_counts_as_frozen() -> None:
    found = figures(record(25), record(25, frozen_from=4.0), path(), WINDOW)
    assert found.freeze_ratio == pytest.approx(0.6, abs=0.01)
    assert found.longest_still_s == pytest.approx(6.0, abs=2 * EVERY_S)
    assert found.video_fps == pytest.approx(10, abs=0.1)


def test_what_never_came_is_unknown() -> None:
    nothing = PageRecord({"samples": [], "audioTypes": [], "stalled": 0, "sounds": {}})
    found = figures(nothing, nothing, [], WINDOW).as_json()
    assert all(found[key] is None for key in KEYS)


def test_chirps_are_placed_by_the_clock_of_the_wall() -> None:
    from loadtest.weaknet.markers import KEPT_RATE_HZ, chirp

    pcm = np.zeros(KEPT_RATE_HZ, np.int16)
    mark = chirp(3, KEPT_RATE_HZ) * 20_000
    pcm[4_000 : 4_000 + len(mark)] = mark.astype(np.int16)
    # Chunks of 10 ms; the page read most of them late, two at once.
    chunks = [[n * 10_000, 5_000.0 + n * 10 + (0 if n in {4, 50} else 7), 80] for n in range(100)]
    sound = {"chunks": chunks, "pcm": base64.b64encode(pcm.tobytes()).decode(), "problem": None}
    page_record = PageRecord(
        {"samples": [], "audioTypes": [], "stalled": 0, "sounds": {"heard": sound}}
    )
    ((kind, at),) = page_record.chirps("heard")
    assert kind == 3
    assert at == pytest.approx(5.5, abs=0.001)


class FakeReport:
    """A direction's counters as the native side gives them."""

    def __init__(self) -> None:
        self.netem = type("Netem", (), {"lost": 3, "queue_full": 1})()
        self.refused = 0
        self.rtp = [(111, (5, 500, 4, 400)), (63, (1, 90, 1, 90)), (96, (7, 7_000, 6, 6_000))]
        self.rtcp = (2, 100, 2, 100)
        self.other_udp = (1, 60, 1, 60)
        self.not_udp = (9, 900, 9, 900)


def test_payload_types_are_sorted_into_audio_and_video() -> None:
    sample = PathSample.of(1.0, (FakeReport(), FakeReport()), [63, 111])  # type: ignore[arg-type]
    assert sample.down.audio == (6, 590, 5, 490)
    assert sample.down.video == (7, 7_000, 6, 6_000)
    assert sample.down.total == (16, 7_750, 14, 6_650)
    assert (sample.up.lost, sample.up.queue_full) == (3, 1)


def measured(fps: float, concealed: float, join_s: float | None) -> Measured:
    down, up = Figures(impaired=True), Figures(impaired=False)
    for one in (down, up):
        one.video_fps, one.concealed_ratio, one.join_s = fps, concealed, join_s
        one.interruptions_per_min, one.freeze_ratio = 1.0, 0.5
        one.audio_kbps, one.video_kbps, one.mouth_to_ear_ms = 60.0, fps * 10, 100.0
        one.series.fps = [fps, None, fps, fps]
        one.series.delay_ms = [(1.5, 100.0)]
        one.series.interruptions = [(0.5, 0.2)]
    return Measured(down, up, stalled_s=0.0, problems=[], carriers={"udp": fps / 20})


def test_the_worst_run_counts_and_unknown_is_worst() -> None:
    result = Result("x", Plan(Profile()), [measured(20, 0.1, 1.0), measured(10, 0.05, 2.0)])
    assert result.carriers == {"udp": 0.75}
    worst = result.as_json()["down"]
    assert (worst["video_fps"], worst["concealed_ratio"], worst["join_s"]) == (10, 0.1, 2.0)
    assert set(KEYS) <= worst.keys()
    assert not result.as_json()["machine_busy"]
    result.runs = [*result.runs, measured(30, 0.0, None)]
    assert result.as_json()["down"]["join_s"] is None


def test_a_machine_that_was_too_busy_is_told() -> None:
    run = measured(20, 0.1, 1.0)
    run.stalled_s = 4.0
    assert Result("x", Plan(Profile(), seconds=60), [run]).busy
    assert not Result("x", Plan(Profile(), seconds=120), [run]).busy


def test_the_page_needs_nothing_and_shows_every_run_in_both_languages() -> None:
    profile = Profile(title="bad <network>", title_zh="坏网络")
    runs = [measured(20, 0.1, None), measured(10, 0.05, 2.0)]
    made = page([Result("lift & stairs", Plan(profile, seconds=4), runs)])
    assert "bad &lt;network&gt;" in made
    assert "lift &amp; stairs" in made
    assert "坏网络" in made
    assert "未知" in made
    for needed in ("src=", "href=", "@import", "url(", "<script"):
        assert needed not in made
    assert made.count("<svg") == 2 * 5
    assert made.count("<polyline") >= 2 * 2
    assert "nan" not in made
