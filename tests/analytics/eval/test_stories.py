"""Every story's labels fit its clip, whoever plays in it; two cameras are two tracks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analytics.eval.clips import CHANNELS, Plan, make_clip
from analytics.eval.labels import Clip, ClipTrack
from analytics.eval.material import Person, with_points
from analytics.eval.run import run_clip
from analytics.eval.stories import SCORED, STORIES, Cast
from analytics.vision import mesh
from analytics.vision.mesh import MeshModel
from tests.fakes.pictures import everybody, models_with, talking


def people() -> list[Person]:
    models = models_with(mesh.MODEL)
    return with_points(everybody()[:4], models.loaded(mesh.MODEL, MeshModel.load))


@pytest.mark.parametrize("name", STORIES)
def test_labels_fit_the_clip(name: str) -> None:
    cast_of = people()
    length_s = 50.0 if name in {"same", "neighbours"} else 25.0
    for seed in range(4):
        cast = Cast(cast_of[seed], cast_of[(seed + 1) % 4], np.random.default_rng(seed))
        story = STORIES[name](cast, length_s)
        clip = Clip(
            name=name,
            duration_us=round(length_s * 1e6),
            tracks=(ClipTrack(track_id="camera", participant_id="customer", file="a.mkv"),),
            scored=SCORED | {"id_match"},
            events=story.events,
            marks=story.marks,
        )
        assert clip.events or name in {"clean", "still", "neighbours"}
        for at_s in np.arange(0, length_s, 0.7):
            assert len(story.shot(float(at_s)).people) <= 2


@pytest.mark.parametrize(("story", "tracks"), [("twice", 2), ("neighbours", 2), ("document", 1)])
def test_clip_has_all_its_media(tmp_path: Path, story: str, tracks: int) -> None:
    plan = replace(Plan(story, 70_003, CHANNELS[0]), length_s=2.0)
    clip = make_clip(plan, people(), talking(), tmp_path)
    assert [track.role for track in clip.tracks] == ["customer", "rm"][:tracks]
    assert all((tmp_path / track.file).stat().st_size > 2_000 for track in clip.tracks)
    assert set(clip.id_photo) == ({"customer"} if story == "document" else set())
    assert all((tmp_path / file).exists() for file in clip.id_photo.values())
    assert run_clip(clip, tmp_path, []).said == []
