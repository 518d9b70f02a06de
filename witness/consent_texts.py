"""What people are asked before detectors watch them: texts in both languages, and their digests.

A bank may have its own texts (``consents.texts``): a JSON file with the four permissions as keys,
each ``{"zh": "…", "en": "…"}``; those left out stay as they are here.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from signaling.consents import AskedFor, ConsentPermission
from signaling.notices import ConsentText
from witness import os_errors
from witness.errors import StartError
from witness.i18n import t

__all__ = ["PERMISSIONS", "asked_for", "load_texts", "texts_json"]

PERMISSIONS: Final[tuple[ConsentPermission, ...]] = ("face", "identity", "voice", "speech")
_MAX_BYTES: Final = 65_536
_Sentence = Annotated[str, Field(min_length=1, max_length=4_000)]

_TEXTS: Final[Mapping[ConsentPermission, tuple[str, str]]] = {
    "face": (
        (
            "我同意在本次双录过程中由程序分析我的画面：是否有人、人数、遮"
            "挡、光线以及是否使用手机。不识别我是谁。我可以随时撤回，通话"
            "不受影响。"
        ),
        (
            "I agree that software looks at my picture during this recorded session: whether"
            " somebody is there, how many, covered faces, light, and the use of a phone. It does"
            " not tell who I am. I can withdraw this at any time; the call goes on."
        ),
    ),
    "identity": (
        (
            "我同意在本次双录过程中由程序将我的面部或声音与本次会话开始时"
            "（及我提供的证件照）比对，以确认始终是同一人。比对数据不会保"
            "存。我可以随时撤回，通话不受影响。"
        ),
        (
            "I agree that software compares my face or voice with the beginning of this session,"
            " and with the identity photo I gave, to see that I stay the same person. What is"
            " compared is not kept. I can withdraw this at any time; the call goes on."
        ),
    ),
    "voice": (
        (
            "我同意在本次双录过程中由程序分析我的声音：谁在说话、是否有他"
            "人的声音、音量与噪声。我可以随时撤回，通话不受影响。"
        ),
        (
            "I agree that software analyses my voice during this recorded session: who speaks,"
            " whether there is another voice, loudness and noise. I can withdraw this at any"
            " time; the call goes on."
        ),
    ),
    "speech": (
        (
            "我同意在本次双录过程中由程序将我说的话转为文字并随录像保存，"
            "用于核对告知与答复。我可以随时撤回，此后不再转写，通话不受影"
            "响。"
        ),
        (
            "I agree that software writes down what I say during this recorded session, kept with"
            " the recording, to check what was told and answered. I can withdraw this at any"
            " time; from then on nothing is written down, and the call goes on."
        ),
    ),
}


class _Both(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    zh: _Sentence
    en: _Sentence


_FILE: Final[TypeAdapter[dict[ConsentPermission, _Both]]] = TypeAdapter(
    dict[ConsentPermission, _Both]
)


def load_texts(path: Path | None) -> dict[ConsentPermission, AskedFor]:
    """All texts, by permission.

    Raises:
        StartError: the file can't be used; the text says why.
    """
    texts = dict(_TEXTS)
    if path is not None:
        try:
            data = path.read_bytes()[: _MAX_BYTES + 1]
            if len(data) > _MAX_BYTES:
                raise StartError(_unusable(path, t("it is longer than 64 KiB")))
            own = _FILE.validate_json(data)
        except OSError as error:
            raise StartError(_unusable(path, os_errors.reason(error))) from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "JSON"
            raise StartError(_unusable(path, f"{where}: {first['msg']}")) from None
        texts.update({name: (both.zh, both.en) for name, both in own.items()})
    return {name: AskedFor(name, _text(zh), _text(en)) for name, (zh, en) in texts.items()}


def asked_for(
    permissions: Iterable[str], texts: Mapping[ConsentPermission, AskedFor]
) -> tuple[AskedFor, ...]:
    """The texts of those permissions that need a consent, in the order people are asked."""
    wanted = frozenset(permissions)
    return tuple(texts[name] for name in PERMISSIONS if name in wanted)


def texts_json(asked: Iterable[AskedFor]) -> dict[str, Any]:
    """As ``consent.asked`` has them: text and digest, by permission and language."""
    return {one.permission: {"zh": one.zh.model_dump(), "en": one.en.model_dump()} for one in asked}


def _text(text: str) -> ConsentText:
    return ConsentText(text=text, sha256=hashlib.sha256(text.encode()).hexdigest())


def _unusable(path: Path, reason: str) -> str:
    return t("can't use the texts of consents {path}: {reason}").format(path=path, reason=reason)
