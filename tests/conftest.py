"""What every test may use; skips with a reason what this machine can't run."""

import os
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import settings

from loadtest.browser.browser import Browser
from loadtest.browser.programs import (
    chromium_missing,
    firefox_missing,
    launch_chromium,
    launch_firefox,
)

# The same examples each time, and no verdict about how long a busy machine takes for one.
settings.register_profile("witness", deadline=None, derandomize=True)
settings.load_profile("witness")


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are compared in English, and no variable of the machine changes a setting."""
    for name in list(os.environ):
        if name.startswith("WITNESS_"):
            monkeypatch.delenv(name)
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for mark, reason in (("browser", chromium_missing()), ("firefox", firefox_missing())):
        for item in items:
            if reason and mark in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium with a clip as camera and speech as microphone."""
    with closing(Browser(launch_chromium)) as browser:
        yield browser


@pytest.fixture(scope="module")
def firefox() -> Iterator[Browser]:
    """Firefox with its own pattern and tone; for tests that are marked so."""
    with closing(Browser(launch_firefox)) as browser:
        yield browser
