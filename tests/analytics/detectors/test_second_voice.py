import numpy as np
import pytest

from analytics.detector import AudioChunk, Finding, Mark, Outcome, Subject
from analytics.detectors.second_voice import SecondVoice, SecondVoiceConfig
from tests.fakes.speech import LevelVoice, silence, sound_chunks, voice, whisper

SUBJECT = Subject("s", roles={"rm": "rm", "customer": "customer"})
MAIN = np.concatenate([np.concatenate([voice(2, 210), silence(0.8, 0.0003)]) for _ in range(3)])
PAUSE = silence(0.8, 0.0003)


def heard(
    *parts: np.ndarray, others: list[AudioChunk] | None = None, **settings: float
) -> list[Finding]:
    config = SecondVoiceConfig.model_validate(settings)
    watch = SecondVoice(config, LevelVoice()).watch(SUBJECT)
    items = sorted(
        [*sound_chunks(np.concatenate(parts)), *(others or [])], key=lambda one: one.pts_us
    )
    found = [one for item in items for one in watch.process(item)]
    return [one for one in [*found, *watch.flush(10**9)] if isinstance(one, Finding)]


def kinds(found: list[Finding]) -> list[str]:
    assert {one.outcome for one in found} <= {Outcome.WARN}
    assert {one.participant_id for one in found} <= {"customer"}
    return [one.kind for one in found]


def test_one_voice_is_one_voice() -> None:
    assert heard(MAIN, voice(2, 225), PAUSE, voice(2, 195, level=0.05)) == []


@pytest.mark.parametrize("pitch_hz", [110, 330])
def test_voice_of_another_pitch_and_colour(pitch_hz: float) -> None:
    formants = 0.8 if pitch_hz < 210 else 1.2
    found = heard(MAIN, voice(1.5, pitch_hz, formants=formants), PAUSE)
    assert kinds(found) == ["second_voice"]
    assert found[0].start_us >= 8.2e6


def test_quiet_voice_needs_less_of_a_difference() -> None:
    other = voice(1.5, 165, formants=0.96)
    assert heard(MAIN, other, PAUSE, strange_colour=9) == []
    assert "second_voice" in kinds(heard(MAIN, 0.1 * other, PAUSE, strange_colour=9))


def test_voice_of_quite_another_colour_needs_less_of_a_difference() -> None:
    other = voice(1.5, 165, formants=0.8)
    assert heard(MAIN, other, PAUSE, strange_colour=9) == []
    assert "second_voice" in kinds(heard(MAIN, other, PAUSE))


def test_voice_within_a_turn() -> None:
    found = heard(MAIN, voice(2, 210), voice(2, 110, formants=0.8), PAUSE)
    assert "second_voice" in kinds(found)


def test_nothing_is_said_before_a_voice_is_known() -> None:
    assert heard(voice(1, 210), PAUSE, voice(1.5, 110, formants=0.8)) == []


def test_sound_of_the_loudspeaker_is_no_second_voice() -> None:
    seller = sound_chunks(voice(2, 110), who="rm", at_us=(len(MAIN) // 1536) * 96_000 - 300_000)
    assert heard(MAIN, voice(1.5, 110, formants=0.8), PAUSE, others=seller) == []


def test_seller_is_not_listened_to() -> None:
    watch = SecondVoice(SecondVoiceConfig(), LevelVoice()).watch(SUBJECT)
    sound = np.concatenate([MAIN, voice(1.5, 110, formants=0.8), PAUSE])
    assert [one for item in sound_chunks(sound, who="rm") for one in watch.process(item)] == []


def test_whispering() -> None:
    found = heard(MAIN, whisper(1.5), PAUSE)
    assert kinds(found) == ["whisper_heard"]


def test_steady_noise_is_no_whispering() -> None:
    assert heard(MAIN, PAUSE, silence(12, 0.02)) == []


def test_breath_is_no_whispering() -> None:
    assert heard(MAIN, whisper(0.4), PAUSE) == []


def test_answer_that_follows() -> None:
    found = heard(MAIN, whisper(1.5), PAUSE, voice(1.5, 210), PAUSE)
    assert kinds(found) == ["whisper_heard", "answer_follows_whisper"]
    assert found[1].values["after_s"] == pytest.approx(0.8, abs=0.3)


def test_answer_long_after_does_not_follow() -> None:
    found = heard(MAIN, whisper(1.5), silence(7, 0.0003), voice(1.5, 210), PAUSE)
    assert kinds(found) == ["whisper_heard"]


def test_role_comes_with_whoever_joins() -> None:
    watch = SecondVoice(SecondVoiceConfig(), LevelVoice()).watch(Subject("s"))
    watch.process(Mark("participant.joined", 0, "customer", {"role": "customer"}))
    sound = np.concatenate([MAIN, whisper(1.5), PAUSE])
    assert [one for item in sound_chunks(sound) for one in watch.process(item)]
