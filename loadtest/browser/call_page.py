"""The call page in a window of a real browser.

A test opens pages, lets people join a server's room and looks at what they receive::

    rm = await CallPage.open(browser)
    await rm.join(server.url, room="r1", role="rm", name="李经理", codec="vp9")
    await rm.sees_and_hears(others=1)
"""

from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from loadtest.browser.bidi import BidiError
from loadtest.browser.browser import PATIENCE_S, Browser, Window, until
from loadtest.browser.report import EMPTY, Report

__all__ = ["ENERGY", "FRAMES", "CallPage"]

FRAMES = 30
"""So many decoded pictures count as seeing somebody."""
ENERGY = 0.01
"""Speech and tones have more than this after a second, comfort noise less after a minute."""
SILENT = 1e-5
RECORDED = ("message", "participants", "tracks", "connection", "error", "closed")
_WATCH = Path(__file__).with_name("page_watch.js").read_text("utf-8")

# What a browser does that holds sound back until somebody has clicked. The real policy can't be
# tested through a driver, whose scripts count as a person's doing.
_HOLD_SOUND = """
const play = HTMLMediaElement.prototype.play;
let touched = false;
addEventListener("click", (event) => { touched ||= event.isTrusted && !!window.witness; }, true);
HTMLMediaElement.prototype.play = function () {
  if (touched || this.muted) return play.call(this);
  this.autoplay = false;
  this.pause();
  return Promise.reject(new DOMException("held back", "NotAllowedError"));
};
"""

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
const { state } = call.connection;
return { entries, tracks, state, selfId: call.selfId, stalled: globalThis.watched.stalled };
"""

_VISIBLE = """
return [...document.querySelectorAll(arguments[0])].some((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && element.checkVisibility();
});
"""

_READY = """
return document.querySelector(".preview-video")?.videoWidth > 0 ||
  document.querySelector(".lobby-narrow") !== null;
