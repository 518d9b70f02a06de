import random
from collections.abc import Iterable

import av
import numpy as np
import pytest

from rtp.assembly import FORMATS, Assembler
from rtp.av1 import Av1
from rtp.errors import PacketError
from rtp.frame import EncodedFrame, Payload
from rtp.h264 import H264
from rtp.opus import Opus, duration_ticks
from rtp.order import Reorder
from rtp.packet import parse_rtp
from rtp.vp8 import Vp8
from rtp.vp9 import Vp9
from tests.recorder.encoders import Encoded, encode_opus, encode_video, packets, pattern

VIDEO = ("vp8", "vp9", "h264", "av1")
DECODERS = {"av1": "libdav1d", "opus": "libopus"}


def encoded(codec: str, count: int = 12) -> list[Encoded]:
    if codec == "opus":
        tone = (8_000 * np.sin(np.arange(960 * count) / 20)).astype(np.int16)
        return list(encode_opus(tone))
    return list(encode_video(codec, pattern(count), gop=6))


def assemble(
    codec: str, received: Iterable[bytes], depth: int = 64
) -> tuple[list[EncodedFrame], Assembler]:
    assembler, order = Assembler(FORMATS[codec]()), Reorder(depth=depth)
    frames: list[EncodedFrame] = []
    for at, data in enumerate(received):
        for ordered in order.push(at, parse_rtp(data)):
            frames += assembler.push(ordered)
    for ordered in order.flush():
        frames += assembler.push(ordered)
    return frames, assembler


def decoded(codec: str, frames: Iterable[bytes]) -> int:
    decoder = av.CodecContext.create(DECODERS.get(codec, codec), "r")
    decoder.thread_count = 1
    count = 0
    for data in [*frames, None]:
        count += len(decoder.decode(None if data is None else av.Packet(data)))
    return count


@pytest.mark.parametrize("codec", [*VIDEO, "opus"])
def test_frames_of_every_codec_come_out_as_they_went_in(codec: str) -> None:
    sent = encoded(codec)
    made = packets(codec, sent)
    assert codec == "opus" or max(map(len, made)) > 1, "several packets a frame are wanted"
    frames, assembler = assemble(codec, [p for group in made for p in group])
    assert len(frames) == len(sent)
    assert [frame.keyframe for frame in frames] == [frame.keyframe for frame in sent]
    assert all(frame.decodable and not frame.after_loss for frame in frames)
    assert decoded(codec, [frame.data for frame in frames]) == len(sent)
    if codec in {"opus", "vp8", "vp9"}:
        assert [frame.data for frame in frames] == [frame.data for frame in sent]
    assert assembler.losses.missing_packets == 0


@pytest.mark.parametrize("codec", [*VIDEO, "opus"])
def test_disorder_and_copies_change_nothing(codec: str) -> None:
    rng = random.Random(3)
    sent = [p for group in packets(codec, encoded(codec)) for p in group]
    shuffled = [(index + rng.random() * 8, p) for index, p in enumerate(sent)]
    shuffled += [(index + 9, p) for index, p in enumerate(sent) if index % 5 == 0]
    expected, _ = assemble(codec, sent)
    frames, _ = assemble(codec, [p for _, p in sorted(shuffled)])
    assert [frame.data for frame in frames] == [frame.data for frame in expected]


@pytest.mark.parametrize("codec", VIDEO)
@pytest.mark.parametrize("seed", range(4))
def test_after_loss_only_whole_frames_come_and_undecodable_ones_are_marked(
    codec: str, seed: int
) -> None:
    rng = random.Random(seed)
    sent = encoded(codec, 18)
    made = packets(codec, sent)
    kept = [[p for p in group if rng.random() > 0.05] for group in made]
    whole = {parse_rtp(g[0]).timestamp for g, k in zip(made, kept, strict=True) if len(g) == len(k)}
    frames, assembler = assemble(codec, [p for group in kept for p in group])
    assert assembler.losses.missing_packets > 0
    assert {frame.timestamp for frame in frames} <= whole
    reference = {parse_rtp(g[0]).timestamp: f for g, f in zip(made, sent, strict=True)}
    intact = True
    previous = -1
    order = [parse_rtp(g[0]).timestamp for g in made]
    for frame in frames:
        place = order.index(frame.timestamp)
        intact = frame.keyframe or (intact and place == previous + 1)
        assert frame.decodable == intact
        assert reference[frame.timestamp].keyframe == frame.keyframe
        previous = place
    good = [frame.data for frame in frames if frame.decodable]
    assert decoded(codec, good) == len(good)


