"""Makes text of an utterance."""

import math
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from analytics.detector import SAMPLE_RATE_HZ, Likely
from analytics.errors import ModelMissingError
from analytics.models import ModelFile, Models

__all__ = [
    "PROMPT",
    "RECOGNISER_MODEL",
    "Nearest",
    "Recognised",
    "Recogniser",
    "RecogniserError",
    "Whisper",
    "WhisperOptions",
    "load_recogniser",
]

RECOGNISER_MODEL: Final = "whisper"
PROMPT: Final = "以下是银行理财产品销售的普通话对话，关于风险、收益、本金和合同。"
"""Names the subject and no answer: with answers in it, denials were heard as consent."""

_FRAME: Final = SAMPLE_RATE_HZ // 100
_MOST_S: Final = 30.0
_MAX_TOKENS: Final = 128
_REPEATS: Final = 2.4
"""Text that packs better than this repeats itself."""
_ENCODED: Final = 320
"""Samples that a frame of the encoder is about."""
_AFTER: Final = 100
"""Frames of silence: with less of it, or none, every text fits badly."""
_BATCH: Final = 8
_STOPS: Final = " 。，！？.,!?"
_LEAST: Final = 1e-30

Samples = NDArray[np.float32]
Nearest: TypeAlias = Callable[[Sequence[str]], Sequence[str]]


class RecogniserError(Exception):
    """The library could not recognise an utterance."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a recogniser made of an utterance.

    Attributes:
        text: empty where nothing was said.
        confidence: 0..1, the mean probability of a token; comparable within one model only.
        is_doubtful: the recogniser lost the thread (it repeats itself, or hears words in noise).
        likely: how well the texts that were asked about fit, and those that were heard.
    """

    text: str
    confidence: float
    language: str
    is_doubtful: bool = False
    likely: tuple[Likely, ...] = ()


class Recogniser(Protocol):
    """Makes text of sound; may block for seconds."""

    def __call__(
        self, samples: Samples, *, is_final: bool, likely: Nearest | None = None
    ) -> Recognised:
        """Recognises one utterance.

        Args:
            samples: ``(n,)``, 16 kHz, at most 30 s.
            is_final: otherwise speed counts more than the last word.
            likely: says which texts are weighed, given what was heard.

        Raises:
            RecogniserError: it could not be recognised.
        """
        ...


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """How Whisper is run.

    Attributes:
        language: as the model names it.
        prompt: said to the model to come before: a sentence of the kind that is expected, so that
            it writes simplified characters. Never what is to be checked: it would be heard.
        padding_s: silence after the sound. Whisper was trained on 30 s; the encoder takes less in
            proportion, and gets worse without any.
        least_s: shorter sound is padded to this.
        partial_padding_s, partial_least_s: the same for partial results.
        beam: hypotheses that are followed.
        weighing_prompt: a shorter one, for texts that are weighed.
    """

    language: str = "zh"
    prompt: str = PROMPT
    padding_s: float = 4.0
    least_s: float = 8.0
    partial_padding_s: float = 1.5
    partial_least_s: float = 4.0
    beam: int = 5
    weighing_prompt: str = "以下是普通话对话。"


