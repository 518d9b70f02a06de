"""The form of uploads."""

import hashlib
import random
from struct import pack as words

import pytest

from recorder.backfill.errors import BodyError
from recorder.backfill.form import MAX_BYTES, MAX_FRAMES, Frame, digest_of, pack, unpack

MALFORMED = {
    "header cut": (b"\0\0\0", "header of frame 0"),
    "frame cut": (words("!II", 5, 3) + b"ab", "within frame 0"),
    "second header cut": (words("!II", 5, 1) + b"a" + b"\0" * 7, "header of frame 1"),
    "empty frame": (words("!II", 5, 0), "frame 0 is empty"),
    "endless length": (words("!II", 5, 2**32 - 1) + b"a", "within frame 0"),
    "same time twice": ((words("!II", 5, 1) + b"a") * 2, "not later"),
    "back in time": (words("!II", 5, 1) + b"a" + words("!II", 4, 1) + b"a", "not later"),
    "half around": (words("!II", 0, 1) + b"a" + words("!II", 2**31, 1) + b"a", "not later"),
    "too long": (b"\0" * (MAX_BYTES + 1), "more than a chunk"),
    "too many": (
        b"".join(words("!II", index, 1) + b"a" for index in range(MAX_FRAMES + 1)),
        "more than 10000",
    ),
}


@pytest.mark.parametrize("start", [0, 1, 2**31 - 1, 2**32 - 1, 2**32 - 960])
def test_frames_are_read_as_they_were_written_also_where_time_wraps(start: int) -> None:
    frames = [Frame((start + n * 960) % 2**32, bytes([n]) * (n + 1)) for n in range(5)]
    assert unpack(pack(frames)) == frames
    assert digest_of(frames) == hashlib.sha256(pack(frames)).hexdigest()
    assert unpack(b"") == []


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_body_is_refused_with_what_is_wrong(name: str) -> None:
    body, text = MALFORMED[name]
    with pytest.raises(BodyError, match=text):
        unpack(body)


def test_mutated_body_is_read_or_refused() -> None:
    rng = random.Random(5)
    good = pack(Frame(n * 960, bytes(rng.randbytes(20))) for n in range(20))
    for _ in range(2_000):
        body = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        del body[rng.randint(0, len(body)) :]
        try:
            frames = unpack(bytes(body))
        except BodyError:
            continue
        assert pack(frames) == body
