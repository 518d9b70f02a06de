import base64
import hashlib
import io
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.envelope import EnvelopeError, MasterKeys, place_of, seal
from recorder.playback.errors import RecordingError
from recorder.playback.pcapng import read_segment
from recorder.playback.sealed import SealedFile, open_sealed, read_key
from tests.recorder.capture_files import capture_file
from tests.recorder.encoders import pattern
from tests.recorder.scene import Link, video_track

MASTER = bytes(range(32))
KEYS = MasterKeys(MASTER)


PLACE = "s-1/t_1/000001.pcapng.enc"


def sealed(parts: list[bytes], *, is_whole: bool = True, place: str | None = None) -> bytes:
    """As ``media/capture/src/seal.rs`` writes it, with keys and nonces that are not random.

    Without a place, as it wrote it before it knew of places.
    """
    own, nonce, prefix = bytes([1] * 32), bytes([2] * 12), bytes([3] * 7)
    magic = b"WITNESS\x01" if place is None else b"WITNESS\x02"
    start = magic + hashlib.sha256(MASTER).digest()[:8]
    name = b"" if place is None else place.encode()
    wrapped = AESGCM(MASTER).encrypt(nonce, own, magic if place is None else start + name)
    out = start + nonce + wrapped + prefix
    if place is not None:
        out += len(name).to_bytes(2, "big") + name
    header = out
    for number, part in enumerate([*parts, *([b""] if is_whole else [])]):
        is_last = is_whole and number == len(parts)
        frame = AESGCM(own).encrypt(
            prefix + number.to_bytes(4, "big") + bytes([is_last]), part, header
        )
        out += (len(frame) | is_last << 31).to_bytes(4, "big") + frame
    return out


def opened(data: bytes, keys: MasterKeys = KEYS, place: str | None = None) -> bytes:
    return io.BufferedReader(SealedFile(io.BytesIO(data), keys, "x.enc", place), 100).read()


def test_an_encrypted_file_reads_as_what_it_was_made_of(tmp_path: Path) -> None:
    items = video_track("v", "vp8", pattern(20), Link()).items
    plain = capture_file(items)
    path = tmp_path / "000001.pcapng.enc"
    path.write_bytes(sealed([plain[:500], plain[500:501], plain[501:]], place=PLACE))
    assert list(read_segment(path, KEYS)) == items
    with pytest.raises(RecordingError, match="give its key with --key"):
        list(read_segment(path))
    with pytest.raises(RecordingError, match="is encrypted with another key"):
        list(read_segment(path, MasterKeys(bytes(32))))
    assert list(read_segment(path, MasterKeys(bytes(32), [MASTER]))) == items


@pytest.mark.parametrize(
    ("lies", "is_right"),
    [
        (PLACE, True),
        ("s-1/t_1/000002.pcapng.enc", False),
        ("s-1/t_2/000001.pcapng.enc", False),
        ("s-2/t_1/000001.pcapng.enc", False),
        (None, True),
    ],
)
def test_a_file_can_not_stand_for_another(lies: str | None, is_right: bool) -> None:
    data = sealed([b"one"], place=PLACE)
    if is_right:
        assert opened(data, place=lies) == b"one"
        return
    assert lies is not None
    with pytest.raises(RecordingError, match=f"belongs to {PLACE}"):
        opened(data, place=lies)
    # Nor if it says that it belongs there.
    forged = data.replace(PLACE.encode(), lies.encode())
    with pytest.raises(RecordingError, match="changed"):
        opened(forged, place=lies)
    # What was written before files knew their place can still be read.
    assert opened(sealed([b"one"]), place=lies) == b"one"


@pytest.mark.parametrize(
    ("first", "name", "is_taken"),
    [(None, "000002.pcapng.enc", True), (PLACE, "000002.pcapng.enc", False),
     (None, "backfill/2.frames.enc", False)],
)  # fmt: skip
def test_a_file_without_a_place_is_taken_only_where_the_track_began_with_such(
    tmp_path: Path, first: str | None, name: str, is_taken: bool
) -> None:
    track = tmp_path / "s-1/tracks/t_1"
    (track / "backfill").mkdir(parents=True)
    (track / "000001.pcapng.enc").write_bytes(sealed([b"one"], place=first))
    (track / name).write_bytes(sealed([b"two"]))
    with open_sealed(track / "000001.pcapng.enc", KEYS) as file:
        assert file.read() == b"one"
    if is_taken:
        with open_sealed(track / name, KEYS) as file:
            assert file.read() == b"two"
    else:
        with pytest.raises(RecordingError, match="doesn't say that it belongs"):
            open_sealed(track / name, KEYS)


def test_where_a_file_lies() -> None:
    place = Path("/data/s-1/tracks/t_1")
    assert place_of(place / "000001.pcapng.enc") == PLACE
    assert place_of(place / "000001.pcapng.enc.part") == PLACE
    assert place_of(place / "backfill/3.frames.enc") == "s-1/t_1/backfill/3.frames.enc"
    assert place_of(Path("/data/000001.pcapng.enc")) is None
    assert place_of(Path("x.enc")) is None


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_what_is_sealed_here_opens_like_what_the_plane_seals(size: int) -> None:
    content = random.Random(size).randbytes(size)
    data = seal(content, MASTER, PLACE)
    assert opened(data, place=PLACE) == content
    assert seal(content, MASTER, PLACE) != data
    with pytest.raises(RecordingError, match="changed"):
        opened(data[:-1])


def test_what_a_crash_left_can_be_read() -> None:
    for is_whole in (True, False):
        file = SealedFile(io.BytesIO(sealed([b"one", b"two"], is_whole=is_whole)), KEYS, "x.enc")
        assert not file.is_cut
        assert file.readall() == b"onetwo"
        assert file.is_cut is not is_whole


@pytest.mark.parametrize("place", [None, PLACE])
def test_every_change_is_noticed(place: str | None) -> None:
    rng = random.Random(1)
    good = sealed([b"a" * 50, b"b" * 50, b"c" * 50], place=place)
    start = 83 if place is None else 85 + len(place)
    assert opened(good) == b"a" * 50 + b"b" * 50 + b"c" * 50
    for _ in range(300):
        data = bytearray(good)
        match rng.randrange(4):
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                del data[rng.randrange(1, len(data)) :]
                if len(data) in {start, start + 70, start + 140, start + 210}:
                    continue  # a whole number of frames: a crash leaves that, too
            case 2:
                first = bytes(data[start : start + 70])
                data[start : start + 70] = data[start + 70 : start + 140]
                data[start + 70 : start + 140] = first
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
        with pytest.raises(EnvelopeError, match="holds no key of 32 bytes"):
            read_key(path)
