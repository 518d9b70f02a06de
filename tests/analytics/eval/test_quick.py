"""The quick set, from pictures to figures: made, run, judged, reported."""

import json
from pathlib import Path

import pytest

from analytics.errors import EvalError
from analytics.eval.clips import CHANNELS, Plan, full_set, make_clip, make_clips, quick_set
from analytics.eval.evaluate import detectors_for, evaluate
from analytics.eval.labels import find_clips
from analytics.eval.report import as_json, as_page
from analytics.eval.score import score
from analytics.eval.stories import STORIES
from analytics.models.store import InstalledModels
from analytics.vision import embedding, face, landmarks, mesh, objects, pose
from tests.fakes.pictures import everybody, models_with, talking


def test_same_seed_makes_the_same_clip(tmp_path: Path) -> None:
    people, video = everybody(), talking()
    plan = Plan("absent", 7, CHANNELS[7], 15.0)
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        make_clip(plan, people, video, tmp_path / place)
    labels = [json.loads((tmp_path / one / f"{plan.name}.clip.json").read_text()) for one in "ab"]
    assert labels[0] == labels[1]


def test_set_has_every_story_every_channel_and_no_name_twice() -> None:
    plans = full_set(10)
    assert len({plan.name for plan in plans}) == len(plans)
    assert {plan.story for plan in plans} == set(STORIES) | {"video"}
    assert {plan.channel for plan in plans} == set(CHANNELS)
    clean = [plan for plan in plans if plan.story in {"clean", "still", "video"}]
    assert sum(plan.length_s for plan in clean) == 600


def test_one_person_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="two people"):
        list(make_clips(quick_set(), everybody()[:1], [], tmp_path))


@pytest.mark.load
@pytest.mark.timeout(300)
def test_quick_set_is_found_and_reported(tmp_path: Path) -> None:
    models_with(*(m.MODEL for m in (embedding, face, landmarks, mesh, objects, pose)))
    assert len(list(make_clips(quick_set(), everybody(), talking(), tmp_path))) == 4
    names = detectors_for([clip for _, clip in find_clips(tmp_path)])
    judged = list(evaluate(tmp_path, names, {}, InstalledModels))
    scores = score(one for _, one in judged)
    for kind in ("face_absent", "person_swapped", "phone_at_ear"):
        assert scores[kind].found == scores[kind].events == 1, kind
        assert scores[kind].false_alarms == 0, kind
    figures = as_json([one for _, one in judged], scores)
    assert figures["targets"]["person_swapped"]["met"] is True
    page = as_page(judged, scores)
    assert "person_swapped" in page
    assert "漏报" in page
