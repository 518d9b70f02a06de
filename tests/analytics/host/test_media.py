"""From messages of the tap to pictures and sound."""

import itertools

import numpy as np
import pytest

from analytics.host.audio import BLOCK, AudioTap, Chunker, Sound
from analytics.host.clock import MediaClock
from analytics.host.tap import TapFormatError, TapPacket, parse_message
from analytics.host.video import Picture, VideoTap
from tests.analytics.host.media import HEAD, Camera, Microphone, record

FRAME_US = 40_000


def pushed(tap: VideoTap, message: bytes) -> list[Picture]:
    return [picture for packet in parse_message(message) for picture in tap.push(packet)]


def heard(tap: AudioTap, message: bytes) -> list[Sound]:
    return [sound for packet in parse_message(message) for sound in tap.push(packet)]


def test_a_message_is_a_row_of_records() -> None:
    message = record(b"abc", tap=9, number=70_000, at_us=5, turns=3) + record(b"", number=1)
    assert parse_message(message) == [
        TapPacket(9, "vp8", 0, 0, 70_000, 3, 5, b"abc"),
        TapPacket(1, "vp8", 0, 0, 1, None, 0, b""),
    ]
    assert parse_message(b"") == []


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"x", "ends within the head"),
        (record(b"abc")[:-1], "longer than its message"),
        (record(b"abc") + b"\0" * 39, "ends within the head"),
        (HEAD.pack(0, 2, 1, 0, 255, 0, 0, 0, 1, 0, 0), "version 2"),
        (HEAD.pack(0, 0, 1, 0, 255, 0, 0, 0, 1, 0, 0), "version 0"),
        (HEAD.pack(0, 1, 5, 0, 255, 0, 0, 0, 1, 0, 0), "codec 5"),
        (HEAD.pack(0, 1, 1, 0, 4, 0, 0, 0, 1, 0, 0), "4 quarter turns"),
        (HEAD.pack(0, 1, 1, 0, 255, 1, 0, 0, 1, 0, 0), "reserved bytes"),
        (HEAD.pack(0, 1, 1, 0, 255, 0, 0, 1, 1, 0, 0), "reserved bytes"),
        (b"\0" * 65_537, "too long"),
    ],
)
def test_malformed_messages_are_refused(message: bytes, says: str) -> None:
    with pytest.raises(TapFormatError, match=says):
        parse_message(message)


def test_only_pictures_that_are_due_are_converted_and_none_larger_than_needed() -> None:
    camera, tap = Camera(320, 240), VideoTap(wait_us=500_000)
    tap.rate_hz, tap.height = 5.0, 120
    pictures = [p for i in range(50) for p in pushed(tap, camera.message(i * FRAME_US))]
    assert tap.decoded == 50
    assert 10 <= len(pictures) == tap.converted <= 11
    assert all(picture.image.shape == (120, 160, 3) for picture in pictures)
    times = [picture.pts_us for picture in pictures]
    assert all(180_000 <= b - a <= 220_000 for a, b in itertools.pairwise(times))


def test_nothing_is_decoded_for_nobody() -> None:
    camera, tap = Camera(), VideoTap(wait_us=500_000)
    assert pushed(tap, camera.message(0)) == []
    assert tap.decoded == 0


def test_late_packets_find_their_place_and_left_out_ones_are_not_missed() -> None:
    camera, tap = Camera(keyframes_every=1_000), VideoTap(wait_us=500_000)
    tap.rate_hz = 100.0
    messages = [camera.message(i * FRAME_US) for i in range(6)]
    got = len(pushed(tap, messages[0]))
    for index in (2, 1, 3):
        got += len(pushed(tap, messages[index]))
    # The next two numbers were left out by the plane; what refers to nothing else goes on.
    numbers = parse_message(messages[4])
    skipped = b"".join(record(b"", number=packet.number, at_us=5) for packet in numbers)
    got += len(pushed(tap, skipped)) + len(pushed(tap, messages[5]))
    assert got == 5
    assert not tap.wants_keyframe


def test_a_loss_asks_for_a_keyframe_once_a_second_and_goes_on_with_it() -> None:
    camera, tap = Camera(keyframes_every=1_000), VideoTap(wait_us=100_000)
    tap.rate_hz = 100.0
    pushed(tap, camera.message(0))
    camera.picture()
    asked = 0
    for index in range(2, 52):
        assert pushed(tap, camera.message(index * FRAME_US)) == []
        asked += tap.wants_keyframe
        tap.wants_keyframe = False
    assert 2 <= asked <= 3
    fresh = Camera()
    fresh.number, fresh.index = camera.number, camera.index
    assert len(pushed(tap, fresh.message(52 * FRAME_US))) == 1


def test_another_encoding_is_shown_from_its_keyframe_on_and_turned_as_the_packets_say() -> None:
    small, large, tap = Camera(160, 120), Camera(320, 240), VideoTap(wait_us=500_000)
    tap.rate_hz, tap.height = 100.0, 240
    assert pushed(tap, small.message(0))[0].image.shape == (120, 160, 3)
    late = [large.picture() for _ in range(2)]
    data = b"".join(record(d, number=n, encoding=1, at_us=FRAME_US) for n, d in late[1])
    assert pushed(tap, data) == [], "no keyframe"
    assert len(pushed(tap, small.message(FRAME_US))) == 1
    fresh = Camera(320, 240).picture()
    data = b"".join(
        record(d, number=n, encoding=1, instance=2, turns=1, at_us=2 * FRAME_US) for n, d in fresh
    )
    picture = pushed(tap, data)[0]
    assert picture.image.shape == (320, 240, 3)
    assert picture.image.flags.c_contiguous


