from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from analytics.config import AnalyticsConfig, config_of
from analytics.detectors.transcript import Transcript, TranscriptConfig
from analytics.errors import DetectorConfigError


def test_settings_of_a_detector_are_its_own_type() -> None:
    config = AnalyticsConfig(detectors={"transcript": {"threads": 1}}).config(Transcript)
    assert isinstance(config, TranscriptConfig)
    assert config.threads == 1
    assert AnalyticsConfig().config(Transcript).enabled


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threads": 0}, "transcript.threads: Input should be greater than or equal to 1"),
        ({"treads": 1}, "transcript.treads: Extra inputs are not permitted"),
        ({"threads": True}, "transcript.threads: must be a number, not yes or no"),
        ({"language": "中文"}, "transcript.language: String should match pattern"),
    ],
)
def test_wrong_settings_name_their_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DetectorConfigError, match=message):
        config_of(Transcript, values)


def test_own_models_are_given_by_absolute_paths(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="must be an absolute path"):
        AnalyticsConfig(own_models={"fr_detect": Path("mine.onnx")})
    own = tmp_path / "mine.onnx"
    own.write_bytes(b"mine")
    models = AnalyticsConfig(models_directory=tmp_path, own_models={"fr_detect": own}).models()
    assert models.find("fr_detect").path == own


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://me:pa55@h", "redis://:pa55@[::1:1", "redis://h:99999"]
)
def test_url_that_is_no_redis_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="must begin with redis://") as refused:
        AnalyticsConfig(redis=url)
    assert "pa55" not in refused.value.errors()[0]["msg"]


def test_group_of_a_detector_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="no detector is called fone"):
        AnalyticsConfig.model_validate({"host": {"groups": {"sight": ["fone"]}}})
