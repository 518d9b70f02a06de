"""Watching recordings over HTTP, from the request to the log of views."""

import asyncio
import hashlib
import json
import random
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from recorder.config import EvidenceConfig, RecordingConfig
from recorder.envelope import MasterKeys
from recorder.errors import LogWriteError
from recorder.log import EventLog
from recorder.view_heads import read_heads
from recorder.views import playback_place, read_views
from sfu.model import Role
from signaling.auth import MintingKey, TokenVerifier
from signaling.clock import Instant
from signaling.problem import problem_middleware
from signaling.recordings import COOKIE, RecordingsEndpoint
from signaling.staff import StaffRole, mint_staff_token
from tests.recorder.evidence import Office, Shape, record
from tests.witness.test_sessions import KEY, bearer, staff
from witness import playback
from witness.cli import main
from witness.playback import PlaybackLibrary
from witness.playback_jobs import Jobs, JobsFullError
from witness.playback_worker import seal_film, verify_package
from witness.sealing import Verdict, judged
from witness_verify.steps import Result, Step

pytestmark = pytest.mark.net

WHY = {"purpose": "review", "note": ""}


@dataclass
class Place:
    """A server with recordings."""

    client: TestClient[Any, Any]
    root: Path
    library: PlaybackLibrary
    ahead_s: float = 0
    stands_s: float | None = None

    def clock(self) -> Instant:
        steady_s = time.monotonic() if self.stands_s is None else self.stands_s
        return Instant(steady_s + self.ahead_s, time.time() + self.ahead_s)

    async def asked(
        self, method: str, path: str, body: object = None, **more: Any
    ) -> tuple[int, Any]:
        more.setdefault("headers", {})
        async with self.client.request(
            method, f"/v1/recordings{path}", json=body, **more
        ) as response:
            return response.status, await response.json()

    async def opened(self, name: str = "s1", role: StaffRole = StaffRole.REVIEWER) -> str:
        status, told = await self.asked("POST", f"/{name}/views", WHY, headers=staff(role))
        assert status == 201, told
        return str(told["view"])


@asynccontextmanager
async def served(root: Path, keys: MasterKeys | None = None) -> AsyncIterator[Place]:
    recordings = root / "recordings"
    recordings.mkdir(exist_ok=True)
    (root / "packages").mkdir(exist_ok=True)
    recording = RecordingConfig(directory=recordings)
    evidence = EvidenceConfig(
        keys_directory=root / "office/keys",
        log_directory=root / "office/log",
        packages_directory=root / "packages",
        tsa_local=True,
    )
    place: Place

    def clock() -> Instant:
        return place.clock()

    library = PlaybackLibrary(recording, evidence, clock, keys)
    verifier = TokenVerifier([KEY.verification()], max_ttl_s=36_000, clock_skew_s=0)
    app = web.Application(middlewares=[problem_middleware], client_max_size=65_536)
    app.add_routes(RecordingsEndpoint(library, verifier, clock, secure=False).routes())
    jar = aiohttp.CookieJar(unsafe=True)
    async with TestClient(TestServer(app), cookie_jar=jar) as client:
        place = Place(client, root, library)
        yield place
        await library.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    record(tmp_path / "recordings", "s1", Shape(gaps=1))
    record(tmp_path / "recordings", "s2")
    async with served(tmp_path) as made:
        yield made


def views(place: Place, name: str = "s1") -> list[dict[str, Any]]:
    found = read_views(playback_place(place.root / "recordings/_playback", name))[1]
    return [view.to_json() for view in found]


WHO: list[tuple[dict[str, str], int, str]] = [
    ({}, 401, "unauthorized"),
    (bearer(Role.CUSTOMER), 401, "unauthorized"),
    (bearer(Role.RM), 401, "unauthorized"),
    (bearer(Role.EXPERT), 401, "unauthorized"),
    (staff(StaffRole.DETECTOR), 403, "forbidden"),
    (staff(StaffRole.AUDITOR, ttl_s=-1), 401, "token_expired"),
    ({"Authorization": "Bearer x.y.z"}, 401, "unauthorized"),
]


