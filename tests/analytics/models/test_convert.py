"""The converter against TensorFlow.js itself, and each operation against NumPy."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from analytics.errors import ModelInstallError
from analytics.models.convert import Output, convert_tfjs
from analytics.models.manifest import the_manifest
from tests.models import installed

CONTROL = Path(__file__).parents[2] / "data" / "models" / "tfjs_control.json"
RNG = np.random.default_rng(7)
PICTURE = RNG.normal(size=(1, 6, 5, 4)).astype(np.float32)


def word(text: str) -> dict[str, Any]:
    return {"s": base64.b64encode(text.encode()).decode()}


def numbers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


WINDOW = {"strides": numbers(1, 2, 2, 1), "dilations": numbers(1, 1, 1, 1), "padding": word("SAME")}


class Model:
    """A graph of one operation ``op`` on the input ``x`` and constants."""

    def __init__(self, x: Any, *nodes: dict[str, Any], **constants: Any) -> None:
        self.x = x
        dtype = "DT_INT32" if x.dtype == np.int32 else "DT_FLOAT"
        shape = {"dim": [{"size": str(size)} for size in x.shape]}
        listed = [{"name": "x", "op": "Placeholder"}]
        listed += [{"name": name, "op": "Const"} for name in constants]
        weights = {name: np.asarray(value) for name, value in constants.items()}
        self.content = b"".join(value.tobytes() for value in weights.values())
        self.topology: dict[str, Any] = {
            "modelTopology": {"node": [*listed, *nodes]},
            "signature": {
                "inputs": {"x": {"name": "x:0", "dtype": dtype, "tensorShape": shape}},
                "outputs": {},
            },
            "weightsManifest": [
                {
                    "weights": [
                        {"name": name, "dtype": value.dtype.name, "shape": list(value.shape)}
                        for name, value in weights.items()
                    ]
                }
            ],
        }

    def convert(self, shape: tuple[int, ...], node: str = "op") -> bytes:
        topology = json.dumps(self.topology).encode()
        return convert_tfjs("test", topology, self.content, [Output("y", node, shape)])

    def run(self, shape: tuple[int, ...], node: str = "op") -> Any:
        content = self.convert(shape, node)
        onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
        return onnxruntime.InferenceSession(content).run(["y"], {"x:0": self.x})[0]


def op(kind: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"name": "op", "op": kind, "input": list(inputs), "attr": attributes}


def to_float(name: str = "op", of: str = "raw") -> dict[str, Any]:
    attributes = {"DstT": {"type": "DT_FLOAT"}}
    return {"name": name, "op": "Cast", "input": [of], "attr": attributes}


def same_conv(x: Any, w: Any, stride: int, groups: int = 1) -> Any:
    """A convolution with padding SAME, by the definition; ``w`` as (height, width, in, out)."""
    height, width = w.shape[:2]
    out_h, out_w = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
    pad_h = max((out_h - 1) * stride + height - x.shape[1], 0)
    pad_w = max((out_w - 1) * stride + width - x.shape[2], 0)
    padded = np.pad(
        x, ((0, 0), (pad_h // 2, pad_h - pad_h // 2), (pad_w // 2, pad_w - pad_w // 2), (0, 0))
    )
    out = np.zeros((1, out_h, out_w, w.shape[3] if groups == 1 else groups * w.shape[3]))
    for i in range(out_h):
        for j in range(out_w):
            patch = padded[0, i * stride : i * stride + height, j * stride : j * stride + width]
            if groups == 1:
                out[0, i, j] = np.tensordot(patch, w, 3)
            else:
                out[0, i, j] = np.einsum("hwc,hwcm->cm", patch, w).ravel()
    return out


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_convolution_with_bias_and_activation() -> None:
    w, b = RNG.normal(size=(3, 3, 4, 2)).astype(np.float32), np.array([0.5, -1], np.float32)
    fused = {"list": {"s": [word("BiasAdd")["s"], word("Relu6")["s"]]}}
    model = Model(PICTURE, op("_FusedConv2D", "x", "w", "b", fused_ops=fused, **WINDOW), w=w, b=b)
    close(model.run((1, 3, 3, 2)), np.clip(same_conv(PICTURE, w, 2) + b, 0, 6))


def test_convolution_with_prelu() -> None:
    w, b = RNG.normal(size=(3, 3, 4, 2)).astype(np.float32), np.zeros(2, np.float32)
    a = np.array([[[0.1, 0.3]]], np.float32)
    fused = {"list": {"s": [word("BiasAdd")["s"], word("Prelu")["s"]]}}
    node = op("_FusedConv2D", "x", "w", "b", "a", fused_ops=fused, **WINDOW)
    raw = same_conv(PICTURE, w, 2)
    close(Model(PICTURE, node, w=w, b=b, a=a).run((1, 3, 3, 2)), np.where(raw > 0, raw, raw * a))


def test_depthwise_convolution_keeps_channels_apart() -> None:
    w = RNG.normal(size=(3, 3, 4, 2)).astype(np.float32)
    model = Model(PICTURE, op("DepthwiseConv2dNative", "x", "w", **WINDOW), w=w)
    close(model.run((1, 3, 3, 8)), same_conv(PICTURE, w, 2, groups=4))


def test_transposition_and_channel_operations_cost_no_node_between_convolutions() -> None:
    w = RNG.normal(size=(1, 1, 4, 4)).astype(np.float32)
    first = {**op("Conv2D", "x", "w", **WINDOW), "name": "first"}
    there = {"name": "there", "op": "Transpose", "input": ["first", "q"]}
    back = {"name": "back", "op": "Transpose", "input": ["there", "p"]}
    plus = {"name": "plus", "op": "AddV2", "input": ["back", "b"]}
    last = op("Conv2D", "plus", "w", **WINDOW)
    b = np.array([1, 2, 3, 4], np.float32)
    q, p = np.array([0, 3, 1, 2], np.int32), np.array([0, 2, 3, 1], np.int32)
    model = Model(PICTURE, first, there, back, plus, last, w=w, b=b, q=q, p=p)
    close(model.run((1, 2, 2, 4)), same_conv(same_conv(PICTURE, w, 2) + b, w, 2))
    kinds = [node.op_type for node in onnx.load_from_string(model.convert((1, 2, 2, 4))).graph.node]
    assert kinds == ["Transpose", "Conv", "Add", "Conv", "Transpose", "Identity"]


def half_pixel(x: Any, size: int, axis: int) -> Any:
    at = np.clip((np.arange(size) + 0.5) * x.shape[axis] / size - 0.5, 0, x.shape[axis] - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    shape = [1] * x.ndim
    shape[axis] = size
    part = (at - low).reshape(shape)
    return x.take(low, axis) * (1 - part) + x.take(high, axis) * part


TABLE: list[tuple[str, Model, Any]] = [
    (
        "max pool",
        Model(PICTURE, op("MaxPool", "x", ksize=numbers(1, 2, 2, 1), strides=numbers(1, 2, 2, 1),
                          padding=word("VALID"))),
        PICTURE[:, :6, :4].reshape(1, 3, 2, 2, 2, 4).max((2, 4)),
    ),
    (
        "resize",
        Model(PICTURE, op("ResizeBilinear", "x", "s", half_pixel_centers={"b": True}),
              s=np.array([12, 10], np.int32)),
        half_pixel(half_pixel(PICTURE, 12, 1), 10, 2),
    ),
    (
        "pad",
        Model(PICTURE, op("PadV2", "x", "p", "v"), v=np.float32(-9),
              p=np.array([[0, 0], [1, 0], [0, 2], [0, 3]], np.int32)),
        np.pad(PICTURE, ((0, 0), (1, 0), (0, 2), (0, 3)), constant_values=-9),
    ),
    (
        "constant of another rank",
        Model(PICTURE[0, 0], op("Sub", "c", "x"), c=PICTURE),
        PICTURE - PICTURE[0, 0],
    ),
    (
        "squared difference",
        Model(PICTURE, op("SquaredDifference", "x", "c"), c=np.float32(2)),
        (PICTURE - 2) ** 2,
    ),
    (
        "floor division of negatives",
        Model(np.array([-7, -1, 0, 7], np.int32),
              {**op("FloorDiv", "x", "d"), "name": "raw"}, to_float(), d=np.int32(3)),
        np.array([-3, -1, 0, 2], np.float32),
    ),
    (
        "leaky relu",
        Model(PICTURE, op("LeakyRelu", "x", alpha={"f": 0.1})),
        np.where(PICTURE > 0, PICTURE, PICTURE * np.float32(0.1)),
    ),
    (
        "concatenation of what is turned",
        Model(PICTURE, {"name": "t", "op": "Transpose", "input": ["x", "q"]},
              op("ConcatV2", "x", "t", "a"), q=np.array([0, 2, 1, 3], np.int32), a=np.int32(-2)),
        None,
    ),
    (
        "place of the greatest",
        Model(PICTURE, {**op("ArgMax", "x", "a", output_type={"type": "DT_INT32"}), "name": "raw"},
              to_float(), a=np.int32(-1)),
        PICTURE.argmax(-1).astype(np.float32),
    ),
    (
        "reshape",
        Model(PICTURE, op("Reshape", "x", "s"), s=np.array([1, -1, 2], np.int32)),
        PICTURE.reshape(1, -1, 2),
    ),
    (
        "gather",
        Model(PICTURE, op("GatherNd", "x", "i"),
              i=np.array([[0, 5, 4], [0, 0, 1]], np.int32)),
        PICTURE[[0, 0], [5, 0], [4, 1]],
    ),
    (
        "pack and unpack",
        Model(PICTURE[0], {**op("Unpack", "x", axis={"i": "1"}, num={"i": "5"}), "name": "u"},
              op("Pack", "u:3", "u", axis={"i": "0"})),
        np.stack([PICTURE[0, :, 3], PICTURE[0, :, 0]]),
    ),
    (
        "split",
        Model(PICTURE, {**op("SplitV", "x", "s", "a"), "name": "parts"},
              op("Identity", "parts:1"), s=np.array([1, 3], np.int32), a=np.int32(-1)),
        PICTURE[..., 1:],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model", "expected"), [row[1:] for row in TABLE], ids=lambda value: "")
def test_operation_does_what_numpy_does(model: Model, expected: Any) -> None:
    if expected is None:
        # Axes of 6 and 5 don't fit: said when it is run, not when it is converted.
        with pytest.raises(onnx.shape_inference.InferenceError):
            model.run((1, 6, 10, 4))
        return
    close(model.run(expected.shape), expected)


def test_same_graph_gives_the_same_bytes() -> None:
    w = RNG.normal(size=(3, 3, 4, 2)).astype(np.float32)
    model = Model(PICTURE, op("Conv2D", "x", "w", **WINDOW), w=w)
    assert model.convert((1, 3, 3, 2)) == model.convert((1, 3, 3, 2))
    digest = hashlib.sha256(Model(PICTURE, op("Sqrt", "x")).convert((1, 6, 5, 4))).hexdigest()
    assert digest[:12] == "e75b40b0b2bf"


def spoiled(change: Any) -> Model:
    model = Model(PICTURE, op("Conv2D", "x", "w", **WINDOW), w=np.zeros((1, 1, 4, 2), np.float32))
    change(model)
    return model


def unknown_operation(model: Model) -> None:
    model.topology["modelTopology"]["node"][-1]["op"] = "Bucketize"


def unknown_input(model: Model) -> None:
    model.topology["modelTopology"]["node"][-1]["input"] = ["nowhere", "w"]


def short_weights(model: Model) -> None:
    model.content = model.content[:-4]


def long_weights(model: Model) -> None:
    model.content += b"1234"


def odd_weights(model: Model) -> None:
    model.topology["weightsManifest"][0]["weights"][0]["dtype"] = "string"


def odd_padding(model: Model) -> None:
    model.topology["modelTopology"]["node"][-1]["attr"]["padding"] = word("EXPLICIT")


def channels_first(model: Model) -> None:
    model.topology["modelTopology"]["node"][-1]["attr"]["data_format"] = word("NCHW")


def no_signature(model: Model) -> None:
    del model.topology["signature"]


def odd_input(model: Model) -> None:
    model.topology["signature"]["inputs"]["x"]["dtype"] = "DT_STRING"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unknown_operation, "operation Bucketize"),
        (unknown_input, "nowhere"),
        (short_weights, "buffer is smaller"),
        (long_weights, "36 bytes of weights, not 32"),
        (odd_weights, "weights of type string"),
        (odd_padding, "padding EXPLICIT"),
        (channels_first, "format NCHW"),
        (no_signature, "signature"),
        (odd_input, "type DT_STRING"),
    ],
)
def test_what_is_not_known_is_named(change: Any, message: str) -> None:
    with pytest.raises(ModelInstallError, match=f"can't convert test: .*{message}"):
        spoiled(change).convert((1, 3, 3, 2))


@pytest.mark.parametrize("name", ["nanodet", "movenet-lightning", "face_landmark"])
def test_converted_model_answers_as_tensorflow_js_does(name: str) -> None:
    """Figures of the reference were made by tests/data/models/tfjs_control.mjs."""
    control = json.loads(CONTROL.read_text())[name]
    session = onnxruntime.InferenceSession(str(installed(name).find(name).path))
    port = session.get_inputs()[0]
    shape = [1 if isinstance(size, str) else size for size in port.shape]
    index = np.arange(np.prod(shape), dtype=np.int64)
    values = (index * 7919 + index // 97 * 31) % 256
    if "int32" in port.type:
        batch = values.astype(np.int32)
    else:
        batch = ((values - 114) / 57 if name == "nanodet" else values / 255).astype(np.float32)
    for (output, expected), found in zip(
        control.items(),
        session.run(list(control), {port.name: batch.reshape(shape)}),
        strict=True,
    ):
        flat = found.ravel()
        assert flat.size == expected["size"], output
        np.testing.assert_allclose(
            flat[:: expected["every"]][:64], expected["values"], rtol=1e-4, atol=1e-4
        )
        assert abs(float(flat.mean()) - expected["mean"]) < 1e-4


def test_converted_models_are_pinned_by_digest() -> None:
    parts = [part for model in the_manifest().models.values() for part in model.files]
    assert {part.name for part in parts if part.step == "tfjs"} == {
        "nanodet.onnx",
        "movenet-lightning.onnx",
        "face_landmark.onnx",
    }
