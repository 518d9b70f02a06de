import av
import numpy as np
import pytest

from loadtest import sinks
from loadtest.sinks import AudioSink, VideoSink, audio_delay_s
from loadtest.sources import MEDIA_DIR, SpeechAudio, load_clip, load_speech
from loadtest.stamp import write_stamp

SAMPLES = 960


def audio_frame(samples: np.ndarray, layout: str = "mono") -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate = 48_000
    return frame


def play(
    source: SpeechAudio,
    sink: AudioSink,
    delay_s: float,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float = 6,
) -> None:
    """Hands the source's sound to the sink as if it took ``delay_s``."""
    source._start_s = 1000.0
    for index in range(int(seconds * 50)):
        now_s = 1000.0 + index * 0.02 + delay_s
        monkeypatch.setattr("loadtest.sinks.time.monotonic", lambda now_s=now_s: now_s)
        at = index * SAMPLES
        part = np.take(source.samples, range(at, at + SAMPLES), mode="wrap")
        stereo = np.repeat(part, 2).astype(np.int16)
        sink.add(audio_frame(stereo, "stereo"))


@pytest.mark.parametrize("delay_s", [0.0, 0.089, 0.35, 1.9])
@pytest.mark.parametrize("name", ["zh_tts0.wav", "zh_tts1.wav"])
def test_audio_delay_is_measured_by_the_sound_itself(
    delay_s: float, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, sink = SpeechAudio(load_speech(MEDIA_DIR / name)), AudioSink()
    play(source, sink, delay_s, monkeypatch)
    assert audio_delay_s(source, sink) == pytest.approx(delay_s, abs=0.002)


def test_delay_of_another_sound_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    played = SpeechAudio(load_speech(MEDIA_DIR / "zh_tts0.wav"))
    other = SpeechAudio(load_speech(MEDIA_DIR / "zh_tts1.wav"))
    sink = AudioSink()
    play(played, sink, 0.1, monkeypatch)
    other._start_s = 1000.0
    assert audio_delay_s(other, sink) is None


def test_delay_before_enough_sound_arrived_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    source, sink = SpeechAudio(load_speech(MEDIA_DIR / "zh_tts0.wav")), AudioSink()
    assert audio_delay_s(source, sink) is None
    play(source, sink, 0.1, monkeypatch, seconds=0.5)
    assert audio_delay_s(source, sink) is None


def test_level_of_silence_is_unknown() -> None:
    sink = AudioSink()
    assert sink.level_dbov() is None
    sink.add(audio_frame(np.zeros(SAMPLES, np.int16)))
    assert sink.level_dbov() is None
    sink.add(audio_frame(np.full(SAMPLES, 16_384, np.int16)))
    assert sink.level_dbov() == pytest.approx(-9.03, abs=0.01)


def test_kept_sound_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    source, sink = SpeechAudio(load_speech(MEDIA_DIR / "zh_tts0.wav")), AudioSink()
    play(source, sink, 0.0, monkeypatch, seconds=20)
    assert len(sink.recent()) <= 3 * 8000 + 160


def test_video_delay_is_read_from_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = load_clip(MEDIA_DIR / "carphone.mp4")[0].copy()
    write_stamp(planes[: planes.shape[0] * 2 // 3], 5_000)
    monkeypatch.setattr(sinks, "now_ms", lambda: 5_044)
    sink = VideoSink()
    sink.add(av.VideoFrame.from_ndarray(planes, format="yuv420p"))
    assert sink.delay_s() == pytest.approx(0.044)
    assert (sink.width, sink.height, sink.stamps_unreadable) == (352, 304, 0)


def test_unreadable_stamp_is_counted_not_guessed() -> None:
    sink = VideoSink()
    sink.add(av.VideoFrame.from_ndarray(np.full((480, 352), 128, np.uint8), format="yuv420p"))
    assert (sink.stamps_unreadable, sink.delay_s()) == (1, None)