@pytest.mark.parametrize(("headers", "status", "code"), WHO)
async def test_who_may_not_watch_is_refused(
    place: Place, headers: dict[str, str], status: int, code: str
) -> None:
    for method, path, body in (("POST", "/search", {}), ("POST", "/s1/views", WHY)):
        got, told = await place.asked(method, path, body, headers=headers)
        assert (got, told["code"]) == (status, code)
    assert not (place.root / "recordings/_playback").exists()


async def test_those_who_may_find_what_is_theirs(place: Place) -> None:
    everything = staff(StaffRole.AUDITOR)
    search = {"q": "s", "state": "stopped", "limit": 1}
    status, told = await place.asked("POST", "/search", search, headers=everything)
    assert status == 200
    assert (len(told["recordings"]), told["before"]) == (1, told["recordings"][0]["session"])
    lines = (place.root / "recordings/_playback/searches.jsonl").read_text().splitlines()
    logged = json.loads(lines[-1])
    assert (logged["role"], logged["filters"]) == ("auditor", search)
    for headers in (staff(StaffRole.REVIEWER, rooms=["sale-9"]), bearer(Role.SUPERVISOR, "sale-9")):
        found = (await place.asked("POST", "/search", {}, headers=headers))[1]["recordings"]
        assert found == []
        status, told = await place.asked("POST", "/s1/views", WHY, headers=headers)
        assert (status, told["code"]) == (404, "unknown_session")
    for headers in (staff(StaffRole.REVIEWER, rooms=["sale-1"]), bearer(Role.SUPERVISOR)):
        found = (await place.asked("POST", "/search", {}, headers=headers))[1]["recordings"]
        assert len(found) == 2
    for wrong in (
        {"state": "x"}, {"limit": 0}, {"limit": "x"}, {"from": "yesterday"}, {"from_day": "x"},
        {"q": "\x00"}, {"owner": "1"}, [],
    ):  # fmt: skip
        status, told = await place.asked("POST", "/search", wrong, headers=everything)
        assert (status, told["code"]) == (400, "bad_message"), wrong


async def test_searches_and_views_of_a_viewer_are_bounded(place: Place) -> None:
    place.stands_s = time.monotonic()
    for path, body in (("/search", {}), ("/s1/views", WHY)):
        greedy = staff(StaffRole.AUDITOR, subject=f"a{len(path)}")
        answers = [(await place.asked("POST", path, body, headers=greedy))[0] for _ in range(62)]
        assert answers[-1] == 429
        other = staff(StaffRole.AUDITOR, subject="b")
        assert (await place.asked("POST", path, body, headers=other))[0] in {200, 201}


async def test_descriptions_of_a_view_are_bounded(place: Place) -> None:
    place.stands_s = time.monotonic()
    await place.opened()
    answers = [(await place.asked("GET", "/s1"))[0] for _ in range(12)]
    assert (answers[0], answers[-1]) == (200, 429)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"purpose": "curiosity"},
        {"purpose": "other"},
        {"purpose": "other", "note": "   "},
        {"purpose": "review", "note": "x" * 501},
        {"purpose": "review", "note": "\u0000"},
        {"purpose": "review", "note": 1},
        {"purpose": "review", "who": "somebody else"},
        [],
    ],
)
async def test_without_a_purpose_nothing_is_opened(place: Place, body: object) -> None:
    status, told = await place.asked("POST", "/s1/views", body, headers=staff(StaffRole.AUDITOR))
    assert (status, told["code"]) == (400, "bad_message")
    assert not (place.root / "recordings/_playback").exists()


async def test_without_a_view_nothing_is_shown(place: Place) -> None:
    paths = [
        ("GET", "/s1", None), ("GET", "/s1/work", None), ("GET", "/s1/film", None),
        ("GET", "/s1/package", None), ("POST", "/s1/film", {}), ("POST", "/s1/verification", {}),
    ]  # fmt: skip
    for method, path, body in paths:
        headers = staff(StaffRole.AUDITOR)
        status, told = await place.asked(method, path, body, headers=headers)
        assert (status, told["code"]) == (401, "no_view"), path
    await place.opened("s2")
    status, told = await place.asked("GET", "/s1", cookies={COOKIE: "guessed"})
    assert (status, told["code"]) == (401, "no_view")


