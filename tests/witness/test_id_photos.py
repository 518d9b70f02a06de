"""Photos of identity documents: who may give them, where they go, and when they are gone."""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from analytics.detector import Permission
from analytics.link import Consents, IdPhoto, IdPhotoDone, Wants
from sfu.model import Role
from signaling.auth import TokenVerifier
from signaling.clock import system_clock
from signaling.consents import Given, Subject
from signaling.errors import SessionRefusedError
from signaling.id_photo_endpoint import MAX_BYTES, IdPhotoEndpoint
from signaling.problem import problem_middleware
from signaling.staff import StaffRole
from tests.fakes.analytics import FakeWay
from tests.signaling.test_picture import jpeg, png
from tests.witness.test_findings import CARD
from tests.witness.test_sessions import KEY, bearer, staff
from tests.witness.test_watching import NAME, Stage
from witness.analytics_service import AnalyticsService
from witness.id_photos import KEPT_S, IdPhotos

WHO = Subject("sale-1", "customer-1")
WANTS = Wants(
    permissions=frozenset({"face", "identity"}),
    video_height=360,
    video_sources=frozenset({"camera"}),
)
BOTH = frozenset({Permission.PICTURE, Permission.FACE, Permission.IDENTITY})
PHOTO = jpeg()


class Calls:
    """Remembers which photos it was given, and what it was told of them."""

    def __init__(self) -> None:
        self.photos: list[tuple[str, str, bytes]] = []

    def id_photo(self, session_id: str, participant_id: str, photo: bytes) -> None:
        self.photos.append((session_id, participant_id, photo))


class Desk:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.held: dict[str, str] = {"face": "c1", "identity": "c2"}
        self.photos = IdPhotos(lambda _: self.held, lambda: self.now_s)  # type: ignore[arg-type,return-value]
        self.calls = self.photos.calls = Calls()  # type: ignore[assignment]

    def begin(self, permissions: frozenset[Permission] = BOTH) -> None:
        self.photos.began("sale-1", "s1")
        self.photos.permitted("s1", "customer-1", permissions)

    @property
    def state(self) -> str:
        return str(self.photos.state(WHO)["state"])


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_log_says_which_photo_detectors_were_given_and_who_gave_it(desk: Desk) -> None:
    noted: list[tuple[str, dict[str, Any], str]] = []
    desk.photos.noted = lambda *about: noted.append(about)
    desk.photos.give(WHO, png(), "rm-1")
    desk.photos.give(WHO, PHOTO, "rm-2")
    assert noted == [], "nothing was compared yet"
    desk.begin()
    ((session_id, origin, by),) = noted
    assert (session_id, by) == ("s1", "rm-2")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", origin.pop("given_at"))
    assert origin == {
        "participant": "customer-1",
        "origin": "upload",
        "bytes": len(PHOTO),
        "sha256": hashlib.sha256(PHOTO).hexdigest(),
    }


async def test_photo_waits_for_the_session_and_is_not_kept_after_that(desk: Desk) -> None:
    told = desk.photos.give(WHO, PHOTO, "rm-1")
    assert told == {
        "room": "sale-1",
        "participant_id": "customer-1",
        "session_id": None,
        "state": "waiting",
    }
    assert desk.calls.photos == []
    desk.photos.began("sale-1", "s1")
    assert desk.calls.photos == [], "the detectors know of no consent yet"
    desk.photos.permitted("s1", "customer-1", BOTH)
    assert desk.calls.photos == [("s1", "customer-1", PHOTO)]
    assert desk.photos.waiting_bytes == 0
    assert (desk.state, desk.photos.state(WHO)["session_id"]) == ("waiting", "s1")
    desk.photos.done("s1", "customer-1", is_readable=True)
    assert desk.state == "compared"


async def test_photo_of_a_session_that_runs_goes_on_at_once(desk: Desk) -> None:
    desk.begin()
    desk.photos.give(WHO, PHOTO, "rm-1")
    desk.photos.give(WHO, png(), "rm-1")
    assert [photo for *_, photo in desk.calls.photos] == [PHOTO, png()]
    desk.photos.done("s1", "customer-1", is_readable=False)
    assert desk.state == "unreadable"


@pytest.mark.parametrize("held", [{}, {"face": "c1"}, {"identity": "c2"}])
async def test_without_consent_no_photo_is_taken(desk: Desk, held: dict[str, str]) -> None:
    desk.held = held
    with pytest.raises(SessionRefusedError) as refused:
        desk.photos.give(WHO, PHOTO, "rm-1")
    assert (refused.value.status, refused.value.code) == (409, "no_consent")
    assert desk.photos.waiting_bytes == 0


