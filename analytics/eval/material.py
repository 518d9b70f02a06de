"""What clips are made of: people cut out of photos, and a video of a man who talks.

The pictures come out of pinned packages (``material.toml``). Pictures of one's own stand beside
them: ``FOLDER/PERSON/*.jpg``, several pictures of one person in one folder.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.errors import EvalError
from analytics.models.fetch import Source
from analytics.models.install import Installer, Progress
from analytics.models.manifest import Manifest
from analytics.models.store import Store, default_folder
from analytics.vision.face import Face, FaceModel
from analytics.vision.geometry import Region
from analytics.vision.mesh import MeshModel
from analytics.vision.network import Array, Image

__all__ = [
    "Person",
    "Sprite",
    "cut_out",
    "folder_of_material",
    "install_material",
    "paths",
    "people",
    "video",
    "with_points",
]

FACE_HEIGHT: Final = 170
"""Height of a face in a sprite, pixels."""
_BESIDE: Final = 1.5
_ABOVE: Final = 0.9
_BELOW: Final = 1.6
_MIN_PIXELS: Final = 90
_PICTURES: Final = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True, slots=True)
class Sprite:
    """A head with drawn shoulders: ``(h, w, 3)`` RGB, ``(h, w)`` opacity, and where the face is.

    Attributes:
        points: ``(468, 3)``, the mesh of the face, where it was looked for.
    """

    image: Image
    alpha: Image
    face: Region
    points: Array | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """A person, in one picture or several."""

    name: str
    sprites: tuple[Sprite, ...]


def folder_of_material() -> Path:
    """Where material is installed: beside the models."""
    return default_folder().parent / "material"


def manifest() -> Manifest:
    """The pinned packages that material comes from."""
    text = files("analytics.eval").joinpath("material.toml").read_text(encoding="utf-8")
    return Manifest.model_validate(tomllib.loads(text))


def install_material(source: Source, progress: Progress, folder: Path | None = None) -> Path:
    """Installs all material; gives its folder.

    Raises:
        ModelInstallError: a package can't be had.
        ModelDigestError: one is not what it should be.
    """
    folder = folder or folder_of_material()
    wanted = manifest()
    Installer(wanted, Store(folder), source).install(sorted(wanted.models), progress)
    return folder


def paths(folder: Path) -> dict[str, Path]:
    """Where each piece of material is, by the names in ``material.toml``.

    Raises:
        EvalError: material is not installed.
    """
    entries = Store(folder).entries()
    missing = sorted(manifest().models.keys() - entries.keys())
    if missing:
        raise EvalError(
            "no {what} in {folder}; `witness analytics clips` installs it where there is a network",
            what=", ".join(missing),
            folder=folder,
        )
    return {name: folder / entry.path for name, entry in entries.items()}


def video(folder: Path) -> list[Image]:
    """Frames of the man who talks.

    Raises:
        EvalError: material is not installed.
    """
    import av

    with av.open(str(paths(folder)["carphone"])) as container:
        return [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for frame in container.decode(video=0)
        ]


def with_points(people: Sequence[Person], meshes: MeshModel) -> list[Person]:
    """The same people, with the mesh of each face: so they can turn, blink and speak."""

    def seen(sprite: Sprite) -> Sprite:
        return replace(sprite, points=meshes.in_image(sprite.image, Face(sprite.face, 1.0)).points)

    return [Person(one.name, tuple(seen(sprite) for sprite in one.sprites)) for one in people]


def people(folder: Path, faces: FaceModel, own: Path | None = None) -> list[Person]:
    """Everybody that clips can show, always in the same order.

    Args:
        folder: of installed material.
        faces: finds them in the photos.
        own: a folder of pictures of one's own, one folder a person.

    Raises:
        EvalError: material is not installed, or a picture can't be read.
    """
    home = paths(folder)
    found = [*_in_picture("astronaut", home["portrait"], faces)]
    for picture in sorted(home["group"].iterdir()):
        found += _in_picture(picture.stem, picture, faces)
    if own is None:
        return found
    for one in sorted(path for path in own.iterdir() if path.is_dir()):
        sprites = [
            sprite
            for picture in sorted(one.iterdir())
            if picture.suffix.lower() in _PICTURES
            for person in _in_picture(one.name, picture, faces)[:1]
            for sprite in person.sprites
        ]
        if sprites:
            found.append(Person(one.name, tuple(sprites)))
    return found


def _in_picture(name: str, path: Path, faces: FaceModel) -> list[Person]:
    from PIL import Image as Pictures

    try:
        with Pictures.open(path) as picture:
            image = np.asarray(picture.convert("RGB"), np.uint8)
    except OSError as error:
        raise EvalError("picture {path} can't be read: {cause}", path=path, cause=error) from error
    large = [face for face in faces.in_image(image, 0.9) if face.region.height >= _MIN_PIXELS]
    large.sort(key=lambda face: face.region.left)
    return [
        Person(f"{name}-{index}", (cut_out(image, face, seed=index),))
        for index, face in enumerate(large)
    ]


def cut_out(image: Image, face: Face, seed: int) -> Sprite:
    """A head cut out of a photo, with a neck and shoulders drawn under it."""
    import cv2

    scale = FACE_HEIGHT / face.region.height
    width = face.region.width * scale
    size = (round(width + 2 * _BESIDE * FACE_HEIGHT), round(FACE_HEIGHT * (1 + _ABOVE + _BELOW)))
    left, top = _BESIDE * FACE_HEIGHT, _ABOVE * FACE_HEIGHT
    region = Region(left, top, left + width, top + FACE_HEIGHT)
    matrix = np.array(
        [
            [scale, 0, left - face.region.left * scale],
            [0, scale, top - face.region.top * scale],
        ]
    )
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    photo = cv2.warpAffine(image, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    head = np.zeros((size[1], size[0]), np.uint8)
    x, y = (int(part) for part in region.centre)
    axes = (int(width * 0.68), int(FACE_HEIGHT * 0.68))
    cv2.ellipse(head, (x, y - int(0.06 * FACE_HEIGHT)), axes, 0, 0, 360, 255, -1)
    head = np.asarray(cv2.GaussianBlur(head, (0, 0), 4), np.uint8)
    body, solid = _shoulders(photo, region, np.random.default_rng(seed))
    weight = head[:, :, None].astype(np.float32) / 255
    blended = (photo * weight + body * (1 - weight)).astype(np.uint8)
    return Sprite(blended, np.maximum(head, solid), region)


def _shoulders(photo: Any, face: Region, rng: np.random.Generator) -> tuple[Image, Image]:
    import cv2

    height, width = photo.shape[:2]
    body = np.zeros((height, width, 3), np.uint8)
    solid = np.zeros((height, width), np.uint8)
    x, bottom = int(face.centre[0]), int(face.bottom)
    cheek = photo[int(face.centre[1]) : bottom, int(face.left) : int(face.right)]
    skin = tuple(int(value) for value in np.median(cheek.reshape(-1, 3), axis=0))
    cloth = tuple(int(value) for value in rng.integers(20, 200, 3))
    neck = (int(face.width * 0.32), int(face.height * 0.5))
    chest = (int(face.width * 1.35), int(face.height * 1.0))
    for middle, axes, colour in (
        ((x, bottom + int(0.1 * face.height)), neck, skin),
        ((x, bottom + int(1.25 * face.height)), chest, cloth),
    ):
        cv2.ellipse(body, middle, axes, 0, 0, 360, colour, -1)
        cv2.ellipse(solid, middle, axes, 0, 0, 360, 255, -1)
    return body, solid
