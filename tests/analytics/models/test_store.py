from pathlib import Path

import pytest

from analytics.errors import ModelDigestError, ModelMissingError
from analytics.models import InstalledModels, ModelFile
from analytics.models.store import Store, default_folder, digest_of
from tests.analytics.models.packages import FACE, sha256


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    made = folder / "made"
    made.mkdir(parents=True)
    (made / "face.onnx").write_bytes(FACE)
    Store(folder).put("face", made, "face.onnx", ("faces@1.0",))
    return folder


def test_missing_model_names_the_command_that_installs_it(tmp_path: Path) -> None:
    models = InstalledModels(tmp_path / "nothing")
    with pytest.raises(ModelMissingError, match=r"run: witness models install face$"):
        models.find("face")


def test_removed_file_counts_as_missing(folder: Path) -> None:
    InstalledModels(folder).find("face").path.unlink()
    with pytest.raises(ModelMissingError):
        InstalledModels(folder).find("face")


def test_changed_bytes_are_noticed(folder: Path) -> None:
    InstalledModels(folder).find("face").path.write_bytes(FACE + b"!")
    with pytest.raises(ModelDigestError, match="run: witness models install face"):
        InstalledModels(folder).find("face")


def test_model_is_loaded_once(folder: Path) -> None:
    models = InstalledModels(folder)
    loads: list[str] = []

    def load(file: ModelFile) -> list[str]:
        loads.append(file.name)
        return loads

    assert models.loaded("face", load) is models.loaded("face", load)
    assert loads == ["face"]
    assert models.loaded("face", lambda file: file.path) != loads


def test_own_file_stands_in_with_its_own_digest(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine.onnx"
    own.write_bytes(b"mine")
    models = InstalledModels(folder, own={"face": own})
    assert models.find("face") == ModelFile("face", own, sha256(b"mine"))


def test_own_folder_stands_in(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine"
    (own / "deep").mkdir(parents=True)
    (own / "deep" / "b").write_bytes(b"b")
    (own / "a").write_bytes(b"a")
    lines = sorted((f"{sha256(b'a')}  a\n", f"{sha256(b'b')}  deep/b\n"))
    found = InstalledModels(folder, own={"whisper": own}).find("whisper")
    assert found.sha256 == digest_of(own) == sha256("".join(lines).encode())


def test_own_file_that_is_not_there_is_missing(folder: Path, tmp_path: Path) -> None:
    models = InstalledModels(folder, own={"face": tmp_path / "none.onnx"})
    with pytest.raises(ModelMissingError, match=r"none.onnx, given for the model face"):
        models.find("face")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WITNESS_MODELS": "/srv/models"}, Path("/srv/models")),
        ({"XDG_CACHE_HOME": "/var/cache"}, Path("/var/cache/witness/models")),
        ({}, Path("~/.cache/witness/models").expanduser()),
        (
            {"WITNESS_MODELS": "", "XDG_CACHE_HOME": ""},
            Path("~/.cache/witness/models").expanduser(),
        ),
    ],
)
def test_folder_is_that_of_the_environment(environ: dict[str, str], expected: Path) -> None:
    assert default_folder(environ) == expected
