"""Packets of a capture file are as many, and of the time, as its segment says."""

import struct

import pytest

from tests.recorder.capture_files import datagram, header
from tests.recorder.evidence import S
from witness_verify import Failure
from witness_verify.segments import Held, check_times, held, packets
from witness_verify.spans import Range

REPORT = datagram(9 * S, 5_005, bytes(28))


def file(*times_us: int) -> bytes:
    return header() + b"".join(datagram(at_us, 5_004, bytes(20)) for at_us in times_us)


def told(packets: object) -> dict[str, object]:
    return {"packets": packets, "from_us": 0, "to_us": 10 * S}


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (file(5, 3 * S, 2 * S), 3),
        (file(5, 3 * S) + REPORT, 2),
        # As it is counted when a crash left it.
        (file(5, 3 * S) + REPORT, 3),
    ],
)
def test_packets_are_counted(data: bytes, count: int) -> None:
    for size in (1, 7, len(data)):
        blocks = [data[at : at + size] for at in range(0, len(data), size)]
        assert held("f", blocks, told(count), set()) == Held("f", 0, 10 * S, 5, 3 * S)


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (file(5, 6), 3),
        (file(5, 6), 1),
        (file(5, 6), None),
        (file(5, 6), "2"),
        (file(), 0),
        (header() + REPORT, 1),
        (b"", 0),
        (file(5) + bytes(40) + file(6), 2),
        (file(5, 6)[:-1], 2),
    ],
)
def test_another_number_of_packets_is_refused(data: bytes, count: object) -> None:
    with pytest.raises(Failure, match="segment"):
        held("f", [data], told(count), set())


@pytest.mark.parametrize(("said", "strange"), [(set(), 0), ({7}, 2), ({7, 8}, 1), ({9}, 3)])
def test_packets_of_streams_that_no_device_spoke_of_are_counted(
    said: set[int], strange: int
) -> None:
    rtp = [struct.pack("!BBHII", 0x80, 96, 0, 0, ssrc) for ssrc in (7, 8)]
    data = header() + b"".join(datagram(5, 5_004, one) for one in [*rtp, b"short"])
    assert held("f", [data], told(3), said).strange == strange


def test_packets_have_the_times_of_the_capture() -> None:
    data = header() + datagram(1 << 40, 5_004, b"media") + datagram(7, 5_005, b"report")
    assert list(packets([data])) == [(1 << 40, b"media"), (7, None)]


HONEST: dict[str, tuple[list[tuple[int, int, int, int]], list[Range]]] = {
    "one": ([(2, 10, 2, 9)], []),
    "nothing sent before the next, nor in it at first": ([(0, 10, 0, 1), (10, 20, 17, 19)], []),
    "after a file that failed": ([(5, 10, 8, 9)], [(0, 5)]),
    "silent until a pause": ([(0, 10, 0, 3)], [(10, 20)]),
    "late packets of before a pause": ([(0, 10, 0, 9), (10, 10, 11, 14)], [(10, 20)]),
    "late ones of a muted track, then a crash": ([(0, 10, 0, 9), (10, 10, 11, 14)], [(10, 11)]),
    "repaired in a pause while the disk was slow": ([(10, 13, 11, 17)], [(10, 20)]),
    "silent, then lost": ([(0, 10, 0, 1)], [(9, 12)]),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_recorders_write_passes(name: str) -> None:
    track, absent = HONEST[name]
    check(track, absent)


WRONG: dict[str, tuple[list[tuple[int, int, int, int]], list[Range]]] = {
    "answers for four seconds before its first packet": ([(0, 10, 4, 9)], []),
    "and for four after its last": ([(0, 10, 0, 6)], []),
    "exactly two": ([(0, 10, 0, 8)], []),
    "an earlier packet": ([(2, 10, 1, 9)], []),
    "a later packet": ([(0, 10, 0, 11)], []),
    "a later packet than the gap": ([(0, 10, 0, 14)], [(10, 13)]),
    "an hour later": ([(0, 10, 3_600, 3_609)], []),
    "before a file of no length": ([(10, 10, 9, 14)], [(10, 20)]),
    "apart from the next": ([(0, 10, 0, 6), (11, 20, 11, 19)], []),
    "apart from the gap": ([(0, 10, 0, 6)], [(11, 20)]),
    "a gap of no length": ([(0, 10, 0, 6)], [(10, 10)]),
}


@pytest.mark.parametrize("name", WRONG)
def test_packets_of_other_times_are_refused(name: str) -> None:
    track, absent = WRONG[name]
    with pytest.raises(Failure, match="segment"):
        check(track, absent)


def check(track: list[tuple[int, int, int, int]], absent: list[Range]) -> None:
    """All in seconds."""
    segments = [Held("f", *(S * at for at in one)) for one in track]
    captured = [(one.low, one.high) for one in segments]
    check_times(segments, captured, [(S * low, S * high) for low, high in absent])
