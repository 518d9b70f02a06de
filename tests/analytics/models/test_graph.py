"""Rewritten networks say the same, and what is no network is refused."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analytics.models.convert.onnx_file import Graph, Node, Port, model_bytes
from analytics.models.graph import GraphError, faster, of_side
from analytics.models.index import ModelFile
from analytics.models.session import open_session

TINY = np.float32(1e-40)


def network(mode: str = "constant", padding: tuple[int, ...] = (0, 0, 1, 1, 0, 0, 2, 0)) -> bytes:
    """Padding, a convolution with some subnormal weights, a slope for each channel, a resize."""
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    weights[0, 0] = TINY
    graph = Graph("test", [Port("x", "float32", (1, 3, 16, 16))])
    graph.outputs.append(Port("y", "float32", (1, 4, 16, 16)))
    graph.constants = {
        "pads": np.array(padding, np.int64),
        "weights": weights,
        "slope": rng.uniform(-1, 1, (4, 1, 1)).astype(np.float32),
        "half": np.array([8, 8], np.int64),
        "whole": np.array([16, 16], np.int64),
    }
    graph.nodes = [
        Node("Pad", ("x", "pads"), ("padded",), {"mode": mode}),
        Node("Conv", ("padded", "weights"), ("sums",), {"auto_pad": "VALID"}),
        Node("PRelu", ("sums", "slope"), ("sloped",)),
        Node("Shape", ("sloped",), ("front",), {"start": 0, "end": 2}),
        Node("Concat", ("front", "half"), ("size",), {"axis": 0}),
        Node("Resize", ("sloped", "", "", "size"), ("small",), {"mode": "nearest"}),
        Node("Concat", ("front", "whole"), ("size_again",), {"axis": 0}),
        Node("Resize", ("small", "", "", "size_again"), ("y",), {"mode": "nearest"}),
    ]
    return model_bytes(graph)


def said(model: bytes, picture: NDArray[np.float32], folder: Path) -> NDArray[np.float32]:
    path = folder / "model.onnx"
    path.write_bytes(model)
    file = ModelFile("test", path, "0" * 64)
    found: NDArray[np.float32] = open_session(file).run(["y"], {"x": picture})[0]
    return found


def a_picture(side: int) -> NDArray[np.float32]:
    return np.random.default_rng(2).standard_normal((1, 3, side, side)).astype(np.float32)


def test_rewritten_network_says_the_same(tmp_path: Path) -> None:
    before = network()
    after = faster(before)
    for told in (b"PRelu", b"Pad_0", TINY.tobytes()):
        assert told in before
        assert told not in after
    picture = a_picture(16)
    assert np.array_equal(said(before, picture, tmp_path), said(after, picture, tmp_path))


@pytest.mark.parametrize(
    ("mode", "padding"),
    [
        ("reflect", (0, 0, 1, 1, 0, 0, 1, 1)),
        ("edge", (0, 0, 1, 1, 0, 0, 1, 1)),
        ("constant", (0, 0, -1, 1, 0, 0, 2, 1)),
        ("constant", (1, 0, 1, 1, 0, 0, 1, 1)),
    ],
)
def test_padding_that_a_convolution_cant_do_stays(mode: str, padding: tuple[int, ...]) -> None:
    assert b"Pad_0" in faster(network(mode, padding))


def test_padding_that_others_use_stays(tmp_path: Path) -> None:
    graph = Graph("two", [Port("x", "float32", (1, 3, 8, 8))])
    graph.outputs.append(Port("y", "float32", (1, 3, 8, 8)))
    graph.constants = {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
        "weights": np.ones((3, 3, 3, 3), np.float32),
        "first": np.ones((3, 3, 3, 3), np.float32),
    }
    graph.nodes = [
        Node("Pad", ("x", "pads"), ("padded",)),
        Node("Conv", ("padded", "weights"), ("one",)),
        Node("Conv", ("padded", "first"), ("two",)),
        Node("Add", ("one", "two"), ("y",)),
    ]
    before = model_bytes(graph)
    after = faster(before)
    assert b"Pad_0" in after
    picture = a_picture(8)
    assert np.array_equal(said(before, picture, tmp_path), said(after, picture, tmp_path))


def test_network_for_smaller_pictures_is_the_same_network(tmp_path: Path) -> None:
    small = of_side(network(), 8)
    picture = a_picture(8)
    found = said(faster(small), picture, tmp_path)
    assert found.shape == (1, 4, 8, 8)
    # Away from the right and lower edges it sees what it saw before, every other pixel of it.
    wide = np.zeros((1, 3, 16, 16), np.float32)
    wide[:, :, :8, :8] = picture
    assert np.array_equal(found[:, :, :6, :6], said(network(), wide, tmp_path)[:, :, :6, :6])


def test_side_that_is_no_share_is_refused() -> None:
    with pytest.raises(GraphError, match="no size of a picture of 9"):
        of_side(network(), 9)


def test_network_without_a_square_picture_has_no_side() -> None:
    graph = Graph("flat", [Port("x", "float32", (1, 3, 8, 16))])
    with pytest.raises(GraphError, match="no square picture"):
        of_side(model_bytes(graph), 8)
    with pytest.raises(GraphError, match="no input"):
        of_side(model_bytes(Graph("none")), 8)


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (b"", "not one graph"),
        (b"\x08", "ends within a number"),
        (b"\x08" + b"\xff" * 12, "no number"),
        (b"\x00\x01", "no field"),
        (b"\x0b", "no field"),
        (b"\x3a\x05ab", "5 bytes, 2 are left"),
        (b"\x09ab", "8 bytes, 2 are left"),
        (b"\x38\x01", "not one graph"),
        (b"\x3a\x02\x08\x01", "no message"),
        (b"\x3a\x04\x0a\x02\x20\x01", "a name that is none"),
        (b"\x3a\x05\x0a\x03\x0a\x01\xff", "no text"),
        (b"\x3a\x04\x2a\x02\x10\x01", "has no name"),
        (b"\x3a\x0a\x2a\x08\x10\x01\x42\x01w\x4a\x01a", "weights of 1 bytes"),
    ],
)
def test_what_is_no_network_is_refused(damaged: bytes, why: str) -> None:
    with pytest.raises(GraphError, match=why):
        faster(damaged)


def test_every_beginning_of_a_network_is_refused_or_read() -> None:
    whole = network()
    for length in range(len(whole)):
        try:
            faster(whole[:length])
        except GraphError:
            continue


def test_damaged_file_is_the_runtimes_to_refuse(tmp_path: Path) -> None:
    from analytics.errors import ModelError

    path = tmp_path / "model.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(ModelError, match="no network that can be run"):
        open_session(ModelFile("test", path, "0" * 64), faster)
