"""What ``witness seal``, ``verify``, ``keys`` and ``log`` do."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from witness import os_errors, version
from witness.bar import Bar
from witness.config_load import load_settings
from witness.errors import EvidenceError, UsageError
from witness.i18n import language, of_error, t

__all__ = ["keys_init", "log_head", "seal", "verify"]

if TYPE_CHECKING:
    from recorder.config import EvidenceConfig
    from recorder.seal import SealingOffice


def seal(arguments: argparse.Namespace) -> int:
    """``witness seal``: makes a package, then checks it as anybody would."""
    from recorder.seal import seal as make

    config = _config(arguments)
    place: Path = arguments.session
    out: Path = arguments.out or Path(f"{place.resolve().name}.zip")
    with _said():
        office = _office(config)
        progress = None if arguments.json or not sys.stderr.isatty() else Bar()
        sealed = make(place.resolve(), out, office, now_ns=time.time_ns(), progress=progress)
        code = _checked(out, config)
    told: dict[str, Any] = {
        "path": str(sealed.path),
        "package": sealed.package,
        "session": place.resolve().name,
        "bytes": sealed.bytes,
        "segments": sealed.segments,
        "missing_us": sealed.missing_us,
        "log_size": sealed.log_size,
        "manifest": sealed.manifest.to_json(),
        "verified": code == "",
    }
    if arguments.json:
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    else:
        text = t(
            "sealed: {path}, {bytes} bytes, {segments} files of media, entry {entry} of the log"
        )
        sys.stdout.write(
            text.format(
                path=out, bytes=sealed.bytes, segments=sealed.segments, entry=sealed.log_size
            )
            + "\n"
        )
    if code:
        raise EvidenceError(
            t("the package does not pass: {code}; see `witness verify {path}`").format(
                code=code, path=out
            )
        )
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """``witness verify``."""
    from witness_verify.__main__ import run

    lang = arguments.lang or language(os.environ)
    return run(
        arguments.package,
        arguments.trust,
        arguments.head,
        as_json=arguments.json,
        lang=int(lang != "zh"),
    )


def keys_init(arguments: argparse.Namespace) -> int:
    """``witness keys init``."""
    if not 1 <= arguments.days <= 36_500:
        raise UsageError(t("--days must be 1 to 36500"))
    if not re.fullmatch(r"[\w .-]{1,64}", arguments.name):
        raise UsageError(t("--name must be 1 to 64 letters, digits, spaces, . _ or -"))
    from recorder.keys import init_keys
    from recorder.timestamp import make_local_authority

    config = _config(arguments)
    directory = _given(config.keys_directory, "keys_directory")
    with _said():
        made = init_keys(directory, name=arguments.name, days=arguments.days)
        if arguments.local_tsa:
            made.append(make_local_authority(directory, arguments.days))
    for path in made:
        sys.stdout.write(f"{path}\n")
    return 0


def log_head(arguments: argparse.Namespace) -> int:
    """``witness log head``."""
    from recorder.canonical import canonical

    with _said():
        head = _office(_config(arguments)).log.head(arguments.from_size)
    sys.stdout.write(canonical(head).decode() + "\n")
    return 0


def _config(arguments: argparse.Namespace) -> "EvidenceConfig":
    given = arguments.config or os.environ.get("WITNESS_CONFIG") or None
    return load_settings(None if given is None else Path(given), os.environ).evidence


def _given(directory: Path | None, key: str) -> Path:
    if directory is None:
        text = t("evidence.{key} is not set: give it in the configuration or as {variable}")
        variable = f"WITNESS_EVIDENCE__{key.upper()}"
        raise EvidenceError(text.format(key=key, variable=variable))
    return directory


def _office(config: "EvidenceConfig") -> "SealingOffice":
    from recorder.keys import KeyRing
    from recorder.seal import SealingOffice
    from recorder.timestamp import HttpAuthority, LocalAuthority, TimestampAuthority
    from recorder.transparency import TransparencyLog

    directory = _given(config.keys_directory, "keys_directory")
    keys = KeyRing.load(directory)
    authority: TimestampAuthority | None = None
    if config.tsa_url is not None:
        authority = HttpAuthority(config.tsa_url, config.tsa_timeout_s)
    elif config.tsa_local:
        authority = LocalAuthority(directory)
    log = TransparencyLog(_given(config.log_directory, "log_directory"), keys)
    return SealingOffice(keys, log, authority, f"witness/{version()}")


def _checked(path: Path, config: "EvidenceConfig") -> str:
    """The verifier's code; empty if all is well. Who stands behind a stamp isn't known here."""
    from witness_verify import verify as check
    from witness_verify.__main__ import certificates

    directory = _given(config.keys_directory, "keys_directory")
    names = ["seal-ed25519.crt", "seal-sm2.crt", *(["tsa.crt"] if config.tsa_local else [])]
    trusted = [one for name in names for one in certificates(directory / name)]
    with path.open("rb") as file:
        result = check(file, trusted)
    codes = [step.code for step in result.steps if step.code and step.code != "timestamp_unknown"]
    return codes[0] if codes else ""


@contextmanager
def _said() -> Iterator[None]:
    """Errors of the recorder and of the system, as one sentence."""
    from recorder.errors import RecorderError

    try:
        yield
    except RecorderError as error:
        raise EvidenceError(of_error(error)) from error
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        raise EvidenceError(f"{where}{os_errors.reason(error)}") from error
