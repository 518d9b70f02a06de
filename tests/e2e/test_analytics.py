"""Media of a real call reach a real detector, and the call doesn't care what becomes of it."""

import os
import signal
from pathlib import Path

import pytest

from analytics.config import AnalyticsConfig
from analytics.registry import BUILTIN
from recorder.config import RecordedRooms, RecordingConfig
from recorder.log import Event, read_events
from recorder.session_file import read_session
from tests.e2e.scene import frames, scene, settings, until
from witness.analytics_ways import EmbeddedWay
from witness.server import WitnessServer

pytestmark = [pytest.mark.net, pytest.mark.timeout(180)]

PATIENCE_S = 60.0
EVERYTHING_IS_BLACK: dict[str, object] = {
    "black_below": 255,
    "black_spread": 255,
    "black_after_s": 1.0,
}


def events(directory: Path) -> list[Event]:
    (place,) = (path.parent for path in directory.glob("*/session.json"))
    return list(read_events(place, read_session(place)))


async def test_a_detector_finds_and_its_host_may_die_without_anybody_noticing(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "r"
    directory.mkdir()
    detectors: dict[str, dict[str, object]] = {name: {"enabled": False} for name in BUILTIN}
    detectors["picture_health"] = EVERYTHING_IS_BLACK
    detectors["sound_health"] = {}
    recording = RecordingConfig(
        directory=directory, rooms=RecordedRooms.ALL, segment_seconds=1, buffer_mib=4
    )
    analytics = AnalyticsConfig(enabled=True, detectors=detectors)
    async with scene(settings(recording=recording, analytics=analytics)) as call:
        rm = await call.join("rm")
        await call.join("customer")
        await call.hears_and_sees(rm)
        server = call.server
        assert isinstance(server, WitnessServer)
        service = server.analytics
        assert service is not None
        assert isinstance(service.way, EmbeddedWay)
        await until(lambda: service.tap_count == 4, "taps", PATIENCE_S)
        watching = server.watching
        assert watching is not None
        findings = watching.findings
        await until(lambda: findings.open_count >= 2, "findings", PATIENCE_S)
        await until(lambda: service.totals.seconds["sound_health"] > 0, "sound", PATIENCE_S)
        metrics = await call.metrics()
        assert metrics["witness_analytics_host_up"] == 1
        assert metrics["witness_tap_tracks"] == 4
        assert metrics['witness_detector_seconds_total{plugin="picture_health"}'] > 0
        assert metrics['witness_tap_dropped_total{plugin="host",reason="no_reader"}'] == 0
        assert service.way.pid is not None
        os.kill(service.way.pid, signal.SIGKILL)
        await until(lambda: not service.has_host, "the end of the host", PATIENCE_S)
        assert service.tap_count == 0
        seen = frames(rm, "video")
        await until(lambda: frames(rm, "video") > seen + 10, "pictures")
        await until(lambda: service.tap_count == 4, "taps again", PATIENCE_S)
    told = events(directory)
    kinds = [event.type for event in told]
    assert kinds.count("finding") >= 2
    unknown = [event.payload for event in told if event.type == "analytics.unknown"]
    assert {"no_host"} <= {payload["cause"] for payload in unknown}
