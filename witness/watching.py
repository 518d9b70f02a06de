"""Everything about watched calls in one place: consents, findings, and where they go."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from analytics.detector import Card, Permission
from recorder.log_writer import SessionLog
from signaling.challenge_endpoint import Challenge, ChallengeEndpoint
from signaling.clock import system_clock
from signaling.consent_endpoint import ConsentEndpoint
from signaling.consents import Subject
from signaling.hub import Hub
from signaling.id_photo_endpoint import IdPhotoEndpoint
from signaling.notices import ChallengeNotice
from signaling.recording import RecordingState
from witness.analytics_service import AnalyticsCalls, AnalyticsService
from witness.challenges import Challenges
from witness.config import AlertsConfig, ConsentsConfig
from witness.consent_texts import asked_for, load_texts
from witness.consents import ConsentService
from witness.finding_metrics import FindingsCollector
from witness.findings import FindingsDesk, Outlets
from witness.id_photos import IdPhotos
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
        photos: of identity documents, on their way.
        challenges: on theirs.
        collector: their metrics.
        calls: whoever has calls watched; ``None``: nobody.

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
        self.consents.changed = self._changed
        self.consents.room_changed = hub.consents.room_changed
        self.photos = IdPhotos(self.consents.held)
        self.consents.room_forgotten = self.photos.forget_room
        self._sessions: dict[str, str] = {}
        self.challenges = Challenges(self.consents.held, self._sessions.get, time.monotonic_ns)
        self.challenges.asked = self._ask
        if post is not None:
            self.consents.withdrawn = lambda data: post("consent.withdrawn", data)
        outlets = Outlets(hub.findings.tell, post, self.consents.allows)
        self.findings = FindingsDesk(
            cards, alerts.findings, outlets, recording.writer, time.monotonic
        )
        self.photos.noted = self.findings.photo_given
        self.collector = FindingsCollector(self.findings)
        self.calls: AnalyticsCalls | None = None
        self._loading: set[asyncio.Task[None]] = set()
        self.consents.permitted = self._permit
        hub.consents.desk = self.consents
        hub.findings.desk = self.findings

    def routes(self) -> list[web.RouteDef]:
        """Addresses of consents, and of what is asked of those who gave them."""
        verifier = self._hub.verifier
        return [
            *ConsentEndpoint(self.consents, verifier, system_clock).routes(),
            *IdPhotoEndpoint(self.photos, verifier, system_clock).routes(),
            *ChallengeEndpoint(self.challenges, verifier, system_clock).routes(),
        ]

    def watch_by(self, calls: AnalyticsService) -> None:
        """Has calls watched."""
        self.calls = self.photos.calls = self.challenges.calls = calls
        calls.photo_done = self.photos.done

    def _ask(self, subject: Subject, challenge: Challenge) -> None:
        notice = ChallengeNotice(ask=challenge.ask, within_s=challenge.within_s)
        self._hub.findings.ask(subject.room_id, subject.participant_id, notice)

    def _changed(self, subject: Subject) -> None:
        self._hub.consents.changed(subject)
        self.photos.changed(subject)

    def tell(
        self,
        room_id: str,
        session_id: str,
        state: RecordingState,
        recording: SessionRecording | None,
    ) -> None:
        """A room's recording began, paused, went on or ended."""
        if state == "off":
            self._end(room_id, session_id)
        elif recording is not None:
            is_new = not self.consents.is_known(room_id, session_id)
            # Before anything is told: what is written in between is no consent.
            is_empty = recording.log.head[0] == 0
            if is_new:
                self.photos.began(room_id, session_id)
                self.findings.began(room_id, session_id, recording.place, recording.log)
                self._sessions[room_id] = session_id
                if self.calls is not None:
                    self.calls.session_started(session_id, room_id, recording.zero_ns)
            if self.calls is not None:
                # What may not be recorded may not be watched either.
                self.calls.session_paused(session_id, state == "paused")
            self.findings.paused(session_id, state == "paused")
            if is_new:
                if is_empty:
                    self.consents.began(room_id, session_id, recording.log)
                else:
                    self._load_consents(room_id, session_id, recording.place, recording.log)

    def _load_consents(self, room_id: str, session_id: str, place: Path, log: SessionLog) -> None:
        loading = self.consents.load(room_id, session_id, place, log)
        task = asyncio.get_running_loop().create_task(loading)
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    def _end(self, room_id: str, session_id: str) -> None:
        self.consents.ended(room_id, session_id)
        self.photos.ended(room_id)
        self.findings.ended(room_id, session_id)
        if self._sessions.get(room_id) == session_id:
            del self._sessions[room_id]
        if self.calls is not None:
            self.calls.session_ended(session_id)

    def mark_node(self, session_id: str, kind: str, data: Mapping[str, Any], at_us: int) -> None:
        """A node of the sale begins or ends."""
        if self.calls is not None and session_id in self._sessions.values():
            self.calls.marked(session_id, kind, data=data, at_us=at_us)

    def _permit(
        self, session_id: str, participant_id: str, permissions: frozenset[Permission]
    ) -> None:
        """What may be done with somebody's media from now on."""
        if self.calls is not None:
            self.calls.consents(session_id, participant_id, permissions)
        self.photos.permitted(session_id, participant_id, permissions)

    async def settle(self, timeout_s: float) -> None:
        """The server ends: what goes on ends now, and whoever watches has a last word."""
        for session_id in self._sessions.values():
            if self.calls is not None:
                self.calls.session_ended(session_id)
        end_s = time.monotonic() + timeout_s
        while True:
            if not self.findings.open_count or time.monotonic() >= end_s:
                return
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """The server ends."""
        for task in self._loading:
            task.cancel()
        await asyncio.gather(*self._loading, return_exceptions=True)
        await self.consents.settle()
        await self.findings.stop()
