"""Whether somebody speaks: a probability for every 32 ms."""

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from analytics.detector import SAMPLE_RATE_HZ, AudioChunk
from analytics.models import ModelFile, Models
from analytics.models.session import open_session

__all__ = [
    "VOICE_MODEL",
    "WINDOW",
    "WINDOW_US",
    "SileroVoice",
    "VoiceActivity",
    "VoiceModel",
    "load_voice_model",
]

VOICE_MODEL: Final = "silero_vad"
WINDOW: Final = 512
"""Samples that one probability is about."""
WINDOW_US: Final = WINDOW * 1_000_000 // SAMPLE_RATE_HZ

_CONTEXT: Final = 64
_SHARED: Final = "speech.voice"
_FORGET_US: Final = 500_000
"""After a shorter gap the model goes on: a lost packet doesn't change who speaks."""

Samples = NDArray[np.float32]


class VoiceModel(Protocol):
    """A model of voice with a state."""

    def start(self) -> Any:
        """The state before the first window."""
        ...

    def __call__(self, window: Samples, state: Any) -> tuple[float, Any]:
        """How probable a voice is, 0..1, and the state for the next window.

        Args:
            window: ``(512,)``.
            state: what the call before gave; it is not changed.
        """
        ...


class SileroVoice:
    """silero-vad 6, ONNX, 16 kHz.

    Args:
        session: an ``onnxruntime.InferenceSession`` with ``input``, ``state`` and ``sr``.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._rate = np.array(SAMPLE_RATE_HZ, np.int64)

    @classmethod
    def open(cls, file: ModelFile) -> "SileroVoice":
        """Loads the file of an installed model.

        Raises:
            ModelError: it is no network that can be run.
        """
        return cls(open_session(file))

    def start(self) -> tuple[Samples, Samples]:
        """See :class:`VoiceModel`."""
        return np.zeros((2, 1, 128), np.float32), np.zeros(_CONTEXT, np.float32)

    def __call__(
        self, window: Samples, state: tuple[Samples, Samples]
    ) -> tuple[float, tuple[Samples, Samples]]:
        """See :class:`VoiceModel`."""
        memory, context = state
        # Without the end of the window before it the model runs, and finds nothing.
        inputs = {
            "input": np.concatenate([context, window])[None],
            "state": memory,
            "sr": self._rate,
        }
        found, memory = self._session.run(["output", "stateN"], inputs)
        return float(found[0, 0]), (memory, window[-_CONTEXT:])


def load_voice_model(models: Models) -> VoiceModel:
    """The installed model, shared by all detectors.

    Raises:
        ModelMissingError: it is not installed.
        ModelDigestError: its bytes have changed.
    """
    return models.loaded(VOICE_MODEL, SileroVoice.open)


class VoiceActivity:
    """Probabilities of voice in one track.

    Detectors that get the same chunk share what the model made of it; the state is shared with it,
    so it doesn't matter which of them sees a chunk first, or misses one.
    """

    def __init__(self, model: VoiceModel) -> None:
        self._model = model
        self._state = model.start()
        self._end_us = 0

    def probabilities(self, chunk: AudioChunk) -> NDArray[np.float32]:
        """One for each window of the chunk.

        Returns:
            ``(samples / 512,)``, 0..1.
        """
        is_new = chunk.is_after_gap and chunk.pts_us - self._end_us > _FORGET_US
        self._end_us = chunk.end_us
        known = chunk.shared.get(_SHARED)
        if known is not None:
            found, self._state = known
            return found  # type: ignore[no-any-return]
        state = self._model.start() if is_new else self._state
        found = np.empty(len(chunk.samples) // WINDOW, np.float32)
        for index in range(len(found)):
            window = chunk.samples[index * WINDOW : (index + 1) * WINDOW]
            found[index], state = self._model(window, state)
        self._state = state
        chunk.shared[_SHARED] = found, state
        return found
