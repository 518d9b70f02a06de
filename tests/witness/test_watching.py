"""What whoever watches calls is told: sessions, people, nodes, and what is allowed."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from analytics.detector import Card, Permission
from analytics.link import Consents, TrackEnded, Wants
from recorder.config import RecordingConfig
from recorder.flow import parse_flow
from recorder.log import EventLog, read_events
from recorder.log_writer import SessionLog
from recorder.session import Next, ReRecord, Start, Stop
from recorder.session_file import write_session
from recorder.sessions import Sessions
from sfu.model import Role, Source
from tests.fakes.analytics import FakeWay
from tests.recorder.test_sessions import FakeCapture
from tests.signaling.scene import End, Scene
from tests.witness.test_findings import CARD, found
from witness.analytics_service import AnalyticsService
from witness.config import AlertsConfig, ConsentsConfig
from witness.recording import RecordingService, SessionRecording
from witness.sessions import SessionService
from witness.watching import Watching

NAME = "s-20270101-00000001"


class Calls:
    """Remembers what it was told; what is allowed now, by participant."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.paused = False
        self.allowed: dict[str, frozenset[Permission]] = {}

    def session_started(self, session_id: str, room_id: str, zero_ns: int) -> None:
        assert abs(time.monotonic_ns() - zero_ns) < 60 * 10**9
        self.told.append(("started", session_id, room_id))

    def session_paused(self, session_id: str, paused: bool) -> None:
        assert session_id == NAME
        self.paused = paused

    def session_ended(self, session_id: str) -> None:
        self.told.append(("ended", session_id))

    def consents(
        self, session_id: str, participant_id: str, permissions: frozenset[Permission]
    ) -> None:
        assert session_id == NAME
        self.allowed[participant_id] = permissions

    def marked(
        self,
        session_id: str,
        kind: str,
        participant_id: str = "",
        data: Mapping[str, Any] | None = None,
        at_us: int | None = None,
    ) -> None:
        self.told.append((kind, participant_id, (data or {}).get("role")))
        assert session_id == NAME
        assert at_us is None


class Stage:
    """A room whose recording begins, pauses and ends as the test says."""

    def __init__(self, directory: Path, cards: Mapping[str, Card]) -> None:
        self.scene = Scene()
        self.posts: list[tuple[str, Any]] = []
        self.service = RecordingService(RecordingConfig(directory=directory), lambda *_: None)
        self.watching = Watching(
            cards,
            ConsentsConfig(ask=("voice",)),
            AlertsConfig(),
            self.service,
            self.scene.hub,
            lambda kind, data: self.posts.append((kind, data)),
        )
        self.calls = self.watching.calls = Calls()
        write_session(directory, session=NAME, room="sale-1", started_ns=time.time_ns())
        place = directory / NAME
        log = SessionLog(place, EventLog.open(place), self.service.writer, own=True)
        self.recording = SessionRecording(place, log, self.service.writer, lambda: None)

    def tell(self, state: Any) -> None:
        self.watching.tell("sale-1", NAME, state, self.recording)

    async def ask(self, end: End, kind: str, **data: str) -> dict[str, Any]:
        """Asks for something that is answered when it is on the disk."""
        request = end.post(kind, **data)
        await self.watching.consents.settle()
        return end.reply(request)

    def close(self) -> None:
        self.recording.log.release()
        assert self.service.writer.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, {"face_presence": CARD})
    yield stage
    stage.close()


PICTURE, FACE = Permission.PICTURE, Permission.FACE


def test_a_session_is_told_of_once(stage: Stage) -> None:
    stage.scene.join("rm-1")
    for state in ("on", "paused", "on", "off"):
        stage.tell(state)
    assert stage.calls.told == [("started", NAME, "sale-1"), ("ended", NAME)]


async def test_what_detectors_need_is_asked_for_and_told_at_once(stage: Stage) -> None:
    customer = stage.scene.join("customer-1", Role.CUSTOMER)
    asked = customer.take("consents")[-1]["consents"]
    assert [one["permission"] for one in asked] == ["face", "voice"], "by the card, by settings"
    stage.tell("on")
    assert not stage.calls.allowed, "what looks for nobody needs no consent"
    await stage.ask(
        customer, "consent.give", permission="face", text_sha256=asked[0]["en"]["sha256"]
    )
    assert stage.calls.allowed == {"customer-1": {PICTURE, FACE}}
    customer.post("consent.withdraw", permission="face")
    assert stage.calls.allowed == {"customer-1": {PICTURE}}
    assert stage.posts[-1][0] == "consent.withdrawn"
    assert stage.posts[-1][1]["participant"] == "customer-1"
    place = stage.recording.place
    assert stage.service.writer.settle()
    types = [event.type for event in read_events(place, stage.recording.log.session)]
    assert types[-2:] == ["consent.given", "consent.withdrawn"]


async def test_nothing_is_watched_while_nothing_is_recorded(stage: Stage) -> None:
    customer = stage.scene.join("customer-1", Role.CUSTOMER)
    asked = customer.take("consents")[-1]["consents"][0]
    stage.tell("on")
    stage.tell("paused")
    assert stage.calls.paused
    await stage.ask(customer, "consent.give", permission="face", text_sha256=asked["zh"]["sha256"])
    stage.tell("on")
    assert not stage.calls.paused
    assert stage.calls.allowed == {"customer-1": {PICTURE, FACE}}
    assert [one[0] for one in stage.calls.told].count("started") == 1
    stage.tell("off")
    assert stage.calls.allowed["customer-1"] == frozenset()


