"""Merkle trees of RFC 6962, section 2.1: roots, inclusion, consistency."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from witness_verify.crypto import sm3

__all__ = ["Roots", "consistent", "included"]

Tree = tuple[int, bytes]


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Roots:
    """Both roots over leaves that come one after another."""

    def __init__(self) -> None:
        # Whole subtrees, the largest first: how many leaves, and their root.
        self._trees: list[tuple[int, bytes, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """The next leaf."""
        size, first, second = 1, _sha256(b"\x00" + leaf), sm3(b"\x00" + leaf)
        while self._trees and self._trees[-1][0] == size:
            size, first, second = self._joined((size, first, second))
        self._trees.append((size, first, second))

    def hex(self) -> tuple[str, str]:
        """SHA-256 and SM3; ends this object's use."""
        if not self._trees:
            return _sha256(b"").hex(), sm3(b"").hex()
        right = self._trees.pop()
        while self._trees:
            right = self._joined(right)
        return right[1].hex(), right[2].hex()

    def _joined(self, right: tuple[int, bytes, bytes]) -> tuple[int, bytes, bytes]:
        size, first, second = self._trees.pop()
        both = _sha256(b"\x01" + first + right[1]), sm3(b"\x01" + second + right[2])
        return (size + right[0], *both)


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf stands at an index of the tree with that size and root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last = _sha256(b"\x00" + leaf), size - 1
    for step in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            node = _sha256(b"\x01" + step + node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = _sha256(b"\x01" + node + step)
        index, last = index >> 1, last >> 1
    return last == 0 and node == root


def consistent(first: Tree, second: Tree, path: Sequence[bytes]) -> bool:
    """Whether the first tree (size, root) is the beginning of the second (RFC 9162, 2.1.4.2)."""
    (small, old), (size, new) = first, second
    if small == size:
        return old == new and not path
    if not 0 < small < size or not path:
        return False
    steps = list(path) if small & (small - 1) else [old, *path]
    index, last = small - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            before, after = _sha256(b"\x01" + step + before), _sha256(b"\x01" + step + after)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            after = _sha256(b"\x01" + after + step)
        index, last = index >> 1, last >> 1
    return last == 0 and before == old and after == new
