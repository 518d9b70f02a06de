"""Merkle trees of RFC 6962, section 2.1: roots, inclusion, consistency."""

import hashlib
from collections.abc import Callable, Sequence

from witness_verify.crypto import sm3

__all__ = ["Roots", "consistent", "included"]

Hash = Callable[[bytes], bytes]


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Roots:
    """Both roots over leaves that come one after another."""

    def __init__(self) -> None:
        self._nodes: list[list[tuple[int, bytes]]] = [[], []]

    def add(self, leaf: bytes) -> None:
        """The next leaf."""
        for digest, nodes in zip((_sha256, sm3), self._nodes, strict=True):
            size, node = 1, digest(b"\x00" + leaf)
            while nodes and nodes[-1][0] == size:
                node = digest(b"\x01" + nodes.pop()[1] + node)
                size *= 2
            nodes.append((size, node))

    def hex(self) -> tuple[str, str]:
        """SHA-256 and SM3."""
        first, second = (
            _folded(digest, [node for _, node in nodes])
            for digest, nodes in zip((_sha256, sm3), self._nodes, strict=True)
        )
        return first, second


def _folded(digest: Hash, nodes: list[bytes]) -> str:
    if not nodes:
        return digest(b"").hex()
    root = nodes[-1]
    for left in reversed(nodes[:-1]):
        root = digest(b"\x01" + left + root)
    return root.hex()


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


def consistent(first: tuple[int, bytes], second: tuple[int, bytes], path: Sequence[bytes]) -> bool:
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
