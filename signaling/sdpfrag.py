"""``application/trickle-ice-sdpfrag``: what WHIP and WHEP say about ICE after the first answer.

Reading checks every line that means something here and passes over attributes it doesn't know.

Spec: RFC 8840, section 9; RFC 8839 (ICE attributes); RFC 9725, section 4.3.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sfu.plane import Ice
from sfu.sdp_rules import MEDIA_RULES, SESSION_RULES, Rule

__all__ = ["MAX_FRAGMENT_BYTES", "Fragment", "FragmentError", "read_fragment", "write_fragment"]

MAX_FRAGMENT_BYTES: Final = 16_384
MAX_CANDIDATES: Final = 128
MAX_SECTIONS: Final = 64

_LINE: Final = re.compile(r"[am]=[^\x00-\x1f\x7f]*")
_MEDIA: Final = re.compile(r"m=[A-Za-z0-9-]{1,16} \d{1,5} [A-Za-z0-9/]{1,32}(?: [!-~]+)+", re.ASCII)
_CANDIDATE: Final = re.compile(
    r"[A-Za-z0-9+/]{1,32} \d{1,3} [A-Za-z0-9-]{1,16} \d{1,10} [!-~]{1,255} \d{1,5}"
    r" typ [A-Za-z0-9-]{1,32}(?: [!-~]+ [!-~]+)*",
    re.ASCII,
)
_RULES: Final = {
    "ice-ufrag": SESSION_RULES["ice-ufrag"],
    "ice-pwd": SESSION_RULES["ice-pwd"],
    "mid": MEDIA_RULES["mid"],
    "candidate": Rule(
        _CANDIDATE, "foundation, component, transport, priority, address, port, typ, type"
    ),
}


class FragmentError(ValueError):
    """The fragment is malformed; the text says where, and holds nothing of what it says.

    Attributes:
        line: from 1; ``None`` where no single line is to blame.
    """

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text if line is None else f"line {line}: {text}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a fragment says.

    Attributes:
        ice: the sender's credentials; ``None`` where it has none.
        candidates: how many it has. A lite agent needs to know none of them (RFC 8445,
            section 2.5): it learns the sender's address from its checks.
        complete: no more candidates follow.
    """

    ice: Ice | None
    candidates: int
    complete: bool


@dataclass(slots=True)
class _Section:
    """The session part, or what follows one m-line."""

    ufrag: str | None = None
    password: str | None = None
    mid: str | None = None


def read_fragment(text: str) -> Fragment:
    """Reads a fragment.

    Args:
        text: at most ``MAX_FRAGMENT_BYTES`` characters; lines end with CRLF or LF.

    Raises:
        FragmentError: malformed; no other exception whatever the text.
    """
    if len(text) > MAX_FRAGMENT_BYTES:
        raise FragmentError(f"the fragment has more than {MAX_FRAGMENT_BYTES} characters")
    sections = [_Section()]
    candidates, complete = 0, False
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.removesuffix("\r")
        if not line:
            continue
        if not _LINE.fullmatch(line):
            raise FragmentError("neither an attribute nor an m-line", number)
        if line.startswith("m="):
            _open_section(sections, line, number)
            continue
        name, _, value = line[2:].partition(":")
        if name == "end-of-candidates":
            complete = True
        elif name in _RULES:
            _attribute(sections, name, value, number)
            candidates += name == "candidate"
            if candidates > MAX_CANDIDATES:
                raise FragmentError(f"more than {MAX_CANDIDATES} candidates", number)
    for section in sections[1:]:
        if section.mid is None:
            raise FragmentError("an m-line without a=mid")
    ice = _credentials(sections)
    if ice is None and not candidates and not complete:
        raise FragmentError("neither credentials nor candidates")
    return Fragment(ice, candidates, complete)


def write_fragment(*, media: str, mid: str, ice: Ice, candidates: Sequence[str]) -> str:
    """A lite agent's credentials and candidates.

    Args:
        media: first word of the m-line the bundle goes by.
        mid: its identifier.
        ice: the credentials.
        candidates: attributes, ``a=candidate:…`` and ``a=end-of-candidates``.
    """
    lines = [
        "a=ice-lite",
        f"m={media} 9 UDP/TLS/RTP/SAVPF 0",
        f"a=mid:{mid}",
        f"a=ice-ufrag:{ice.ufrag}",
        f"a=ice-pwd:{ice.password}",
        *candidates,
    ]
    return "\r\n".join(lines) + "\r\n"


def _open_section(sections: list[_Section], line: str, number: int) -> None:
    if not _MEDIA.fullmatch(line):
        raise FragmentError("the m-line is malformed", number)
    if len(sections) > MAX_SECTIONS:
        raise FragmentError(f"more than {MAX_SECTIONS} m-lines", number)
    sections.append(_Section())


def _attribute(sections: list[_Section], name: str, value: str, number: int) -> None:
    rule, section = _RULES[name], sections[-1]
    if not rule.pattern.fullmatch(value):
        raise FragmentError(f"a={name} is malformed: {rule.hint}", number)
    if name == "candidate":
        if int(value.split(" ")[5]) > 65535:
            raise FragmentError("the port of a candidate is above 65535", number)
        return
    if name == "mid" and section is sections[0]:
        raise FragmentError("a=mid before the first m-line", number)
    member = {"ice-ufrag": "ufrag", "ice-pwd": "password", "mid": "mid"}[name]
    if getattr(section, member) is not None:
        raise FragmentError(f"a={name} is there twice", number)
    setattr(section, member, value)


def _credentials(sections: Sequence[_Section]) -> Ice | None:
    """The one pair of the bundle; an m-line may repeat that of the session part."""
    found = {(item.ufrag, item.password) for item in sections} - {(None, None)}
    if not found:
        return None
    if len(found) > 1:
        raise FragmentError("the m-lines have different credentials; use one bundle")
    ufrag, password = found.pop()
    if ufrag is None or password is None:
        raise FragmentError("a=ice-ufrag and a=ice-pwd belong together")
    return Ice(ufrag, password)
