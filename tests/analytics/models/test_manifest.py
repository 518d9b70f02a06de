from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from analytics.errors import UnknownModelError
from analytics.models.manifest import Manifest, the_manifest
from tests.analytics.models.packages import packages


def test_manifest_of_the_package_is_whole() -> None:
    manifest = the_manifest()
    assert {"fr_detect", "fr_feature", "silero_vad", "whisper"} <= manifest.models.keys()
    used = {key for model in manifest.models.values() for key in model.packages}
    assert used == manifest.packages.keys()
    for model in manifest.models.values():
        assert model.title.en
        assert model.title.zh
        assert len({part.name for part in model.files}) == len(model.files)


def test_unknown_model_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        UnknownModelError, match=r"no model is called nonsense; there are .*whisper"
    ):
        the_manifest().model("nonsense")


def of_a_graph_alone(data: dict[str, Any]) -> None:
    data["models"]["face"]["files"][0]["step"] = "tfjs"


def without_digest(data: dict[str, Any]) -> None:
    del data["models"]["speech"]["files"][0]["from"][1]["sha256"]


def of_no_package(data: dict[str, Any]) -> None:
    del data["packages"]["more"]


def not_a_folder(data: dict[str, Any]) -> None:
    data["models"]["speech"]["folder"] = False


def of_two_as_is(data: dict[str, Any]) -> None:
    data["models"]["speech"]["files"][0]["step"] = "as_is"


def named_out_of_its_folder(data: dict[str, Any]) -> None:
    data["models"]["face"]["files"][0]["name"] = "../face.onnx"


def with_a_short_digest(data: dict[str, Any]) -> None:
    data["packages"]["faces"]["sha256"] = "abc"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (of_a_graph_alone, "tfjs takes a graph and its weights"),
        (without_digest, "each member of concat needs its sha256"),
        (of_no_package, r"speech: no package \['more'\]"),
        (not_a_folder, "a model of several files is a folder"),
        (of_two_as_is, "as_is takes exactly one member"),
        (named_out_of_its_folder, "should match pattern"),
        (with_a_short_digest, "should match pattern"),
    ],
)
def test_contradictory_manifest_is_refused(spoil: Any, message: str, tmp_path: Path) -> None:
    data = packages(tmp_path / "packages")
    spoil(data)
    with pytest.raises(ValidationError, match=message):
        Manifest.model_validate(data)
