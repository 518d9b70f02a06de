"""Carries out a plan against a server, and watches it from outside."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field

import aiohttp

from loadtest.errors import LoadtestError, SignalClosedError
from loadtest.signal import SignalConfig
from loadtest.soak.person import Person, SwarmControl
from loadtest.soak.plan import Act, Action
from loadtest.soak.samples import Metrics, Sample, parse_metrics, sample_of
from loadtest.soak.stuck import Expected, StuckDetector

__all__ = ["Failure", "Freeze", "Observed", "RunConfig", "Server", "run_plan"]

_TICK_S = 0.25
_FREEZE_S = 2.0
_REPLY_S = 20.0
_ACTION_S = 120.0
_RETRY_S = 2.0
_AFTERMATH_S = 60.0
"""After a standstill what fails is nobody's fault for so long."""
_HTTP_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """What is tested."""

    url: str
    pid: int
    token: Callable[[str, str, str], str]
    """From room, participant and role."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How it is watched."""

    seconds: float
    sample_s: float = 5.0
    patience_s: float = 10.0
    """Longest silence of a subscription that should get packets."""
    recover_s: float = 15.0
    """What a subscription may take to come back after a bad network: estimates recover, keyframes
    are asked for."""
    begin_s: float = 5.0
    """The same after anything else that interrupts media."""
    settle_s: float = 60.0
    """Time for everything to return after everybody left."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """All of this machine, or this process, stood still."""

    at_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """An action that could not be done."""

    at_s: float
    act: str
    reason: str


@dataclass(slots=True)
class Observed:
    """What was seen."""

    baseline: Sample
    """Idle, after a first call."""
    samples: list[Sample] = field(default_factory=list)
    final: Sample | None = None
    done: Counter[str] = field(default_factory=Counter)
    """Actions carried out."""
    failures: list[Failure] = field(default_factory=list)
    freezes: list[Freeze] = field(default_factory=list)
    failed_scrapes: int = 0
    stuck: StuckDetector = field(default_factory=lambda: StuckDetector(10.0))
    dropped: dict[str, int] = field(default_factory=dict)
    room_panics: int = 0
    dropped_events: int = 0
    layer_switches: dict[str, int] = field(default_factory=dict)
    """By direction: subscriptions that got a higher or a lower layer."""
    overflows: int = 0
    """Datagrams the kernel lost before the server saw them."""
    rejoins: int = 0
    """Participations that had ended by the end of a network failure."""
    excused: int = 0
    """Participations and actions that a standstill of the machine ended."""


async def run_plan(
    plan: Sequence[Action],
    config: RunConfig,
    server: Server,
    swarms: Sequence[SwarmControl],
    said: Callable[[Observed, float], None],
) -> Observed:
    """Does everything in the plan, then has everybody leave and the server settle.

    Args:
        plan: in the order of time.
        config: how it is watched.
        server: under test; nobody else may use it.
        swarms: at least two.
        said: told what was observed so far and the seconds that are left, with each sample.

    Raises:
        LoadtestError: not even the first call works, or the server doesn't show what is judged.
    """
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        run = _Run(config, server, swarms, session, said)
        return await run.run(plan)


class _Seat:
    """Who sits there, and what happened to it."""

    def __init__(self, person: Person, room: int) -> None:
        self.person = person
        self.room = room
        self.is_present = False
        self.excused_until_s = 0.0
        self.lock = asyncio.Lock()

    def excuse(self, until_s: float) -> None:
        self.excused_until_s = max(self.excused_until_s, until_s)


class _Run:
    def __init__(
        self,
        config: RunConfig,
        server: Server,
        swarms: Sequence[SwarmControl],
        session: aiohttp.ClientSession,
        said: Callable[[Observed, float], None],
    ) -> None:
        self._config = config
        self._server = server
        self._swarms = swarms
        self._session = session
        self._said = said
        self._seats: dict[tuple[int, int], _Seat] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ssrc = itertools.count(1_000)
        self._started_s = time.monotonic()
        self._before: Metrics | None = None
        self._observed: Observed

    def _now_s(self) -> float:
        return time.monotonic() - self._started_s

    async def run(self, plan: Sequence[Action]) -> Observed:
        await self._warm_up()
        baseline = await self._settled(self._config.settle_s, None)
        if baseline is None:
            raise LoadtestError("the server's metrics can't be read")
        self._observed = Observed(baseline, stuck=StuckDetector(self._config.patience_s))
        self._started_s = time.monotonic()
        async with self._watching():
            for action in plan:
                await asyncio.sleep(max(0.0, action.at_s - self._now_s()))
                self._spawn(self._act(action))
            await asyncio.sleep(max(0.0, self._config.seconds - self._now_s()))
            await self._all_done()
            await asyncio.gather(*(self._leave(seat) for seat in self._seats.values()))
        self._observed.final = await self._settled(self._config.settle_s, baseline)
        return self._observed

    async def _warm_up(self) -> None:
        """One short call, so that what is made once is there."""
        people = [self._person("warm-up", str(number), "rm") for number in range(2)]
        for person in people:
            await person.join()
        await asyncio.sleep(1.5)
        await asyncio.gather(*(person.leave() for person in people))

    def _person(self, room: str, name: str, role: str) -> Person:
        server = self._server

        def config() -> SignalConfig:
            token = server.token(room, f"{role}-{name}", role)
            return SignalConfig(server.url, token, timeout_s=_REPLY_S)

        return Person(config, self._session, self._swarms, self._take_ssrcs)

    def _take_ssrcs(self, count: int) -> int:
        return count * next(self._ssrc)

    # Actions.

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _all_done(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_ACTION_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _act(self, action: Action) -> None:
        key = (action.room, action.seat)
        if key not in self._seats:
            person = self._person(f"soak-{action.room}", f"{action.seat}", action.role)
            self._seats[key] = _Seat(person, action.room)
        seat = self._seats[key]
        async with seat.lock:
            try:
                async with asyncio.timeout(_ACTION_S):
                    await self._carry_out(seat, action)
                self._observed.done[action.act] += 1
            except (LoadtestError, TimeoutError, aiohttp.ClientError) as error:
                self._failed(action.act, str(error) or type(error).__name__)
                await self._revive(seat)

    def _failed(self, act: str, reason: str) -> None:
        now_s = self._now_s()
        ends = [freeze.at_s + freeze.seconds for freeze in self._observed.freezes]
        if ends and now_s < ends[-1] + _AFTERMATH_S:
            self._observed.excused += 1
        else:
            self._observed.failures.append(Failure(round(now_s, 1), act, reason))

    async def _revive(self, seat: _Seat) -> None:
        """Whoever should be there joins anew, so that the plan goes on."""
        seat.excuse(self._now_s() + self._config.recover_s)
        try:
            async with asyncio.timeout(_ACTION_S):
                await seat.person.vanish()
                if seat.is_present:
                    await seat.person.join()
        except (LoadtestError, TimeoutError, aiohttp.ClientError):
            # Tried again when it is noticed next, but not at once.
            await seat.person.vanish()
            await asyncio.sleep(_RETRY_S)

    def _revive_the_lost(self) -> None:
        """Finds participations that ended without anybody's wish."""
        for seat in self._seats.values():
            signal = seat.person.signal
            is_lost = signal is not None and signal.closed is not None
            if seat.is_present and is_lost and not seat.lock.locked():
                self._spawn(self._revive_lost(seat))

    async def _revive_lost(self, seat: _Seat) -> None:
        async with seat.lock:
            signal = seat.person.signal
            if seat.is_present and signal is not None and signal.closed is not None:
                if not signal.was_closed_here:
                    self._failed("stay", signal.closed)
                await self._revive(seat)

    async def _carry_out(self, seat: _Seat, action: Action) -> None:
        person = seat.person
        seat.excuse(self._now_s() + self._config.begin_s)
        if action.act is not Act.JOIN and not seat.is_present:
            return
        match action.act:
            case Act.JOIN:
                await person.join()
                seat.is_present = True
            case Act.LEAVE | Act.VANISH:
                seat.is_present = False
                await (person.leave() if action.act is Act.LEAVE else person.vanish())
            case Act.RESUME:
                await person.resume()
            case Act.RELOAD | Act.RECONNECT:
                await (person.reload() if action.act is Act.RELOAD else person.connect_media())
            case Act.WATCH:
                await person.watch(action.sizes)
            case Act.MUTE | Act.UNMUTE:
                await person.mute(action.kind, muted=action.act is Act.MUTE)
            case Act.SCREEN_START | Act.SCREEN_STOP:
                await person.share_screen(on=action.act is Act.SCREEN_START)
            case Act.MOVE:
                person.move()
            case Act.LOSS | Act.OUTAGE_SHORT | Act.OUTAGE_LONG | Act.SLOW_READER:
                await self._disturb(seat, action)
        seat.excuse(self._now_s() + self._config.begin_s)

    async def _disturb(self, seat: _Seat, action: Action) -> None:
        person = seat.person
        seat.excuse(self._now_s() + action.seconds + self._config.recover_s)
        if action.act is Act.LOSS:
            person.impair(action.loss)
            await asyncio.sleep(action.seconds)
            person.impair(0.0)
        elif action.act is Act.SLOW_READER:
            assert person.signal is not None
            person.signal.stop_reading()
            await asyncio.sleep(action.seconds)
            person.signal.read_on()
        else:
            person.go_offline()
            await asyncio.sleep(action.seconds)
            await person.go_online()
            await self._come_back(seat)
        seat.excuse(self._now_s() + self._config.recover_s)

    async def _come_back(self, seat: _Seat) -> None:
        """After an outage: what the resume did not bring back is made anew."""
        person = seat.person
        assert person.signal is not None
        with contextlib.suppress(SignalClosedError):
            # Is answered after the resume, or not at all.
            await person.signal.request("quality.report", {"tracks": []})
            await person.connect_media()
            return
        self._observed.rejoins += 1
        await person.reload()

    async def _leave(self, seat: _Seat) -> None:
        async with seat.lock:
            if seat.is_present:
                seat.is_present = False
                await seat.person.leave()

    # Watching.

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._sample_again()), asyncio.create_task(self._tick())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tick(self) -> None:
        """Notices when we stood still, and looks for subscriptions that get nothing."""
        last_s = self._now_s()
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = self._now_s()
            late_s = now_s - last_s - _TICK_S
            if late_s > _FREEZE_S:
                self._observed.freezes.append(Freeze(round(last_s, 1), round(late_s, 1)))
                self._observed.stuck.excuse_all()
            # What is measured next must not count as standing still.
            statuses = await asyncio.gather(
                *(asyncio.to_thread(swarm.statuses) for swarm in self._swarms)
            )
            self._observed.stuck.look(self._now_s(), self._expected(statuses))
            self._revive_the_lost()
            last_s = self._now_s()

    def _expected(
        self, statuses: Sequence[Sequence[tuple[bool, str | None, list[tuple[int, int, float]]]]]
    ) -> list[Expected]:
        """Subscriptions of people with a working network to such people's tracks."""
        now_s = self._now_s()
        well = {}
        expected = []
        for place, seat in self._seats.items():
            number = seat.person.media_number
            if not seat.is_present or number is None or seat.excused_until_s > now_s:
                continue
            if number[1] >= len(statuses[number[0]]):
                continue
            is_connected, _, streams = statuses[number[0]][number[1]]
            if not is_connected:
                expected.append(Expected(number, seat.room, "connection", None))
            else:
                well[place] = (seat, number, {ssrc: silent for ssrc, _, silent in streams})
        senders: dict[str, str] = {}
        for seat, _, _ in well.values():
            person = seat.person
            for source, track in person.published.items():
                if source not in person.muted and (source != "screen" or person.shares_screen):
                    senders[track] = "audio" if source == "microphone" else "video"
        return expected + [
            Expected((number, one.track_id, one.ssrc), seat.room, senders[one.track_id],
                     silences.get(one.ssrc))
            for seat, number, silences in well.values()
            for one in seat.person.subscriptions.values()
            if one.track_id in senders and one.track_id not in seat.person.hidden
        ]  # fmt: skip

    async def _sample_again(self) -> None:
        while True:
            await asyncio.sleep(self._config.sample_s)
            sample = await self._sample()
            if sample is None:
                self._observed.failed_scrapes += 1
                continue
            self._observed.samples.append(sample)
            self._said(self._observed, max(0.0, self._config.seconds - self._now_s()))

    async def _sample(self) -> Sample | None:
        timeout = aiohttp.ClientTimeout(total=_HTTP_S)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(force_close=True), timeout=timeout
                ) as session,
                session.get(f"{self._server.url}/metrics") as response,
            ):
                response.raise_for_status()
                metrics = parse_metrics(await response.text())
                sample = sample_of(metrics, self._server.pid, self._now_s(), self._before)
        except (aiohttp.ClientError, TimeoutError, FileNotFoundError):
            return None
        self._before = metrics
        if hasattr(self, "_observed"):
            observed = self._observed
            dropped = metrics.by("sfu_forward_dropped_packets_total", "reason")
            observed.dropped = {reason: int(count) for reason, count in dropped.items() if count}
            switches = metrics.by("sfu_consumer_layer_switches_total", "direction")
            observed.layer_switches = {way: int(count) for way, count in switches.items()}
            observed.room_panics = int(metrics.sum("sfu_room_panics_total"))
            observed.dropped_events = int(metrics.sum("sfu_engine_dropped_events_total"))
            observed.overflows = int(metrics.sum("sfu_engine_receive_overflow_packets_total"))
        return sample

    async def _settled(self, patience_s: float, baseline: Sample | None) -> Sample | None:
        """The state once nobody is left; the last one, if it does not come to rest."""
        deadline_s = time.monotonic() + patience_s
        sample: Sample | None = None
        while True:
            sample = await self._sample() or sample
            if sample is not None and _is_at_rest(sample, baseline):
                return sample
            if time.monotonic() > deadline_s:
                return sample
            await asyncio.sleep(1.0)


def _is_at_rest(sample: Sample, baseline: Sample | None) -> bool:
    left = (sample.rooms, sample.participants, sample.transports, sample.connections)
    is_empty = not any(left) and not sample.waiting_packets
    return is_empty and (baseline is None or sample.descriptors <= baseline.descriptors)
