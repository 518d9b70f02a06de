"""What the settings need of this machine: files, names, addresses.

``witness config check`` and ``witness serve`` ask here both, so that they agree.
"""

import datetime as dt
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from analytics.config import AnalyticsConfig
from analytics.errors import DetectorConfigError, ModelError
from analytics.speech.pack import load_pack
from sfu.addresses import reachable_at
from sfu.errors import AddressError
from signaling.auth import VerificationKey, load_key
from signaling.config import AuthConfig, IceConfig, KeyConfig
from signaling.errors import KeyMaterialError
from signaling.ice import IceServers
from witness import os_errors
from witness.certificates import (
    CertificateError,
    read_certificate,
    server_context,
    validity_end,
)
from witness.config import (
    MediaConfig,
    MetricsConfig,
    ServerConfig,
    Settings,
    socket_address,
    split_address,
)
from witness.errors import ConfigError, StartError
from witness.i18n import of_error, t
from witness.problem import KeyPath, Problem, Severity
from witness.tokens import load_token

__all__ = ["EXPIRY_WARNING", "Finding", "Material", "examine", "load_material"]

_LOG = logging.getLogger(__name__)

EXPIRY_WARNING = dt.timedelta(days=14)

Clock = Callable[[], dt.datetime]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the machine lacks.

    Attributes:
        path: key it concerns, indices of lists included.
        text: what is wrong and what to do.
        severity: an error makes the check fail.
        fatal: the server doesn't start.
    """

    path: KeyPath
    text: str
    severity: Severity = Severity.ERROR
    fatal: bool = True

    def problem(self) -> Problem:
        """Without a place, for settings that came from no file."""
        return Problem(self.text, None, ".".join(self.path), self.severity, self.fatal)


@dataclass(frozen=True, slots=True)
class Material:
    """What was read from the files that settings name."""

    tls: ssl.SSLContext | None
    admin_token: str | None
    metrics_token: str | None
    keys: list[VerificationKey]


def load_material(settings: Settings) -> Material:
    """Reads all files; what doesn't keep the server from starting is logged.

    Raises:
        ConfigError: names every file that can't be used.
    """
    findings = examine(settings)
    fatal = [finding.problem() for finding in findings if finding.fatal]
    if fatal:
        raise ConfigError(fatal)
    for finding in findings:
        level = logging.WARNING if finding.severity is Severity.WARNING else logging.ERROR
        _LOG.log(level, "configuration", extra={"problem": str(finding.problem())})
    server = settings.server
    tls = None
    if server.tls_cert is not None and server.tls_key is not None:
        tls = server_context(server.tls_cert, server.tls_key)
    keys = [load_key(key) for key in settings.signaling.auth.keys]
    return Material(tls, _admin_token(server), _metrics_token(settings.metrics), keys)


def examine(settings: Settings, clock: Clock | None = None) -> list[Finding]:
    """Everything the server would stumble on, without starting it."""
    now = clock() if clock else dt.datetime.now(dt.UTC)
    return [
        *_host(("server", "host"), settings.server.host),
        *_metrics_host(settings.metrics),
        *_certificate(settings.server, now),
        *_tokens(settings),
        *_advertised(settings),
        *_keys(settings.signaling.auth),
        *_turn_secret(settings.signaling.ice),
        *_recordings(settings.recording.directory),
        *_packs(settings.analytics),
        *_own_models(settings.analytics),
    ]


def _host(key: KeyPath, host: str) -> Iterator[Finding]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        text = t("no address found for {name}: {reason}")
        yield Finding(key, text.format(name=host, reason=os_errors.reason(error)))
        return
    for family, kind, _, _, address in found:
        try:
            with socket.socket(family, kind) as probe:
                probe.bind(address)
        except OSError as error:
            text = t("can't listen at {name}: {reason}")
            yield Finding(key, text.format(name=host, reason=os_errors.reason(error)))
            return


def _metrics_host(config: MetricsConfig) -> Iterator[Finding]:
    if config.listen is not None:
        yield from _host(("metrics", "listen"), split_address(config.listen)[0])


def _certificate(config: ServerConfig, now: dt.datetime) -> Iterator[Finding]:
    if config.tls_cert is None or config.tls_key is None:
        return
    try:
        end = validity_end(read_certificate(config.tls_cert, config.tls_key))
        server_context(config.tls_cert, config.tls_key)
    except CertificateError as error:
        yield from (Finding(("server", name), text) for name, text in error.texts)
        return
    except StartError as error:
        yield Finding(("server", "tls_cert"), str(error))
        return
    date = f"{end:%Y-%m-%d %H:%M} UTC"
    if end <= now:
        text = t("{path}: expired on {date}; browsers refuse it, renew it")
    elif end - now <= EXPIRY_WARNING:
        text = t("{path}: expires on {date}; renew it soon")
    else:
        return
    severity = Severity.ERROR if end <= now else Severity.WARNING
    # Behind a proxy that doesn't look at it the calls go on: no reason to refuse a restart.
    yield Finding(
        ("server", "tls_cert"),
        text.format(path=config.tls_cert, date=date),
        severity,
        fatal=False,
    )


def _admin_token(config: ServerConfig) -> str | None:
    return load_token("server.admin_token", config.admin_token, config.admin_token_file)


def _metrics_token(config: MetricsConfig) -> str | None:
    return load_token("metrics.token", config.token, config.token_file)


def _tokens(settings: Settings) -> Iterator[Finding]:
    loads: tuple[Callable[[], str | None], ...] = (
        lambda: _admin_token(settings.server),
        lambda: _metrics_token(settings.metrics),
    )
    for load in loads:
        try:
            load()
        except ConfigError as error:
            yield from (Finding(tuple(p.key.split(".")), p.text) for p in error.found)


def _keys(config: AuthConfig) -> Iterator[Finding]:
    for index, key in enumerate(config.keys):
        try:
            load_key(key)
        except KeyMaterialError as error:
            cause = error.__cause__
            why = os_errors.reason(cause) if isinstance(cause, OSError) else of_error(error)
            path = key.secret_file or key.public_key_file
            yield Finding(
                ("signaling", "auth", "keys", str(index), _source(key)),
                f"{path}: {why}" if path else why,
            )


def _turn_secret(config: IceConfig) -> Iterator[Finding]:
    try:
        IceServers(config)
    except KeyMaterialError as error:
        cause = error.__cause__
        why = os_errors.reason(cause) if isinstance(cause, OSError) else of_error(error)
        path = ("signaling", "ice", "turn_secret_file")
        yield Finding(path, f"{config.turn_secret_file}: {why}")


def _recordings(directory: Path | None) -> Iterator[Finding]:
    """It isn't made: where a disk is not mounted, recordings would lie beneath it."""
    if directory is None:
        return
    key = ("recording", "directory")
    if not directory.exists():
        text = t("{path} does not exist: make it (mkdir), or mount its disk")
        yield Finding(key, text.format(path=directory))
    elif not directory.is_dir():
        yield Finding(key, t("{path} is no directory").format(path=directory))
    elif not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        text = t("{path} can't be written to by this user")
        yield Finding(key, text.format(path=directory))


