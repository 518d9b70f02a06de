"""What the server archives by itself, and what it tells of the archive."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.registry import CollectorRegistry

from archive.archive import Archive
from archive.config import ArchiveConfig
from archive.local import LocalBackend
from recorder.config import EvidenceConfig
from recorder.sale import Sale
from sfu.model import Role
from signaling.archive import ArchiveEndpoint
from signaling.auth import MintingKey, TokenVerifier, mint_token
from signaling.clock import system_clock
from signaling.config import AuthConfig, SignalingConfig
from signaling.problem import problem_middleware
from signaling.staff import StaffRole, mint_staff_token
from tests.archive.packages import an_archive, material, passing
from tests.recorder.evidence import record
from witness.archive_service import MAX_QUEUE, ArchiveCatalogue, ArchiveCollector, ArchiveService
from witness.archiving import Archiving
from witness.cli import main
from witness.config import MediaConfig, ServerConfig, Settings
from witness.errors import StartError
from witness.server import WitnessServer


def archiving(root: Path, **changes: Any) -> Archiving:
    for name in ("packages", "recordings", "archive"):
        (root / name).mkdir(exist_ok=True)
    config = ArchiveConfig(directory=root / "archive", automatic=True, **changes)
    evidence = EvidenceConfig(packages_directory=root / "packages")
    found = Archiving(config, evidence, root / "recordings")
    found.begin()
    return found


class Scene:
    """A service whose work is done, or fails, at once."""

    def __init__(self, root: Path, names: list[str], **changes: Any) -> None:
        self.now_s = 1_000.0
        self.tried: list[str] = []
        self.broken: set[str] = set()
        self.archiving = archiving(root, **changes)
        self.packages = root / "packages"
        for name in names:
            (self.packages / f"{name}.zip").write_bytes(b"x")
        self.service = ArchiveService(self.archiving, self.work, lambda: self.now_s)

    async def work(self, session: str) -> dict[str, Any]:
        self.tried.append(session)
        if session in self.broken:
            return {"error": {"kind": "StorageError", "reason": "gone"}}
        (self.packages / f"{session}.zip").unlink()
        return {"done": {"bytes": 10, "originals": "present"}}

    async def after(self, seconds: float) -> list[str]:
        self.now_s += seconds
        self.tried.clear()
        await self.service.tick()
        return list(self.tried)


async def test_what_is_sealed_is_archived_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ["s1", "s2"])
    assert sorted(await scene.after(0)) == ["s1", "s2"]
    assert await scene.after(30) == []
    assert (scene.service.archived, scene.service.bytes, scene.service.queue) == (2, 20, 0)


async def test_a_failure_is_tried_again_ever_later_and_delays_nobody(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ["s1"], alert_after_s=200)
    scene.broken.add("s1")
    tries = []
    for second in range(0, 1_000, 10):
        if await scene.after(10 if second else 0):
            tries.append(second)
    assert tries == [0, 30, 90, 210, 450, 930]
    assert scene.service.alert
    (scene.packages / "s2.zip").write_bytes(b"x")
    assert await scene.after(1) == ["s2"]
    scene.broken.clear()
    assert await scene.after(4_000) == ["s1"]
    assert (scene.service.alert, scene.service.failing_s) == (False, 0)


async def test_the_alert_comes_after_its_time(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ["s1"], alert_after_s=100)
    scene.broken.add("s1")
    for seconds, raised in ((0, False), (99, False), (1, True)):
        await scene.after(seconds)
        assert scene.service.alert is raised


async def test_the_alarm_names_session_and_cause(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ["s1"], alert_after_s=100)
    told: list[tuple[str, str | None]] = []
    scene.service.alarm = lambda *one: told.append(one)
    scene.broken.add("s1")
    for seconds in (0, 30, 60):
        await scene.after(seconds)
    assert told == []
    await scene.after(120)
    assert told == [("s1", "unreachable")]
    scene.broken.clear()
    await scene.after(4_000)
    assert told[-1] == ("s1", None)


async def test_a_round_is_bounded_and_says_what_it_leaves(tmp_path: Path) -> None:
    scene = Scene(tmp_path, [f"s{number}" for number in range(MAX_QUEUE + 5)])
    assert len(await scene.after(0)) == MAX_QUEUE
    assert scene.service.left == 5
    assert len(await scene.after(30)) == 5


async def test_figures_carry_no_ids(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ["s1", "s2"])
    scene.broken.add("s2")
    await scene.after(0)
    registry = CollectorRegistry()
    registry.register(ArchiveCollector(scene.service))
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    assert found["witness_archive_tries_total", "archived"] == 1
    assert found["witness_archive_tries_total", "failed"] == 1
    assert found["witness_archive_bytes_total",] == 10
    assert found["witness_archive_queue_sessions",] == 1
    assert not any("s1" in part or "s2" in part for key in found for part in key)


@pytest.mark.net
async def test_a_worker_process_archives_and_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("packages", "recordings"):
        (tmp_path / name).mkdir()
    for key, value in (
        ("RECORDING__DIRECTORY", "recordings"),
        ("EVIDENCE__KEYS_DIRECTORY", "keys"),
        ("EVIDENCE__LOG_DIRECTORY", "log"),
        ("EVIDENCE__TSA_LOCAL", "true"),
        ("EVIDENCE__PACKAGES_DIRECTORY", "packages"),
    ):
        given = value if value == "true" else str(tmp_path / value)
        monkeypatch.setenv(f"WITNESS_{key}", given)
    assert main(["keys", "init", "--local-tsa"]) == 0
    record(tmp_path / "recordings", "s1")
    assert main(["seal", "s1"]) == 0
    found = archiving(tmp_path, remove_originals=True)
    evidence = found.evidence.model_copy(
        update={"keys_directory": tmp_path / "keys", "tsa_local": True}
    )
    found = replace(found, evidence=evidence)
    (tmp_path / "packages" / "s2.zip").write_bytes(b"no package")
    service = ArchiveService(found)
    await service.tick()
    assert (service.archived, service.failed) == (1, 1)
    (deposit,) = found.open().catalogue.of_session("s1")
    assert (deposit.verdict, deposit.originals) == ("pass", "removed")
    assert not (tmp_path / "packages" / "s1.zip").exists()
    assert (tmp_path / "packages" / "s2.zip").exists()


async def test_a_service_that_ends_cuts_off_what_is_under_way(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ["s1"])
    begun = asyncio.Event()

    async def long(_: str) -> dict[str, Any]:
        begun.set()
        return await asyncio.Future()

    service = ArchiveService(scene.archiving, long)
    service.start()
    await begun.wait()
    await service.stop()
    assert service.archived == service.failed == 0


KEY = MintingKey("k", b"0" * 32)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    found = an_archive(tmp_path, LocalBackend(tmp_path / "objects"))
    for number in range(3):
        sale = Sale(f"PO-{number}", None, "fund", None, f"c-{number % 2}")
        given = material(tmp_path, f"s{number}", room=f"room-{number % 2}", sale=sale)
        found.deposit(given, passing, who="system")
    return found


@asynccontextmanager
async def served(archive: Archive) -> AsyncIterator[TestClient[Any, Any]]:
    verifier = TokenVerifier([KEY.verification()], max_ttl_s=3600, clock_skew_s=0)
    app = web.Application(middlewares=[problem_middleware])
    endpoint = ArchiveEndpoint(ArchiveCatalogue(archive.catalogue), verifier, system_clock)
    app.add_routes(endpoint.routes())
    async with TestClient(TestServer(app)) as client:
        yield client


def bearer(role: StaffRole = StaffRole.AUDITOR, rooms: list[str] | None = None) -> dict[str, str]:
    token = mint_staff_token(KEY, role=role, now_unix_s=time.time(), ttl_s=60, rooms=rooms)
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.net
@pytest.mark.parametrize(
    ("query", "rooms", "sessions"),
    [
        ("", None, ["s0", "s1", "s2"]),
        ("?room=room-0", None, ["s0", "s2"]),
        ("?order=PO-1", None, ["s1"]),
        ("?session=s2&state=archived", None, ["s2"]),
        ("?from=2000-01-01&to=2000-01-02", None, []),
        ("", ["room-1"], ["s1"]),
        ("?room=room-0", ["room-1"], []),
    ],
)
async def test_the_archive_is_searched(
    archive: Archive, query: str, rooms: list[str] | None, sessions: list[str]
) -> None:
    async with (
        served(archive) as client,
        client.get(f"/v1/archive{query}", headers=bearer(rooms=rooms)) as response,
    ):
        told = await response.json()
        assert response.status == 200, told
        assert sorted(one["session_id"] for one in told["deposits"]) == sessions
        assert response.headers["Cache-Control"] == "no-store"


async def test_a_session_tells_where_its_package_lies(archive: Archive) -> None:
    catalogue = ArchiveCatalogue(archive.catalogue)
    found = await catalogue.place_of("s1")
    assert found is not None
    assert archive.storage.head(found["key"]) is not None
    assert await catalogue.place_of("s9") is None


@pytest.mark.net
async def test_pages_follow_each_other_and_customers_are_found_by_post(archive: Archive) -> None:
    async with served(archive) as client:
        found, cursor = [], ""
        for _ in range(3):
            address = f"/v1/archive?limit=1{cursor}"
            async with client.get(address, headers=bearer()) as response:
                told = await response.json()
            found += [one["session_id"] for one in told["deposits"]]
            cursor = f"&cursor={told['next']}"
        assert told["next"] is None
        assert sorted(found) == ["s0", "s1", "s2"]
        async with client.post(
            "/v1/archive/search", json={"customer": "c-0"}, headers=bearer()
        ) as response:
            told = await response.json()
        assert sorted(one["session_id"] for one in told["deposits"]) == ["s0", "s2"]
        assert told["deposits"][0]["customer"] == {"crm_customer_id": "c-0"}


@pytest.mark.net
@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?customer=c-0", 400, "bad_message"),
        ("?limit=0", 400, "bad_message"),
        ("?limit=501", 400, "bad_message"),
        ("?state=gone", 400, "bad_message"),
        ("?from=2026-02-30", 400, "bad_message"),
        ("?room=a%20b", 400, "bad_message"),
        ("?cursor=AAAA", 400, "bad_message"),
        ("?order=11010519491231002X", 400, "bad_message"),
        ("?colour=red", 400, "bad_message"),
        ("?room=a&room=b", 400, "bad_message"),
    ],
)
async def test_questions_that_are_refused(
    archive: Archive, query: str, status: int, code: str
) -> None:
    async with (
        served(archive) as client,
        client.get(f"/v1/archive{query}", headers=bearer()) as response,
    ):
        assert (response.status, (await response.json())["code"]) == (status, code)


@pytest.mark.net
async def test_only_those_who_may_ask_are_answered(archive: Archive) -> None:
    async with served(archive) as client:
        token = mint_token(
            KEY, room="room-0", participant_id="c", role=Role.CUSTOMER, now_unix_s=time.time()
        )
        for headers, status in (
            ({}, 401),
            (bearer(StaffRole.DETECTOR), 403),
            ({"Authorization": f"Bearer {token}"}, 401),
        ):
            for method, path in (("GET", "/v1/archive"), ("POST", "/v1/archive/search")):
                async with client.request(method, path, headers=headers) as response:
                    assert response.status == status
        async with client.post("/v1/archive/search", data=b"{}", headers=bearer()) as response:
            assert response.status == 415
        body = b'{"order": "' + b"x" * 5_000 + b'"}'
        kind = {"Content-Type": "application/json"}
        async with client.post(
            "/v1/archive/search", data=body, headers=bearer() | kind
        ) as response:
            assert response.status == 413


@pytest.mark.net
async def test_a_server_does_not_start_with_an_archive_that_is_not_mounted(tmp_path: Path) -> None:
    settings = Settings(
        server=ServerConfig(port=0, drain_s=0),
        media=MediaConfig(engines=1, listen=("127.0.0.1",)),
        signaling=SignalingConfig(auth=AuthConfig(demo_key=True)),
        archive=ArchiveConfig(directory=tmp_path / "archive"),
    )
    server = WitnessServer(settings)
    with pytest.raises(StartError, match="witness archive init"):
        await server.start()
    await server.stop()
    assert not (tmp_path / "archive").exists()


def test_films_of_another_playback_directory_are_archived(tmp_path: Path) -> None:
    found = replace(archiving(tmp_path, films=True), playback=tmp_path / "films")
    film = tmp_path / "films" / "s1" / "film.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(b"film")
    again = Archiving.from_json(found.to_json())
    assert again == found
    assert again._material("s1", tmp_path / "packages" / "s1.zip").films == (film,)
