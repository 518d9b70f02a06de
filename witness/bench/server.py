"""The process under test: the server as ``witness serve`` makes it, and a way to ask it.

Commands come as JSON lines on standard input, each gets one line on standard output. Reading them
is the only thing this process does beside serving.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from recorder.config import RecordingConfig
from sfu.config import SfuConfig
from signaling.config import (
    Algorithm,
    AuthConfig,
    KeyConfig,
    LimitsConfig,
    SignalingConfig,
    WebConfig,
)
from witness.bench.machine import prefer
from witness.bench.watched import Watched
from witness.config import HttpLimits, LogConfig, LogLevel, MediaConfig, ServerConfig, Settings
from witness.engines import prefer_engines
from witness.logs import configure_logging
from witness.runner import freeze_heap, run_until_complete
from witness.server import WitnessServer

__all__ = ["KEY_ID", "main"]

KEY_ID = "bench"
_MANY = 100_000
_UNLIMITED_BPS = 10_000_000_000


def main() -> int:
    """Serves until standard input ends."""
    options = json.loads(sys.stdin.readline())
    prefer()
    if options["cpus"]:
        os.sched_setaffinity(0, options["cpus"])
    return run_until_complete(_serve(options))


def _settings(options: Mapping[str, Any]) -> Settings:
    """Defaults, with room for many participants from one address."""
    key = KeyConfig(kid=KEY_ID, algorithm=Algorithm.HS256, secret=options["secret"])
    # Estimates are made, and packets wait for them, as in production.
    links = {"max_bitrate_bps": _UNLIMITED_BPS} if options.get("wide_links") else {}
    return Settings(
        server=ServerConfig(
            port=0,
            drain_s=0,
            limits=HttpLimits(connections=_MANY + 1, connections_per_address=_MANY),
        ),
        log=LogConfig(level=LogLevel.WARNING),
        media=MediaConfig(
            engines=options["engines"],
            listen=("127.0.0.1",),
            max_rooms_per_engine=_MANY,
            max_transports_per_engine=_MANY,
            **links,
        ),
        sfu=SfuConfig(max_rooms=_MANY),
        recording=RecordingConfig(
            directory=options.get("recording"), segment_seconds=options.get("segment_s", 10)
        ),
        signaling=SignalingConfig(
            resume_window_s=options.get("resume_window_s", 60.0),
            web=WebConfig(heartbeat_s=options.get("heartbeat_s", 20.0)),
            auth=AuthConfig(keys=(key,)),
            limits=LimitsConfig(connections=_MANY, connections_per_address=_MANY),
        ),
    )


async def _serve(options: Mapping[str, Any]) -> int:
    settings = _settings(options)
    configure_logging(settings.log)
    server = WitnessServer(settings)
    await server.start()
    prefer_engines()
    freeze_heap()
    watched = Watched(server)
    try:
        scheduling = [engine.scheduling for engine in server.engines]
        _reply({"url": server.url, "scheduling": scheduling})
        await _answer_commands(server, watched)
    finally:
        await watched.stop()
        await server.stop()
    return 0


async def _answer_commands(server: WitnessServer, watched: Watched) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            command = json.loads(line)
            match command["do"]:
                case "watch":
                    await watched.start(
                        hanging=bool(command.get("hanging", 0)),
                        flooding=bool(command.get("flooding", 0)),
                    )
                    _reply({})
                case "unwatch":
                    await watched.stop()
                    _reply({})
                case "findings":
                    _reply(watched.told())
                case name:
                    _reply(_carry_out(server, name, float(command.get("seconds", 0))))
    finally:
        transport.close()


def _carry_out(server: WitnessServer, name: str, seconds: float) -> dict[str, Any]:
    match name:
        case "counters":
            return {"engines": [_counters(engine.snapshot()) for engine in server.engines]}
        case "record":
            assert server.recording is not None
            for room in server.hub.sfu.rooms.values():
                server.recording.record(room)
        case "unrecord":
            for room in server.hub.sfu.rooms.values():
                room.stop_capture()
        case "captured":
            # Figures are those of about a second ago; so is the rate that is made of them.
            stats = [engine.snapshot().capture for engine in server.engines]
            known = [item for item in stats if item is not None]
            return {
                "bytes": sum(item.written_bytes for item in known),
                "dropped": sum(item.dropped for item in known),
                "packets": sum(item.written_packets for item in known),
                "segments": sum(item.segments for item in known),
                "tracks": sum(item.tracks for item in known),
                "lag_s": max((item.lag_s for item in known), default=0.0),
                "rooms": sum(room.capture is not None for room in server.hub.sfu.rooms.values()),
                "at_s": time.monotonic(),
            }
        case "block":
            _block(seconds)
        case "collect":
            _collect(seconds)
    return {}


def _counters(snapshot: Any) -> dict[str, Any]:
    counters = snapshot.counters
    return {
        "rooms": snapshot.rooms,
        "packets_in": sum(counters.rtp_packets_in),
        "packets_out": sum(counters.rtp_packets_out),
        "bytes_out": sum(counters.rtp_bytes_out),
        "dropped": {reason: count for reason, count in counters.dropped.items() if count},
        "delay_buckets": list(counters.forward_delay_buckets),
        "media_memory_bytes": sum(item.memory_bytes for item in snapshot.transports),
    }


def _block(seconds: float) -> None:
    """A handler that computes and never awaits, with the interpreter's lock held."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        sum(range(1_000))


def _collect(seconds: float) -> None:
    """Makes so much garbage in cycles that collecting it takes about ``seconds`` at a stretch."""
    started_s = time.monotonic()
    count = 200_000
    while time.monotonic() - started_s < 20 * seconds:
        gc.disable()
        cycles: list[Any] = []
        for _ in range(count):
            cycles.append([])
            cycles[-1].append(cycles[-1])
        cycles.clear()
        before_s = time.monotonic()
        gc.collect()
        took_s = time.monotonic() - before_s
        gc.enable()
        if took_s >= seconds:
            return
        count = min(int(count * max(1.5, seconds / max(took_s, 0.001))), 20_000_000)


def _reply(data: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
