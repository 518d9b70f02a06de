"""What ``witness seal`` tells of itself: an alert where it failed, figures for Prometheus."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from witness.errors import WitnessError

__all__ = ["SealFigures", "watched_seal", "write_figures"]

if TYPE_CHECKING:
    from witness.config import AlertsConfig


class SealFigures:
    """Of one seal.

    Attributes:
        bytes: of the package; 0 while there is none.
    """

    def __init__(self) -> None:
        self.bytes = 0


@contextlib.contextmanager
def watched_seal(
    place: Path, config: "AlertsConfig", metrics: Path | None
) -> Iterator[SealFigures]:
    """Raises an alert in the session's log, and to the webhook, where what is inside fails."""
    figures, started_s = SealFigures(), time.monotonic()
    is_done = False
    try:
        yield figures
        is_done = True
    except (WitnessError, OSError) as error:
        _raise_alert(place, config, _cause(error))
        raise
    finally:
        if metrics is not None:
            write_figures(metrics, time.monotonic() - started_s, figures.bytes, is_done)
    _end_alert(place)


def write_figures(path: Path, took_s: float, size: int, is_done: bool) -> None:
    """In the text format of Prometheus, whole or not at all.

    Raises:
        OSError: the disk refused.
    """
    lines = [
        "# HELP witness_seal_seconds How long the last seal took.",
        "# TYPE witness_seal_seconds gauge",
        f"witness_seal_seconds {took_s:.3f}",
        "# HELP witness_seal_bytes Size of the package the last seal made.",
        "# TYPE witness_seal_bytes gauge",
        f"witness_seal_bytes {size}",
        "# HELP witness_seal_success Whether the last seal succeeded.",
        "# TYPE witness_seal_success gauge",
        f"witness_seal_success {int(is_done)}",
        "# HELP witness_seal_last_timestamp_seconds When the last seal ended.",
        "# TYPE witness_seal_last_timestamp_seconds gauge",
        f"witness_seal_last_timestamp_seconds {time.time():.0f}",
    ]
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text("\n".join(lines) + "\n", encoding="ascii")
    new.replace(path)


def _cause(error: BaseException) -> str:
    from recorder.errors import LogDamagedError, SigningError, TimestampError

    inner = error.__cause__ or error
    match inner:
        case LogDamagedError():
            return "log_damaged"
        case SigningError():
            return "keys"
        case TimestampError():
            return "timestamp"
        case OSError():
            return "disk_error"
    return "refused"


def _raise_alert(place: Path, config: "AlertsConfig", cause: str) -> None:
    """As far as that is possible: the failure itself is what has to be told."""
    from recorder.errors import RecorderError
    from recorder.log import EventLog
    from recorder.review import state_of_recording
    from recorder.session_file import read_session
    from witness.alarms import make_webhook
    from witness.alerts import Alert, AlertKind, Severity

    grade = Severity.WARNING if cause == "refused" else Severity.CRITICAL
    room = ""
    with contextlib.suppress(RecorderError, OSError):
        room = read_session(place).room
        if not _open_seal_alerts(state_of_recording(place)["alerts"]):
            about = {"alert": "seal", "severity": grade.value, "cause": cause, "track": None}
            with EventLog.open(place) as log:
                log.append("alert.raised", about, durable=True)
    webhook = make_webhook(config)
    if webhook is not None:
        alert = Alert(AlertKind.SEAL, grade, cause, place.name, room, at_ns=time.time_ns())
        asyncio.run(webhook.send_once("alert.raised", alert.to_json()))


def _end_alert(place: Path) -> None:
    from recorder.errors import RecorderError
    from recorder.log import EventLog
    from recorder.review import state_of_recording

    with contextlib.suppress(RecorderError, OSError):
        if _open_seal_alerts(state_of_recording(place)["alerts"]):
            with EventLog.open(place) as log:
                log.append("alert.ended", {"alert": "seal", "track": None}, durable=True)


def _open_seal_alerts(alerts: list[dict[str, object]]) -> bool:
    return any(alert["alert"] == "seal" and alert["to_us"] is None for alert in alerts)
