import numpy as np

from analytics.detector import AudioChunk, Finding, Input, Mark, Subject
from analytics.detectors.sound_health import SoundHealth, SoundHealthConfig
from tests.fakes.speech import S, silence, sound_chunks, voice

SUBJECT = Subject("s", "customer", "customer-mic", "customer")


def findings(*items: Input, flush_s: float = 3_600) -> list[Finding]:
    watch = SoundHealth(SoundHealthConfig()).watch(SUBJECT)
    found = [one for item in items for one in watch.process(item)]
    return [one for one in [*found, *watch.flush(int(flush_s * S))] if isinstance(one, Finding)]


def kinds(found: list[Finding]) -> list[tuple[str, bool]]:
    return [(one.kind, one.is_open) for one in found]


def muted(at_s: float, *, is_muted: bool = True, track_id: str = "customer-mic") -> Mark:
    kind = "track.muted" if is_muted else "track.unmuted"
    return Mark(kind, int(at_s * S), "customer", {"track_id": track_id})


def test_clean_speech_is_fine() -> None:
    sound = np.concatenate([voice(3, 200), silence(1, 0.0005), voice(3, 200), silence(5, 0.0005)])
    assert findings(*sound_chunks(np.concatenate([sound, sound]))) == []


def test_silence_is_told_while_it_lasts_and_when_it_is_over() -> None:
    sound = np.concatenate([voice(2, 200), silence(22), voice(2, 200)])
    found = findings(*sound_chunks(sound))
    assert kinds(found) == [("sound_silent", True), ("sound_silent", True), ("sound_silent", False)]
    assert len({one.start_us for one in found}) == 1
    assert abs(found[0].start_us - 2 * S) < 0.1 * S
    assert abs(found[-1].end_us - 24 * S) < 0.1 * S


def test_short_silence_is_a_pause() -> None:
    assert findings(*sound_chunks(np.concatenate([voice(2, 200), silence(14)]))) == []


def test_muted_microphone_may_be_silent() -> None:
    quiet = sound_chunks(silence(40))
    assert findings(muted(0), *quiet) == []
    assert findings(muted(0, track_id="another"), *quiet) != []
    unmuted = [*quiet[:200], muted(19.2, is_muted=False), *quiet[200:]]
    (first, *_) = findings(muted(0), *unmuted)
    assert first.start_us >= 19.1 * S


def test_muting_ends_the_silence() -> None:
    quiet = sound_chunks(silence(30))
    found = findings(*quiet[:200], muted(19.2), *quiet[200:])
    assert kinds(found)[-1] == ("sound_silent", False)
    assert found[-1].end_us == 19.2 * S


def test_missing_sound_is_not_silence() -> None:
    quiet = sound_chunks(silence(12))
    later = sound_chunks(silence(12), at_us=60 * S)
    later[0] = AudioChunk("customer-mic", "customer", 60 * S, later[0].samples, is_after_gap=True)
    assert findings(*quiet, *later) == []


def test_clipped_sound() -> None:
    loud = np.clip(voice(15, 200, level=0.9), -1, 1)
    found = [one for one in findings(*sound_chunks(loud)) if one.kind == "sound_clipped"]
    assert kinds(found)[0] == ("sound_clipped", True)
    assert kinds(found)[-1] == ("sound_clipped", False)
    quiet = findings(*sound_chunks(voice(15, 200, level=0.2)))
    assert "sound_clipped" not in {one.kind for one in quiet}


def test_noise_near_the_speech() -> None:
    speech = np.concatenate([voice(4, 200), silence(1)] * 4)
    noise = silence(20, 0.04)
    found = findings(*sound_chunks(speech + noise[: len(speech)]))
    assert kinds(found)[0] == ("sound_noisy", True)
    assert found[0].values["noise_db"] in range(-30, -25)
    assert findings(*sound_chunks(speech + 0.05 * noise[: len(speech)])) == []
