"""Builds an ONNX graph out of one whose pictures have their channels last.

ONNX wants channels first. Instead of a transposition around every convolution, each value is a
view: a tensor of the graph, and the order in which its axes are meant. A transposition then costs
nothing until an operation needs another order than the tensor has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from analytics.models.convert.onnx_file import Attribute, Graph, Node

__all__ = ["CHANNELS_FIRST", "Builder", "Constant", "Order", "Value", "View", "identity"]

Order: TypeAlias = tuple[int, ...]
Constant: TypeAlias = NDArray[Any]

CHANNELS_FIRST: Final[Order] = (0, 2, 3, 1)
"""Order of a view of a tensor with channels first, which is meant with channels last."""


@dataclass(frozen=True, slots=True)
class View:
    """A tensor, and which of its axes stands where: axis ``i`` of what is meant is ``order[i]``.

    Attributes:
        width: size of the last axis as it is meant, where it is known.
    """

    tensor: str
    order: Order
    width: int | None = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.order)


Value: TypeAlias = View | Constant


def identity(rank: int) -> Order:
    """The order of a tensor that is meant as it is."""
    return tuple(range(rank))


class Builder:
    """Adds nodes to a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._turned: dict[tuple[str, Order], str] = {}
        self._shared: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def node(
        self, kind: str, inputs: Sequence[str], outputs: int, **attributes: Attribute
    ) -> list[str]:
        """Adds a node; names of its outputs."""
        return self._add(kind, inputs, outputs, attributes)

    def one(self, kind: str, inputs: Sequence[str], **attributes: Attribute) -> str:
        """Adds a node with one output; its name."""
        return self._add(kind, inputs, 1, attributes)[0]

    def _add(
        self, kind: str, inputs: Sequence[str], outputs: int, attributes: Mapping[str, Attribute]
    ) -> list[str]:
        names = tuple(f"t{len(self.graph.nodes)}_{index}" for index in range(outputs))
        self.graph.nodes.append(Node(kind, tuple(inputs), names, attributes))
        return list(names)

    def constant(self, value: Constant) -> str:
        """Name of a constant; equal ones are kept once."""
        value = np.asarray(value)
        key = (value.dtype.name, value.shape, value.tobytes())
        if key not in self._shared:
            self._shared[key] = f"c{len(self.graph.constants)}"
            self.graph.constants[self._shared[key]] = value
        return self._shared[key]

    def tensor(self, value: Value, order: Order | None = None) -> str:
        """Name of a tensor with the axes in this order; as they are meant by default."""
        if not isinstance(value, View):
            return self.constant(value if order is None else value.transpose(_inverse(order)))
        wanted = identity(value.rank) if order is None else order
        turn = tuple(value.order[axis] for axis in _inverse(wanted))
        if turn == identity(value.rank):
            return value.tensor
        key = (value.tensor, turn)
        if key not in self._turned:
            self._turned[key] = self.one("Transpose", [value.tensor], perm=turn)
        return self._turned[key]

    def elementwise(
        self, kind: str, value: View, *more: Value, attributes: Mapping[str, Attribute] = {}
    ) -> View:
        """An operation on each element; other operands are broadcast to the view."""
        names = [self.operand(other, value.order) for other in more]
        return View(self.one(kind, [value.tensor, *names], **attributes), value.order)

    def operand(self, value: Value, order: Order) -> str:
        """Name of a tensor that is broadcast to one with its axes in this order."""
        if isinstance(value, View):
            if value.rank == len(order):
                return self.tensor(value, order)
            missing = list(range(len(order) - value.rank))
            name = self.tensor(value)
            if missing:
                axes = self.constant(np.array(missing, np.int64))
                name = self.one("Unsqueeze", [name, axes])
            return self.tensor(View(name, identity(len(order))), order)
        if value.ndim == 0:
            return self.constant(value)
        full = value.reshape((1,) * (len(order) - value.ndim) + value.shape)
        return self.constant(full.transpose(_inverse(order)))


def _inverse(order: Order) -> Order:
    return tuple(order.index(axis) for axis in range(len(order)))
