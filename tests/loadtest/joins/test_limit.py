"""The calculation of what joining over TCP can take at best."""

from loadtest.joins.limit import CASES, Case, join_times

_ONE = Case("one", ((1, 1),))


def share(case: Case, within_s: float, loss: float = 0.5) -> float:
    times = join_times(case, loss=loss, runs=150)
    return sum(at <= within_s for at in times) / len(times)


def test_without_loss_it_takes_its_round_trips() -> None:
    for exchanges, turns in ((((1, 1),), 2), (((1, 1), (1, 2), (2, 2)), 4), (((3, 3),), 2)):
        times = join_times(Case("", exchanges), loss=0.0, runs=2)
        assert [round(at, 6) for at in times] == [0.04 * turns] * 2
    assert round(join_times(Case("", ((1, 1),), open_already=1), loss=0.0, runs=1)[0], 6) == 0.04


def test_two_calculations_agree() -> None:
    assert join_times(_ONE, runs=20) == join_times(_ONE, runs=20)


def test_each_thing_that_is_done_helps() -> None:
    by_title = {case.title: share(case, 5.0) for case in CASES}
    one_socket = by_title["WebSocket: upgrade, join, offer deflated"]
    one_request = by_title["one request, one connection"]
    five = by_title["one request, five connections"]
    assert one_socket < one_request < five
    assert five > 0.95


def test_nothing_gets_through_where_all_is_lost() -> None:
    assert join_times(_ONE, loss=1.0, runs=3) == [60.0] * 3
