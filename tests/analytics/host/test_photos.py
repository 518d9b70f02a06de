"""The photo of a document: who is given it, and when it is gone."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image as Pictures

from analytics.detector import Needs, Portrait, Subject, VideoNeed
from analytics.host.photos import PhotoError, Photos, decoded
from analytics.host.wire import Show, WatchThis
from analytics.link import (
    MAX_LINE_BYTES,
    MAX_PHOTO_BYTES,
    IdPhoto,
    IdPhotoDone,
    to_host,
)
from tests.analytics.host.scene import Scene, config, detectors
from tests.analytics.host.test_core import Desk

NEEDS = Needs(video=VideoNeed(rate_hz=2.0, height=90), id_photo=frozenset({"k"}))


def encoded(size: tuple[int, int] = (120, 160), kind: str = "JPEG", **more: object) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    file = io.BytesIO()
    Pictures.fromarray(pixels).resize(size).save(file, kind, **more)
    return file.getvalue()


class PhotoDesk(Desk):
    def __init__(self) -> None:
        super().__init__("d", "other")

    def begin(self) -> None:
        """Somebody who allows all, watched by one who needs the photo and one who doesn't."""
        self.load("d", scope="participant", needs=NEEDS)
        self.load("other", scope="participant")
        self.join("a")
        self.allow("identity", "face", who="a")
        self.start(who="a", tap=1)

    def photo(self, data: bytes | None = None, who: str = "a") -> None:
        data = encoded() if data is None else data
        self.host.take(IdPhoto(session_id="s", participant_id=who, data=data))

    def shown(self) -> list[tuple[int, Portrait]]:
        return [(one.watch, one.item) for one in self.orders.orders if isinstance(one, Show)]

    def subjects(self) -> dict[str, Subject]:
        begun = [one for one in self.orders.orders if isinstance(one, WatchThis)]
        return {one.detector: one.subject for one in begun}

    def watch_of(self, detector: str) -> int:
        return next(
            one.watch
            for one in reversed(self.orders.orders)
            if isinstance(one, WatchThis) and one.detector == detector
        )


def test_photo_is_decoded_upright_and_in_colour() -> None:
    assert decoded(encoded()).shape == (160, 120, 3)
    assert decoded(encoded(kind="PNG")).shape == (160, 120, 3)
    gray = io.BytesIO()
    Pictures.fromarray(np.zeros((160, 120), np.uint8)).save(gray, "PNG")
    assert decoded(gray.getvalue()).shape == (160, 120, 3)
    exif = Pictures.Exif()
    exif[0x0112] = 6
    assert decoded(encoded(exif=exif)).shape == (120, 160, 3), "it lay on its side"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        encoded()[:60],
        encoded(kind="PNG")[:60],
        encoded(kind="GIF"),
        encoded(kind="BMP"),
        encoded((56, 160)),
        encoded((160, 2_056)),
    ],
)
def test_what_is_no_photo_is_refused(data: bytes) -> None:
    with pytest.raises(PhotoError):
        decoded(data)


def test_photos_are_bounded_and_forgotten() -> None:
    photos, image = Photos(), np.zeros((1, 1, 3), np.uint8)
    for number in range(1_030):
        photos.put("s", str(number), image)
    assert len(photos) == 1_024
    assert photos.get("s", "5") is None
    assert photos.get("s", "6") is not None
    assert photos.drop("s", "6")
    assert not photos.drop("s", "6")
    photos.put("other", "1", image)
    photos.end_session("s")
    assert len(photos) == 1


def test_line_has_room_for_the_largest_photo() -> None:
    largest = IdPhoto(session_id="s" * 64, participant_id="p" * 64, data=bytes(MAX_PHOTO_BYTES))
    line = largest.model_dump_json().encode()
    assert len(line) < MAX_LINE_BYTES
    assert to_host(line) == largest
    assert "data" not in repr(largest)


async def test_photo_reaches_the_watch_that_needs_it_and_no_other() -> None:
    desk = PhotoDesk()
    desk.begin()
    assert desk.subjects()["d"].id_photo is None
    desk.photo()
    ((watch, portrait),) = desk.shown()
    assert watch == desk.watch_of("d")
    assert portrait.participant_id == "a"
    assert portrait.image.shape == (160, 120, 3)
    assert pickle.loads(pickle.dumps(Show(watch, portrait))).item.image.shape == (160, 120, 3)


