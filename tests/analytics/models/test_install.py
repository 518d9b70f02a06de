import json
import queue
import threading
from pathlib import Path

import pytest

from analytics.errors import ModelDigestError, ModelInstallError, UnknownModelError
from analytics.models.fetch import FolderSource
from analytics.models.install import Fetching, Installed, Installer, Kept, Step, Waiting, download
from analytics.models.manifest import Manifest
from analytics.models.store import INDEX, InstalledModels, Store
from tests.analytics.models.packages import CONFIG, FACE, FIRST, SECOND, packages, sha256


class Place:
    """Packages in one folder, models in another."""

    def __init__(self, path: Path) -> None:
        self.packages = path / "packages"
        self.folder = path / "models"
        self.data = packages(self.packages)
        self.steps: list[Step] = []

    @property
    def store(self) -> Store:
        return Store(self.folder)

    def install(self, *names: str) -> None:
        manifest = Manifest.model_validate(self.data)
        Installer(manifest, self.store, FolderSource(self.packages)).install(
            names, self.steps.append
        )

    def said(self) -> list[str]:
        told = []
        for step in self.steps:
            match step:
                case Fetching(package, number, count):
                    told.append(f"{number}/{count} {package.name}")
                case Installed(name):
                    told.append(f"{name} installed")
                case Kept(name):
                    told.append(f"{name} kept")
                case Waiting():
                    told.append("waiting")
        self.steps.clear()
        return told


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_file_and_folder_are_installed_and_found(place: Place) -> None:
    place.install("face", "speech")
    models = InstalledModels(place.folder)
    face = models.find("face")
    assert face.path.read_bytes() == FACE
    assert face.path.name == "face.onnx"
    assert face.sha256 == sha256(FACE)
    speech = models.find("speech")
    assert (speech.path / "model.bin").read_bytes() == FIRST + SECOND
    lines = sorted((f"{sha256(CONFIG)}  config.json\n", f"{sha256(FIRST + SECOND)}  model.bin\n"))
    assert speech.sha256 == sha256("".join(lines).encode())
    assert place.store.entries()["speech"].packages == ("more@2.0", "speech@2.0")


def test_each_model_is_made_as_soon_as_its_packages_are_there(place: Place) -> None:
    place.install("speech", "face")
    assert place.said() == [
        "1/3 speech",
        "2/3 more",
        "speech installed",
        "3/3 faces",
        "face installed",
    ]


def test_what_is_installed_is_kept(place: Place) -> None:
    place.install("face")
    place.said()
    (place.packages / "faces-1.0.tgz").unlink()
    place.install("face")
    assert place.said() == ["face kept"]


def test_damaged_model_is_installed_anew(place: Place) -> None:
    place.install("face")
    path = InstalledModels(place.folder).find("face").path
    path.write_bytes(b"something else")
    place.install("face")
    assert path.read_bytes() == FACE
    assert InstalledModels(place.folder).find("face").path == path


def test_newer_version_of_a_model_leaves_the_old_one_to_who_runs_it(place: Place) -> None:
    place.install("face")
    old = InstalledModels(place.folder).find("face").path
    newer = Place(place.folder.parent)
    newer.data["models"]["face"]["files"][0] = {
        "name": "config.json",
        "bytes": len(CONFIG),
        "sha256": sha256(CONFIG),
        "from": [{"package": "speech", "path": "speech/config.json"}],
    }
    newer.install("face")
    assert old.read_bytes() == FACE
    assert InstalledModels(place.folder).find("face").path.read_bytes() == CONFIG


def test_wrong_archive_is_refused_with_both_digests(place: Place) -> None:
    archive = place.packages / "faces-1.0.tgz"
    archive.write_bytes(b"an attacker's")
    with pytest.raises(ModelDigestError) as raised:
        place.install("face")
    assert sha256(b"an attacker's") in str(raised.value)
    assert place.data["packages"]["faces"]["sha256"] in str(raised.value)
    assert place.store.entries() == {}


def test_wrong_member_is_refused(place: Place) -> None:
    place.data["models"]["face"]["files"][0]["from"][0]["sha256"] = sha256(b"another")
    with pytest.raises(ModelDigestError, match=r"package/face.onnx has the digest"):
        place.install("face")


