"""What the model of voice is asked about, and what it is spared."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analytics.detector import AudioChunk
from analytics.speech.vad import WINDOW, WINDOW_US, VoiceActivity, levels_db
from tests.fakes.speech import silence, sound_chunks, voice


class Asked:
    """Notes the level of every window it is asked about; its state counts them."""

    def __init__(self) -> None:
        self.levels: list[float] = []
        self.started = 0

    def start(self) -> int:
        self.started += 1
        return 0

    def __call__(self, window: NDArray[np.float32], state: int) -> tuple[float, int]:
        self.levels.append(round(float(levels_db(window[None])[0])))
        return 0.9, state + 1


def probabilities(model: Asked, *parts: NDArray[np.float32]) -> NDArray[np.float32]:
    activity = VoiceActivity(model)
    chunks = sound_chunks(np.concatenate(parts))
    return np.concatenate([activity.probabilities(chunk) for chunk in chunks])


def steady(windows: int, level: float) -> NDArray[np.float32]:
    return np.full(windows * WINDOW, level, np.float32)


def test_silence_is_not_looked_at() -> None:
    model = Asked()
    assert not probabilities(model, silence(3), silence(3, 0.0003)).any()
    assert model.levels == []


def test_what_stands_out_is_looked_at_from_a_tenth_of_a_second_before() -> None:
    model = Asked()
    found = probabilities(model, steady(9, 0.0002), steady(3, 0.1))
    assert list(found) == [0.0] * 9 + [pytest.approx(0.9)] * 3
    assert model.levels == [-74] * 3 + [-20] * 3


def test_goes_on_for_a_while_and_then_from_where_it_was() -> None:
    model = Asked()
    found = probabilities(
        model, steady(3, 0.1), steady(30, 0.0002), steady(3, 0.1), steady(3, 0.0002)
    )
    assert [index for index, one in enumerate(found) if one] == [*range(15), *range(33, 39)]
    assert model.started == 1


def test_steady_noise_becomes_silence_and_a_voice_in_it_does_not() -> None:
    model = Asked()
    noise = silence(15, 0.003)
    speech = voice(1.0, 200, level=0.03) + silence(1.0, 0.003, seed=5)
    found = probabilities(model, noise, speech.astype(np.float32))
    assert found[:250].all()
    assert not found[350:460].any()
    assert np.count_nonzero(found[468:]) >= 29


def test_speech_without_a_pause_never_becomes_silence() -> None:
    model = Asked()
    assert probabilities(model, voice(30, 200)).all()


def test_noise_that_ends_leaves_the_floor_where_it_is_now() -> None:
    model = Asked()
    found = probabilities(model, silence(15, 0.01), silence(1), steady(30, 0.003))
    assert found[-27:].all()


def test_whoever_shares_a_chunk_asks_once() -> None:
    model = Asked()
    one, other = VoiceActivity(model), VoiceActivity(model)
    for chunk in sound_chunks(np.concatenate([silence(0.96), voice(0.96, 200)])):
        assert one.probabilities(chunk) is other.probabilities(chunk)
    assert len(model.levels) == 33


def test_longer_gap_begins_anew() -> None:
    model = Asked()
    activity = VoiceActivity(model)
    samples = steady(3, 0.1)
    for at_us in (0, 3 * WINDOW_US + 400_000, 6 * WINDOW_US + 1_000_000):
        activity.probabilities(AudioChunk("t", "p", at_us, samples, is_after_gap=at_us > 0))
    assert model.started == 2
