"""What each command of ``witness`` does.

Heavy parts are imported by the command that needs them.
"""

import argparse
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from sfu.model import Role
from signaling.auth import MintingKey, is_identifier, is_name, is_room_id, load_key, mint_token
from signaling.config import Algorithm, AuthConfig
from signaling.errors import KeyMaterialError
from signaling.staff import StaffRole, mint_staff_token
from witness import os_errors, version
from witness.config import Settings
from witness.config_load import Reading, load_settings, read_settings
from witness.config_reference import effective_yaml, reference_yaml
from witness.errors import ConfigError, UsageError
from witness.hosts import is_host_name, is_ip_address
from witness.i18n import of_error, t
from witness.problem import Severity

__all__ = [
    "Command",
    "cert",
    "config_check",
    "config_reference",
    "config_show",
    "demo",
    "health",
    "parse_ttl",
    "play",
    "schema",
    "serve",
    "show_version",
    "staff_token",
    "token",
]

Command = Callable[[argparse.Namespace], int]

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def serve(arguments: argparse.Namespace) -> int:
    """``witness serve``."""
    from witness.serve import run

    reading = _checked(arguments.config)
    if reading.settings is None or reading.failed:
        raise ConfigError([problem for problem in reading.problems if problem.fatal])
    return run(reading.settings)


def demo(arguments: argparse.Namespace) -> int:
    """``witness demo``."""
    if not 0 <= arguments.port <= 65_535:
        raise UsageError(t("--port must be 0 to 65535"))
    if not 1 <= arguments.seconds <= 86_400:
        raise UsageError(t("--seconds must be 1 to 86400"))
    from witness.demo import DemoOptions, run

    return run(
        DemoOptions(
            port=arguments.port,
            seconds=arguments.seconds,
            keep=arguments.keep,
            as_json=arguments.json,
            directory=arguments.directory,
        )
    )


def play(arguments: argparse.Namespace) -> int:
    """``witness play``."""
    if not 0 <= arguments.port <= 65_535:
        raise UsageError(t("--port must be 0 to 65535"))
    from witness.play import PlayOptions, run

    return run(
        PlayOptions(
            session=arguments.session,
            config=arguments.config,
            port=arguments.port,
            browser=not arguments.no_browser,
        )
    )


def token(arguments: argparse.Namespace) -> int:
    """``witness token``."""
    ttl_s = parse_ttl(arguments.ttl)
    _check_identifier("--room", arguments.room)
    if not is_room_id(arguments.room):
        _refuse_room(arguments.room)
    if arguments.participant_id is not None:
        _check_identifier("--id", arguments.participant_id)
    if not is_name(arguments.name):
        text = t("--name {text} can't be used; at most 64 characters, no control characters")
        raise UsageError(text.format(text=repr(arguments.name)))
    page = None if arguments.page is None else _page(arguments.page)
    signed = mint_token(
        _key_for(arguments, ttl_s),
        room=arguments.room,
        participant_id=arguments.participant_id or f"{arguments.role}-{secrets.token_hex(4)}",
        role=Role(arguments.role),
        now_unix_s=time.time(),
        ttl_s=ttl_s,
        name=arguments.name,
    )
    # In the fragment, which browsers send to nobody.
    _print(f"{page}/#token={signed}" if page else signed)
    return 0


def staff_token(arguments: argparse.Namespace) -> int:
    """``witness staff-token``."""
    ttl_s = parse_ttl(arguments.ttl)
    _check_identifier("--id", arguments.subject)
    for room in arguments.room or ():
        _check_identifier("--room", room)
        if not is_room_id(room):
            _refuse_room(room)
    if not is_name(arguments.name):
        text = t("--name {text} can't be used; at most 64 characters, no control characters")
        raise UsageError(text.format(text=repr(arguments.name)))
    page = None if arguments.page is None else _page(arguments.page)
    signed = mint_staff_token(
        _key_for(arguments, ttl_s),
        role=StaffRole(arguments.role),
        now_unix_s=time.time(),
        ttl_s=ttl_s,
        subject=arguments.subject,
        name=arguments.name,
        rooms=arguments.room,
    )
    _print(f"{page}/playback#token={signed}" if page else signed)
    return 0


def _refuse_room(room: str) -> NoReturn:
    text = t("{option} {text} can't be used: no address can have it as a part; write another name")
    raise UsageError(text.format(option="--room", text=repr(room)))


def _key_for(arguments: argparse.Namespace, ttl_s: float) -> MintingKey:
    """The key that signs.

    Raises:
        UsageError: there is none, or the server would not take a token that is good for so long.
    """
    auth = _settings(arguments.config).signaling.auth
    if ttl_s > auth.max_ttl_s:
        text = t("--ttl {text} is longer than signaling.auth.max_ttl_s allows ({seconds} s)")
        raise UsageError(text.format(text=arguments.ttl, seconds=f"{auth.max_ttl_s:g}"))
    return _minting_key(auth, arguments.kid)


