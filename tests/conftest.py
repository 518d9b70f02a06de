"""What every test may use; skips with a reason what this machine can't run."""

import os
import shutil

import pytest


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
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        skip = pytest.mark.skip(reason=f"not on this machine: {', '.join(missing)}")
        for item in items:
            if "browser" in item.keywords:
                item.add_marker(skip)
