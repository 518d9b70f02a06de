"""Text as a row of sounds: syllables without tones, and words of other scripts.

Recognisers confuse homophones, so what is looked for is compared by sound. Numbers are read out
first: ``8%`` sounds like 百分之八.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = ["Token", "alike", "joined", "read_numbers", "tokens_of"]

_BREAKS: Final = frozenset("，。；！？：,;!?:\n…—")
_PIECE: Final = re.compile(
    r"(?P<han>[㐀-䶿一-鿿]+)|(?P<word>[^\W\d_㐀-䶿一-鿿]+(?:['’][^\W\d_㐀-䶿一-鿿]+)*)"
)
_NUMBER: Final = re.compile(r"(\d+(?:,\d{3})+|\d+)(?:\.(\d+))?\s*([%％‰])?(年)?")
_SIMPLIFIED: Final = str.maketrans(
    "沒無並別嗎麼還為應對確認願題問瞭產險個說證買過這樣會實時來",
    "没无并别吗么还为应对确认愿题问了产险个说证买过这样会实时来",
)
"""Characters that recognisers write in their traditional form, of words that are looked for."""

_DIGITS: Final = "零一二三四五六七八九"
_TENS: Final = ("", "十", "百", "千")
_GROUPS: Final = ("", "万", "亿", "万亿")
_INITIALS: Final = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcsyw")
_NEAR_INITIALS: Final = {
    "zh": "z", "ch": "c", "sh": "s", "n": "l", "r": "l", "h": "f",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A syllable or a word.

    Attributes:
        sound: syllable without tone, or the word in lower case.
        text: as it is written: one character, or the word.
        clause: counts from 0; a comma, a full stop or a pause begins the next.
        at: index of its first character in the text that was read out.
    """

    sound: str
    text: str
    clause: int
    at: int


def joined(tokens: Sequence[Token], one: int, other: int) -> bool:
    """Whether two words are of one clause."""
    return tokens[one].clause == tokens[other].clause


def tokens_of(text: str) -> tuple[Token, ...]:
    """Takes a text apart; punctuation and symbols are left out."""
    text = text.translate(_SIMPLIFIED)
    text = read_numbers(unicodedata.normalize("NFKC", text)).replace("’", "'").lower()
    found: list[Token] = []
    clause, end = 0, 0
    for piece in _PIECE.finditer(text):
        between = text[end : piece.start()]
        is_han = piece.lastgroup == "han"
        # A space between Chinese characters is a pause that the recogniser heard.
        pause = is_han and bool(found) and " " in between and _is_han(found[-1].text)
        if found and (pause or _BREAKS.intersection(between) or re.search(r"\.(\s|$)", between)):
            clause += 1
        end = piece.end()
        if not is_han:
            found.append(Token(piece.group(), piece.group(), clause, piece.start()))
            continue
        sounds = _sounds(piece.group())
        for index, (character, sound) in enumerate(zip(piece.group(), sounds, strict=True)):
            found.append(Token(sound, character, clause, piece.start() + index))
    return tuple(found)


def read_numbers(text: str) -> str:
    """Writes numbers as they are read in Chinese; a text without Chinese stays as it is."""
    if not any(_is_han(character) for character in text):
        return text
    return _NUMBER.sub(_read, text)


@lru_cache(maxsize=65_536)
def alike(one: str, other: str) -> float:
    """How much two sounds differ: 0 the same, 1 not alike.

    0.2: what dialects and recognisers don't tell apart (zh/z, n/l, -ng/-n); 0.6: one half is the
    same.
    """
    if one == other:
        return 0.0
    first, second = _halves(one), _halves(other)
    if not first or not second:
        return 1.0
    if _near(first) == _near(second):
        return 0.2
    same = (_near(first)[0] == _near(second)[0]) + (_near(first)[1] == _near(second)[1])
    return 0.6 if same else 1.0


@lru_cache(maxsize=4_096)
def _sounds(characters: str) -> tuple[str, ...]:
    from pypinyin import lazy_pinyin

    # Looks at neighbours, as 行 and 重 need it; what has no reading stays what it is.
    sounds = lazy_pinyin(characters)
    if len(sounds) != len(characters):
        sounds = [lazy_pinyin(character)[0] for character in characters]
    return tuple(sounds)


def _halves(sound: str) -> tuple[str, str] | None:
    """Initial and final of a syllable; nothing for what is none."""
    if not sound.isascii() or not sound.isalpha() or len(sound) > 6:
        return None
    initial = next((one for one in _INITIALS if sound.startswith(one)), "")
    return initial, sound[len(initial) :]


def _near(halves: tuple[str, str]) -> tuple[str, str]:
    initial, final = halves
    return _NEAR_INITIALS.get(initial, initial), final.removesuffix("g")


def _is_han(text: str) -> bool:
    return len(text) == 1 and ("㐀" <= text <= "䶿" or "一" <= text <= "鿿")


def _read(match: re.Match[str]) -> str:
    whole, fraction, sign, year = match.groups()
    whole = whole.replace(",", "")
    digits = "".join(_DIGITS[int(one)] for one in whole)
    is_code = len(whole) > 16 or (len(whole) > 1 and whole[0] == "0") or (year and len(whole) == 4)
    read = digits if is_code else _integer(int(whole))
    if fraction:
        read += "点" + "".join(_DIGITS[int(one)] for one in fraction)
    before = {"%": "百分之", "％": "百分之", "‰": "千分之"}.get(sign or "", "")
    return before + read + (year or "")


def _integer(number: int) -> str:
    if number == 0:
        return "零"
    read, group = "", 0
    while number:
        number, low = divmod(number, 10_000)
        part = _below_ten_thousand(low)
        if part:
            gap = "零" if number and low < 1_000 else ""
            read = gap + part + _GROUPS[group] + read
        group += 1
    return re.sub("零+", "零", read.removeprefix("一") if read.startswith("一十") else read)


def _below_ten_thousand(number: int) -> str:
    read, pending = "", False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit == 0:
            pending = bool(read)
            continue
        read += ("零" if pending else "") + _DIGITS[digit] + _TENS[place]
        pending = False
    return read
