"""Installed models for tests that need them."""

import pytest

from analytics.errors import ModelError
from analytics.models import InstalledModels

__all__ = ["installed"]

_models = InstalledModels()


def installed(*names: str) -> InstalledModels:
    """The installed models; skips the test when one of these is missing."""
    for name in names:
        try:
            _models.find(name)
        except ModelError as error:
            pytest.skip(str(error))
    return _models
