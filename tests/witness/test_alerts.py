import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import ValidationError

from recorder.log import EventLog
from recorder.review import state_of_recording
from recorder.session_file import write_session
from recorder.summary import Summary, summarise
from tests.recorder.evidence import record
from witness import alerts as alerts_module
from witness.alarms import Alarms, completeness_alert
from witness.alerts import Alert, AlertBoard, AlertCollector, AlertKind, Severity
from witness.cli import main
from witness.config import AlertsConfig
from witness.webhook import Webhook, WebhookCollector, signature

SECRET = "0123456789abcdef" * 2


def capture(track: str = "t0", cause: str = "disk_full") -> Alert:
    return Alert(AlertKind.CAPTURE, Severity.CRITICAL, cause, "s1", "sale-1", track)


def scraped(collector: Any) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def test_an_alert_is_told_once_until_it_ends() -> None:
    board, told = AlertBoard(lambda: 7), []
    board.listen(lambda alert: told.append((alert.track, alert.is_over, alert.at_ns)))
    board.end(AlertKind.CAPTURE, "s1", "t0")
    for _ in range(3):
        board.raise_(capture())
    board.raise_(capture("t1", "meteorite"))
    board.end(AlertKind.CAPTURE, "s1", "t0")
    board.raise_(capture())
    assert told == [("t0", False, 7), ("t1", False, 7), ("t0", True, 7), ("t0", False, 7)]
    assert [alert.cause for alert in board.open] == ["unknown", "disk_full"]
    text = scraped(AlertCollector(board))
    assert 'witness_alerts_total{grade="critical",type="capture"} 3.0' in text
    assert 'witness_alerts_open{grade="critical",type="capture"} 2.0' in text
    assert 'witness_alerts_total{grade="info",type="seal"} 0.0' in text
    assert "s1" not in text


def test_open_alerts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts_module, "_MAX_OPEN", 2)
    board = AlertBoard()
    for number in range(5):
        board.raise_(capture(f"t{number}"))
    assert [alert.track for alert in board.open] == ["t3", "t4"]
    assert board.forgotten == 3


@pytest.mark.parametrize(
    ("shares", "grade"),
    [
        ((None, None, None), None),
        ((1.0, None, None), None),
        ((0.99, 0.995, None), None),
        ((1.0, 1.0, 0.98), Severity.WARNING),
        ((0.5, 1.0, 1.0), Severity.CRITICAL),
    ],
)
def test_low_completeness_is_graded_and_unknown_is_none(
    shares: tuple[float | None, ...], grade: Severity | None
) -> None:
    captured, audio, video = shares
    summary = Summary("s1", "r", "", "stopped", captured=captured, audio=audio, video=video)
    alert = completeness_alert(summary, 0.99)
    assert (None if alert is None else alert.severity) == grade


