"""``witness demo``: a server, two participants with real media, a report, and their recording."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from analytics.cards import all_cards
from analytics.config import AnalyticsConfig
from analytics.registry import the_registry
from loadtest.addresses import local_addresses
from loadtest.errors import LoadtestError
from loadtest.participant import Participant, ReceivedTrack, TrackReport
from loadtest.signal import SignalConfig
from loadtest.sinks import AudioSink, VideoSink, audio_delay_s
from loadtest.sources import MEDIA_DIR, ClipVideo, SpeechAudio, load_clip, load_speech
from sfu.addresses import host_addresses
from sfu.config import SfuConfig
from signaling.config import AuthConfig, SignalingConfig
from witness.config import LogConfig, LogLevel, MediaConfig, ServerConfig, Settings
from witness.demo_archive import DemoArchive, default_directory
from witness.demo_report import Line, problems, render_json, render_table
from witness.demo_story import DETECTORS, LEAST_S, SCENES, Story
from witness.errors import DemoError
from witness.i18n import language, t
from witness.logs import configure_logging
from witness.runner import run_until_complete
from witness.server import WitnessServer

__all__ = ["DemoOptions", "run"]

_ROOM = "demo"


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    clip: str
    speech: str
    pitch: float


_PEOPLE = {
    "rm": _Person("李明 Li Ming", "carphone.mp4", "zh_tts1.wav", 0.8),
    "customer": _Person("王芳 Wang Fang", "figure.mp4", "zh_tts0.wav", 1.05),
}
_FRAMES_PER_S = {"audio": 50, "video": 25}
_CONNECT_TIMEOUT_S = 20.0
_DETECTORS_TIMEOUT_S = 45.0
"""Models take a while to load on a busy machine; those that are missing are not waited for."""
_PROGRESS_S = 5.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Command line of ``witness demo``."""

    port: int = 8080
    seconds: float = 20.0
    keep: bool = False
    as_json: bool = False
    directory: Path | None = None


def run(options: DemoOptions) -> int:
    """Runs the demonstration; returns the exit code.

    Raises:
        DemoError: the call did not work, or its package does not pass; the text says why.
    """
    archive = DemoArchive.begin(options.directory or default_directory(os.environ))
    lines = run_until_complete(_demo(options, archive))
    made = archive.finish()
    if lines and not made:
        raise DemoError(t("nothing was recorded"))
    if lines and options.as_json and not options.keep:
        _print(render_json(lines, [], [one.to_json() for one in made]))
    for one in made:
        _say(options, "\n" + "\n".join(one.lines()))
        if one.code:
            text = t("the package does not pass: {code}; see `witness verify {path}`")
            raise DemoError(text.format(code=one.code, path=one.package))
    _say(options, t("everything of it lies in {path}").format(path=archive.place))
    return 0


async def _demo(options: DemoOptions, archive: DemoArchive) -> list[Line]:
    """The call; what everybody received, nothing if it was interrupted before the report."""
    configure_logging(LogConfig(level=LogLevel.WARNING))
    # A decoder that starts between two keyframes complains; it has what it needs a moment later.
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    # The report tells how many pictures were decoded; on a busy machine some are not.
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    # What the host of detectors lacks is told in the lines of the demonstration.
    logging.getLogger("analytics.host").setLevel(logging.ERROR)
    server = WitnessServer(_settings(options.port, archive))
    await server.start()
    try:
        _say(options, t("server:      {url}").format(url=server.url))
        _say(
            options,
            t("join it with a browser on this machine: {url}").format(
                url=f"{server.url}/?room={_ROOM}&role=expert"
            ),
        )
        return await _call(server, options)
    finally:
        await server.stop()


