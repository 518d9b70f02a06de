"""What everybody does, and when: made in advance from a seed, so that it can be done again."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Act", "Action", "PlanConfig", "make_plan"]

_ROLES = ("rm", "customer", "expert", "expert")
_SIZES = ((0, 0), (160, 90), (320, 180), (640, 360), (1280, 720))


class Act(StrEnum):
    """Kinds of actions; a closed set."""

    JOIN = "join"
    LEAVE = "leave"
    VANISH = "vanish"
    """Gone without a word; the server notices by itself."""
    EMPTY = "empty"
    """Everybody leaves the room at once."""
    RESUME = "resume"
    """The WebSocket breaks and is resumed; media goes on."""
    RELOAD = "reload"
    """The page is loaded again: the same person joins anew, with new media."""
    RECONNECT = "reconnect"
    """A new media connection within the participation."""
    WATCH = "watch"
    """Tiles change their size."""
    MUTE = "mute"
    UNMUTE = "unmute"
    SCREEN_START = "screen_start"
    SCREEN_STOP = "screen_stop"
    MOVE = "move"
    """Media comes from another address."""
    LOSS = "loss"
    OUTAGE_SHORT = "outage_short"
    """No network at all, for less than the participation waits."""
    OUTAGE_LONG = "outage_long"
    SLOW_READER = "slow_reader"
    """The WebSocket is not read for a while."""


@dataclass(frozen=True, slots=True)
class PlanConfig:
    """How much happens."""

    seconds: float = 1_800.0
    """Until everybody leaves."""
    rooms: int = 6
    seats: int = 4
    """Most people of a room."""
    actions_per_s: float = 1.0
    resume_window_s: float = 60.0
    """Of the server."""

    def __post_init__(self) -> None:
        if not 1 <= self.seats <= len(_ROLES):
            raise ValueError(f"seats must be 1 to {len(_ROLES)}")


@dataclass(frozen=True, slots=True)
class Action:
    """One of them."""

    at_s: float
    act: Act
    room: int
    seat: int
    kind: str = ""
    """Muted or unmuted: audio or video."""
    seconds: float = 0.0
    """How long a bad network lasts."""
    loss: float = 0.0
    sizes: tuple[tuple[int, int], ...] = ()
    """Of the tiles, in the order of the tracks."""

    @property
    def role(self) -> str:
        """Of whoever sits there."""
        return _ROLES[self.seat]


@dataclass(slots=True)
class _Seat:
    is_taken: bool = False
    busy_until_s: float = 0.0
    muted: set[str] = field(default_factory=set)
    shares: bool = False


_WEIGHTS: Sequence[tuple[Act, float]] = (
    (Act.JOIN, 14),
    (Act.LEAVE, 6),
    (Act.VANISH, 2),
    (Act.EMPTY, 1),
    (Act.RESUME, 7),
    (Act.RELOAD, 4),
    (Act.RECONNECT, 3),
    (Act.WATCH, 16),
    (Act.MUTE, 8),
    (Act.UNMUTE, 10),
    (Act.SCREEN_START, 4),
    (Act.SCREEN_STOP, 4),
    (Act.MOVE, 6),
    (Act.LOSS, 6),
    (Act.OUTAGE_SHORT, 4),
    (Act.OUTAGE_LONG, 1),
    (Act.SLOW_READER, 3),
)


def make_plan(config: PlanConfig, seed: int) -> list[Action]:
    """The actions in the order of their times; the same for the same arguments."""
    return _Planner(config, seed).plan()


class _Planner:
    def __init__(self, config: PlanConfig, seed: int) -> None:
        self._config = config
        self._rng = random.Random(seed)  # noqa: S311 - it has to repeat
        self._seats = [[_Seat() for _ in range(config.seats)] for _ in range(config.rooms)]
        self._actions: list[Action] = []

    def plan(self) -> list[Action]:
        now_s = 0.2
        # Two in each room to begin with.
        for room in range(self._config.rooms):
            for seat in range(min(2, self._config.seats)):
                self._join(now_s, room, seat)
                now_s += 0.15
        while now_s < self._config.seconds:
            self._any(now_s)
            now_s += self._rng.expovariate(self._config.actions_per_s)
        return self._actions

    def _any(self, now_s: float) -> None:
        acts, weights = zip(*_WEIGHTS, strict=True)
        # Not everything is possible at any time; a choice that isn't is made again.
        for _ in range(8):
            act: Act = self._rng.choices(acts, weights)[0]
            room = self._rng.randrange(self._config.rooms)
            seat = self._rng.randrange(self._config.seats)
            if self._try(now_s, act, room, seat):
                return

    def _try(self, now_s: float, act: Act, room: int, seat: int) -> bool:
        state = self._seats[room][seat]
        if act is Act.EMPTY:
            return self._empty(now_s, room)
        if state.busy_until_s > now_s or state.is_taken == (act is Act.JOIN):
            return False
        match act:
            case Act.JOIN:
                self._join(now_s, room, seat)
            case Act.LEAVE:
                self._go(now_s, act, room, seat, 1.0)
            case Act.VANISH:
                self._go(now_s, act, room, seat, self._config.resume_window_s + 5)
            case Act.MUTE | Act.UNMUTE:
                return self._mute(now_s, act, room, seat)
            case Act.SCREEN_START | Act.SCREEN_STOP:
                return self._share(now_s, act, room, seat)
            case Act.LOSS | Act.OUTAGE_SHORT | Act.OUTAGE_LONG | Act.SLOW_READER:
                return self._disturb(now_s, act, room, seat)
            case _:
                self._simple(now_s, act, room, seat)
        return True

    def _simple(self, now_s: float, act: Act, room: int, seat: int) -> None:
        if act is Act.WATCH:
            sizes = tuple(self._rng.choice(_SIZES) for _ in range(4))
            self._add(now_s, act, room, seat, sizes=sizes)
            return
        if act is Act.RELOAD:
            state = self._seats[room][seat]
            state.shares = False
            state.muted.clear()
        self._add(now_s, act, room, seat, pause_s=3.0)

    def _share(self, now_s: float, act: Act, room: int, seat: int) -> bool:
        state = self._seats[room][seat]
        if state.shares == (act is Act.SCREEN_START):
            return False
        state.shares = not state.shares
        self._add(now_s, act, room, seat)
        return True

    def _join(self, now_s: float, room: int, seat: int) -> None:
        self._seats[room][seat] = _Seat(is_taken=True)
        self._add(now_s, Act.JOIN, room, seat, pause_s=3.0)

    def _go(self, now_s: float, act: Act, room: int, seat: int, pause_s: float) -> None:
        self._add(now_s, act, room, seat, pause_s=pause_s)
        self._seats[room][seat].is_taken = False

    def _empty(self, now_s: float, room: int) -> bool:
        seats = self._seats[room]
        if any(seat.busy_until_s > now_s for seat in seats) or not any(s.is_taken for s in seats):
            return False
        for number, seat in enumerate(seats):
            if seat.is_taken:
                self._go(now_s, Act.LEAVE, room, number, 1.0)
        return True

    def _mute(self, now_s: float, act: Act, room: int, seat: int) -> bool:
        muted = self._seats[room][seat].muted
        kind = self._rng.choice(("audio", "video"))
        if (kind in muted) == (act is Act.MUTE):
            return False
        muted ^= {kind}
        self._add(now_s, act, room, seat, kind=kind)
        return True

    def _disturb(self, now_s: float, act: Act, room: int, seat: int) -> bool:
        window_s = self._config.resume_window_s
        seconds = {
            Act.LOSS: self._rng.uniform(3, 15),
            Act.OUTAGE_SHORT: self._rng.uniform(1, min(12, window_s / 3)),
            Act.OUTAGE_LONG: window_s + self._rng.uniform(5, 15),
            # A server that gets no pongs gives the socket up; the participation outlives that.
            Act.SLOW_READER: self._rng.uniform(1, min(10, 0.6 * window_s)),
        }[act]
        if now_s + seconds > self._config.seconds:
            return False
        loss = self._rng.choice((0.05, 0.15, 0.3)) if act is Act.LOSS else 0.0
        if act is Act.OUTAGE_LONG:
            # Whoever comes back joins anew.
            state = self._seats[room][seat]
            state.shares = False
            state.muted.clear()
        rounded_s = round(seconds, 2)
        self._add(now_s, act, room, seat, pause_s=seconds + 3, seconds=rounded_s, loss=loss)
        return True

    def _add(
        self, now_s: float, act: Act, room: int, seat: int, *, pause_s: float = 0.5, **more: object
    ) -> None:
        self._seats[room][seat].busy_until_s = now_s + pause_s
        self._actions.append(Action(round(now_s, 3), act, room, seat, **more))  # type: ignore[arg-type]
