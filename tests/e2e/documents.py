"""Commands as the documents have them, run by the shell they are written for."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ROOT", "Shell", "shell_blocks"]

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_KEPT = ("TOKEN", "SESSION")


def shell_blocks(document: str) -> list[str]:
    """What stands in the ``sh`` blocks of a document, in their order."""
    return _BLOCK.findall((ROOT / document).read_text())


@dataclass
class Shell:
    """Runs blocks one after the other in a folder; the variables of one are there in the next.

    Args:
        folder: where they run.
        filled_in: what a document says, and what it means here.
        variables: of the environment.
    """

    folder: Path
    filled_in: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    async def run(self, block: str) -> str:
        """Returns what a block said.

        Raises:
            AssertionError: it failed.
        """
        async with self.running(block) as process:
            said, errors = await process.communicate()
            assert process.returncode == 0, (said + errors).decode(errors="replace")[-3000:]
            return said.decode()

    @contextlib.asynccontextmanager
    async def running(self, block: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Lets a block run; what still does at the end is interrupted as by Ctrl+C."""
        for written, meant in self.filled_in.items():
            block = block.replace(written, meant)
        keep = f"declare -p {' '.join(_KEPT)} > .variables 2> /dev/null || true"
        script = f"set -eu -o pipefail\n[ ! -e .variables ] || . ./.variables\n{block}\n{keep}\n"
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script),
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                **self.variables,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            # Asked twice: a machine that is busy with other tests may take its time.
            for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.communicate(), 10)
                    break
