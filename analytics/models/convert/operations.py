"""What each operation of a tfjs graph model becomes in ONNX."""

# ruff: noqa: ARG001 - operations have one signature, whether they need all of it or not.

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from analytics.models.convert.onnx_file import Attribute, elem_type
from analytics.models.convert.views import CHANNELS_FIRST, Builder, Constant, Value, View, identity

__all__ = ["OPERATIONS", "Attributes", "ConversionError", "Operation", "folded"]

_DTYPES: Final[Mapping[str, str]] = {
    "DT_FLOAT": "float32",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_BOOL": "bool",
}


class ConversionError(Exception):
    """A graph has something that the converter does not know."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes of a node as tfjs writes them."""

    raw: Mapping[str, Any]

    def number(self, name: str) -> int:
        """A whole number."""
        return int(self.raw[name]["i"])

    def real(self, name: str, default: float) -> float:
        """A number."""
        return float(self.raw[name]["f"]) if name in self.raw else default

    def numbers(self, name: str) -> list[int]:
        """Whole numbers."""
        return [int(item) for item in self.raw[name]["list"].get("i", [])]

    def text(self, name: str, default: str = "") -> str:
        """A word."""
        return base64.b64decode(self.raw[name]["s"]).decode() if name in self.raw else default

    def texts(self, name: str) -> list[str]:
        """Words."""
        return [base64.b64decode(item).decode() for item in self.raw[name]["list"]["s"]]

    def flag(self, name: str) -> bool:
        """Yes or no."""
        return bool(self.raw.get(name, {}).get("b", False))

    def dtype(self, name: str) -> str:
        """A type, as NumPy calls it."""
        return dtype_of(self.raw[name]["type"])


def dtype_of(name: str) -> str:
    """``DT_FLOAT`` → ``float32``.

    Raises:
        ConversionError: it is none of those that models here have.
    """
    if name not in _DTYPES:
        raise ConversionError(f"type {name}")
    return _DTYPES[name]


Operation: TypeAlias = Callable[[Builder, Attributes, list[Value]], Value | list[Value]]
_Single: TypeAlias = Callable[[Builder, Attributes, list[Value]], View]


def _view(value: Value) -> View:
    if not isinstance(value, View):
        raise ConversionError("a constant where a tensor was expected")
    return value


def _constant(value: Value) -> Constant:
    if isinstance(value, View):
        raise ConversionError("a tensor where a constant was expected")
    return value


def _whole(value: Value) -> list[int]:
    return [int(item) for item in _constant(value).ravel()]


def _axis(value: Value, axis: int, *, more: int = 0) -> int:
    return axis % (_rank(value) + more)


def _rank(value: Value) -> int:
    return value.rank if isinstance(value, View) else value.ndim


def _window(attributes: Attributes, name: str) -> list[int]:
    """Height and width out of a list in the order of the format, which has channels last."""
    if attributes.text("data_format", "NHWC") != "NHWC":
        raise ConversionError(f"format {attributes.text('data_format')}")
    _, height, width, _ = attributes.numbers(name)
    return [height, width]


def _padding(attributes: Attributes) -> dict[str, Attribute]:
    padding = attributes.text("padding")
    if padding not in {"SAME", "VALID"}:
        raise ConversionError(f"padding {padding}")
    return {"auto_pad": "SAME_UPPER" if padding == "SAME" else "VALID"}


def _conv(build: Builder, attributes: Attributes, inputs: list[Value], weights: Constant) -> View:
    """A convolution with weights ``(out, in, height, width)`` and what is fused with it."""
    picture = _view(inputs[0])
    names = [build.tensor(picture, CHANNELS_FIRST), build.constant(weights)]
    rest = list(inputs[2:])
    fused = attributes.texts("fused_ops") if "fused_ops" in attributes.raw else []
    if fused[:1] == ["BiasAdd"]:
        names.append(build.constant(_constant(rest.pop(0)).ravel()))
        fused = fused[1:]
    out = build.one(
        "Conv",
        names,
        strides=_window(attributes, "strides"),
        dilations=_window(attributes, "dilations"),
        group=_groups(weights, inputs[1]),
        **_padding(attributes),
    )
    view = View(out, CHANNELS_FIRST)
    for kind in fused:
        view = _activated(build, attributes, kind, view, rest)
    return view


def _groups(weights: Constant, source: Value) -> int:
    return weights.shape[0] // _constant(source).shape[3] if weights.shape[1] == 1 else 1


