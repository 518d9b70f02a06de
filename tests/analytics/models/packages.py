"""Small packages in the form of the real ones, and a manifest of them."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from analytics.models.manifest import Manifest

FACE = b"weights of a face model"
FIRST, SECOND, CONFIG = b"first half, ", b"second half", b"{}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tarball(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def packages(folder: Path) -> dict[str, Any]:
    """Writes the packages into the folder; a manifest that describes them, before validation."""
    folder.mkdir(exist_ok=True)
    faces = tarball(folder / "faces-1.0.tgz", {"package/face.onnx": FACE, "package/run.js": b"x"})
    speech = wheel(
        folder / "speech-2.0-py3-none-any.whl",
        {"speech/part1": FIRST, "speech/config.json": CONFIG},
    )
    more = wheel(folder / "more-2.0-py3-none-any.whl", {"more/part2": SECOND})

    def package(kind: str, name: str, version: str, archive: Path) -> dict[str, Any]:
        content = archive.read_bytes()
        return {
            "kind": kind,
            "name": name,
            "version": version,
            "archive": archive.name,
            "bytes": len(content),
            "sha256": sha256(content),
            "licence": "MIT",
        }

    def part(name: str, content: bytes, *members: tuple[str, str, bytes]) -> dict[str, Any]:
        return {
            "name": name,
            "bytes": len(content),
            "sha256": sha256(content),
            "step": "as_is" if len(members) == 1 else "concat",
            "from": [
                {"package": key, "path": path, "sha256": sha256(data)}
                for key, path, data in members
            ],
        }

    return {
        "packages": {
            "faces": package("npm", "faces", "1.0", faces),
            "speech": package("pypi", "speech", "2.0", speech),
            "more": package("pypi", "more", "2.0", more),
        },
        "models": {
            "face": {
                "title": {"en": "faces", "zh": "人脸"},
                "files": [part("face.onnx", FACE, ("faces", "package/face.onnx", FACE))],
            },
            "speech": {
                "title": {"en": "speech", "zh": "语音"},
                "folder": True,
                "files": [
                    part(
                        "model.bin",
                        FIRST + SECOND,
                        ("speech", "speech/part1", FIRST),
                        ("more", "more/part2", SECOND),
                    ),
                    part("config.json", CONFIG, ("speech", "speech/config.json", CONFIG)),
                ],
            },
        },
    }


def manifest(folder: Path) -> Manifest:
    return Manifest.model_validate(packages(folder))
