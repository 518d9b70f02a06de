"""Consents from the one who gives them to the session's log, and back after a restart."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from analytics.detector import Permission
from recorder.log import EventLog, LogDisk, read_events
from recorder.log_confirmed import CONFIRM_S
from recorder.log_writer import LogWriter, SessionLog
from recorder.session_file import read_session, write_session
from sfu.model import Role
from signaling.auth import TokenVerifier
from signaling.clock import system_clock
from signaling.consent_endpoint import Asker, ConsentEndpoint
from signaling.consents import MAX_OWED, Given, Subject
from signaling.errors import ErrorCode, RefusedError
from signaling.problem import problem_middleware
from signaling.staff import StaffRole
from tests.signaling.scene import End, Scene
from tests.witness.test_sessions import KEY, bearer, staff
from witness.consent_texts import PERMISSIONS, asked_for, load_texts
from witness.consents import ConsentService
from witness.errors import StartError

ASKED = asked_for(PERMISSIONS, load_texts(None))
TEXT = {one.permission: one.zh.sha256 for one in ASKED}
CUSTOMER = Subject("sale-1", "customer-1")
CRM = Asker("crm", None)


class Desk:
    """A service with a real log on the disk, and what it told."""

    def __init__(self, directory: Path, *, confirm_s: float = CONFIRM_S) -> None:
        self.directory = directory
        self.writer = LogWriter()
        self.service = ConsentService(
            ASKED, directory, self.writer, wall_ns=lambda: 10**18, confirm_s=confirm_s
        )
        self.told: list[tuple[str, str, frozenset[str]]] = []
        self.logs: list[SessionLog] = []
        self.service.permitted = lambda session, who, what: self.told.append((session, who, what))

    def begin(
        self,
        name: str = "s-20270101-00000001",
        room: str = "sale-1",
        disk: LogDisk | None = None,
    ) -> SessionLog:
        place = self.directory / name
        if not place.exists():
            write_session(self.directory, session=name, room=room, started_ns=time.time_ns())
        log = SessionLog(place, EventLog.open(place, disk=disk), self.writer, own=True)
        self.logs.append(log)
        self.service.began(room, name, log, read_events(place, log.session))
        return log

    @property
    def place(self) -> Path:
        return self.directory / "s-20270101-00000001"

    def log(self) -> SessionLog:
        """The log of a session that goes on; nobody has been told of it."""
        log = SessionLog(self.place, EventLog.open(self.place), self.writer, own=True)
        self.logs.append(log)
        return log

    def close(self) -> None:
        for log in self.logs:
            log.release()
        assert self.writer.close()

    def end(self, log: SessionLog) -> None:
        self.service.ended(log.session.room, log.session.session)
        log.release()
        assert self.writer.settle()

    def give(self, permission: Any = "face", **changes: Any) -> str:
        given = {"how": "click", "text_sha256": TEXT[permission], "by": "customer-1", **changes}
        return self.service.give(CUSTOMER, Given(permission, **given))

    def events(self, name: str = "s-20270101-00000001") -> list[tuple[str, str, dict[str, Any]]]:
        assert self.writer.settle()
        place = self.directory / name
        return [
            (event.type, event.actor, event.payload)
            for event in read_events(place, read_session(place))
        ]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_what_is_given_and_withdrawn_is_in_the_log_and_told_at_once(desk: Desk) -> None:
    log = desk.begin()
    face, speech = desk.give("face"), desk.give("speech")
    assert desk.give("face") == face, "given twice it is one consent"
    assert desk.service.held(CUSTOMER) == {"face": face, "speech": speech}
    assert desk.service.withdraw(CUSTOMER, "speech", "customer-1") == speech
    assert desk.service.withdraw(CUSTOMER, "speech", "customer-1") is None
    picture = Permission.PICTURE
    assert [what for *_, what in desk.told] == [
        {picture, Permission.FACE},
        {picture, Permission.FACE, Permission.SPEECH},
        {picture, Permission.FACE},
    ]
    told = [(kind, actor, payload.get("consent")) for kind, actor, payload in desk.events()]
    assert told == [
        ("consent.asked", "system", None),
        ("consent.given", "customer-1", face),
        ("consent.given", "customer-1", speech),
        ("consent.withdrawn", "customer-1", speech),
    ]
    desk.end(log)
    assert desk.told[-1][2] == frozenset(), "a session that is over allows nothing"
    assert not desk.service.held(CUSTOMER)


def test_a_consent_given_before_the_session_waits_for_it(desk: Desk) -> None:
    face = desk.give("face")
    desk.give("voice")
    desk.service.withdraw(CUSTOMER, "voice", "customer-1")
    assert not desk.told, "nothing is watched before a session"
    desk.begin()
    assert desk.told == [("s-20270101-00000001", "customer-1", {"picture", "face"})]
    kinds = [kind for kind, *_ in desk.events()]
    assert kinds == ["consent.asked", "consent.given", "consent.given", "consent.withdrawn"]
    assert desk.service.held(CUSTOMER) == {"face": face}


def test_a_room_that_closes_forgets_what_waited_but_not_what_a_session_holds(desk: Desk) -> None:
    desk.give("face")
    desk.service.forget_room("sale-1")
    assert not desk.service.held(CUSTOMER)
    desk.begin()
    desk.give("face")
    desk.service.forget_room("sale-1")
    assert desk.service.held(CUSTOMER)


def test_consents_survive_a_restart_of_the_server(desk: Desk, tmp_path: Path) -> None:
    log = desk.begin()
    face = desk.give("face")
    desk.give("speech")
    desk.service.withdraw(CUSTOMER, "speech", "customer-1")
    desk.events()
    log.release()
    assert desk.writer.settle()
    again = Desk(tmp_path)
    # He is back before the session goes on, and agrees once more; then he has changed his mind.
    again.give("face")
    again.give("voice")
    again.begin()
    assert again.service.held(CUSTOMER)["face"] == face, "what the log holds stays"
    assert set(again.service.held(CUSTOMER)) == {"face", "voice"}
    assert again.told[-1][2] == {"picture", "face", "voice"}
    again.service.withdraw(CUSTOMER, "face", "customer-1")
    given = [payload for kind, _, payload in again.events() if kind == "consent.given"]
    assert len(given) == 3
    assert [kind for kind, *_ in again.events()].count("consent.asked") == 1
    again.close()


def test_a_withdrawal_before_the_session_goes_on_ends_what_the_log_holds(
    desk: Desk, tmp_path: Path
) -> None:
    log = desk.begin()
    face = desk.give("face")
    log.release()
    assert desk.writer.settle()
    again = Desk(tmp_path)
    again.give("face")
    again.service.withdraw(CUSTOMER, "face", "customer-1")
    again.begin()
    assert not again.service.held(CUSTOMER)
    assert again.events()[-1][2]["consent"] == face
    again.close()


async def test_consents_of_a_session_that_goes_on_are_read_aside(
    desk: Desk, tmp_path: Path
) -> None:
    log = desk.begin()
    face, speech = desk.give("face"), desk.give("speech")
    log.release()
    assert desk.writer.settle()
    again = Desk(tmp_path)
    resumed = again.log()
    name = resumed.session.session
    loading = asyncio.create_task(again.service.load("sale-1", name, again.place, resumed))
    await asyncio.sleep(0)
    assert again.service.is_known("sale-1", name)
    assert not again.service.held(CUSTOMER), "nobody is watched before it is known who may be"
    assert again.service.withdraw(CUSTOMER, "face", "customer-1") is None
    await loading
    assert again.service.held(CUSTOMER) == {"speech": speech}
    assert (again.events()[-1][0], again.events()[-1][2]["consent"]) == ("consent.withdrawn", face)
    again.close()


async def test_of_a_log_that_cannot_be_read_no_consent_is_held(desk: Desk, tmp_path: Path) -> None:
    log = desk.begin()
    desk.give("face")
    log.release()
    assert desk.writer.settle()
    again = Desk(tmp_path)
    resumed = again.log()
    path = again.place / "events.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"face"', b'"fake"'))
    await again.service.load("sale-1", resumed.session.session, again.place, resumed)
    path.write_bytes(whole)
    assert again.service.is_known("sale-1", resumed.session.session)
    assert not again.service.held(CUSTOMER)
    again.close()


async def test_a_session_that_ends_while_its_log_is_read_stays_ended(
    desk: Desk, tmp_path: Path
) -> None:
    log = desk.begin()
    desk.give("face")
    log.release()
    assert desk.writer.settle()
    again = Desk(tmp_path)
    resumed = again.log()
    name = resumed.session.session
    loading = asyncio.create_task(again.service.load("sale-1", name, again.place, resumed))
    await asyncio.sleep(0)
    again.service.ended("sale-1", name)
    await loading
    assert not again.service.is_known("sale-1", name)
    assert not again.service.held(CUSTOMER)
    again.close()


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"text_sha256": "0a" * 32}, "bad_message"), ({"how": "voice", "text_sha256": "0a" * 32}, "")],
)
def test_a_click_is_for_a_text_that_was_shown(
    desk: Desk, changes: dict[str, Any], code: str
) -> None:
    if not code:
        assert desk.give(**changes)
        return
    with pytest.raises(RefusedError) as refused:
        desk.give(**changes)
    assert refused.value.code == code


def test_whoever_toggles_for_ever_is_stopped_and_can_always_withdraw(desk: Desk) -> None:
    desk.begin()
    for _ in range(64):
        desk.give("face")
        desk.service.withdraw(CUSTOMER, "face", "customer-1")
    with pytest.raises(RefusedError) as refused:
        desk.give("face")
    assert refused.value.code is ErrorCode.RATE_LIMITED


def test_people_of_a_session_are_bounded(desk: Desk) -> None:
    desk.begin()

    def give(number: int) -> None:
        given = Given("face", "sign", TEXT["face"], "rm-1")
        desk.service.give(Subject("sale-1", f"c-{number}"), given)

    for number in range(256):
        give(number)
    with pytest.raises(RefusedError) as refused:
        give(256)
    assert refused.value.code is ErrorCode.RATE_LIMITED
    desk.service.withdraw(Subject("sale-1", "c-1"), "face", "rm-1")
    give(1)


def test_rooms_that_wait_for_a_session_are_bounded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witness.consents._MAX_WAITING", 2)
    for number in range(4):
        given = Given("face", "click", TEXT["face"], "c")
        desk.service.give(Subject(f"r{number}", "c"), given)
    held = [bool(desk.service.held(Subject(f"r{number}", "c"))) for number in range(4)]
    assert (held, desk.service.forgotten) == ([False, False, True, True], 2)


# Through the hub.


class Call:
    """A hub whose people are asked, and what they are answered."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.scene = Scene()
        self.scene.hub.consents.desk = desk.service
        desk.service.changed = self.scene.hub.consents.changed
        desk.service.room_changed = self.scene.hub.consents.room_changed

    async def ask(self, end: End, kind: str, **data: str) -> dict[str, Any]:
        request = end.post(kind, **data)
        await self.desk.service.settle()
        return end.reply(request)


