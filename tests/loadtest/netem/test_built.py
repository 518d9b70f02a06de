import pytest

from loadtest.netem.built import Built


class Tower(Built):
    """Three floors, of which one may fail."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.floors: list[int] = []
        self._fails_at = fails_at

    def _build(self) -> None:
        for number in range(3):
            if number == self._fails_at:
                raise OSError("no more bricks")
            self.floors.append(number)
            self._opened.callback(self._take_down, number)

    def _take_down(self, number: int) -> None:
        assert self.floors.pop() == number


def test_what_was_built_stands_meanwhile_and_is_taken_down_from_the_top() -> None:
    with Tower() as tower:
        assert tower.floors == [0, 1, 2]
    assert tower.floors == []


def test_a_failure_half_way_leaves_nothing_behind() -> None:
    tower = Tower(fails_at=2)
    with pytest.raises(OSError, match="bricks"):
        tower.__enter__()
    assert tower.floors == []
