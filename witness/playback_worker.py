"""Work on a recording in a process of its own: ``python -m witness.playback_worker``.

Reads one JSON object from standard input, says how far it is in lines of JSON on standard output,
and ends with ``{"done": …}`` or ``{"error": …}``.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["main"]

_NICE: Final = 10
_BLOCK: Final = 1 << 20
_STEPS: Final = {"survey": (0.0, 0.1), "film": (0.1, 1.0)}


def _say(**told: object) -> None:
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def make_film(task: Mapping[str, Any]) -> dict[str, Any]:
    """Composes a film and puts it where it is served from."""
    from recorder.compose.film import FilmOptions
    from recorder.compose.session import compose_session
    from recorder.envelope import MasterKeys
    from recorder.playback.opening import open_recording

    place, film = Path(task["session"]), Path(task["film"])
    out = film.with_suffix(".making")
    last = -1

    def progress(step: str, share: float) -> None:
        nonlocal last
        start, end = _STEPS[step]
        percent = int((start + (end - start) * share) * 100)
        if percent != last:
            last = percent
            _say(share=percent / 100)

    language = task["language"]
    composed = compose_session(
        open_recording(place, language, MasterKeys.from_json(task["keys"])),
        out,
        FilmOptions(language=language),
        tracks=False,
        progress=progress,
    )
    composed.film.file.replace(film)
    out.rmdir()
    about = {"seconds": round(composed.film.seconds, 3), "uploads": task["uploads"]}
    film.with_suffix(".json").write_text(json.dumps(about))
    return about


def verify_package(task: Mapping[str, Any]) -> dict[str, Any]:
    """Checks a package as anybody would, and takes its digest."""
    from witness_verify import verify
    from witness_verify.__main__ import certificates

    package = Path(task["package"])
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
    told = {
        "exit": result.exit_code,
        "code": result.code or None,
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
    from recorder.errors import RecorderError
    from witness_verify.failure import Failure

    os.nice(_NICE)
    task = json.loads(sys.stdin.read())
    work = {"film": make_film, "verification": verify_package}[task["work"]]
    try:
        done = work(task)
    except (RecorderError, Failure, OSError, ValueError) as error:
        # PyAV's errors are of the last two kinds.
        _say(error=f"{type(error).__name__}: {error}")
        return 1
    _say(done=done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
