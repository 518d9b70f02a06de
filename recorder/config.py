"""Settings of recording and sealing."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from sfu.contradiction import contradiction
from sfu.section import Section

__all__ = ["EvidenceConfig", "RecordedRooms", "RecordingConfig"]


class RecordedRooms(StrEnum):
    """Which rooms are recorded without being asked."""

    ALL = "all"
    NONE = "none"


class RecordingConfig(Section):
    """What is recorded of calls, and where."""

    directory: Path | None = Field(
        default=None,
        description="Directory of recorded sessions; it must exist. Without one nothing is"
        " recorded.",
    )
    rooms: RecordedRooms = Field(
        default=RecordedRooms.NONE,
        description="Rooms recorded from their first participant on: `all`, or `none` (a room is"
        " recorded when a command says so).",
    )
    segment_seconds: float = Field(
        default=10.0,
        ge=1,
        le=600,
        description="Length of a file. Only whole files are synced to the disk: this is what a"
        " power failure can take; the end of the process takes a second at most.",
    )
    buffer_mib: int = Field(
        default=64,
        ge=1,
        le=4_096,
        description="Memory of each engine for what a slow disk leaves waiting; beyond that"
        " packets are left out and declared as a gap. Calls never wait.",
    )
    key_file: Path | None = Field(
        default=None,
        description="File with 32 bytes, as they are or in base64: files are encrypted"
        " (AES-256-GCM), each under a key of its own that is wrapped with this one.",
    )

    playback_directory: Path | None = Field(
        default=None,
        description="Directory of films made for the playback page and of the logs of who"
        " watched what; `_playback` in `directory` if left out. It stays when recordings are"
        " removed.",
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.directory is None and self.rooms is not RecordedRooms.NONE:
            raise contradiction("recording needs a directory", "rooms", "directory")
        return self


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
    packages_directory: Path | None = Field(
        default=None,
        description="Directory of packages, each called as its session with `.zip`: `witness"
        " seal` writes there, and the playback page finds them. Without one `witness seal` writes"
        " where it is run.",
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