async def test_photo_that_came_before_the_watch_is_given_with_it() -> None:
    desk = PhotoDesk()
    desk.join("a")
    desk.allow("identity", "face", who="a")
    desk.photo()
    desk.begin()
    found = desk.subjects()
    assert desk.shown() == []
    assert found["d"].id_photo is not None
    assert found["other"].id_photo is None


async def test_photo_is_gone_once_it_was_compared() -> None:
    desk = PhotoDesk()
    desk.begin()
    desk.photo()
    desk.find(desk.watch_of("other"))
    assert desk.of(IdPhotoDone) == []
    desk.find(desk.watch_of("d"))
    desk.find(desk.watch_of("d"))
    assert desk.of(IdPhotoDone) == [IdPhotoDone(session_id="s", participant_id="a")]
    desk.end(who="a")
    desk.start(who="a", tap=1)
    assert desk.subjects()["d"].id_photo is None


async def test_detector_that_starts_again_is_given_the_photo_again() -> None:
    desk = PhotoDesk()
    desk.begin()
    desk.photo()
    desk.host.down("d", "crashed")  # type: ignore[arg-type]
    desk.load("d", scope="participant", needs=NEEDS)
    assert desk.subjects()["d"].id_photo is not None


@pytest.mark.parametrize("left", [("face",), ("identity",), ()])
async def test_withdrawal_deletes_the_photo(left: tuple[str, ...]) -> None:
    desk = PhotoDesk()
    desk.begin()
    desk.photo()
    desk.allow(*left, who="a")
    desk.allow("identity", "face", who="a")
    assert desk.subjects()["d"].id_photo is None
    assert len(desk.host._photos) == 0


async def test_photo_without_consent_is_not_taken() -> None:
    desk = PhotoDesk()
    desk.begin()
    desk.allow("face", who="a")
    desk.photo()
    desk.photo(who="stranger")
    assert desk.shown() == []
    assert desk.host.status().refused == 2
    assert len(desk.host._photos) == 0


async def test_photo_that_is_taken_back_and_one_of_a_session_that_ends_are_gone() -> None:
    desk = PhotoDesk()
    desk.begin()
    desk.photo()
    desk.photo(b"")
    assert len(desk.host._photos) == 0
    desk.photo()
    desk.mark("session.ended", who="")
    assert len(desk.host._photos) == 0


async def test_photo_that_cant_be_decoded_is_said_to_be() -> None:
    desk = PhotoDesk()
    desk.begin()
    desk.photo(b"\xff\xd8 rubbish")
    (done,) = desk.of(IdPhotoDone)
    assert not done.is_readable
    assert desk.shown() == []


async def test_a_real_worker_is_given_the_photo_with_the_watch_or_later() -> None:
    async with Scene(config(detectors(PhotoTaker={}))) as scene:
        await scene.ready("PhotoTaker")
        scene.join()
        scene.allow("face", "identity")
        scene.tell(IdPhoto(session_id="s", participant_id="a", data=encoded()))
        scene.start()
        await scene.show(10)
        await scene.until(lambda: scene.found("PhotoTaker", "photo"))
        assert scene.of(IdPhotoDone) == [IdPhotoDone(session_id="s", participant_id="a")]
        data = encoded((90, 100), "PNG")
        scene.tell(IdPhoto(session_id="s", participant_id="a", data=data))
        await scene.show(10)
        await scene.until(lambda: len(scene.found("PhotoTaker", "photo")) == 2)
        told = [found.values for found in scene.found("PhotoTaker", "photo")]
        assert told == [
            {"when": "begin", "height": 160, "width": 120},
            {"when": "later", "height": 100, "width": 90},
        ]
        assert len(scene.of(IdPhotoDone)) == 2


def test_photos_take_no_more_memory_than_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.zeros((10, 10, 3), np.uint8)
    monkeypatch.setattr("analytics.host.photos.MOST_BYTES", 3 * photo.nbytes)
    photos = Photos()
    for who in "abcd":
        photos.put("s", who, photo)
    photos.put("s", "d", photo)
    assert [photos.get("s", who) is not None for who in "abcd"] == [False, True, True, True]
    assert photos.drop("s", "b")
    photos.put("s", "e", photo)
    assert len(photos) == 3, "what is gone takes no room"
    photos.end_session("s")
    for who in "abc":
        photos.put("s", who, photo)
    assert len(photos) == 3
