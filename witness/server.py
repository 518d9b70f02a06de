"""The composition root: engines, sfu, signaling and pages become one server."""

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Sequence

from aiohttp import web

from analytics.cards import all_cards
from analytics.registry import the_registry
from archive.errors import ArchiveError
from archive.identity import begun
from recorder.backfill.examine import PCAPNG
from recorder.backfill.service import BackfillService
from recorder.backfill.token import UploadTokens
from recorder.envelope import MasterKeys
from sfu import Sfu, SfuListener
from sfu._media import Certificate, Engine
from sfu.addresses import host_addresses
from sfu.errors import SfuError
from signaling.archive import ArchiveEndpoint
from signaling.auth import MintingKey, TokenVerifier, VerificationKey
from signaling.clock import system_clock
from signaling.config import AuthConfig
from signaling.detectors import DetectorsEndpoint
from signaling.hub import Hub
from signaling.problem import problem_middleware
from signaling.recording import RecordingState
from signaling.recordings import RecordingsEndpoint
from signaling.server import build_app
from witness import os_errors
from witness.admin import Access, AdminPages
from witness.alarms import Alarms, make_webhook
from witness.analytics_service import AnalyticsService
from witness.analytics_start import cards_of, collector_of, host_config, make_analytics
from witness.archive_service import ArchiveCatalogue, ArchiveCollector, ArchiveService
from witness.archiving import Archiving
from witness.assets import web_dir
from witness.completeness import RecordingUploads
from witness.config import HttpLimits, Settings, socket_address, split_address
from witness.descriptors import affordable, raise_limit
from witness.detector_cards import KeptCards
from witness.engines import start_engines, stop_engines
from witness.errors import StartError
from witness.gap_filling import BackfillCollector, GapFilling
from witness.gate import Gate
from witness.guarded import note_request
from witness.i18n import of_error, t
from witness.listener import Listener
from witness.log_metrics import LogCollector
from witness.loop_lag import LoopLag
from witness.metrics import HttpCollector, Metrics
from witness.playback import PlaybackCollector, PlaybackLibrary
from witness.preflight import Material, load_material
from witness.recording import RecordingService, load_key
from witness.sessions import SessionService
from witness.watching import Watching
from witness.webhook import WebhookCollector

__all__ = ["WitnessServer"]

_LOG = logging.getLogger(__name__)
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_IDLE_POLL_S = 0.1
_MACHINES = 64
"""Connections to ``metrics.listen``."""
UPLOAD_WINDOW_S = 86_400.0
"""How long after a recording's end uploads of what it lacks are waited for."""
_FAREWELL_S = 2.0
"""Time for the last messages to reach clients when the server closes."""


