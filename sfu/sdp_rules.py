"""What the lines of an offer must look like, and what to do where they don't."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiortc.sdp import FMTP_INT_PARAMETERS

from sfu.errors import SdpError

__all__ = [
    "DIRECTIONS",
    "ID_CHARACTER",
    "MEDIA_RULES",
    "SESSION_RULES",
    "Rule",
    "checked_extmap",
    "checked_fingerprint",
    "checked_formats",
    "checked_ssrc",
]

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")

ID_CHARACTER = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]"
"""A character of an RFC 8866 token."""

DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
MAX_EXTENSIONS_PER_SECTION = 64
MAX_SSRC = 2**32 - 1

_INTEGERS = "|".join(map(re.escape, FMTP_INT_PARAMETERS))
_EXTMAP = re.compile(
    r"(\d{1,5})(?:/(?:sendrecv|sendonly|recvonly|inactive))? ([!-~]{1,255})(?: [ -~]*)?", re.ASCII
)
_SSRC = re.compile(r"(\d{1,10})(?: .*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """Pattern of an attribute's value, and a hint for those whose value differs."""

    pattern: re.Pattern[str]
    hint: str


def _rule(pattern: str, hint: str) -> Rule:
    return Rule(re.compile(pattern, re.ASCII), hint)


_RIDS = r"~?[A-Za-z0-9_-]{1,16}(?:,~?[A-Za-z0-9_-]{1,16}){0,7}"
_RID_LIST = rf"{_RIDS}(?:;{_RIDS}){{0,15}}"

SESSION_RULES: Mapping[str, Rule] = {
    "ice-ufrag": _rule(r"[A-Za-z0-9+/]{4,256}", "4 to 256 letters, digits, + or /"),
    "ice-pwd": _rule(r"[A-Za-z0-9+/]{22,256}", "22 to 256 letters, digits, + or /"),
    "fingerprint": _rule(
        r"[A-Za-z0-9-]{1,16} [0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){0,127}",
        "hash name, space, hex pairs with colons",
    ),
    "setup": _rule("actpass|active|passive", "offers say actpass (holdconn is not supported)"),
}
"""Attributes that may stand in the session part and in every m-section."""

MEDIA_RULES: Mapping[str, Rule] = {
    **SESSION_RULES,
    "mid": _rule(ID_CHARACTER + "{1,16}", "a token of 1 to 16 characters"),
    "rtpmap": _rule(
        r"(?:\d|[1-9]\d|1[01]\d|12[0-7]) [A-Za-z0-9._-]{1,32}/\d{1,7}(?:/\d{1,2})?",
        "payload type 0 to 127, space, name/clock rate[/channels]",
    ),
    "fmtp": _rule(
        rf"\d{{1,3}} (?: *(?!(?:{_INTEGERS})=)[!-:<-~][ -:<-~]*| *(?:{_INTEGERS})=\d{{1,9}} *)?"
        rf"(?:;(?: *(?!(?:{_INTEGERS})=)[!-:<-~][ -:<-~]*| *(?:{_INTEGERS})=\d{{1,9}} *)?)*",
        "payload type, space, name=value pairs with semicolons; apt, minptime and the like take "
        "a number",
    ),
    "rtcp-fb": _rule(
        r"(?:\d{1,3}|\*) [!-~]{1,32}(?: [!-~]{1,32}){0,2}", "payload type or *, space, type"
    ),
    "rid": _rule(
        r"[A-Za-z0-9_-]{1,16} (?:send|recv)(?: [ -~]*)?",
        "1 to 16 letters, digits, - or _, space, send or recv",
    ),
    "simulcast": _rule(
        rf"(?:send|recv) {_RID_LIST}(?: (?:send|recv) {_RID_LIST})?",
        "send or recv, space, stream ids with semicolons (RFC 8853)",
    ),
    "ssrc-group": _rule(r"[A-Z-]{1,16}(?: \d{1,10}){1,32}", "semantics, space, ssrc numbers"),
}
"""Attributes read from m-sections of audio and video."""


def checked_formats(formats: Sequence[str], line: int, section: int) -> None:
    """Payload types must be numbers, each once.

    Raises:
        SdpError: they are not.
    """
    if len(set(formats)) != len(formats):
        raise SdpError("a payload type is listed twice", line=line, section=section)
    for item in formats:
        canonical = item.isascii() and item.isdigit() and len(item) <= 3 and item == str(int(item))
        if not canonical or int(item) > 127:
            raise SdpError("payload types are numbers from 0 to 127", line=line, section=section)


def checked_extmap(known: dict[str, int], value: str, line: int, section: int) -> None:
    """Adds one ``a=extmap`` to ``known``, URI → id. Unusable ids are left out.

    Raises:
        SdpError: malformed, or an id is used twice.
    """
    match = _EXTMAP.fullmatch(value)
    if match is None:
        raise SdpError("a=extmap is malformed: id, space, URI", line=line, section=section)
    number, uri = int(match.group(1)), match.group(2)
    if number == 15 or not 1 <= number <= 255:
        return
    if number in known.values():
        raise SdpError(f"header extension id {number} is used twice", line=line, section=section)
    if len(known) >= MAX_EXTENSIONS_PER_SECTION:
        raise SdpError("too many header extensions", line=line, section=section)
    known.setdefault(uri, number)


def checked_ssrc(value: str, line: int, section: int) -> int:
    """Number of an ``a=ssrc``.

    Raises:
        SdpError: malformed, zero or too large.
    """
    match = _SSRC.fullmatch(value)
    if match is None or not 0 < int(match.group(1)) <= MAX_SSRC:
        raise SdpError(
            "a=ssrc is malformed: a number from 1 to 4294967295", line=line, section=section
        )
    return int(match.group(1))


def checked_fingerprint(value: str, line: int, section: int | None) -> None:
    """The digest must be as long as its hash makes it.

    Raises:
        SdpError: it isn't.
    """
    algorithm, _, digest = value.partition(" ")
    expected = DIGEST_BYTES.get(algorithm.lower())
    if expected is not None and digest.count(":") + 1 != expected:
        raise SdpError(
            f"a=fingerprint: {algorithm.lower()} has {expected} bytes", line=line, section=section
        )
