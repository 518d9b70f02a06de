"""Labels and media that don't fit together give no figures."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytics.errors import EvalError, LabelError
from analytics.eval.coding import Channel, record
from analytics.eval.evaluate import detectors_for, evaluate
from analytics.eval.labels import find_clips
from analytics.eval.score import Judged
from analytics.models import InstalledModels

LENGTH_S = 4


@pytest.fixture
def place(tmp_path: Path) -> Path:
    images = (np.full((360, 640, 3), 90 + number, np.uint8) for number in range(LENGTH_S * 10))
    record(images, Channel(), tmp_path / "a.mkv", seed=1)
    return tmp_path


def labelled(place: Path, **changes: Any) -> Path:
    label = {
        "name": "a",
        "duration_us": LENGTH_S * 1_000_000,
        "tracks": [{"track_id": "t", "participant_id": "p", "file": "a.mkv"}],
        "scored": ["picture_black"],
        **changes,
    }
    (place / "a.clip.json").write_text(json.dumps(label))
    return place


def judged(place: Path, name: str = "picture_health") -> list[Judged]:
    return [one for _, one in evaluate(place, [name], {}, InstalledModels)]


def test_label_that_goes_on_for_hours_after_its_media_is_refused(place: Path) -> None:
    (one,) = judged(labelled(place))
    assert one.run.seen_us is not None
    with pytest.raises(EvalError, match=r"clip a end after [34]\.\d s, its label after 3600\.0 s"):
        judged(labelled(place, duration_us=3_600_000_000))


def test_media_of_which_nothing_can_be_decoded_give_no_time_without_alarms(place: Path) -> None:
    data = (place / "a.mkv").read_bytes()
    # Head and places of packets stay; what is in them is none.
    damaged = bytearray(data)
    damaged[len(data) // 10 :] = bytes(len(data) - len(data) // 10)
    (place / "a.mkv").write_bytes(bytes(damaged))
    with pytest.raises(EvalError):
        judged(labelled(place, duration_us=30_000_000))


def test_kind_that_no_detector_says_is_refused(place: Path) -> None:
    labelled(place, scored=["picture_blck"])
    with pytest.raises(LabelError, match="clip a: no detector that is installed says picture_blck"):
        detectors_for([clip for _, clip in find_clips(place)])


def test_kinds_of_detectors_that_do_not_run_have_no_figures(place: Path) -> None:
    event = {"kind": "face_absent", "start_us": 0, "end_us": 1_000_000}
    (one,) = judged(labelled(place, scored=["picture_black", "face_absent"], events=[event]))
    assert one.run.clip.scored == {"picture_black"}
    assert one.run.clip.events == ()


@pytest.mark.parametrize("name", ["a.mkv", "a.clip.json"])
def test_pipe_is_refused_and_not_waited_for(place: Path, name: str) -> None:
    labelled(place)
    (place / name).unlink()
    os.mkfifo(place / name)
    with pytest.raises((EvalError, LabelError), match="it is no file"):
        judged(place)
