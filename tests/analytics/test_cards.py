import json
from pathlib import Path

from analytics.cards import all_cards, card_of, needs_of, settings_of
from analytics.config import AnalyticsConfig
from analytics.detector import DetectorConfig
from analytics.models import InstalledModels
from analytics.registry import WITNESS, Origin, Registry, the_registry
from tests.analytics.test_registry import CARD, Whole

HERE = "tests.analytics.test_registry"


def test_card_tells_all_that_people_have_to_know(tmp_path: Path) -> None:
    own = tmp_path / "mine.onnx"
    own.write_bytes(b"mine")
    config = AnalyticsConfig(
        models_directory=tmp_path,
        own_models={"silero_vad": own},
        detectors={"transcript": {"threads": 1, "enabled": False}},
    )
    origins = [("transcript", Origin(WITNESS, "analytics.detectors.transcript:Transcript"))]
    told = all_cards(Registry(origins), config)
    (card,) = json.loads(json.dumps(told))["detectors"]
    assert (card["name"], card["package"], card["enabled"]) == ("transcript", WITNESS, False)
    assert card["permissions"] == ["speech"]
    assert card["inputs"]["audio"] == {"chunk_ms": 96, "sources": ["microphone"]}
    assert card["inputs"]["video"] is None
    assert set(card["outcomes"]) == {"pass", "warn", "fail", "unknown"}
    assert card["outcomes"]["unknown"]["zh"]
    voice, recogniser = card["models"]
    assert voice["name"] == "silero_vad"
    assert (
        voice["sha256"] == InstalledModels(tmp_path, {"silero_vad": own}).find("silero_vad").sha256
    )
    assert recogniser["sha256"] is None
    assert recogniser["problem"].endswith("run: witness models install whisper")
    assert recogniser["licences"] == {"whisper-base-1": "MIT", "whisper-base-2": "MIT"}
    threads = next(one for one in card["settings"] if one["name"] == "threads")
    assert threads == {
        "name": "threads",
        "description": "Threads of one recognition.",
        "minimum": 1,
        "maximum": 64,
        "type": "integer",
        "default": 2,
        "value": 1,
    }


def test_broken_detectors_are_told_beside_the_cards(tmp_path: Path) -> None:
    registry = Registry(
        [
            ("whole", Origin("bank", f"{HERE}:Whole")),
            ("gone", Origin("bank", "no_such_module:Gone")),
            ("twice", Origin("bank", f"{HERE}:Whole")),
            ("twice", Origin("other", f"{HERE}:Whole")),
        ]
    )
    told = all_cards(registry, AnalyticsConfig(models_directory=tmp_path))
    assert [card["name"] for card in told["detectors"]] == ["whole"]
    assert [one["detector"] for one in told["problems"]] == ["twice", "gone"]


def test_model_of_a_separate_package_has_no_title(tmp_path: Path) -> None:
    class Foreign(Whole):
        from dataclasses import replace

        card = replace(CARD, models=("smiles",))

    card = card_of(
        Foreign,  # type: ignore[arg-type]
        DetectorConfig(),
        InstalledModels(tmp_path),
        package="bank",
    )
    (model,) = card["models"]
    assert model["title"] is None
    assert "smiles is not installed" in model["problem"]
    assert card["inputs"] is None or isinstance(card["inputs"], dict)


def test_needs_are_known_without_models() -> None:
    registry = the_registry()
    for name in registry.names:
        detector = registry.find(name)
        assert needs_of(detector, detector.Config()) is not None, name


def test_settings_of_all_have_their_values() -> None:
    assert settings_of(DetectorConfig(enabled=False))[0]["value"] is False
