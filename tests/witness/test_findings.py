"""Findings on their way: to the log, to RMs, to webhooks, into metrics; what is not taken."""

import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import ValidationError

from analytics.detector import Card, FindingKind, Permission, Scope, Severity, Text
from analytics.link import Found, Hello, Said, Unknown, UnknownCause
from recorder.findings import FindingBook, fill
from recorder.log import EventLog, read_events
from recorder.log_writer import LogWriter, SessionLog
from recorder.session_file import read_session, write_session
from sfu.model import Role
from signaling.notices import FindingNotice
from tests.signaling.scene import Scene
from witness.finding_grades import FindingGrade, FindingGrades, KindGrade
from witness.finding_metrics import FindingsCollector
from witness.findings import GRACE_S, MAX_HINTS, MAX_LINES, MAX_OPEN, FindingsDesk, Outlets

NAME = "s-20270101-00000001"
T = Text("某事", "something")
CARD = Card(
    title=Text("人脸", "Faces"),
    summary=T,
    scope=Scope.TRACK,
    permissions=frozenset({Permission.FACE}),
    kinds=(
        FindingKind("face_absent", T, Text("{seconds} 秒无人", "nobody for {seconds} s")),
        FindingKind("face_seen", T, T, Severity.INFO),
        FindingKind("person_swapped", T, T, Severity.CRITICAL),
    ),
    limits=T,
    unknown_when=T,
)


class Stage:
    """A desk with a real log, a clock of its own, and everything it told."""

    def __init__(self, directory: Path, grades: FindingGrades | None = None) -> None:
        self.now_s = 1000.0
        self.hints: list[tuple[str, FindingNotice]] = []
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.forbidden: set[Permission] = set()
        self.writer = LogWriter()
        self.place = directory / NAME
        write_session(directory, session=NAME, room="sale-1", started_ns=time.time_ns())
        self.log = SessionLog(self.place, EventLog.open(self.place), self.writer, own=True)
        self.desk = FindingsDesk(
            {"face_presence": CARD},
            grades or FindingGrades(),
            Outlets(
                lambda room, notice: self.hints.append((room, notice)),
                lambda kind, data: self.posts.append((kind, data)),
                lambda _session, _who, what: not what & self.forbidden,
            ),
            self.writer,
            lambda: self.now_s,
        )
        self.desk.began("sale-1", NAME, self.place, self.log)

    def close(self) -> None:
        self.log.release()
        assert self.writer.close()

    def found(self, number: int = 1, **changes: Any) -> None:
        self.desk.found(found(number, **changes))

    def events(self, *types: str) -> list[dict[str, Any]]:
        assert self.writer.settle()
        events = read_events(self.place, read_session(self.place))
        return [event.payload for event in events if not types or event.type in types]

    def types(self) -> list[str]:
        assert self.writer.settle()
        return [event.type for event in read_events(self.place, read_session(self.place))]

    def metrics(self) -> str:
        registry = CollectorRegistry()
        registry.register(FindingsCollector(self.desk))
        return generate_latest(registry).decode()


def unknown(number: int = 1, **changes: Any) -> Unknown:
    about: dict[str, Any] = {
        "finding_id": f"u-{number}",
        "session_id": NAME,
        "detector": "face_presence",
        "cause": "crashed",
        "start_us": 0,
        "end_us": 0,
        "is_open": True,
    }
    return Unknown(**{**about, **changes})