async def test_people_are_asked_in_the_call_and_answer_there(desk: Desk) -> None:
    call = Call(desk)
    scene = call.scene
    customer, rm = scene.join("customer-1", Role.CUSTOMER), scene.join("rm-1")
    boss = scene.join("boss", Role.SUPERVISOR)
    assert "analytics" in customer.take("joined")[0]["features"]
    (asked,) = customer.take("consents")
    assert [one["permission"] for one in asked["consents"]] == list(PERMISSIONS)
    assert not any(one["held"] for one in asked["consents"])
    assert not boss.take("consents"), "who publishes nothing is not watched"
    reply = customer.ask("consent.give", permission="face", text_sha256=TEXT["face"])
    assert reply["data"]["written"] is False, "there is no session whose log could have it"
    held = customer.take("consents")[-1]["consents"][0]
    assert (held["held"], held["consent_id"]) == (True, reply["data"]["consent_id"])
    assert len(rm.take("consents")) == 1, "what others allow is nobody's business"
    desk.begin()
    assert customer.take("consents")[-1]["consents"][0]["held"]
    told = (await call.ask(customer, "consent.withdraw", permission="face"))["data"]
    assert (told["consent_id"], told["written"]) == (reply["data"]["consent_id"], True)
    assert desk.told[-1] == ("s-20270101-00000001", "customer-1", {Permission.PICTURE})
    told = (await call.ask(customer, "consent.withdraw", permission="face"))["data"]
    assert (told["consent_id"], told["written"]) == (None, True)
    wrong = customer.ask("consent.give", permission="face", text_sha256="00" * 32)
    assert (wrong["data"]["code"], wrong["data"]["field"]) == ("bad_message", "data.text_sha256")
    customer.lose()
    back = scene.resume(customer, last_seq=None)
    assert not back.take("consents")[0]["consents"][0]["held"]


