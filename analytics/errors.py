"""Errors of the ``analytics`` package.

Each carries ``template`` and ``values``, so that whoever shows it can say it in another language::

    AnalyticsError
    ├── DetectorError          a detector can't be had
    │   ├── UnknownDetectorError   no detector has that name
    │   ├── DetectorFailedError    it raised something, or said what can't be
    │   └── DetectorConfigError    its settings are not what they should be
    ├── ModelError             a model can't be used
    │   ├── UnknownModelError      no model has that name
    │   ├── ModelMissingError      it is not installed: whatever needs it reports ``unknown``
    │   ├── ModelDigestError       its bytes are not the ones that were pinned
    │   └── ModelInstallError      it can't be fetched, made or kept
    ├── HostError              the analytics host can't be used
    └── EvalError              clips can't be made or used
        └── LabelError             what is said to be true of a clip can't be read
"""

from typing import LiteralString

__all__ = [
    "AnalyticsError",
    "DetectorConfigError",
    "DetectorError",
    "DetectorFailedError",
    "EvalError",
    "HostError",
    "LabelError",
    "ModelDigestError",
    "ModelError",
    "ModelInstallError",
    "ModelMissingError",
    "UnknownDetectorError",
    "UnknownModelError",
]


class AnalyticsError(Exception):
    """Root of all errors of this package.

    Attributes:
        template: the sentence in English, with ``{name}`` for values.
        values: what to fill it with.
    """

    def __init__(self, template: LiteralString, **values: object) -> None:
        self.template = template
        self.values = values
        super().__init__(template.format(**values))


class DetectorError(AnalyticsError):
    """A detector can't be had."""


class UnknownDetectorError(DetectorError):
    """No detector has that name."""


class DetectorFailedError(DetectorError):
    """A detector raised something (``__cause__``), or said what can't be."""


class DetectorConfigError(DetectorError):
    """The settings of a detector are not what they should be."""


class ModelError(AnalyticsError):
    """A model can't be used."""


class UnknownModelError(ModelError):
    """No model has that name."""


class ModelMissingError(ModelError):
    """A model is not installed."""


class ModelDigestError(ModelError):
    """A model's bytes are not the ones that were pinned."""


class ModelInstallError(ModelError):
    """A model can't be fetched, made or kept."""


class HostError(AnalyticsError):
    """The analytics host can't be used."""


class EvalError(AnalyticsError):
    """Clips can't be made or used."""


class LabelError(EvalError):
    """What is said to be true of a clip can't be read."""
