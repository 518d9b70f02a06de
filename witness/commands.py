"""What each command of ``witness`` does.

Heavy parts are imported by the command that needs them.
"""

import argparse
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

from witness import version
from witness.config import Settings
from witness.config_load import load_settings
from witness.config_reference import effective_yaml, reference_yaml
from witness.errors import UsageError
from witness.i18n import t

__all__ = [
    "Command",
    "cert",
    "config_check",
    "config_reference",
    "config_show",
    "demo",
    "health",
    "parse_ttl",
    "schema",
    "serve",
    "show_version",
    "token",
]

Command = Callable[[argparse.Namespace], int]

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def serve(arguments: argparse.Namespace) -> int:
    """``witness serve``."""
    from witness.serve import run

    return run(_settings(arguments.config))


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
        )
    )


def token(arguments: argparse.Namespace) -> int:
    """``witness token``."""
    from sfu import Role
    from signaling.auth import MintingKey, load_keys, mint_token
    from signaling.config import Algorithm
    from signaling.errors import KeyMaterialError

    settings = _settings(arguments.config)
    try:
        keys = load_keys(settings.signaling.auth)
    except KeyMaterialError as error:
        raise UsageError(str(error)) from error
    for key in keys:
        wanted = arguments.kid is None or key.kid == arguments.kid
        if wanted and key.algorithm is Algorithm.HS256 and isinstance(key.key, bytes):
            minting = MintingKey(key.kid, key.key)
            break
    else:
        raise UsageError(t("the configuration has no such HS256 key (signaling.auth.keys)"))
    ttl_s = parse_ttl(arguments.ttl)
    if ttl_s > settings.signaling.auth.max_ttl_s:
        raise UsageError(t("--ttl is longer than signaling.auth.max_ttl_s allows"))
    try:
        signed = mint_token(
            minting,
            room=arguments.room,
            participant_id=arguments.participant_id or f"{arguments.role}-{secrets.token_hex(4)}",
            role=Role(arguments.role),
            now_unix_s=time.time(),
            ttl_s=ttl_s,
            name=arguments.name,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    # In the fragment, which browsers send to nobody.
    _print(f"{arguments.page.rstrip('/')}/#token={signed}" if arguments.page else signed)
    return 0


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
    _settings(arguments.file)
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
    from_environment = os.environ.get("WITNESS_CONFIG")
    path = given or (Path(from_environment) if from_environment else None)
    return load_settings(path, os.environ)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