def found(number: int = 1, **changes: Any) -> Found:
    about: dict[str, Any] = {
        "finding_id": f"f-{number}",
        "session_id": NAME,
        "detector": "face_presence",
        "detector_version": "1",
        "kind": "face_absent",
        "outcome": "warn",
        "start_us": 1_000_000,
        "end_us": 4_000_000,
        "participant_id": "customer-1",
        "track_id": "t-1",
        "score": 0.93,
        "values": {"seconds": 3.0},
        "is_open": False,
    }
    return Found(**{**about, **changes})


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_a_finding_is_logged_when_it_begins_and_when_it_is_over(stage: Stage) -> None:
    stage.found(is_open=True, end_us=2_000_000, values={"seconds": 1})
    stage.found(is_open=True, end_us=3_000_000, values={"seconds": 2})
    stage.found(values={"seconds": 3.25})
    stage.found()
    assert stage.types() == ["detector.used", "finding", "finding"]
    begins, ends = stage.events("finding")
    assert (begins["open"], begins["to_us"]) == (True, 2_000_000)
    assert (ends["open"], ends["to_us"], ends["score"]) == (False, 4_000_000, "0.93")
    assert ends["values"] == {"seconds": "3.25"}
    assert stage.desk.lost == {"repeated": 1}


def test_the_log_explains_itself(stage: Stage) -> None:
    words = [{"text": "保证收益", "start_us": 5, "end_us": 9}]
    frames = [{"track_id": "t-1", "at_us": 7, "box": (0.1, 0.2, 0.55555, 1.0), "label": "face"}]
    stage.found(words=words, frames=frames, models={"face": "0a" * 32})
    stage.desk.acknowledge("sale-1", "f-1", "rm-1")
    assert stage.writer.settle()
    book = FindingBook()
    for event in read_events(stage.place, read_session(stage.place)):
        book.apply(event)
    (told,) = book.findings()
    assert told["text"] == {"zh": "3 秒无人", "en": "nobody for 3 s"}
    assert (told["severity"], told["words"]) == ("warning", [[5, 9]])
    assert told["frames"][0]["box"] == [100, 200, 556, 1000]
    assert told["acknowledged"]["by"] == "rm-1"
    assert "保证收益" not in (stage.place / "events.jsonl").read_text("utf-8")


def test_a_name_without_a_value_stays(stage: Stage) -> None:
    assert fill("{a} and {b} {0.x} {}", {"a": 1}) == "1 and {b} {0.x} {}"
    del stage


def test_unknown_times_are_logged_and_never_told(stage: Stage) -> None:
    stage.desk.unknown(unknown(cause="model_missing"))
    stage.desk.unknown(unknown(cause="model_missing", is_open=False, end_us=9))
    begins, ends = stage.events("analytics.unknown")
    assert (begins["cause"], ends["to_us"]) == ("model_missing", 9)
    assert not stage.hints
    assert not stage.posts
    assert ("face_presence", "unknown", "unknown") in stage.desk.counts


def test_every_cause_is_explained_in_both_languages() -> None:
    strings = (Path(__file__).parents[2] / "web/app/playback_strings.js").read_text("utf-8")
    told = {
        cause: (zh, en)
        for cause, zh, en in re.findall(r'"unknown\.(\w+)": \["([^"]+)", "([^"]+)"\]', strings)
    }
    assert set(UnknownCause) <= told.keys()
    assert all(not told[cause][0].isascii() and told[cause][1].isascii() for cause in UnknownCause)


NOT_TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("unknown_session", {"session_id": "s-2"}),
    ("malformed", {"end_us": 0}),
    ("malformed", {"finding_id": ""}),
    ("malformed", {"kind": "made_up"}),
    ("malformed", {"detector": "made_up"}),
]


@pytest.mark.parametrize(("reason", "changes"), NOT_TAKEN)
def test_what_is_not_taken_is_counted(stage: Stage, reason: str, changes: dict[str, Any]) -> None:
    stage.found(**changes)
    assert stage.desk.lost == {reason: 1}
    assert not stage.events()


def test_nothing_new_is_taken_without_the_consent_but_what_is_open_may_end(stage: Stage) -> None:
    stage.found(1, is_open=True, end_us=2_000_000, values={"seconds": 1})
    stage.forbidden = {Permission.FACE, Permission.SPEECH}
    stage.found(2)
    stage.found(1)
    stage.desk.said(said())
    assert stage.desk.lost == {"no_consent": 3}
    begins, ends = stage.events("finding")
    assert (begins["finding"], ends["finding"], ends["open"]) == ("f-1", "f-1", False)
    assert (ends["to_us"], ends["values"]) == (2_000_000, {"seconds": 1}), "as it was known before"


