"""Everything about watched calls in one place: consents, findings, and where they go."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from analytics.detector import Card
from signaling.clock import system_clock
from signaling.consent_endpoint import ConsentEndpoint
from signaling.hub import Hub
from signaling.recording import RecordingState
from witness.config import AlertsConfig, ConsentsConfig
from witness.consent_texts import asked_for, load_texts
from witness.consents import ConsentService, tell_consents
from witness.finding_metrics import FindingsCollector
from witness.findings import FindingsDesk, Outlets
from witness.recording import RecordingService, SessionRecording

__all__ = ["Watching"]

Post = Callable[[str, dict[str, Any]], None]


class Watching:
    """What becomes of what detectors say, and what they may look at.

    Args:
        cards: of the detectors that run, by name.
        config: what people are asked besides what those need.
        alerts: what findings set off.
        recording: whose sessions are watched.
        hub: whose people are asked and told.
        post: sends a webhook; ``None``: there is none.

    Attributes:
        consents, findings: the two halves.
        collector: their metrics.

    Raises:
        StartError: the texts of consents can't be used.
    """

    def __init__(
        self,
        cards: Mapping[str, Card],
        config: ConsentsConfig,
        alerts: AlertsConfig,
        recording: RecordingService,
        hub: Hub,
        post: Post | None,
    ) -> None:
        needed = {one for card in cards.values() for one in card.permissions}
        asked = asked_for(needed.union(config.ask), load_texts(config.texts))
        self._hub = hub
        self.consents = ConsentService(asked, recording.directory, recording.writer)
        self.consents.changed = hub.consents.changed
        self.consents.room_changed = hub.consents.room_changed
        if post is not None:
            self.consents.withdrawn = lambda data: post("consent.withdrawn", data)
        outlets = Outlets(hub.findings.tell, post, self.consents.allows)
        self.findings = FindingsDesk(
            cards, alerts.findings, outlets, recording.writer, time.monotonic
        )
        self.collector = FindingsCollector(self.findings)
        hub.consents.desk = self.consents
        hub.findings.desk = self.findings

    def routes(self) -> list[web.RouteDef]:
        """Addresses of consents."""
        return ConsentEndpoint(self.consents, self._hub.verifier, system_clock).routes()

    def tell(
        self,
        room_id: str,
        session_id: str,
        state: RecordingState,
        recording: SessionRecording | None,
    ) -> None:
        """A room's recording began, paused, went on or ended.

        Raises:
            RecorderError: the session's log is not what was written.
        """
        tell_consents(self.consents, room_id, session_id, state, recording)
        if state == "off":
            self.findings.ended(room_id, session_id)
        elif recording is not None:
            self.findings.began(room_id, session_id, recording.place, recording.log)

    async def stop(self) -> None:
        """The server ends."""
        await self.findings.stop()
