"""Every digest is made twice: SHA-256 for the world, SM3 (GB/T 32905) where the law asks for it."""

import hashlib
from dataclasses import dataclass
from typing import Any, Self

from cryptography.hazmat.primitives import hashes

from recorder.errors import CanonicalError

__all__ = ["Digester", "Digests", "digests_of", "sm3"]


@dataclass(frozen=True, slots=True)
class Digests:
    """Two digests of the same bytes, 64 lower-case hexadecimal digits each."""

    sha256: str
    sm3: str

    def to_json(self) -> dict[str, str]:
        """``{"sha256": …, "sm3": …}``."""
        return {"sha256": self.sha256, "sm3": self.sm3}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            CanonicalError: it is of another form.
        """
        if not isinstance(value, dict) or value.keys() != {"sha256", "sm3"}:
            raise CanonicalError("digests are an object of sha256 and sm3")
        for digest in value.values():
            if not _is_digest(digest):
                raise CanonicalError("a digest has 64 lower-case hexadecimal digits")
        return cls(value["sha256"], value["sm3"])


class Digester:
    """Both digests of what is fed piece by piece."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._sm3 = hashes.Hash(hashes.SM3())

    def update(self, data: bytes) -> None:
        """Takes the next bytes."""
        self._sha256.update(data)
        self._sm3.update(data)

    def finish(self) -> Digests:
        """The digests of all that was fed; ends this object's use."""
        return Digests(self._sha256.hexdigest(), self._sm3.finalize().hex())


def digests_of(data: bytes) -> Digests:
    """Both digests of bytes at hand."""
    digester = Digester()
    digester.update(data)
    return digester.finish()


def sm3(data: bytes) -> bytes:
    """The SM3 digest, 32 bytes."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