class SlowDisk(LogDisk):
    """Confirms nothing until it is let."""

    def __init__(self) -> None:
        self.lets = threading.Event()
        self.synced = 0

    def sync(self, file: BinaryIO) -> None:
        assert self.lets.wait(60)
        super().sync(file)
        self.synced += 1


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Call, SlowDisk]]:
    desk, disk = Desk(tmp_path), SlowDisk()
    desk.begin(disk=disk)
    yield Call(desk), disk
    disk.lets.set()
    desk.close()


async def test_a_withdrawal_stops_at_once_and_is_answered_when_it_is_on_the_disk(
    slow: tuple[Call, SlowDisk],
) -> None:
    call, disk = slow
    customer = call.scene.join("customer-1", Role.CUSTOMER)
    face = call.desk.give("face")
    customer.clear()
    for _ in range(2):
        # The second is the first once more: its answer is under way.
        customer.post("consent.withdraw", "w-1", permission="face")
        assert call.desk.told[-1][2] == {"picture"}, "nothing waits for the disk to stop"
    await asyncio.sleep(0)
    assert customer.pump() == [], "neither the reply nor what follows it"
    disk.lets.set()
    await call.desk.service.settle()
    reply, notice = customer.pump()
    assert (reply["re"], reply["data"]["consent_id"], reply["data"]["written"]) == (
        "w-1", face, True,
    )  # fmt: skip
    assert disk.synced == 1
    assert (notice["type"], notice["data"]["consents"][0]["held"]) == ("consents", False)
    customer.post("consent.withdraw", "w-1", permission="face")
    assert customer.reply("w-1")["data"] == reply["data"], "asked again it is answered the same"
    assert call.scene.hub.stats.repeated == 2
    assert [kind for kind, *_ in call.desk.events()].count("consent.withdrawn") == 1


