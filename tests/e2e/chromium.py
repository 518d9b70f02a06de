"""A real Chromium with the call page in it, for tests over sockets.

Several participants share one browser, each in a window of its own. Camera and microphone are
files: moving pictures and speech of ``loadtest/media``.
"""

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.e2e.fake_devices import write_clip, write_speech

__all__ = ["Chromium", "Page", "Received", "Report", "until_page"]

Result = TypeVar("Result")

RECORDED = ("message", "participants", "tracks", "connection", "error", "closed")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--no-first-run",
    "--no-proxy-server",
    "--window-size=1000,700",
    # Nothing but addresses: a new window would wait for a name server that isn't there.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE 10.77.*",
)
_QUIT_S = 5.0

_WATCH_PEERS = Path(__file__).with_name("page_watch_peers.js")

_RECORD = """
const call = globalThis.witness?.call;
if (!call) return false;
if (globalThis.recorded?.call === call) return true;
globalThis.recorded = { call, events: [] };
for (const name of arguments[0]) {
  call.on(name, (data) => globalThis.recorded.events.push([name, JSON.parse(JSON.stringify(
    data instanceof Error ? { code: data.code, message: data.message } : data ?? null))]));
}
return true;
"""

_MEASURE = """
const call = globalThis.witness?.call;
if (!call?.peer) return null;
const entries = [...(await call.peer.getStats()).values()];
const tracks = call.participants.flatMap(({ participant_id }) => call.tracksOf(participant_id))
  .map((track) => ({ ...track, identifier: call.mediaTrack(track.track_id)?.id ?? null }));
return { entries, tracks, state: call.connection.state, selfId: call.selfId };
"""


@dataclass(frozen=True, slots=True)
class Received:
    """One received track at one moment: who sends it, and the browser's figures."""

    track: Mapping[str, Any]
    stats: Mapping[str, Any]
    mime_type: str

    @property
    def kind(self) -> str:
        """``audio`` or ``video``."""
        return str(self.track["kind"])


@dataclass(frozen=True, slots=True)
class Report:
    """What a page measured at one moment."""

    entries: Mapping[str, Mapping[str, Any]]
    tracks: Sequence[Mapping[str, Any]]
    state: str
    self_id: str

    def received(self, kind: str | None = None, owner: str | None = None) -> list[Received]:
        """Tracks that are being received, of one kind or participant if given."""
        inbound = {
            entry.get("trackIdentifier"): entry
            for entry in self.entries.values()
            if entry["type"] == "inbound-rtp"
        }
        return [
            Received(track, stats, self._mime_type(stats))
            for track in self.tracks
            if (stats := inbound.get(track["identifier"])) is not None
            and kind in {None, track["kind"]}
            and owner in {None, track["participant_id"]}
        ]

    def sent(self, kind: str) -> Mapping[str, Any]:
        """The outbound entry of one kind; empty before something was sent."""
        for entry in self.entries.values():
            if entry["type"] == "outbound-rtp" and entry["kind"] == kind:
                return entry
        return {}

    @property
    def transport(self) -> Mapping[str, Any]:
        """The one transport."""
        (found,) = (entry for entry in self.entries.values() if entry["type"] == "transport")
        return found

    def frames(self, owner: str | None = None) -> int:
        """Pictures decoded so far."""
        return sum(int(item.stats["framesDecoded"]) for item in self.received("video", owner))

    def energy(self, owner: str | None = None) -> float:
        """Sound energy so far (squared full scale times seconds)."""
        items = self.received("audio", owner)
        return float(sum(item.stats.get("totalAudioEnergy", 0) for item in items))

    def _mime_type(self, stats: Mapping[str, Any]) -> str:
        return str(self.entries.get(str(stats.get("codecId")), {}).get("mimeType", ""))


