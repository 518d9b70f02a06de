"""Settings of analytics: the section ``analytics`` of the server's file."""

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from analytics.costs import Costs, read_costs, shipped_costs
from analytics.detector import Detector, DetectorConfig
from analytics.errors import DetectorConfigError, DetectorError, HostError
from analytics.host.config import HostConfig, HostSettings
from analytics.models import InstalledModels
from analytics.registry import BUILTIN, Registry, the_registry
from analytics.streams import check_redis_url

__all__ = ["AnalyticsConfig", "config_of"]

_NOT_A_NUMBER: Final = "must be a number, not yes or no"


class AnalyticsConfig(BaseModel):
    """Detectors that watch calls, and the models they run."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    detectors: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Settings of detectors by name, `{phone: {enabled: false}}`;"
        " `witness detector card NAME` tells those of one.",
    )
    models_directory: Path | None = Field(
        default=None,
        description="Where `witness models install` has put the models (default: $WITNESS_MODELS,"
        " else ~/.cache/witness/models).",
    )
    own_models: dict[str, Path] = Field(
        default_factory=dict,
        description="Files of your own that stand in for models, by the model's name; absolute"
        " paths.",
    )

    costs: Path | None = Field(
        default=None,
        description="What `witness bench analytics --costs FILE` has measured on this machine, for"
        " the cards; null: what was measured on the reference machine.",
    )
    enabled: bool = Field(
        default=False, description="Whether detectors watch calls that are recorded."
    )
    host: HostSettings = Field(default_factory=HostSettings, description="How detectors are run.")
    redis: str | None = Field(
        default=None,
        description="URL of a Redis by which hosts on other machines are given media (`redis://…`);"
        " null: a host beside the server.",
    )
    node: str = Field(
        default="node",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Name of this server in that Redis; hosts are started with the same.",
    )

    @field_validator("detectors")
    @classmethod
    def _detectors_understand_it(
        cls, detectors: dict[str, dict[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        registry = the_registry() if detectors else None
        for name, values in detectors.items():
            assert registry is not None
            _check(registry, name, values)
        return detectors

    @field_validator("host")
    @classmethod
    def _groups_are_of_detectors(cls, host: HostSettings) -> HostSettings:
        named = {name for names in host.groups.values() for name in names} - BUILTIN.keys()
        if not named:
            return host
        registry = the_registry()
        for name in sorted(named):
            try:
                registry.origin(name)
            except DetectorError as error:
                raise contradiction(error.template, "groups", **error.values) from error
        return host

    @field_validator("redis")
    @classmethod
    def _redis_can_be_asked(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                check_redis_url(url)
            except HostError as error:
                raise contradiction(error.template) from error
        return url

    @field_validator("own_models")
    @classmethod
    def _paths_are_absolute(cls, paths: dict[str, Path]) -> dict[str, Path]:
        for name, path in paths.items():
            if not path.is_absolute():
                raise contradiction("must be an absolute path", name)
        return paths

    @field_validator("costs")
    @classmethod
    def _costs_can_be_read(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                read_costs(path)
            except DetectorConfigError as error:
                raise PydanticCustomError(
                    "contradiction",
                    error.template,
                    {**error.values, "template": error.template},
                ) from error
        return path

    def measured_costs(self) -> Costs:
        """What detectors cost, for their cards.

        Raises:
            DetectorConfigError: the file that was named has changed into something else.
        """
        return shipped_costs() if self.costs is None else read_costs(self.costs)

    def host_config(self) -> HostConfig:
        """What a host runs: all detectors of Witness, and those of others that are named here.

        Raises:
            DetectorError: a detector that is named can't be had.
        """
        registry = the_registry()
        found: dict[str, dict[str, Any]] = {}
        for name in (*BUILTIN, *(name for name in self.detectors if name not in BUILTIN)):
            values = self.detectors.get(name, {})
            if config_of(registry.find(name), values).enabled:
                found[name] = values
        return HostConfig(
            **self.host.model_dump(),
            detectors=found,
            models_directory=self.models_directory,
            own_models=self.own_models,
        )

    def models(self) -> InstalledModels:
        """The models that detectors of these settings run."""
        return InstalledModels(self.models_directory, self.own_models)

    def config(self, detector: type[Detector]) -> DetectorConfig:
        """Settings of one detector.

        Raises:
            DetectorConfigError: they are not what they should be.
        """
        return config_of(detector, self.detectors.get(detector.name, {}))


def config_of(detector: type[Detector], values: Mapping[str, Any]) -> DetectorConfig:
    """Settings of a detector, checked.

    Raises:
        DetectorConfigError: they are not what they should be; the first complaint, with its key.
    """
    try:
        config = detector.Config.model_validate(dict(values))
        _numbers_are_not_switches(detector.Config, values)
    except ValidationError as error:
        first = error.errors()[0]
        raise DetectorConfigError(
            "analytics.detectors.{key}: {problem}",
            key=".".join((detector.name, *map(str, first["loc"]))),
            problem=first["msg"],
        ) from error
    return config


def _check(registry: Registry, name: str, values: dict[str, Any]) -> None:
    """Complaints about a detector's settings, placed where the settings are read."""
    try:
        detector = registry.find(name)
    except DetectorError as error:
        raise contradiction(error.template, name, **error.values) from error
    try:
        detector.Config.model_validate(values)
        _numbers_are_not_switches(detector.Config, values)
    except ValidationError as error:
        first = error.errors()[0]
        path = (name, *map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise contradiction(
                "there is no such key; {detector} has {known}",
                *path,
                detector=name,
                known=", ".join(detector.Config.model_fields),
            ) from error
        raise _again(first, path) from error


def contradiction(template: str, *path: str, **values: object) -> PydanticCustomError:
    """An error at an inner key of a field, as the reader of the server's file understands it."""
    context = {**values, "template": template}
    if path:
        context["fields"] = (".".join(path),)
    return PydanticCustomError("contradiction", template, context)


def _again(error: ErrorDetails, path: tuple[str, ...]) -> PydanticCustomError:
    """An error of the inner model, at an inner key of the field."""
    context = {**error.get("ctx", {}), "fields": (".".join(path),)}
    message = error["msg"].replace("{", "{{").replace("}", "}}")
    return PydanticCustomError(error["type"], message, context)


def _numbers_are_not_switches(config: type[BaseModel], values: Mapping[str, Any]) -> None:
    """YAML reads ``yes`` and ``on`` as true, which Python takes for 1."""
    for name, info in config.model_fields.items():
        if isinstance(values.get(name), bool) and _is_number(info.annotation):
            raise ValidationError.from_exception_data(
                config.__name__,
                [
                    {
                        "type": PydanticCustomError(
                            "contradiction", _NOT_A_NUMBER, {"template": _NOT_A_NUMBER}
                        ),
                        "loc": (name,),
                        "input": values[name],
                    }
                ],
            )


def _is_number(annotation: Any) -> bool:
    if get_origin(annotation) in {Union, types.UnionType}:
        kinds = set(get_args(annotation)) - {type(None)}
    else:
        kinds = {annotation}
    return kinds <= {int, float}
