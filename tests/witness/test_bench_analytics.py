from pathlib import Path

import numpy as np
import pytest

from analytics.config import AnalyticsConfig
from analytics.detectors.transcript import Transcript, TranscriptConfig
from analytics.eval.speech_clips import Sentences
from analytics.models import Models
from analytics.registry import the_registry
from tests.fakes.speech import FakeRecogniser, LevelVoice
from witness.bench.analytics import (
    analytics_text,
    hummed,
    make_film,
    measure_analytics,
    measure_costs,
    queue_delays,
    spoken,
)


def test_inputs_that_come_alone_don_t_wait() -> None:
    items = [(at * 500_000, 0.01) for at in range(20)]
    assert queue_delays(items, 10.0, 1) == {"p50": 0.0, "p95": 0.0, "max": 0.0}


def test_more_participants_wait_longer_until_the_core_can_t_keep_up() -> None:
    items = [(at * 500_000, 0.02) for at in range(20)]
    few, many = queue_delays(items, 10.0, 4), queue_delays(items, 10.0, 20)
    assert few is not None
    assert many is not None
    assert few["max"] < many["max"]
    assert many["p50"] <= many["p95"] <= many["max"]
    assert queue_delays(items, 10.0, 25) is None


def test_costs_are_told_by_detector(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    rng = np.random.default_rng(1)
    make_film([rng.integers(0, 256, (90, 160, 3), np.uint8) for _ in range(3)], hummed(2.0), film)
    others = {name: {"enabled": False} for name in the_registry().names}
    config = AnalyticsConfig(detectors=others | {"picture_health": {}}, models_directory=tmp_path)
    result = measure_analytics(config, film, 2.0)
    assert list(result.cpu_ms_per_s) == ["picture_health"]
    assert result.cpu_ms_per_s["picture_health"] > 0
    assert result.decode_ms_per_s > 0
    assert result.participants_per_core == pytest.approx(
        1e3 / (result.cpu_ms_per_s["picture_health"] + result.decode_ms_per_s), rel=0.05
    )
    assert "picture_health" in analytics_text(result)
    assert result.to_json()["target"] == 20


def test_cost_of_each_detector_is_measured_alone(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    rng = np.random.default_rng(1)
    make_film([rng.integers(0, 256, (90, 160, 3), np.uint8) for _ in range(3)], hummed(9.0), film)
    ours = ("picture_health", "required_statements", "clear_answer", "coaching")
    others = {name: {"enabled": False} for name in the_registry().names if name not in ours}
    config = AnalyticsConfig(detectors=others, models_directory=tmp_path)
    costs = measure_costs(config, film, 9.0)
    # coaching takes findings of others only.
    assert costs.cpu_ms_per_minute.keys() == {
        "picture_health",
        "required_statements",
        "clear_answer",
    }
    assert all(cost > 0 for cost in costs.cpu_ms_per_minute.values())
    assert costs.machine


def test_sentences_are_spoken_four_seconds_in_ten() -> None:
    sentences = Sentences.read(Path(__file__).parents[1] / "data/speech")
    sound = spoken(sentences, 60.0)
    assert len(sound) == 60 * 16_000
    loud = np.abs(sound[: len(sound) // 1_600 * 1_600]).reshape(-1, 1_600).max(axis=1) > 0.01
    assert 0.25 < loud.mean() < 0.45, "tenths of a second in which somebody speaks"


def test_recognising_speech_is_measured_where_somebody_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(config: TranscriptConfig, _models: Models) -> Transcript:
        return Transcript(config, LevelVoice(), FakeRecogniser(*["您好"] * 9))

    monkeypatch.setattr(Transcript, "load", load)
    others = {name: {"enabled": name == "transcript"} for name in the_registry().names}
    config = AnalyticsConfig(detectors=others, models_directory=tmp_path)
    picture = np.zeros((90, 160, 3), np.uint8)
    for sound, is_speech in ((hummed(9.0), True), (np.zeros(9 * 16_000, np.float32), False)):
        film = tmp_path / "film.mkv"
        make_film([picture] * 3, sound, film)
        result = measure_analytics(config, film, 9.0)
        costs = measure_costs(config, film, 9.0)
        assert (result.deferred_ms_per_s is not None) == is_speech
        assert ("transcript" in costs.cpu_ms_per_minute) == is_speech
        assert ("--speech" in analytics_text(result)) != is_speech
