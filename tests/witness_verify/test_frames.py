"""Nothing that is captured beside it keeps a chunk from being compared."""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.digests import digests_of
from recorder.playback.source import CapturedPacket
from tests.recorder.backfill.segments import send
from tests.recorder.backfill.test_device_key import Device
from tests.recorder.capture_files import capture_file, header
from tests.recorder.evidence import Office
from tests.witness_verify.test_devices import (
    Events,
    log_again,
    logged,
    record,
    sealed_without_checks,
)
from witness_verify import Failure, frames, verify
from witness_verify.asn1 import load_pem
from witness_verify.devices import Chunk
from witness_verify.frames import Comparison
from witness_verify.segments import packets

SSRC, STEP, FRAMES = 7, 960, 50


def body(timestamp: int) -> bytes:
    return struct.pack("!I", timestamp) * 20


def said(number: int, uploaded: int = 0) -> Chunk:
    """A second of sound, of which that many frames were uploaded."""
    times = [STEP * (FRAMES * number + index) for index in range(FRAMES)]
    packed = b"".join(struct.pack("!II", at, 80) + body(at) for at in times)
    digest = hashlib.sha256(packed).hexdigest()
    chunk = Chunk("p", "opus", [SSRC, times[0], times[-1], FRAMES, len(packed), digest])
    chunk.uploaded, chunk.file = uploaded, "x.frames" if uploaded else ""
    return chunk


def last_frames(chunk: Chunk) -> Iterator[tuple[int, bytes]]:
    for index in range(chunk.uploaded):
        timestamp = chunk.last - STEP * (chunk.uploaded - 1 - index)
        yield timestamp, body(timestamp)


def hear(comparison: Comparison, chunk: Chunk, count: int) -> None:
    for index in range(count):
        comparison.frame(SSRC, chunk.first + STEP * index, body(chunk.first + STEP * index))


def test_chunks_that_arrived_in_part_are_compared_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a long call with loss; what of each was uploaded is read when nothing else lacks."""
    monkeypatch.setattr(frames, "_MAX_KEPT", 10_000)
    chunks = [said(number, uploaded=20) for number in range(40)]
    comparison = Comparison(chunks, last_frames)
    for chunk in chunks:
        hear(comparison, chunk, 30)
    assert comparison.close() == 0
    assert comparison.compared == 40


def test_what_nobody_captured_is_compared_with_its_upload() -> None:
    comparison = Comparison([said(1, uploaded=FRAMES)], last_frames)
    assert (comparison.close(), comparison.compared) == (0, 1)


def test_chunks_that_are_dropped_never_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_MAX_KEPT", 10_000)

    def half_heard() -> Comparison:
        comparison = Comparison([said(number) for number in range(10)])
        for number in range(9):
            hear(comparison, said(number), 25)
        hear(comparison, said(9), FRAMES)
        return comparison

    comparison = half_heard()
    assert comparison.close(is_whole=False) == 9
    assert comparison.compared == 1
    with pytest.raises(Failure, match="device"):
        half_heard().close()


def test_more_than_was_said_of_a_chunk_is_refused() -> None:
    comparison = Comparison([said(0)])
    with pytest.raises(Failure, match="more than"):
        comparison.frame(SSRC, 0, bytes(80 * FRAMES + 8 * FRAMES - 7))


def large(timestamp: int, size: int) -> bytes:
    """A captured packet that no network carries."""
    rtp = struct.pack("!BBHII", 0x80, 111, 1, timestamp, 77) + bytes(size)
    ip = struct.pack("!BBHIBBH4s4s", 0x45, 0, 0, 0x40000000, 64, 17, 0, bytes(4), bytes(4))
    packet = ip + struct.pack("!HHHH", 40_000, 5_004, 0, 0) + rtp
    padded = packet + bytes(-len(packet) % 4)
    head = struct.pack("<IIIIIII", 6, 32 + len(padded), 0, 0, 0, len(packet), len(packet))
    return head + padded + struct.pack("<I", 32 + len(padded))


def test_packets_that_no_network_carries_are_refused() -> None:
    assert len(list(packets([header(), large(0, 60_000)]))) == 1
    with pytest.raises(Failure, match="a packet of"):
        list(packets([header(), large(0, 65_536)]))


@pytest.mark.parametrize(("size", "step"), [((1 << 20) - 200, "media"), (65_000, "client")])
async def test_what_is_put_before_a_forged_recording_does_not_hide_it(
    tmp_path: Path, size: int, step: str
) -> None:
    """The device signed its digests; the sound is another, after 66 MiB under its timestamps."""
    office, sent = Office.made(tmp_path / "o"), send("opus", seconds=4, loss=0)
    place = await record(tmp_path, sent, device=Device())
    forged = capture_file(
        CapturedPacket(one.arrival_us, one.data[:12] + bytes(byte ^ 0x55 for byte in one.data[12:]))
        for one in sent.items
        if isinstance(one, CapturedPacket)
    )
    times = [one.timestamp for chunk in [*sent.bodies.values()][:2] for one in chunk[:-1]]
    count = 66 if size > 1 << 19 else 98
    junk = header() + b"".join(large(at, size) for at in times[:count])
    folder = place / "tracks/t1"
    (folder / "000001.pcapng").write_bytes(forged)
    (folder / "000000.pcapng").write_bytes(junk)
    events: Events = []
    for kind, payload, actor, at in logged(place):
        if kind == "segment.closed":
            first = {"segment": 0, "file": "000000.pcapng", "bytes": len(junk)}
            first |= {"from_us": 0, "to_us": 0, "packets": count}
            events.append((kind, {**payload, **first, **digests_of(junk).to_json()}, actor, at))
            payload |= {"bytes": len(forged), **digests_of(forged).to_json()}
        events.append((kind, payload, actor, at))
    log_again(place, events)
    trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
    with sealed_without_checks(office, place, tmp_path / "s1.zip").open("rb") as file:
        result = verify(file, trusted, pinned=[Device().key])
    assert (result.steps[-1].name, result.code) == (step, "device")
