"""Objects in an S3-compatible service.

``botocore`` signs, retries and speaks; it blocks, so this runs where nothing waits for it: in the
command, or in the server's worker process. Every part carries its SHA-256, which the service
checks; after a break the parts that are there are kept.
"""

import base64
import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, BinaryIO, Final

from archive.config import Addressing, ObjectLock, S3Config
from archive.errors import MissingError, RetainedError, StorageError
from archive.keep import Keep
from archive.storage import BLOCK, Found, Progress
from recorder.regular import open_regular

__all__ = ["S3Backend"]

_MAX_PARTS: Final = 10_000
_MIB: Final = 1 << 20
_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload", "NoSuchVersion"})
_NO_LOCK: Final = frozenset(
    {"ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed", "501", "405"}
)
_REFUSED: Final = frozenset({"AccessDenied", "ObjectLocked", "403"})


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a file, as it is here."""

    number: int
    start: int
    bytes: int


class S3Backend:
    """One bucket.

    Args:
        config: with endpoint, bucket and access key.
        secret: of the access key.

    Raises:
        StorageError: the bucket should have object lock and hasn't, or can't be asked.
    """

    name = "s3"

    def __init__(self, config: S3Config, secret: str) -> None:
        assert config.bucket is not None
        self._bucket = config.bucket
        self._prefix = config.prefix
        self._part_bytes = config.part_mib * _MIB
        self._client = _client(config, secret)
        self._mode = self._lock_mode(config.object_lock)

    @property
    def lock_mode(self) -> str | None:
        """How the service guards objects: ``COMPLIANCE``, ``GOVERNANCE``, or not at all."""
        return self._mode

    def put(self, key: str, source: Path, progress: Progress) -> None:
        """See :class:`archive.storage.Backend`."""
        with _told(key), open_regular(source) as file:
            total = os.fstat(file.fileno()).st_size
            if total <= self._part_bytes:
                data = file.read()
                self._put_whole(key, data)
                progress(total, total)
                return
            upload = self._open_upload(key)
            there = self._parts_there(key, upload)
            done, parts = 0, []
            for part in _parts(total, self._part_bytes):
                data = _bytes_of(file, part)
                digest = _sha256(data)
                if _is_there(there.get(part.number), data, digest):
                    told = {"ETag": there[part.number]["ETag"]}
                else:
                    told = self._client.upload_part(
                        Bucket=self._bucket,
                        Key=self._at(key),
                        UploadId=upload,
                        PartNumber=part.number,
                        Body=data,
                        ChecksumSHA256=digest,
                    )
                parts.append(
                    {"PartNumber": part.number, "ETag": told["ETag"], "ChecksumSHA256": digest}
                )
                done += part.bytes
                progress(done, total)
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._at(key),
                UploadId=upload,
                MultipartUpload={"Parts": parts},
            )

    def put_small(self, key: str, data: bytes) -> None:
        """See :class:`archive.storage.Backend`."""
        with _told(key):
            self._put_whole(key, data)

    def read(self, key: str, start: int, length: int | None) -> Iterator[bytes]:
        """See :class:`archive.storage.Backend`."""
        if length == 0:
            return
        end = "" if length is None else start + length - 1
        with _told(key):
            answer = self._client.get_object(
                Bucket=self._bucket,
                Key=self._at(key),
                **({"Range": f"bytes={start}-{end}"} if start or length is not None else {}),
            )
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(BLOCK)

    def head(self, key: str) -> Found | None:
        """See :class:`archive.storage.Backend`."""
        try:
            with _told(key):
                answer = self._client.head_object(Bucket=self._bucket, Key=self._at(key))
        except MissingError:
            return None
        return Found(key, answer["ContentLength"])

    def find(self, prefix: str) -> Iterator[Found]:
        """See :class:`archive.storage.Backend`."""
        with _told(prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._at(prefix)):
                for item in page.get("Contents", ()):
                    yield Found(item["Key"].removeprefix(self._prefix), item["Size"])

    def lock(self, key: str, keep: Keep) -> None:
        """Has the service refuse to delete this object: until the day, and while it is held."""
        if self._mode is None:
            return
        with _told(key):
            hold = "ON" if keep.holds else "OFF"
            where = {"Bucket": self._bucket, "Key": self._at(key)}
            until = max(keep.lock_until, keep.retain_until or keep.lock_until)
            moment = datetime.combine(until, time(23, 59, 59), UTC)
            before = self._retention(where)
            # The service takes no moment that has passed.
            if moment > datetime.now(UTC) and (before is None or before < moment):
                self._client.put_object_retention(
                    **where, Retention={"Mode": self._mode, "RetainUntilDate": moment}
                )
            self._client.put_object_legal_hold(**where, LegalHold={"Status": hold})

    def remove(self, key: str) -> None:
        """See :class:`archive.storage.Backend`."""
        at = self._at(key)
        with _told(key):
            for upload in self._uploads(key):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=at, UploadId=upload)
            if self._mode is None and not self._is_versioned():
                self._client.delete_object(Bucket=self._bucket, Key=at)
                return
            # Without a version only a mark would be set: all would still be there.
            pages = self._client.get_paginator("list_object_versions")
            for page in pages.paginate(Bucket=self._bucket, Prefix=at):
                for item in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                    if item["Key"] == at:
                        self._client.delete_object(
                            Bucket=self._bucket, Key=at, VersionId=item["VersionId"]
                        )

    def _retention(self, where: dict[str, str]) -> datetime | None:
        from botocore.exceptions import ClientError

        try:
            found = self._client.get_object_retention(**where)
        except ClientError as error:
            if _code(error) in {"NoSuchObjectLockConfiguration", "InvalidRequest", *_ABSENT}:
                return None
            raise
        until = found.get("Retention", {}).get("RetainUntilDate")
        return until if isinstance(until, datetime) else None

    def _is_versioned(self) -> bool:
        from botocore.exceptions import ClientError

        try:
            answer = self._client.get_bucket_versioning(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) in _NO_LOCK | {"VersioningNotConfigured"}:
                return False
            raise
        return answer.get("Status") in {"Enabled", "Suspended"}

    def _at(self, key: str) -> str:
        return self._prefix + key

    def _put_whole(self, key: str, data: bytes) -> None:
        self._client.put_object(
            Bucket=self._bucket, Key=self._at(key), Body=data, ChecksumSHA256=_sha256(data)
        )

    def _uploads(self, key: str) -> list[str]:
        """Uploads of this object that were begun and not ended, newest last."""
        found = []
        pages = self._client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._at(key)):
            found += [item for item in page.get("Uploads", ()) if item["Key"] == self._at(key)]
        found.sort(key=lambda item: item["Initiated"])
        return [item["UploadId"] for item in found]

    def _open_upload(self, key: str) -> str:
        """The upload that an earlier try began, or a new one."""
        begun = self._uploads(key)
        if begun:
            return begun[-1]
        made = self._client.create_multipart_upload(
            Bucket=self._bucket, Key=self._at(key), ChecksumAlgorithm="SHA256"
        )
        upload: str = made["UploadId"]
        return upload

    def _parts_there(self, key: str, upload: str) -> dict[int, dict[str, Any]]:
        pages = self._client.get_paginator("list_parts")
        found: dict[int, dict[str, Any]] = {}
        for page in pages.paginate(Bucket=self._bucket, Key=self._at(key), UploadId=upload):
            found |= {item["PartNumber"]: item for item in page.get("Parts", ())}
        return found

    def _lock_mode(self, wanted: ObjectLock) -> str | None:
        from botocore.exceptions import ClientError

        if wanted is ObjectLock.OFF:
            return None
        with _told(self._bucket):
            try:
                answer = self._client.get_object_lock_configuration(Bucket=self._bucket)
                state = answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
            except ClientError as error:
                if _code(error) not in _NO_LOCK:
                    raise
                state = None
        if state == "Enabled":
            return "COMPLIANCE" if wanted is ObjectLock.AUTO else wanted.value.upper()
        if wanted is not ObjectLock.AUTO:
            raise StorageError("bucket {bucket} has no object lock", bucket=self._bucket)
        return None


def _client(config: S3Config, secret: str) -> Any:
    """A client that knows only what is configured: no profile, no address of a cloud."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session()
    session.set_config_variable("config_file", os.devnull)
    session.set_config_variable("credentials_file", os.devnull)
    try:
        return session.create_client(
            "s3",
            region_name=config.region,
            endpoint_url=config.endpoint,
            aws_access_key_id=config.access_key_id,
            aws_secret_access_key=secret,
            verify=None if config.ca_file is None else str(config.ca_file),
            config=Config(
                connect_timeout=config.connect_timeout_s,
                read_timeout=config.read_timeout_s,
                retries={"mode": "standard", "total_max_attempts": config.attempts},
                s3={
                    "addressing_style": "path"
                    if config.addressing is Addressing.PATH
                    else "virtual"
                },
                # Every request says its SHA-256 itself; others would only cost.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                proxies={},
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise StorageError("the storage can't be used: {reason}", reason=error) from error


def _parts(total: int, part_bytes: int) -> Iterator[_Part]:
    """The parts of a file: always the same ones for the same file and setting."""
    size = max(part_bytes, math.ceil(total / _MAX_PARTS / _MIB) * _MIB)
    for number, start in enumerate(range(0, total, size), 1):
        yield _Part(number, start, min(size, total - start))


def _bytes_of(file: BinaryIO, part: _Part) -> bytes:
    file.seek(part.start)
    return file.read(part.bytes)


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _is_there(there: dict[str, Any] | None, data: bytes, digest: str) -> bool:
    """Whether the service has this part with these bytes: by its checksum, else by its ETag."""
    if there is None or there["Size"] != len(data):
        return False
    if "ChecksumSHA256" in there:
        return bool(there["ChecksumSHA256"] == digest)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return bool(there["ETag"].strip('"') == md5)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _told(key: str) -> Iterator[None]:
    """Errors of the client, as ours."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        code = _code(error)
        if code in _ABSENT:
            raise MissingError("{key} is not in the storage", key=key) from None
        if code in _REFUSED and error.operation_name == "DeleteObject":
            raise RetainedError("the storage itself guards {key}", key=key) from error
        raise StorageError(
            "the storage failed at {key}: {reason}", key=key, reason=code or "unknown"
        ) from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise StorageError(
            "the storage failed at {key}: {reason}", key=key, reason=type(error).__name__
        ) from error
