"""Models and pictures as they are installed on this machine; tests without them are skipped."""

from functools import cache

import numpy as np
import pytest

from analytics.errors import AnalyticsError
from analytics.eval import material
from analytics.eval.material import Person
from analytics.models.store import InstalledModels
from analytics.vision.face import MODEL, FaceModel
from analytics.vision.network import Image

__all__ = ["astronaut", "everybody", "models_with", "talking"]


@cache
def _models() -> InstalledModels:
    return InstalledModels()


def models_with(*names: str) -> InstalledModels:
    """Installed models, or a skipped test that says how to install them."""
    for name in names:
        try:
            _models().find(name)
        except AnalyticsError as error:
            pytest.skip(str(error))
    return _models()


@cache
def _people() -> list[Person] | str:
    faces = _models().loaded(MODEL, FaceModel.load)
    try:
        return material.people(material.folder_of_material(), faces)
    except AnalyticsError as error:
        return str(error)


def everybody() -> list[Person]:
    """People cut out of photos."""
    models_with(MODEL)
    found = _people()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def talking() -> list[Image]:
    """The video of a man who talks."""
    try:
        return material.video(material.folder_of_material())
    except AnalyticsError as error:
        pytest.skip(str(error))


@cache
def _astronaut() -> Image | str:
    from PIL import Image as Pictures

    try:
        path = material.paths(material.folder_of_material())["portrait"]
    except AnalyticsError as error:
        return str(error)
    with Pictures.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)


def astronaut() -> Image:
    """The portrait whose values are known, 512 x 512."""
    found = _astronaut()
    if isinstance(found, str):
        pytest.skip(found)
    return found
