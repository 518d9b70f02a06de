"""Where alerts come from and where they go: recordings here, people and other systems there."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from recorder.errors import RecorderError
from recorder.summary import Summary, summarise
from signaling.notices import AlertNotice, rfc3339
from witness.alerts import Alert, AlertBoard, AlertCollector, AlertKind, Severity
from witness.config import AlertsConfig
from witness.errors import ConfigError
from witness.tokens import load_token
from witness.webhook import Webhook

__all__ = ["Alarms", "TellRoom", "completeness_alert", "make_webhook"]

_LOG = logging.getLogger(__name__)
_CRITICAL: Final = 0.9

TellRoom = Callable[[str, AlertNotice], None]
"""Tells a room's RMs."""


def make_webhook(config: AlertsConfig) -> Webhook | None:
    """The configured one.

    Raises:
        ConfigError: the secret's file can't be used.
    """
    if config.webhook is None:
        return None
    secret = load_token("alerts.secret", config.secret, config.secret_file)
    if secret is None:
        raise ConfigError([])
    return Webhook(config.webhook, secret.encode())


def completeness_alert(summary: Summary, least: float) -> Alert | None:
    """Whether too little of a finished recording is there; what is unknown raises nothing."""
    shares = [share for share in (summary.captured, summary.audio, summary.video)
              if share is not None]  # fmt: skip
    if not shares or min(shares) >= least:
        return None
    grade = Severity.CRITICAL if min(shares) < _CRITICAL else Severity.WARNING
    return Alert(AlertKind.COMPLETENESS, grade, "low", summary.session, summary.room)


class Alarms:
    """All alerts of one server.

    Args:
        config: who is told.
        directory: of recordings.
        tell_room: told what concerns a call.
    """

    def __init__(
        self, config: AlertsConfig, directory: Path, webhook: Webhook | None, tell_room: TellRoom
    ) -> None:
        self.board = AlertBoard()
        self.collector = AlertCollector(self.board)
        self.webhook = webhook
        self._least = config.completeness
        self._directory = directory
        self._tell_room = tell_room
        self._looking: set[asyncio.Task[None]] = set()
        self.board.listen(self._told)

    def capture(self, session_id: str, room_id: str, track_id: str, cause: str | None) -> None:
        """A track can't be written, or can again."""
        if cause is None:
            self.board.end(AlertKind.CAPTURE, session_id, track_id)
            return
        grade = Severity.CRITICAL
        self.board.raise_(Alert(AlertKind.CAPTURE, grade, cause, session_id, room_id, track_id))

    def upload(self, session_id: str, room_id: str, track_id: str, cause: str) -> None:
        """A device uploaded something else than it had said."""
        self.board.raise_(
            Alert(AlertKind.UPLOAD, Severity.WARNING, cause, session_id, room_id, track_id)
        )

    def archive(self, session_id: str, cause: str | None) -> None:
        """A session can't be archived for long, or could be after all."""
        if cause is None:
            self.board.end(AlertKind.ARCHIVE, session_id)
            return
        grade = Severity.CRITICAL if cause == "digest_differs" else Severity.WARNING
        self.board.raise_(Alert(AlertKind.ARCHIVE, grade, cause, session_id))

    def recovery(self, session_id: str, cause: str) -> None:
        """What a crash left of a session can't be finished."""
        self.board.raise_(Alert(AlertKind.RECOVERY, Severity.CRITICAL, cause, session_id))

    def finished(self, session_id: str) -> None:
        """Nothing more will come of a session: is enough of it there?"""
        task = asyncio.get_running_loop().create_task(self._look(session_id))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def close(self) -> None:
        """Ends deliveries."""
        if self._looking:
            await asyncio.wait(self._looking)
        if self.webhook is not None:
            await self.webhook.close()

    async def _look(self, session_id: str) -> None:
        try:
            summary = await asyncio.to_thread(summarise, self._directory / session_id)
        except (RecorderError, OSError) as error:
            extra = {"session_id": session_id, "reason": str(error)}
            _LOG.warning("completeness is unknown", extra=extra)
            return
        self.collector.outages_us += summary.outage_us
        alert = completeness_alert(summary, self._least)
        if alert is not None:
            self.board.raise_(alert)

    def _told(self, alert: Alert) -> None:
        if alert.room:
            self._tell_room(
                alert.room,
                AlertNotice(
                    alert=alert.kind.value,
                    severity=alert.severity.value,
                    cause=alert.cause,
                    state="ended" if alert.is_over else "raised",
                    session_id=alert.session,
                    track_id=alert.track or None,
                    at=rfc3339(alert.at_ns / 1e9),
                ),
            )
        if self.webhook is not None:
            kind = "alert.ended" if alert.is_over else "alert.raised"
            self.webhook.send(kind, alert.to_json())