def _packs(config: AnalyticsConfig) -> Iterator[Finding]:
    """Lists of words that detectors are told to use; calls go on without them."""
    seen = set()
    for name, values in config.detectors.items():
        given = values.get("pack_path")
        if given is None or given in seen:
            continue
        seen.add(given)
        key = ("analytics", "detectors", name, "pack_path")
        try:
            pack = load_pack(Path(given))
        except DetectorConfigError as error:
            yield Finding(key, of_error(error), fatal=False)
            continue
        if pack.answers.unguarded:
            text = t("{path}: these lists of `answers` are empty: {names}; more passes as a yes")
            names = ", ".join(pack.answers.unguarded)
            yield Finding(key, text.format(path=given, names=names), Severity.WARNING, fatal=False)


def _own_models(config: AnalyticsConfig) -> Iterator[Finding]:
    """Files in place of models; what runs them is unknown without, and calls go on."""
    models = config.models()
    for name in config.own_models:
        try:
            models.find(name)
        except ModelError as error:
            key = ("analytics", "own_models", name)
            yield Finding(key, of_error(error), fatal=False)


def _source(key: KeyConfig) -> str:
    if key.public_key_file is not None:
        return "public_key_file"
    return "secret_file" if key.secret_file is not None else "secret"


def _advertised(settings: Settings) -> Iterator[Finding]:
    if not settings.sfu.advertised_addresses:
        return
    media: MediaConfig = settings.media
    bound = [socket_address(str(ipaddress.ip_address(host)), media.port) for host in media.listen]
    try:
        reachable_at(settings.sfu, bound, media.port, engines=media.engine_count())
    except AddressError as error:
        yield Finding(("sfu", "advertised_addresses"), of_error(error))
