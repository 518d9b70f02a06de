"""Work on a recording in a process of its own: ``python -m witness.playback_worker``.

Reads one JSON object from standard input, says how far it is in lines of JSON on standard output,
and ends with ``{"done": …}`` or ``{"error": …}``.
"""

import hashlib
import json
import os
import resource
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from witness.playback_films import MAKING, film_place, sealed_film

if TYPE_CHECKING:
    from recorder.envelope import MasterKeys

__all__ = ["main"]

_NICE: Final = 10
_BLOCK: Final = 1 << 20
_MEMORY: Final = 8 << 30
"""Bytes of address space: beyond them the work fails, not the machine."""

_FETCHED: Final = 0.3
"""Share of the work that fetching a package is told to be; what follows begins anew."""

_STEPS: Final = {"survey": (0.0, 0.1), "film": (0.1, 1.0)}


def _say(**told: object) -> None:
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def make_film(task: Mapping[str, Any]) -> dict[str, Any]:
    """Composes a film and puts it where it is served from, encrypted where there is a key."""
    from recorder.compose.film import FilmOptions
    from recorder.compose.session import compose_session
    from recorder.envelope import MasterKeys
    from recorder.playback.opening import open_recording

    place, film = Path(task["session"]), Path(task["film"])
    if task.get("archived"):
        unpack_media(task["archived"], place)
    out = film.with_suffix(MAKING)
    shutil.rmtree(out, ignore_errors=True)
    keys = MasterKeys.from_json(task["keys"])
    last = -1

    def progress(step: str, share: float) -> None:
        nonlocal last
        start, end = _STEPS[step]
        percent = int((start + (end - start) * share) * 100)
        if percent != last:
            last = percent
            _say(share=percent / 100)

    language = task["language"]
    try:
        composed = compose_session(
            open_recording(place, language, keys),
            out,
            FilmOptions(language=language),
            tracks=False,
            progress=progress,
        )
        if keys is None:
            composed.film.file.replace(film)
        else:
            seal_film(composed.film.file, film, keys)
    finally:
        shutil.rmtree(out, ignore_errors=True)
        if task.get("archived"):
            remove_media(place)
    about = {
        "seconds": round(composed.film.seconds, 3),
        "uploads": task["uploads"],
        "damaged": len(composed.damage),
    }
    film.with_suffix(".json").write_text(json.dumps(about))
    return about


def fetch(archived: Mapping[str, Any]) -> Path:
    """Has the package of a session here that is in the archive alone."""
    from witness.playback_archive import fetched

    last = -1

    def progress(done: int, total: int) -> None:
        nonlocal last
        percent = 0 if not total else int(done / total * _FETCHED * 100)
        if percent != last:
            last = percent
            _say(share=percent / 100)

    return fetched(archived, progress)


def unpack_media(archived: Mapping[str, Any], place: Path) -> None:
    """Makes the whole session again of its package, as long as its film is made."""
    from witness.unpacking import unpack

    with fetch(archived).open("rb") as file:
        unpack(file, place, archived["id"], media=True)


def remove_media(place: Path) -> None:
    """What only the film needed."""
    for path in place.glob("tracks/**/*"):
        if path.is_file() and path.name != "track.json":
            path.unlink(missing_ok=True)


def seal_film(made: Path, film: Path, keys: "MasterKeys") -> None:
    """Encrypts a film under the key of new recordings; no plain one stays in its place."""
    from recorder.envelope import seal_stream

    new = made.with_suffix(".sealing")
    with made.open("rb") as content, new.open("wb") as sealed:
        seal_stream(content, sealed, keys.current, film_place(film))
    new.replace(sealed_film(film))
    film.unlink(missing_ok=True)


def verify_package(task: Mapping[str, Any]) -> dict[str, Any]:
    """Checks a package as anybody would, and takes its digest."""
    from witness.sealing import judged
    from witness_verify import verify
    from witness_verify.__main__ import certificates

    package = fetch(task["archived"]) if task.get("archived") else Path(task["package"])
    trusted = [one for name in task["trust"] for one in certificates(Path(name))]
    with package.open("rb") as file:
        known = os.fstat(file.fileno())
        steps = 0

        def tell(_: object) -> None:
            nonlocal steps
            steps += 1
            _say(share=min(0.9, steps / 14))

        result = verify(file, trusted, None, tell)
        file.seek(0)
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
    verdict = judged(result)
    is_unknown = any(step.code == "timestamp_unknown" for step in result.steps)
    told = {
        "exit": verdict.exit_code,
        "code": verdict.code or None,
        "timestamp": "unknown" if is_unknown else "known",
        "package": result.package or None,
        "session": result.session or None,
        "steps": [
            {"step": s.name, "outcome": s.outcome, "code": s.code or None, "detail": s.detail}
            for s in result.steps
        ],
        "sha256": digest.hexdigest(),
        "bytes": known.st_size,
        "mtime_ns": str(known.st_mtime_ns),
    }
    Path(task["result"]).write_text(json.dumps(told, ensure_ascii=False))
    return told


def main() -> int:
    """Does what standard input says."""
    from archive.errors import ArchiveError
    from recorder.errors import RecorderError
    from witness.errors import WitnessError
    from witness_verify.failure import Failure

    os.nice(_NICE)
    limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = _MEMORY if limit == resource.RLIM_INFINITY else min(_MEMORY, limit)
    resource.setrlimit(resource.RLIMIT_AS, (most, limit))
    task = json.loads(sys.stdin.read())
    work = {"film": make_film, "verification": verify_package}[task["work"]]
    try:
        done = work(task)
    except (
        RecorderError, ArchiveError, WitnessError, Failure, OSError, ValueError, MemoryError,
    ) as error:  # fmt: skip
        # PyAV's errors are of the last two kinds.
        _say(error=f"{type(error).__name__}: {error}")
        return 1
    _say(done=done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
