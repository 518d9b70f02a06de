"""Settings of the archive."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from sfu.contradiction import contradiction
from sfu.section import Section

__all__ = [
    "Addressing",
    "ArchiveConfig",
    "ObjectLock",
    "ProductClass",
    "RetentionConfig",
    "S3Config",
    "StorageKind",
]


class StorageKind(StrEnum):
    """Where archived objects lie."""

    LOCAL = "local"
    S3 = "s3"


class Addressing(StrEnum):
    """How a bucket is named in addresses."""

    PATH = "path"
    VIRTUAL = "virtual"


class ObjectLock(StrEnum):
    """Whether the service itself guards objects."""

    AUTO = "auto"
    OFF = "off"
    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


class S3Config(Section):
    """An S3-compatible service."""

    endpoint: str | None = Field(
        default=None,
        # Without TLS the key's owner, and what was sold to whom, could be read on the way.
        pattern=r"^(https://[^/\s]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?)$",
        description="Address of the service: 'https://s3.bank.example'.",
    )
    region: str = Field(
        default="us-east-1", pattern=r"^[a-z0-9-]{1,64}$", description="Region of the bucket."
    )
    bucket: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Bucket, which must exist; one of its own is best.",
    )
    prefix: str = Field(
        default="witness/",
        pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}/){0,4}$",
        description="What all keys begin with.",
    )
    addressing: Addressing = Field(
        default=Addressing.PATH,
        description="`path` (https://host/bucket/key) or `virtual` (https://bucket.host/key).",
    )
    access_key_id: str | None = Field(
        default=None, min_length=1, max_length=256, description="Name of the access key."
    )
    secret_access_key: SecretStr | None = Field(
        default=None,
        min_length=8,
        description="The secret of the access key.",
        json_schema_extra={"env_only": True},
    )
    secret_access_key_file: Path | None = Field(
        default=None, description="File with the secret of the access key."
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) of who certified the service; else those of the system.",
    )
    object_lock: ObjectLock = Field(
        default=ObjectLock.AUTO,
        description="Have the service itself refuse to delete: `compliance` (nobody can),"
        " `governance` (who has a special permission can), `off`, or `auto`: compliance where the"
        " bucket has object lock.",
    )
    part_mib: int = Field(
        default=16, ge=5, le=1024, description="Size of the parts of an upload; all resume there."
    )
    connect_timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="Time for a connection."
    )
    read_timeout_s: float = Field(
        default=60.0, gt=0, le=3_600, description="Time without a byte of an answer."
    )
    attempts: int = Field(
        default=5, ge=1, le=20, description="Tries of each request, ever farther apart."
    )


class ProductClass(Section):
    """How long recordings of one class of products are kept."""

    product_class: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,31}$", description="As orders name it: insurance_life."
    )
    years: int = Field(ge=1, le=100, description="Years from the contract's end.")
    basis: str = Field(default="", max_length=200, description="Rule it follows from.")


class RetentionConfig(Section):
    """How long recordings are kept, counted from the end of the contract."""

    default_years: int = Field(
        default=20,
        ge=1,
        le=100,
        description="Years for products whose class isn't known, or has no rule.",
    )
    dispute_years: int = Field(
        default=3, ge=0, le=100, description="Years after the end of a dispute, if that is later."
    )
    classes: tuple[ProductClass, ...] = Field(
        default=(),
        description="Rules of your own; they come before the built-in ones (docs/archive.md).",
    )


class ArchiveConfig(Section):
    """Where sealed recordings go (`witness archive`)."""

    directory: Path | None = Field(
        default=None,
        description="Directory of the catalogue, the journal, and (storage: local) the objects."
        " Without one nothing is archived.",
    )
    storage: StorageKind = Field(
        default=StorageKind.LOCAL, description="Where objects lie: `local` or `s3`."
    )
    automatic: bool = Field(
        default=False, description="The server archives sealed sessions by itself."
    )
    films: bool = Field(
        default=False,
        description="Archive films too: what the playback page made, and `<session>-files` of"
        " `witness compose` beside the session.",
    )
    remove_originals: bool = Field(
        default=False,
        description="Remove the capture and the sealed package from this machine once the copy"
        " in the archive was read again and compared.",
    )
    scan_s: float = Field(
        default=30.0, gt=0, le=86_400, description="How often the server looks for sealed sessions."
    )
    alert_after_s: float = Field(
        default=3_600.0,
        ge=0,
        le=604_800,
        description="A session that could not be archived for so long raises an alert.",
    )
    s3: S3Config = Field(default_factory=S3Config)
    retention: RetentionConfig = Field(default_factory=RetentionConfig)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.automatic and self.directory is None:
            raise contradiction("archiving needs a directory", "automatic", "directory")
        if self.storage is StorageKind.S3:
            for name in ("endpoint", "bucket", "access_key_id"):
                if getattr(self.s3, name) is None:
                    raise contradiction(
                        "storage s3 needs {key}", "storage", f"s3.{name}", key=f"archive.s3.{name}"
                    )
        return self
