import itertools
import random
from collections.abc import Sequence

import pytest

from recorder.playback.frames import TrackFrames
from recorder.playback.uploads import SaidRange, UploadedFrame, Uploads
from rtp.keyframes import is_keyframe
from tests.recorder.compose.test_sound import tone
from tests.recorder.encoders import Encoded, encode_opus, encode_video, packets, pattern
from tests.recorder.scene import Link, ListedTrack, info, survey
from tests.rtp.test_formats import assemble

CODECS = ("vp8", "vp9", "h264", "av1", "opus")
FIRST = 2**32 - 5_000


def encoded(codec: str, count: int) -> list[Encoded]:
    if codec == "opus":
        return list(encode_opus(tone(count / 50)))
    return list(encode_video(codec, pattern(count)))


def lossy(codec: str, loss: float, complete: Sequence[bool], seed: int = 1) -> ListedTrack:
    """Frames in chunks of ten; of complete ones what was lost is uploaded."""
    sent = encoded(codec, 10 * len(complete))
    groups = packets(codec, sent, ssrc=7)
    rng = random.Random(seed)
    kept = [[p for p in group if rng.random() >= loss or i == 0] for i, group in enumerate(groups)]
    rate = 48_000 if codec == "opus" else 90_000
    items = Link(jitter_us=300).deliver(sent, kept, rate, ssrc=7)
    track = ListedTrack(info("t", codec), items)
    (found,) = survey(track)
    whole = {f.timestamp: f.data for f in assemble(codec, [p for g in groups for p in g])[0]}
    captured = {f.timestamp for f in assemble(codec, [p for g in kept for p in g])[0]}
    ranges, files = [], {}
    for number, is_complete in enumerate(complete):
        chunk = sent[number * 10 : number * 10 + 10]
        stamps = [(FIRST + frame.ticks) % 2**32 for frame in chunk]
        from_us = chunk[0].ticks * 1_000_000 // rate + 20_000
        file = f"{number}.frames" if is_complete else None
        ranges.append(SaidRange(7, number, stamps[0], stamps[-1], is_complete, from_us, file))
        files[file] = [UploadedFrame(7, s, whole[s]) for s in stamps if s not in captured]
    assert found.packets
    track.uploads = Uploads(ranges, lambda item: files[item.file])
    return track


@pytest.mark.parametrize("codec", CODECS)
def test_what_was_uploaded_makes_a_track_whole(codec: str) -> None:
    track = lossy(codec, 0.3, [True] * 4)
    frames = TrackFrames(track, survey(track)[0])
    found = list(frames)
    assert len(found) == 40
    assert not any(timed.after_gap for timed in found)
    assert frames.uploaded > 5
    assert frames.undecodable == 0
    step = 20_000 if codec == "opus" else 40_000
    assert all(abs(b.time_us - a.time_us - step) < 100 for a, b in itertools.pairwise(found))


def test_a_chunk_that_stayed_incomplete_is_a_gap() -> None:
    track = lossy("opus", 0.5, [True, False, True, True])
    found = list(TrackFrames(track, survey(track)[0]))
    times = {(timed.time_us - 20_000) // 200_000 for timed in found if timed.after_gap}
    assert times
    assert times <= {1, 2}


def test_pictures_after_an_incomplete_chunk_wait_for_a_keyframe() -> None:
    track = lossy("vp8", 0.4, [True, False, True])
    frames = TrackFrames(track, survey(track)[0])
    found = list(frames)
    assert 10 <= len(found) < 20
    assert frames.undecodable > 10


@pytest.mark.parametrize("codec", CODECS)
def test_keyframes_are_told_by_their_bytes(codec: str) -> None:
    frames = encoded(codec, 5)
    assert [is_keyframe(codec, frame.data) for frame in frames] == [f.keyframe for f in frames]
    assert not is_keyframe(codec, b"") or codec == "opus"


def test_nothing_is_whole_that_nobody_described() -> None:
    ranges = [SaidRange(1, 5, 2**32 - 10, 10, True), SaidRange(1, 6, 20, 40, True)]
    ranges.append(SaidRange(1, 8, 70, 90, True))
    uploads = Uploads(ranges)
    assert uploads.is_whole(1, 2**32 - 10, 40)
    assert not uploads.is_whole(1, 40, 70), "chunk 7 was never said"
    assert not uploads.is_whole(1, 40, 55)
    assert not uploads.is_whole(2, 0, 5)


def test_numbers_count_all_streams_of_a_track() -> None:
    ranges = [SaidRange(1, 5, 0, 10, True), SaidRange(2, 6, 0, 10, False)]
    ranges += [SaidRange(1, 7, 20, 30, True), SaidRange(1, 9, 40, 50, True)]
    uploads = Uploads(ranges)
    assert uploads.is_whole(1, 5, 25)
    assert not uploads.is_whole(1, 25, 45), "chunk 8 may have been of this stream"
    assert not uploads.is_whole(2, 0, 5)
    assert not uploads.is_whole(1, 25, 5)
