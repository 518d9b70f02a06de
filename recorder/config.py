"""Settings of sealing."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from sfu.contradiction import contradiction
from sfu.section import Section

__all__ = ["EvidenceConfig"]


class EvidenceConfig(Section):
    """How recorded sessions become evidence packages (`witness seal`)."""

    keys_directory: Path | None = Field(
        default=None,
        description="Directory with the keys that packages are sealed with; `witness keys init`"
        " makes them. Without one nothing is sealed.",
    )
    log_directory: Path | None = Field(
        default=None,
        description="Directory of the transparency log, which has one entry for each package."
        " Without one nothing is sealed.",
    )
    tsa_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Time-stamp authority (RFC 3161) that every seal asks; without an answer"
        " nothing is sealed. Without one packages carry no third party's time.",
    )
    tsa_local: bool = Field(
        default=False,
        description="Stamp with a key of this machine instead, for tests: it proves nothing to"
        " others. `witness keys init --local-tsa` makes the key.",
    )
    tsa_timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="Time for the authority's answer."
    )

    @model_validator(mode="after")
    def _one_authority(self) -> Self:
        if self.tsa_url is not None and self.tsa_local:
            raise contradiction("give tsa_url or tsa_local, not both", "tsa_url", "tsa_local")
        return self