class WitnessServer:
    """One server in this process.

    Args:
        settings: everything it needs to know.

    Attributes:
        metrics_url: where metrics are served without a token, while the server runs.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._engines: Sequence[Engine] = ()
        self._hub: Hub | None = None
        self._lag: LoopLag | None = None
        self._runners: list[web.AppRunner] = []
        self._listeners: list[Listener] = []
        self.metrics_url: str | None = None
        self._port = 0
        self._recording: RecordingService | None = None
        self._sessions: SessionService | None = None
        self._backfill: BackfillService | None = None
        self._filling: GapFilling | None = None
        self._archive: ArchiveService | None = None
        self._library: PlaybackLibrary | None = None
        self._alarms: Alarms | None = None
        self._watching: Watching | None = None
        self._analytics: AnalyticsService | None = None

    @property
    def hub(self) -> Hub:
        """Signaling; only while the server runs."""
        assert self._hub is not None
        return self._hub

    @property
    def backfill(self) -> BackfillService | None:
        """The account of what was sent in recorded calls."""
        return self._backfill

    @property
    def recording(self) -> RecordingService | None:
        """Recordings, while the server runs and has a directory for them."""
        return self._recording

    @property
    def watching(self) -> Watching | None:
        """Consents and findings, while the server runs and calls may be watched."""
        return self._watching

    @property
    def analytics(self) -> AnalyticsService | None:
        """What goes to detectors, while the server runs and calls are watched."""
        return self._analytics

    @property
    def port(self) -> int:
        """TCP port listened on."""
        return self._port

    @property
    def engines(self) -> Sequence[Engine]:
        """The media threads, while the server runs."""
        return self._engines

    @property
    def media_ports(self) -> list[int]:
        """UDP port of each engine."""
        return [engine.port for engine in self._engines]

    @property
    def url(self) -> str:
        """Where browsers find the server."""
        config = self.settings.server
        if config.public_url:
            return config.public_url
        return self._url_at(_WILDCARDS.get(config.host, config.host))

    @property
    def lan_urls(self) -> list[str]:
        """Where other machines find a server that listens on all addresses."""
        config = self.settings.server
        if config.public_url or config.host not in _WILDCARDS:
            return []
        found = [ipaddress.ip_address(text) for text in host_addresses()]
        return [
            self._url_at(str(address))
            for address in found
            if not address.is_loopback and (config.host == "::" or address.version == 4)
        ]

    def _url_at(self, host: str) -> str:
        scheme = "https" if self.settings.server.tls else "http"
        return f"{scheme}://{socket_address(host, self._port)}"

    async def start(self) -> None:
        """Starts engines and listens.

        Raises:
            ConfigError: a file the settings name can't be used.
            StartError: an address can't be used.
        """
        config = self.settings.server
        material = load_material(self.settings)
        access = self._access(material)
        demo_key = MintingKey.demo() if self.settings.signaling.auth.demo_key else None
        verifier = _verifier(self.settings.signaling.auth, material.keys, demo_key)
        certificate = Certificate()
        limits, media = affordable(self.settings.server.limits, self.settings.media, raise_limit())
        recording = self.settings.recording
        keys = await asyncio.to_thread(load_key, recording)
        current = None if keys is None else keys.current
        self._engines = start_engines(media, certificate, recording, current)
        try:
            hub = self._make_hub(verifier, certificate.fingerprint)
            self._hub = hub
            if self._recording is not None:
                await self._recording.start()
            metrics = Metrics(hub.sfu, hub.stats)
            if self._recording is not None:
                metrics.registry.register(LogCollector(self._recording))
            self._watch_recordings(hub, metrics)
            uploads = await self._fill_gaps(hub, metrics, keys)
            app = build_app(
                hub,
                web_root=web_dir(),
                demo_key=demo_key,
                sessions=self._make_sessions(hub),
                uploads=uploads,
            )
            app.middlewares.insert(0, note_request)
            self._watch_calls(hub, metrics, app)
            cards = KeptCards(lambda: all_cards(the_registry(), self.settings.analytics))
            app.add_routes(DetectorsEndpoint(cards, hub.verifier, system_clock).routes())
            self._show_recordings(hub, metrics, app, keys)
            self._open_archive(hub, metrics, app)
            pages = AdminPages(hub, metrics, access)
            app.add_routes(pages.routes())
            hub.sfu.attach(asyncio.get_running_loop())
            gate = self._make_gate(limits)
            metrics.registry.register(HttpCollector(gate))
            self._port = await self._listen(app, gate, (config.host, config.port), material.tls)
            if self.settings.metrics.listen is not None:
                await self._listen_for_machines(pages, self.settings.metrics.listen)
        except BaseException:
            await self.stop()
            raise
        self._lag = LoopLag(metrics.observe_loop_lag)
        self._lag.start()
        scheduling = sorted({engine.scheduling or "unknown" for engine in self._engines})
        extra = {"port": self._port, "engines": len(self._engines), "scheduling": scheduling}
        _LOG.info("server started", extra=extra)

    def drain(self, deadline_s: float) -> None:
        """Refuses new rooms from now on; running calls are ended after ``deadline_s``."""
        self.hub.drain(deadline_s, system_clock())

    async def wait_idle(self, timeout_s: float) -> bool:
        """Waits until nobody takes part any more; says whether that came in time."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while not self.hub.is_idle:
            if loop.time() >= end_s:
                return False
            await asyncio.sleep(_IDLE_POLL_S)
        return True

    async def stop(self) -> None:
        """Ends all calls, closes sockets, stops engines. Idempotent."""
        if self._lag is not None:
            await self._lag.stop()
        if self._hub is not None:
            # Sent before the sockets go: clients then know that it was no network failure.
            self.drain(0)
            if self._listeners:
                await self.wait_idle(_FAREWELL_S)
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        library, self._library = self._library, None
        if library is not None:
            await library.close()
        if self._watching is not None and self._hub is not None:
            await self._watching.settle(_FAREWELL_S)
        sfu = self._hub.sfu if self._hub is not None else None
        if sfu is not None:
            sfu.close()
            self._hub = None
        try:
            stop_engines(self._engines)
        finally:
            await self._end_recordings(sfu)
        if self._engines:
            _LOG.info("server stopped")
        self._engines = ()

    async def _end_recordings(self, sfu: Sfu | None) -> None:
        """Takes over the last files and gaps of all recordings; engines have ended."""
        analytics, self._analytics = self._analytics, None
        if analytics is not None:
            await analytics.stop()
        watching, self._watching = self._watching, None
        if watching is not None:
            await watching.stop()
        if self._archive is not None:
            await self._archive.stop()
            self._archive = None
        recording, self._recording = self._recording, None
        if recording is not None:
            if sfu is not None:
                for engine in self._engines:
                    sfu.handle_events(engine)
            sessions, self._sessions = self._sessions, None
            if sessions is not None:
                await sessions.close()
            await recording.stop()
        filling, self._filling = self._filling, None
        if filling is not None:
            await filling.stop()
        if recording is not None:
            await asyncio.to_thread(recording.writer.close)
        alarms, self._alarms = self._alarms, None
        if alarms is not None:
            await alarms.close()

    def _tell_recording(self, room_id: str, session_id: str, state: RecordingState) -> None:
        if self._hub is None:
            return
        filling = self._filling
        recording = self._recording.of_session(session_id) if self._recording else None
        if filling is None:
            self._hub.recordings.set_state(room_id, session_id, state, system_clock())
        elif state == "off":
            filling.stopped(room_id)
        elif state == "paused":
            filling.paused(room_id)
        elif filling.is_known(room_id, session_id):
            filling.resumed(room_id)
        elif recording is not None:
            filling.started(room_id, session_id, recording.place, recording.log)
        if self._watching is not None:
            # Last: whatever becomes of detectors, the recording goes on.
            self._watching.tell(room_id, session_id, state, recording)

    def _file_closed(
        self, session_id: str, track_id: str, file: str, from_us: int, to_us: int
    ) -> None:
        if self._filling is not None:
            self._filling.segment_closed(session_id, track_id, file, from_us, to_us)

    def _watch_recordings(self, hub: Hub, metrics: Metrics) -> None:
        """Has whoever it concerns told of what goes wrong with recordings."""
        directory = self.settings.recording.directory
        if directory is None or self._recording is None:
            return
        webhook = make_webhook(self.settings.alerts)
        self._alarms = Alarms(self.settings.alerts, directory, webhook, hub.recordings.alert)
        self._recording.alarm = self._alarms.capture
        metrics.registry.register(self._alarms.collector)
        if webhook is not None:
            metrics.registry.register(WebhookCollector(webhook))
        for session_id, cause in self._recording.damaged.items():
            self._alarms.recovery(session_id, cause)

    async def _fill_gaps(
        self, hub: Hub, metrics: Metrics, keys: MasterKeys | None
    ) -> RecordingUploads | None:
        """Takes up what recordings lack."""
        config = self.settings.recording
        if config.directory is None:
            return None
        service = BackfillService(PCAPNG, window_s=UPLOAD_WINDOW_S, keys=keys)
        tokens = UploadTokens.at(config.directory)
        uploads = RecordingUploads(service, tokens, UPLOAD_WINDOW_S)
        hub.recordings.completeness = uploads
        writer = None if self._recording is None else self._recording.writer
        alarms = self._alarms
        assert alarms is not None
        self._filling = GapFilling(
            service,
            hub.recordings,
            writer=writer,
            on_done=alarms.finished,
            rejected=alarms.upload,
        )
        await asyncio.to_thread(self._filling.recover, config.directory, UPLOAD_WINDOW_S)
        metrics.registry.register(BackfillCollector(service))
        self._backfill = service
        self._filling.start()
        return uploads

    def _make_sessions(self, hub: Hub) -> SessionService | None:
        if self._recording is not None:
            self._sessions = SessionService.of_rooms(hub.sfu.rooms, self._recording)
        return self._sessions

    def _watch_calls(self, hub: Hub, metrics: Metrics, app: web.Application) -> None:
        """Asks people what detectors may do, and takes what those find, where there are any."""
        host = host_config(self.settings.analytics)
        is_watched = self.settings.consents.ask or host is not None
        if self._recording is None or self._alarms is None or not is_watched:
            return
        webhook = self._alarms.webhook
        post = None if webhook is None else webhook.send
        config, alerts = self.settings.consents, self.settings.alerts
        cards = cards_of(host)
        self._watching = Watching(cards, config, alerts, self._recording, hub, post)
        self._watching.findings.start()
        if self._sessions is not None:
            self._sessions.follow(self._watching.mark_node)
        if host is not None:
            analytics, sink = self.settings.analytics, self._watching.findings
            self._analytics = make_analytics(
                analytics, host, hub.sfu.rooms, self._engines, sink, self.settings.log
            )
            self._watching.watch_by(self._analytics)
            self._analytics.start()
            metrics.registry.register(collector_of(self._analytics, self._engines))
        app.add_routes(self._watching.routes())
        metrics.registry.register(self._watching.collector)
        self._alarms.collector.findings = self._watching.collector.graded

    def _show_recordings(
        self, hub: Hub, metrics: Metrics, app: web.Application, keys: MasterKeys | None
    ) -> None:
        """Adds what the playback page needs, where there is something to play."""
        if self.settings.recording.directory is None:
            return
        library = PlaybackLibrary(
            self.settings.recording,
            self.settings.evidence,
            system_clock,
            keys,
            None if self.settings.archive.directory is None else Archiving.of(self.settings),
        )
        library.sweep()
        self._library = library
        metrics.registry.register(PlaybackCollector(library))
        endpoint = RecordingsEndpoint(
            library,
            hub.verifier,
            system_clock,
            secure=self.url.startswith("https:"),
            allowed_origins=tuple(hub.config.web.allowed_origins),
        )
        app.add_routes(endpoint.routes())

    def _open_archive(self, hub: Hub, metrics: Metrics, app: web.Application) -> None:
        """Searches of the archive, and what fills it, where there is one."""
        directory = self.settings.archive.directory
        if directory is None:
            return
        try:
            begun(directory)
        except ArchiveError as error:
            raise StartError(of_error(error)) from error
        except OSError as error:
            text = t("can't use the archive's directory {path}: {reason}")
            reason = os_errors.reason(error)
            raise StartError(text.format(path=directory, reason=reason)) from error
        service = ArchiveService(Archiving.of(self.settings))
        catalogue = ArchiveCatalogue(service.catalogue)
        if self._sessions is not None:
            self._sessions.archived = catalogue.place_of
        endpoint = ArchiveEndpoint(catalogue, hub.verifier, system_clock)
        app.add_routes(endpoint.routes())
        metrics.registry.register(ArchiveCollector(service))
        if self._alarms is not None:
            service.alarm = self._alarms.archive
        if self.settings.archive.automatic:
            self._archive = service
            service.start()

    def _make_hub(self, verifier: TokenVerifier, fingerprint: str) -> Hub:
        if self.settings.recording.directory is not None:
            self._recording = RecordingService(
                self.settings.recording, self._tell_recording, self._file_closed
            )

        def make_sfu(listener: SfuListener) -> Sfu:
            return Sfu(
                self.settings.sfu,
                self._engines,
                fingerprint,
                listener,
                on_room=None if self._recording is None else self._recording.on_room,
            )

        try:
            return Hub(self.settings.signaling, verifier, make_sfu)
        except SfuError as error:
            raise StartError(of_error(error)) from error

    def _make_gate(self, limits: HttpLimits) -> Gate:
        signaling = self.settings.signaling
        if limits.connections <= signaling.limits.connections:
            _LOG.warning(
                "fewer TCP connections than WebSockets are allowed",
                extra={
                    "server.limits.connections": limits.connections,
                    "signaling.limits.connections": signaling.limits.connections,
                },
            )
        return Gate(limits, signaling.web.trusted_proxies)

    async def _listen(
        self,
        app: web.Application,
        gate: Gate,
        address: tuple[str, int],
        tls: ssl.SSLContext | None = None,
    ) -> int:
        """Serves an application; returns the port."""
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_FAREWELL_S
        )
        self._runners.append(runner)
        await runner.setup()
        listener = Listener(runner, gate, tls)
        try:
            await listener.open(*address)
        except OSError as error:
            raise StartError(
                t("can't listen on {address}: {reason}").format(
                    address=socket_address(*address), reason=os_errors.reason(error)
                )
            ) from error
        self._listeners.append(listener)
        return listener.port

    async def _listen_for_machines(self, pages: AdminPages, address: str) -> None:
        host, port = split_address(address)
        app = web.Application(middlewares=[note_request, problem_middleware])
        app.add_routes(pages.machine_routes())
        limits = HttpLimits(connections=_MACHINES, connections_per_address=_MACHINES)
        port = await self._listen(app, Gate(limits), (host, port))
        self.metrics_url = f"http://{socket_address(host, port)}/metrics"

    def _access(self, material: Material) -> Access:
        config = self.settings.server
        proxied = config.public_url is not None or self.settings.signaling.web.trusted_proxies
        return Access(
            admin_token=material.admin_token,
            metrics_token=material.metrics_token,
            # A proxy on this machine may pass on the requests of others as if they were its own.
            local_metrics=not proxied,
        )


def _verifier(
    config: AuthConfig, keys: Sequence[VerificationKey], demo_key: MintingKey | None
) -> TokenVerifier:
    known = [*keys, demo_key.verification()] if demo_key is not None else keys
    return TokenVerifier(known, max_ttl_s=config.max_ttl_s, clock_skew_s=config.clock_skew_s)
