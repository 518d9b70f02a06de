"""A path between two namespaces, and a call at its ends."""

from collections.abc import AsyncIterator, Iterator

import pytest

from loadtest.browser.browser import Browser
from loadtest.netem.inside import inside
from tests.e2e.stage import Stage, stage
from tests.net.far import BROKEN_SOCKET, far_settings, start_chromium
from tests.net.namespaces import Path


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    """Two namespaces and a router between them."""
    with Path() as made:
        yield made


@pytest.fixture(scope="module")
def chromium(path: Path) -> Iterator[Browser]:
    """A browser at the client's end."""
    browser = start_chromium(path)
    yield browser
    browser.close()


@pytest.fixture
async def scene(path: Path, chromium: Browser) -> AsyncIterator[Stage]:
    """A server at the other end; the path is as good as new before and after."""
    path.heal()
    with inside(path.server):
        async with stage(chromium, far_settings(), expected=[BROKEN_SOCKET]) as made:
            yield made
    path.heal()
