"""Order of packets, and numbers that are known to be left out."""

import pytest

from rtp.order import Reorder
from rtp.packet import RtpPacket


def packet(sequence: int) -> RtpPacket:
    return RtpPacket(96, False, sequence % 65_536, 0, 1, b"x")


@pytest.mark.parametrize("first", [0, 1, 32_767, 32_768, 65_533, 65_535])
def test_numbers_left_out_on_purpose_are_not_missing(first: int) -> None:
    order = Reorder(starts_at_once=True)
    given = []
    for step, is_there in enumerate([True, False, False, True, False, True]):
        number = (first + step) % 65_536
        given += list(order.push(step, packet(number)) if is_there else order.skip(step, number))
    assert [(missing, (item.sequence - first) % 65_536) for missing, _, item in given] == [
        (0, 0),
        (0, 3),
        (0, 5),
    ]


def test_a_loss_before_a_number_left_out_is_told_with_the_next_packet() -> None:
    order = Reorder(wait_us=1_000, starts_at_once=True)
    given = [*order.push(0, packet(1)), *order.skip(10, 4), *order.push(20, packet(5))]
    assert [item.sequence for _, _, item in given] == [1]
    given = list(order.push(2_000, packet(6)))
    assert [(missing, item.sequence) for missing, _, item in given] == [(2, 5), (0, 6)]


def test_numbers_left_out_wait_for_what_is_before_them_and_are_forgotten_when_late() -> None:
    order = Reorder(starts_at_once=True)
    given = [*order.push(0, packet(1)), *order.skip(1, 3), *order.push(2, packet(4))]
    assert len(given) == 1
    given = list(order.push(3, packet(2)))
    assert [(missing, item.sequence) for missing, _, item in given] == [(0, 2), (0, 4)]
    assert list(order.skip(4, 3)) == []
    assert (order.late, order.repeated) == (0, 0)
