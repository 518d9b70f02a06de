import numpy as np
import pytest

from analytics.speech.vad import WINDOW
from analytics.speech.voice import SILENT_DB, Profile, VoiceFrame, Voices, level_db
from tests.fakes.speech import silence, voice, whisper


def frames(sound: np.ndarray) -> list[VoiceFrame]:
    windows = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW)
    found = Voices().take(windows, np.ones(len(windows), np.bool_))
    return [one for one in found if one is not None][2:]


def profile(sound: np.ndarray) -> Profile:
    found = Profile()
    for frame in frames(sound):
        if frame.strength > 0.6:
            found.add(frame)
    return found


@pytest.mark.parametrize("pitch_hz", [90, 130, 210, 330, 400])
def test_pitch_of_a_voice(pitch_hz: float) -> None:
    assert profile(voice(1.0, pitch_hz)).pitch_hz == pytest.approx(pitch_hz, rel=0.05)


@pytest.mark.parametrize("sound", [silence(0.5), silence(0.5, 0.1), whisper(1.0)])
def test_what_has_no_pitch(sound: np.ndarray) -> None:
    assert np.median([frame.strength for frame in frames(sound)]) < 0.5


def test_every_sound_has_a_strength_between_0_and_1() -> None:
    at = np.arange(32_000) / 16_000
    sweep = np.sin(2 * np.pi * (20 + 3_900 * at) * at).astype(np.float32)
    # Correlated with nothing, or against itself.
    turned = np.tile(np.float32([1, -1]), 8_000)
    for sound in (sweep, turned, np.ones(8_000, np.float32), np.sign(sweep)):
        assert all(0 <= frame.strength <= 1 for frame in frames(np.asarray(sound, np.float32)))


def test_level() -> None:
    assert level_db(np.zeros(WINDOW, np.float32)) == SILENT_DB
    assert level_db(np.ones(WINDOW, np.float32)) == pytest.approx(0.0, abs=0.01)
    assert level_db(np.full(WINDOW, 0.1, np.float32)) == pytest.approx(-20.0, abs=0.01)


def test_what_nobody_asks_about_is_heard_by_what_follows() -> None:
    windows = voice(1.0, 200)[: 30 * WINDOW].reshape(-1, WINDOW)
    wanted = np.arange(30) % 3 == 2
    whole = Voices().take(windows, np.ones(30, np.bool_))
    voices = Voices()
    parts = [
        one
        for at in range(0, 30, 5)
        for one in voices.take(windows[at : at + 5], wanted[at : at + 5])
    ]
    assert [one is not None for one in parts] == list(wanted)
    pairs = [(one, all_of) for one, all_of in zip(parts, whole, strict=True) if one and all_of]
    assert len(pairs) == 10
    for one, all_of in pairs:
        assert one.level_db == all_of.level_db
        assert one.pitch_hz == all_of.pitch_hz
        np.testing.assert_allclose(one.colour, all_of.colour, atol=1e-4)


def test_colour_does_not_depend_on_level() -> None:
    loud, quiet = profile(voice(1.0, 200, level=0.2)), profile(voice(1.0, 200, level=0.02))
    assert loud.distance_to(quiet) < 0.2
    assert loud.semitones_to(quiet) == pytest.approx(0.0, abs=0.2)
    assert loud.level_db - quiet.level_db == pytest.approx(20.0, abs=0.5)


def test_another_voice_is_another_colour_and_pitch() -> None:
    one, other = profile(voice(1.0, 200)), profile(voice(1.0, 120, formants=0.8))
    assert one.semitones_to(other) == pytest.approx(-8.8, abs=0.5)
    assert one.distance_to(other) > 0.5


def test_profile_keeps_the_newest() -> None:
    first, second = profile(voice(1.0, 200)), profile(voice(1.0, 300))
    first.extend(second, limit=len(second))
    assert len(first) == len(second)
    assert first.pitch_hz == second.pitch_hz
