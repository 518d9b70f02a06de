"""A recorded call in virtual time: what a client sends, what arrives, what it says and uploads.

The server's part is real (files, log, ledger, examination, storage); the client's follows
``web/sdk``: chunks of a second numbered over all encodings, digests said when they are finished,
uploads of what was asked for, perhaps long ago.
"""

import random
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from struct import pack as struct
from typing import Any

from recorder.backfill.chunk import CLOCK_RATES, ChunkState, LossCause, SaidChunk
from recorder.backfill.errors import IncompleteError
from recorder.backfill.examine import PCAPNG
from recorder.backfill.form import Frame, digest_of, pack
from recorder.backfill.service import BackfillService
from recorder.envelope import MasterKeys, seal
from recorder.log import EventLog, read_events
from recorder.playback.clock import SenderReport
from recorder.playback.source import CapturedPacket, Item
from recorder.session_file import read_session
from tests.recorder.capture_files import capture_file
from tests.recorder.encoders import rtp
from tests.recorder.scene import NTP_ZERO_US

__all__ = ["Plan", "Sound", "World"]

SECOND = 1_000_000
SEGMENT_US = 2 * SECOND
KEY = bytes(range(32))
WHO = "p1"
TYPES = {"opus": 111, "vp8": 96}


@dataclass(frozen=True)
class Plan:
    """What kind of call.

    Attributes:
        encodings: of the camera; each has about twice the packets of the one before.
        changes: encodings are stopped and begun again, as by a link that changes.
        loss: of packets, sender reports and what is asked for again.
        picture_us: from one picture to the next.
        silences: of sound there is now and then only one frame each 0.4 s (DTX).
        stall_us: the sender's machine or the network hold everything up for so long, now and then.
        forget: so many of the last lines of the log are gone after a restart.
    """

    seconds: int = 30
    encodings: int = 1
    changes: bool = False
    picture_us: int = 80_000
    silences: bool = False
    loss: float = 0.7
    stall_us: int = 0
    digest_delay_us: int = 2 * SECOND
    layers: int = 1
    encrypted: bool = False
    restarts: int = 0
    forget: int = 0
    seed: int = 1


