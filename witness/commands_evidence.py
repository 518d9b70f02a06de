"""What ``witness seal``, ``verify``, ``keys`` and ``log`` do."""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from witness.bar import Bar
from witness.errors import EvidenceError, UsageError
from witness.i18n import language, t
from witness.recorded import find_session, said, settings_of
from witness.seal_watch import watched_seal
from witness.sealing import given, office_of, seal_session

__all__ = ["keys_init", "log_head", "seal", "verify"]


def seal(arguments: argparse.Namespace) -> int:
    """``witness seal``: makes a package, then checks it as anybody would."""
    settings = settings_of(arguments.config)
    given(settings.evidence.keys_directory, "keys_directory")
    with said():
        place = find_session(arguments.session, settings.recording.directory)
        folder = settings.evidence.packages_directory or Path()
        out: Path = arguments.out or folder / f"{place.name}.zip"
        progress = None if arguments.json or not sys.stderr.isatty() else Bar()
    with watched_seal(place, settings.alerts, arguments.metrics) as figures:
        with said():
            sealed, verdict = seal_session(
                place, out, settings.evidence, unsettled=arguments.now, progress=progress
            )
        figures.bytes = sealed.bytes
    told: dict[str, Any] = {
        "path": str(sealed.path),
        "package": sealed.package,
        "session": place.name,
        "bytes": sealed.bytes,
        "segments": sealed.segments,
        "missing_us": sealed.missing_us,
        "log_size": sealed.log_size,
        "manifest": sealed.manifest.to_json(),
        "unsettled": sealed.unsettled,
        "verified": not verdict.code,
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
    if verdict.code:
        raise EvidenceError(
            t("the package does not pass: {code}; see `witness verify {path}`").format(
                code=verdict.code, path=out
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
        arguments.device_key,
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

    config = settings_of(arguments.config).evidence
    directory = given(config.keys_directory, "keys_directory")
    with said():
        made = init_keys(directory, name=arguments.name, days=arguments.days)
        if arguments.local_tsa:
            made.append(make_local_authority(directory, arguments.days))
    for path in made:
        sys.stdout.write(f"{path}\n")
    return 0


def log_head(arguments: argparse.Namespace) -> int:
    """``witness log head``."""
    from recorder.canonical import canonical

    with said():
        head = office_of(settings_of(arguments.config).evidence).log.head(arguments.from_size)
    sys.stdout.write(canonical(head).decode() + "\n")
    return 0
