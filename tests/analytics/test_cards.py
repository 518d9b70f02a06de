import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from analytics.cards import all_cards, card_of, needs_of, settings_of
from analytics.config import AnalyticsConfig
from analytics.costs import Costs, shipped_costs, write_costs
from analytics.detector import DetectorConfig, Needs, VideoNeed
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


class Greedy(Whole):
    name = "greedy"

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        return Needs(video=VideoNeed(height=100_000))


class Nested(Whole):
    name = "nested"
    card = replace(CARD, modules=("no_such_package.module",))


def test_detector_that_fails_while_it_is_asked_hides_no_other_card(tmp_path: Path) -> None:
    origins = [
        (name, Origin("bank", f"{place}:{kind}"))
        for name, place, kind in (
            ("greedy", __name__, "Greedy"),
            ("nested", __name__, "Nested"),
            ("whole", HERE, "Whole"),
        )
    ]
    told = all_cards(Registry(origins), AnalyticsConfig(models_directory=tmp_path))
    assert [card["name"] for card in told["detectors"]] == ["whole"]
    greedy, nested = told["problems"]
    assert (greedy["detector"], nested["detector"]) == ("greedy", "nested")
    assert "height must be 1 to 8192, not 100000" in greedy["problem"]
    assert "no_such_package" in nested["problem"]


def test_model_of_a_separate_package_has_no_title(tmp_path: Path) -> None:
    class Foreign(Whole):
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


def test_card_tells_what_was_measured_and_where(tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    write_costs(Costs(machine="mine", seconds=60, cpu_ms_per_minute={"transcript": 7.5}), path)
    origins = [("transcript", Origin(WITNESS, "analytics.detectors.transcript:Transcript"))]
    config = AnalyticsConfig(models_directory=tmp_path, costs=path)
    (card,) = all_cards(Registry(origins), config)["detectors"]
    assert (card["cpu_ms_per_minute"], card["cost_measured_on"]) == (7.5, "mine")


def test_card_that_tells_its_own_cost_is_believed(tmp_path: Path) -> None:
    class Costly(Whole):
        card = replace(CARD, cpu_ms_per_minute=3.0)

    measured = Costs(machine="mine", seconds=1, cpu_ms_per_minute={Costly.name: 9.0})
    card = card_of(
        Costly,  # type: ignore[arg-type]
        DetectorConfig(),
        InstalledModels(tmp_path),
        package="bank",
        costs=measured,
    )
    assert (card["cpu_ms_per_minute"], card["cost_measured_on"]) == (3.0, None)


def test_costs_of_the_release_are_of_detectors_that_there_are() -> None:
    costs = shipped_costs()
    assert costs.cpu_ms_per_minute.keys() <= set(the_registry().names)
    assert {"phone", "person_swap", "transcript"} <= costs.cpu_ms_per_minute.keys()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"machine": "m", "seconds": 0, "cpu_ms_per_minute": {}}',
        '{"machine": "m", "seconds": 1, "cpu_ms_per_minute": {"a": -1}}',
        '{"machine": "m", "seconds": 1, "cpu_ms_per_minute": {}, "more": 1}',
    ],
)
def test_costs_that_are_none_are_refused_with_their_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(ValidationError, match=r"costs\.json"):
        AnalyticsConfig(costs=path)
    with pytest.raises(ValidationError, match=r"missing\.json"):
        AnalyticsConfig(costs=tmp_path / "missing.json")
