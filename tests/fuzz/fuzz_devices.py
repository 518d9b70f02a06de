"""Fuzzes what the verifier reads of devices: accounts in a log, uploaded frames, capture files.

``python -m tests.fuzz.fuzz_devices --seconds 60``
"""

import itertools
import json
import sys
from contextlib import suppress

from recorder.backfill.chunk import SaidChunk
from recorder.backfill.form import Frame, digest_of, pack
from recorder.playback.source import CapturedPacket
from tests.fuzz.runner import instrumented, main
from tests.recorder.backfill.test_device_key import Device
from tests.recorder.capture_files import capture_file

with instrumented("witness_verify"):
    from witness_verify import Failure
    from witness_verify.devices import Chunk, Devices
    from witness_verify.frames import Comparison, uploaded_frames
    from witness_verify.segments import packets

_FRAMES = [Frame((480 * number - 960) % 2**32, b"\x08abc") for number in range(4)]
_ROW = [7, _FRAMES[0].timestamp, _FRAMES[-1].timestamp, 4, 48, "0" * 64]
_SAID = {"track": "t", "codec": "opus", "from_seq": 1, "late": False, "chunks": [_ROW, _ROW]}
_FILE = {"track": "t", "chunk": 1, "ssrc": 7, "file": "1.frames", "frames": 4, "bytes": 48}
_DEVICE = Device(session="s")
_CHUNKS = [(5, SaidChunk(*_ROW))]
_SIGNED = {**_SAID, "from_seq": 5, "chunks": [_ROW], **_DEVICE.sign("t", "opus", _CHUNKS).to_json()}
_EVENTS = [
    (
        "device.key",
        {"alg": "ES256", "key": _DEVICE.key, "public": _DEVICE.public, "proof": _DEVICE.proof("p")},
    ),
    ("digest.batch", _SIGNED),
    ("digest.batch", _SAID),
    ("chunk.verified", {"track": "t", "chunks": [1, 2]}),
    ("chunk.backfilled", _FILE),
    ("gap.declared", {"track": "t", "chunk": 2}),
    ("gap.declared", {"track": "t", "chunks": [2]}),
]


def target(data: bytes) -> None:
    """Whatever comes, it is understood or refused with a code."""
    chunk = Chunk("p", "opus", _ROW)
    chunk.uploaded = 4
    comparison = Comparison([chunk])
    with suppress(Failure):
        halves = data[: len(data) // 2], data[len(data) // 2 :]
        for _, packet in packets(halves):
            comparison.packet(packet or b"")
        comparison.packet(data)
    with suppress(Failure):
        found = list(uploaded_frames(data, chunk))
        assert pack(Frame(timestamp, frame) for timestamp, frame in found) == data
    with suppress(ValueError, RecursionError):
        account(json.loads(data))


def account(events: object) -> None:
    """A log of such events."""
    devices = Devices("s")
    with suppress(Failure):
        for event in events if isinstance(events, list) else [events]:
            if not isinstance(event, dict):
                return
            devices.take(str(event.get("type")), event)
        devices.check_chains()
        ends = devices.close()
        assert sum(ends.values()) == devices.count


def seeds() -> list[bytes]:
    """Accounts, frames, and capture files with and without what is expected."""
    heads = [b"\x80\x6f" + bytes(2) + frame.timestamp.to_bytes(4, "big") for frame in _FRAMES]
    bodies = [bytes((0, 0, 0, 7)) + frame.data for frame in _FRAMES]
    packets = [CapturedPacket(1, a + b) for a, b in zip(heads, bodies, strict=True)]
    made = [pack(_FRAMES), capture_file(packets), packets[0].data]
    for count in range(1, 4):
        for chosen in itertools.combinations(_EVENTS, count):
            log = [{"type": kind, "actor": "p", "payload": payload} for kind, payload in chosen]
            made.append(json.dumps(log).encode())
    assert digest_of(_FRAMES) != _ROW[5]
    return made


if __name__ == "__main__":
    sys.exit(main("devices", target, seeds()))
