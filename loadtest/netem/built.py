"""What is built when it is entered, and taken down again."""

import contextlib
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__all__ = ["Built"]


class Built(ABC):
    """A context manager: what was built is taken down at the end, and after a failure half way.

    Attributes:
        _opened: what takes down, the last first.
    """

    def __init__(self) -> None:
        self._opened = contextlib.ExitStack()

    @abstractmethod
    def _build(self) -> None:
        """Builds, and puts on :attr:`_opened` what takes it down."""

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()
