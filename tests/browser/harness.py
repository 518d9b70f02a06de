"""Real Chromium on the real call page of a real server.

A scenario starts a :class:`Server`, opens :class:`Page` objects and looks at what they receive::

    with Server.start() as server, Page.open() as rm, Page.open() as customer:
        rm.join(server.url, room="r1", role="rm", name="李经理", codec="vp9")
        customer.join(server.url, room="r1", role="customer", name="王芳")
        assert customer.receives(kind="video", seconds=3).frames_decoded > 30
"""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

__all__ = ["CHROMIUM_FLAGS", "Page", "Received", "Server", "chromium_missing", "wait_until"]

CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-networking",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-gpu",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)
START_TIMEOUT_S = 30.0
JOIN_TIMEOUT_S = 20.0

# Lets a scenario break the page's WebSockets and hold new ones back, as a network would. Sound is
# captured as it is: two browsers that beep into each other have their beeps cancelled as echoes.
_HOOK = """
(() => {
  const Native = window.WebSocket;
  const sockets = new Set();
  let blocked = false;
  window.WebSocket = class extends Native {
    constructor(url, protocols) {
      super(blocked ? new URL("/blocked", url).href : url, protocols);
      sockets.add(this);
      this.addEventListener("close", () => sockets.delete(this));
    }
  };
  const capture = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
  if (capture) {
    navigator.mediaDevices.getUserMedia = (constraints) => {
      const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const audio = constraints.audio && { ...constraints.audio, ...raw };
      return capture({ ...constraints, audio });
    };
  }
  window.harness = {
    block(on) { blocked = on; },
    breakSockets() { for (const socket of sockets) socket.close(); return sockets.size; },
  };
})();
"""

# What a browser does that holds sound back until somebody has clicked. The real policy can't be
# tested through a driver, whose scripts count as a person's doing.
_HOLD_SOUND = """
(() => {
  const play = HTMLMediaElement.prototype.play;
  let touched = false;
  addEventListener("click", (event) => { touched ||= event.isTrusted && !!window.witness; }, true);
  HTMLMediaElement.prototype.play = function () {
    if (touched || this.muted) return play.call(this);
    this.autoplay = false;
    this.pause();
    return Promise.reject(new DOMException("held back", "NotAllowedError"));
  };
})();
"""

_STATS = """
const done = arguments[0];
const peer = window.witness?.call.peer;
if (!peer) { done([]); } else {
  peer.getStats().then((stats) => {
    const all = [];
    stats.forEach((entry) => all.push(entry));
    done(all);
  });
}
"""


