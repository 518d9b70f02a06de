"""Small packages for tests of the archive: what it reads of them is real, their media are not."""

import hashlib
import json
import zipfile
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from archive.archive import Archive, Material
from archive.config import RetentionConfig
from archive.identity import begin
from archive.package import Facts
from archive.retention import Rules
from archive.storage import Backend, Storage
from recorder.sale import Sale

__all__ = ["TODAY", "Clock", "an_archive", "material", "package", "passing", "whole"]

TODAY = datetime.now(UTC).date()


class Clock:
    """A wall clock that stands where it is put."""

    def __init__(self, day: date = TODAY) -> None:
        self.day = day

    def __call__(self) -> int:
        moment = datetime(self.day.year, self.day.month, self.day.day, 12, tzinfo=UTC)
        return int(moment.timestamp()) * 10**9


def an_archive(
    root: Path, backend: Backend, clock: Clock | None = None, rules: RetentionConfig | None = None
) -> Archive:
    begin(root / "archive", Storage(backend))
    made = Rules(rules or RetentionConfig())
    return Archive(root / "archive", Storage(backend), made, clock or Clock())


def passing(_: Path) -> str:
    return "pass"


def whole(_: Facts) -> AbstractContextManager[bool]:
    return nullcontext(True)


def package(
    path: Path,
    session: str = "s1",
    number: int = 1,
    *,
    room: str = "sale-1",
    started: date = TODAY,
    sale: Sale | None = None,
    size: int = 3_000,
    parties: tuple[tuple[str, str], ...] = (("p-1", "rm"), ("p-2", "customer")),
    **changes: Any,
) -> Path:
    started_at = f"{started.isoformat()}T08:00:00.000Z"
    manifest = {
        "format": "witness-evidence/1",
        "package": hashlib.md5(f"{session}{number}".encode()).hexdigest(),
        "sealed_at": f"{started.isoformat()}T09:00:{number:02}.000Z",
        "session": {"session": session, "room": room, "started_at": started_at},
        "timeline": {"from_us": 0, "to_us": 60_000_000},
        "tracks": [{"participant": one, "role": role} for one, role in parties],
        "events": {"count": 12},
        **changes,
    }
    own = {
        "session": session,
        "room": room,
        "started_at": started_at,
        **(sale or Sale()).to_json(),
    }
    with zipfile.ZipFile(path, "w") as box:
        box.writestr("session.json", json.dumps(own))
        box.writestr("media/t0/000001.pcapng", b"m" * size)
        box.writestr("gaps.json", json.dumps({"tracks": [{"missing_us": 5}, {"missing_us": 7}]}))
        box.writestr("manifest.json", json.dumps(manifest))
    return path


def material(root: Path, session: str = "s1", **about: Any) -> Material:
    """A session's capture, film and package, as a server has them."""
    capture = root / session
    (capture / "tracks" / "t0").mkdir(parents=True)
    (capture / "session.json").write_text("{}")
    (capture / "tracks" / "t0" / "000001.pcapng").write_bytes(b"m" * 100)
    film = root / f"{session}-files" / "film.mp4"
    film.parent.mkdir()
    film.write_bytes(b"film" * 100)
    sealed = package(root / f"{session}.zip", session, **about)
    return Material(sealed, (film,), (capture, sealed))


def years(count: int) -> timedelta:
    return timedelta(days=366 * count)
