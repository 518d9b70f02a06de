"""Chunks against captured packets. Runs in a process of its own: it reads and hashes for long."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recorder.backfill.chunk import SaidChunk
from recorder.backfill.form import Frame, digest_of
from recorder.backfill.ledger import Finding
from recorder.envelope import SUFFIX, MasterKeys
from recorder.errors import RecorderError
from recorder.playback.clock import SenderReport
from recorder.playback.source import Item
from rtp.assembly import FORMATS, Assembler
from rtp.errors import PacketError
from rtp.frame import EncodedFrame
from rtp.order import Ordered, Reorder
from rtp.packet import parse_rtp

__all__ = ["PCAPNG", "Examined", "Job", "captured_frames", "examine", "live_frames"]

PCAPNG: Final = "recorder.playback.pcapng:read_segment"
"""Reads the files of the media plane."""

_BUCKET_BITS: Final = 16
_MAX_BUCKETS: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be compared.

    Attributes:
        reader: ``module:function`` that reads the packets of a file; a name, so that it can be
            sent to another process; called with the keys, too, for encrypted files.
        files: closed segments in which the frames may be, in order.
        chunks: numbers and what was said of them.
    """

    reader: str
    codec: str
    files: tuple[Path, ...]
    chunks: tuple[tuple[int, SaidChunk], ...]
    payload_types: frozenset[int] = frozenset()
    keys: MasterKeys | None = None


@dataclass(slots=True)
class Examined:
    """What was found.

    Attributes:
        clocks: timestamp and arrival (µs) of the packet of each SSRC that came soonest.
        unreadable: files that couldn't be read.
    """

    findings: list[Finding] = field(default_factory=list)
    clocks: dict[int, tuple[int, int]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def examine(job: Job) -> Examined:
    """Looks for the frames of chunks in captured packets."""
    result = Examined()
    frames = _by_ssrc(job, result)
    for seq, said in job.chunks:
        live = live_frames(said, frames.get(said.ssrc, {}))
        digest = digest_of(live) if len(live) >= said.frames else None
        result.findings.append(Finding(seq, tuple(frame.timestamp for frame in live), digest))
    return result


def live_frames(said: SaidChunk, captured: dict[int, bytes]) -> list[Frame]:
    """The captured frames of a chunk, in the order of sending."""
    mine = [
        (ticks, Frame(timestamp, data))
        for timestamp, data in captured.items()
        if (ticks := said.ticks(timestamp)) is not None
    ]
    return [frame for _, frame in sorted(mine, key=lambda item: item[0])]


def captured_frames(job: Job) -> dict[int, dict[int, bytes]]:
    """Whole frames of the files, by SSRC and timestamp."""
    return _by_ssrc(job, Examined())


def _by_ssrc(job: Job, result: Examined) -> dict[int, dict[int, bytes]]:
    frames: dict[int, dict[int, bytes]] = {}
    wanted = _wanted(job)
    for frame in _frames(job, result):
        if (frame.ssrc, frame.timestamp >> _BUCKET_BITS) not in wanted:
            continue
        # A stream that jumped back in time may use a timestamp again: the first one counts.
        frames.setdefault(frame.ssrc, {}).setdefault(frame.timestamp, frame.data)
    return frames


def _wanted(job: Job) -> set[tuple[int, int]]:
    """Stretches of time in which frames of the chunks may be: only those are kept in memory."""
    found = set()
    for _, said in job.chunks:
        last = (said.first_ts + (said.last_ts - said.first_ts) % 2**32) >> _BUCKET_BITS
        for bucket in range(said.first_ts >> _BUCKET_BITS, last + 1):
            found.add((said.ssrc, bucket % 2**16))
            if len(found) > _MAX_BUCKETS:
                return found
    return found


def _frames(job: Job, result: Examined) -> Iterator[EncodedFrame]:
    streams: dict[int, tuple[Reorder, Assembler]] = {}
    for item in _items(job, result):
        if isinstance(item, SenderReport):
            continue
        try:
            packet = parse_rtp(item.data)
        except PacketError:
            continue
        if job.payload_types and packet.payload_type not in job.payload_types:
            continue
        ssrc = packet.ssrc
        if ssrc not in streams:
            streams[ssrc] = Reorder(), Assembler(FORMATS[job.codec]())
            result.clocks[ssrc] = packet.timestamp, item.arrival_us
        order, assembler = streams[ssrc]
        yield from _assembled(order.push(item.arrival_us, packet), assembler)
    for order, assembler in streams.values():
        yield from _assembled(order.flush(), assembler)


def _assembled(ordered: Iterator[Ordered], assembler: Assembler) -> Iterator[EncodedFrame]:
    for item in ordered:
        yield from assembler.push(item)


def _items(job: Job, result: Examined) -> Iterator[Item]:
    read = _reader(job.reader)
    for path in job.files:
        try:
            yield from read(path, job.keys) if path.suffix == SUFFIX else read(path)
        except (OSError, ValueError, RecorderError) as error:
            result.unreadable.append(f"{path.name}: {error}")


def _reader(name: str) -> "Callable[..., Iterator[Item]]":
    module, _, function = name.partition(":")
    found: Callable[..., Iterator[Item]] = getattr(importlib.import_module(module), function)
    return found