async def test_a_disk_that_hangs_is_told_as_such(
    tmp_path: Path,
) -> None:
    disk = SlowDisk()
    desk = Desk(tmp_path, confirm_s=0.0)
    desk.begin(disk=disk)
    call = Call(desk)
    customer = call.scene.join("customer-1", Role.CUSTOMER)
    face = desk.give("face")
    reply = await call.ask(customer, "consent.withdraw", permission="face")
    assert (reply["data"]["consent_id"], reply["data"]["written"]) == (face, False)
    assert desk.told[-1][2] == {"picture"}
    desk.give("face")
    told = await desk.service.revoke(face, CRM, None)
    assert (told["consent_id"], told["written"]) == (face, False), "over HTTP likewise"
    disk.lets.set()
    desk.close()
    assert [kind for kind, *_ in desk.events()].count("consent.withdrawn") == 1


async def test_a_page_that_begins_anew_is_owed_nothing(slow: tuple[Call, SlowDisk]) -> None:
    call, disk = slow
    customer = call.scene.join("customer-1", Role.CUSTOMER)
    call.desk.give("face")
    customer.post("consent.withdraw", "w-1", permission="face")
    again = call.scene.join("customer-1", Role.CUSTOMER)
    again.clear()
    disk.lets.set()
    await call.desk.service.settle()
    assert again.pump() == [], "w-1 is another request there"
    # And what it asks for is answered.
    assert (await call.ask(again, "consent.withdraw", permission="face"))["data"]["written"]


async def test_replies_that_wait_are_bounded(slow: tuple[Call, SlowDisk]) -> None:
    call, disk = slow
    customer = call.scene.join("customer-1", Role.CUSTOMER)
    call.desk.give("face")
    customer.clear()
    for number in range(MAX_OWED):
        customer.post("consent.withdraw", f"w-{number}", permission="voice")
        call.scene.steady_s += 1
    assert customer.pump() == []
    reply = customer.ask("consent.withdraw", permission="face")
    assert reply["data"]["written"] is False
    assert call.desk.told[-1][2] == {"picture"}, "it has effect all the same"
    disk.lets.set()
    await call.desk.service.settle()
    replies = [frame for frame in customer.pump() if "re" in frame]
    assert [frame["data"]["written"] for frame in replies] == [True] * MAX_OWED


def test_a_server_that_watches_nothing_asks_for_nothing() -> None:
    scene = Scene()
    customer = scene.join("customer-1", Role.CUSTOMER)
    assert "analytics" not in customer.take("joined")[0]["features"]
    assert not customer.take("consents")
    reply = customer.ask("consent.give", permission="face", text_sha256="00" * 32)
    assert reply["data"]["code"] == "unknown_request"


# Over HTTP.


@asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[TestClient[Any, Any]]:
    verifier = TokenVerifier([KEY.verification()], max_ttl_s=3600, clock_skew_s=0)
    app = web.Application(middlewares=[problem_middleware])
    app.add_routes(ConsentEndpoint(desk.service, verifier, system_clock).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


BODY = {
    "room": "sale-1",
    "participant_id": "customer-1",
    "permission": "face",
    "how": "sign",
    "text_sha256": "0a" * 32,
}


async def post(
    client: TestClient[Any, Any], path: str, body: object, headers: dict[str, str]
) -> tuple[int, Any]:
    async with client.post(path, json=body, headers=headers) as response:
        return response.status, await response.json()


REFUSED: list[tuple[dict[str, Any], dict[str, str], int, str]] = [
    ({}, {}, 401, "unauthorized"),
    ({}, staff(StaffRole.REVIEWER), 403, "forbidden"),
    ({}, staff(StaffRole.CRM, rooms=["sale-2"]), 403, "forbidden"),
    ({}, bearer(Role.RM, "sale-2"), 403, "forbidden"),
    ({}, bearer(Role.EXPERT), 403, "forbidden"),
    ({"how": "click"}, bearer(Role.RM), 403, "forbidden"),
    ({"how": "click"}, staff(StaffRole.CRM), 403, "forbidden"),
    ({"how": "click"}, bearer(Role.CUSTOMER), 400, "bad_message"),
    ({"how": "thought"}, bearer(Role.RM), 400, "bad_message"),
    ({"permission": "picture"}, bearer(Role.RM), 400, "bad_message"),
    ({"room": ".."}, staff(StaffRole.CRM), 403, "forbidden"),
    ({"text_sha256": "0A" * 32}, bearer(Role.RM), 400, "bad_message"),
    ({"more": 1}, bearer(Role.RM), 400, "bad_message"),
]


@pytest.mark.net
@pytest.mark.parametrize(("changes", "who", "status", "code"), REFUSED)
async def test_what_is_refused_says_why(
    desk: Desk, changes: dict[str, Any], who: dict[str, str], status: int, code: str
) -> None:
    async with served(desk) as client:
        got, told = await post(client, "/v1/consents", {**BODY, **changes}, who)
        assert (got, told["code"]) == (status, code), told
        assert not desk.service.held(CUSTOMER)


@pytest.mark.net
@pytest.mark.parametrize(
    ("who", "changes"),
    [
        (staff(StaffRole.CRM), {}),
        (bearer(Role.RM), {"how": "voice"}),
        (bearer(Role.CUSTOMER), {"how": "click", "text_sha256": TEXT["face"]}),
    ],
)
async def test_a_consent_is_told_and_withdrawn_by_whoever_may(
    desk: Desk, who: dict[str, str], changes: dict[str, Any]
) -> None:
    log = desk.begin()
    async with served(desk) as client:
        status, told = await post(client, "/v1/consents", {**BODY, **changes}, who)
        assert status == 201
        assert (told["session_id"], told["withdrawn_at"]) == (log.session.session, None)
        assert desk.told[-1][2] == {"picture", "face"}
        at = f"/v1/consents/{told['consent_id']}:withdraw"
        assert (await post(client, at, {}, bearer(Role.RM, "sale-2")))[0] == 404
        assert (await post(client, at, {}, bearer(Role.EXPERT)))[0] == 404
        status, told = await post(client, at, {}, who)
        assert status == 200
        assert told["withdrawn_at"] is not None
        assert (await post(client, at, {}, who))[1] == told, "withdrawn it stays as it is"
        assert desk.told[-1][2] == {"picture"}


@pytest.mark.net
async def test_a_consent_is_withdrawn_after_its_session(desk: Desk) -> None:
    log = desk.begin()
    face = desk.give("face")
    desk.end(log)
    async with served(desk) as client:
        at, who = f"/v1/consents/{face}:withdraw", staff(StaffRole.CRM, subject="crm")
        assert (await post(client, at, {}, who))[0] == 404
        for wrong in ("s-20270101-00000009", "..", "x"):
            assert (await post(client, at, {"session_id": wrong}, who))[0] == 404
        named = {"session_id": "s-20270101-00000001"}
        assert (await post(client, at, named, bearer(Role.EXPERT)))[0] == 404
        status, told = await post(client, at, named, who)
        assert (status, told["withdrawn_by"]) == (200, "crm")
        assert (await post(client, at, named, who))[1] == told
    assert [kind for kind, *_ in desk.events()].count("consent.withdrawn") == 1


# Texts.


def test_a_bank_may_have_texts_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "texts.json"
    path.write_text(json.dumps({"voice": {"zh": "可以", "en": "yes"}}), "utf-8")
    texts = load_texts(path)
    assert (texts["voice"].zh.text, texts["face"].zh.sha256) == ("可以", TEXT["face"])
    assert [one.permission for one in asked_for({"picture", "voice", "face"}, texts)] == [
        "face",
        "voice",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", '{"face": {"zh": "x"}}', '{"picture": {"zh": "x", "en": "x"}}',
        '{"face": {"zh": "", "en": "x"}}', '{"face": {"zh": 1, "en": "x"}}', " " * 70_000,
    ],
)  # fmt: skip
def test_texts_that_can_not_be_used_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "texts.json"
    path.write_text(text, "utf-8")
    with pytest.raises(StartError, match=r"texts\.json"):
        load_texts(path)
    with pytest.raises(StartError, match="nothing"):
        load_texts(tmp_path / "nothing")
