"""Writes ONNX files: the few messages of its protocol buffers that a graph needs.

The ``onnx`` package would do as well, but it is heavy, and what it writes depends on its version
and on that of protobuf; digests of converted models are pinned, so the bytes must not.

Spec: ONNX intermediate representation, ``onnx.proto3``; protocol buffers, encoding.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from analytics.models.varint import varint

__all__ = ["OPSET", "Attribute", "Graph", "Node", "Port", "elem_type", "model_bytes"]

OPSET: Final = 18
_IR_VERSION: Final = 8
_ELEM_TYPES: Final[Mapping[str, int]] = {"float32": 1, "int32": 6, "int64": 7, "bool": 9}

Attribute: TypeAlias = int | float | str | Sequence[int]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph; a dimension that is free is a name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(slots=True)
class Graph:
    """Nodes in the order in which they can be run, and constants."""

    name: str
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)


def elem_type(dtype: str) -> int:
    """Number of a NumPy type in ONNX.

    Raises:
        KeyError: it is none of those that converters need.
    """
    return _ELEM_TYPES[dtype]


def model_bytes(graph: Graph) -> bytes:
    """The file."""
    return b"".join(
        (
            _number(1, _IR_VERSION),
            _text(2, "witness"),
            _message(7, _graph(graph)),
            _message(8, _number(2, OPSET)),
        )
    )


def _graph(graph: Graph) -> Iterable[bytes]:
    yield from (_message(1, _node(node, index)) for index, node in enumerate(graph.nodes))
    yield _text(2, graph.name)
    yield from (_message(5, _tensor(name, value)) for name, value in graph.constants.items())
    yield from (_message(11, _port(port)) for port in graph.inputs)
    yield from (_message(12, _port(port)) for port in graph.outputs)


def _node(node: Node, index: int) -> Iterable[bytes]:
    yield from (_text(1, name) for name in node.inputs)
    yield from (_text(2, name) for name in node.outputs)
    yield _text(3, f"{node.kind}_{index}")
    yield _text(4, node.kind)
    for name, value in sorted(node.attributes.items()):
        yield _message(5, _attribute(name, value))


def _attribute(name: str, value: Attribute) -> Iterable[bytes]:
    yield _text(1, name)
    match value:
        case int():
            yield _number(3, value)
            yield _number(20, 2)
        case float():
            yield _key(2, 5) + struct.pack("<f", value)
            yield _number(20, 1)
        case str():
            yield _text(4, value)
            yield _number(20, 3)
        case _:
            yield from (_number(8, item) for item in value)
            yield _number(20, 7)


def _tensor(name: str, value: NDArray[Any]) -> Iterable[bytes]:
    yield from (_number(1, size) for size in value.shape)
    yield _number(2, elem_type(value.dtype.name))
    yield _text(8, name)
    yield _bytes(9, np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")).tobytes())


def _port(port: Port) -> Iterable[bytes]:
    dimensions = (
        _message(1, _text(2, size) if isinstance(size, str) else _number(1, size))
        for size in port.shape
    )
    tensor = (_number(1, elem_type(port.dtype)), _message(2, dimensions))
    yield _text(1, port.name)
    yield _message(2, _message(1, tensor))


def _key(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def _number(number: int, value: int) -> bytes:
    return _key(number, 0) + varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _key(number, 2) + varint(len(value)) + value


def _message(number: int, parts: bytes | Iterable[bytes]) -> bytes:
    return _bytes(number, parts if isinstance(parts, bytes) else b"".join(parts))
