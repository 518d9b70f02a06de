import zlib
from base64 import b64decode, b64encode

import pytest

from signaling.deflated import deflated, inflated
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