def test_a_finding_can_not_become_another(stage: Stage) -> None:
    stage.found(1, is_open=True)
    stage.found(1, detector="phone")
    assert stage.desk.lost == {"malformed": 1}
    assert stage.desk.open_count == 1


def test_a_flood_is_bounded_counted_and_declared(stage: Stage) -> None:
    for number in range(16_000):
        stage.now_s += 1 / 1600
        stage.found(number)
        stage.found(number, kind=f"made_up_{number}")
    stage.desk.tick()
    taken = len(stage.events("finding"))
    assert 200 <= taken <= 200 + 20 * 10 + 1
    assert stage.desk.lost["flood"] == 16_000 - taken
    assert stage.desk.lost["malformed"] == 16_000
    assert sum(one["count"] for one in stage.events("findings.lost")) == 32_000 - taken
    assert len(stage.hints) <= MAX_HINTS * 2 + 20
    text = stage.metrics()
    assert "made_up" not in text
    assert 'witness_findings_lost_total{reason="flood"}' in text


def test_open_findings_are_bounded(stage: Stage) -> None:
    for number in range(MAX_OPEN + 10):
        stage.now_s += 1
        stage.found(number, is_open=True)
    assert (stage.desk.open_count, stage.desk.lost["too_many"]) == (MAX_OPEN, 10)


def test_times_that_are_unknown_take_no_room_from_findings(stage: Stage) -> None:
    for number in range(MAX_OPEN + 10):
        stage.now_s += 1
        stage.desk.unknown(unknown(number))
    stage.found(1, is_open=True)
    assert (stage.desk.open_count, stage.desk.lost) == (MAX_OPEN + 11, {})


HOST = Hello(host="h", run="1", detectors={"face_presence": "1"})


@pytest.mark.parametrize("after", [None, HOST.model_copy(update={"run": "2"})])
def test_what_a_host_that_is_gone_left_open_is_over(stage: Stage, after: Hello | None) -> None:
    stage.desk.host(HOST)
    stage.found(1, is_open=True, start_us=0, end_us=0)
    stage.desk.unknown(unknown(1))
    stage.desk.unknown(unknown(2, finding_id="no-host-1", cause="no_host"))
    before_us = stage.log.now_us()
    stage.desk.host(HOST)
    assert stage.desk.open_count == 3, "the same host"
    stage.desk.host(after)
    over = [one for one in stage.events("finding", "analytics.unknown") if not one["open"]]
    assert [one["finding"] for one in over] == ["f-1", "u-1"]
    assert all(one["to_us"] >= before_us for one in over)
    assert stage.hints[-1][1].state == "over", "an RM's page shows it no longer"
    assert stage.desk.open_count == 1


async def test_what_nobody_knew_nobody_knew_until_the_end(stage: Stage) -> None:
    stage.desk.start()
    stage.desk.unknown(unknown(1))
    before_us = stage.log.now_us()
    stage.desk.ended("sale-1", NAME)
    await stage.desk.stop()
    _, ends = stage.events("analytics.unknown")
    assert ends["to_us"] >= before_us > 0


def test_a_pause_is_unknown_for_every_detector_and_no_host_ends_it(stage: Stage) -> None:
    stage.desk.host(HOST)
    for is_paused in (False, True, True):
        stage.desk.paused(NAME, is_paused)
    stage.desk.host(None)
    (begins,) = stage.events("analytics.unknown")
    assert (begins["detector"], begins["cause"], begins["open"]) == (
        "face_presence",
        "paused",
        True,
    )
    stage.desk.paused(NAME, False)
    _, ends = stage.events("analytics.unknown")
    assert (ends["finding"], ends["open"]) == (begins["finding"], False)
    assert ends["to_us"] >= begins["from_us"]


