from pathlib import Path

import pytest
import yaml

from analytics.errors import DetectorConfigError
from analytics.speech.pack import DEFAULT_PACK, Answers, Pack, load_pack

OPTIONAL = [name for name, one in Answers.model_fields.items() if not one.is_required()]


def test_the_one_that_comes_along_is_sound() -> None:
    pack = load_pack(None)
    assert {"principal_guaranteed", "return_guaranteed"} <= {one.code for one in pack.prohibited}
    assert len({one.code for one in pack.prohibited}) == len(pack.prohibited)


def test_words_that_mean_the_same_become_one() -> None:
    pack = load_pack(None)
    assert pack.plain("过去亏掉了") == pack.plain("过往损失了")
    assert pack.plain("这个产品非常好") == "本产品非常好"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "version"),
        ({"negators": [False]}, "negators.0"),
        ({"negators": "不"}, "negators"),
        ({"negators": [""]}, "negators.0"),
        ({"negators": ["不" * 101]}, "negators.0"),
        (
            {"prohibited": [{"code": "X", "title": {"zh": "a", "en": "b"}, "phrases": ["a"]}]},
            "code",
        ),
        ({"prohibited": [{"code": "x", "title": {"zh": "a"}, "phrases": ["a"]}]}, "title.en"),
        (
            {"prohibited": [{"code": "x", "title": {"zh": "a", "en": "b"}, "phrases": []}]},
            "phrases",
        ),
        ({"more": []}, "more"),
        ({"answers": None}, "answers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "pack.yaml"
    whole = yaml.safe_load(DEFAULT_PACK.read_text("utf-8")) | change
    path.write_text(yaml.safe_dump(whole, allow_unicode=True), "utf-8")
    with pytest.raises(DetectorConfigError, match=said) as caught:
        load_pack(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"a: [", b"\xff\xfe\x00", b"- " * 3_000, b"x" * 1_048_577]
)
def test_what_is_no_pack_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "pack.yaml"
    path.write_bytes(text)
    with pytest.raises(DetectorConfigError):
        load_pack(path)


def changed(tmp_path: Path, answers: dict[str, object], *leave_out: str) -> Pack:
    """The pack that comes along, with other lists of answers."""
    whole = yaml.safe_load(DEFAULT_PACK.read_text("utf-8"))
    whole["answers"] |= answers
    for name in leave_out:
        del (whole if name in whole else whole["answers"])[name]
    path = tmp_path / "pack.yaml"
    path.write_text(yaml.safe_dump(whole, allow_unicode=True), "utf-8")
    return load_pack(path)


def test_lists_that_are_left_out_are_those_that_come_along(tmp_path: Path) -> None:
    own = load_pack(None).answers
    answers = changed(tmp_path, {"affirmative": ["同意"]}, *OPTIONAL).answers
    assert answers.affirmative == ("同意",)
    assert all(getattr(answers, name) == getattr(own, name) for name in OPTIONAL)
    assert answers.unguarded == ()
    assert changed(tmp_path, {}, "essential").essential == load_pack(None).essential != ()


def test_an_empty_list_stays_empty_and_is_told(tmp_path: Path) -> None:
    answers = changed(tmp_path, {"beside": [], "acts": [], "reserved": []}, "others").answers
    assert (answers.beside, answers.acts) == ((), ())
    assert answers.others == load_pack(None).answers.others
    assert answers.unguarded == ("reserved", "beside")


def test_a_pack_of_another_language_gets_no_lists(tmp_path: Path) -> None:
    pack = changed(tmp_path, {"affirmative": ["setuju", "ya"]}, "essential", *OPTIONAL)
    assert all(getattr(pack.answers, name) == () for name in OPTIONAL)
    assert pack.essential == ()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorConfigError, match=r"nowhere\.yaml"):
        load_pack(tmp_path / "nowhere.yaml")