async def test_a_view_shows_the_recording_for_an_hour(place: Place) -> None:
    view = await place.opened()
    status, told = await place.asked("GET", "/s1")
    assert status == 200
    assert (told["session_id"], told["viewer"]["purpose"]) == ("s1", "review")
    assert told["films"]["zh"] == told["verification"] == {"state": "none"}
    place.ahead_s = 3_601
    assert (await place.asked("GET", "/s1"))[0] == 401
    (logged,) = views(place)
    assert (logged["view"], logged["role"], logged["purpose"]) == (view, "reviewer", "review")


async def test_a_view_is_bound_to_its_recording_and_ends_with_the_token(place: Place) -> None:
    headers = staff(StaffRole.AUDITOR, ttl_s=60)
    async with place.client.post("/v1/recordings/s1/views", json=WHY, headers=headers) as response:
        cookie = response.cookies[COOKIE]
        told = await response.json()
    assert told["expires_in_s"] <= 60
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (
        True,
        "Strict",
        "/v1/recordings/s1",
    )
    status, _ = await place.asked("GET", "/s2", cookies={COOKIE: cookie.value})
    assert status == 401
    place.ahead_s = 61
    assert (await place.asked("GET", "/s1"))[0] == 401


async def test_unknown_recordings_are_unknown(place: Place) -> None:
    for name in ("nowhere", "_playback", "s1%2f..%2fs2"):
        status, told = await place.asked(
            "POST", f"/{name}/views", WHY, headers=staff(StaffRole.AUDITOR)
        )
        assert (status, told["code"]) == (404, "unknown_session"), name


