import base64
import hashlib
import io
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.playback.errors import RecordingError
from recorder.playback.pcapng import read_segment
from recorder.playback.sealed import SealedFile, read_key
from tests.recorder.capture_files import capture_file
from tests.recorder.encoders import pattern
from tests.recorder.scene import Link, video_track

MASTER = bytes(range(32))


def sealed(parts: list[bytes], *, is_whole: bool = True) -> bytes:
    """As ``media/capture/src/seal.rs`` writes it, with keys and nonces that are not random."""
    own, nonce, prefix = bytes([1] * 32), bytes([2] * 12), bytes([3] * 7)
    magic = b"WITNESS\x01"
    wrapped = AESGCM(MASTER).encrypt(nonce, own, magic)
    out = header = magic + hashlib.sha256(MASTER).digest()[:8] + nonce + wrapped + prefix
    for number, part in enumerate([*parts, *([b""] if is_whole else [])]):
        is_last = is_whole and number == len(parts)
        frame = AESGCM(own).encrypt(
            prefix + number.to_bytes(4, "big") + bytes([is_last]), part, header
        )
        out += (len(frame) | is_last << 31).to_bytes(4, "big") + frame
    return out


def opened(data: bytes, key: bytes = MASTER) -> bytes:
    return io.BufferedReader(SealedFile(io.BytesIO(data), key, "x.enc"), 100).read()


def test_an_encrypted_file_reads_as_what_it_was_made_of(tmp_path: Path) -> None:
    items = video_track("v", "vp8", pattern(20), Link()).items
    plain = capture_file(items)
    path = tmp_path / "000001.pcapng.enc"
    path.write_bytes(sealed([plain[:500], plain[500:501], plain[501:]]))
    assert list(read_segment(path, MASTER)) == items
    with pytest.raises(RecordingError, match="give its key with --key"):
        list(read_segment(path))
    with pytest.raises(RecordingError, match="is encrypted with another key"):
        list(read_segment(path, bytes(32)))


def test_what_a_crash_left_can_be_read() -> None:
    for is_whole in (True, False):
        file = SealedFile(io.BytesIO(sealed([b"one", b"two"], is_whole=is_whole)), MASTER, "x.enc")
        assert not file.is_cut
        assert file.readall() == b"onetwo"
        assert file.is_cut is not is_whole


def test_every_change_is_noticed() -> None:
    rng = random.Random(1)
    good = sealed([b"a" * 50, b"b" * 50, b"c" * 50])
    assert opened(good) == b"a" * 50 + b"b" * 50 + b"c" * 50
    for _ in range(300):
        data = bytearray(good)
        match rng.randrange(4):
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                del data[rng.randrange(1, len(data)) :]
                if len(data) in {83, 83 + 70, 83 + 140, 83 + 210}:
                    continue  # a whole number of frames: a crash leaves that, too
            case 2:
                first = bytes(data[83:153])
                data[83:153] = data[153:223]
                data[153:223] = first
            case _:
                data += b"more"
        with pytest.raises(RecordingError, match=r"changed|capture file|another key"):
            opened(bytes(data))


@pytest.mark.parametrize(
    ("content", "is_key"),
    [
        (MASTER, True),
        (base64.b64encode(MASTER) + b"\n", True),
        (b"", False),
        (b"x" * 31, False),
        (base64.b64encode(b"x" * 31), False),
        (b"\xff" * 44, False),
    ],
)
def test_a_key_has_32_bytes(tmp_path: Path, content: bytes, is_key: bool) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    if is_key:
        assert read_key(path) == MASTER
    else:
        with pytest.raises(RecordingError, match="holds no key of 32 bytes"):
            read_key(path)