class Whisper:
    """Whisper in CTranslate2's form.

    Args:
        model: a ``faster_whisper.WhisperModel``.
    """

    def __init__(self, model: Any, options: WhisperOptions) -> None:
        from faster_whisper.tokenizer import Tokenizer

        self._model = model
        self._options = options
        self._tokenizer: Any = Tokenizer(
            model.hf_tokenizer,
            model.model.is_multilingual,
            task="transcribe",
            language=options.language,
        )
        before = self._tokenizer.encode(f" {options.prompt}") if options.prompt else []
        shorter = self._tokenizer.encode(f" {options.weighing_prompt}")
        self._start: list[int] = model.get_prompt(self._tokenizer, shorter)
        self._prompt: list[int] = model.get_prompt(self._tokenizer, before, without_timestamps=True)

    def __call__(
        self, samples: Samples, *, is_final: bool, likely: Nearest | None = None
    ) -> Recognised:
        """See :class:`Recogniser`."""
        import ctranslate2

        beam = self._options.beam if is_final else 1
        features = ctranslate2.StorageView.from_array(self._features(samples, is_final=is_final))
        try:
            encoded = self._model.model.encode(features, to_cpu=True)
            # Of what can't be recognised it repeats a token without end: hence the limit.
            result = self._model.model.generate(
                encoded,
                [self._prompt],
                beam_size=beam,
                num_hypotheses=beam if likely else 1,
                max_length=min(448, len(self._prompt) + _MAX_TOKENS),
                return_scores=True,
                return_no_speech_prob=True,
            )[0]
            texts = [self._tokenizer.decode(one).strip() for one in result.sequences_ids]
            found = judged(
                texts[0],
                confidence=math.exp(min(0.0, result.scores[0])),
                no_speech=result.no_speech_prob,
                options=self._options,
            )
            if likely and found.text:
                frames = len(samples) // _ENCODED + _AFTER
                weighed = self._weighed(np.asarray(encoded)[:, :frames], [*texts, *likely(texts)])
                found = replace(found, likely=weighed)
        except RuntimeError as error:
            raise RecogniserError(str(error)) from error
        return found

    def _weighed(self, encoded: Samples, texts: Sequence[str]) -> tuple[Likely, ...]:
        """How probable each text is by itself, given the sound.

        A full stop is part of each: otherwise the beginning of a text would fit better than all of
        it.

        Args:
            encoded: ``(1, frames, size)``.
            texts: those without a word are left out.
        """
        import ctranslate2

        plain = [one for one in dict.fromkeys(text.strip(_STOPS) for text in texts) if one]
        found: list[Likely] = []
        for at in range(0, len(plain), _BATCH):
            tokens = [self._tokenizer.encode(f"{one}。") for one in plain[at : at + _BATCH]]
            repeated = np.ascontiguousarray(np.repeat(encoded, len(tokens), axis=0))
            view = ctranslate2.StorageView.from_array(repeated)
            results = self._model.model.align(view, self._start, tokens, encoded.shape[1] * 2)
            for text, result, row in zip(plain[at:], results, tokens, strict=False):
                probabilities = np.array(result.text_token_probs[: len(row)])
                score = float(np.log(np.maximum(probabilities, _LEAST)).sum())
                found.append(Likely(text, score))
        return tuple(found)

    def _features(self, samples: Samples, *, is_final: bool) -> NDArray[np.float32]:
        options = self._options
        padding, least = (
            (options.padding_s, options.least_s)
            if is_final
            else (options.partial_padding_s, options.partial_least_s)
        )
        length_s = min(_MOST_S, max(least, len(samples) / SAMPLE_RATE_HZ + padding))
        # The encoder halves the number of frames.
        frames = int(length_s * 50) * 2
        padded = np.zeros(frames * _FRAME, np.float32)
        padded[: len(samples)] = samples[: len(padded)]
        features = self._model.feature_extractor(padded, padding=0)[:, :frames]
        return np.ascontiguousarray(features[None], np.float32)


def judged(
    text: str, *, confidence: float, no_speech: float, options: WhisperOptions
) -> Recognised:
    """What a model's output is worth; ``no_speech``: how probable nobody speaks, 0..1."""
    if not re.search(r"\w", text) or _plain(text) == _plain(options.prompt):
        return Recognised("", confidence, options.language)
    packed = text.encode()
    repeats = len(packed) / len(zlib.compress(packed)) > _REPEATS
    doubtful = repeats or (no_speech > 0.6 and confidence < 0.5)
    return Recognised(text, confidence, options.language, doubtful)


def load_recogniser(models: Models, options: WhisperOptions, *, threads: int) -> Recogniser:
    """Whisper, as it is installed, or of a folder of one's own in CTranslate2's form.

    Raises:
        ModelMissingError: it is not installed, or what runs it isn't.
        ModelDigestError: its bytes have changed.
    """
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise ModelMissingError(
            "speech is recognised by faster-whisper, which is not installed:"
            " pip install 'witness-media-server[speech]'"
        ) from error

    def opened(file: ModelFile) -> Any:
        if not (file.path / "model.bin").is_file():
            raise ModelMissingError("{path} has no model.bin of CTranslate2", path=file.path)
        return WhisperModel(
            str(file.path),
            device="cpu",
            compute_type="int8",
            cpu_threads=threads,
            local_files_only=True,
        )

    return Whisper(models.loaded(RECOGNISER_MODEL, opened), options)


def _plain(text: str) -> str:
    return re.sub(r"\W", "", text)