def resized(data: bytes, width: int, height: int) -> bytes:
    """A packet of a VP8 keyframe that says that it has another size (RFC 6386, section 9.1)."""
    start = data.index(b"\x9d\x01\x2a") + 3
    return (
        data[:start]
        + width.to_bytes(2, "little")
        + height.to_bytes(2, "little")
        + data[start + 4 :]
    )


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (16_383, 16_383, None),
        (4_096, 2_320, None),
        (4_096, 2_304, (90, 160, 3)),
        # Nobody's picture, but who sends it takes no more memory than others.
        (16_000, 96, (2, 360, 3)),
        (96, 16_000, (360, 2, 3)),
    ],
)
def test_a_picture_takes_no_more_memory_than_there_is(
    width: int, height: int, shape: tuple[int, ...] | None
) -> None:
    camera, tap = Camera(keyframes_every=1), VideoTap(wait_us=0)
    tap.rate_hz, tap.height = 25.0, 90
    ((number, data),) = camera.picture()
    got = pushed(tap, record(resized(data, width, height), number=number))
    assert [picture.image.shape for picture in got] == ([] if shape is None else [shape])
    assert tap.wants_keyframe == (shape is None)


def test_rubbish_brings_no_picture_and_what_follows_does() -> None:
    camera, tap = Camera(keyframes_every=1), VideoTap(wait_us=0)
    tap.rate_hz = 25.0
    for index in range(100):
        ((number, data),) = camera.picture()
        # The start code of a keyframe is another one.
        broken = data[:16] + bytes(byte ^ 0xFF for byte in data[16:40])
        pushed(tap, record(broken, number=number, at_us=index * FRAME_US))
    assert tap.decoded == 0
    assert len(pushed(tap, camera.message(100 * FRAME_US))) == 1


def test_sound_becomes_mono_without_holes() -> None:
    microphone, tap = Microphone(), AudioTap(wait_us=300_000)
    sounds = [s for i in range(50) for s in heard(tap, microphone.message(i * 20_000))]
    assert sounds[0].is_after_gap
    assert not any(sound.is_after_gap for sound in sounds[1:])
    joined = np.concatenate([sound.samples for sound in sounds])
    assert 15_500 <= len(joined) <= 16_000
    assert joined.dtype == np.float32
    assert 0.2 < np.abs(joined[2_000:]).max() < 0.6
    for before, after in itertools.pairwise(sounds):
        end_us = before.pts_us + len(before.samples) * 1_000_000 // 16_000
        assert abs(after.pts_us - end_us) <= 1


def test_what_is_lost_is_a_gap_and_what_was_not_sent_is_silence() -> None:
    microphone, tap = Microphone(), AudioTap(wait_us=100_000)
    for index in range(10):
        heard(tap, microphone.message(index * 20_000))
    sounds = [
        sound
        for index in range(20)
        for sound in heard(tap, microphone.message(400_000 + index * 20_000, skip=10 * (not index)))
    ]
    assert sounds[0].is_after_gap
    assert 390_000 <= sounds[0].pts_us <= 410_000
    # A sender that is silent counts time, but no packets.
    data = parse_message(microphone.message(1_300_000))[0]
    stamp = (int.from_bytes(data.data[4:8], "big") + 24_000).to_bytes(4, "big")
    packet = data.data[:4] + stamp + data.data[8:]
    quiet = heard(tap, record(packet, tap=2, codec="opus", number=data.number, at_us=1_300_000))
    assert not quiet[0].is_after_gap
    assert len(quiet[0].samples) >= 8_000
    assert np.abs(quiet[0].samples[100:7_900]).max() < 0.01


def test_chunks_are_whole_blocks_and_none_spans_a_gap() -> None:
    chunker = Chunker(3 * BLOCK)
    tone = np.arange(2_000, dtype=np.float32)
    chunks = [*chunker.push(Sound(0, tone, True)), *chunker.push(Sound(125_000, tone))]
    assert [len(chunk.samples) for chunk in chunks] == [1_536, 1_536]
    assert [chunk.is_after_gap for chunk in chunks] == [True, False]
    assert chunks[1].pts_us == 96_000
    after = list(chunker.push(Sound(900_000, tone, True)))
    assert [len(chunk.samples) for chunk in after] == [512, 1_536]
    assert [(c.pts_us, c.is_after_gap) for c in after] == [(192_000, False), (900_000, True)]
    assert [len(chunk.samples) for chunk in chunker.flush()] == []


@pytest.mark.parametrize("first", [0, 2**31 - 1, 2**32 - 90_000])
def test_times_are_regular_and_late_by_the_least_delay(first: int) -> None:
    clock = MediaClock(90_000)
    delays = [50_000, 20_000, 80_000, 20_000, 60_000]
    times = []
    for index in range(200):
        timestamp = (first + index * 3_600) % 2**32
        arrival_us = index * 40_000 + delays[index % 5]
        times.append(clock.session_us(timestamp, arrival_us))
        assert times[-1] <= arrival_us
    assert all(b - a == 40_000 for a, b in itertools.pairwise(times[5:]))


def test_a_clock_that_was_set_is_followed() -> None:
    clock = MediaClock(48_000)
    clock.session_us(0, 1_000_000)
    assert clock.session_us(48_000, 2_000_000) == 2_000_000
    assert clock.session_us(48_000 * 60, 3_000_000) == 3_000_000
    assert clock.session_us(48_000 * 61, 4_000_000) == 4_000_000