async def test_without_detectors_no_photo_is_taken(desk: Desk) -> None:
    desk.photos.calls = None
    with pytest.raises(SessionRefusedError) as refused:
        desk.photos.give(WHO, PHOTO, "rm-1")
    assert (refused.value.status, refused.value.code) == (409, "wrong_state")


async def test_withdrawal_before_and_during_a_session_deletes_it(desk: Desk) -> None:
    desk.photos.give(WHO, PHOTO, "rm-1")
    desk.held = {"face": "c1"}
    desk.photos.changed(WHO)
    assert desk.state == "none"
    desk.begin(BOTH - {Permission.IDENTITY})
    assert desk.calls.photos == []
    desk.held = {"face": "c1", "identity": "c3"}
    desk.photos.permitted("s1", "customer-1", BOTH)
    desk.photos.give(WHO, PHOTO, "rm-1")
    desk.photos.permitted("s1", "customer-1", frozenset())
    assert desk.state == "none"


async def test_photo_that_is_taken_back_is_deleted_wherever_it_is(desk: Desk) -> None:
    desk.photos.give(WHO, PHOTO, "rm-1")
    desk.photos.take_back(WHO)
    desk.begin()
    assert desk.calls.photos == []
    desk.photos.give(WHO, PHOTO, "rm-1")
    desk.photos.take_back(WHO)
    desk.photos.take_back(WHO)
    assert desk.calls.photos == [("s1", "customer-1", PHOTO), ("s1", "customer-1", b"")]
    assert desk.state == "none"


async def test_end_of_the_session_deletes_all(desk: Desk) -> None:
    desk.begin()
    desk.photos.give(WHO, PHOTO, "rm-1")
    desk.photos.forget_room("sale-1")
    assert desk.state == "waiting", "the session goes on"
    desk.photos.ended("sale-1")
    assert (desk.state, desk.photos.state(WHO)["session_id"]) == ("none", None)
    desk.photos.give(WHO, PHOTO, "rm-1")
    assert desk.calls.photos == [("s1", "customer-1", PHOTO)], "that was for the other session"
    desk.photos.forget_room("sale-1")
    assert desk.state == "none"


async def test_photo_waits_for_half_an_hour_and_not_longer(desk: Desk) -> None:
    desk.photos.give(WHO, PHOTO, "rm-1")
    desk.now_s = KEPT_S - 1
    assert desk.state == "waiting"
    desk.now_s = KEPT_S
    assert (desk.state, desk.photos.waiting_bytes) == ("none", 0)


async def test_only_so_many_photos_wait(desk: Desk) -> None:
    for number in range(256):
        desk.photos.give(Subject(f"room-{number}", "a"), PHOTO, "rm-1")
    desk.photos.give(Subject("room-7", "a"), PHOTO, "rm-1")
    with pytest.raises(SessionRefusedError) as refused:
        desk.photos.give(WHO, PHOTO, "rm-1")
    assert refused.value.status == 429


# Over HTTP.

WHERE = "/v1/rooms/sale-1/participants/customer-1/id-photo"


@asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[TestClient[Any, Any]]:
    verifier = TokenVerifier([KEY.verification()], max_ttl_s=3600, clock_skew_s=0)
    app = web.Application(middlewares=[problem_middleware], client_max_size=1 << 20)
    app.add_routes(IdPhotoEndpoint(desk.photos, verifier, system_clock).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


REFUSED: list[tuple[dict[str, str], str, bytes, int, str]] = [
    ({}, "image/jpeg", PHOTO, 401, "unauthorized"),
    (staff(StaffRole.REVIEWER), "image/jpeg", PHOTO, 403, "forbidden"),
    (staff(StaffRole.CRM, rooms=["sale-2"]), "image/jpeg", PHOTO, 403, "forbidden"),
    (bearer(Role.RM, "sale-2"), "image/jpeg", PHOTO, 403, "forbidden"),
    (bearer(Role.CUSTOMER), "image/jpeg", PHOTO, 403, "forbidden"),
    (bearer(Role.EXPERT), "image/jpeg", PHOTO, 403, "forbidden"),
    (bearer(Role.RM), "image/webp", PHOTO, 415, "unsupported_media_type"),
    (bearer(Role.RM), "application/json", b"{}", 415, "unsupported_media_type"),
    (bearer(Role.RM), "image/jpeg", b"", 400, "bad_message"),
    (bearer(Role.RM), "image/jpeg", b"no picture", 400, "bad_message"),
    (bearer(Role.RM), "image/png", PHOTO, 400, "bad_message"),
    (bearer(Role.RM), "image/jpeg", jpeg((63, 160)), 400, "bad_message"),
    (bearer(Role.RM), "image/jpeg", jpeg((2_049, 64)), 400, "bad_message"),
    (bearer(Role.RM), "image/jpeg", PHOTO + bytes(MAX_BYTES), 413, "too_large"),
]


@pytest.mark.net
@pytest.mark.parametrize(("who", "kind", "body", "status", "code"), REFUSED)
async def test_what_is_refused_says_why(
    desk: Desk, who: dict[str, str], kind: str, body: bytes, status: int, code: str
) -> None:
    async with served(desk) as client:
        headers = {**who, "Content-Type": kind}
        async with client.put(WHERE, data=body, headers=headers) as response:
            told = await response.json()
        assert (response.status, told["code"]) == (status, code), told
        assert desk.photos.waiting_bytes == 0


@pytest.mark.net
async def test_body_without_a_length_is_bounded_too(desk: Desk) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield PHOTO

    async with served(desk) as client:
        headers = {**bearer(Role.RM), "Content-Type": "image/jpeg"}
        async with client.put(WHERE, data=pieces(), headers=headers) as response:
            assert response.status == 413
        assert desk.photos.waiting_bytes == 0


@pytest.mark.net
@pytest.mark.parametrize("who", [staff(StaffRole.CRM), bearer(Role.RM)])
async def test_a_photo_is_given_looked_after_and_deleted(desk: Desk, who: dict[str, str]) -> None:
    async with served(desk) as client:
        for data, kind in ((PHOTO, "image/jpeg"), (png(), "image/png")):
            headers = {**who, "Content-Type": kind}
            async with client.put(WHERE, data=data, headers=headers) as response:
                assert response.status == 202
                assert (await response.json())["state"] == "waiting"
                assert response.headers["Cache-Control"] == "no-store"
        async with client.get(WHERE, headers=who) as response:
            assert (response.status, (await response.json())["state"]) == (200, "waiting")
        for _ in range(2):
            async with client.delete(WHERE, headers=who) as response:
                assert response.status == 204
        async with client.get(WHERE.replace("customer-1", "..x%2f"), headers=who) as response:
            assert response.status == 404
        assert desk.state == "none"


# From the RM to the host.


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, {"face_presence": CARD})
    yield stage
    stage.close()


def hear(way: FakeWay, done: IdPhotoDone) -> None:
    """A host says so."""
    way.heard(done.model_dump_json().encode())


async def test_photo_goes_to_the_host_and_to_no_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    way = FakeWay()
    rooms = stage.scene.hub.sfu.rooms
    findings = stage.watching.findings
    service = AnalyticsService(rooms, way, ["person_swap"], findings)
    stage.watching.watch_by(service)
    service.start()
    await asyncio.sleep(0)
    stage.scene.join("customer-1", Role.CUSTOMER)
    for permission in ("face", "identity"):
        given = Given(permission, "sign", "0a" * 32, "rm-1")  # type: ignore[arg-type]
        stage.watching.consents.give(WHO, given)
    stage.watching.photos.give(WHO, PHOTO, "rm-1")
    stage.tell("on")
    assert way.take() == []
    for _ in range(2):
        # A host that comes back is told again.
        way.came()
        way.hello(person_swap=WANTS)
        said = [one for one in way.take() if isinstance(one, IdPhoto | Consents)]
        assert [type(one) for one in said] == [Consents, IdPhoto], "consents first"
        assert said[-1] == IdPhoto(session_id=NAME, participant_id="customer-1", data=PHOTO)
        way.gone()
    way.came()
    way.hello(person_swap=WANTS)
    way.take()
    hear(way, IdPhotoDone(session_id=NAME, participant_id="stranger"))
    assert stage.watching.photos.state(WHO)["state"] == "waiting"
    hear(way, IdPhotoDone(session_id=NAME, participant_id="customer-1"))
    assert stage.watching.photos.state(WHO)["state"] == "compared"
    way.gone()
    way.came()
    way.hello(person_swap=WANTS)
    assert not [one for one in way.take() if isinstance(one, IdPhoto)]
    stage.watching.photos.give(WHO, PHOTO, "rm-1")
    assert [type(one) for one in way.take()] == [IdPhoto]
    stage.watching.consents.withdraw(WHO, "identity", "rm-1")
    way.gone()
    way.came()
    way.hello(person_swap=WANTS)
    assert not [one for one in way.take() if isinstance(one, IdPhoto)]
    assert stage.watching.photos.state(WHO)["state"] == "none"
    stage.tell("off")
    assert stage.service.writer.settle()
    for path in stage.recording.place.rglob("*"):
        assert not path.is_file() or PHOTO[20:60] not in path.read_bytes()
    assert "JFIF" not in caplog.text
    await service.stop()
