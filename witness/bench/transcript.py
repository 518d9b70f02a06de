"""``witness bench transcript``: how long after a sentence its text is there.

Sentences are spoken to a host of detectors at the pace of a call: Opus packets by the tap socket,
each when its sound has been said; then what the host says comes back as it does to a server. So
decoding, voice activity, the queue, recognition and the ways between three processes are in it; the
network and the media plane are not.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from struct import Struct
from typing import Any, Final

import numpy as np

from analytics.config import AnalyticsConfig
from analytics.detector import SAMPLE_RATE_HZ
from analytics.eval.speech_clips import Sentences
from analytics.eval.speech_coding import Samples, opus_packets
from analytics.host.tap import CODECS
from analytics.link import Consents, Greet, Hello, Marked, Said, TrackStarted, from_host
from analytics.registry import the_registry
from witness.analytics_start import host_config
from witness.analytics_ways import EmbeddedWay
from witness.errors import BenchError
from witness.i18n import t

__all__ = [
    "FINAL_TARGET_S",
    "PARTIAL_TARGET_S",
    "Delay",
    "Script",
    "TranscriptBenchResult",
    "judged",
    "measure_transcript",
    "record_of",
    "script_of",
    "transcript_text",
]

PARTIAL_TARGET_S: Final = 1.0
FINAL_TARGET_S: Final = 2.5
_DETECTOR: Final = "transcript"
_SESSION: Final = "bench"
_WHO: Final = "customer"
_TAP: Final = 1
_LEAD_S: Final = 1.0
_PAUSE_S: Final = 2.0
_TAIL_S: Final = 8.0
_ROOM: Final = 0.0003
_AUDIBLE: Final = 0.02
"""Of the peak: what is fainter at the end of a sentence is not speech."""
_READY_S: Final = 120.0
_KBPS: Final = 32
_PACKET_S: Final = 0.02
_RECORD: Final = Struct("<HBBBBHIIQQQ")
_RTP: Final = Struct(">BBHII")
_SLACK_US: Final = 400_000


@dataclass(frozen=True, slots=True)
class Script:
    """What is spoken.

    Attributes:
        samples: ``(n,)``, 16 kHz.
        sentences: when each begins and ends to be audible, in s.
    """

    samples: Samples
    sentences: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds."""

    median: float
    p95: float
    worst: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Delay | None":
        """``None`` of nothing."""
        if not values:
            return None
        median, p95, worst = np.percentile(np.array(values), [50, 95, 100])
        return cls(
            round(float(median), 3), round(float(p95), 3), round(float(worst), 3), len(values)
        )


@dataclass(frozen=True, slots=True)
class TranscriptBenchResult:
    """Delays of texts, by the clock on the wall.

    Attributes:
        sentences: spoken; ``heard``: those with a final text.
        final: from the end of a sentence to its last final text.
        partial: from the end of the sound that a partial text is about to that text.
        first: from the beginning of a sentence to its first text.
        load: mean length of the run queue, before and after.
    """

    sentences: int
    heard: int
    final: Delay | None
    partial: Delay | None
    first: Delay | None
    load: tuple[float, float]
    final_target_s: float = FINAL_TARGET_S
    partial_target_s: float = PARTIAL_TARGET_S

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


@dataclass(slots=True)
class _Host:
    """What was said to a server, and when; an engine that hands out what it is given."""

    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    said: list[tuple[float, Said]] = field(default_factory=list)
    way: EmbeddedWay | None = None
    tap: socket.socket | None = None
    dropped: int = 0

    def set_tap_reader(self, *, socket: int | None) -> None:
        """As an engine has it."""
        if self.tap is not None:
            self.tap.close()
        self.tap = None if socket is None else _copied(socket)

    def came(self) -> None:
        """A host can be spoken to."""
        self.say(Greet())

    def gone(self) -> None:
        """There is none any more."""
        self.is_ready.clear()

    def say(self, message: Any) -> None:
        """Tells the host."""
        assert self.way is not None
        self.way.say(message.model_dump_json().encode())

    def heard(self, line: bytes) -> None:
        """Notes what the host says."""
        now_s = time.monotonic()
        match from_host(line):
            case Hello(detectors=names) if _DETECTOR in names:
                self.is_ready.set()
            case Said() as message:
                self.said.append((now_s, message))

    def send(self, message: bytes) -> None:
        """Hands out a packet; one that can't be taken is dropped, as the plane does."""
        try:
            if self.tap is not None:
                self.tap.send(message, socket.MSG_DONTWAIT)
                return
        except OSError:
            pass
        self.dropped += 1


def _copied(descriptor: int) -> socket.socket:
    return socket.socket(fileno=os.dup(descriptor))


def script_of(sentences: Sentences, count: int, seed: int = 1) -> Script:
    """Some of the sentences, each followed by a pause; in a quiet room.

    Raises:
        EvalError: a file can't be opened.
        BenchError: there are none.
    """
    rng = np.random.default_rng(seed)
    names = [str(name) for name in rng.permutation(sorted(sentences.texts))][:count]
    if not names:
        path = sentences.folder / "sentences.json"
        raise BenchError(t("{path} lists no sentences").format(path=path))
    sounds = [sentences.sound(name) for name in names]
    pauses = rng.uniform(_PAUSE_S, 2 * _PAUSE_S, len(sounds))
    length_s = _LEAD_S + sum(len(one) / SAMPLE_RATE_HZ for one in sounds) + sum(pauses) + _TAIL_S
    samples = (_ROOM * rng.standard_normal(int(length_s * SAMPLE_RATE_HZ))).astype(np.float32)
    at, places = int(_LEAD_S * SAMPLE_RATE_HZ), []
    for sound, pause_s in zip(sounds, pauses, strict=True):
        samples[at : at + len(sound)] += sound
        audible = np.flatnonzero(np.abs(sound) > _AUDIBLE * np.abs(sound).max())
        places.append((at + int(audible[0]), at + int(audible[-1])))
        at += len(sound) + int(pause_s * SAMPLE_RATE_HZ)
    return Script(samples, tuple((a / SAMPLE_RATE_HZ, b / SAMPLE_RATE_HZ) for a, b in places))


