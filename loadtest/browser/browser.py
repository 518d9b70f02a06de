"""A browser process and its windows, of whatever make.

The browser is driven in a thread of its own: fixtures start it once for many tests, whose event
loops come and go.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from loadtest.browser.bidi import BidiError, Connection
from loadtest.browser.programs import Launch

__all__ = ["PATIENCE_S", "Browser", "Window", "until"]

PATIENCE_S = 120.0
"""How long a condition may take to come true. A healthy machine needs a fraction; one that is busy
with something else must not fail a test."""
_QUIT_S = 10.0
_KEPT_LINES = 1000
_GIVEN_UP = frozenset({"net::ERR_ABORTED", "NS_BINDING_ABORTED"})
"""Requests that the page itself no longer wants."""
_LOUD = frozenset({"error", "warn"})

Result = TypeVar("Result")

_CENTRE = """
const found = [...document.querySelectorAll(arguments[0])];
const element = found.find((one) => one.checkVisibility()) ?? found[0];
if (!element) return "nothing matches";
element.scrollIntoView({ block: "center", behavior: "instant" });
const box = element.getBoundingClientRect();
const x = Math.round(box.left + box.width / 2), y = Math.round(box.top + box.height / 2);
const hit = document.elementFromPoint(x, y);
return hit && (element.contains(hit) || hit.contains(element)) && box.width > 0
  ? { x, y } : `covered by <${hit?.tagName} class="${hit?.className}">`;
