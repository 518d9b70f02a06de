"""``witness serve``: runs until told to stop, and then lets calls end by themselves."""

import asyncio
import logging
import signal
import sys

from witness.config import Settings
from witness.engines import prefer_engines
from witness.i18n import t
from witness.logs import configure_logging
from witness.runner import freeze_heap, run_until_complete
from witness.server import WitnessServer

__all__ = ["announcement", "run"]

_LOG = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code.

    Raises:
        ConfigError: a file the settings name can't be used.
        StartError: the machine can't do what the settings ask.
    """
    configure_logging(settings.log)
    return run_until_complete(_serve(settings))


async def _serve(settings: Settings) -> int:
    server = WitnessServer(settings)
    stops = _Stops()
    await server.start()
    prefer_engines()
    freeze_heap()
    try:
        _announce(server)
        await stops.first.wait()
        _LOG.info("stop requested")
        server.drain(settings.server.drain_s)
        await _until_idle(server, stops, settings.server.drain_s)
    finally:
        await server.stop()
    return 0


async def _until_idle(server: WitnessServer, stops: "_Stops", drain_s: float) -> None:
    """Until the last participant left, the deadline, or a second signal."""
    idle = asyncio.create_task(server.wait_idle(drain_s))
    hurry = asyncio.create_task(stops.second.wait())
    _, pending = await asyncio.wait({idle, hurry}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


class _Stops:
    """The first and the second SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received)

    def _received(self) -> None:
        if self.first.is_set():
            self.second.set()
        self.first.set()


def _announce(server: WitnessServer) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in announcement(server)))
    sys.stdout.flush()


def announcement(server: WitnessServer) -> list[str]:
    """Where to go; and what keeps people out."""
    auth = server.settings.signaling.auth
    lines = [t("listening on {url}").format(url=server.url)]
    lines += [t("also at {url}").format(url=url) for url in server.lan_urls]
    if server.lan_urls and not server.settings.server.tls:
        lines.append(
            t(
                "browsers give camera and microphone to https pages only, except on this machine;"
                " `witness cert` makes a certificate"
            )
        )
    if server.metrics_url is not None:
        lines.append(t("metrics at {url}").format(url=server.metrics_url))
    if auth.demo_key:
        lines.append(t("the demo key is on: anybody on this machine may join"))
    elif not auth.keys:
        lines.append(t("nobody can join: signaling.auth.keys is empty"))
    return lines
