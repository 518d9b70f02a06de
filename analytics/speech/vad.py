"""Whether somebody speaks: a probability for every 32 ms."""

from dataclasses import dataclass
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
    "levels_db",
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

_LOWEST_DB: Final = -70.0
"""Of full scale; what is quieter is silence anywhere."""
_STANDS_OUT_DB: Final = 6.0
_BLOCK: Final = 40
_BLOCKS: Final = 8
"""Of 40 windows each: the floor follows louder noise within ten seconds, and quieter at once."""
_LINGER: Final = 12
_LOOK_BACK: Final = 3
_TINY: Final = 1e-12

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


def levels_db(windows: Samples) -> NDArray[np.float32]:
    """Mean level of each window, dB of full scale.

    Args:
        windows: ``(n, samples)``.
    """
    power = np.einsum("ij,ij->i", windows, windows) / np.float32(windows.shape[1])
    return np.asarray(10 * np.log10(power + np.float32(_TINY)), np.float32)


@dataclass(frozen=True, slots=True)
class _State:
    """Where a track is; never changed, for those who share a chunk share it.

    Attributes:
        memory: of the model; ``None``: it starts anew. It outlives what nobody looked at.
        lows_db: lowest levels of the last blocks of windows; the last one is under way.
        taken: windows of that block.
        left: windows that are still looked at after the last that stood out.
        before: the last windows that nobody looked at.
    """

    memory: Any = None
    lows_db: tuple[float, ...] = (_LOWEST_DB,)
    taken: int = 0
    left: int = 0
    before: tuple[Samples, ...] = ()

    @property
    def floor_db(self) -> float:
        """Level of the track's own silence."""
        return min(self.lows_db)

    def lows_with(self, level_db: float) -> tuple[tuple[float, ...], int]:
        """``lows_db`` and ``taken`` after one more window."""
        level_db = max(level_db, _LOWEST_DB)
        if self.taken == _BLOCK:
            return (*self.lows_db, level_db)[-_BLOCKS:], 1
        return (*self.lows_db[:-1], min(self.lows_db[-1], level_db)), self.taken + 1


class VoiceActivity:
    """Probabilities of voice in one track.

    Detectors that get the same chunk share what the model made of it; the state is shared with it,
    so it doesn't matter which of them sees a chunk first, or misses one.

    The model is not asked about what doesn't stand out from the track's own silence: half of a call
    and more is that. Once something does, it goes on from where it was, with the tenth of a second
    before.
    """

    def __init__(self, model: VoiceModel) -> None:
        self._model = model
        self._state = _State()
        self._end_us = 0

    def probabilities(self, chunk: AudioChunk) -> NDArray[np.float32]:
        """One for each window of the chunk; 0 where nothing stands out.

        Returns:
            ``(samples / 512,)``, 0..1.
        """
        is_new = chunk.is_after_gap and chunk.pts_us - self._end_us > _FORGET_US
        self._end_us = chunk.end_us
        known = chunk.shared.get(_SHARED)
        if known is not None:
            found, self._state = known
            return found  # type: ignore[no-any-return]
        state = _State() if is_new else self._state
        windows = chunk.samples[: len(chunk.samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
        found = np.zeros(len(windows), np.float32)
        for index, (window, level) in enumerate(zip(windows, levels_db(windows), strict=True)):
            found[index], state = self._look(window, float(level), state)
        self._state = state
        chunk.shared[_SHARED] = found, state
        return found

    def _look(self, window: Samples, level_db: float, state: _State) -> tuple[float, _State]:
        is_loud = level_db > state.floor_db + _STANDS_OUT_DB
        lows_db, taken = state.lows_with(level_db)
        left = _LINGER if is_loud else state.left - 1
        if left < 0:
            before = (*state.before, window)[-_LOOK_BACK:]
            return 0.0, _State(state.memory, lows_db, taken, 0, before)
        memory = self._model.start() if state.memory is None else state.memory
        for earlier in state.before:
            _, memory = self._model(earlier, memory)
        probability, memory = self._model(window, memory)
        return probability, _State(memory, lows_db, taken, left)