class Chromium:
    """One browser process; quit it.

    Args:
        prepare: runs in the thread that starts and talks to the browser, before anything else.
            Sockets of the browser are made where that thread is.
        flags: more command line flags.
        write_picture: writes what the camera shows, as a y4m file.
    """

    def __init__(
        self,
        prepare: Callable[[], None] = lambda: None,
        flags: Sequence[str] = (),
        *,
        write_picture: Callable[[Path], None] = write_clip,
    ) -> None:
        self._worker = ThreadPoolExecutor(1, "chromium", initializer=prepare)
        self._folder = tempfile.TemporaryDirectory(prefix="witness-chromium-")
        self._pages: list[Page] = []
        folder = Path(self._folder.name)
        try:
            self._driver = self._worker.submit(self._start, folder, flags, write_picture).result()
        except BaseException:
            self._worker.shutdown()
            self._folder.cleanup()
            raise
        self._home = self._driver.current_window_handle

    def quit(self) -> None:
        """Ends the browser and everything it started."""
        try:
            self._worker.submit(self._driver.quit).result()
            _end_leftovers(self._folder.name)
        finally:
            self._worker.shutdown()
            self._folder.cleanup()

    async def open(self, address: str) -> "Page":
        """Opens a window of its own."""
        page = Page(self, await self.do(lambda driver: _new_window(driver, address)))
        self._pages.append(page)
        return page

    async def close_pages(self) -> None:
        """Closes all windows that were opened."""
        for page in self._pages:
            await page.close()
        self._pages.clear()

    async def go_home(self) -> None:
        """Turns to the window that is always open; the driver can't do without one."""
        await self.do(lambda driver: driver.switch_to.window(self._home))

    async def console(self) -> list[str]:
        """Errors and exceptions of all windows since the last time."""
        entries = await self.do(self._read_console)
        return [str(entry["message"]) for entry in entries if entry["level"] == "SEVERE"]

    async def do(self, action: Callable[[Chrome], Result]) -> Result:
        """Runs ``action`` in the browser's thread, one after the other."""
        return await asyncio.wrap_future(self._worker.submit(action, self._driver))

    @staticmethod
    def _read_console(driver: Chrome) -> list[dict[str, Any]]:
        # The driver keeps one log for all windows.
        entries: list[dict[str, Any]] = driver.get_log("browser")  # type: ignore[no-untyped-call]
        return entries

    @staticmethod
    def _start(folder: Path, flags: Sequence[str], write_picture: Callable[[Path], None]) -> Chrome:
        picture, sound = folder / "camera.y4m", folder / "microphone.wav"
        write_picture(picture)
        write_speech(sound)
        options = ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (
            *_FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            f"--use-file-for-fake-video-capture={picture}",
            f"--use-file-for-fake-audio-capture={sound}",
            *flags,
        ):
            options.add_argument(flag)
        driver = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        driver.set_script_timeout(10)
        return driver


class Page:
    """One window with the call page."""

    def __init__(self, chromium: Chromium, handle: str) -> None:
        self._chromium = chromium
        self._handle = handle
        self._closed = False

    async def run(self, script: str, *values: object) -> Any:
        """Runs the body of an async function in the page and returns what it returns."""
        body = f"return (async function () {{ {script} }}).apply(null, arguments);"
        return await self._do(lambda driver: driver.execute_script(body, *values))

    async def join(self) -> None:
        """Waits for the lobby, joins with its button and begins to record the call's events."""
        ready = "return document.querySelector('.preview-video')?.videoWidth > 0 ||"
        ready += " document.querySelector('.lobby-narrow') !== null"
        try:
            await until_page(lambda: self.run(ready), "lobby")
        except AssertionError as error:
            shown = await self.run("return document.body.innerText;")
            raise AssertionError(f"{error}: {shown!r}, {await self._chromium.console()}") from None
        await self._do(
            lambda driver: driver.find_element("css selector", "button[type=submit]").click()
        )
        await self.record()

    async def record(self) -> None:
        """Waits for the call and records its events from now on."""
        await until_page(lambda: self.run(_RECORD, list(RECORDED)), "call")

    async def events(self, name: str) -> list[Any]:
        """Data of the recorded events of this name."""
        found = await self.run("return globalThis.recorded?.events ?? [];")
        return [data for kind, data in found if kind == name]

    async def measure(self) -> Report:
        """What the browser says of the call now; empty before there is a connection."""
        found = await self.run(_MEASURE)
        if found is None:
            return Report({}, [], "none", "")
        entries = {entry["id"]: entry for entry in found["entries"]}
        return Report(entries, found["tracks"], found["state"], found["selfId"])

    async def first_pictures(self) -> list[float]:
        """Seconds from the connection to the first decoded picture, of every video line."""
        (peer,) = await self.run("return globalThis.peerTimes;")
        if peer["connected"] is None:
            return []
        return [(at - peer["connected"]) / 1000 for at in peer["pictures"].values()]

    async def reload(self) -> None:
        """Reloads the page and waits until it is back in the call."""
        await self._do(lambda driver: driver.refresh())
        await self.record()

    async def close(self) -> None:
        """Closes the window. Idempotent."""
        if not self._closed:
            self._closed = True
            await self._do(lambda driver: driver.close())
            await self._chromium.go_home()

    async def _do(self, action: Callable[[Chrome], Result]) -> Result:
        def there(driver: Chrome) -> Result:
            driver.switch_to.window(self._handle)
            return action(driver)

        return await self._chromium.do(there)


async def until_page(
    condition: Callable[[], Any], what: str, within_s: float = 15.0, every_s: float = 0.1
) -> float:
    """Waits for an awaited condition and returns the seconds it took.

    Raises:
        AssertionError: it did not come true in time.
    """
    started = time.monotonic()
    while not await condition():
        assert time.monotonic() - started < within_s, f"no {what} within {within_s} s"
        await asyncio.sleep(every_s)
    return time.monotonic() - started


def _new_window(driver: Chrome, address: str) -> str:
    driver.switch_to.new_window("window")
    driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH_PEERS.read_text("utf-8")}
    )
    driver.get(address)
    return str(driver.current_window_handle)


def _end_leftovers(marker: str) -> None:
    """Processes of this browser that outlive it are waited for, then ended by their id."""
    end = time.monotonic() + _QUIT_S
    while left := _processes_with(marker):
        if time.monotonic() > end:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return
        time.sleep(0.05)


def _processes_with(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