def test_wrong_result_is_refused(place: Place) -> None:
    place.data["models"]["speech"]["files"][0]["sha256"] = sha256(b"another")
    with pytest.raises(ModelDigestError, match=r"speech/model.bin has the digest"):
        place.install("speech")
    assert [path.name for path in place.folder.iterdir()] == [".lock"]


def test_missing_member_is_named(place: Place) -> None:
    place.data["models"]["face"]["files"][0]["from"][0]["path"] = "package/none.onnx"
    with pytest.raises(ModelInstallError, match=r"faces-1.0.tgz holds no package/none.onnx"):
        place.install("face")


def test_archive_that_is_none_is_refused(place: Place) -> None:
    (place.packages / "faces-1.0.tgz").write_bytes(b"text")
    place.data["packages"]["faces"]["sha256"] = sha256(b"text")
    with pytest.raises(ModelInstallError, match="can't unpack"):
        place.install("face")


def test_truncated_archive_is_refused(place: Place) -> None:
    archive = place.packages / "faces-1.0.tgz"
    content = archive.read_bytes()[:90]
    archive.write_bytes(content)
    place.data["packages"]["faces"]["sha256"] = sha256(content)
    with pytest.raises(ModelInstallError, match="can't unpack"):
        place.install("face")


def test_package_that_is_not_in_the_folder_is_named_with_the_command_that_gets_it(
    place: Place,
) -> None:
    (place.packages / "more-2.0-py3-none-any.whl").unlink()
    with pytest.raises(ModelInstallError, match=r"no more-2.0.*pip download .* more==2.0"):
        place.install("speech")


def test_models_made_before_a_failure_stay(place: Place) -> None:
    (place.packages / "more-2.0-py3-none-any.whl").unlink()
    with pytest.raises(ModelInstallError):
        place.install("face", "speech")
    assert place.store.entries().keys() == {"face"}


def test_unknown_model_stops_before_anything_is_done(place: Place) -> None:
    with pytest.raises(UnknownModelError):
        place.install("face", "nonsense")
    assert not place.folder.exists()


def test_damaged_index_is_an_error_that_says_what_to_do(place: Place) -> None:
    place.folder.mkdir()
    for text in ("", "{", "[]", '{"version": 2}', '{"models": {"face": {"path": "../x"}}}'):
        (place.folder / INDEX).write_text(text)
        with pytest.raises(ModelInstallError, match="is no index of models: remove the folder"):
            place.store.entries()


@pytest.mark.parametrize("path", ["../face.onnx", "/etc/passwd", "face/../../x", "", ".hidden"])
def test_index_points_nowhere_else(path: str, place: Place) -> None:
    place.install("face")
    index = place.folder / INDEX
    data = json.loads(index.read_text())
    data["models"]["face"]["path"] = path
    index.write_text(json.dumps(data))
    with pytest.raises(ModelInstallError, match="is no index"):
        place.store.entries()


def test_folder_that_is_a_file_is_an_error(place: Place) -> None:
    place.folder.write_text("in the way")
    with pytest.raises(ModelInstallError, match="can't write to"):
        place.install("face")


def test_second_installer_waits_and_finds_everything_done(place: Place) -> None:
    steps: queue.Queue[Step] = queue.Queue()
    manifest = Manifest.model_validate(place.data)
    other = Installer(manifest, place.store, FolderSource(place.packages))
    second = threading.Thread(target=other.install, args=(["face"], steps.put), daemon=True)
    with place.store.locked(pytest.fail):
        second.start()
        assert steps.get(timeout=30) == Waiting()
        made = place.folder / ".making-by-first"
        made.mkdir()
        (made / "face.onnx").write_bytes(FACE)
        place.store.put("face", made, "face.onnx", ())
    second.join()
    assert isinstance(steps.get_nowait(), Kept)
    assert steps.empty()


def test_packages_are_downloaded_for_another_machine(place: Place, tmp_path: Path) -> None:
    manifest = Manifest.model_validate(place.data)
    paths = download(
        manifest, ["speech"], FolderSource(place.packages), tmp_path / "usb", place.steps.append
    )
    assert [path.name for path in paths] == [
        "speech-2.0-py3-none-any.whl",
        "more-2.0-py3-none-any.whl",
    ]
    assert place.said() == ["1/2 speech", "2/2 more"]