async def test_a_session_that_ended_takes_ends_for_a_while_and_closes_the_rest(
    stage: Stage,
) -> None:
    stage.found(1, is_open=True)
    stage.found(2, is_open=True)
    stage.desk.ended("sale-1", NAME)
    stage.found(1)
    stage.found(3)
    assert stage.desk.lost == {"session_ended": 1}
    stage.now_s += GRACE_S
    stage.desk.tick()
    stage.found(2)
    assert stage.desk.lost == {"session_ended": 1, "unknown_session": 1}
    ends = [one["finding"] for one in stage.events("finding") if not one["open"]]
    assert ends == ["f-1", "f-2"]
    assert stage.desk.open_count == 0


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_a_host_says_what_begins_ends_and_nothing_is_lost_sight_of(
    stage: Stage, seed: int
) -> None:
    random = Random(seed)
    for sent in range(1_500):
        stage.now_s += random.random() / 4
        start_us = random.randrange(5_000_000)
        changes: dict[str, Any] = {
            "finding_id": f"f-{random.randrange(40)}{'' if random.random() < 0.9 else sent}",
            "session_id": random.choice([NAME] * 9 + ["s-2"]),
            "start_us": start_us,
            "end_us": start_us + random.randrange(-10, 4_000_000),
            "is_open": random.random() < 0.6,
        }
        changes["end_us"] = max(0, changes["end_us"])
        if random.random() < 0.3:
            keys = ("finding_id", "session_id", "start_us", "end_us", "is_open")
            about = {key: changes[key] for key in keys}
            cause = random.choice(list(UnknownCause))
            stage.desk.unknown(Unknown(detector="face_presence", cause=cause, **about))
        else:
            kind = random.choice(["face_absent", "face_seen", "person_swapped", "x"])
            outcome = random.choice(["pass", "warn", "fail", "unknown"])
            stage.found(kind=kind, outcome=outcome, **changes)
    await stage.desk.stop()
    begun: set[str] = set()
    for payload in stage.events("finding", "analytics.unknown"):
        (begun.add if payload["open"] else begun.discard)(payload["finding"])
    assert not begun
    raised = [data["finding"]["finding_id"] for _, data in stage.posts if data["state"] == "raised"]
    ended = [data["finding"]["finding_id"] for _, data in stage.posts if data["state"] == "ended"]
    assert sorted(raised) == sorted(ended)
    hinted = [notice for _, notice in stage.hints]
    assert {one.finding_id for one in hinted} == {
        one.finding_id for one in hinted if one.state == "over"
    }


# Alerts.


def test_grades_decide_what_is_set_off(tmp_path: Path) -> None:
    own = KindGrade(kind="face_absent", grade=FindingGrade.LOG)
    stage = Stage(tmp_path, FindingGrades(kinds=(own,)))
    stage.found(1)
    stage.found(2, kind="person_swapped", is_open=True)
    stage.found(3, kind="face_seen")
    stage.found(4, kind="person_swapped", outcome="pass")
    stage.found(5, kind="person_swapped", outcome="unknown")
    ((kind, data),) = stage.posts
    assert kind == "finding.dispatch"
    assert (data["action"], data["state"], data["grade"]) == ("step_in", "raised", "dispatch")
    assert data["finding"]["kind"] == "person_swapped"
    stage.found(2, kind="person_swapped")
    assert stage.posts[-1][1]["state"] == "ended"
    assert stage.desk.graded == {FindingGrade.LOG: 2, FindingGrade.DISPATCH: 1}
    stage.close()


def test_webhooks_of_a_session_are_bounded_and_each_that_began_ends(stage: Stage) -> None:
    for number in range(100):
        stage.found(number, participant_id=f"customer-{number}", is_open=True)
    assert len(stage.posts) == 10
    assert stage.desk.suppressed == 90
    for number in range(100):
        stage.found(number, participant_id=f"customer-{number}")
    assert len(stage.posts) == 20
    assert len(stage.events("finding")) == 200


