"""Merkle trees and the proofs that something is in one, or that one grew out of another.

Spec: RFC 6962, section 2.1. Leaves and nodes are hashed with different prefixes, so neither passes
for the other.
"""

import hashlib
from collections.abc import Callable, Sequence

from recorder.digests import sm3

__all__ = ["MerkleRoot", "consistency_proof", "inclusion_proof", "leaf_hash", "sha256", "tree_root"]

Hash = Callable[[bytes], bytes]


def sha256(data: bytes) -> bytes:
    """32 bytes."""
    return hashlib.sha256(data).digest()


def leaf_hash(data: bytes, digest: Hash = sha256) -> bytes:
    """Hash of one leaf."""
    return digest(b"\x00" + data)


class MerkleRoot:
    """Both roots of leaves that come one after another; memory grows with the tree's height."""

    def __init__(self) -> None:
        self._sides = ((sha256, _Spine(sha256)), (sm3, _Spine(sm3)))

    def add(self, leaf: bytes) -> None:
        """The next leaf."""
        for digest, spine in self._sides:
            spine.add(leaf_hash(leaf, digest))

    def roots(self) -> dict[str, str]:
        """``{"sha256": …, "sm3": …}`` in hexadecimal."""
        (_, first), (_, second) = self._sides
        return {"sha256": first.root().hex(), "sm3": second.root().hex()}


class _Spine:
    """Roots of the complete subtrees so far, the largest first."""

    def __init__(self, digest: Hash) -> None:
        self._digest = digest
        self._subtrees: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        size, node = 1, leaf
        while self._subtrees and self._subtrees[-1][0] == size:
            _, left = self._subtrees.pop()
            size, node = 2 * size, self._digest(b"\x01" + left + node)
        self._subtrees.append((size, node))

    def root(self) -> bytes:
        if not self._subtrees:
            return self._digest(b"")
        _, node = self._subtrees[-1]
        for _, left in reversed(self._subtrees[:-1]):
            node = self._digest(b"\x01" + left + node)
        return node


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes (SHA-256)."""
    spine = _Spine(sha256)
    for leaf in leaves:
        spine.add(leaf)
    return spine.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The path from leaf ``index`` to the root, from the bottom up.

    Spec: RFC 6962, section 2.1.1.
    """
    if len(leaves) <= 1:
        return []
    split = _split(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if index < split:
        return [*inclusion_proof(left, index), tree_root(right)]
    return [*inclusion_proof(right, index - split), tree_root(left)]


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """That the tree over the first ``size`` leaves is the beginning of the tree over all.

    Spec: RFC 6962, section 2.1.2. Empty when ``size`` is 0 or that of the whole tree.
    """
    return _subproof(leaves, size, whole=True) if 0 < size < len(leaves) else []


def _subproof(leaves: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [tree_root(leaves)]
    split = _split(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if size <= split:
        return [*_subproof(left, size, whole=whole), tree_root(right)]
    return [*_subproof(right, size - split, whole=False), tree_root(left)]


def _split(count: int) -> int:
    """The largest power of two below ``count``."""
    return 1 << (count - 1).bit_length() - 1
