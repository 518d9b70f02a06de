"""``witness serve`` in a process of its own, for people in browsers."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Server"]

START_TIMEOUT_S = 60.0


@dataclass
class Server:
    """``witness serve`` in a process of its own, on a free port of the loopback interface."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    _folder: Path

    @classmethod
    def start(
        cls, *, settings: Mapping[str, str] | None = None, command: Sequence[str] = ()
    ) -> Self:
        """Starts a server with the demo key on.

        Args:
            settings: more settings, as environment variables (``WITNESS_…``).
            command: what to run it with, such as ``ip netns exec NAME``.

        Raises:
            RuntimeError: it ended or said nothing within a minute; the text ends with its log.
        """
        folder = Path(tempfile.mkdtemp(prefix="witness-browser-"))
        log = folder / "server.log"
        environment = {
            **os.environ,
            "WITNESS_SERVER__PORT": "0",
            "WITNESS_MEDIA__LISTEN": '["127.0.0.1"]',
            "WITNESS_SIGNALING__AUTH__DEMO_KEY": "true",
            **(settings or {}),
        }
        arguments = [*command, sys.executable, "-m", "witness", "serve"]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - this very program
                arguments,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=Path(__file__).parents[2],
            )
        url = _announced_url(process)
        if url is None:
            process.kill()
            process.wait()
            raise RuntimeError(f"witness serve didn't start:\n{log.read_text()[-2000:]}")
        return cls(url, process, log, folder)

    def pause(self) -> None:
        """Stops the process in its tracks: neither signaling nor media pass."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused process go on."""
        self.process.send_signal(signal.SIGCONT)

    def drain(self) -> None:
        """Asks it to shut down gracefully."""
        self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Ends the process and deletes its files."""
        if self.process.poll() is None:
            self.resume()
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _announced_url(process: subprocess.Popen[bytes]) -> str | None:
    assert process.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT_S
    said = b""
    while time.monotonic() < deadline and process.poll() is None:
        readable, _, _ = select.select([process.stdout], [], [], 0.2)
        if not readable:
            continue
        said += os.read(process.stdout.fileno(), 4096)
        found = re.search(rb"https?://[^\s]+", said)
        if found:
            return found.group().decode().rstrip("/")
    return None
