"""A host that can't keep up: some tracks are watched well, and of the others nothing is known."""

from collections import Counter, deque
from typing import Any

import pytest

from analytics.detector import AudioChunk, AudioNeed, Needs
from analytics.host.shedding import Shedding
from analytics.link import Status, Unknown
from tests.analytics.host.media import Microphone, record, rtp
from tests.analytics.host.test_core import Desk

LATE, PROMPT = 700_000, 20_000


def ticks(shedding: Shedding, count: int, *lags: int | None) -> list[int | None]:
    limits = []
    for lag_us in lags:
        if lag_us is not None:
            shedding.note(lag_us)
        shedding.tick(count)
        limits.append(shedding.limit)
    return limits


def test_half_of_the_tracks_go_after_two_late_seconds_and_what_waits_is_read_first() -> None:
    shedding = Shedding()
    assert ticks(shedding, 20, LATE, PROMPT, LATE) == [None] * 3
    limits = ticks(shedding, 20, LATE, *[LATE] * 8)
    assert limits == [10, 10, 10, 10, 5, 5, 5, 5, 2]
    assert ticks(shedding, 20, *[LATE] * 8)[-1] == 1, "never all"


def test_a_second_is_as_late_as_its_most_punctual_message() -> None:
    shedding = Shedding()
    behind = []
    for lags in [(PROMPT, LATE)] * 5 + [(LATE,), ()]:
        for lag_us in lags:
            shedding.note(lag_us)
        shedding.tick(4)
        behind.append(shedding.is_behind)
    assert behind == [False] * 5 + [True, False]
    assert shedding.limit is None


def test_tracks_come_back_a_quarter_at_a_time_and_a_failed_attempt_waits_twice_as_long() -> None:
    shedding = Shedding()
    ticks(shedding, 16, LATE, LATE)
    assert shedding.limit == 8
    assert ticks(shedding, 16, *[PROMPT] * 10)[-2:] == [8, 10]
    assert ticks(shedding, 16, LATE, LATE) == [10, 8], "that was too much"
    assert ticks(shedding, 16, *[PROMPT] * 20)[-2:] == [8, 10]
    # It works now: the wait grows shorter again, and in the end all are there.
    limits = ticks(shedding, 16, *[PROMPT] * 60)
    assert list(dict.fromkeys(limits)) == [10, 12, 15, 18, None]
    assert ticks(shedding, 16, *[LATE] * 2)[-1] == 8


class Crowd(Desk):
    """Microphones whose packets go through a bounded queue to a host that takes its time.

    Args:
        cost_us: of one packet that is decoded.
    """

    PEOPLE = "abcdefgh"
    QUEUE = 60

    def __init__(self, cost_us: int) -> None:
        super().__init__("d")
        self.cost_us = cost_us
        self.sent_us = 0
        self.waiting: deque[bytes] = deque(maxlen=self.QUEUE)
        self.mouth = Microphone()
        needs = Needs(audio=AudioNeed(chunk_ms=96))
        self.load("d", scope="participant", permissions=frozenset(), needs=needs)
        for tap, who in enumerate(self.PEOPLE, start=1):
            self.join(who)
            self.start("audio", who=who, tap=tap)

    def speak(self) -> None:  # type: ignore[override]
        """20 ms of all; the oldest that waits goes where there is no room."""
        data = rtp(
            next(self.mouth._packets), number=self.mouth.number, timestamp=self.sent_us * 6 // 125
        )
        self.waiting.append(b"".join(
            record(data, tap=tap, codec="opus", number=self.mouth.number, at_us=self.sent_us)
            for tap in range(1, len(self.PEOPLE) + 1)
        ))  # fmt: skip
        self.mouth.number += 1
        self.sent_us += 20_000

    def go_on(self, seconds: int) -> list[Status]:
        """The host reads as fast as it can, and what nobody reads is lost."""
        said = []
        for _ in range(seconds):
            end_us = self.now_us + 1_000_000
            while self.now_us < end_us:
                while self.sent_us <= self.now_us:
                    self.speak()
                if not self.waiting:
                    self.now_us += 20_000
                    continue
                before = self._decoded()
                self.host.take_tap(self.waiting.popleft())
                self.now_us += self.cost_us * (self._decoded() - before)
            said.append(self.host.tick())
        return said

    def _decoded(self) -> int:
        taps = [track.audio for track in self.host._media._tracks.values()]
        return sum(tap.decoded for tap in taps if tap is not None)

    def chunks(self) -> Counter[str]:
        """Sound that watches were given, in milliseconds; the count starts anew."""
        given, self.orders.given = self.orders.given, []
        chunks: list[Any] = [item for item, _ in given if isinstance(item, AudioChunk)]
        return Counter({
            who: sum(len(c.samples) // 16 for c in chunks if c.participant_id == who)
            for who in self.PEOPLE
        })  # fmt: skip

    def unknown_now(self) -> dict[str, str]:
        """Whose sound nobody knows, and why."""
        states = {item.finding_id: item for item in self.of(Unknown)}
        return {item.participant_id: str(item.cause) for item in states.values() if item.is_open}


async def test_with_too_much_media_some_are_watched_well_and_others_unknown() -> None:
    # What three of the eight say takes all its time.
    crowd = Crowd(cost_us=8_000)
    crowd.go_on(12)
    crowd.chunks()
    last = crowd.go_on(6)[-1]
    heard, unknown = crowd.chunks(), crowd.unknown_now()
    well = {who for who, ms in heard.items() if ms >= 5_500}
    assert well
    assert unknown == {who: "overloaded" for who in crowd.PEOPLE if who not in well}
    assert all(heard[who] == 0 for who in unknown)
    assert last.shed_tracks == len(unknown)
    assert last.shed_packets > 0
    # There is time for all again.
    crowd.cost_us = 100
    crowd.go_on(90)
    crowd.chunks()
    last = crowd.go_on(3)[-1]
    assert crowd.unknown_now() == {}
    assert min(crowd.chunks().values()) >= 2_700
    assert last.shed_tracks == 0


@pytest.mark.parametrize(
    ("lag_us", "skip", "cause"),
    [(900_000, 2, "overloaded"), (0, 2, "undecodable"), (900_000, 0, "undecodable")],
)
async def test_packets_that_bring_nothing_whole_are_unknown_and_why(
    lag_us: int, skip: int, cause: str
) -> None:
    desk = Desk("d")
    needs = Needs(audio=AudioNeed())
    desk.load("d", scope="participant", permissions=frozenset(), needs=needs)
    desk.join()
    desk.start("audio", tap=2)
    for index in range(1, 500):
        message = desk.microphone.message(desk.now_us, skip=skip)
        if not skip:
            message = message[:-60] + bytes([0xFF] * 60)
            message = record(b"", tap=2, codec="opus", number=index, at_us=desk.now_us)
        desk.now_us += 20_000
        # The first is prompt: how the clocks relate is known.
        late = lag_us if index > 1 else 0
        desk.now_us += late
        desk.host.take_tap(message)
        if index % 50 == 0:
            desk.host.tick()
        desk.now_us -= late
    (unknown,) = desk.unknowns("d")
    assert (unknown.cause, unknown.is_open) == (cause, True)
    assert unknown.start_us < 100_000
