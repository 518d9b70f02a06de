import zlib
from base64 import b64decode, b64encode

import pytest

from signaling.deflated import deflated, inflated, inflated_body
from tests.signaling.offers import offer_sdp


def _packed(data: bytes, wbits: int = -15) -> str:
    packer = zlib.compressobj(wbits=wbits)
    return b64encode(packer.compress(data) + packer.flush()).decode()


@pytest.mark.parametrize(
    "text", ["", "v=0\r\n", "金融双录" * 5_000, offer_sdp([("audio", "sendonly")])]
)
def test_a_text_is_the_same_afterwards(text: str) -> None:
    assert inflated(deflated(text), len(text.encode())) == text


@pytest.mark.parametrize(
    ("packed", "wrong"),
    [
        ("!", "base64"),
        ("", "complete"),
        ("AAAA", "DEFLATE"),
        (_packed(b"v=0\r\n", wbits=15), "DEFLATE"),
        (deflated("v=0\r\n" * 100)[:-8], "complete"),
        (b64encode(b64decode(deflated("v=0\r\n")) + b"more").decode(), "complete"),
        (_packed(b"\xff\xfe"), "utf-8"),
        (_packed(b"a" * 1_001), "more than 1000 bytes"),
        (_packed(bytes(100_000_000)), "more than 1000 bytes"),
    ],
)
def test_what_is_no_such_text_is_refused(packed: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){wrong}"):
        inflated(packed, 1_000)


@pytest.mark.parametrize("text", ["", "金融双录" * 5_000])
def test_a_body_is_the_same_afterwards(text: str) -> None:
    assert inflated_body(zlib.compress(text.encode()), len(text.encode())) == text


@pytest.mark.parametrize(
    ("packed", "wrong"),
    [
        (b"", "complete"),
        (b"{}", "zlib"),
        (b64decode(deflated("v=0")), "zlib"),
        (zlib.compress(b"v=0" * 100)[:-1], "complete"),
        (zlib.compress(b"v=0") + b"more", "complete"),
        (zlib.compress(b"\xff\xfe"), "utf-8"),
        (zlib.compress(b"a" * 1_001), "more than 1000 bytes"),
        (zlib.compress(bytes(100_000_000)), "more than 1000 bytes"),
    ],
)
def test_what_is_no_such_body_is_refused(packed: bytes, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){wrong}"):
        inflated_body(packed, 1_000)
