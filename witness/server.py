"""The composition root: engines, sfu, signaling and pages become one server."""

import asyncio
import logging
import ssl
from collections.abc import Sequence

from aiohttp import web

from sfu import Sfu, SfuListener
from sfu._media import Certificate, Engine
from sfu.errors import SfuError
from signaling.auth import MintingKey, TokenVerifier, VerificationKey, load_keys
from signaling.clock import system_clock
from signaling.config import AuthConfig
from signaling.errors import KeyMaterialError
from signaling.hub import Hub
from signaling.server import build_app
from witness.admin import AdminPages
from witness.assets import web_dir
from witness.certificates import server_context
from witness.config import ServerConfig, Settings, socket_address
from witness.descriptors import affordable, raise_limit
from witness.engines import start_engines, stop_engines
from witness.errors import ConfigError, StartError
from witness.gate import Gate
from witness.guarded import note_request
from witness.i18n import t
from witness.listener import Listener
from witness.loop_lag import LoopLag
from witness.metrics import HttpCollector, Metrics

__all__ = ["WitnessServer"]

_LOG = logging.getLogger(__name__)
_IDLE_POLL_S = 0.1
_FAREWELL_S = 2.0
"""Time for the last messages to reach clients when the server closes."""


class WitnessServer:
    """One server in this process.

    Args:
        settings: everything it needs to know.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._engines: Sequence[Engine] = ()
        self._hub: Hub | None = None
        self._lag: LoopLag | None = None
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._port = 0

    @property
    def hub(self) -> Hub:
        """Signaling; only while the server runs."""
        assert self._hub is not None
        return self._hub

    @property
    def port(self) -> int:
        """TCP port listened on."""
        return self._port

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
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104
        return f"{'https' if config.tls else 'http'}://{socket_address(host, self._port)}"

    async def start(self) -> None:
        """Starts engines and listens.

        Raises:
            ConfigError: a key or token file can't be used.
            StartError: an address or the certificate can't be used.
        """
        config = self.settings.server
        tls = _tls(config)
        admin_token = _admin_token(config)
        demo_key = MintingKey.demo() if self.settings.signaling.auth.demo_key else None
        verifier = _verifier(self.settings.signaling.auth, demo_key)
        certificate = Certificate()
        self._engines = start_engines(self.settings.media, certificate)
        try:
            hub = self._make_hub(verifier, certificate.fingerprint)
            self._hub = hub
            metrics = Metrics(hub.sfu, hub.stats)
            app = build_app(hub, web_root=web_dir(), demo_key=demo_key)
            app.middlewares.insert(0, note_request)
            app.add_routes(AdminPages(hub, metrics, admin_token).routes())
            hub.sfu.attach(asyncio.get_running_loop())
            gate = self._make_gate()
            metrics.registry.register(HttpCollector(gate))
            await self._listen(app, gate, tls)
        except BaseException:
            await self.stop()
            raise
        self._lag = LoopLag(metrics.observe_loop_lag)
        self._lag.start()
        _LOG.info("server started", extra={"port": self._port, "engines": len(self._engines)})

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
            if self._runner is not None:
                await self.wait_idle(_FAREWELL_S)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._hub is not None:
            self._hub.sfu.close()
            self._hub = None
        stop_engines(self._engines)
        if self._engines:
            _LOG.info("server stopped")
        self._engines = ()

    def _make_hub(self, verifier: TokenVerifier, fingerprint: str) -> Hub:
        def make_sfu(listener: SfuListener) -> Sfu:
            return Sfu(self.settings.sfu, self._engines, fingerprint, listener)

        try:
            return Hub(self.settings.signaling, verifier, make_sfu)
        except SfuError as error:
            raise StartError(str(error)) from error

    def _make_gate(self) -> Gate:
        signaling = self.settings.signaling
        limits = affordable(self.settings.server.limits, raise_limit(), len(self._engines))
        if limits.connections <= signaling.limits.connections:
            _LOG.warning(
                "fewer TCP connections than WebSockets are allowed",
                extra={
                    "server.limits.connections": limits.connections,
                    "signaling.limits.connections": signaling.limits.connections,
                },
            )
        return Gate(limits, signaling.web.trusted_proxies)

    async def _listen(self, app: web.Application, gate: Gate, tls: ssl.SSLContext | None) -> None:
        config = self.settings.server
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_FAREWELL_S
        )
        await self._runner.setup()
        self._listener = Listener(self._runner, gate, tls)
        try:
            await self._listener.open(config.host, config.port)
        except OSError as error:
            raise StartError(
                t("can't listen on {address}: {reason}").format(
                    address=socket_address(config.host, config.port),
                    reason=error.strerror or error,
                )
            ) from error
        self._port = self._listener.port


def _tls(config: ServerConfig) -> ssl.SSLContext | None:
    if config.tls_cert is None or config.tls_key is None:
        return None
    return server_context(config.tls_cert, config.tls_key)


def _verifier(config: AuthConfig, demo_key: MintingKey | None) -> TokenVerifier:
    keys: list[VerificationKey] = []
    try:
        keys += load_keys(config)
    except KeyMaterialError as error:
        raise ConfigError([f"signaling.auth.keys: {error}"]) from error
    if demo_key is not None:
        keys.append(demo_key.verification())
    return TokenVerifier(keys, max_ttl_s=config.max_ttl_s, clock_skew_s=config.clock_skew_s)


def _admin_token(config: ServerConfig) -> str | None:
    try:
        token = config.load_admin_token()
    except OSError as error:
        raise ConfigError(
            [f"server.admin_token_file: {error.filename}: {error.strerror}"]
        ) from error
    except ValueError as error:
        raise ConfigError([f"server.admin_token_file: {error}"]) from error
    if token is not None and len(token) < ServerConfig.MIN_TOKEN_CHARS:
        raise ConfigError(
            [
                "server.admin_token_file: "
                + t("must have at least {min_length} characters").format(
                    min_length=ServerConfig.MIN_TOKEN_CHARS
                )
            ]
        )
    return token
