"""What ``witness capture`` does."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from witness.bar import Bar
from witness.errors import EvidenceError, UsageError
from witness.i18n import t
from witness.recorded import find_session, said, settings_of
from witness.table import render

__all__ = ["decrypt", "info"]

if TYPE_CHECKING:
    from recorder.config import RecordingConfig


def decrypt(arguments: argparse.Namespace) -> int:
    """``witness capture decrypt``."""
    from recorder.decrypt import decrypt as decrypt_file
    from recorder.envelope import SUFFIX
    from recorder.key_source import keys_given

    recording = settings_of(arguments.config).recording
    sources, place = _files(arguments.what, recording)
    sources = [path for path in sources if path.suffix == SUFFIX]
    if not sources:
        raise EvidenceError(t("{name} is not encrypted").format(name=arguments.what))
    targets = _targets(sources, place, arguments.out)
    bar = None if arguments.json or not sys.stderr.isatty() else Bar(t("decrypting"))
    done = []
    with said():
        keys = keys_given(recording, arguments.key or (), os.environ)
        if keys is None:
            raise UsageError(t("give the key: --key, or recording.key in the configuration"))
        total, read = sum(path.stat().st_size for path in sources), 0

        def progress(count: int) -> None:
            nonlocal read
            read += count
            if bar is not None:
                bar(min(read, total), total)

        for source, target in zip(sources, targets, strict=True):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            done.append(decrypt_file(source, target, keys, progress))
    if bar is not None:
        bar(total, total)
    for item in done:
        if item.is_cut:
            text = t("{path} has no last frame: a crash, or somebody, cut it short")
            sys.stderr.write("witness: " + text.format(path=item.source) + "\n")
    if arguments.json:
        listed = {"files": [item.to_json() for item in done]}
        sys.stdout.write(json.dumps(listed, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{item.file}\n" for item in done)
    return 0


def info(arguments: argparse.Namespace) -> int:
    """``witness capture info``."""
    from recorder.decrypt import describe

    files, _ = _files(arguments.what, settings_of(arguments.config).recording)
    with said():
        found = [describe(path) for path in files]
    if arguments.json:
        listed = {"files": [item.to_json() for item in found]}
        sys.stdout.write(json.dumps(listed, ensure_ascii=False, indent=2) + "\n")
        return 0
    rows = [[t("file"), t("bytes"), t("key"), t("belongs to")]]
    for item in found:
        place = item.place or ""
        rows.append(
            [
                str(item.file),
                str(item.bytes),
                item.key_id or t("not encrypted"),
                f"{place} (!)" if item.is_elsewhere else place,
            ]
        )
    sys.stdout.write(render(rows, left={0, 2, 3}) + "\n")
    return 0


def _files(what: str, recording: "RecordingConfig") -> tuple[list[Path], Path | None]:
    """The files that are meant, and the session's directory if all of it is."""
    from recorder.decrypt import capture_files

    path = Path(what)
    if path.is_file():
        return [path], None
    place = find_session(what, recording.directory)
    return capture_files(place), place


def _targets(sources: list[Path], place: Path | None, out: Path | None) -> list[Path]:
    if place is None:
        (source,) = sources
        return [out or Path(source.name.removesuffix(".enc"))]
    base = out or Path(f"{place.name}-plain")
    inside = [source.relative_to(place / "tracks") for source in sources]
    return [base / name.with_name(name.name.removesuffix(".enc")) for name in inside]
