"""A server's own append-only log of everything it sealed (RFC 6962, section 2, on files).

``leaves.jsonl`` has one line for each package, ``heads.jsonl`` one signed tree head for each leaf.
A head that somebody else keeps (a regulator, a newspaper) binds all packages before it: none can
be taken back, exchanged or put between later without its showing.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from recorder.canonical import canonical
from recorder.errors import TransparencyError
from recorder.keys import KeyRing
from recorder.merkle import consistency_proof, inclusion_proof, leaf_hash, tree_root

__all__ = ["TransparencyLog"]

_LEAVES: Final = "leaves.jsonl"
_HEADS: Final = "heads.jsonl"


class TransparencyLog:
    """One log in one directory; several processes may use it, one after another."""

    def __init__(self, directory: Path, keys: KeyRing) -> None:
        self._directory = directory
        self._keys = keys

    def add(self, leaf: dict[str, Any], time: str) -> dict[str, Any]:
        """Appends a leaf and signs the new head.

        Args:
            leaf: what is logged, canonical JSON.
            time: RFC 3339, for the head.

        Returns:
            ``proofs/log.json`` of a package: leaf, index, inclusion proof, signed head, and the
            consistency proof from the head before it (``anchor``), if there was one.

        Raises:
            TransparencyError: the log is damaged.
            SigningError: a key can't be used.
            OSError: the disk refused.
        """
        line = canonical(leaf)
        with self._locked():
            leaves, heads = self._read()
            anchor = heads[-1] if heads else None
            if leaves and anchor is None:
                # A crash after the very first leaf.
                anchor = self._signed_head(leaves, time)
                _append(self._directory / _HEADS, canonical(anchor))
            leaves.append(leaf_hash(line))
            head = self._signed_head(leaves, time)
            _append(self._directory / _LEAVES, line)
            _append(self._directory / _HEADS, canonical(head))
        size = len(leaves)
        before = 0 if anchor is None else anchor["size"]
        return {
            "format": "witness-log-proof/1",
            "leaf": leaf,
            "index": size - 1,
            "inclusion": [item.hex() for item in inclusion_proof(leaves, size - 1)],
            "head": head,
            "anchor": anchor,
            "consistency": [item.hex() for item in consistency_proof(leaves, before)],
        }

    def head(self, from_size: int = 0) -> dict[str, Any]:
        """The newest signed head, for somebody to keep, with the proof that it grew out of an
        earlier one.

        Raises:
            TransparencyError: the log is empty, shorter than ``from_size``, or damaged.
        """
        with self._locked():
            leaves, heads = self._read()
        if not heads or from_size > len(leaves):
            raise TransparencyError("the transparency log has {size} entries", size=len(leaves))
        return {
            "format": "witness-log-head/1",
            "head": heads[-1],
            "from": from_size,
            "consistency": [item.hex() for item in consistency_proof(leaves, from_size)],
        }

    def _signed_head(self, leaves: list[bytes], time: str) -> dict[str, Any]:
        body = {"root": tree_root(leaves).hex(), "size": len(leaves), "time": time}
        return {**body, "signatures": self._keys.sign(canonical(body), chains=False)}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> tuple[list[bytes], list[dict[str, Any]]]:
        """Leaf hashes and heads; a leaf without a head (a crash between both) is signed again."""
        leaves = [leaf_hash(line) for line in _lines(self._directory / _LEAVES)]
        try:
            heads: list[dict[str, Any]] = [
                json.loads(line) for line in _lines(self._directory / _HEADS)
            ]
            sound = not heads or (
                heads[-1]["size"] <= len(leaves)
                and heads[-1]["root"] == tree_root(leaves[: heads[-1]["size"]]).hex()
            )
        except (ValueError, KeyError, TypeError):
            sound, heads = False, []
        if not sound:
            raise TransparencyError(
                "the transparency log in {path} is not what was signed", path=self._directory
            )
        return leaves, heads


def _lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    # What has no end was torn by a crash before anybody was given a proof of it.
    return data.split(b"\n")[:-1]


def _append(path: Path, line: bytes) -> None:
    with path.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(max(0, size - 65_536))
            whole = file.read()
            file.truncate(size - (len(whole) - whole.rfind(b"\n") - 1))
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