def test_what_flaps_is_told_once_in_a_while(stage: Stage) -> None:
    for number in range(120):
        stage.now_s += 1
        stage.found(number, is_open=True)
        stage.found(number)
    assert len([one for one in stage.posts if one[1]["state"] == "raised"]) == 2
    assert len([one for _, one in stage.hints if one.state == "open"]) == 2
    assert len(stage.events("finding")) == 240, "the log has every one"
    assert stage.desk.suppressed == 118
    stage.found(500, participant_id="customer-2")
    assert stage.posts[-1][1]["finding"]["participant_id"] == "customer-2", "another person"


@pytest.mark.parametrize(
    "wrong",
    [{"warning": "shout"}, {"cooldown_s": -1}, {"kinds": ({"kind": "A b", "grade": "log"},)}],
)
def test_grades_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FindingGrades(**wrong)


# RMs.


def test_rms_are_told_customers_never(stage: Stage) -> None:
    scene = Scene()
    scene.hub.findings.desk = stage.desk
    rm, customer = scene.join("rm-1"), scene.join("customer-1", Role.CUSTOMER)
    boss = scene.join("boss", Role.SUPERVISOR)
    stage.found(is_open=True)
    for room, notice in stage.hints:
        scene.hub.findings.tell(room, notice)
    (told,) = rm.take("finding")
    assert (told["state"], told["text"]["zh"]) == ("open", "3 秒无人")
    assert not customer.take("finding")
    assert not boss.take("finding")
    later = scene.join("rm-2")
    assert later.take("finding")[0]["finding_id"] == "f-1"
    assert customer.ask("finding.acknowledge", finding_id="f-1")["data"]["code"] == "forbidden"
    assert rm.ask("finding.acknowledge", finding_id="f-9")["data"]["code"] == "unknown_request"
    for _ in range(2):
        assert rm.ask("finding.acknowledge", finding_id="f-1")["type"] == "ok"
    assert stage.hints[-1][1].acknowledged_by == "rm-1"
    assert len(stage.events("finding.acknowledged")) == 1


def test_a_finding_that_is_over_at_once_is_hinted_once(stage: Stage) -> None:
    stage.found()
    ((_, notice),) = stage.hints
    assert notice.state == "over"
    stage.found(2, kind="face_seen")
    assert len(stage.hints) == 1, "what only informs is no hint"


# Transcripts.


def said(number: int = 1, **changes: Any) -> Said:
    about: dict[str, Any] = {
        "session_id": NAME,
        "participant_id": "customer-1",
        "track_id": "t-1",
        "detector": "transcript",
        "detector_version": "1",
        "start_us": number * 1000,
        "end_us": number * 1000 + 900,
        "text": "我同意\n购买",
    }
    return Said(**{**about, **changes})


async def test_what_was_said_is_in_the_transcript_and_nowhere_else(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stage.desk.said(said(is_final=False))
    stage.desk.said(said())
    stage.desk.said(said(2, text=" \t "))
    await stage.desk.stop()
    lines = (stage.place / "transcript.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "from_us": 1000,
            "to_us": 1900,
            "text": "我同意 购买",
            "speaker": "customer-1",
            "source": "transcript@1",
        }
    ]
    assert (stage.desk.lines, stage.desk.lost) == (1, {"malformed": 1})
    everywhere = caplog.text + stage.metrics() + (stage.place / "events.jsonl").read_text("utf-8")
    assert "同意" not in everywhere


async def test_lines_that_wait_are_bounded_and_a_closed_transcript_is_counted(
    stage: Stage,
) -> None:
    for number in range(MAX_LINES + 5):
        stage.desk.said(said(number))
    assert stage.desk.lost == {"flood": 5}
    (stage.place / "transcript.jsonl").mkdir()
    await stage.desk.stop()
    assert stage.desk.lost["disk"] == MAX_LINES


def test_no_personal_data_in_logs_and_metrics(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = {"word": "王芳", "template": "9f8e7d6c"}
    for number, changes in enumerate(({}, {"kind": "王", "detector": "x"}, {"end_us": 0})):
        try:
            stage.found(number, values=secret, **changes)
        except ValidationError:
            continue
    told = caplog.text + stage.metrics()
    for word in ("王芳", "9f8e7d6c", "customer-1", NAME):
        assert word not in told
