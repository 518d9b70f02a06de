from pathlib import Path

import av
import numpy as np
import pytest

from recorder.playback.frames import TrackFrames
from recorder.playback.remux import remux_track
from recorder.playback.survey import Selection
from tests.recorder.encoders import encode_video, packets, pattern
from tests.recorder.scene import Link, ListedTrack, audio_track, info, survey, video_track

TONE = (8_000 * np.sin(np.arange(96_000) / 20)).astype(np.int16)


def frames_of(path: Path) -> list[tuple[float, tuple[int, int]]]:
    with av.open(str(path)) as file:
        stream = file.streams[0]
        return [
            (frame.time, (frame.width, frame.height) if stream.type == "video" else (0, 0))
            for frame in file.decode(stream)
        ]


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_pictures_of_every_codec_play_at_their_time(codec: str, tmp_path: Path) -> None:
    track = video_track("t1", codec, pattern(25), Link(jitter_us=200))
    (found,) = survey(track)
    result = remux_track(track, found, tmp_path, epoch_us=0)
    assert result.file is not None
    frames = frames_of(result.file)
    assert len(frames) == result.frames == 25
    assert {size for _, size in frames} == {(160, 120)}
    for index, (time_s, _) in enumerate(frames):
        assert abs(time_s - (index / 25 + 0.020)) < 0.004
    assert result.holes == []
    with av.open(str(result.file)) as file:
        assert abs(file.duration / 1e6 - 1.02) < 0.1


def test_sound_plays_at_its_time(tmp_path: Path) -> None:
    track = audio_track("t2", TONE, Link())
    result = remux_track(track, survey(track)[0], tmp_path, epoch_us=0)
    assert result.file is not None
    frames = frames_of(result.file)
    assert len(frames) == 100
    # Of the first packet the decoder leaves out what the encoder needed to start.
    assert abs(frames[1][0] - 0.040) < 0.004
    assert abs(frames[-1][0] - (0.020 + 99 * 0.02)) < 0.008


def test_what_is_missing_is_missing_in_the_file_and_said(tmp_path: Path) -> None:
    link = Link(outages_us=[(600_000, 1_200_000)])
    sound = audio_track("a", TONE, link)
    picture = video_track("v", "vp8", pattern(50), link, gop=10)
    heard, seen = survey(sound, picture)
    result = remux_track(sound, heard, tmp_path, epoch_us=0)
    (hole,) = result.holes
    assert abs(hole.from_us - 620_000) < 8_000
    assert abs(hole.to_us - 1_220_000) < 8_000
    assert result.missing_us == hole.to_us - hole.from_us
    result = remux_track(picture, seen, tmp_path, epoch_us=0)
    (hole,) = result.holes
    assert abs(hole.from_us - 580_000 - 20_000) < 25_000
    assert abs(hole.to_us - 1_220_000) < 25_000
    assert result.file is not None
    times = [time_s for time_s, _ in frames_of(result.file)]
    assert not [t for t in times if hole.from_us < t * 1e6 - 1_000 < hole.to_us - 2_000]


def test_until_the_next_keyframe_nothing_is_shown_that_was_not_sent(tmp_path: Path) -> None:
    track = video_track(
        "v", "h264", pattern(50), Link(outages_us=[(410_000, 430_000 + 20_000)]), gop=25
    )
    result = remux_track(track, survey(track)[0], tmp_path, epoch_us=0)
    assert result.undecodable == 13
    (hole,) = result.holes
    assert abs(hole.to_us - hole.from_us - 600_000) < 15_000


def test_a_track_of_nothing_makes_no_file(tmp_path: Path) -> None:
    track = ListedTrack(info("t", "vp8"), [])
    result = remux_track(track, survey(track)[0], tmp_path, epoch_us=0)
    assert result.file is None
    assert list(tmp_path.iterdir()) == []


def two_encodings() -> ListedTrack:
    """A small encoding all the time, a large one from 0 to 1.9 s and from 4 s on."""
    link = Link()
    small = list(encode_video("vp8", pattern(150, 80, 60)))
    large = list(encode_video("vp8", pattern(150, 160, 120), gop=100))
    items = link.deliver(small, packets("vp8", small, ssrc=1), 90_000, ssrc=1)
    groups = packets("vp8", large, ssrc=2)
    groups = [group if i < 48 or i >= 100 else [] for i, group in enumerate(groups)]
    items += link.deliver(large, groups, 90_000, ssrc=2)
    items.sort(key=lambda item: item.arrival_us)
    return ListedTrack(info("v", "vp8"), items)


def test_of_several_encodings_the_best_is_shown_and_the_change_needs_no_keyframe() -> None:
    track = two_encodings()
    (found,) = survey(track)
    assert found.selection == Selection([0, 2_000_000, 4_000_000], [2, 1, 2])
    decoder, sizes = av.CodecContext.create("vp8", "r"), []
    times = []
    for timed in TrackFrames(track, found):
        if timed.restart:
            decoder = av.CodecContext.create("vp8", "r")
        (picture,) = decoder.decode(av.Packet(timed.frame.data))
        if timed.shown:
            sizes.append(picture.width)
            times.append(timed.time_us)
    assert sorted(times) == times
    assert sizes[:40] == [160] * 40
    assert sizes[60:95] == [80] * 35
    assert sizes[-45:] == [160] * 45
    assert len(times) > 144


def test_a_file_has_what_its_pictures_need_where_the_encoding_changes(tmp_path: Path) -> None:
    track = two_encodings()
    (found,) = survey(track)
    made = remux_track(track, found, tmp_path, epoch_us=0)
    assert made.file is not None
    with av.open(str(made.file)) as container:
        packets = [packet for packet in container.demux() if packet.size]
    decoder = av.CodecContext.create("vp8", "r")
    pictures = [(packet.pts, *decoder.decode(packet)) for packet in packets]
    # The last picture of each moment is the one that is seen.
    seen = {pts: picture.width for pts, picture in pictures}
    assert len(pictures) > made.frames == len(seen) > 144
    expected = {pts: 80 if 2_000 <= pts < 4_000 else 160 for pts in seen}
    assert sum(seen[pts] != expected[pts] for pts in seen) <= 2
    assert [pts for pts, _ in pictures] == sorted(pts for pts, _ in pictures)