def chromium_missing() -> str | None:
    """Why browser tests can't run here; None if they can."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


def wait_until(
    condition: Callable[[], object], *, timeout_s: float, what: str, every_s: float = 0.1
) -> None:
    """Polls until ``condition`` holds.

    Raises:
        TimeoutError: it didn't within ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s:.0f} s not: {what}")
        time.sleep(every_s)


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
            RuntimeError: it ended or said nothing within 30 s; the text ends with its log.
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
            process = subprocess.Popen(
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


@dataclass(frozen=True)
class Received:
    """What arrived at a page for one kind of media within a time."""

    seconds: float
    packets: int
    packets_lost: int
    frames_decoded: int
    audio_energy: float
    """As in webrtc-stats: sum over samples of (level² · duration); silence is below 1e-5."""
    concealed_samples: int
    total_samples: int
    freezes: int
    codecs: frozenset[str] = field(default_factory=frozenset)

    @property
    def frames_per_second(self) -> float:
        """Decoded video frames each second."""
        return self.frames_decoded / self.seconds


class Page:
    """One Chromium with one tab on the call page."""

    def __init__(self, driver: webdriver.Chrome, profile: str) -> None:
        self.driver = driver
        self._profile = profile

    @classmethod
    def open(
        cls,
        *,
        size: tuple[int, int] = (1280, 800),
        language: str = "en-US",
        phone: bool = False,
        flags: Sequence[str] = (),
        without_flags: Sequence[str] = (),
        hold_sound: bool = False,
        chromedriver: str | None = None,
    ) -> Self:
        """Starts a browser with a fresh profile.

        Args:
            size: of the page, in CSS pixels.
            language: what the browser prefers, such as ``zh-CN``.
            phone: emulate a touch screen with two device pixels per CSS pixel.
            flags: more command-line flags.
            without_flags: flags of `CHROMIUM_FLAGS` to leave out.
            hold_sound: refuse to play sound before a click in the call.
            chromedriver: another program in its place, such as one that enters a network namespace.
        """
        profile = tempfile.mkdtemp(prefix="witness-chromium-")
        options = Options()
        options.binary_location = shutil.which("chromium") or "chromium"
        for flag in (*(flag for flag in CHROMIUM_FLAGS if flag not in without_flags), *flags):
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={profile}")
        options.add_argument(f"--lang={language}")
        options.add_argument(f"--window-size={size[0]},{size[1]}")
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = Service(chromedriver or shutil.which("chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        driver.set_script_timeout(20)
        page = cls(driver, profile)
        page.set_size(size, phone=phone)
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _HOOK})
        if hold_sound:
            source = {"source": _HOLD_SOUND}
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
        return page

    def set_size(self, size: tuple[int, int], *, phone: bool = False) -> None:
        """Gives the page exactly this size."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 2 if phone else 1}
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**metrics, "mobile": phone}
        )
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})

    # --- using the page

    def visit(
        self,
        url: str,
        *,
        room: str = "test",
        role: str = "customer",
        name: str = "Test",
        codec: str | None = None,
        language: str = "en",
        token: str | None = None,
    ) -> None:
        """Opens the lobby and waits for its button."""
        query = {"room": room, "role": role, "name": name, "lang": language, "debug": "1"}
        if codec is not None:
            query["codec"] = codec
        fragment = f"#token={token}" if token else ""
        self.driver.get(f"{url}/?{urlencode(query)}{fragment}")
        self.wait_view("lobby")

    def join(self, url: str, **params: Any) -> None:
        """Goes through the lobby into the call and waits until media is connected.

        ``params`` are those of :meth:`visit`.
        """
        self.visit(url, **params)
        self.wait_camera()
        self.click("button[type=submit]")
        self.wait_view("call")
        self.wait_connection("connected")

    def wait_camera(self) -> None:
        """Waits for the lobby's own picture."""
        script = "const v = document.querySelector('.preview-video'); return v && v.videoWidth > 0"
        wait_until(lambda: self.run(script), timeout_s=JOIN_TIMEOUT_S, what="camera preview")

    def click(self, selector: str) -> None:
        """Clicks the first element that matches."""
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def write(self, text: str) -> None:
        """Sends a text message through the panel."""
        if not self.visible(".messages"):
            self.click("[aria-controls=messages]")
        self.driver.find_element(By.ID, "message-input").send_keys(text)
        self.click(".messages-form button")

    def text(self, selector: str = "body") -> str:
        """What can be read in the elements that match, one line each."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        return "\n".join(self.run(script, selector))

    def visible(self, selector: str) -> bool:
        """Whether an element that matches is shown."""
        script = """
        return [...document.querySelectorAll(arguments[0])].some((element) => {
          const box = element.getBoundingClientRect();
          return box.width > 0 && box.height > 0 && element.checkVisibility();
        });
        """
        return bool(self.run(script, selector))

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs JavaScript in the page and returns what it returns."""
        return self.driver.execute_script(script, *arguments)

    def screenshot(self, path: Path) -> None:
        """Writes what is seen as PNG."""
        self.driver.save_screenshot(str(path))

    def console(self) -> list[str]:
        """Errors and warnings of the page since the last call."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] in {"SEVERE", "WARNING"}]

    # --- state

    def wait_view(self, name: str, timeout_s: float = JOIN_TIMEOUT_S) -> None:
        """Waits until ``lobby``, ``call``, ``waiting``, ``ended`` or ``problem`` is shown."""
        script = "return document.documentElement.dataset.view"
        self._wait(lambda: self.run(script) == name, timeout_s, f"view {name}")

    @property
    def connection(self) -> str:
        """The connection state the page shows, as in ``web/sdk/connection.js``."""
        return str(self.run("return document.documentElement.dataset.connection ?? ''"))

    @property
    def media(self) -> str:
        """The state of media the page shows."""
        return str(self.run("return document.documentElement.dataset.media ?? ''"))

    def wait_connection(self, state: str, timeout_s: float = JOIN_TIMEOUT_S) -> None:
        """Waits for a connection state; ``connected`` includes media that flows."""

        def reached() -> bool:
            media_needed = state == "connected"
            return self.connection == state and (not media_needed or self.media == "connected")

        self._wait(reached, timeout_s, f"connection {state}")

    def _wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        try:
            wait_until(condition, timeout_s=timeout_s, what=what)
        except TimeoutError as error:
            seen = {"connection": self.connection, "media": self.media, "console": self.console()}
            raise TimeoutError(f"{error}; {seen}; page: {self.text()[:400]!r}") from None

    # --- measurements

    def stats(self) -> list[dict[str, Any]]:
        """All entries of ``getStats()``; empty without a peer connection."""
        entries: list[dict[str, Any]] = self.driver.execute_async_script(_STATS)
        return entries

    def inbound(self, kind: str) -> list[dict[str, Any]]:
        """The ``inbound-rtp`` entries of one kind."""
        return [
            entry
            for entry in self.stats()
            if entry["type"] == "inbound-rtp" and entry["kind"] == kind
        ]

    def receives(self, *, kind: str, seconds: float) -> Received:
        """Measures for some time what arrives, over all tracks of a kind."""
        before, started = {entry["id"]: entry for entry in self.inbound(kind)}, time.monotonic()
        time.sleep(seconds)
        all_stats = self.stats()
        elapsed = time.monotonic() - started
        codecs = {entry["id"]: entry["mimeType"] for entry in all_stats if entry["type"] == "codec"}
        after = [e for e in all_stats if e["type"] == "inbound-rtp" and e["kind"] == kind]

        def grown(member: str) -> float:
            return sum(
                float(entry.get(member, 0) - before.get(entry["id"], {}).get(member, 0))
                for entry in after
            )

        return Received(
            seconds=elapsed,
            packets=int(grown("packetsReceived")),
            packets_lost=int(grown("packetsLost")),
            frames_decoded=int(grown("framesDecoded")),
            audio_energy=grown("totalAudioEnergy"),
            concealed_samples=int(grown("concealedSamples") - grown("silentConcealedSamples")),
            total_samples=int(grown("totalSamplesReceived")),
            freezes=int(grown("freezeCount")),
            codecs=frozenset(codecs[e["codecId"]] for e in after if e.get("codecId") in codecs),
        )

    def wait_media(self, kind: str, tracks: int = 1, timeout_s: float = JOIN_TIMEOUT_S) -> None:
        """Waits until this many tracks of a kind are decoded."""
        member = "framesDecoded" if kind == "video" else "totalAudioEnergy"

        def decoded() -> bool:
            return sum(1 for entry in self.inbound(kind) if entry.get(member, 0) > 0) >= tracks

        self._wait(decoded, timeout_s, f"{tracks} decoded {kind} tracks")

    # --- breaking things

    def break_sockets(self) -> int:
        """Closes the page's WebSockets under it; returns how many there were."""
        return int(self.run("return window.harness.breakSockets()"))

    def block_sockets(self, blocked: bool) -> None:
        """New WebSockets fail while blocked."""
        self.run("window.harness.block(arguments[0])", blocked)

    def close(self) -> None:
        """Ends the browser and deletes its profile."""
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextlib.contextmanager
def pages(count: int, **options: Any) -> Iterator[list[Page]]:
    """Several browsers at once."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Page.open(**options)) for _ in range(count)]


def describe(stats: Sequence[Mapping[str, Any]]) -> str:
    """Statistics as JSON lines, for a failure's text."""
    return "\n".join(json.dumps(entry, sort_keys=True) for entry in stats)