async def measure_transcript(config: AnalyticsConfig, script: Script) -> TranscriptBenchResult:
    """Speaks the script to a host, as long as it takes to say it.

    Raises:
        BenchError: there is no host that recognises speech, or it couldn't be given all of it.
        StartError: the detector can't be had.
    """
    only = {name: {"enabled": name == _DETECTOR} for name in the_registry().names}
    only[_DETECTOR] = {**config.detectors.get(_DETECTOR, {}), "enabled": True}
    settings = host_config(config.model_copy(update={"enabled": True, "detectors": only}))
    assert settings is not None
    host = _Host()
    host.way = EmbeddedWay(settings, [host])
    running = asyncio.create_task(host.way.run(host.came, host.heard, host.gone))
    try:
        async with asyncio.timeout(_READY_S):
            await host.is_ready.wait()
        before = os.getloadavg()[0]
        began_s = await _speak(host, script)
        load = before, os.getloadavg()[0]
    except TimeoutError as error:
        raise BenchError(t("no host recognises speech here")) from error
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    if host.dropped:
        raise BenchError(t("{count} packets were dropped").format(count=host.dropped))
    told = [(at_s - began_s, said) for at_s, said in host.said]
    return judged(script, told, load)


async def _speak(host: _Host, script: Script) -> float:
    """Sends every packet when its sound has been said.

    Returns:
        When the first sample was said, on the monotonic clock.
    """
    packets = opus_packets(script.samples, _KBPS)
    host.say(Consents(session_id=_SESSION, participant_id=_WHO, permissions=frozenset({"speech"})))
    host.say(
        Marked(
            session_id=_SESSION,
            kind="participant.joined",
            at_us=0,
            participant_id=_WHO,
            data={"role": _WHO},
        )
    )
    host.say(
        TrackStarted(
            session_id=_SESSION,
            room_id=_SESSION,
            participant_id=_WHO,
            role=_WHO,
            track_id="microphone",
            kind="audio",
            source="microphone",
            codec="opus",
            clock_rate_hz=48_000,
            tap=_TAP,
            at_us=0,
        )
    )
    # The tap's packets and the control lines come by different ways.
    await asyncio.sleep(1.0)
    began_s = time.monotonic()
    for number, packet in enumerate(packets):
        due_s = began_s + (number + 1) * _PACKET_S
        if (wait_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        at_us = int((time.monotonic() - began_s) * 1e6)
        host.send(record_of(packet, number, at_us))
    return began_s


def record_of(packet: bytes, number: int, at_us: int) -> bytes:
    """A packet as the tap socket has it: header of the record, of RTP, and Opus."""
    rtp = _RTP.pack(0x80, 111, number & 0xFFFF, number * 960 & 0xFFFFFFFF, 7) + packet
    head = (len(rtp), 1, CODECS.index("opus"), 0, 255, 0, 0, 0, _TAP, number, at_us)
    return _RECORD.pack(*head) + rtp


def judged(
    script: Script, told: Iterable[tuple[float, Said]], load: tuple[float, float]
) -> TranscriptBenchResult:
    """Delays of what was told.

    Args:
        script: what was spoken.
        told: everything, and when it came, in s since the first sample.
        load: of the machine, before and after.
    """
    finals: dict[int, float] = {}
    firsts: dict[int, float] = {}
    partials: list[float] = []
    for at_s, said in told:
        number = _sentence_of(said, script)
        if number is None:
            continue
        firsts.setdefault(number, at_s - script.sentences[number][0])
        if said.is_final:
            finals[number] = at_s - script.sentences[number][1]
        else:
            partials.append(at_s - said.end_us / 1e6)
    return TranscriptBenchResult(
        sentences=len(script.sentences),
        heard=len(finals),
        final=Delay.of([*finals.values()]),
        partial=Delay.of(partials),
        first=Delay.of([*firsts.values()]),
        load=(round(load[0], 2), round(load[1], 2)),
    )


def _sentence_of(said: Said, script: Script) -> int | None:
    """The sentence during which something was said; ``None`` for what was no sentence."""
    middle_us = (said.start_us + said.end_us) // 2
    for number, (start_s, end_s) in enumerate(script.sentences):
        if start_s * 1e6 - _SLACK_US <= middle_us <= end_s * 1e6 + _SLACK_US:
            return number
    return None


def transcript_text(result: TranscriptBenchResult) -> str:
    """The result for people."""
    lines = [
        t(
            "{heard} of {sentences} sentences have a text; load {before} before, {after} after"
        ).format(
            heard=result.heard,
            sentences=result.sentences,
            before=result.load[0],
            after=result.load[1],
        )
    ]
    rows = (
        (t("final text, after the end of a sentence"), result.final, result.final_target_s),
        (t("partial text, after the sound it is about"), result.partial, result.partial_target_s),
        (t("first text, after the beginning of a sentence"), result.first, None),
    )
    for name, delay, target_s in rows:
        if delay is None:
            lines.append(t("{name}: none").format(name=name))
            continue
        line = t("{name}: {median} s (median), {p95} s (95 %), {worst} s").format(
            name=name, median=delay.median, p95=delay.p95, worst=delay.worst
        )
        lines.append(line + ("" if target_s is None else t(" (target: {s} s)").format(s=target_s)))
    return "\n".join(lines)