async def test_a_finding_about_all_needs_somebody_who_allows_it(stage: Stage) -> None:
    customer = stage.scene.join("customer-1", Role.CUSTOMER)
    asked = customer.take("consents")[-1]["consents"][0]
    stage.tell("on")
    about_all = {"participant_id": "", "track_id": "", "is_open": True}
    stage.watching.findings.found(found(1, **about_all))
    assert stage.watching.findings.lost == {"no_consent": 1}
    await stage.ask(customer, "consent.give", permission="face", text_sha256=asked["zh"]["sha256"])
    stage.watching.findings.found(found(2, **about_all))
    assert stage.watching.findings.open_count == 1
    await stage.ask(customer, "consent.withdraw", permission="face")
    stage.watching.findings.found(found(2, **about_all))
    assert stage.watching.findings.open_count == 0
    assert stage.watching.findings.lost == {"no_consent": 2}


async def test_a_pause_is_told_as_a_pause_and_consents_hold(stage: Stage) -> None:
    customer = stage.scene.join("customer-1", Role.CUSTOMER)
    asked = customer.take("consents")[-1]["consents"][0]
    stage.tell("on")
    await stage.ask(customer, "consent.give", permission="face", text_sha256=asked["zh"]["sha256"])
    stage.tell("paused")
    assert stage.calls.allowed == {"customer-1": {PICTURE, FACE}}
    stage.tell("on")
    assert stage.service.writer.settle()
    events = read_events(stage.recording.place, stage.recording.log.session)
    told = [event.payload for event in events if event.type == "analytics.unknown"]
    assert [(one["cause"], one["open"]) for one in told] == [("paused", True), ("paused", False)]


async def test_what_goes_on_ends_before_the_server_does(stage: Stage) -> None:
    stage.tell("on")
    stage.watching.findings.found(found(is_open=True))

    def over(session_id: str) -> None:
        assert session_id == NAME
        stage.watching.findings.found(found())

    stage.calls.session_ended = over  # type: ignore[method-assign]
    await stage.watching.settle(60)
    assert stage.watching.findings.open_count == 0
    await stage.watching.settle(60)


async def test_a_withdrawal_closes_the_media_before_it_is_answered(stage: Stage) -> None:
    """From the customer's page to the plane and the host; virtual time doesn't pass at all."""
    customer = stage.scene.join("customer-1", Role.CUSTOMER)
    asked = customer.take("consents")[-1]["consents"][0]
    way = FakeWay()
    rooms = stage.scene.hub.sfu.rooms
    service = AnalyticsService(rooms, way, ["face_presence"], stage.watching.findings)
    stage.watching.calls = service
    service.start()
    await asyncio.sleep(0)
    way.came()
    stage.tell("on")
    way.hello(
        face_presence=Wants(
            permissions=frozenset({"face"}), video_height=180, video_sources=frozenset({"camera"})
        )
    )
    track_id = stage.scene.publish(customer, Source.CAMERA)["camera"]
    assert service.tap_count == 0, "nobody has agreed"
    await stage.ask(customer, "consent.give", permission="face", text_sha256=asked["zh"]["sha256"])
    assert service.tap_count == 1
    way.take()
    customer.post("consent.withdraw", permission="face")
    assert service.tap_count == 0
    told = way.take()
    assert [item.permissions for item in told if isinstance(item, Consents)] == [{"picture"}]
    assert [item.track_id for item in told if isinstance(item, TrackEnded)] == [track_id]
    # What the host says all the same, because it hasn't heard yet, is not taken.
    late = found(is_open=True).model_dump_json().encode()
    way.heard(late)
    assert stage.watching.findings.lost == {"no_consent": 1}
    await service.stop()


async def test_nodes_are_told_of_with_what_the_flow_asks_in_them(tmp_path: Path) -> None:
    flow = parse_flow(
        {
            "id": "f",
            "version": "1",
            "nodes": [
                {
                    "code": "risk",
                    "title": {"zh": "风险"},
                    "required_statements": [{"zh": "本产品不保本"}],
                    "answer": {"speaker": "customer", "lexicon": ["同意"]},
                }
            ],
        }
    )
    sessions = Sessions(tmp_path, FakeCapture())
    told: list[tuple[str, str, Mapping[str, Any], int]] = []
    SessionService(sessions).follow(lambda *one: told.append(one))
    async with sessions.running():
        name = (await sessions.create("sale-1", flow=flow))["session_id"]
        for command in (Start(), Next("risk"), ReRecord("risk"), Stop()):
            await sessions.command(name, command, "rm-1")
    assert [(kind, data["attempt"]) for _, kind, data, _ in told] == [
        ("node.started", 1),
        ("node.ended", 1),
        ("node.started", 2),
        ("node.ended", 2),
    ]
    _, _, data, _ = told[0]
    assert data["required_statements"] == [{"zh": "本产品不保本"}]
    assert data["answer"]["lexicon"] == ["同意"]