class InTurn(Executor):
    """Runs work where it is submitted."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is told where the result is asked for
            done.set_exception(error)
        return done


class VirtualLog:
    """A log at the session time of the test."""

    def __init__(self, log: EventLog) -> None:
        self.log, self.at_us, self.room = log, 0, 10_000

    def now_us(self) -> int:
        return self.at_us

    def append(self, type: str, payload: dict[str, Any], **more: Any) -> None:  # noqa: A002
        self.log.append(type, payload, **{"at": self.at_us, **more})


@dataclass
class Sound:
    """One stream and its packets: ``Sound`` of Opus; pictures have several packets a frame."""

    ssrc: int
    codec: str = "opus"
    parts: int = 1
    layers: int = 1
    first_ts: int = 0
    sequence: int = 0
    pictures: int = 0
    base: int = 0
    open: list[Frame] = field(default_factory=list)
    grew_us: int = 0

    def frame(self, at_us: int, rng: random.Random, *, key: bool) -> Frame:
        ticks = at_us * CLOCK_RATES[self.codec] // SECOND
        if self.codec == "opus":
            # 20 ms of CELT.
            data = bytes([0xF8]) + rng.randbytes(30)
        elif key:
            data = b"\x10\0\0\x9d\x01\x2a\x40\x01\xf0\0" + rng.randbytes(40 * self.parts)
        else:
            data = b"\x11\0\0" + rng.randbytes(25 * self.parts)
        return Frame((self.first_ts + ticks) % 2**32, data)

    def packets(self, frame: Frame, *, key: bool) -> list[bytes]:
        head = b""
        if self.codec == "vp8":
            layer = 0 if key or self.layers == 1 else (0, 2, 1, 2)[self.pictures % 4]
            self.base += layer == 0
            picture = struct("!H", 0x8000 | self.pictures % 2**15)
            more = bytes([self.base % 256, layer << 6 | (layer > 0) << 5])
            is_layered = self.layers > 1
            head = bytes([0x80, 0x80 | is_layered * 0x60]) + picture + (more if is_layered else b"")
            self.pictures += 1
        size = -(-len(frame.data) // self.parts)
        out = []
        for index, at in enumerate(range(0, len(frame.data), size)):
            start = bytes([head[0] | (0x10 if index == 0 else 0)]) + head[1:] if head else b""
            out.append(
                rtp(
                    start + frame.data[at : at + size],
                    sequence=self.sequence,
                    timestamp=frame.timestamp,
                    marker=at + size >= len(frame.data),
                    ssrc=self.ssrc,
                    payload_type=TYPES[self.codec],
                )
            )
            self.sequence += 1
        return out


@dataclass
class Line:
    """A track of the client."""

    track: str
    codec: str
    streams: list[Sound]
    sent: list[tuple[int, int, Frame]] = field(default_factory=list)
    items: list[tuple[int, Item]] = field(default_factory=list)
    chunks: list[tuple[int, int, SaidChunk]] = field(default_factory=list)
    bodies: dict[int, list[Frame]] = field(default_factory=dict)
    next: int = 1_000

    def log(self, at_us: int, stream: Sound, frame: Frame) -> None:
        """As ``FrameLog.take``."""
        if stream.open:
            ticks = (frame.timestamp - stream.open[0].timestamp) % 2**32
            gone = (frame.timestamp - stream.open[-1].timestamp) % 2**32
            if ticks >= CLOCK_RATES[self.codec] or (self.codec == "opus" and gone > 24_000):
                self.finish(at_us, stream)
        stream.open.append(frame)
        stream.grew_us = at_us

    def finish(self, at_us: int, stream: Sound) -> None:
        run, stream.open = stream.open, []
        if run:
            times = run[0].timestamp, run[-1].timestamp
            said = SaidChunk(stream.ssrc, *times, len(run), len(pack(run)), digest_of(run))
            self.chunks.append((at_us, self.next, said))
            self.bodies[self.next] = run
            self.next += 1


class World:
    """A server and a client, from the first frame to the last upload."""

    def __init__(self, place: Path, plan: Plan) -> None:
        self.place, self.plan = place, plan
        self.rng = random.Random(plan.seed)
        self.keys = MasterKeys(KEY) if plan.encrypted else None
        self.stalls = sorted(
            (at := self.rng.uniform(1, plan.seconds) * SECOND, at + plan.stall_us)
            for _ in range(3 if plan.stall_us else 0)
        )
        self.lines = {
            "a1": Line("a1", "opus", [self._stream("opus", 1)]),
            "v1": Line("v1", "vp8", [self._stream("vp8", 2**k) for k in range(plan.encodings)]),
        }
        self.files: list[tuple[str, str, int, int]] = []
        self.now_us = 0
        self.lost: list[tuple[str, int]] = []
        self.uploads = 0
        self._asked: list[tuple[str, int, tuple[int, ...]]] = []
        self._tries: dict[tuple[str, int], int] = {}
        self._said: set[tuple[str, int]] = set()
        self._settled = dict.fromkeys(self.lines, 0)
        for line in self.lines.values():
            self._send(line)
        self._begin()

    def _stream(self, codec: str, parts: int) -> Sound:
        first_ts = self.rng.choice([0, 2**31, 2**32 - 400_000, self.rng.randrange(2**32)])
        sequence = self.rng.choice([0, 1, 32_767, 65_500, self.rng.randrange(2**16)])
        ssrc, layers = self.rng.randrange(2**32), self.plan.layers
        return Sound(ssrc, codec, parts, layers, first_ts, sequence)

    # The client's call.

    def _send(self, line: Line) -> None:
        is_sound = line.codec == "opus"
        step_us = 20_000 if is_sound else self.plan.picture_us
        keys = {stream.ssrc for stream in line.streams}
        active = {stream.ssrc for stream in line.streams}
        for at_us in range(0, self.plan.seconds * SECOND, step_us):
            if is_sound and self._is_silent(at_us):
                continue
            seen_us = self._after_stall(at_us)
            if self.plan.changes and line.codec != "opus" and at_us % SECOND == 0:
                before, active = active, self._some(line)
                keys |= active - before
            for stream in line.streams:
                if stream.open and at_us - stream.grew_us >= 1_500_000:
                    line.finish(at_us, stream)
                if stream.ssrc not in active:
                    continue
                key = stream.ssrc in keys
                keys.discard(stream.ssrc)
                frame = stream.frame(at_us, self.rng, key=key)
                line.sent.append((at_us, stream.ssrc, frame))
                line.log(seen_us, stream, frame)
                for data in stream.packets(frame, key=key):
                    self._deliver(line, seen_us, data)
                if at_us % SECOND < step_us and self.rng.random() >= self.plan.loss:
                    self._report(line, stream, frame, at_us, seen_us)
        for stream in line.streams:
            line.finish(self.plan.seconds * SECOND, stream)
        line.items.sort(key=lambda item: item[0])

    def _is_silent(self, at_us: int) -> bool:
        is_silence = self.plan.silences and at_us // SECOND % 5 > 1
        return is_silence and at_us % 400_000 > 0

    def _some(self, line: Line) -> set[int]:
        if self.rng.random() < 0.7:
            return {line.streams[self.rng.randrange(len(line.streams))].ssrc}
        return {stream.ssrc for stream in line.streams}

    def _after_stall(self, at_us: int) -> int:
        return round(max([at_us, *(end for start, end in self.stalls if start <= at_us < end)]))

    def _report(self, line: Line, stream: Sound, frame: Frame, at_us: int, seen_us: int) -> None:
        arrival = seen_us + 40_000 + self._jitter()
        report = SenderReport(stream.ssrc, frame.timestamp, NTP_ZERO_US + at_us, arrival)
        line.items.append((arrival, report))

    def _deliver(self, line: Line, at_us: int, data: bytes) -> None:
        arrival = at_us + 40_000 + self._jitter()
        tries = 0
        while self.rng.random() < self.plan.loss:
            # Asked for again, every now and then, for 4 s.
            arrival += self.rng.randrange(150_000, 1_000_000)
            tries += 1
            if arrival - at_us > 4 * SECOND or tries > 2:
                return
        line.items.append((arrival, CapturedPacket(arrival, data)))

    def _jitter(self) -> int:
        return round(self.rng.expovariate(1 / 10_000))

    # The server.

    def _begin(self) -> None:
        self.events = VirtualLog(EventLog.open(self.place))
        self.events.at_us = self.now_us
        self.service = BackfillService(PCAPNG, window_s=600, executor=InTurn(), keys=self.keys)
        events = list(read_events(self.place, read_session(self.place)))
        self.known = self.service.open("s1", self.place, self.events, events)
        closed = {event.payload["file"] for event in events if event.type == "segment.closed"}
        for track, file, from_us, to_us in self.files:
            if f"{track}/{file}" not in closed:
                self._tell_closed(track, file, from_us, to_us)

    def restart(self) -> None:
        """Killed and begun again; the last lines of the log may not have reached the disk."""
        self.events.log.close()
        path = self.place / "events.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: len(lines) - self.plan.forget]))
        self._begin()
        # Who signs says again what the server lacks.
        known = self.known.ledger.tracks
        self._said = {
            key for key in self._said if key[0] in known and key[1] in known[key[0]].chunks
        }

    def _tell_closed(self, track: str, file: str, from_us: int, to_us: int) -> None:
        about = {"track": track, "file": f"{track}/{file}", "from_us": from_us, "to_us": to_us}
        self.events.append("segment.closed", {**about, "segment": int(file[:6])})
        self.service.segment_closed("s1", track, file, from_us, to_us)

    def _close_segments(self) -> None:
        for line in self.lines.values():
            end = self.now_us - 500_000
            start = end - SEGMENT_US
            items = [item for at, item in line.items if start <= at < end]
            if not items:
                continue
            mine = [to_us for track, _, _, to_us in self.files if track == line.track]
            number = 1 + len(mine)
            file = f"{number:06}.pcapng" + (".enc" if self.keys else "")
            path = self.place / "tracks" / line.track / file
            path.parent.mkdir(parents=True, exist_ok=True)
            data = capture_file(items)
            if self.keys is not None:
                data = seal(data, KEY, f"{self.place.name}/{line.track}/{file}")
            path.write_bytes(data)
            # Between two files nothing arrived: the later one answers for that.
            span = mine[-1] if mine else items[0].arrival_us, end
            self.files.append((line.track, file, *span))
            self._tell_closed(line.track, file, *span)

    # Everything in turn.

    async def run(self) -> None:
        """The call, and after it until nothing is wanted."""
        end_us = self.plan.seconds * SECOND
        restarts = {
            self.rng.randrange(2, self.plan.seconds + 20) for _ in range(self.plan.restarts)
        }
        for second in range(self.plan.seconds + 120):
            self.now_us = self.events.at_us = second * SECOND + 500_000
            if second % 2 == 0 and second * SECOND < end_us + 6 * SECOND:
                self._close_segments()
            if second == self.plan.seconds:
                self.service.ended("s1")
                self.events.append("recording.stopped", {})
            self._say_digests(again=second >= self.plan.seconds and second % 4 == 0)
            await self.service.tick()
            if self.rng.random() < 0.6:
                self._asked = self.service.wanted("s1", WHO, 64)[0]
            for _ in range(self.rng.randrange(4) if second < self.plan.seconds else 64):
                await self._upload()
            if second in restarts:
                self.restart()
            if second > self.plan.seconds + 20 and self.known.ledger.is_settled:
                break

    def _say_digests(self, *, again: bool) -> None:
        for line in self.lines.values():
            for at_us, seq, said in line.chunks:
                key = (line.track, seq)
                is_new = key not in self._said
                delay = self.plan.digest_delay_us * (seq % 7) // 6
                if at_us + delay > self.now_us:
                    break  # in order, whatever holds one up
                if not (is_new or again) or seq < self._settled[line.track]:
                    continue
                late = self.now_us > self.plan.seconds * SECOND
                below, _ = self.service.accept(
                    "s1", WHO, line.track, line.codec, [(seq, said)], late=late
                )
                self._settled[line.track] = max(self._settled[line.track], below)
                self._said.add(key)

    async def _upload(self) -> None:
        if not self._asked:
            return
        index = self.rng.randrange(len(self._asked))
        track, seq, have = self._asked[index]
        if self.rng.random() < 0.8:
            self._asked.pop(index)
        if self._tries.get((track, seq), 0) >= 3 or seq < self._settled[track]:
            return
        frames = self.lines[track].bodies[seq]
        body = pack(frame for frame in frames if frame.timestamp not in have)
        try:
            await self.service.put("s1", WHO, track, seq, body)
            self.uploads += 1
        except IncompleteError:
            self._tries[track, seq] = self._tries.get((track, seq), 0) + 1
            if self._tries[track, seq] == 3:
                self.lost.append((track, seq))
                self.service.lost("s1", WHO, track, [seq], LossCause.EVICTED)

    def states(self) -> dict[str, dict[ChunkState, int]]:
        """Chunks of each track by state."""
        found: dict[str, dict[ChunkState, int]] = {}
        for name, track in self.known.ledger.tracks.items():
            counts = found.setdefault(name, {})
            for chunk in track.chunks.values():
                counts[chunk.state] = counts.get(chunk.state, 0) + 1
        return found

    def close(self) -> None:
        self.service.close()
        self.events.log.close()
