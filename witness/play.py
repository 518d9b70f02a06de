"""``witness play``: the playback page alone, for whoever sits at this machine."""

import asyncio
import os
import signal
import sys
import time
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from recorder.config import EvidenceConfig, RecordingConfig
from signaling.auth import MintingKey, TokenVerifier
from signaling.clock import system_clock
from signaling.pages import Pages
from signaling.problem import problem_middleware
from signaling.recordings import RecordingsEndpoint
from signaling.server import add_headers
from signaling.staff import StaffRole, mint_staff_token
from witness import os_errors
from witness.assets import web_dir
from witness.demo_archive import demo_of
from witness.errors import StartError
from witness.i18n import t
from witness.playback import PlaybackLibrary
from witness.recorded import find_session, settings_of
from witness.recording import load_key
from witness.runner import run_until_complete

__all__ = ["PlayOptions", "Player", "has_desktop", "run"]

_TTL_S: Final = 12 * 3_600.0


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """Command line of ``witness play``."""

    session: str
    config: Path | None = None
    port: int = 0
    browser: bool = True


class Player:
    """The page and what it asks, for one recording, with a token of this machine.

    Attributes:
        session: id of the recording.
        token: good on this machine only.
    """

    def __init__(self, place: Path, recording: RecordingConfig, evidence: EvidenceConfig) -> None:
        self.session = place.name
        key = MintingKey.demo()
        now_s = time.time()
        self.token = mint_staff_token(
            key, role=StaffRole.REVIEWER, now_unix_s=now_s, ttl_s=_TTL_S, subject="local"
        )
        recording = recording.model_copy(update={"directory": place.parent})
        self._library = PlaybackLibrary(recording, evidence, system_clock, load_key(recording))
        verifier = TokenVerifier([key.verification()], max_ttl_s=_TTL_S, clock_skew_s=0)
        self.app = web.Application(middlewares=[problem_middleware])
        self.app.on_response_prepare.append(add_headers)
        endpoint = RecordingsEndpoint(self._library, verifier, system_clock, secure=False)
        self.app.add_routes(endpoint.routes())
        pages = Pages(web_dir())
        for path in pages.paths:
            self.app.router.add_get(path, pages.serve)
        self.app.on_cleanup.append(self._close)

    def link(self, port: int) -> str:
        """Where a browser on this machine finds it; the token is in the part nobody is sent."""
        return f"http://127.0.0.1:{port}/playback?session={self.session}#token={self.token}"

    async def _close(self, _: web.Application) -> None:
        await self._library.close()


def run(options: PlayOptions) -> int:
    """Serves the page until Ctrl+C.

    Raises:
        EvidenceError: there is no such session.
        StartError: the port can't be used.
    """
    settings = settings_of(options.config)
    place = find_session(options.session, settings.recording.directory)
    demo = demo_of(place)
    recording = settings.recording if demo is None else demo.recording
    evidence = settings.evidence if demo is None else demo.evidence
    return run_until_complete(_serve(Player(place, recording, evidence), options))


def has_desktop(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser can be opened for somebody to see."""
    is_known = platform in {"darwin", "win32"}
    return is_known or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


async def _serve(player: Player, options: PlayOptions) -> int:
    runner = web.AppRunner(player.app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", options.port)
        try:
            await site.start()
        except OSError as error:
            raise StartError(
                t("can't listen on {address}: {reason}").format(
                    address=f"127.0.0.1:{options.port}", reason=os_errors.reason(error)
                )
            ) from error
        port = runner.addresses[0][1]
        link = player.link(port)
        sys.stdout.write(t("watch it: {url}").format(url=link) + "\n")
        sys.stdout.write(t("Ctrl+C ends it") + "\n")
        sys.stdout.flush()
        if options.browser and has_desktop(os.environ):
            webbrowser.open(link)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await stop.wait()
    finally:
        await runner.cleanup()
    return 0
