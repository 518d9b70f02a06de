"""Finding detectors by name."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from analytics.detector import Detector
from analytics.errors import (
    AnalyticsError,
    DetectorConfigError,
    ModelError,
    UnknownDetectorError,
)
from analytics.link import UnknownCause
from analytics.models import InstalledModels, Models
from analytics.registry import the_registry

__all__ = ["cause_of", "find_detector", "installed_models", "load_detector"]


def find_detector(name: str) -> type[Detector]:
    """The detector of that name, or the class that ``module:Class`` names.

    Raises:
        UnknownDetectorError: there is none, or its package can't be imported.
    """
    if ":" not in name:
        return the_registry().find(name)
    module, _, attribute = name.partition(":")
    try:
        found: type[Detector] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownDetectorError(
            "{name} can't be imported: {reason}", name=name, reason=error
        ) from error
    return found


def installed_models(directory: Path | None, own: Mapping[str, Path]) -> Models:
    """The models of this machine.

    Args:
        directory: where they are installed; ``None``: the usual place.
        own: files that stand in for models.
    """
    return InstalledModels(directory, own)


def load_detector(name: str, settings: Mapping[str, Any], models: Models) -> Detector:
    """Loads a detector with its settings.

    Raises:
        AnalyticsError: it can't be had; see :func:`cause_of`.
    """
    kind = find_detector(name)
    try:
        config = kind.Config.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DetectorConfigError(
            "{name}: {where}: {reason}", name=name, where=where, reason=first["msg"]
        ) from error
    loaded: Detector = kind.load(config, models)
    return loaded


def cause_of(error: BaseException) -> UnknownCause:
    """Why a detector that could not be loaded says nothing."""
    if isinstance(error, ModelError):
        return UnknownCause.MODEL_MISSING
    if isinstance(error, AnalyticsError):
        return UnknownCause.CONFIG
    return UnknownCause.CRASHED
