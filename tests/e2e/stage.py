"""A server and a browser with people on call pages; nothing may go wrong unnoticed."""

import contextlib
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from loadtest.browser.browser import Browser
from loadtest.browser.call_page import CallPage
from tests.e2e.scene import Scene, scene
from witness.config import Settings

__all__ = ["Stage", "errors_logged", "stage"]


@dataclass
class Stage:
    """A server, a browser and whoever joined in it."""

    call: Scene
    browser: Browser
    pages: list[CallPage] = field(default_factory=list)

    async def join(
        self,
        role: str,
        *,
        browser: Browser | None = None,
        codec: str | None = None,
        url: str | None = None,
        token: str = "",
    ) -> CallPage:
        """Opens a call page of its own, elsewhere if told so, and joins as ``role``."""
        page = await CallPage.open(browser or self.browser)
        self.pages.append(page)
        query = {"codec": codec} if codec else {}
        token = token or await self.call.token(role)
        await page.join(url or self.call.server.url, token=token, **query)
        return page

    async def leave(self, page: CallPage) -> None:
        """Leaves the call and closes the page."""
        assert not await page.events("error")
        await page.run("globalThis.witness.call.leave();")
        await page.until("return globalThis.recorded.events.some(([n]) => n === 'closed')", "end")
        await page.close()
        self.pages.remove(page)

    async def check(self, expected: Sequence[str]) -> None:
        """No page reported an error but those that match a pattern of ``expected``."""
        found = [
            line
            for browser in {self.browser, *(page.browser for page in self.pages)}
            for line in browser.console()
            if not any(re.search(pattern, line) for pattern in expected)
        ]
        assert not found, f"console: {found}"
        for page in self.pages:
            failures = await page.events("error")
            assert not failures, f"call of {(await page.measure()).self_id}: {failures}"


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextlib.contextmanager
def errors_logged() -> Iterator[list[str]]:
    """Collects what anything in this process logs as an error."""
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    try:
        yield handler.lines
    finally:
        logging.getLogger().removeHandler(handler)


@contextlib.asynccontextmanager
async def stage(
    browser: Browser, configured: Settings | None = None, *, expected: Sequence[str] = ()
) -> AsyncIterator[Stage]:
    """Starts a server in this process; checks consoles and the server's log at the end.

    Args:
        expected: patterns of lines a browser's console may have.
    """
    browser.console()  # of a test before this one
    with errors_logged() as logged:
        async with scene(configured) as call:
            made = Stage(call, browser)
            try:
                yield made
                await made.check(expected)
            finally:
                for page in made.pages:
                    await page.close()
    assert not logged, logged
