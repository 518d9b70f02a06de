"""Rewrites networks so that they run faster and say the same.

Three things that converters and trainers leave in files cost a runtime on a CPU more than the work
itself: weights below the least normal number (each product with one takes a hundred times as
long), padding as an operation of its own, and activations with a slope for each channel, which
have no fast kernel. A file stays as it is, and so does its digest; what is opened is this reading
of it. What comes out is the same to the last bit, but that a weight below 1e-38 is 0.

Spec: ONNX intermediate representation, ``onnx.proto3``; protocol buffers, encoding.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from analytics.models.varint import varint

__all__ = ["GraphError", "faster", "of_side"]

Field: TypeAlias = tuple[int, int | bytes]
"""Number and value; a fixed-width value keeps its bytes, with the number negative."""

_GRAPH: Final = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
_FLOAT, _INT64 = 1, 7
_RAW: Final = 9
_FIXED: Final = {1: 8, 5: 4}
_SMALLEST: Final = np.finfo(np.float32).tiny
_MAX_VARINT: Final = 10
_SPATIAL: Final = 4


class GraphError(ValueError):
    """It is no file of a network, or none of the kind that can be rewritten so."""


def faster(model: bytes) -> bytes:
    """The network without subnormal weights, padding apart, and ``PRelu``.

    Raises:
        GraphError: these bytes are no network.
    """
    graph = _Graph(model)
    graph.flush_subnormals()
    graph.fold_padding()
    graph.split_prelu()
    return graph.model()


def of_side(model: bytes, side: int) -> bytes:
    """A network for square pictures as one for smaller ones: its input, and what is resized in it.

    Args:
        model: its first input is ``(n, 3, side, side)``, all sizes in it are shares of that.
        side: pixels, of which the network's strides have to be parts.

    Raises:
        GraphError: these bytes are no network, or sizes are not shares of its side.
    """
    graph = _Graph(model)
    graph.resize(side)
    return graph.model()


@dataclass(slots=True)
class _Node:
    kind: str
    inputs: list[str]
    outputs: list[str]
    rest: list[Field] = field(default_factory=list)
    """Name, attributes and whatever else there is."""

    def attribute(self, name: str) -> list[Field] | None:
        """Fields of an attribute."""
        for number, value in self.rest:
            if number == 5 and isinstance(value, bytes):
                found = _fields(value)
                if (1, name.encode()) in found:
                    return found
        return None

    def without(self, *names: str) -> list[Field]:
        """What there is besides inputs, outputs and these attributes."""
        wanted = {(1, name.encode()) for name in names}
        return [
            (number, value)
            for number, value in self.rest
            if not (number == 5 and isinstance(value, bytes) and wanted & set(_fields(value)))
        ]

    def message(self) -> bytes:
        """As it stands in a file."""
        parts: list[Field] = [(1, name.encode()) for name in self.inputs]
        parts += [(2, name.encode()) for name in self.outputs]
        return _joined([*parts, (4, self.kind.encode()), *self.rest])


class _Graph:
    """The graph of a file, for rewriting."""

    def __init__(self, model: bytes) -> None:
        self._model = _fields(model)
        graphs = [value for number, value in self._model if number == _GRAPH]
        if len(graphs) != 1 or not isinstance(graphs[0], bytes):
            raise GraphError("not one graph in it")
        self._fields = _fields(graphs[0])
        self._nodes = [_node(value) for value in self._all(_NODE)]
        self._constants = {_name_of(value): value for value in self._all(_INITIALIZER)}
        self._is_flat = not any(
            {6, 11} & {part for part, _ in _fields(value)}
            for node in self._nodes
            for number, value in node.rest
            if number == 5 and isinstance(value, bytes)
        )
        """No graphs within it, which might use what nobody else does."""

    def _all(self, number: int) -> list[bytes]:
        values = [value for found, value in self._fields if found == number]
        if not all(isinstance(value, bytes) for value in values):
            raise GraphError(f"field {number} of the graph is no message")
        return [value for value in values if isinstance(value, bytes)]

    def model(self) -> bytes:
        """The file."""
        kept = [pair for pair in self._fields if pair[0] not in (_NODE, _INITIALIZER)]
        kept += [(_NODE, node.message()) for node in self._nodes]
        kept += [(_INITIALIZER, value) for value in self._constants.values()]
        graph = _joined(kept)
        return _joined([(n, graph if n == _GRAPH else value) for n, value in self._model])

    def flush_subnormals(self) -> None:
        """Makes weights 0 that are too small to matter, and slow."""
        for name, value in self._constants.items():
            parts = _fields(value)
            if (2, _FLOAT) in parts:
                self._constants[name] = _joined([_flushed(*part) for part in parts])

    def fold_padding(self) -> None:
        """Has convolutions pad by themselves."""
        if not self._is_flat:
            return
        outputs = {_name_of_port(value) for value in self._all(_OUTPUT)}
        users = Counter(name for node in self._nodes for name in node.inputs)
        pads = {
            node.outputs[0]: node
            for node in self._nodes
            if node.kind == "Pad" and len(node.outputs) == 1 and node.outputs[0] not in outputs
        }
        for node in self._nodes:
            pad = pads.get(node.inputs[0]) if node.kind == "Conv" and node.inputs else None
            if pad is None or users[pad.outputs[0]] != 1:
                continue
            sides = self._zeros_around(pad)
            if sides is not None and _takes_padding(node):
                attribute: list[Field] = [(1, b"pads"), *((8, side) for side in sides), (20, 7)]
                node.rest = [*node.without("auto_pad", "pads"), (5, _joined(attribute))]
                node.inputs[0] = pad.inputs[0]
                self._nodes = [one for one in self._nodes if one is not pad]

    def _zeros_around(self, pad: _Node) -> list[int] | None:
        """Rows and columns of zeros that it puts around a picture; ``None``: it does more."""
        mode = pad.attribute("mode")
        if mode is not None and (4, b"constant") not in mode:
            return None
        if len(pad.inputs) != 2 or pad.inputs[1] not in self._constants:
            return None
        values = self._integers(pad.inputs[1])
        if values is None or len(values) != 2 * _SPATIAL or min(values) < 0:
            return None
        if any(values[i] for i in (0, 1, _SPATIAL, _SPATIAL + 1)):
            return None
        return [values[i] for i in (2, 3, _SPATIAL + 2, _SPATIAL + 3)]

    def split_prelu(self) -> None:
        """``max(x, 0) + slope * min(x, 0)`` of operations that are fast."""
        taken = {name for node in self._nodes for name in (*node.inputs, *node.outputs)}
        taken |= self._constants.keys()
        nodes: list[_Node] = []
        for node in self._nodes:
            if node.kind != "PRelu" or len(node.inputs) != 2 or len(node.outputs) != 1:
                nodes.append(node)
                continue
            (x, slope), (y,) = node.inputs, node.outputs
            above, below, sloped = (_fresh(f"{y}_{part}", taken) for part in "abs")
            nodes += [
                _Node("Relu", [x], [above]),
                _Node("Sub", [x, above], [below]),
                _Node("Mul", [below, slope], [sloped]),
                _Node("Add", [above, sloped], [y]),
            ]
        self._nodes = nodes

    def resize(self, side: int) -> None:
        """Takes pictures of another side."""
        inputs = [
            value for value in self._all(_INPUT) if _name_of_port(value) not in self._constants
        ]
        if not inputs:
            raise GraphError("it has no input")
        shape = _shape(inputs[0])
        if len(shape) != _SPATIAL or shape[2] != shape[3] or not shape[2]:
            raise GraphError(f"its input has shape {shape}, which is no square picture")
        before = shape[2]
        self._scale_sizes(side, before)
        rewritten: list[Field] = []
        for number, value in self._fields:
            if number == _VALUE_INFO:
                continue
            if number in (_INPUT, _OUTPUT) and isinstance(value, bytes):
                wanted = [*shape[:2], side, side] if value == inputs[0] else None
                if number == _OUTPUT or wanted is not None:
                    rewritten.append((number, _reshaped(value, wanted)))
                    continue
            rewritten.append((number, value))
        self._fields = rewritten

    def _scale_sizes(self, side: int, before: int) -> None:
        wanted = {node.inputs[3] for node in self._nodes if _is_sized(node)}
        parts = {
            name
            for node in self._nodes
            if node.kind == "Concat" and set(node.outputs) & wanted
            for name in node.inputs
            if name in self._constants
        }
        for name in parts:
            sizes = self._integers(name)
            if sizes is None or any(size * side % before for size in sizes):
                raise GraphError(f"{name} is {sizes}: no size of a picture of {side}")
            raw = np.array([size * side // before for size in sizes], "<i8").tobytes()
            about = [pair for pair in _fields(self._constants[name]) if pair[0] not in (7, _RAW)]
            self._constants[name] = _joined([*about, (_RAW, raw)])

    def _integers(self, name: str) -> list[int] | None:
        """A constant of 64-bit integers."""
        parts = _fields(self._constants[name])
        raw = [value for number, value in parts if number == _RAW]
        if (2, _INT64) not in parts or len(raw) != 1 or not isinstance(raw[0], bytes):
            return None
        if len(raw[0]) % 8:
            raise GraphError(f"constant {name} has {len(raw[0])} bytes")
        return [int(value) for value in np.frombuffer(raw[0], "<i8")]


def _is_sized(node: _Node) -> bool:
    return node.kind == "Resize" and len(node.inputs) > 3 and bool(node.inputs[3])


def _takes_padding(conv: _Node) -> bool:
    """Whether it does no padding of its own, and works on pictures."""
    auto = conv.attribute("auto_pad")
    pads = conv.attribute("pads")
    own = [value for number, value in pads or () if number == 8]
    return (auto is None or (4, b"VALID") in auto or (4, b"NOTSET") in auto) and not any(own)


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _node(data: bytes) -> _Node:
    node = _Node("", [], [])
    for number, value in _fields(data):
        if number in (1, 2, 4):
            if not isinstance(value, bytes):
                raise GraphError("a node has a name that is none")
            text = _text(value)
            match number:
                case 1:
                    node.inputs.append(text)
                case 2:
                    node.outputs.append(text)
                case _:
                    node.kind = text
        else:
            node.rest.append((number, value))
    return node


def _flushed(number: int, value: int | bytes) -> Field:
    """Weights (raw, or packed in ``float_data``) without what is too small."""
    if number not in (_RAW, 4) or not isinstance(value, bytes):
        return number, value
    if len(value) % 4:
        raise GraphError(f"weights of {len(value)} bytes")
    weights: NDArray[np.float32] = np.frombuffer(value, "<f4")
    small = (np.abs(weights) < _SMALLEST) & (weights != 0)
    if not small.any():
        return number, value
    return number, np.where(small, np.float32(0), weights).astype("<f4").tobytes()


def _name_of(tensor: bytes) -> str:
    return _only(tensor, 8)


def _name_of_port(port: bytes) -> str:
    return _only(port, 1)


def _only(message: bytes, number: int) -> str:
    for found, value in _fields(message):
        if found == number and isinstance(value, bytes):
            return _text(value)
    raise GraphError("something has no name")


def _within(message: bytes, number: int) -> bytes | None:
    for found, value in _fields(message):
        if found == number and isinstance(value, bytes):
            return value
    return None


def _shape(port: bytes) -> list[int]:
    """Sizes of an input; 0 where one is free."""
    inner: bytes | None = port
    for number in (2, 1, 2):
        inner = None if inner is None else _within(inner, number)
    if inner is None:
        return []
    sizes = []
    for number, dimension in _fields(inner):
        if number == 1 and isinstance(dimension, bytes):
            known = [value for part, value in _fields(dimension) if part == 1]
            sizes.append(known[0] if known and isinstance(known[0], int) else 0)
    return sizes


def _reshaped(port: bytes, shape: Sequence[int] | None) -> bytes:
    """The port with that shape, or with none told."""

    def inner(message: bytes, path: Sequence[int]) -> bytes:
        parts: list[Field] = []
        for number, value in _fields(message):
            if number != path[0] or not isinstance(value, bytes):
                parts.append((number, value))
            elif len(path) > 1:
                parts.append((number, inner(value, path[1:])))
            elif shape is not None:
                sizes: list[Field] = [(1, _joined([(1, size)])) for size in shape]
                parts.append((number, _joined(sizes)))
        return _joined(parts)

    return inner(port, (2, 1, 2))


# The encoding.


def _fields(data: bytes) -> list[Field]:
    """Fields of a message.

    Raises:
        GraphError: it is none.
    """
    found: list[Field] = []
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if not number:
            raise GraphError(f"no field at byte {at}")
        if wire == 0:
            value, at = _varint(data, at)
            found.append((number, value))
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in _FIXED:
            size, number = _FIXED[wire], -number
        else:
            raise GraphError(f"no field at byte {at}")
        if size > end - at:
            raise GraphError(f"a field of {size} bytes, {end - at} are left")
        found.append((number, data[at : at + size]))
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT):
        if at + index >= len(data):
            raise GraphError("it ends within a number")
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
    raise GraphError(f"no number at byte {at}")


def _joined(parts: Iterable[Field]) -> bytes:
    return b"".join(piece for number, value in parts for piece in _pieces(number, value))


def _pieces(number: int, value: int | bytes) -> tuple[bytes, ...]:
    if isinstance(value, int):
        return varint(number << 3), varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if number < 0:
        wire = 1 if len(value) == 8 else 5
        return varint(-number << 3 | wire), value
    return varint(number << 3 | 2), varint(len(value)), value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise GraphError("a name is no text") from error
