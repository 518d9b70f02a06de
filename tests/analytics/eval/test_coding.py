"""Loss takes pieces out of encoded frames, and what is left can be decoded."""

from pathlib import Path

import numpy as np
import pytest

from analytics.detector import Mark, VideoFrame
from analytics.errors import EvalError
from analytics.eval.coding import PIECE_BYTES, Channel, Receiver, record
from analytics.eval.labels import Clip, ClipMark, ClipTrack
from analytics.eval.media import items_of


def frames(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (9, 16 + count, 3), np.uint8)
    wide = np.kron(coarse, np.ones((40, 40, 1), np.uint8))
    return [np.ascontiguousarray(wide[:, 8 * i : 8 * i + 640]) for i in range(count)]


def clip(file: str) -> Clip:
    return Clip(
        name="c",
        duration_us=3_000_000,
        tracks=(ClipTrack(track_id="t1", participant_id="p1", file=file, offset_us=500_000),),
        scored=frozenset(),
        marks=(ClipMark(kind="challenge", at_us=1_000_000, data={"ask": "turn"}),),
    )


def test_frame_that_lacks_a_piece_isnt_shown_nor_what_follows_until_a_keyframe() -> None:
    sizes = [5 * PIECE_BYTES] * 400
    receiver = Receiver(0.02, 5)
    taken = [receiver.takes(size, is_keyframe=i % 20 == 0) for i, size in enumerate(sizes)]
    again = Receiver(0.02, 5)
    assert taken == [again.takes(size, is_keyframe=i % 20 == 0) for i, size in enumerate(sizes)]
    lost = [i for i, took in enumerate(taken) if not took]
    assert lost
    assert all(taken[i + 1] is False for i in lost if i + 1 < 400 and (i + 1) % 20)


def test_nothing_is_lost_without_loss_and_all_with_all() -> None:
    assert all(Receiver(0.0, 1).takes(100_000, is_keyframe=False) for _ in range(9))
    receiver = Receiver(1.0, 1)
    assert not any(receiver.takes(0, is_keyframe=True) for _ in range(9))
    assert receiver.wants_keyframe


@pytest.mark.parametrize("codec", ["vp8", "h264"])
@pytest.mark.parametrize("loss", [0.0, 0.03])
def test_pictures_come_through(tmp_path: Path, codec: str, loss: float) -> None:
    channel = Channel(codec, 800, loss)  # type: ignore[arg-type]
    taken = record(frames(20), channel, tmp_path / "a.mkv", 3)
    items = list(items_of(clip("a.mkv"), tmp_path, {"camera": 10.0}, 180, 96))
    found = [item for item in items if isinstance(item, VideoFrame)]
    assert len(found) == taken
    assert taken == 20 if not loss else 3 <= taken < 20
    assert found[0].image.shape == (180, 320, 3)
    assert found[0].pts_us == 500_000
    assert [item.kind for item in items if isinstance(item, Mark)] == ["track.started", "challenge"]
    times = [item.at_us if isinstance(item, Mark) else item.pts_us for item in items]
    assert times == sorted(times)
    if not loss:
        there = found[10].image.astype(int) - frames(20)[10][::2, ::2]
        assert np.abs(there).mean() < 12


def test_fewer_frames_are_given_where_fewer_are_wanted(tmp_path: Path) -> None:
    record(frames(20), Channel("h264"), tmp_path / "a.mkv", 3)
    items = items_of(clip("a.mkv"), tmp_path, {"camera": 2.0}, 360, 96)
    found = [item.pts_us for item in items if isinstance(item, VideoFrame)]
    assert found == [500_000, 1_000_000, 1_500_000, 2_000_000]


def test_media_that_cant_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"no media")
    with pytest.raises(EvalError, match=r"a\.mkv"):
        list(items_of(clip("a.mkv"), tmp_path, {"camera": 2.0}, 360, 96))
    with pytest.raises(EvalError, match=r"b\.mkv"):
        list(items_of(clip("b.mkv"), tmp_path, {"camera": 2.0}, 360, 96))
