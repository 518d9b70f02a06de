"""Recordings that are in the archive alone, on the playback page."""

import asyncio
import filecmp
import io
import json
import shutil
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from archive.archive import Material
from archive.config import ArchiveConfig, StorageKind
from archive.errors import ArchiveError, IntegrityError, PackageError
from archive.record import Deposit
from recorder.config import EvidenceConfig, RecordingConfig
from recorder.review import Criteria
from recorder.views import playback_place, read_views
from signaling.auth import TokenVerifier
from signaling.clock import system_clock
from signaling.problem import problem_middleware
from signaling.recordings import RecordingsEndpoint
from signaling.staff import StaffRole
from tests.archive.conftest import s3_server  # noqa: F401 - a fixture
from tests.archive.packages import passing, whole
from tests.archive.s3_server import SECRET, S3Server
from tests.recorder.capture_files import write_recording
from tests.recorder.compose.test_film import beeps, flashes
from tests.recorder.evidence import Office, Shape, record
from tests.recorder.scene import Link, audio_track, video_track
from tests.witness.test_compose import STARTED_NS, needs_font
from tests.witness.test_sessions import KEY, staff
from witness.archiving import Archiving
from witness.playback import PlaybackLibrary
from witness.playback_archive import (
    FOLDER,
    ArchivedRecordings,
    CacheFullError,
    fetched,
    merged,
)
from witness.playback_worker import remove_media
from witness.unpacking import unpack

pytestmark = pytest.mark.net

_LOOK_S = 0.2
"""Asked more often than ten times a second, the server refuses in the end."""
WHY = {"purpose": "audit", "note": ""}


@dataclass
class Stage:
    """A server whose recordings were archived, and their originals removed."""

    root: Path
    archiving: Archiving
    client: TestClient[Any, Any]
    library: PlaybackLibrary
    packages: dict[str, bytes]

    @property
    def own(self) -> Path:
        return self.root / "recordings/_playback"

    async def asked(self, method: str, path: str, body: object = None, **who: Any) -> Any:
        headers = staff(StaffRole.AUDITOR, **who) if method == "POST" else {}
        url = f"/v1/recordings{path}"
        async with self.client.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def opened(self, name: str) -> None:
        status, told = await self.asked("POST", f"/{name}/views", WHY)
        assert status == 201, told

    async def until_verified(self, name: str) -> dict[str, Any]:
        status, told = await self.asked("POST", f"/{name}/verification", {})
        assert status == 202, told
        while told["verification"]["state"] in {"queued", "running"}:
            await asyncio.sleep(_LOOK_S)
            status, told = await self.asked("GET", f"/{name}/work")
            assert status == 200, told
        found: dict[str, Any] = told["verification"]
        return found


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveConfig:
    directory = tmp_path / "archive"
    if request.param == "local":
        return ArchiveConfig(directory=directory)
    server: S3Server = request.getfixturevalue("s3_server")
    s3 = server.config(prefix=f"{tmp_path.name}/")
    return ArchiveConfig(directory=directory, storage=StorageKind.S3, s3=s3)


@asynccontextmanager
async def served(root: Path, config: ArchiveConfig) -> AsyncIterator[Stage]:
    recordings = root / "recordings"
    evidence = EvidenceConfig(
        keys_directory=root / "office/keys",
        log_directory=root / "office/log",
        packages_directory=root / "packages",
        tsa_local=True,
    )
    office = Office.made(root / "office")
    (root / "packages").mkdir()
    recordings.mkdir()
    archiving = Archiving(config, evidence, recordings, SECRET)
    archiving.begin()
    packages = {}
    for name, shape in (("s1", Shape(gaps=1)), ("s2", Shape()), ("s3", Shape())):
        place = record(recordings, name, shape)
        shutil.copytree(place, root / "kept" / name)
        if name != "s3":
            path = office.seal(place, root / f"packages/{name}.zip").path
            packages[name] = path.read_bytes()
            material = Material(path, (), (place, path))
            archiving.open().deposit(material, passing, who="system", remove=whole)
            assert not place.exists()
    library = PlaybackLibrary(
        RecordingConfig(directory=recordings), evidence, system_clock, None, archiving
    )
    verifier = TokenVerifier([KEY.verification()], max_ttl_s=36_000, clock_skew_s=0)
    app = web.Application(middlewares=[problem_middleware], client_max_size=65_536)
    app.add_routes(RecordingsEndpoint(library, verifier, system_clock, secure=False).routes())
    jar = aiohttp.CookieJar(unsafe=True)
    async with TestClient(TestServer(app), cookie_jar=jar) as client:
        yield Stage(root, archiving, client, library, packages)
        await library.close()


