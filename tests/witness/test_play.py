from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from recorder.config import EvidenceConfig, RecordingConfig
from tests.recorder.evidence import record
from witness.demo_archive import DemoArchive, demo_of
from witness.play import Player, has_desktop

pytestmark = pytest.mark.net


async def test_the_link_opens_one_recording_for_a_purpose(tmp_path: Path) -> None:
    place = record(tmp_path / "recordings", "s1")
    player = Player(place, RecordingConfig(), EvidenceConfig())
    link = urlsplit(player.link(8080))
    assert (link.hostname, link.path, parse_qs(link.query)) == (
        "127.0.0.1", "/playback", {"session": ["s1"]},
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {link.fragment.removeprefix('token=')}"}
    jar = aiohttp.CookieJar(unsafe=True)
    async with TestClient(TestServer(player.app), cookie_jar=jar) as client:
        async with client.get("/playback") as page:
            assert page.status == 200
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
            assert page.headers["X-Frame-Options"] == "DENY"
        async with client.get("/v1/recordings/s1") as refused:
            assert refused.status == 401
        body = {"purpose": "training"}
        async with client.post("/v1/recordings/s1/views", json=body, headers=headers) as opened:
            assert opened.status == 201
        async with client.get("/v1/recordings/s1") as told:
            assert (await told.json())["session_id"] == "s1"
    assert (tmp_path / "recordings/_playback/s1/views.jsonl").is_file()


def test_a_demonstration_is_known_by_where_it_lies(tmp_path: Path) -> None:
    place = tmp_path / "demo-20261122-150000-00ff"
    session = place / "recordings" / "s1"
    session.mkdir(parents=True)
    assert demo_of(session) is None
    (place / "keys").mkdir()
    found = demo_of(session)
    assert isinstance(found, DemoArchive)
    assert found.evidence.packages_directory == place
    assert demo_of(tmp_path / "recordings" / "s1") is None


@pytest.mark.parametrize(
    ("environ", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
    ],
)
def test_a_browser_is_opened_where_somebody_sees_it(
    environ: dict[str, str], platform: str, there: bool
) -> None:
    assert has_desktop(environ, platform) is there
