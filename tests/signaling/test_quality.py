"""When a room is told how well everybody is connected."""

import pytest

from sfu import Quality, Role, Score
from signaling.quality import is_noticeable
from tests.signaling.scene import Scene

GOOD = Quality(0.0, 0.02, 0.1, Score.GOOD)


@pytest.mark.parametrize(
    ("now", "noticeable"),
    [
        (GOOD, False),
        (Quality(0.009, 0.029, 0.119, Score.GOOD), False),
        (Quality(0.011, 0.02, 0.1, Score.GOOD), True),
        (Quality(0.0, 0.009, 0.1, Score.GOOD), True),
        (Quality(0.0, 0.02, 0.121, Score.GOOD), True),
        (Quality(0.0, 0.02, 0.079, Score.GOOD), True),
        (Quality(None, 0.02, 0.1, Score.GOOD), True),
        (Quality(0.0, 0.02, None, Score.GOOD), True),
        (Quality(0.0, 0.02, 0.1, Score.FAIR), True),
    ],
)
def test_what_a_person_could_notice(now: Quality, *, noticeable: bool) -> None:
    assert is_noticeable(GOOD, now) is noticeable
    assert is_noticeable(now, GOOD) is noticeable


def test_of_a_long_round_trip_twenty_milliseconds_are_nothing() -> None:
    before, now = Quality(0.0, 0.0, 0.5, Score.FAIR), Quality(0.0, 0.0, 0.53, Score.FAIR)
    assert not is_noticeable(before, now)


def test_a_room_where_nothing_changes_is_told_every_ten_seconds() -> None:
    scene = Scene()
    rm = scene.join()
    told = []
    for _ in range(13):
        scene.run(2.0)
        told.append(len(rm.take("quality")))
    assert told == [1] * 5 + [2] * 5 + [3] * 3


def test_who_comes_and_who_gets_a_new_socket_is_told_at_the_next_look() -> None:
    scene = Scene()
    rm = scene.join()
    scene.run(2.1)
    assert len(rm.take("quality")) == 1
    customer = scene.join("customer-1", Role.CUSTOMER)
    scene.run(2.0)
    for client in (rm, customer):
        people = client.take("quality")[-1]["participants"]
        assert [item["participant_id"] for item in people] == ["rm-1", "customer-1"]
    assert len(rm.take("quality")) == 2
    rm.lose()
    rm = scene.resume(rm, last_seq=rm.last_seq)
    scene.run(2.0)
    assert len(rm.take("quality")) == 1


def test_the_hub_forgets_rooms_that_ended() -> None:
    scene = Scene()
    rm = scene.join()
    scene.run(2.1)
    assert len(scene.hub.quality) == 1
    rm.ask("leave")
    assert len(scene.hub.quality) == 0