@pytest.fixture
async def made(tmp_path: Path, storage: ArchiveConfig) -> AsyncIterator[Stage]:
    async with served(tmp_path, storage) as stage:
        yield stage


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Stage]:
    async with served(tmp_path, ArchiveConfig(directory=tmp_path / "archive")) as stage:
        yield stage


async def test_what_is_archived_alone_is_found_shown_verified_and_fetched(made: Stage) -> None:
    _, told = await made.asked("POST", "/search", {})
    assert {(one["session"], one["archived"]) for one in told["recordings"]} == {
        ("s1", True), ("s2", True), ("s3", False),
    }  # fmt: skip
    assert (await made.asked("POST", "/s1/views", WHY, rooms=["other"]))[0] == 404
    assert not (made.own / "s1").exists()
    await made.opened("s1")
    status, told = await made.asked("GET", "/s1")
    assert status == 200
    assert sum(bool(track["gaps"]) for track in told["tracks"]) == 1
    assert told["package"] == {"bytes": len(made.packages["s1"])}
    found = await made.until_verified("s1")
    assert (found["exit"], found["bytes"]) == (1, len(made.packages["s1"]))
    for path in ("s1", "s2"):  # fetched by the verification, and not
        if path == "s2":
            await made.opened("s2")
        async with made.client.get(f"/v1/recordings/{path}/package") as answer:
            assert await answer.read() == made.packages[path]
    part = {"Range": "bytes=100-199"}
    async with made.client.get("/v1/recordings/s2/package", headers=part) as answer:
        assert (answer.status, await answer.read()) == (206, made.packages["s2"][100:200])
    (view,) = (one.to_json() for one in read_views(playback_place(made.own, "s2"))[1])
    assert view["fetched_bytes"] == {"package": len(made.packages["s2"]) + 100}
    entries = [one for one in made.archiving.open().journal.read() if one.what == "fetched"]
    assert [(one.facts["session"], one.why) for one in entries] == [("s1", "playback: audit")]


async def test_the_session_is_as_it_was_while_a_film_is_made(made: Stage) -> None:
    await made.opened("s1")
    archived = made.library._archived
    assert archived is not None
    task = archived.task("s1", "a", "b")
    assert task is not None
    place = playback_place(made.own, "s1") / FOLDER / "s1"
    small = sorted(path for path in place.rglob("*") if path.is_file())
    assert not [path for path in small if path.suffix == ".pcapng"]
    with fetched(task, lambda *_: None).open("rb") as file:
        unpack(file, place, task["id"], media=True)
    assert_same(place, made.root / "kept/s1")
    remove_media(place)
    assert sorted(path for path in place.rglob("*") if path.is_file()) == small


def assert_same(place: Path, kept: Path) -> None:
    """Every file of the original; what was logged after sealing is in no package."""
    for path in (one for one in kept.rglob("*") if one.is_file()):
        copy = place / path.relative_to(kept)
        if path.name == "events.jsonl":
            assert path.read_bytes().startswith(copy.read_bytes())
        else:
            assert filecmp.cmp(path, copy, shallow=False), path


