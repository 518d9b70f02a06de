"""Fragments of descriptions, as WHIP and WHEP clients send them."""

import random

import pytest

from sfu.plane import Ice
from signaling.sdpfrag import (
    MAX_CANDIDATES,
    MAX_FRAGMENT_BYTES,
    MAX_SECTIONS,
    Fragment,
    FragmentError,
    read_fragment,
    write_fragment,
)
from tests.fuzz.runner import mutate

ICE = Ice("ysXw", "vw5LmwG4y/e6dPP/zAP9Gp5k")
CREDENTIALS = f"a=ice-ufrag:{ICE.ufrag}\r\na=ice-pwd:{ICE.password}\r\n"
MEDIA = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
HOST = (
    "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag ysXw\r\n"
)
TCP = "a=candidate:473322822 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active\r\n"
NAMED = "a=candidate:1 1 udp 1 6a4e2f1c-0000.local 5000 typ host\r\n"

GOOD: dict[str, tuple[str, Fragment]] = {
    "trickle": (MEDIA + CREDENTIALS + HOST + TCP, Fragment(ICE, 2, complete=False)),
    "session part": (CREDENTIALS + MEDIA + HOST, Fragment(ICE, 1, complete=False)),
    "restart": (
        "a=ice-options:trickle ice2\r\na=group:BUNDLE 0 1\r\n" + MEDIA + CREDENTIALS,
        Fragment(ICE, 0, complete=False),
    ),
    "no credentials": (MEDIA + NAMED, Fragment(None, 1, complete=False)),
    "end only": (MEDIA + "a=end-of-candidates\r\n", Fragment(None, 0, complete=True)),
    "bare line feeds": ((MEDIA + CREDENTIALS).replace("\r", ""), Fragment(ICE, 0, complete=False)),
    "no line end": (CREDENTIALS.removesuffix("\r\n"), Fragment(ICE, 0, complete=False)),
    "repeated for each m-line": (
        MEDIA + CREDENTIALS + MEDIA.replace("mid:0", "mid:1") + CREDENTIALS,
        Fragment(ICE, 0, complete=False),
    ),
    "pseudo m-line": (
        "m=audio 9 RTP/AVP 0\r\na=mid:0\r\n" + CREDENTIALS,
        Fragment(ICE, 0, complete=False),
    ),
    "unknown attribute": (
        MEDIA + CREDENTIALS + "a=witness:1\r\n",
        Fragment(ICE, 0, complete=False),
    ),
}

MALFORMED: dict[str, tuple[str, str]] = {
    "empty": ("", "neither credentials nor candidates"),
    "only an m-line": (MEDIA, "neither credentials nor candidates"),
    "a whole description": ("v=0\r\n" + MEDIA, "line 1: neither an attribute nor an m-line"),
    "control character": ("a=ice-ufrag:ab\x00d\r\n", "line 1: neither"),
    "no letter": ("ice-ufrag:abcd\r\n", "line 1: neither"),
    "m-line without formats": ("m=audio 9 RTP/AVP\r\na=mid:0\r\n", "line 1: the m-line"),
    "m-line without mid": ("m=audio 9 RTP/AVP 0\r\n" + CREDENTIALS, "without a=mid"),
    "mid in the session part": ("a=mid:0\r\n" + CREDENTIALS, "line 1: a=mid before"),
    "mid twice": (MEDIA + "a=mid:1\r\n", "line 3: a=mid is there twice"),
    "mid too long": ("m=audio 9 RTP/AVP 0\r\na=mid:" + "x" * 17, "line 2: a=mid is malformed"),
    "ufrag alone": (MEDIA + "a=ice-ufrag:abcd\r\n", "belong together"),
    "pwd alone": (MEDIA + f"a=ice-pwd:{ICE.password}\r\n", "belong together"),
    "ufrag too short": ("a=ice-ufrag:abc\r\n", "a=ice-ufrag is malformed"),
    "pwd too short": ("a=ice-ufrag:abcd\r\na=ice-pwd:abc\r\n", "line 2: a=ice-pwd is malformed"),
    "pwd of other characters": ("a=ice-pwd:" + "é" * 22, "a=ice-pwd is malformed"),
    "ufrag twice": (CREDENTIALS + "a=ice-ufrag:abcd\r\n", "line 3: a=ice-ufrag is there twice"),
    "two transports": (
        MEDIA + CREDENTIALS + "m=video 9 RTP/AVP 0\r\na=mid:1\r\n" + CREDENTIALS.replace("y", "z"),
        "different credentials",
    ),
    "half of a candidate": (MEDIA + "a=candidate:1 1 udp 1 192.0.2.1\r\n", "line 3: a=candidate"),
    "candidate without typ": (MEDIA + "a=candidate:1 1 udp 1 192.0.2.1 5 host\r\n", "a=candidate"),
    "odd extension": (MEDIA + NAMED.replace("host", "host x"), "a=candidate"),
    "port too high": (MEDIA + HOST.replace("61764", "65536"), "above 65535"),
    "priority too long": (MEDIA + HOST.replace("2122260223", "9" * 11), "a=candidate"),
    "foreign digits": (MEDIA + HOST.replace("61764", "٦١٧٦٤"), "a=candidate"),
    "too many candidates": (MEDIA + HOST * (MAX_CANDIDATES + 1), "more than 128 candidates"),
    "too many m-lines": (MEDIA * (MAX_SECTIONS + 1), "more than 64 m-lines"),
    "too long": ("a=x\r\n" * MAX_FRAGMENT_BYTES, "more than 16384 characters"),
}


@pytest.mark.parametrize(("text", "expected"), GOOD.values(), ids=GOOD.keys())
def test_good_fragment_is_read(text: str, expected: Fragment) -> None:
    assert read_fragment(text) == expected


@pytest.mark.parametrize(("text", "message"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_fragment_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(FragmentError) as caught:
        read_fragment(text)
    assert message in str(caught.value)
    assert "192.0.2.1" not in str(caught.value)


def test_what_is_written_can_be_read() -> None:
    text = write_fragment(
        media="video", mid="v", ice=ICE, candidates=[HOST.strip(), "a=end-of-candidates"]
    )
    assert text.startswith("a=ice-lite\r\nm=video 9 ")
    assert read_fragment(text) == Fragment(ICE, 1, complete=True)


def test_mutated_fragments_are_read_or_refused() -> None:
    rng = random.Random(9725)
    seeds = [text.encode() for text, _ in [*GOOD.values(), *MALFORMED.values()] if len(text) < 5000]
    refused = 0
    for _ in range(2_000):
        try:
            read_fragment(mutate(rng, seeds).decode("utf-8", "replace"))
        except FragmentError:
            refused += 1
    assert 500 < refused < 2_000
