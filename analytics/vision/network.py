"""A network of ONNX, run on one thread."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from analytics.detector import VideoFrame
from analytics.errors import ModelError
from analytics.models import ModelFile
from analytics.models.graph import faster, of_side
from analytics.models.session import open_session

__all__ = ["Array", "Image", "Network", "open_network", "remembered"]

Array: TypeAlias = NDArray[np.float32]
Image: TypeAlias = NDArray[np.uint8]
T = TypeVar("T")


class Network:
    """Runs a network by the names of its outputs.

    A network whose first dimension is free takes a batch at once; one whose first dimension is 1
    is run item by item. On one thread of a CPU both cost the same (ADR 0028); the former is for
    a network of one's own on other hardware.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = session.get_inputs()[0]
        self.outputs = {output.name: tuple(output.shape) for output in session.get_outputs()}

    @property
    def input_shape(self) -> tuple[int | str | None, ...]:
        """Shape of the first input; a dimension that is free is no number."""
        return tuple(self._input.shape)

    def __call__(self, batch: NDArray[Any], names: Sequence[str]) -> list[Array]:
        """Runs the network.

        Args:
            batch: ``(n, ...)``; the first input.
            names: of the outputs wanted.

        Returns:
            for each name, ``(n, ...)``.
        """
        if self.input_shape[0] == 1 and len(batch) != 1:
            rows = [self._run(batch[i : i + 1], names) for i in range(len(batch))]
            return [np.concatenate(column) for column in zip(*rows, strict=True)]
        return self._run(batch, names)

    def _run(self, batch: NDArray[Any], names: Sequence[str]) -> list[Array]:
        found: list[Array] = self._session.run(list(names), {self._input.name: batch})
        return found


def open_network(
    file: ModelFile,
    shape: Sequence[int],
    outputs: Mapping[str, Sequence[int]],
    *,
    side: int | None = None,
) -> Network:
    """Opens a model file and checks that it is the kind of network that the caller can read.

    Args:
        file: as the index has it.
        shape: of the first input, without the batch.
        outputs: shape of each output that is used, without the batch.
        side: of the square pictures that it is to take, where that is another one than the file's.

    Raises:
        ModelError: it is no network, or one of another kind.
    """
    import cv2

    cv2.setNumThreads(1)
    network = Network(open_session(file, partial(_for_running, side=side)))
    _expect(file, "input", network.input_shape, shape)
    for name, wanted in outputs.items():
        if name not in network.outputs:
            raise ModelError("model {name} has no output {output}", name=file.name, output=name)
        _expect(file, name, network.outputs[name], wanted)
    return network


def _for_running(model: bytes, side: int | None) -> bytes:
    return faster(model if side is None else of_side(model, side))


def _expect(
    file: ModelFile, what: str, found: Sequence[int | str | None], wanted: Sequence[int]
) -> None:
    sizes = tuple(found)[1:]
    if len(sizes) != len(wanted) or any(
        isinstance(size, int) and size > 0 and size != want
        for size, want in zip(sizes, wanted, strict=True)
    ):
        raise ModelError(
            "model {name}: {what} has shape {found}, not {wanted}",
            name=file.name,
            what=what,
            found=sizes,
            wanted=tuple(wanted),
        )


def remembered(frame: VideoFrame, key: tuple[object, ...], make: Callable[[], T]) -> T:
    """What was made of this frame under ``key``, made now if nobody has yet."""
    if key not in frame.shared:
        frame.shared[key] = make()
    found: T = frame.shared[key]
    return found
