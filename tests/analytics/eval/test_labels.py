"""Labels come back as they were written, and say what is wrong with them."""

import json
from pathlib import Path

import pytest

from analytics.errors import LabelError
from analytics.eval.labels import (
    MAX_LABEL_BYTES,
    Clip,
    ClipEvent,
    ClipMark,
    ClipTrack,
    find_clips,
    read_clip,
    write_clip,
)


def a_clip() -> Clip:
    return Clip(
        name="absent-1",
        duration_us=20_000_000,
        tracks=(ClipTrack(track_id="t1", participant_id="p1", role="customer", file="a.mp4"),),
        scored=frozenset({"face_absent"}),
        events=(
            ClipEvent(
                kind="face_absent", start_us=5_000_000, end_us=9_000_000, track_id="t1", within_s=4
            ),
        ),
        marks=(ClipMark(kind="challenge", at_us=1, data={"ask": "turn"}),),
        tags={"codec": "vp8"},
        seed=7,
    )


def test_label_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = write_clip(a_clip(), tmp_path)
    assert path.name == "absent-1.clip.json"
    assert read_clip(path) == a_clip()
    assert list(find_clips(tmp_path)) == [(path, a_clip())]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_directory_without_labels_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="witness analytics clips"):
        list(find_clips(tmp_path))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "version"),
        ({"duration_us": 0}, "duration_us"),
        ({"tracks": []}, "tracks"),
        ({"surprise": 1}, "surprise"),
        ({"name": "../up"}, "name"),
        ({"tracks": [{"track_id": "t1", "participant_id": "p1", "file": "../a.mp4"}]}, "beside"),
        ({"tracks": [{"track_id": "t1", "participant_id": "p1", "file": "/a.mp4"}]}, "beside"),
        (
            {"tracks": [{"track_id": "t1", "participant_id": "p1", "file": "a"}] * 2},
            "same track_id",
        ),
        ({"scored": []}, "not in scored"),
        ({"events": [{"kind": "face_absent", "start_us": 2, "end_us": 1}]}, "before it starts"),
        ({"events": [{"kind": "face_absent", "start_us": 2, "end_us": 20_000_001}]}, "after the"),
        (
            {"events": [{"kind": "face_absent", "start_us": 2, "end_us": 3, "track_id": "x"}]},
            "no track",
        ),
        (
            {
                "events": [
                    {"kind": "face_absent", "start_us": 2, "end_us": 3, "participant_id": "x"}
                ]
            },
            "no participant",
        ),
        ({"events": [{"kind": "face_absent", "start_us": -1, "end_us": 3}]}, "start_us"),
        ({"events": [{"kind": "Face", "start_us": 1, "end_us": 3}]}, "kind"),
    ],
)
def test_wrong_label_says_what_is_wrong(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    label = json.loads(a_clip().model_dump_json()) | change
    path = tmp_path / "x.clip.json"
    path.write_text(json.dumps(label))
    with pytest.raises(LabelError, match=says):
        read_clip(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b" " * (MAX_LABEL_BYTES + 1)])
def test_what_is_no_label_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.clip.json"
    path.write_bytes(content)
    with pytest.raises(LabelError, match=r"x\.clip\.json"):
        read_clip(path)