async def _call(server: WitnessServer, options: DemoOptions) -> list[Line]:
    people: dict[str, Participant] = {}
    async with aiohttp.ClientSession() as session:
        try:
            with local_addresses(["127.0.0.1"]):
                people = await _join(server.url, session)
                await _connected(people)
                story = _story(people, options)
                for person in people.values():
                    await person.agree()
                ready = await _watched(server, options)
            stop = _stop_wish() if options.keep else asyncio.Event()
            _say(options, t("{count} participants are connected").format(count=len(people)))
            started_s = time.monotonic()
            scenes = [scene for scene in SCENES if scene.detector in ready]
            playing = story.play(scenes if options.seconds >= LEAST_S else ())
            await _wait(people, options, stop, playing)
            if stop.is_set():
                return []
            lines = await _lines(people, time.monotonic() - started_s)
            failures = _failures(people, lines)
            if not options.as_json:
                _print(f"\n{render_table(lines)}\n")
            elif options.keep or failures:
                _print(render_json(lines, failures))
            if options.keep and not failures:
                _say(options, t("staying up; Ctrl+C ends it"))
                await stop.wait()
        except LoadtestError as error:
            raise DemoError(t("the call failed: {reason}").format(reason=error)) from error
        finally:
            await asyncio.gather(*(person.leave() for person in people.values()))
    if failures:
        raise DemoError("\n".join(failures))
    return lines


async def _join(url: str, session: aiohttp.ClientSession) -> dict[str, Participant]:
    """Both participants, joined and negotiated."""
    people: dict[str, Participant] = {}
    for role, person in _PEOPLE.items():
        sources = {
            "microphone": SpeechAudio(load_speech(MEDIA_DIR / person.speech, person.pitch)),
            "camera": ClipVideo(load_clip(MEDIA_DIR / person.clip), _FRAMES_PER_S["video"]),
        }
        token = await _token(url, session, role, person.name)
        people[role] = Participant(SignalConfig(url, token), session, sources)
        await people[role].start()
    return people


async def _watched(server: WitnessServer, options: DemoOptions) -> frozenset[str]:
    """Waits until detectors watch the call, and says which do; it goes on without them, too."""
    watching = server.watching
    if watching is None or server.analytics is None:
        return frozenset()
    lacking = await asyncio.to_thread(_lacking, server.settings.analytics)
    _say(options, t("waiting for detectors to load their models"))
    deadline_s = time.monotonic() + _DETECTORS_TIMEOUT_S
    while True:
        if watching.findings.ready >= DETECTORS - lacking or time.monotonic() >= deadline_s:
            break
        await asyncio.sleep(0.05)
    ready, lang = watching.findings.ready, language(os.environ)
    told = t("watched by:  {count} detectors").format(count=len(ready))
    _say(options, told)
    titles = {name: card.title for name, card in watching.findings.cards.items()}
    for name in sorted(DETECTORS - ready):
        reason = t("its models are missing, see `witness models install`")
        if name not in lacking:
            reason = t("it is not loaded yet")
        text = t("not watched: {title}: {reason}")
        _say(options, text.format(title=getattr(titles[name], lang), reason=reason))
    return ready


def _lacking(config: AnalyticsConfig) -> frozenset[str]:
    """Detectors of the story whose models are not installed."""
    cards = all_cards(the_registry(), config)["detectors"]
    return frozenset(
        card["name"]
        for card in cards
        if card["name"] in DETECTORS and any(model["sha256"] is None for model in card["models"])
    )


def _story(people: dict[str, Participant], options: DemoOptions) -> Story:
    """Something goes wrong in the call, and what is found of it is told as the RM hears of it."""
    names = {one.participant_id: _PEOPLE[role].name for role, one in people.items()}
    cameras = {role: _camera(person) for role, person in people.items()}
    story = Story(cameras, names, partial(_say, options), language(os.environ))
    people["rm"].heard = story.heard
    return story


def _camera(person: Participant) -> ClipVideo:
    camera = person.source("camera")
    assert isinstance(camera, ClipVideo)
    return camera


async def _token(url: str, session: aiohttp.ClientSession, role: str, name: str) -> str:
    body = {"room": _ROOM, "role": role, "name": name}
    async with session.post(f"{url}/v1/demo/tokens", json=body) as response:
        if response.status != 200:
            raise DemoError(
                t("the server signs no token (HTTP {status})").format(status=response.status)
            )
        return str((await response.json())["token"])


async def _connected(people: dict[str, Participant]) -> None:
    """Waits until everyone is connected and subscribed to the other's two tracks."""
    deadline_s = time.monotonic() + _CONNECT_TIMEOUT_S
    while True:
        missing = [
            role
            for role, person in people.items()
            if person.connection_state != "connected" or len(person.received) < 2
        ]
        if not missing:
            return
        broken = [person.failure for person in people.values() if person.failure]
        if broken or time.monotonic() > deadline_s:
            reason = (
                broken[0]
                if broken
                else t("no connection within {seconds} s").format(seconds=int(_CONNECT_TIMEOUT_S))
            )
            raise DemoError(f"{', '.join(missing)}: {reason}")
        await asyncio.sleep(0.05)


