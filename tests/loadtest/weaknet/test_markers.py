import numpy as np
import pytest

from loadtest.sources import MEDIA_DIR, load_speech
from loadtest.weaknet.markers import KEPT_RATE_HZ, KINDS, PERIOD_S, add_markers, delays, find

RATE_HZ = 48_000
STEP = RATE_HZ // KEPT_RATE_HZ


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Two turns of all chirps over speech."""
    samples = load_speech(MEDIA_DIR / "zh_tts0.wav")
    return add_markers(np.resize(samples, round(2 * KINDS * PERIOD_S * RATE_HZ)), RATE_HZ)


def kept(samples: np.ndarray) -> np.ndarray:
    """As the page keeps it."""
    return samples.reshape(-1, STEP).mean(axis=1).round().astype(np.int16)


def test_all_markers_are_found_where_they_are_and_nothing_else(speech: np.ndarray) -> None:
    found = find(kept(speech))
    assert [heard.kind for heard in found] == [*range(KINDS)] * 2
    for number, heard in enumerate(found):
        assert abs(heard.index - number * PERIOD_S * KEPT_RATE_HZ) <= 4


def test_speech_and_noise_and_silence_hold_no_markers() -> None:
    sound = np.resize(load_speech(MEDIA_DIR / "zh_tts1.wav"), 5 * RATE_HZ)
    assert find(kept(sound)) == []
    noise = np.random.default_rng(1).normal(0, 3_000, 5 * KEPT_RATE_HZ).astype(np.int16)
    assert find(noise) == []
    assert find(np.zeros(KEPT_RATE_HZ, np.int16)) == []
    assert find(np.zeros(3, np.int16)) == []


def test_quieter_and_noisy_markers_are_found_late_by_the_delay(speech: np.ndarray) -> None:
    late = round(0.123 * KEPT_RATE_HZ)
    sound = kept(speech) * 0.2
    sound = np.concatenate((np.zeros(late), sound))
    sound += np.random.default_rng(2).normal(0, 200, len(sound))
    found = find(sound.astype(np.int16))
    assert len(found) >= 2 * KINDS - 2
    said = [(heard.kind, heard.index / KEPT_RATE_HZ) for heard in find(kept(speech))]
    heard = [(heard.kind, heard.index / KEPT_RATE_HZ) for heard in found]
    measured = [delay for _, delay in delays(said, heard)]
    assert measured == pytest.approx([0.123] * len(found), abs=0.002)


def test_delays_beyond_a_turn_and_unsaid_markers_tell_nothing() -> None:
    turn = KINDS * PERIOD_S
    assert delays([(1, 10.0)], [(1, 9.9), (2, 10.5), (1, 10.0 + turn)]) == []
    assert delays([(1, 10.0), (1, 10.0 + turn)], [(1, 10.2 + turn)]) == [
        (10.2 + turn, pytest.approx(0.2))
    ]
