"""A host's idea of the session clock, with clocks of two machines that don't agree."""

import random
from collections.abc import Iterator

import pytest

from analytics.host.session_clock import WINDOW_S, SessionClock
from analytics.link import MAX_US

DELAY_S = 0.01
"""The quickest way there is."""


class Machines:
    """A server that says the time of its session, and a host whose clock goes its own way.

    Args:
        ppm: by how much the host's clock is too fast.
        every_s: between two messages.
    """

    def __init__(self, ppm: float = 0.0, every_s: float = 0.04, *, is_shared: bool = False) -> None:
        self.clock = SessionClock(is_shared=is_shared)
        self.random = random.Random(7)
        self.rate = 1 + ppm / 1e6
        self.every_s = every_s
        self.session_s = 0.0
        self.host_s = 5_000.0
        self.newest_us = 0
        self.late_s = 0.0
        """What all messages are late by, beyond the network."""

    def run(self, seconds: float) -> Iterator[float]:
        """How far the host is ahead of the session, seconds, at each message."""
        for _ in range(round(seconds / self.every_s)):
            self.session_s += self.every_s
            self.host_s += self.every_s * self.rate
            delay_s = DELAY_S + self.random.expovariate(1 / 0.05) + self.late_s
            at_us = int((self.session_s - delay_s) * 1e6)
            self.newest_us = max(self.newest_us, at_us)
            self.clock.note(at_us, self.host_s)
            yield self.clock.now_us(self.host_s) / 1e6 - self.session_s

    def worst(self, seconds: float) -> float:
        return max(map(abs, self.run(seconds)))


@pytest.mark.parametrize("ppm", [-100.0, 0.0, 100.0])
def test_a_clock_that_drifts_is_followed_for_hours(ppm: float) -> None:
    machines = Machines(ppm, every_s=0.2)
    assert machines.worst(4 * 3_600) < 0.3, "no more than the network is late by"
    settled = list(machines.run(600))
    assert max(settled) <= WINDOW_S * 100e-6, "not ahead, but for the drift of the window"
    assert min(settled) >= -DELAY_S - 0.05


@pytest.mark.parametrize("step_s", [-20.0, -1.0, 1.0, 20.0, 4_000.0])
def test_a_clock_that_was_set_is_right_again_within_the_window(step_s: float) -> None:
    machines = Machines()
    machines.worst(60)
    machines.host_s += step_s
    list(machines.run(WINDOW_S + 1))
    assert machines.worst(60) < DELAY_S + 0.05


def test_one_punctual_message_does_not_set_the_time_for_ever() -> None:
    machines = Machines()
    machines.worst(60)
    machines.late_s = -3.0
    assert next(machines.run(machines.every_s)) > 2.5
    machines.late_s = 0.0
    list(machines.run(WINDOW_S + 1))
    assert machines.worst(60) < DELAY_S + 0.05


def test_one_late_message_after_a_long_silence_is_only_late() -> None:
    machines = Machines()
    machines.worst(60)
    machines.session_s += 600
    machines.host_s += 600
    machines.late_s = 8.0
    assert abs(next(machines.run(machines.every_s))) < DELAY_S + 0.05


def test_where_the_clock_is_shared_a_host_that_reads_late_knows_for_ever() -> None:
    machines = Machines(is_shared=True)
    machines.worst(10)
    machines.late_s = 4.0
    assert machines.worst(10 * WINDOW_S) < DELAY_S + 0.05


@pytest.mark.parametrize("ppm", [-100.0, 100.0])
def test_what_came_is_never_in_the_future(ppm: float) -> None:
    machines = Machines(ppm)
    for _ in machines.run(300):
        # A microsecond is lost to rounding.
        assert machines.clock.now_us(machines.host_s) >= machines.newest_us - 1


def test_the_time_has_an_end_and_a_beginning() -> None:
    clock = SessionClock(is_shared=False)
    assert clock.now_us(5.0) == 0, "nothing has come"
    clock.note(MAX_US, 5.0)
    assert clock.now_us(900.0) == MAX_US
    assert clock.now_us(-900_000.0) == 0