def _activated(
    build: Builder, attributes: Attributes, kind: str, view: View, rest: list[Value]
) -> View:
    match kind:
        case "Relu" | "Elu" | "Sigmoid" | "Tanh":
            return build.elementwise(kind, view)
        case "Relu6":
            return _relu6(build, view)
        case "LeakyRelu":
            alpha = attributes.real("leakyrelu_alpha", 0.2)
            return build.elementwise("LeakyRelu", view, attributes={"alpha": alpha})
        case "Prelu":
            return build.elementwise("PRelu", view, rest.pop(0))
        case _:
            raise ConversionError(f"fused {kind}")


def _relu6(build: Builder, view: View) -> View:
    low, high = np.float32(0), np.float32(6)
    return build.elementwise("Clip", view, np.asarray(low), np.asarray(high))


def _conv2d(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    return _conv(build, attributes, inputs, _constant(inputs[1]).transpose(3, 2, 0, 1))


def _depthwise(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    source = _constant(inputs[1])
    height, width, channels, each = source.shape
    weights = source.transpose(2, 3, 0, 1).reshape(channels * each, 1, height, width)
    return _conv(build, attributes, inputs, weights)


def _max_pool(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    out = build.one(
        "MaxPool",
        [build.tensor(_view(inputs[0]), CHANNELS_FIRST)],
        kernel_shape=_window(attributes, "ksize"),
        strides=_window(attributes, "strides"),
        **_padding(attributes),
    )
    return View(out, CHANNELS_FIRST)


def _resize(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    if attributes.flag("align_corners") or not attributes.flag("half_pixel_centers"):
        raise ConversionError("ResizeBilinear of another kind than half pixel centers")
    name = build.tensor(_view(inputs[0]), CHANNELS_FIRST)
    sizes = build.constant(np.array(_whole(inputs[1]), np.int64))
    # Onnxruntime 1.32 moves transpositions wrongly through a Resize that has axes.
    kept = build.one("Shape", [name], start=0, end=2)
    out = build.one(
        "Resize",
        [name, "", "", build.one("Concat", [kept, sizes], axis=0)],
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    return View(out, CHANNELS_FIRST)


def _pad(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    view = _view(inputs[0])
    by_axis = _constant(inputs[1])
    pads = np.zeros((2, view.rank), np.int64)
    for meant, axis in enumerate(view.order):
        pads[:, axis] = by_axis[meant]
    names = [view.tensor, build.constant(pads.ravel())]
    if len(inputs) > 2:
        names.append(build.constant(_constant(inputs[2])))
    return View(build.one("Pad", names), view.order)


def _transpose(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    view = _view(inputs[0])
    return View(view.tensor, tuple(view.order[axis] for axis in _whole(inputs[1])))


def _binary(kind: str) -> _Single:
    def convert(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
        rank = max(_rank(value) for value in inputs)
        order = next(
            (value.order for value in inputs if isinstance(value, View) and value.rank == rank),
            identity(rank),
        )
        return View(build.one(kind, [build.operand(value, order) for value in inputs]), order)

    return convert


_MULTIPLY: Final = _binary("Mul")
_SUBTRACT: Final = _binary("Sub")
_DIVIDE: Final = _binary("Div")


def _squared_difference(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    difference = _SUBTRACT(build, attributes, inputs)
    return _MULTIPLY(build, attributes, [difference, difference])


def _floor_div(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    """ONNX cuts towards zero: what is left over goes first."""
    left = _binary("Mod")(build, attributes, inputs)
    even = _SUBTRACT(build, attributes, [inputs[0], left])
    return _DIVIDE(build, attributes, [even, inputs[1]])


def _unary(kind: str) -> Operation:
    def convert(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
        return build.elementwise(kind, _view(inputs[0]))

    return convert


def _leaky_relu(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    alpha = attributes.real("alpha", 0.2)
    return build.elementwise("LeakyRelu", _view(inputs[0]), attributes={"alpha": alpha})


def _prelu(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    return build.elementwise("PRelu", _view(inputs[0]), inputs[1])


def _concat(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    *parts, last = inputs
    order = next(part.order for part in parts if isinstance(part, View))
    meant = _axis(parts[0], _whole(last)[0])
    names = [build.tensor(part, order) for part in parts]
    widths = [width for width in map(_width, parts) if width is not None]
    is_wider = meant == len(order) - 1 and len(widths) == len(parts)
    width = sum(widths) if is_wider else None
    return View(build.one("Concat", names, axis=order[meant]), order, width)


def _split(build: Builder, attributes: Attributes, inputs: list[Value]) -> list[Value]:
    view = _view(inputs[0])
    sizes = _whole(inputs[1])
    names = build.node(
        "Split",
        [view.tensor, build.constant(np.array(sizes, np.int64))],
        outputs=len(sizes),
        axis=view.order[_axis(view, _whole(inputs[2])[0])],
    )
    return [View(name, view.order) for name in names]


def _unpack(build: Builder, attributes: Attributes, inputs: list[Value]) -> list[Value]:
    view = _view(inputs[0])
    axis = _axis(view, attributes.number("axis"))
    name, count = build.tensor(view), attributes.number("num")
    parts = [name]
    if count > 1:
        parts = build.node("Split", [name], outputs=count, axis=axis, num_outputs=count)
    axes = build.constant(np.array([axis], np.int64))
    return [View(build.one("Squeeze", [part, axes]), identity(view.rank - 1)) for part in parts]


def _pack(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    axis = _axis(inputs[0], attributes.number("axis"), more=1)
    axes = build.constant(np.array([axis], np.int64))
    parts = [build.one("Unsqueeze", [build.tensor(part), axes]) for part in inputs]
    rank = _rank(inputs[0]) + 1
    width = len(inputs) if axis == rank - 1 else None
    return View(build.one("Concat", parts, axis=axis), identity(rank), width)


def _expand_dims(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    view = _view(inputs[0])
    axis = _axis(view, _whole(inputs[1])[0], more=1)
    axes = build.constant(np.array([axis], np.int64))
    return View(build.one("Unsqueeze", [build.tensor(view), axes]), identity(view.rank + 1))


def _squeeze(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    view = _view(inputs[0])
    axes = [_axis(view, axis) for axis in attributes.numbers("squeeze_dims")]
    names = [build.tensor(view), build.constant(np.array(axes, np.int64))]
    return View(build.one("Squeeze", names), identity(view.rank - len(axes)))


def _reshape(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    shape = _whole(inputs[1])
    names = [build.tensor(_view(inputs[0])), build.constant(np.array(shape, np.int64))]
    return View(build.one("Reshape", names), identity(len(shape)))


def _cast(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    to = elem_type(attributes.dtype("DstT"))
    return build.elementwise("Cast", _view(inputs[0]), attributes={"to": to})


def _arg_max(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    view = _view(inputs[0])
    axis = _axis(view, _whole(inputs[1])[0])
    found = build.one("ArgMax", [build.tensor(view)], axis=axis, keepdims=0)
    to = elem_type(attributes.dtype("output_type"))
    return View(build.one("Cast", [found], to=to), identity(view.rank - 1))


def _gather_nd(build: Builder, attributes: Attributes, inputs: list[Value]) -> View:
    params, indices = inputs
    width = _width(indices)
    if width is None:
        raise ConversionError("GatherNd of an unknown number of indices")
    if isinstance(indices, View):
        name = build.one("Cast", [build.tensor(indices)], to=elem_type("int64"))
    else:
        name = build.constant(indices.astype(np.int64))
    rank = _rank(indices) - 1 + _rank(params) - width
    return View(build.one("GatherND", [build.tensor(params), name]), identity(rank))


def _width(value: Value) -> int | None:
    return value.width if isinstance(value, View) else int(value.shape[-1])


def _same(build: Builder, attributes: Attributes, inputs: list[Value]) -> Value:
    return inputs[0]


OPERATIONS: Final[Mapping[str, Operation]] = {
    "Add": _binary("Add"),
    "AddV2": _binary("Add"),
    "ArgMax": _arg_max,
    "Cast": _cast,
    "ConcatV2": _concat,
    "Conv2D": _conv2d,
    "DepthwiseConv2dNative": _depthwise,
    "ExpandDims": _expand_dims,
    "FloorDiv": _floor_div,
    "FusedDepthwiseConv2dNative": _depthwise,
    "GatherNd": _gather_nd,
    "Identity": _same,
    "LeakyRelu": _leaky_relu,
    "MaxPool": _max_pool,
    "Mul": _MULTIPLY,
    "Pack": _pack,
    "Pad": _pad,
    "PadV2": _pad,
    "Prelu": _prelu,
    "RealDiv": _DIVIDE,
    "Reshape": _reshape,
    "ResizeBilinear": _resize,
    "Sigmoid": _unary("Sigmoid"),
    "SplitV": _split,
    "Sqrt": _unary("Sqrt"),
    "SquaredDifference": _squared_difference,
    "Squeeze": _squeeze,
    "Sub": _SUBTRACT,
    "Transpose": _transpose,
    "Unpack": _unpack,
    "_FusedConv2D": _conv2d,
    "_FusedDepthwiseConv2dNative": _depthwise,
}


def folded(kind: str, inputs: Sequence[Constant]) -> Constant | None:
    """What an operation makes of constants alone; ``None`` where no graph here needs it."""
    match kind:
        case "Identity":
            return inputs[0]
        case "Add" | "AddV2":
            return np.asarray(inputs[0] + inputs[1])
        case "SparseToDense":
            _, shape, values, default = inputs
            # Of no values: a way to write a constant.
            return np.full(shape.ravel(), default, values.dtype) if values.size == 0 else None
        case _:
            return None
