"""Opens ONNX files for running: on one thread, quietly, with errors of one kind."""

from typing import Any, Final

from analytics.errors import ModelError
from analytics.models.index import ModelFile

__all__ = ["open_session"]

_ERRORS_ONLY: Final = 3


def open_session(file: ModelFile) -> Any:
    """An ``onnxruntime.InferenceSession``.

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
            str(file.path), options, providers=["CPUExecutionProvider"]
        )
    # Every failure of the library has a class of its own, without a common root.
    except Exception as error:
        raise ModelError(
            "model {name} in {path} is no network that can be run: {cause}",
            name=file.name,
            path=file.path,
            cause=str(error)[:200],
        ) from error
