"""Converts graph models of TensorFlow.js (``model.json`` and its weights) to ONNX."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from analytics.errors import ModelInstallError
from analytics.models.convert.onnx_file import Graph, Node, Port, model_bytes
from analytics.models.convert.operations import (
    OPERATIONS,
    Attributes,
    ConversionError,
    dtype_of,
    folded,
)
from analytics.models.convert.views import Builder, Constant, Value, View, identity

__all__ = ["Output", "convert_tfjs"]

_BYTES: Final[Mapping[str, int]] = {"float16": 2, "float32": 4, "int32": 4}


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the converted graph: what it is called, which node it is, and its shape."""

    name: str
    node: str
    shape: tuple[int | str, ...]


def convert_tfjs(
    name: str, topology: bytes, weights: bytes, outputs: Sequence[Output] = ()
) -> bytes:
    """The ONNX file of a graph model; the same bytes for the same input on every machine.

    Args:
        name: of the graph.
        topology: ``model.json``.
        weights: the file of weights that it names.
        outputs: those of the signature by default.

    Raises:
        ModelInstallError: it has something that the converter does not know.
    """
    try:
        return model_bytes(_graph(name, json.loads(topology), weights, outputs))
    except (ConversionError, KeyError, ValueError, TypeError, IndexError) as error:
        raise ModelInstallError(
            "can't convert {model}: {reason}", model=name, reason=f"{error}"
        ) from error


def _graph(name: str, model: dict[str, Any], weights: bytes, outputs: Sequence[Output]) -> Graph:
    graph = Graph(name)
    nodes = {node["name"]: node for node in model["modelTopology"]["node"]}
    signed = sorted(model["signature"]["outputs"].values(), key=lambda port: port["name"])
    walk = _Walk(Builder(graph), nodes, _weights(model["weightsManifest"], weights))
    for port in model["signature"]["inputs"].values():
        walk.begin(port)
    for output in outputs or [
        Output(port["name"], port["name"].partition(":")[0], _shape(port)) for port in signed
    ]:
        walk.finish(output)
    return graph


def _shape(port: dict[str, Any]) -> tuple[int | str, ...]:
    sizes = [int(dim["size"]) for dim in port["tensorShape"]["dim"]]
    return tuple(size if size >= 0 else "batch" for size in sizes)


class _Walk:
    """Converts the nodes that the outputs need, each once."""

    def __init__(
        self, build: Builder, nodes: Mapping[str, dict[str, Any]], weights: dict[str, Constant]
    ) -> None:
        self._build = build
        self._nodes = nodes
        self._values: dict[str, list[Value]] = {key: [value] for key, value in weights.items()}

    def begin(self, port: dict[str, Any]) -> None:
        """Declares an input."""
        shape = _shape(port)
        self._build.graph.inputs.append(Port(port["name"], dtype_of(port["dtype"]), shape))
        node = port["name"].partition(":")[0]
        self._values[node] = [View(port["name"], identity(len(shape)))]

    def finish(self, output: Output) -> None:
        """Declares an output."""
        value = self._value(output.node)
        if not isinstance(value, View) or value.rank != len(output.shape):
            raise ConversionError(f"{output.node} is no tensor of {len(output.shape)} axes")
        graph = self._build.graph
        last = self._build.tensor(value)
        graph.nodes.append(Node("Identity", (last,), (output.name,)))
        graph.outputs.append(Port(output.name, "float32", output.shape))

    def _value(self, reference: str) -> Value:
        """A value by its reference, ``node`` or ``node:1``."""
        name, _, index = reference.partition(":")
        # Nodes are converted depth first; graphs here are shallow enough for a list as the stack.
        stack = [name]
        while stack:
            current = stack[-1]
            if current in self._values:
                stack.pop()
                continue
            node = self._nodes[current]
            inputs = [one for one in node.get("input", []) if not one.startswith("^")]
            missing = [one.partition(":")[0] for one in inputs]
            missing = [one for one in missing if one not in self._values]
            if missing:
                stack += missing
                continue
            self._values[current] = self._converted(node, inputs)
            stack.pop()
        return self._values[name][int(index or 0)]

    def _converted(self, node: dict[str, Any], references: list[str]) -> list[Value]:
        attributes = Attributes(node.get("attr") or {})
        inputs = [self._value(reference) for reference in references]
        constants = [value for value in inputs if not isinstance(value, View)]
        if len(constants) == len(inputs):
            made = folded(node["op"], constants)
            if made is not None:
                return [made]
        operation = OPERATIONS.get(node["op"])
        if operation is None:
            raise ConversionError(f"operation {node['op']}")
        value = operation(self._build, attributes, inputs)
        return value if isinstance(value, list) else [value]


def _weights(manifest: list[dict[str, Any]], content: bytes) -> dict[str, Constant]:
    if len(manifest) != 1:
        raise ConversionError("weights in several groups")
    found: dict[str, Constant] = {}
    offset = 0
    for entry in manifest[0]["weights"]:
        shape = [int(size) for size in entry["shape"]]
        stored = entry.get("quantization", {}).get("dtype", entry["dtype"])
        if stored not in _BYTES or (stored != entry["dtype"] and stored != "float16"):
            raise ConversionError(f"weights of type {stored}")
        count = int(np.prod(shape, dtype=np.int64))
        values = np.frombuffer(content, np.dtype(stored).newbyteorder("<"), count, offset)
        found[entry["name"]] = values.reshape(shape).astype(entry["dtype"])
        offset += count * _BYTES[stored]
    if offset != len(content):
        raise ConversionError(f"{len(content)} bytes of weights, not {offset}")
    return found