def _minting_key(auth: AuthConfig, kid: str | None) -> MintingKey:
    """The key ``kid``, else the first one that signs.

    Raises:
        UsageError: there is none, or its file can't be used.
    """
    good = [key for key in auth.keys if key.algorithm is Algorithm.HS256]
    chosen = next((key for key in good if kid in {None, key.kid}), None)
    if chosen is None and not good:
        text = t("the configuration has no HS256 key to sign with (signaling.auth.keys)")
        raise UsageError(text)
    if chosen is None:
        text = t("--kid {kid}: the configuration has no such HS256 key; there is {names}")
        raise UsageError(text.format(kid=kid, names=", ".join(key.kid for key in good)))
    try:
        material = load_key(chosen).key
    except KeyMaterialError as error:
        cause = error.__cause__
        reason = os_errors.reason(cause) if isinstance(cause, OSError) else of_error(error)
        where = str(chosen.secret_file or "signaling.auth.keys")
        raise UsageError(f"{where}: {reason}") from error
    assert isinstance(material, bytes)
    return MintingKey(chosen.kid, material)


def _check_identifier(option: str, text: str) -> None:
    if not is_identifier(text):
        problem = t("{option} {text} can't be used; write 1 to 64 of A-Z a-z 0-9 _ . -")
        raise UsageError(problem.format(option=option, text=repr(text)))


def _page(text: str) -> str:
    """The URL of a server, without a slash at its end.

    Raises:
        UsageError: it is none.
    """
    problem = t("--page {text} is not the URL of a server; write https://host[:port]")
    wrong = UsageError(problem.format(text=repr(text)))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise wrong from error
    good_host = is_host_name(host) or is_ip_address(host)
    if parts.scheme not in {"http", "https"} or not good_host or port == 0:
        raise wrong
    if parts.query or parts.fragment or parts.username is not None or not text.isprintable():
        raise wrong
    if any(c in text for c in ' "<>\\^`{|}?#'):
        raise wrong
    return text.rstrip("/")


def cert(arguments: argparse.Namespace) -> int:
    """``witness cert``."""
    from witness.certificates import create_certificate

    fingerprint = create_certificate(
        arguments.host, arguments.days, arguments.cert_path, arguments.key_path
    )
    _print(t("certificate: {path}").format(path=arguments.cert_path))
    _print(t("key:         {path}").format(path=arguments.key_path))
    _print(t("SHA-256:     {fingerprint}").format(fingerprint=fingerprint))
    _print(
        t("Use them: WITNESS_SERVER__TLS_CERT={cert} WITNESS_SERVER__TLS_KEY={key}").format(
            cert=arguments.cert_path.resolve(), key=arguments.key_path.resolve()
        )
    )
    return 0


def config_check(arguments: argparse.Namespace) -> int:
    """``witness config check``."""
    reading = _checked(arguments.file or arguments.config)
    wrong = any(problem.severity is Severity.ERROR for problem in reading.problems)
    if arguments.json:
        found = [problem.as_json() for problem in reading.problems]
        _print(json.dumps({"ok": not wrong, "problems": found}, ensure_ascii=False, indent=2))
        return ConfigError.exit_code if wrong else 0
    if wrong:
        raise ConfigError(reading.problems)
    for problem in reading.problems:
        sys.stderr.write(f"witness: {problem}\n")
    _print(t("the configuration is good"))
    return 0


def config_show(arguments: argparse.Namespace) -> int:
    """``witness config show``."""
    sys.stdout.write(effective_yaml(_settings(arguments.config)))
    return 0


def config_reference(arguments: argparse.Namespace) -> int:
    """``witness config reference``."""
    del arguments
    sys.stdout.write(reference_yaml())
    return 0


def schema(arguments: argparse.Namespace) -> int:
    """``witness schema``."""
    del arguments
    from signaling.schema import schema_text

    sys.stdout.write(schema_text())
    return 0


def health(arguments: argparse.Namespace) -> int:
    """``witness health``: 0 if ``/livez`` answers, for a container's health check."""
    from witness.health import is_alive

    alive = is_alive(_settings(arguments.config).server)
    _print(t("alive") if alive else t("no answer"))
    return 0 if alive else 1


def show_version(arguments: argparse.Namespace) -> int:
    """``witness version``."""
    del arguments
    _print(f"witness {version()}")
    return 0


def parse_ttl(text: str) -> int:
    """``90s``, ``30m``, ``1h``, ``2d`` or plain seconds.

    Raises:
        UsageError: anything else.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd]?)", text)
    if match is None:
        raise UsageError(t("--ttl {text} is not a time; write 90s, 30m or 1h").format(text=text))
    return int(match[1]) * _UNITS_S[match[2]]


def _settings(given: Path | None) -> Settings:
    """From the file named by the option or by ``WITNESS_CONFIG``, and the environment."""
    return load_settings(_config_path(given), os.environ)


def _checked(given: Path | None) -> Reading:
    """The same, with everything the server would stumble on."""
    from witness.preflight import examine

    reading = read_settings(_config_path(given), os.environ)
    if reading.settings is not None:
        for finding in examine(reading.settings):
            reading.add(finding.path, finding.text, finding.severity, fatal=finding.fatal)
    return reading


def _config_path(given: Path | None) -> Path | None:
    from_environment = os.environ.get("WITNESS_CONFIG")
    return given or (Path(from_environment) if from_environment else None)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