async def test_nothing_that_was_changed_is_shown(local: Stage) -> None:
    deposit = local.archiving.open().newest("s1")
    path = local.root / "archive/objects" / deposit.package.key
    whole_, data = local.packages["s1"], bytearray(local.packages["s1"])
    with zipfile.ZipFile(io.BytesIO(whole_)) as box:
        info = box.getinfo("events.jsonl")
        media = next(one for one in box.infolist() if one.filename.endswith(".pcapng"))
    # In the log: it isn't even opened.
    data[info.header_offset + 200] ^= 1
    path.write_bytes(data)
    assert (await local.asked("POST", "/s1/views", WHY))[0] == 503
    assert not (local.own / "s1" / FOLDER).exists()
    # In the media: described from what is whole; neither fetched nor made into a film.
    data = bytearray(whole_)
    data[media.header_offset + 200] ^= 1
    path.write_bytes(data)
    await local.opened("s1")
    assert (await local.asked("GET", "/s1"))[0] == 200
    assert (await local.until_verified("s1"))["state"] == "failed"
    with pytest.raises(aiohttp.ClientPayloadError):
        async with local.client.get("/v1/recordings/s1/package") as answer:
            await answer.read()
    assert not (local.own / "s1" / FOLDER / "package.zip").exists()
    with pytest.raises(PackageError):
        unpack(io.BytesIO(bytes(data)), local.root / "x", deposit.facts.package, media=True)
    with pytest.raises(PackageError, match="another one"):
        unpack(io.BytesIO(whole_), local.root / "x", "0" * 32, media=False)
    for wrong in (b"", b"PK", whole_[:-30], whole_[100:]):
        with pytest.raises(PackageError):
            unpack(io.BytesIO(wrong), local.root / "y", deposit.facts.package, media=False)


async def test_what_was_brought_goes_with_the_recording(local: Stage) -> None:
    await local.opened("s1")
    archive = local.archiving.open()
    gone: Deposit = replace(archive.newest("s1"), state="deleted")
    archive.catalogue.put(gone)
    assert (await local.asked("POST", "/s1/views", WHY))[0] == 404
    assert not (local.own / "s1" / FOLDER).exists()
    found = (await local.asked("POST", "/search", {}))[1]["recordings"]
    assert {one["session"] for one in found} == {"s2", "s3"}


async def test_a_storage_that_is_not_there_is_said(local: Stage) -> None:
    (local.root / "archive/objects").rename(local.root / "unmounted")
    status, told = await local.asked("POST", "/s1/views", WHY)
    assert (status, told["code"]) == (503, "internal")
    assert (await local.asked("POST", "/s3/views", WHY))[0] == 201