async def _wait(
    people: dict[str, Participant],
    options: DemoOptions,
    stop: asyncio.Event,
    playing: Coroutine[None, None, None],
) -> None:
    """For the length of the call, and until its story has ended; or until ``stop``."""

    async def call() -> None:
        await asyncio.gather(asyncio.sleep(options.seconds), playing)

    ends = [asyncio.create_task(call()), asyncio.create_task(stop.wait())]
    try:
        while not await _is_over(ends):
            _say_progress(people, options)
        if ends[0].done():
            ends[0].result()
    finally:
        for task in ends:
            task.cancel()


async def _is_over(ends: "list[asyncio.Task[Any]]") -> bool:
    done, _ = await asyncio.wait(ends, timeout=_PROGRESS_S, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


def _say_progress(people: dict[str, Participant], options: DemoOptions) -> None:
    counts = ", ".join(
        f"{role} {sum(track.sink.frames for track in person.received.values())}"
        for role, person in people.items()
    )
    _say(options, t("frames decoded so far: {counts}").format(counts=counts))


async def _lines(people: dict[str, Participant], elapsed_s: float) -> list[Line]:
    roles = {person.participant_id: role for role, person in people.items()}
    lines = []
    for role, person in people.items():
        rtt_s = await person.rtt_s()
        for report in sorted(await person.reports(), key=lambda r: (r.participant_id, r.kind)):
            track = person.received[report.track_id]
            sender = people.get(roles.get(report.participant_id, ""))
            lines.append(
                Line(
                    receiver=role,
                    sender=roles.get(report.participant_id, report.participant_id),
                    kind=report.kind,
                    packets=report.packets,
                    lost=report.lost,
                    frames=report.frames,
                    expected=int(elapsed_s * _FRAMES_PER_S[report.kind]),
                    frames_per_s=_rate(track, report),
                    delay_s=_delay(track, sender),
                    rtt_s=rtt_s,
                    detail=_detail(track),
                )
            )
    return lines


def _rate(track: ReceivedTrack, report: TrackReport) -> float:
    first_s = track.sink.first_frame_s
    return report.frames / max(time.monotonic() - first_s, 0.001) if first_s else 0.0


def _delay(track: ReceivedTrack, sender: Participant | None) -> float | None:
    if isinstance(track.sink, VideoSink):
        return track.sink.delay_s()
    source = sender.source("microphone") if sender else None
    return audio_delay_s(source, track.sink) if isinstance(source, SpeechAudio) else None


def _detail(track: ReceivedTrack) -> str:
    if isinstance(track.sink, AudioSink):
        level = track.sink.level_dbov()
        return t("silence") if level is None else f"{level:.0f} dBov"
    return f"{track.sink.width}x{track.sink.height}"


def _failures(people: dict[str, Participant], lines: list[Line]) -> list[str]:
    wanted = [(a, b, kind) for a in people for b in people if a != b for kind in ("audio", "video")]
    broken = [f"{role}: {person.failure}" for role, person in people.items() if person.failure]
    return broken + problems(lines, wanted)


def _settings(preferred_port: int, archive: DemoArchive) -> Settings:
    """Embedded defaults on loopback, with the demo key; every room is recorded."""
    return Settings(
        server=ServerConfig(port=_free_port(preferred_port), drain_s=0),
        # Not every browser uses loopback for media, so the other addresses are offered too.
        media=MediaConfig(listen=("0.0.0.0",)),  # noqa: S104
        sfu=SfuConfig(advertised_addresses=("127.0.0.1", *host_addresses()[:15])),
        signaling=SignalingConfig(auth=AuthConfig(demo_key=True)),
        recording=archive.recording,
        evidence=archive.evidence,
        analytics=AnalyticsConfig(enabled=True),
    )


def _free_port(preferred: int) -> int:
    """The preferred TCP port, or 0 (any) if something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return 0
    return preferred


def _stop_wish() -> asyncio.Event:
    """Set by SIGINT or SIGTERM, which end a call that was to stay up as it was meant to end."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _say(options: DemoOptions, text: str) -> None:
    """Progress; on standard error when standard output holds JSON."""
    stream = sys.stderr if options.as_json else sys.stdout
    stream.write(text + "\n")
    stream.flush()