"""


class CallPage(Window):
    """A window on the call page."""

    @classmethod
    async def open(
        cls,
        browser: Browser,
        *,
        size: tuple[int, int] = (1000, 700),
        phone: bool = False,
        hold_sound: bool = False,
    ) -> Self:
        """Opens a window.

        Args:
            browser: where.
            size: of the page, in CSS pixels.
            phone: two device pixels per CSS pixel and, in Chromium, a touch screen.
            hold_sound: refuse to play sound before a click in the call.
        """
        page = cls(browser, await browser.open())
        await page.set_size(size, phone=phone)
        await page.before_load(_WATCH + (_HOLD_SOUND if hold_sound else ""))
        return page

    # --- using the page

    async def visit(self, url: str, *, token: str = "", language: str = "en", **query: str) -> None:
        """Opens the lobby; ``query`` are parameters of the page such as ``room`` and ``codec``."""
        fragment = f"#token={token}" if token else ""
        everything = {"lang": language, "debug": "1", **query}
        await self.go(f"{url}/?{urlencode(everything)}{fragment}")
        await self.wait_view("lobby")

    async def join(self, url: str, **query: str) -> None:
        """Goes through the lobby into the call; ``query`` as for :meth:`visit`."""
        await self.visit(url, **query)
        await self.wait_camera()
        await self.click("button[type=submit]")
        await self.record()

    async def wait_camera(self) -> None:
        """Waits until the lobby shows the person, if it is for somebody who sends."""
        await self.until(_READY, "camera preview")

    async def record(self) -> None:
        """Waits for the call and records its events from now on."""
        await self.until(_RECORD, "call", list(RECORDED))

    async def come_back(self) -> None:
        """Reloads the page and waits until it is in the call again."""
        await self.reload()
        await self.record()

    async def write(self, text: str) -> None:
        """Sends a text message through the panel."""
        if not await self.visible(".messages"):
            await self.click("[aria-controls=messages]")
        await self.click("#message-input")
        await self.keys(text)
        await self.click(".messages-form button")

    async def text(self, selector: str = "body") -> str:
        """What can be read in the elements that match, one line each."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        return "\n".join(await self.run(script, selector))

    async def visible(self, selector: str) -> bool:
        """Whether an element that matches is shown."""
        return bool(await self.run(_VISIBLE, selector))

    async def events(self, name: str) -> list[Any]:
        """Data of the recorded events of this name."""
        found = await self.run("return globalThis.recorded?.events ?? [];")
        return [data for kind, data in found if kind == name]

    # --- waiting

    async def until(self, script: str, what: str, *values: object) -> None:
        """Waits until a script returns something true.

        Raises:
            TimeoutError: it didn't; the text says what the page shows.
        """
        failure = ""

        async def holds() -> bool:
            nonlocal failure
            try:
                return bool(await self.run(script, *values))
            except BidiError as error:  # as while a page loads itself again
                failure = f", {error}"
                return False

        try:
            await until(holds, what)
        except TimeoutError as error:
            seen = "return [document.body.innerText, document.documentElement.dataset]"
            looks = f"{await self.run(seen)}, {self.console()}{failure}"
            raise TimeoutError(f"{error}: {looks}") from None

    async def shows(self, selector: str, text: str = "") -> None:
        """Waits until an element that matches is shown, with this text somewhere in such ones."""
        found = "document.querySelectorAll(arguments[0])"
        script = f"return [...{found}].some((e) => e.checkVisibility() && e.innerText.includes("
        await self.until(f"{script}arguments[1]))", f"{selector} {text}", selector, text)

    async def hides(self, selector: str) -> None:
        """Waits until nothing that matches is shown."""
        found = "document.querySelectorAll(arguments[0])"
        script = f"return ![...{found}].some((element) => element.checkVisibility())"
        await self.until(script, f"{selector} hidden", selector)

    async def wait_view(self, name: str) -> None:
        """Waits until ``lobby``, ``call``, ``waiting``, ``ended`` or ``problem`` is shown."""
        script = "return document.documentElement.dataset.view === arguments[0]"
        await self.until(script, f"view {name}", name)

    async def wait_connection(self, state: str) -> None:
        """Waits for a state of ``web/sdk/connection.js``; ``connected`` includes media."""
        script = """
        const { connection, media } = document.documentElement.dataset;
        return connection === arguments[0] && (connection !== "connected" || media === connection);
        """
        await self.until(script, f"connection {state}", state)

    # --- measurements

    async def measure(self) -> Report:
        """What the browser says of the call now; empty before there is a connection."""
        found = await self.run(_MEASURE)
        if found is None:
            return EMPTY
        entries = {entry["id"]: entry for entry in found["entries"]}
        rest = found["tracks"], found["state"], found["selfId"], found["stalled"] / 1000
        return Report(entries, *rest)

    async def sees_and_hears(self, others: int = 1, frames: int = FRAMES) -> Report:
        """Waits for pictures and sound of so many others, and returns what was measured then."""
        last = EMPTY

        async def flows() -> bool:
            nonlocal last
            last = await self.measure()
            video, audio = last.received("video"), last.received("audio")
            return (
                len(video) == len(audio) == others
                and all(item.amount >= frames for item in video)
                and all(item.stats.get("totalAudioEnergy", 0) > ENERGY for item in audio)
            )

        try:
            await until(flows, "sound and pictures")
        except TimeoutError as error:
            seen = [(item.track, item.stats) for item in last.received()]
            raise TimeoutError(f"{error}: {last.state}, {seen}, {self.console()}") from None
        return last

    async def goes_on(self, frames: int = FRAMES, within_s: float = PATIENCE_S) -> float:
        """Waits for more pictures and sound of everybody than now; returns the seconds it took."""
        marks = {i.track["track_id"]: i.amount for i in (await self.measure()).received()}
        assert marks, "nothing is received"

        async def more() -> bool:
            items = (await self.measure()).received()
            amounts = {item.track["track_id"]: item.amount for item in items}
            return all(amounts.get(track, 0) >= mark + frames for track, mark in marks.items())

        return await until(more, "more media", within_s)

    async def sees_more(self, frames: int = FRAMES) -> None:
        """Waits until so many more pictures than now are decoded, of all together."""
        mark = (await self.measure()).frames()

        async def more() -> bool:
            return (await self.measure()).frames() >= mark + frames

        await until(more, "more pictures")

    async def hears_more(self, energy: float = ENERGY) -> None:
        """Waits for more sound of all together that is no silence."""
        mark = (await self.measure()).energy()

        async def more() -> bool:
            return (await self.measure()).energy() > mark + energy

        await until(more, "more sound")

    async def hears_nothing(self) -> None:
        """Waits a while, by pictures, and asserts that hardly any sound comes in another while."""
        await self.sees_more()
        mark = (await self.measure()).energy()
        await self.sees_more()
        assert (await self.measure()).energy() - mark < SILENT

    async def first_pictures(self) -> list[float]:
        """Seconds from the connection to the first decoded picture, of every video line.

        Time in which the page could not run is not counted.
        """
        (peer,) = await self.run("return globalThis.watched.peers;")
        if peer["connected"] is None:
            return []
        stalled = float(await self.run("return globalThis.watched.stalled;"))
        waits = (at - peer["connected"] - stalled for at in peer["pictures"].values())
        return [max(0.0, wait) / 1000 for wait in waits]

    # --- breaking things

    async def break_sockets(self) -> int:
        """Closes the page's WebSockets under it; returns how many there were."""
        return int(await self.run("return globalThis.watched.breakSockets()"))

    async def block_sockets(self, blocked: bool) -> None:
        """New WebSockets fail while blocked."""
        await self.run("globalThis.watched.blocked = arguments[0]", blocked)
