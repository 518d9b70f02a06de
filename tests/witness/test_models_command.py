import json
from pathlib import Path

import pytest

from analytics.models import InstalledModels
from analytics.models.manifest import Manifest
from tests.analytics.models.packages import FACE, packages
from witness import commands_models
from witness.cli import main


@pytest.fixture(autouse=True)
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    made = Manifest.model_validate(packages(tmp_path / "packages"))
    monkeypatch.setattr(commands_models, "the_manifest", lambda: made)
    monkeypatch.setenv("WITNESS_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("LC_ALL", "C")
    return made


def install(tmp_path: Path, *arguments: str) -> int:
    return main(["models", "install", "--from", str(tmp_path / "packages"), *arguments])


def test_all_models_are_installed_from_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(tmp_path) == 0
    said = capsys.readouterr()
    assert said.out == f"2 models in {tmp_path / 'models'}\n"
    assert "1/3 fetching faces 1.0, 0.0 MB" in said.err
    assert InstalledModels().find("face").path.read_bytes() == FACE


def test_result_is_json_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path, "face", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["models"].keys() == {"face"}
    assert told["models"]["face"]["packages"] == ["faces@1.0"]


def test_list_tells_what_is_installed_in_the_users_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "face")
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["state"]) for one in told["models"]] == [
        ("face", "installed"),
        ("speech", "missing"),
    ]
    assert told["models"][1]["licences"] == {"more": "MIT", "speech": "MIT"}
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["face", "已安装", "0.0", "MIT", "人脸"]


def test_verify_fails_when_a_model_has_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path)
    capsys.readouterr()
    assert main(["models", "verify", "--json"]) == 0
    InstalledModels().find("face").path.write_bytes(b"changed")
    capsys.readouterr()
    assert main(["models", "verify", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["models"] == {"face": "changed", "speech": "installed"}


def test_verify_of_a_model_that_is_not_installed_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "verify", "face"]) == 1
    assert capsys.readouterr().out == "face  missing\n"
    assert main(["models", "verify", "nonsense"]) == 1
    assert "no model is called nonsense" in capsys.readouterr().err


def test_errors_are_sentences_in_the_users_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert install(tmp_path, "nonsense") == 1
    assert capsys.readouterr().err == "witness: 没有名为 nonsense 的模型；可用的有 face, speech\n"
