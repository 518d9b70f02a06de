"""What detectors cost: ``witness bench analytics --costs FILE`` measures it, cards tell it."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analytics.errors import DetectorConfigError

__all__ = ["Costs", "read_costs", "shipped_costs", "write_costs"]

_MAX_BYTES: Final = 1 << 20


class Costs(BaseModel):
    """What one watch of each detector costs on one core, alone, with its models.

    Attributes:
        machine: what it was measured on.
        seconds: of media.
        cpu_ms_per_minute: by detector; whoever is missing was not measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    machine: Annotated[str, Field(min_length=1, max_length=200)]
    seconds: Annotated[float, Field(gt=0)]
    cpu_ms_per_minute: dict[str, Annotated[float, Field(ge=0)]]


@cache
def shipped_costs() -> Costs:
    """Those of the reference machine, with the settings that detectors have by default."""
    text = files("analytics").joinpath("costs.json").read_text("utf-8")
    return Costs.model_validate_json(text)


def read_costs(path: Path) -> Costs:
    """Costs that were measured elsewhere.

    Raises:
        DetectorConfigError: the file can't be read, or is no such measurement.
    """
    try:
        with path.open("rb") as file:
            return Costs.model_validate_json(file.read(_MAX_BYTES))
    except OSError as error:
        cause = error.strerror or str(error)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        cause = ": ".join([*(str(part) for part in first["loc"]), first["msg"]])
    raise DetectorConfigError(
        "{path} is no measurement of `witness bench analytics --costs`: {cause}",
        path=path,
        cause=cause,
    )


def write_costs(costs: Costs, path: Path) -> None:
    """Writes them where :func:`read_costs` can read them.

    Raises:
        OSError: it can't be written.
    """
    text = json.dumps(costs.model_dump(), indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", "utf-8")
