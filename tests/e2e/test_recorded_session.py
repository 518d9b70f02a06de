"""A call that an RM records by HTTP: from ``start`` to a package that verifies."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from recorder.config import RecordedRooms, RecordingConfig
from recorder.log import read_events
from recorder.session_file import read_session
from tests.e2e.scene import Scene, scene, settings
from tests.recorder.evidence import Office
from witness_verify import verify
from witness_verify.asn1 import load_pem

pytestmark = [pytest.mark.net, pytest.mark.timeout(180)]


def recording(directory: Path) -> RecordingConfig:
    directory.mkdir()
    return RecordingConfig(
        directory=directory, rooms=RecordedRooms.NONE, segment_seconds=1, buffer_mib=4
    )


async def asked(made: Scene, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {await made.token('rm')}"}
    url = f"{made.server.url}/v1/sessions{path}"
    async with made.session.request(method, url, json=body, headers=headers) as response:
        return response.status, await response.json()


async def test_a_recorded_call_becomes_a_package_that_verifies(tmp_path: Path) -> None:
    async with scene(settings(recording=recording(tmp_path / "recordings"))) as made:
        status, session = await asked(made, "POST", "", {"room": "call"})
        name = session["session_id"]
        assert status == 201
        status, told = await asked(made, "POST", f"/{name}/commands", {"command": "start"})
        assert (status, told["code"]) == (409, "wrong_state"), "nobody is there"
        rm, customer = await made.join("rm"), await made.join("customer")
        await made.hears_and_sees(rm)
        await made.hears_and_sees(customer)
        name = (await asked(made, "POST", "", {"room": "call"}))[1]["session_id"]
        for command in (
            {"command": "start"},
            {"command": "next", "node": "risk"},
            {"command": "pause"},
            {"command": "resume"},
            {"command": "re_record", "node": "risk"},
            {"command": "stop"},
        ):
            status, told = await asked(made, "POST", f"/{name}/commands", command)
            assert status == 200, told
            await asyncio.sleep(1)
        timeline = (await asked(made, "GET", f"/{name}/timeline"))[1]
        assert len(timeline["tracks"]) == 4
        assert all(track["captured_us"] for track in timeline["tracks"])
    office = Office.made(tmp_path / "office")
    sealed = office.seal(tmp_path / "recordings" / name, tmp_path / "s.zip")
    trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
    with sealed.path.open("rb") as file:
        result = verify(file, trusted)
    assert result.exit_code == 1, result.steps
    assert sealed.segments >= 4


async def test_a_room_that_closes_ends_its_recording(tmp_path: Path) -> None:
    directory = tmp_path / "recordings"
    async with scene(settings(recording=recording(directory))) as made:
        person = await made.join("rm", sends="a")
        name = (await asked(made, "POST", "", {"room": "call"}))[1]["session_id"]
        assert (await asked(made, "POST", f"/{name}/commands", {"command": "start"}))[0] == 200
        await asyncio.sleep(0.5)
        await person.leave()
    events = list(read_events(directory / name, read_session(directory / name)))
    kinds = [event.type for event in events]
    assert kinds.count("recording.stopped") == 1