async def test_every_range_of_the_film_is_logged_before_it_is_sent(place: Place) -> None:
    await place.opened()
    folder = playback_place(place.root / "recordings/_playback", "s1")
    assert (await place.asked("GET", "/s1/film"))[0] == 404
    film = bytes(range(256)) * 4
    (folder / "film-zh.mp4").write_bytes(film)
    (folder / "film-zh.json").write_text(json.dumps({"seconds": 30.0, "uploads": 0}))
    for given, status, span in (
        ({}, 200, (0, 1024)),
        ({"Range": "bytes=100-199"}, 206, (100, 200)),
        ({"Range": "bytes=1000-"}, 206, (1000, 1024)),
        ({"Range": "bytes=-24"}, 206, (1000, 1024)),
        ({"Range": "bytes=0-1,4-5"}, 416, None),
        ({"Range": "bytes=5000-"}, 416, None),
        ({"Range": "bytes=0-9", "If-Range": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200, (0, 1024)),
    ):
        async with place.client.get("/v1/recordings/s1/film", headers=given) as response:
            assert response.status == status, given
            data = await response.read()
        if span is not None:
            assert data == film[slice(*span)], given
    status, told = await place.asked("GET", "/s1")
    assert told["films"]["zh"] == {"state": "done", "seconds": 30.0, "uploads": 0}
    (logged,) = views(place)
    assert logged["requests"] == 5
    assert logged["fetched_bytes"]["film"] >= 1024 + 100 + 24 + 24 + 1024


async def until_done(place: Place, what: str) -> dict[str, Any]:
    for _ in range(600):
        told = (await place.asked("GET", "/s1/work"))[1]
        found = told["films"]["zh"] if what == "film" else told[what]
        if found["state"] not in {"queued", "running"}:
            return dict(found)
        await asyncio.sleep(0.2)
    raise AssertionError(f"no {what}")


async def test_the_real_verifier_says_what_a_package_is(place: Place) -> None:
    await place.opened()
    assert (await place.asked("POST", "/s1/verification", {}))[0] == 404
    office = Office.made(place.root / "office")
    sealed = await asyncio.to_thread(
        office.seal, place.root / "recordings/s1", place.root / "packages/s1.zip"
    )
    status, told = await place.asked("POST", "/s1/verification", {})
    assert status == 202
    assert told["verification"]["state"] in {"queued", "running"}
    found = await until_done(place, "verification")
    assert (found["exit"], found["code"], found["package"]) == (1, None, sealed.package)
    async with place.client.get("/v1/recordings/s1/package") as response:
        data = await response.read()
        assert "attachment" in response.headers["Content-Disposition"]
    assert len(data) == found["bytes"]
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    sealed.path.write_bytes(damaged)
    assert (await place.asked("GET", "/s1/work"))[1]["verification"] == {"state": "none"}
    await place.asked("POST", "/s1/verification", {})
    found = await until_done(place, "verification")
    assert found["exit"] == 2
    assert found["code"]
    assert views(place)[0]["fetched_bytes"] == {"package": len(data)}


async def test_why_work_failed_is_for_the_log(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    await place.opened()
    (about, *_) = place.root.glob("**/s1/tracks/*/track.json")
    about.write_text("{}")
    status, told = await place.asked("POST", "/s1/film", {"language": "zh"})
    assert status == 202
    assert told["films"]["zh"]["state"] in {"queued", "running"}
    found = await until_done(place, "film")
    assert (found["state"], "error" in found) == ("failed", False)
    assert "work on a recording failed" in caplog.text
    assert str(place.root) not in json.dumps(found)
    for body in ({"language": "fr"}, {"layout": "x"}):
        assert (await place.asked("POST", "/s1/film", body))[0] == 400
    headers = {"Origin": "https://elsewhere.example"}
    assert (await place.asked("POST", "/s1/film", {}, headers=headers))[0] == 403


async def test_a_damaged_log_of_views_lets_nobody_in(place: Place) -> None:
    await place.opened()
    await place.library.close()
    path = playback_place(place.root / "recordings/_playback", "s1") / "views.jsonl"
    path.write_bytes(path.read_bytes().replace(b"review", b"revieW"))
    status, told = await place.asked("POST", "/s1/views", WHY, headers=staff(StaffRole.AUDITOR))
    assert (status, told["code"]) == (503, "internal")


async def test_requests_of_a_view_are_bounded(place: Place) -> None:
    place.stands_s = time.monotonic()
    await place.opened()
    answers = [(await place.asked("GET", "/s1/work"))[0] for _ in range(210)]
    assert 429 in answers


async def test_as_much_work_waits_as_may() -> None:
    jobs = Jobs(limit=2)
    for number in range(2):
        jobs.ask(f"k{number}", {})
    assert jobs.ask("k1", {}) is jobs.get("k1")
    with pytest.raises(JobsFullError):
        jobs.ask("k2", {})
    assert (jobs.refused, jobs.waiting) == (1, 2)
    await jobs.close()


def test_staff_tokens_hold_nothing_wrong() -> None:
    key = MintingKey("k", b"0" * 32)
    for wrong in ({"subject": "a b"}, {"rooms": ["."]}, {"name": "\u202e"}):
        with pytest.raises(ValueError, match=r"of A-Z|characters"):
            mint_staff_token(key, role=StaffRole.AUDITOR, now_unix_s=0, ttl_s=1, **wrong)  # type: ignore[arg-type]


async def test_a_range_that_is_none_is_refused_and_logged_as_nothing(place: Place) -> None:
    await place.opened()
    folder = playback_place(place.root / "recordings/_playback", "s1")
    (folder / "film-zh.mp4").write_bytes(bytes(2000))
    for given in ("bytes=1000-0", "bytes=9-8", "bytes=5000-", "bytes=0-1,4-5", "lines=1-2"):
        async with place.client.get("/v1/recordings/s1/film", headers={"Range": given}) as answer:
            assert answer.status == 416, given
    assert views(place)[0]["requests"] == 0
    async with place.client.get("/v1/recordings/s1/film", headers={"Range": "bytes=-0"}) as answer:
        sent = len(await answer.read())
    assert views(place)[0]["fetched_bytes"] == {"film": sent}


async def test_films_of_encrypted_recordings_lie_encrypted(tmp_path: Path) -> None:
    record(tmp_path / "recordings", "s1")
    keys = MasterKeys(bytes(range(32)))
    async with served(tmp_path, keys) as place:
        await place.opened()
        folder = playback_place(tmp_path / "recordings/_playback", "s1")
        film, made = folder / "film-zh.mp4", tmp_path / "made.mp4"
        film.write_bytes(b"plain, from before there was a key")
        assert (await place.asked("GET", "/s1/film"))[0] == 404
        content = random.Random(1).randbytes(2_500_000)
        made.write_bytes(content)
        seal_film(made, film, keys)
        (folder / "film-zh.json").write_text("{}")
        assert not film.exists()
        assert all(content[:64] not in path.read_bytes() for path in folder.iterdir())
        for given, status, span in (
            ({}, 200, (0, 2_500_000)),
            ({"Range": "bytes=1048000-1049000"}, 206, (1_048_000, 1_049_001)),
            ({"Range": "bytes=2499999-"}, 206, (2_499_999, 2_500_000)),
            ({"Range": "bytes=-5"}, 206, (2_499_995, 2_500_000)),
            ({"Range": "bytes=0-", "If-Range": "x"}, 200, (0, 2_500_000)),
        ):
            async with place.client.get("/v1/recordings/s1/film", headers=given) as answer:
                assert (answer.status, await answer.read() == content[slice(*span)]) == (
                    status,
                    True,
                ), given
        assert (await place.asked("GET", "/s1/work"))[1]["films"]["zh"]["state"] == "done"
        async with place.client.get(
            "/v1/recordings/s1/film", headers={"Range": "bytes=2500000-"}
        ) as answer:
            assert answer.status == 416
        assert views(place)[0]["fetched_bytes"] == {"film": 5_000_000 + 1001 + 1 + 5}


async def test_plain_films_and_halves_of_them_are_swept_where_there_is_a_key(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "recordings/_playback/s1"
    (folder / "film-zh.making").mkdir(parents=True)
    (folder / "film-zh.making/film.mp4").write_bytes(b"half")
    (folder / "film-en.mp4").write_bytes(b"plain")
    async with served(tmp_path) as place:
        place.library.sweep()
        assert [path.name for path in folder.iterdir()] == ["film-en.mp4"]
    async with served(tmp_path, MasterKeys(bytes(32))) as place:
        place.library.sweep()
        assert not list(folder.iterdir())


async def test_one_viewer_ends_his_own_views_only(place: Place) -> None:
    await place.opened("s1", StaffRole.AUDITOR)
    (cookie,) = [one for one in place.client.session.cookie_jar if one.key == COOKIE]
    for _ in range(playback._MAX_OWN_VIEWS + 3):
        who = staff(StaffRole.REVIEWER, subject="r-1")
        assert (await place.asked("POST", "/s1/views", WHY, headers=who))[0] == 201
    assert place.library.view("s1", cookie.value).who.role is StaffRole.AUDITOR
    assert len(place.library._open) == playback._MAX_OWN_VIEWS + 1


async def test_logs_are_closed_off_the_loop_and_their_faults_are_nobodys(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playback, "_MAX_LOGS", 1)
    loop_thread, closed_in = threading.get_ident(), []
    close = EventLog.close

    def refusing(log: EventLog) -> None:
        closed_in.append(threading.get_ident())
        close(log)
        raise LogWriteError("the event log can't be written: {reason}", reason="full")

    monkeypatch.setattr(EventLog, "close", refusing)
    for name in ("s1", "s2", "s1"):
        await place.opened(name)
    assert len(closed_in) == 2
    assert loop_thread not in closed_in


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import time; time.sleep(60)", "said nothing"),
        ("print('[1]')", "no object"),
        ("print('{')", "JSONDecodeError"),
        ("pass", "without a word"),
    ],
)
async def test_a_worker_that_hangs_or_babbles_fails_and_the_next_one_runs(
    tmp_path: Path, script: str, said: str
) -> None:
    jobs = Jobs(limit=2, silence_s=1.0, command=(sys.executable, "-c", script))
    half = tmp_path / "film-zh.making"
    if "sleep" in script:
        half.mkdir()
    first = jobs.ask("k1", {"film": str(tmp_path / "film-zh.mp4")})
    second = jobs.ask("k2", {})
    assert jobs._task is not None
    await jobs._task
    assert (first.state, second.state, jobs.failed) == ("failed", "failed", 2)
    assert said in first.error
    assert not half.exists()


def test_a_stamp_of_an_unknown_authority_fails_no_package() -> None:
    steps = [Step("signatures", "pass"), Step("timestamp", "unknown", "timestamp_unknown")]
    assert judged(Result(steps)) == Verdict(0, "")
    assert judged(Result([*steps, Step("tracks", "gaps")])) == Verdict(1, "")
    assert judged(Result([*steps, Step("log", "fail", "hole")])) == Verdict(2, "hole")


async def test_the_page_is_told_of_a_stamp_of_an_unknown_authority(tmp_path: Path) -> None:
    place = record(tmp_path / "recordings", "s1")
    office = Office.made(tmp_path / "office")
    office.seal(place, tmp_path / "s1.zip")
    trust = [str(path) for path in office.trust if path.name != "tsa.crt"]
    task = {"package": str(tmp_path / "s1.zip"), "trust": trust, "result": str(tmp_path / "v")}
    told = verify_package(task)
    assert (told["exit"], told["code"], told["timestamp"]) == (0, None, "unknown")


@pytest.mark.parametrize("fault", ["none", "cut", "changed", "left out", "swapped", "spaced"])
async def test_a_log_of_searches_that_was_changed_shows(
    place: Place, fault: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for who, text in (("a-1", "s1"), ("b-2", "sale"), ("a-1", "s2")):
        headers = staff(StaffRole.AUDITOR, subject=who)
        assert (await place.asked("POST", "/search", {"q": text}, headers=headers))[0] == 200
    monkeypatch.setenv("WITNESS_RECORDING__DIRECTORY", str(place.root / "recordings"))
    path = place.root / "recordings/_playback/searches.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    head = hashlib.sha256(lines[-1]).hexdigest()
    changed = {
        "none": lines,
        "cut": lines[:2],
        "changed": [lines[0], lines[1].replace(b"b-2", b"c-3"), lines[2]],
        "left out": [lines[0], lines[2]],
        "swapped": [lines[1], lines[0], lines[2]],
        "spaced": [lines[0].replace(b":", b": ", 1), *lines[1:]],
    }[fault]
    path.write_bytes(b"".join(changed) + b'{"at": half a line')
    command = ["recordings", "searches", "--who", "a-1", "--head", head, "--json"]
    code = await asyncio.to_thread(main, command)
    shown = capsys.readouterr()
    if fault == "none":
        told = json.loads(shown.out)
        assert (code, told["lines"], told["head"]) == (0, 3, head)
        assert [one["filters"] for one in told["searches"]] == [{"q": "s1"}, {"q": "s2"}]
        assert await asyncio.to_thread(main, ["recordings", "searches"]) == 0
        assert "3 lines" in capsys.readouterr().out
    else:
        assert code != 0
        said = "no line with the digest" if fault == "cut" else "of the log of searches is not"
        assert said in shown.err


@pytest.mark.parametrize("fault", ["none", "cut", "removed", "begun anew", "heads changed"])
async def test_a_log_of_views_that_was_cut_or_removed_shows(
    place: Place, fault: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.opened()
    own = place.root / "recordings/_playback"
    (own / "s1/film-zh.mp4").write_bytes(bytes(100))
    async with place.client.get("/v1/recordings/s1/film") as answer:
        assert len(await answer.read()) == 100
    await place.library.close()
    monkeypatch.setenv("WITNESS_RECORDING__DIRECTORY", str(place.root / "recordings"))
    path, heads = own / "s1/views.jsonl", own / "heads.jsonl"
    match fault:
        case "cut":
            path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
        case "removed" | "begun anew":
            shutil.rmtree(own / "s1")
            if fault == "begun anew":
                await place.opened()
                await place.library.close()
        case "heads changed":
            heads.write_bytes(heads.read_bytes().replace(b'"seq":1', b'"seq":9'))
    code = await asyncio.to_thread(main, ["recordings", "views", "s1"])
    shown = capsys.readouterr()
    if fault == "none":
        assert code == 0
        assert "2 noted heads are in it" in shown.out
    else:
        said = {
            "cut": "line 2 is missing",
            "removed": "was removed",
            "begun anew": "was begun anew",
            "heads changed": "line 2 of the heads",
        }
        assert code != 0
        assert said[fault] in shown.err


async def test_logs_of_views_are_synced_and_noted_without_a_next_request(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playback, "_SYNC_S", 0.01)
    await place.opened()
    own = place.root / "recordings/_playback"
    (own / "s1/film-zh.mp4").write_bytes(bytes(100))
    async with place.client.get("/v1/recordings/s1/film"):
        pass
    assert set(read_heads(own, "s1")) == {1}
    place.ahead_s = 61
    assert place.library._keeping is not None
    await asyncio.wait_for(place.library._keeping, 10)
    assert set(read_heads(own, "s1")) == {1, 2}
