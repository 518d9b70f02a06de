from collections import Counter, defaultdict

import pytest

from loadtest.soak.plan import Act, Action, PlanConfig, make_plan

CONFIG = PlanConfig(seconds=1_800, rooms=6, actions_per_s=1.0, resume_window_s=30)


def test_one_seed_is_one_plan() -> None:
    assert make_plan(CONFIG, 7) == make_plan(CONFIG, 7)
    assert make_plan(CONFIG, 7) != make_plan(CONFIG, 8)


@pytest.mark.parametrize("seed", range(5))
def test_everything_happens_in_half_an_hour_and_in_order(seed: int) -> None:
    plan = make_plan(CONFIG, seed)
    # Emptying a room is everybody's leaving it.
    assert {action.act for action in plan} == set(Act) - {Act.EMPTY}
    times = [action.at_s for action in plan]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < CONFIG.seconds
    assert len(plan) > 0.7 * CONFIG.seconds


@pytest.mark.parametrize("seed", range(5))
def test_only_who_is_there_does_anything(seed: int) -> None:
    present: set[tuple[int, int]] = set()
    for action in make_plan(CONFIG, seed):
        seat = (action.room, action.seat)
        assert (seat in present) == (action.act is not Act.JOIN), action
        if action.act is Act.JOIN:
            present.add(seat)
        elif action.act in {Act.LEAVE, Act.VANISH}:
            present.discard(seat)


@pytest.mark.parametrize("seed", range(5))
def test_mutes_and_screens_alternate(seed: int) -> None:
    on: dict[tuple[int, int, str], bool] = defaultdict(bool)
    for action in make_plan(CONFIG, seed):
        seat = (action.room, action.seat)
        if action.act in {Act.JOIN, Act.RELOAD, Act.OUTAGE_LONG}:
            for kind in ("audio", "video", "screen"):
                on[(*seat, kind)] = False
        if action.act in {Act.MUTE, Act.UNMUTE, Act.SCREEN_START, Act.SCREEN_STOP}:
            key = (*seat, action.kind or "screen")
            starts = action.act in {Act.MUTE, Act.SCREEN_START}
            assert on[key] != starts, action
            on[key] = starts


@pytest.mark.parametrize("seed", range(5))
def test_bad_networks_end_before_the_next_action_of_that_person(seed: int) -> None:
    until: dict[tuple[int, int], float] = defaultdict(float)
    for action in make_plan(CONFIG, seed):
        seat = (action.room, action.seat)
        assert action.at_s >= until[seat], action
        until[seat] = action.at_s + action.seconds
        if action.act in {Act.OUTAGE_SHORT, Act.SLOW_READER}:
            assert action.seconds < CONFIG.resume_window_s
        if action.act is Act.OUTAGE_LONG:
            assert action.seconds > CONFIG.resume_window_s


def test_rooms_are_emptied() -> None:
    left: Counter[tuple[int, float]] = Counter()
    for action in make_plan(CONFIG, 1):
        if action.act is Act.LEAVE:
            left[action.room, action.at_s] += 1
    assert any(count > 1 for count in left.values())


def test_more_seats_than_roles_are_refused() -> None:
    with pytest.raises(ValueError, match="seats"):
        PlanConfig(seats=5)


def test_roles_follow_the_seat() -> None:
    assert [Action(0, Act.JOIN, 0, seat).role for seat in range(3)] == ["rm", "customer", "expert"]
