"""Archives one session in a process of its own: ``python -m witness.archive_worker``.

Reads one JSON object from standard input (it holds a secret, so it comes by a pipe), says how far
it is in lines of JSON on standard output, and ends with ``{"done": …}`` or ``{"error": …}``.
Killed at any moment it leaves the originals or a compared copy; the next one goes on from there.
"""

import json
import os
import sys
from typing import Any, Final

__all__ = ["main", "run"]

_NICE: Final = 10


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Archives the session of a task; what the server wants to know of it.

    Raises:
        ArchiveError, RecorderError, WitnessError, OSError: it could not.
    """
    from witness.archiving import Archiving

    archiving = Archiving.from_json(task["archiving"])
    deposit = archiving.deposit(archiving.open(), task["session"], who="system")
    return {"bytes": deposit.bytes, "originals": deposit.originals}


def main() -> int:
    """One task, from standard input to standard output."""
    from archive.errors import ArchiveError
    from recorder.errors import RecorderError
    from witness.errors import WitnessError

    os.nice(_NICE)
    task = json.loads(sys.stdin.buffer.read())
    try:
        told = {"done": run(task)}
    except (ArchiveError, RecorderError, WitnessError, OSError) as error:
        told = {"error": {"kind": type(error).__name__, "reason": str(error)}}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
