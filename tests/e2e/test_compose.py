"""A recorded call becomes files that play: server, plane and composition together."""

import asyncio
import json
from pathlib import Path

import av
import numpy as np
import pytest

from recorder.compose.fonts import CANDIDATES
from recorder.summary import session_places
from tests.e2e.scene import scene, settings
from tests.e2e.test_recording import recorded
from witness.cli import main

pytestmark = [
    pytest.mark.net,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not Path(CANDIDATES[0]).exists(), reason="fonts-noto-cjk is not installed"),
]


@pytest.mark.parametrize("is_encrypted", [False, True])
async def test_a_recorded_call_becomes_files(
    is_encrypted: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    directory = tmp_path / "sessions"
    directory.mkdir()
    about = {"key_file": key} if is_encrypted else {}
    async with scene(settings(recording=recorded(directory, **about))) as made:
        rm, customer = await made.join("rm"), await made.join("customer")
        await made.hears_and_sees(rm)
        await made.hears_and_sees(customer)
        await asyncio.sleep(2)
    (place,) = session_places(directory)
    out = tmp_path / "out"
    given = ["compose", place.name, "--out", str(out), "--json"]
    monkeypatch.setenv("WITNESS_RECORDING__DIRECTORY", str(directory))
    monkeypatch.setenv("WITNESS_RECORDING__KEY_FILE", str(key))
    assert await asyncio.to_thread(main, given) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["tracks"]) == 4
    assert all(track["frames"] > 40 and track["missing_us"] == 0 for track in told["tracks"])
    with av.open(str(out / "film.mp4")) as film:
        pictures = [frame.to_ndarray()[:720] for frame in film.decode(video=0)]
    assert abs(len(pictures) / 25 - told["film"]["seconds"]) < 0.1
    moving = np.abs(pictures[-20].astype(int) - pictures[-15]).mean(axis=0)
    assert moving[:640].mean() > 0.2, "the left picture moves"
    assert moving[640:].mean() > 0.2, "the right picture moves"
    with av.open(str(out / "film.mp4")) as film:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    assert np.abs(sound).max() > 0.02
