"""The server under test has its calls watched: by the real host, with real detectors."""

from collections import Counter
from collections.abc import Mapping

from analytics.detector import Permission
from analytics.host.config import HostConfig, WorkerLimits
from analytics.host.watches import MOST_SAID
from analytics.link import Found, Hello, Said, Status, Unknown
from witness.analytics_service import AnalyticsService
from witness.analytics_ways import EmbeddedWay
from witness.bench.detectors import CHUNK_MS, HANGING, SAMPLER
from witness.server import WitnessServer

__all__ = ["HANG_AFTER_S", "WATCHED_ROOMS", "Watched"]

WATCHED_ROOMS = 10
"""Rooms that are watched, at most: three microphones each."""
HANG_AFTER_S = 1.0
_BACKOFF_S = 0.5
_REAL = "sound_health"


class Watched:
    """Takes the place of what takes findings in a server.

    Attributes:
        counts: findings and unknown times by detector, and restarts.
    """

    def __init__(self, server: WitnessServer) -> None:
        self.counts: Counter[str] = Counter()
        self._server = server
        self._service: AnalyticsService | None = None
        self._is_ready = False

    async def start(self, *, hanging: bool, flooding: bool) -> None:
        """Starts a host, and has it watch calls.

        Args:
            hanging: one of its detectors hangs.
            flooding: one says as much as a host lets through before it takes it for rubbish.
        """
        names = [SAMPLER, _REAL, *([HANGING] if hanging else [])]
        limits = WorkerLimits(hang_after_s=HANG_AFTER_S, backoff_s=_BACKOFF_S, backoff_most_s=2.0)
        detectors: dict[str, dict[str, object]] = {name: {} for name in names}
        if flooding:
            detectors[SAMPLER] = {"findings": int(MOST_SAID * CHUNK_MS / 1_000)}
        config = HostConfig(detectors=detectors, limits=limits, groups={}, nice=19)
        way = EmbeddedWay(config, self._server.engines)
        rooms = self._server.hub.sfu.rooms
        service = self._service = AnalyticsService(rooms, way, names, self)
        self._is_ready = False
        service.start()
        for room in list(rooms.values())[:WATCHED_ROOMS]:
            zero_ns = service.clock_ns()
            service.session_started(room.room_id, room.room_id, zero_ns)
            for participant in room.participants.values():
                data = {"role": participant.grant.role.value}
                name = participant.participant_id
                service.marked(room.room_id, "participant.joined", name, data)
                service.consents(room.room_id, name, frozenset(Permission))

    async def stop(self) -> None:
        """Ends the host."""
        service, self._service = self._service, None
        if service is not None:
            await service.stop()

    def told(self) -> Mapping[str, int]:
        """What it has counted, and whether all detectors are there (``ready``)."""
        return {**self.counts, "ready": int(self._is_ready)}

    def found(self, found: Found) -> None:
        """Counts it."""
        self.counts["findings"] += 1
        self.counts[f"found:{found.detector}"] += 1

    def said(self, said: Said) -> None:
        """Nobody says anything."""
        del said

    def unknown(self, unknown: Unknown) -> None:
        """Counts those that begin."""
        if unknown.is_open:
            self.counts[f"unknown:{unknown.cause.value}"] += 1

    def status(self, status: Status) -> None:
        """Notes how often something had to be started again."""
        self.counts["restarts"] = max(self.counts["restarts"], sum(status.restarts.values()))

    def host(self, hello: Hello | None) -> None:
        """The host is there, or gone."""
        wanted = frozenset() if self._service is None else self._service.detectors
        self._is_ready = hello is not None and wanted <= set(hello.detectors)
