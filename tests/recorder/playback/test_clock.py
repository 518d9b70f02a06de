from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.playback.clock import SenderReport, StreamClock, StreamTimes, fit_clocks

RATES = {1: 48_000, 2: 90_000}


@dataclass
class Sender:
    """A participant with sound (SSRC 1) and pictures (SSRC 2), and the network from there.

    ``true_us`` is the session clock. The shortest delay is 20 ms.
    """

    drift_ppm: float = 0.0
    audio_ppm: float = 0.0
    jitter_ms: float = 5.0
    lost: float = 0.1
    seconds: int = 60
    first_ticks: int = 2**32 - 100_000
    step_at_s: float = 1e9
    step_ms: float = 0.0
    seed: int = 1
    has_reports: bool = True

    def ntp_us(self, true_us: float) -> int:
        stepped = self.step_ms * 1_000 if true_us >= self.step_at_s * 1e6 else 0.0
        return round(3.9e15 + true_us * (1 + self.drift_ppm * 1e-6) + stepped)

    def ticks(self, ssrc: int, true_us: float) -> int:
        speed = 1 + (self.drift_ppm + (self.audio_ppm if ssrc == 1 else 0.0)) * 1e-6
        return (self.first_ticks * ssrc + round(true_us * speed * RATES[ssrc] / 1e6)) % 2**32

    def clocks(self) -> dict[int, StreamClock]:
        rng = np.random.default_rng(self.seed)
        events: list[tuple[float, int, int, bool, int]] = []
        for ssrc in RATES:
            for index in range(self.seconds * 5):
                at = index * 200_000.0 + ssrc * 7_000
                report = self.has_reports and index % 5 == ssrc
                arrival = at + 20_000 + rng.exponential(self.jitter_ms * 1_000)
                if rng.random() >= self.lost:
                    events.append((arrival, ssrc, self.ticks(ssrc, at), report, self.ntp_us(at)))
        streams = {ssrc: StreamTimes(rate) for ssrc, rate in RATES.items()}
        for arrival, ssrc, ticks, report, ntp_us in sorted(events):
            if report:
                streams[ssrc].report(SenderReport(ssrc, ticks, ntp_us, round(arrival)))
            else:
                streams[ssrc].packet(round(arrival), ticks)
        return fit_clocks(streams)

    def errors_ms(self, clocks: dict[int, StreamClock], ssrc: int) -> list[float]:
        out = []
        for second in np.linspace(0, self.seconds, 41):
            true_us = second * 1e6
            if abs(second - self.step_at_s) < 1:
                continue
            found = clocks[ssrc].session_us(self.ticks(ssrc, true_us), round(true_us + 60_000))
            out.append((found - true_us) / 1_000)
        return out


@settings(max_examples=40, deadline=None)
@given(
    drift=st.floats(-100, 100),
    audio=st.floats(-100, 100),
    jitter=st.floats(0, 40),
    lost=st.floats(0, 0.6),
    seconds=st.integers(5, 700),
    first=st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]),
    seed=st.integers(0, 1_000),
)
def test_sound_and_picture_of_one_sender_stay_together(
    drift: float, audio: float, jitter: float, lost: float, seconds: int, first: int, seed: int
) -> None:
    sender = Sender(drift, audio, jitter, lost, seconds, first, seed=seed)
    clocks = sender.clocks()
    sound, picture = sender.errors_ms(clocks, 1), sender.errors_ms(clocks, 2)
    apart = [abs(a - v) for a, v in zip(sound, picture, strict=True)]
    assert max(apart) < 4
    # From the shortest delay (20 ms) up to what the noise leaves unknown.
    assert min(picture) > 14
    assert max(picture) < 20 + 3 * max(jitter, 4)


def test_ten_minutes_of_drift_leave_no_trace() -> None:
    sender = Sender(drift_ppm=50, jitter_ms=10, seconds=600)
    errors = sender.errors_ms(sender.clocks(), 1)
    assert max(errors) - min(errors) < 4


@pytest.mark.parametrize("step_ms", [-3_600_000, -700, -400, 400, 5_000, 86_400_000])
def test_a_sender_whose_clock_is_set_anew_does_not_move(step_ms: float) -> None:
    sender = Sender(step_at_s=61, step_ms=step_ms, seconds=120, jitter_ms=8)
    clocks = sender.clocks()
    for ssrc in RATES:
        errors = sender.errors_ms(clocks, ssrc)
        assert min(errors) > 10
        assert max(errors) < 45


@pytest.mark.parametrize("drift", [-50, 0, 50])
def test_without_reports_arrival_has_to_do(drift: float) -> None:
    sender = Sender(drift_ppm=drift, seconds=300, has_reports=False, jitter_ms=10)
    clocks = sender.clocks()
    for ssrc in RATES:
        errors = sender.errors_ms(clocks, ssrc)
        assert min(errors) > 15
        assert max(errors) < 30


def test_one_report_is_enough_for_sync() -> None:
    streams = {1: StreamTimes(48_000), 2: StreamTimes(90_000)}
    streams[1].report(SenderReport(1, 48_000, 1_000_000, 1_030_000))
    streams[2].report(SenderReport(2, 500, 1_500_000, 1_560_000))
    clocks = fit_clocks(streams)
    assert clocks[1].session_us(48_000 + 24_000, 1_600_000) == 1_530_000
    assert clocks[2].session_us(500, 1_600_000) == 1_530_000


def test_timestamps_that_start_anew_are_placed_by_their_own_reports() -> None:
    times = StreamTimes(90_000)
    for second in range(40):
        base = 0 if second < 20 else 3_000_000_000
        at = second * 1_000_000
        times.report(SenderReport(9, (base + second * 90_000) % 2**32, 10**12 + at, at + 20_000))
    clock = fit_clocks({9: times})[9]
    for second in range(40):
        base = 0 if second < 20 else 3_000_000_000
        found = clock.session_us((base + second * 90_000) % 2**32, second * 1_000_000 + 30_000)
        assert abs(found - second * 1_000_000 - 20_000) < 1_000


def test_nothing_known_gives_no_clock() -> None:
    assert fit_clocks({1: StreamTimes(48_000)}) == {}
    assert fit_clocks({}) == {}
