import json
from pathlib import Path

import numpy as np
import pytest

from analytics.detector import Outcome
from analytics.errors import EvalError
from analytics.eval.labels import read_clip
from analytics.eval.speech_clips import (
    SPEECH_STORIES,
    Sentences,
    SpeechPlan,
    make_speech_clip,
    speech_set,
)
from analytics.eval.speech_coding import (
    SpeechChannel,
    decoded_file,
    through,
    with_noise,
    write_sound,
)
from tests.fakes.speech import voice

SPEECH = Path(__file__).parents[2] / "data" / "speech"
HELD = SPEECH.with_name("speech-held")
CLEAN = SpeechChannel("clean")


@pytest.mark.parametrize("folder", [SPEECH, HELD])
def test_every_sentence_has_its_sound(folder: Path) -> None:
    sentences = Sentences.read(folder)
    assert sentences.texts["yes02"] == "同意。"
    assert {path.stem for path in folder.glob("*.opus")} == sentences.texts.keys()
    for name in ("yes01", "required01"):
        sound = sentences.sound(name)
        assert 0.3 < np.abs(sound).max() <= 1
        assert 8_000 < len(sound) < 160_000


@pytest.mark.parametrize("text", ["[]", "{", '{"a": {}}', '{"a": 1}'])
def test_what_lists_no_sentences_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "sentences.json").write_text(text)
    with pytest.raises(EvalError, match=r"sentences\.json"):
        Sentences.read(tmp_path)


def test_sound_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.opus").write_bytes(b"OggS nothing of the kind")
    with pytest.raises(EvalError, match=r"a\.opus"):
        decoded_file(tmp_path / "a.opus")


def test_sound_is_written_as_it_is(tmp_path: Path) -> None:
    sound = voice(1.0, 200)
    write_sound(tmp_path / "a.flac", sound)
    np.testing.assert_allclose(decoded_file(tmp_path / "a.flac"), sound, atol=1e-4)


@pytest.mark.parametrize("snr_db", [20.0, 10.0])
def test_noise_is_as_loud_as_was_said(snr_db: float) -> None:
    sound = voice(2.0, 200)
    loud = sound[np.abs(sound) > 0.01]
    noise = with_noise(sound, snr_db, np.random.default_rng(1)) - sound
    measured = 10 * np.log10(np.mean(loud**2) / np.mean(noise**2))
    assert measured == pytest.approx(snr_db, abs=0.2)


def test_loss_takes_its_share_and_keeps_the_time() -> None:
    sound = voice(8.0, 200)
    clean = through(sound, SpeechChannel("clean"), np.random.default_rng(1))
    lossy = through(sound, SpeechChannel("loss", loss=0.2), np.random.default_rng(1))
    assert len(clean) == len(lossy) == len(sound)
    pieces = np.abs(clean - lossy)[: 399 * 320].reshape(-1, 320).max(axis=1) > 0.02
    assert 0.1 < pieces.mean() < 0.7


def test_same_seed_makes_the_same_clip(tmp_path: Path) -> None:
    sentences = Sentences.read(SPEECH)
    channel = SpeechChannel("noise20", snr_db=20, loss=0.1)
    made = [
        make_speech_clip(sentences, SpeechPlan("contrary", channel, 3), tmp_path / name)
        for name in ("a", "b")
        if (tmp_path / name).mkdir() is None
    ]
    assert made[0] == made[1]
    for track in made[0].tracks:
        first, second = (decoded_file(tmp_path / name / track.file) for name in ("a", "b"))
        np.testing.assert_array_equal(first, second)


def test_label_says_what_is_true(tmp_path: Path) -> None:
    clip = make_speech_clip(
        Sentences.read(SPEECH), SpeechPlan("contrary", SpeechChannel("clean"), 1), tmp_path
    )
    assert read_clip(tmp_path / f"{clip.name}.clip.json") == clip
    assert {event.outcome for event in clip.events} == {Outcome.FAIL}
    nodes = [mark.data["code"] for mark in clip.marks if mark.kind == "node.started"]
    assert [event.match["node"] for event in clip.events] == nodes
    assert json.dumps(clip.marks[0].data, ensure_ascii=False).count("required_statements") == 1
    assert clip.texts["rm"][0] == "过往业绩就代表未来表现。"


def test_form_of_a_sentence_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sentences.json").write_text('{"echo01": {"text": "a", "of": "question09"}}')
    with pytest.raises(EvalError, match="question09"):
        Sentences.read(tmp_path)


def test_held_out_sentences_are_others() -> None:
    first, second = (Sentences.read(folder).texts for folder in (SPEECH, HELD))
    shared = {text for text in first.values() if len(text) > 8} & set(second.values())
    assert not shared


def test_stories_without_sentences_are_left_out() -> None:
    names = {plan.story for plan in speech_set(Sentences.read(HELD), channels=[CLEAN])}
    assert {"required", "yes", "no", "promises"} <= names
    assert not names & {"prompted", "talk"}
    assert {"prompted"} <= {p.story for p in speech_set(Sentences.read(SPEECH), channels=[CLEAN])}


def test_talk_needs_sentences_to_talk_with() -> None:
    with pytest.raises(EvalError, match="talk01"):
        speech_set(Sentences.read(SPEECH), clean_minutes=10)


def test_in_talk_each_keeps_a_voice_and_nothing_happens(tmp_path: Path) -> None:
    sentences = Sentences.read(HELD)
    plans = speech_set(sentences, clean_minutes=10, seed=2, channels=[CLEAN])
    talks = [plan for plan in plans if plan.story == "talk"]
    assert [plan.name for plan in talks] == ["speech-talk-clean-02000", "speech-talk-clean-02001"]
    clip = make_speech_clip(sentences, talks[0], tmp_path)
    assert not clip.events
    assert {"second_voice", "promise_made"} <= clip.scored
    for who, spoken in (("rm", "bright"), ("customer", "low")):
        known = {text for name, text in sentences.texts.items() if sentences.voices[name] == spoken}
        assert len(clip.texts[who]) > 15
        assert set(clip.texts[who]) <= known


def test_stories_cover_what_is_asked_for() -> None:
    scored = {kind for story in SPEECH_STORIES.values() for kind in story.scored}
    assert {"statement_said", "answer_affirmed", "promise_made", "second_voice"} <= scored