def test_a_lost_frame_of_an_upper_layer_harms_no_lower_one() -> None:
    """VP8 in layers 0 1 0 1 …: descriptors with base index and layer written by hand."""

    def packet(sequence: int, base: int, layer: int, *, key: bool = False) -> bytes:
        descriptor = bytes([0x90, 0x60, base, layer << 6 | (0x20 if layer else 0)])
        body = b"\x00\x00\x00\x9d\x01\x2a\xa0\x00\x78\x00" if key else b"\x01\x00\x00"
        return (
            b"\x80\xe0"
            + sequence.to_bytes(2, "big")
            + (sequence * 3_000).to_bytes(4, "big")
            + b"\0\0\0\1"
            + descriptor
            + body
        )

    sent = [packet(0, 255, 0, key=True), packet(1, 255, 1), packet(2, 0, 0), packet(3, 0, 1)]
    frames, _ = assemble("vp8", [sent[0], *sent[2:]])
    assert [frame.decodable for frame in frames] == [True, True, True]
    frames, _ = assemble("vp8", [*sent[:2], sent[3], packet(4, 1, 0), packet(5, 2, 0, key=True)])
    assert [frame.decodable for frame in frames] == [True, True, False, False, True]


@pytest.mark.parametrize(
    ("packet", "ticks"),
    [
        (b"\x00", 480),
        (b"\x08", 960),
        (b"\x18", 2880),
        (b"`", 480),
        (b"h", 960),
        (b"\x80", 120),
        (b"\xf8", 960),
        (b"\xf9", 1920),
        (b"\xfb\x03", 2880),
        (b"\xfb\x06", 5760),
    ],
)
def test_an_opus_packet_says_how_long_it_is(packet: bytes, ticks: int) -> None:
    assert duration_ticks(packet) == ticks


def test_spatial_layers_of_vp9_become_one_superframe() -> None:
    base, upper = b"\x80base", b"\x80upper-layer"
    payloads = [b"\xa8\x05\x00\x07" + base[:2], b"\xa4\x05\x00\x07" + base[2:]]
    payloads.append(b"\xac\x05\x03\x07" + upper)
    frame = Vp9().build(payloads)
    assert frame.data == base + upper + b"\xc1\x05\x0c\xc1"
    assert frame.keyframe
    assert frame.base_index == 7


MALFORMED: dict[str, tuple[type, list[bytes]]] = {
    "opus empty": (Opus, [b""]),
    "opus count missing": (Opus, [b"\x03"]),
    "opus no frames": (Opus, [b"\x03\x00"]),
    "opus too long": (Opus, [b"\xfb\x07"]),
    "opus two": (Opus, [b"\xf8", b"\xf8"]),
    "vp8 empty": (Vp8, [b""]),
    "vp8 extension missing": (Vp8, [b"\x90"]),
    "vp8 picture id missing": (Vp8, [b"\x90\x80"]),
    "vp8 picture id halved": (Vp8, [b"\x90\x80\x80"]),
    "vp8 base index missing": (Vp8, [b"\x90\x40"]),
    "vp8 layer missing": (Vp8, [b"\x90\x20"]),
    "vp8 no frame": (Vp8, [b"\x10"]),
    "vp8 not the start": (Vp8, [b"\x00abc"]),
    "vp8 two starts": (Vp8, [b"\x10\x01bc", b"\x10\x01bc"]),
    "vp8 keyframe without code": (Vp8, [b"\x10\x00\x00\x00abcdefghijk"]),
    "vp8 keyframe cut short": (Vp8, [b"\x10\x00\x00\x00\x9d\x01\x2a"]),
    "vp9 empty": (Vp9, [b""]),
    "vp9 picture id missing": (Vp9, [b"\x8c"]),
    "vp9 layer missing": (Vp9, [b"\x2c"]),
    "vp9 base index missing": (Vp9, [b"\x2c\x00"]),
    "vp9 four references": (Vp9, [b"\x5c\x03\x03\x03\x02abc"]),
    "vp9 references missing": (Vp9, [b"\x5c\x03"]),
    "vp9 sizes missing": (Vp9, [b"\x0e\x10\x00\x10"]),
    "vp9 groups missing": (Vp9, [b"\x0e\x08\x02\x00"]),
    "vp9 no frame": (Vp9, [b"\x0c"]),
    "vp9 no start": (Vp9, [b"\x04abc"]),
    "vp9 no end": (Vp9, [b"\x08abc"]),
    "vp9 start twice": (Vp9, [b"\x08abc", b"\x0cabc"]),
    "vp9 nine layers": (Vp9, [b"\x0cabc"] * 9),
    "h264 empty": (H264, [b""]),
    "h264 type 0": (H264, [b"\x00a"]),
    "h264 stap-b": (H264, [b"\x19abc"]),
    "h264 reserved": (H264, [b"\x1fabc"]),
    "h264 stap empty": (H264, [b"\x18"]),
    "h264 stap unit empty": (H264, [b"\x18\x00\x00"]),
    "h264 stap cut": (H264, [b"\x18\x00\x05\x67a"]),
    "h264 stap size halved": (H264, [b"\x18\x00\x01\x67\x00"]),
    "h264 stap in stap": (H264, [b"\x18\x00\x02\x18a"]),
    "h264 fragment empty": (H264, [b"\x7c\x85"]),
    "h264 fragment start and end": (H264, [b"\x7c\xc5a"]),
    "h264 fragment without start": (H264, [b"\x7c\x05a"]),
    "h264 fragment without end": (H264, [b"\x7c\x85a"]),
    "h264 fragment twice": (H264, [b"\x7c\x85a", b"\x7c\x85a"]),
    "h264 fragment interrupted": (H264, [b"\x7c\x85a", b"\x67a"]),
    "av1 empty": (Av1, [b""]),
    "av1 header only": (Av1, [b"\x10"]),
    "av1 reserved": (Av1, [b"\x11\x30a"]),
    "av1 new and going on": (Av1, [b"\x98\x30a"]),
    "av1 without start": (Av1, [b"\x90\x30a"]),
    "av1 without end": (Av1, [b"\x50\x30a"]),
    "av1 element empty": (Av1, [b"\x00\x00"]),
    "av1 element too long": (Av1, [b"\x00\x09a"]),
    "av1 size endless": (Av1, [b"\x00\xff\xff\xff\xff\xff\xff"]),
    "av1 fewer elements": (Av1, [b"\x30\x01\x30"]),
    "av1 forbidden bit": (Av1, [b"\x10\xb0a"]),
    "av1 obu cut": (Av1, [b"\x10\x32\x09a"]),
    "av1 extension cut": (Av1, [b"\x10\x34"]),
    "av1 only a delimiter": (Av1, [b"\x10\x10"]),
    "av1 sequence without header": (Av1, [b"\x18\x30abc"]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_payloads_are_refused(name: str) -> None:
    kind, payloads = MALFORMED[name]
    with pytest.raises(PacketError):
        kind().build(payloads)


@pytest.mark.parametrize("codec", FORMATS)
def test_malformed_payloads_cost_no_more_than_themselves(codec: str) -> None:
    made = packets(codec, encoded(codec), first_sequence=100)
    bad = [p[:12] + b"\xff" * 3 if codec != "opus" else p[:12] + b"\x03" for p in made[2][:1]]
    received = [p for group in [*made[:2], [*bad, *made[2][1:]], *made[3:]] for p in group]
    frames, assembler = assemble(codec, received)
    assert assembler.losses.malformed_packets > 0
    assert len(frames) >= 6
    assert frames[-1].decodable
    assert sum(frame.after_loss for frame in frames) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\x40" + b"\0" * 11,
        b"\x81" + b"\0" * 11,
        b"\x90" + b"\0" * 11,
        b"\x90" + b"\0" * 11 + b"\xbe\xde\x00\x01",
        b"\xa0" + b"\0" * 11,
        b"\xa0" + b"\0" * 11 + b"\x02",
    ],
)
def test_malformed_headers_are_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        parse_rtp(data)