async def test_rooms_are_told_and_facts_of_a_finished_session_are_looked_at(tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    with EventLog.open(place) as log:
        times = {"from_us": 0, "to_us": 20_000_000}
        log.append("gap.declared", {"track": "t0", **times, "cause": "network", "packets": 1})
    told: list[tuple[str, Any]] = []
    alarms = Alarms(
        AlertsConfig(), tmp_path, None, lambda room, notice: told.append((room, notice))
    )
    alarms.capture("s1", "sale-1", "t0", "disk_full")
    alarms.capture("s1", "sale-1", "t0", None)
    alarms.upload("s1", "sale-1", "t0", "differs")
    alarms.finished("s1")
    alarms.finished("nowhere")
    await alarms.close()
    assert [(room, notice.alert, notice.state) for room, notice in told] == [
        ("sale-1", "capture", "raised"),
        ("sale-1", "capture", "ended"),
        ("sale-1", "upload", "raised"),
        ("sale-1", "completeness", "raised"),
    ]
    assert told[-1][1].severity == "critical"


async def test_an_outage_counts_as_missing_and_in_the_metrics(tmp_path: Path) -> None:
    write_session(tmp_path, session="s1", room="r", started_ns=0)
    with EventLog.open(tmp_path / "s1") as log:
        log.append("recording.started", {}, at=0)
        log.append("recording.recovered", {}, at=9_000_000)
        log.append("recording.resumed", {}, at=12_000_000)
        log.append("recording.stopped", {}, at=20_000_000)
    summary = summarise(tmp_path / "s1")
    assert (summary.captured, summary.open_gaps, summary.outage_us) == (0, 1, 12_000_000)
    alert = completeness_alert(summary, 0.99)
    assert alert is not None
    assert alert.severity == Severity.CRITICAL

    alarms = Alarms(AlertsConfig(), tmp_path, None, lambda *_: None)
    alarms.finished("s1")
    await alarms.close()
    assert "witness_recording_outage_seconds_total 12.0" in scraped(alarms.collector)


class Receiver:
    """Another system, with a clock of its own."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.got: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.slept: list[float] = []
        self.now_s = 1_000.0

    async def post(self, _: str, body: bytes, headers: dict[str, str]) -> int:
        own = signature(SECRET.encode(), headers["Witness-Id"], headers["Witness-Timestamp"], body)
        assert headers["Witness-Signature"] == f"sha256={own}"
        self.got.append((json.loads(body), headers))
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def hook(self) -> Webhook:
        return Webhook(
            "https://crm.example/hook",
            SECRET.encode(),
            post=self.post,
            sleep=self.sleep,
            now_s=lambda: self.now_s,
        )


async def test_a_webhook_is_tried_again_in_order_until_it_arrives() -> None:
    receiver = Receiver(500, OSError("no route"), 302)
    hook = receiver.hook()
    hook.send("alert.raised", {"n": 1})
    hook.send("alert.raised", {"n": 2})
    await hook.run()
    assert [told["data"]["n"] for told, _ in receiver.got] == [1, 1, 1, 1, 2]
    assert len({told["event_id"] for told, _ in receiver.got}) == 2
    assert receiver.slept == [1, 2, 4]
    assert (hook.delivered, hook.failed, hook.dropped, hook.waiting) == (2, 3, 0, 0)
    await hook.close()
    assert "witness_webhook_delivered_total 2.0" in scraped(WebhookCollector(hook))


async def test_a_webhook_is_given_up_after_a_day() -> None:
    receiver = Receiver(*[503] * 2_000)
    hook = receiver.hook()
    hook.send("alert.raised", {})
    await hook.run()
    assert (hook.delivered, hook.dropped) == (0, 1)
    assert max(receiver.slept) == 300
    assert 86_400 <= receiver.now_s - 1_000 < 86_400 + 300
    await hook.close()


async def test_findings_drive_no_alarm_out() -> None:
    hook = Receiver().hook()
    hook.send("alert.raised", {"n": -1})
    for number in range(3_000):
        hook.send("finding.callback", {"n": number})
    for number in range(10):
        hook.send("consent.withdrawn", {"n": number})
    kinds = Counter(json.loads(one.body)["type"] for one in hook._waiting)
    assert kinds == {"alert.raised": 1, "finding.callback": 989, "consent.withdrawn": 10}
    await hook.close()


async def test_as_many_webhooks_wait_as_may() -> None:
    hook = Receiver().hook()
    for number in range(1_010):
        hook.send("alert.raised", {"n": number})
    assert (hook.waiting, hook.dropped) == (1_000, 10)
    await hook.close()
    assert hook.dropped == 1_010


@pytest.mark.parametrize(
    "given",
    [
        {"webhook": "https://crm.example/hook"},
        {"webhook": "ftp://crm.example", "secret": SECRET},
        {"webhook": "https://x", "secret": SECRET, "secret_file": "x"},
        {"webhook": "https://x", "secret": "short"},
        {"completeness": 1.5},
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertsConfig.model_validate(given)


def test_a_seal_that_fails_raises_an_alert_which_a_good_one_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = record(tmp_path / "recordings", "s1")
    figures = tmp_path / "witness.prom"
    for name, value in (
        ("EVIDENCE__KEYS_DIRECTORY", "keys"),
        ("EVIDENCE__LOG_DIRECTORY", "log"),
        ("EVIDENCE__PACKAGES_DIRECTORY", "packages"),
        ("RECORDING__DIRECTORY", "recordings"),
    ):
        monkeypatch.setenv(f"WITNESS_{name}", str(tmp_path / value))
    (tmp_path / "packages").mkdir()
    given = ["seal", "s1", "--metrics", str(figures)]
    for _ in range(2):
        assert main(given) != 0
        assert "witness_seal_success 0" in figures.read_text()
    (alert,) = state_of_recording(place)["alerts"]
    assert (alert["alert"], alert["cause"], alert["to_us"]) == ("seal", "keys", None)
    assert main(["keys", "init"]) == 0
    assert main(given) == 0
    assert (tmp_path / "packages/s1.zip").is_file()
    text = figures.read_text()
    assert "witness_seal_success 1" in text
    size = (tmp_path / "packages/s1.zip").stat().st_size
    assert f"witness_seal_bytes {size}" in text
    (alert,) = state_of_recording(place)["alerts"]
    assert alert["to_us"] is not None
    capsys.readouterr()
