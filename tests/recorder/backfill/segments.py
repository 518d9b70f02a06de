"""Captured packets in files of this test's own form, and the frames they were made of."""

import pickle
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recorder.backfill.chunk import CLOCK_RATES, SaidChunk
from recorder.backfill.form import Frame, digest_of, pack
from recorder.playback.source import CapturedPacket, Item
from tests.recorder.encoders import Encoded, encode_opus, encode_video, packets
from tests.recorder.scene import Link

READER = "tests.recorder.backfill.segments:read"
FIRST_TS = 2**32 - 30_000
SSRC = 77


def read(path: Path) -> Iterator[Item]:
    """What :func:`write` wrote."""
    yield from pickle.loads(path.read_bytes())


def write(path: Path, items: Sequence[Item]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(list(items)))


def carried(codec: str, data: bytes) -> bytes:
    """A frame as its sender logs it."""
    if codec != "h264":
        return data
    units = re.split(rb"\x00\x00\x00?\x01", data)
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in units if unit)


@dataclass
class Sent:
    """What a client sent of one track, and what of it arrived."""

    codec: str
    frames: list[Frame]
    chunks: list[tuple[int, SaidChunk]]
    items: list[Item]
    bodies: dict[int, list[Frame]] = field(default_factory=dict)

    def missing(self, seq: int, have: Sequence[int]) -> bytes:
        return pack(frame for frame in self.bodies[seq] if frame.timestamp not in have)


def send(codec: str, *, seconds: float, loss: float, seed: int = 1) -> Sent:
    """Encodes, cuts into chunks as the SDK does, and sends over a lossy link."""
    rate = CLOCK_RATES[codec]
    if codec == "opus":
        noise = np.random.default_rng(seed).normal(0, 3_000, int(48_000 * seconds))
        encoded: list[Encoded] = list(encode_opus(noise.astype(np.int16)))
    else:
        rng = np.random.default_rng(seed)
        shape = (int(seconds * 25), 96, 128)
        encoded = list(encode_video(codec, list(rng.integers(0, 255, shape, np.uint8)), gop=25))
    groups = packets(codec, encoded, ssrc=SSRC, first_timestamp=FIRST_TS)
    items = Link(loss=loss, seed=seed).deliver(
        encoded, groups, rate, ssrc=SSRC, first_timestamp=FIRST_TS
    )
    frames = [Frame((FIRST_TS + item.ticks) % 2**32, carried(codec, item.data)) for item in encoded]
    sent = Sent(codec, frames, [], [item for item in items if isinstance(item, CapturedPacket)])
    run: list[Frame] = []
    begin = 0
    for frame, item in zip([*frames, None], [*encoded, None], strict=True):
        if run and (item is None or item.ticks - begin >= rate):
            seq = 1000 + len(sent.chunks)
            said = SaidChunk(
                SSRC, run[0].timestamp, run[-1].timestamp, len(run), len(pack(run)), digest_of(run)
            )
            sent.chunks.append((seq, said))
            sent.bodies[seq] = run
            run = []
        if frame is not None and item is not None:
            if not run:
                begin = item.ticks
            run.append(frame)
    return sent