def test_a_header_with_sources_extension_and_padding_is_read() -> None:
    head = bytes([0xB2, 0xE0, 0, 5, 0, 0, 0, 9, 0, 0, 0, 7]) + b"\0" * 8 + b"\xbe\xde\0\1abcd"
    packet = parse_rtp(head + b"media" + b"\0\0\3")
    assert packet.payload == b"media"
    assert (packet.marker, packet.payload_type, packet.sequence) == (True, 96, 5)
    assert Payload(packet.payload, keyframe=True).base_index is None


@pytest.mark.parametrize("first", [0, 1, 32_767, 32_768, 65_534, 65_535])
def test_order_holds_at_every_wrap(first: int) -> None:
    order = Reorder(depth=8)
    numbers = [0, 2, 1, 5, 4, 3, 3, 20, 21, 19]
    out: list[tuple[int, int]] = []
    for index, number in enumerate(numbers):
        data = b"\x80\x60" + ((first + number) % 65_536).to_bytes(2, "big") + b"\0" * 8 + b"x"
        for missing, _, packet in order.push(index, parse_rtp(data)):
            out.append((missing, (packet.sequence - first) % 65_536))
    for missing, _, packet in order.flush():
        out.append((missing, (packet.sequence - first) % 65_536))
    assert out == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (13, 19), (0, 20), (0, 21)]
    assert order.repeated == 1


def test_what_is_missing_is_waited_for_no_longer_than_allowed() -> None:
    order = Reorder(depth=100, wait_us=1_000)

    def push(number: int, at_us: int) -> list[tuple[int, int]]:
        data = b"\x80\x60" + number.to_bytes(2, "big") + b"\0" * 8 + b"x"
        return [(missing, p.sequence) for missing, _, p in order.push(at_us, parse_rtp(data))]

    assert push(1, 0) == []
    assert push(3, 10) == []
    assert push(4, 1_005) == [(0, 1)]
    assert push(5, 1_011) == [(1, 3), (0, 4), (0, 5)]
    assert push(2, 1_012) == []
    assert order.late == 1