async def test_the_cache_is_bounded_and_what_is_watched_stays(local: Stage) -> None:
    archived = ArchivedRecordings(
        local.archiving, local.root / "recordings", local.own, 4 * len(local.packages["s1"])
    )
    for name in ("s1", "s2"):
        known = archived.bring(name, lambda _: True)
        known.package.write_bytes(bytes(known.bytes))
    size = len(local.packages["s1"])
    archived.make_room("s9", size // 2, set())
    assert archived.brought("s1")
    with pytest.raises(CacheFullError) as full:
        archived.make_room("s9", 3 * size, {"s1", "s2"})
    assert not full.value.ever
    archived.make_room("s9", 2 * size, {"s2"})
    assert archived.brought("s1") is None
    assert archived.brought("s2")
    with pytest.raises(CacheFullError) as full:
        archived.make_room("s9", 5 * size, set())
    assert full.value.ever


def listed(*names: str) -> list[dict[str, Any]]:
    return [{"session": name, "started_at": f"2026-01-{name[1:]}"} for name in names]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("archived", ["", "d30", "d30 d28 d21", "d25 d24 d23 d22 d21"])
def test_two_lists_are_told_page_by_page_as_one(limit: int, archived: str) -> None:
    everything_here, everything_gone = listed("d29", "d27", "d26", "d20"), listed(*archived.split())
    told: list[str] = []
    after = ("3", "")
    for _ in range(20):
        here = [one for one in everything_here if (one["started_at"], one["session"]) < after]
        gone = [one for one in everything_gone if (one["started_at"], one["session"]) < after]
        last = here[:limit][-1] if len(here) > limit else None
        end = None if last is None else (last["started_at"], last["session"])
        page, before = merged(
            here[:limit], end, gone[:limit], is_more=len(gone) > limit, limit=limit
        )
        assert len(page) <= limit
        told += [one["session"] for one in page]
        if before is None:
            break
        after = (f"2026-01-{before[1:]}", before)
    every = [one["session"] for one in everything_here + everything_gone]
    assert told == sorted(every, reverse=True)


async def test_archived_recordings_are_looked_for_like_others(local: Stage) -> None:
    archived = ArchivedRecordings(local.archiving, local.root / "recordings", local.own, 1 << 30)
    for criteria, names in (
        (Criteria(), {"s1", "s2"}),
        (Criteria(text="s1"), {"s1"}),
        (Criteria(text="sale-1"), {"s1", "s2"}),
        (Criteria(text="sal"), {"s1", "s2"}),
        (Criteria(text="ale-1"), set()),
        (Criteria(text="s%"), set()),
        (Criteria(text="x"), set()),
        (Criteria(state="recording"), set()),
        (Criteria(to_day="2000-01-01"), set()),
        (Criteria(from_day="2000-01-01", state="stopped"), {"s1", "s2"}),
        (Criteria(allowed=lambda room: room == "other"), set()),
        (Criteria(after=("2000-01-01", "")), set()),
    ):
        assert {one["session"] for one in archived.find(criteria)[0]} == names, criteria
    assert archived.began("../x") is None
    (local.root / "archive/catalogue.sqlite3").write_bytes(b"no database, just text" * 100)
    with pytest.raises(ArchiveError):
        archived.find(Criteria())
    assert (await local.asked("POST", "/search", {}))[0] == 503


def test_a_file_that_is_not_the_manifests_is_not_unpacked(tmp_path: Path) -> None:
    for sha256 in ("0" * 64, ""):
        listed_ = {"path": "events.jsonl", "sha256": sha256}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as box:
            box.writestr("manifest.json", json.dumps({"package": "p", "files": [listed_]}))
            box.writestr("events.jsonl", b"{}")
        with pytest.raises(IntegrityError):
            unpack(buffer, tmp_path / "s", "p", media=False)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@needs_font
async def test_a_film_is_made_of_what_is_archived_alone(local: Stage) -> None:
    tracks = [
        video_track("v1", "vp8", flashes(2), Link(), name="李雷"),
        audio_track("a1", beeps(2), Link(), name="李雷"),
    ]
    place = write_recording(
        local.root / "recordings", "s8", tracks, 2_010_000, started_ns=STARTED_NS, sealable=True
    )
    path = Office.opened(local.root / "office").seal(place, local.root / "packages/s8.zip").path
    material = Material(path, (), (place, path))
    local.archiving.open().deposit(material, passing, who="system", remove=whole)
    await local.opened("s8")
    status, told = await local.asked("POST", "/s8/film", {"language": "zh"})
    assert status == 202, told
    while told["films"]["zh"]["state"] in {"queued", "running"}:
        await asyncio.sleep(_LOOK_S)
        status, told = await local.asked("GET", "/s8/work")
        assert status == 200, told
    assert told["films"]["zh"]["state"] == "done", told
    assert told["films"]["zh"]["seconds"] == pytest.approx(2, abs=0.2)
    async with local.client.get("/v1/recordings/s8/film") as answer:
        assert (await answer.read())[4:8] == b"ftyp"
    brought = playback_place(local.own, "s8") / FOLDER / "s8"
    assert not list(brought.rglob("*.pcapng"))


def test_a_name_that_leaves_the_directory_is_not_unpacked(tmp_path: Path) -> None:
    names = ["../x", "media/../../x", "media/t/..", "/etc/x", "media/t/a/b/c", "other.txt"]
    manifest = {"package": "p", "files": []}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as box:
        box.writestr("manifest.json", json.dumps(manifest))
        for name in names:
            box.writestr(name, b"x")
    unpack(buffer, tmp_path / "s", "p", media=True)
    assert not list(tmp_path.rglob("*"))
