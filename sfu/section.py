"""What all sections of the settings have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from sfu.contradiction import contradiction

__all__ = ["Section"]


class Section(BaseModel):
    """A section of the settings: no unknown keys, no change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_not_switches(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads ``yes`` and ``on`` as true, which Python takes for 1."""
        assert info.field_name is not None
        annotation = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) and annotation in {int, float, int | None, float | None}:
            raise contradiction("must be a number, not yes or no")
        return value
