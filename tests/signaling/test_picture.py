"""Headers of pictures: their size, or why they have none."""

import io

import pytest
from PIL import Image as Pictures

from signaling.picture import NoPictureError, PictureHead, picture_head


def jpeg(size: tuple[int, int] = (120, 160), **more: object) -> bytes:
    file = io.BytesIO()
    Pictures.new("RGB", size, (200, 150, 120)).save(file, "JPEG", **more)
    return file.getvalue()


def png(size: tuple[int, int] = (120, 160)) -> bytes:
    file = io.BytesIO()
    Pictures.new("RGB", size).save(file, "PNG")
    return file.getvalue()


GOOD = {
    "jpeg": (jpeg(), "image/jpeg"),
    "progressive": (jpeg(progressive=True), "image/jpeg"),
    "exif and comment": (jpeg(exif=b"Exif\0\0" + bytes(500), comment=b"x" * 300), "image/jpeg"),
    "padding before a marker": (jpeg()[:2] + b"\xff\xff" + jpeg()[2:], "image/jpeg"),
    "restart marker": (jpeg()[:2] + b"\xff\xd0" + jpeg()[2:], "image/jpeg"),
    "png": (png(), "image/png"),
}
SOI = b"\xff\xd8"
MALFORMED = {
    "nothing": (b"", "neither"),
    "text": (b"<svg/>", "neither"),
    "gif": (b"GIF89a" + bytes(20), "neither"),
    "half a png": (png()[:20], "no header"),
    "png without header": (b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IDAT" + bytes(20), "no header"),
    "only the start": (SOI, "no size"),
    "no marker": (SOI + b"abcd", "no marker"),
    "length of nothing": (SOI + b"\xff\xe0\x00\x01" + bytes(9), "no size"),
    "length beyond the end": (SOI + b"\xff\xe0\xff\xff" + bytes(9), "no size"),
    "ends within the size": (SOI + b"\xff\xc0\x00\x11\x08\x00", "no size"),
    "frame that is too short": (SOI + b"\xff\xc0\x00\x04\x08\x00\x10\x00\x10", "no size"),
    "ends before a frame": (SOI + b"\xff\xd9" + bytes(9), "no size"),
    "picture before a frame": (SOI + b"\xff\xda\x00\x04" + bytes(20), "no size"),
    "padding only": (SOI + b"\xff" * 50, "no size"),
}


@pytest.mark.parametrize("name", GOOD)
def test_size_is_what_a_decoder_says(name: str) -> None:
    data, kind = GOOD[name]
    assert picture_head(data) == PictureHead(kind, 120, 160)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_picture_is_refused(name: str) -> None:
    data, why = MALFORMED[name]
    with pytest.raises(NoPictureError, match=why):
        picture_head(data)


@pytest.mark.parametrize("data", [jpeg(), png()])
def test_every_beginning_is_read_or_refused(data: bytes) -> None:
    for length in range(len(data)):
        try:
            head = picture_head(data[:length])
        except NoPictureError:
            continue
        assert (head.width, head.height) == (120, 160)
