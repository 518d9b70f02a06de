"""Settings of recording and sealing."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from sfu.contradiction import contradiction
from sfu.section import Section

__all__ = ["EvidenceConfig", "KeyServerConfig", "KeySource", "RecordedRooms", "RecordingConfig"]

KeySource = Annotated[
    str, Field(pattern=r"^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*|https://[^\s/@]+(/\S*)?)$")
]
"""Where a key comes from."""


class RecordedRooms(StrEnum):
    """Which rooms are recorded without being asked."""

    ALL = "all"
    NONE = "none"


class KeyServerConfig(Section):
    """How a server of keys is spoken to (`key: https://…`)."""

    token_file: Path | None = Field(
        default=None, description="File with the bearer token the server wants."
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) of who certified the server; those of the system if left"
        " out.",
    )
    certificate: Path | None = Field(
        default=None, description="Own certificate (PEM), for servers that want one."
    )
    private_key: Path | None = Field(default=None, description="Its key (PEM), without a password.")
    timeout_s: float = Field(
        default=10.0, gt=0, le=120, description="Time for the answer; the server starts after it."
    )

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise contradiction(
                "give certificate and private_key, or neither", "certificate", "private_key"
            )
        return self


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
        description="The same as `key` with `file:` before it.",
    )
    key: KeySource | None = Field(
        default=None,
        description="Key of 32 bytes, as they are or in base64: files are encrypted (AES-256-GCM),"
        " each under a key of its own that is wrapped with this one. `file:PATH`, `env:NAME`, or"
        " `https://…`, which is asked once, at the start. Without one nothing is encrypted.",
    )
    old_keys: tuple[KeySource, ...] = Field(
        default=(),
        max_length=64,
        description="Keys of earlier recordings, which can still be read with them; from the same"
        " kinds of places as `key`.",
    )
    key_server: KeyServerConfig = Field(default_factory=KeyServerConfig)

    playback_directory: Path | None = Field(
        default=None,
        description="Directory of films made for the playback page and of the logs of who"
        " watched what; `_playback` in `directory` if left out. It stays when recordings are"
        " removed.",
    )

    playback_cache_gib: int = Field(
        default=20,
        ge=1,
        le=65_536,
        description="Room in `playback_directory` for recordings that are in the archive alone and"
        " are watched; the longest unused goes first. A film being made needs twice its package.",
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.directory is None and self.rooms is not RecordedRooms.NONE:
            raise contradiction("recording needs a directory", "rooms", "directory")
        return self

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.key is not None and self.key_file is not None:
            raise contradiction("give key or key_file, not both", "key", "key_file")
        if self.old_keys and self.key is None and self.key_file is None:
            raise contradiction("old_keys need a key for new files", "old_keys", "key")
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
