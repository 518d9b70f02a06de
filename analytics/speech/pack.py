"""What the speech checks listen for: a YAML file that compliance teams can change."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analytics.errors import DetectorConfigError
from analytics.speech.tokens import Token, tokens_of

__all__ = ["DEFAULT_PACK", "Answers", "Pack", "Prohibited", "load_pack"]

DEFAULT_PACK: Final = Path(__file__).parents[1] / "assets" / "speech" / "finance.yaml"
_MAX_BYTES: Final = 1 << 20
_GUARDS: Final = ("negative", "hesitant", "reserved", "asking", "others", "beside", "parts")

_Phrase = Annotated[str, Field(min_length=1, max_length=100)]
_Phrases = Annotated[tuple[_Phrase, ...], Field(max_length=512)]


class _Part(BaseModel):
    # `no` without quotes is a boolean in YAML: strict says so.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Title(_Part):
    zh: _Phrase
    en: _Phrase


class Prohibited(_Part):
    """Phrases that promise the same."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    title: _Title
    phrases: Annotated[_Phrases, Field(min_length=1)]


class Answers(_Part):
    """What makes an answer clear, or not; see ``configs/speech/finance.yaml``.

    Of lists that a file may leave out, it has those of the pack that comes along
    (:func:`load_pack`).
    """

    affirmative: _Phrases
    negative: _Phrases
    hesitant: _Phrases
    sounds: _Phrases
    reserved: _Phrases
    asking: _Phrases
    others: _Phrases = ()
    knowing: _Phrases = ()
    acts: _Phrases = ()
    already: _Phrases = ()
    beside: _Phrases = ()
    subjects: _Phrases = ()
    telling: _Phrases = ()
    parts: _Phrases = ()

    @property
    def unguarded(self) -> tuple[str, ...]:
        """Empty lists, without which answers pass as a yes that are none."""
        return tuple(name for name in _GUARDS if not getattr(self, name))


class Pack(_Part):
    """All lists; what they mean is said in ``configs/speech/finance.yaml``."""

    version: Literal[1]
    negators: _Phrases
    not_negators: _Phrases
    between: _Phrases
    denials: _Phrases
    synonyms: Annotated[tuple[_Phrases, ...], Field(max_length=512)]
    fillers: _Phrases
    essential: _Phrases = ()
    prohibited: Annotated[tuple[Prohibited, ...], Field(max_length=256)]
    answers: Answers

    @cached_property
    def negator_tokens(self) -> tuple[tuple[str, ...], ...]:
        """As written, the longest first."""
        return _written(self.negators)

    @cached_property
    def not_negator_tokens(self) -> tuple[tuple[str, ...], ...]:
        """As written, the longest first."""
        return _written(self.not_negators)

    @cached_property
    def between_tokens(self) -> tuple[tuple[str, ...], ...]:
        """As written, the longest first."""
        return _written(self.between)

    @cached_property
    def filler_words(self) -> frozenset[str]:
        """Words and characters that say little."""
        return frozenset(token.text for one in self.fillers for token in tokens_of(one))

    @cached_property
    def synonym_pairs(self) -> tuple[tuple[str, str], ...]:
        """What is written, and what stands for it; the longest first."""
        pairs = [(one, line[0]) for line in self.synonyms for one in line[1:]]
        return tuple(sorted(pairs, key=lambda pair: -len(pair[0])))

    def plain(self, text: str) -> str:
        """The text with one word for all that mean the same."""
        place, found = 0, []
        while place < len(text):
            for written, meant in self.synonym_pairs:
                if text.startswith(written, place) and not text.startswith(meant, place):
                    found.append(meant)
                    place += len(written)
                    break
            else:
                found.append(text[place])
                place += 1
        return "".join(found)


def load_pack(path: Path | None) -> Pack:
    """The pack in a file, or the one that comes along.

    Lists of answers that the file doesn't name, and ``essential``, are taken from the one that
    comes along, if it is of the same language: if they have a word of consent in common. An empty
    list stays empty.

    Raises:
        DetectorConfigError: it can't be read, or is no pack; says where and why.
    """
    path = path or DEFAULT_PACK
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise DetectorConfigError(
            "can't read {path}: {reason}", path=path, reason=error.strerror or error
        ) from error
    if len(text) > _MAX_BYTES:
        raise DetectorConfigError("{path} has more than {limit} bytes", path=path, limit=_MAX_BYTES)
    try:
        # Strict models take lists for tuples from JSON only; both come from the same YAML here.
        pack = Pack.model_validate(_frozen(yaml.safe_load(text)))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DetectorConfigError("{path}: {reason}", path=path, reason=reason) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise DetectorConfigError(
            "{path}: {where}: {reason}", path=path, where=where, reason=first["msg"]
        ) from error
    return pack if path == DEFAULT_PACK else _completed(pack)


def _completed(pack: Pack) -> Pack:
    shipped = load_pack(None)
    answers, own = pack.answers, shipped.answers
    if not set(answers.affirmative) & set(own.affirmative):
        return pack
    left_out = Answers.model_fields.keys() - answers.model_fields_set
    lists = {name: getattr(own, name) for name in left_out}
    update: dict[str, object] = {"answers": answers.model_copy(update=lists)}
    if "essential" not in pack.model_fields_set:
        update["essential"] = shipped.essential
    return pack.model_copy(update=update)


def _frozen(value: object) -> object:
    if isinstance(value, list):
        return tuple(_frozen(one) for one in value)
    if isinstance(value, dict):
        return {key: _frozen(one) for key, one in value.items()}
    return value


def _written(phrases: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    found = {tuple(token.text for token in _tokens(one)) for one in phrases}
    return tuple(sorted(found - {()}, key=lambda row: (-len(row), row)))


def _tokens(phrase: str) -> tuple[Token, ...]:
    return tokens_of(phrase)
