"""Opens ONNX files for running: on one thread, quietly, with errors of one kind."""

from collections.abc import Callable
from typing import Any, Final

from analytics.errors import ModelError
from analytics.models.graph import GraphError
from analytics.models.index import ModelFile

__all__ = ["open_session"]

_ERRORS_ONLY: Final = 3


def open_session(file: ModelFile, rewritten: Callable[[bytes], bytes] | None = None) -> Any:
    """An ``onnxruntime.InferenceSession``.

    Args:
        file: as the index has it.
        rewritten: what is run instead (see :mod:`analytics.models.graph`); of a file that it
            can't read, the file itself.

    Raises:
        ModelError: the file is no network that can be run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(
            _source(file, rewritten), options, providers=["CPUExecutionProvider"]
        )
    # Every failure of the library has a class of its own, without a common root.
    except Exception as error:
        raise ModelError(
            "model {name} in {path} is no network that can be run: {cause}",
            name=file.name,
            path=file.path,
            cause=str(error)[:200],
        ) from error


def _source(file: ModelFile, rewritten: Callable[[bytes], bytes] | None) -> str | bytes:
    """The path of a file, or what was made of it."""
    if rewritten is not None:
        try:
            return rewritten(file.path.read_bytes())
        except GraphError:
            # The runtime says better what is wrong with it.
            pass
    return str(file.path)