"""


class Browser:
    """One browser process; close it.

    Args:
        launch: makes a launch out of a folder for the profile, such as `programs.launch_firefox`.
        prepare: runs in the thread that starts and talks to the browser, before anything else.
            Sockets of the browser are made where that thread is.
    """

    def __init__(
        self, launch: Callable[[Path], Launch], prepare: Callable[[], None] = lambda: None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="witness-browser-")
        self._log = Path(self._folder.name) / "browser.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._connection = Connection(self._note)
        self._lines: deque[tuple[str, str]] = deque(maxlen=_KEPT_LINES)
        self._windows: list[Window] = []
        self._failures: Counter[str] = Counter()
        self._answers: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="browser")
        self._thread.start()
        try:
            self.name = self._wait(self._start(launch, prepare))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the browser and everything it started."""
        try:
            self._wait(self._end())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            if self._process is not None:
                _end_leftovers(self._folder.name, self._process)
            self._folder.cleanup()

    async def open(self) -> str:
        """Opens a window with storage of its own and returns its context."""
        context = (await self.command("browser.createUserContext"))["userContext"]
        made = await self.command("browsingContext.create", type="window", userContext=context)
        return str(made["context"])

    def opened(self, window: "Window") -> None:
        """Windows that are told of here are closed by :meth:`close_windows`."""
        self._windows.append(window)

    async def close_windows(self) -> None:
        """Closes all windows that were opened."""
        while self._windows:
            await self._windows.pop().close()

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a BiDi command from any event loop."""
        asked = self._connection.command(method, **params)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self._loop))

    async def fail_requests(self, path: str, times: int) -> None:
        """The next ``times`` requests for ``path`` fail as if the network had gone."""
        if not self._failures:
            await self.command("session.subscribe", events=["network.beforeRequestSent"])
        if path not in self._failures:
            pattern = {"type": "pattern", "pathname": path}
            phases = ["beforeRequestSent"]
            await self.command("network.addIntercept", phases=phases, urlPatterns=[pattern])
        self._failures[path] = times

    def mend(self) -> None:
        """No request fails any more."""
        for path in self._failures:
            self._failures[path] = 0

    def console(self, context: str | None = None) -> list[str]:
        """Errors, warnings and failed requests since the last time, of one window or all."""
        lines = list(self._lines)
        self._lines.clear()
        self._lines.extend(line for line in lines if context not in {None, line[0]})
        return [text for place, text in lines if context in {None, place}]

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if params.get("isBlocked"):
            self._answers.add(task := self._loop.create_task(self._decide(params["request"])))
            task.add_done_callback(self._answers.discard)
        elif method == "network.beforeRequestSent":
            pass
        elif method == "log.entryAdded":
            if params["level"] in _LOUD:
                place = params["source"].get("context", "")
                self._lines.append((place, f"{params['level']}: {params['text']}"))
        elif method == "network.fetchError":
            if params["errorText"] not in _GIVEN_UP:
                line = f"failed: {params['errorText']}: {params['request']['url']}"
                self._lines.append((params["context"] or "", line))
        elif params["response"]["status"] >= 400:
            line = f"status {params['response']['status']}: {params['request']['url']}"
            self._lines.append((params["context"] or "", line))

    async def _decide(self, request: dict[str, Any]) -> None:
        """Fails a request that is to fail, lets go any other."""
        path = urlsplit(request["url"]).path
        fails = self._failures[path] > 0
        self._failures[path] -= fails
        verdict = "network.failRequest" if fails else "network.continueRequest"
        with contextlib.suppress(BidiError):  # the page may be gone
            await self._connection.command(verdict, request=request["request"])

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self, launch: Callable[[Path], Launch], prepare: Callable[[], None]) -> str:
        prepare()
        made = launch(Path(self._folder.name))
        self._process = _spawn(made.command, self._log)
        port = await self._announced_port(made)
        await self._connection.open(f"ws://127.0.0.1:{port}/session", dict(made.capabilities))
        events = ["log.entryAdded", "network.responseCompleted", "network.fetchError"]
        await self._connection.command("session.subscribe", events=events)
        return made.name

    async def _announced_port(self, launch: Launch) -> str:
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := launch.listens.search(self._log.read_text(errors="replace")):
                return found.group(1)
            await asyncio.sleep(0.05)
        said = self._log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{launch.name} did not start:\n{said}")

    async def _end(self) -> None:
        with contextlib.suppress(BidiError, TimeoutError):
            await self._connection.command("browser.close")
        await self._connection.close()


class Window:
    """One window of a browser."""

    def __init__(self, browser: Browser, context: str) -> None:
        self.browser = browser
        self._context = context
        self._closed = False
        browser.opened(self)

    async def run(self, script: str, *values: object) -> Any:
        """Runs the body of an async function in the page and returns what it returns.

        Arguments and result go as JSON.

        Raises:
            BidiError: it threw.
        """
        body = f"async () => JSON.stringify((await (async function () {{ {script} }})"
        body += f".apply(null, {json.dumps(values)})) ?? null)"
        made = await self._do(
            "script.callFunction",
            functionDeclaration=body,
            awaitPromise=True,
            target={"context": self._context},
        )
        if made["type"] == "exception":
            raise BidiError(made["exceptionDetails"]["text"])
        return json.loads(made["result"]["value"])

    async def before_load(self, script: str) -> None:
        """Runs a script in every document of this window before any of its own."""
        function = f"() => {{ {script} }}"
        contexts = [self._context]
        await self._do("script.addPreloadScript", functionDeclaration=function, contexts=contexts)

    async def set_size(self, size: tuple[int, int], *, phone: bool = False) -> None:
        """Gives the page this size in CSS pixels; a phone has two device pixels in each."""
        viewport = {"width": size[0], "height": size[1]}
        ratio = 2 if phone else 1
        await self._do("browsingContext.setViewport", viewport=viewport, devicePixelRatio=ratio)
        if phone and self.browser.name == "chromium":
            await self.browser.command(
                "emulation.setTouchOverride", contexts=[self._context], maxTouchPoints=5
            )

    async def go(self, address: str) -> None:
        """Loads an address."""
        await self._do("browsingContext.navigate", url=address, wait="complete")

    async def reload(self) -> None:
        """Loads the present address anew."""
        await self._do("browsingContext.reload", wait="complete")

    async def click(self, selector: str) -> None:
        """Clicks the middle of the first element that matches and is shown, as a mouse does."""
        last: list[object] = []

        async def ready() -> bool:
            last[:] = [await self.run(_CENTRE, selector)]
            return isinstance(last[0], dict)

        try:
            await until(ready, f"{selector} to click")
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {last}") from None
        (point,) = last
        assert isinstance(point, dict)
        pressed = [
            {"type": "pointerMove", **point},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        await self._act({"type": "pointer", "id": "mouse", "actions": pressed})

    async def keys(self, text: str) -> None:
        """Presses the keys of ``text`` one after the other."""
        strokes = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        await self._act({"type": "key", "id": "keyboard", "actions": strokes})

    async def screenshot(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode((await self._do("browsingContext.captureScreenshot"))["data"])

    def console(self) -> list[str]:
        """Errors, warnings and failed requests of this window since the last time."""
        return self.browser.console(self._context)

    async def close(self) -> None:
        """Closes the window. Idempotent."""
        if not self._closed:
            self._closed = True
            await self._do("browsingContext.close")

    async def _act(self, source: dict[str, Any]) -> None:
        await self._do("input.performActions", actions=[source])

    async def _do(self, method: str, **params: Any) -> dict[str, Any]:
        if method != "script.callFunction" and "contexts" not in params:
            params["context"] = self._context
        return await self.browser.command(method, **params)


async def until(
    condition: Callable[[], Coroutine[Any, Any, object]],
    what: str,
    within_s: float = PATIENCE_S,
    every_s: float = 0.1,
) -> float:
    """Waits for an awaited condition and returns the seconds it took.

    Raises:
        TimeoutError: it did not come true in time.
    """
    started = time.monotonic()
    while not await condition():
        if time.monotonic() - started > within_s:
            raise TimeoutError(f"no {what} within {within_s:.0f} s")
        await asyncio.sleep(every_s)
    return time.monotonic() - started


def _spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - browsers found on the path
            command, stdout=output, stderr=output, start_new_session=True
        )


def _end_leftovers(marker: str, process: subprocess.Popen[bytes]) -> None:
    """Processes of this browser that outlive it are waited for, then ended by their id."""
    end = time.monotonic() + _QUIT_S
    # The driver stays when its browser is gone; Firefox is the process itself.
    while (left := _processes_with(marker)) and time.monotonic() < end:
        process.poll()
        time.sleep(0.05)
    for number in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.kill()
    process.wait()


def _processes_with(marker: str) -> Sequence[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
