from pathlib import Path

import pytest
from pydantic import ValidationError

from loadtest.errors import ProfileError
from loadtest.netem.profile import Direction, Link, Loss, Profile, Step
from witness.errors import ConfigError, UsageError
from witness.netem_profiles import load_profile, names
from witness.netem_timeline import draw

NEEDED = {
    "none",
    *(f"{kind}{percent}" for kind in ("random", "burst") for percent in (10, 30, 50, 70)),
    "slow300",
    "jitter",
    "outage30",
}


def test_every_shipped_profile_can_be_read_and_drawn() -> None:
    assert set(names()) >= NEEDED
    for name in names():
        profile = load_profile(name)
        assert profile.title
        assert profile.title_zh
        assert name in draw(name, profile)


def test_names_of_loss_profiles_say_how_much_is_lost() -> None:
    for name in names():
        if name.startswith(("random", "burst")):
            share = int(name.removeprefix("random").removeprefix("burst")) / 100
            profile = load_profile(name)
            for way in ("down", "up"):
                assert profile.expected_loss(way, 60) == pytest.approx(share)
    assert load_profile("outage30").expected_loss("down", 60) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [
        (Loss(), ()),
        (Loss(percent=30), (0.3,)),
        (Loss(percent=0, mean_burst=8), ()),
        (Loss(percent=50, mean_burst=8), (0.125, 0.125, 0.0, 1.0)),
        (Loss(percent=20, mean_burst=4), (0.0625, 0.25, 0.0, 1.0)),
        (
            Loss(percent=30, mean_burst=5, bad_percent=50, good_percent=10),
            (0.2, 0.2, 0.1, 0.5),
        ),
    ],
)
def test_loss_is_given_as_the_native_side_takes_it(
    loss: Loss, parameters: tuple[float, ...]
) -> None:
    assert loss.parameters() == pytest.approx(parameters)


def test_jitter_is_around_the_delay() -> None:
    made = Link(delay_ms=200, jitter_ms=50, rate_kbps=300, queue_ms=100).parameters()
    assert made["delay_s"] == pytest.approx(0.15)
    assert made["jitter_s"] == pytest.approx(0.1)
    assert (made["rate_bps"], made["queue_delay_s"]) == (300_000, pytest.approx(0.1))


def test_the_other_direction_keeps_its_delay_only() -> None:
    bad = Link(delay_ms=20, loss=Loss(percent=50), rate_kbps=100)
    worse = Link(delay_ms=90, jitter_ms=5)
    profile = Profile(down=bad, up=bad, steps=(Step(at_s=5, down=worse, up=worse),))
    only = profile.only(Direction.DOWN)
    assert [*only.timeline("down")] == [(0.0, bad), (5, worse)]
    assert [*only.timeline("up")] == [(0.0, Link(delay_ms=20)), (5, Link(delay_ms=90))]
    assert profile.only(Direction.BOTH) == profile
    with pytest.raises(ProfileError):
        next(profile.timeline("sideways"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"down": {"jitter_ms": 5}},
        {"down": {"loss": {"percent": 101}}},
        {"down": {"loss": {"percent": 90, "mean_burst": 2}}},
        {"down": {"loss": {"percent": 100, "mean_burst": 8}}},
        {"down": {"loss": {"percent": 5, "mean_burst": 8, "good_percent": 6}}},
        {"down": {"rate_kbps": 0}},
        {"seed": -1},
        {"steps": [{"at_s": 5}, {"at_s": 4}]},
        {"sideways": {}},
    ],
)
def test_what_no_path_can_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Profile.model_validate(wrong)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "down:\n  loss: {percent: 120}\n",
            ["2:10: down.loss.percent: must be 100.0 or less (is 120)"],
        ),
        (
            "down:\n  los: {percent: 1}\n",
            ["2:3: down.los: there is no such key; did you mean down.loss?"],
        ),
        (
            "up: {delay_ms: x}\nseed: -1\n",
            ["1:6: up.delay_ms: must be a number (is 'x')", "2:1: seed: must be 0 or more (is -1)"],
        ),
        (
            "down: {delay_ms: 5, jitter_ms: 9}\n",
            ["1:1: down: jitter_ms must not exceed delay_ms: no packet arrives before it left"],
        ),
        (
            "steps:\n  - {at_s: 3, up: {delay_ms: -2}}\n",
            ["2:20: steps.0.up.delay_ms: must be 0.0 or more (is -2)"],
        ),
        ("down: [\n", ["2:1: a value is missing"]),
    ],
)
def test_mistakes_in_a_file_are_named_with_line_and_column(
    tmp_path: Path, text: str, lines: list[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_profile(str(file))
    assert [line.removeprefix(f"{file}:") for line in caught.value.problems] == lines


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="random70"):
        load_profile("randon70")
    with pytest.raises(ConfigError, match="No such file"):
        load_profile("not/there.yaml")
