"""Workers: started, fed, watched over, and started again."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol

from analytics.host.config import HostConfig
from analytics.host.ending import to_its_end
from analytics.host.frames import Frames
from analytics.host.process import Fault, WorkerProcess
from analytics.host.queue import WorkerQueue
from analytics.host.wire import (
    Done,
    FrameAt,
    FromWorker,
    Loaded,
    Order,
    Out,
    Raised,
    Ready,
    Refused,
    Withdraw,
)
from analytics.link import UnknownCause

__all__ = ["Pool", "PoolListener", "Runner"]

log = logging.getLogger(__name__)

_CAUSES: Final = {"hung": UnknownCause.HUNG}


class PoolListener(Protocol):
    """Told what becomes of detectors, on the event loop's thread."""

    def loaded(self, detector: str, loaded: Loaded) -> None:
        """It can be given watches and inputs."""

    def down(self, detector: str, cause: UnknownCause) -> None:
        """It can't any more; what its watches knew is lost."""

    def out(self, out: Out) -> str | None:
        """A watch said something. Returns the detector whose rubbish it is, if it is that."""

    def done(self, orders: list[Order], seconds: dict[str, float]) -> None:
        """A batch was done, with what it took in each detector."""


class Runner:
    """One worker and its successors.

    Args:
        names: its detectors.
        delay_s: before the first start.
    """

    def __init__(self, pool: "Pool", names: tuple[str, ...], delay_s: float = 0.0) -> None:
        self.names = names
        self.queue = WorkerQueue(pool.config.limits.queue, pool.freed)
        self.process: WorkerProcess | None = None
        self._pool = pool
        self._delay_s = delay_s
        self._faults = 1 if delay_s else 0
        self._is_renewed = False
        self._fault_s = time.monotonic()
        self.task = asyncio.get_running_loop().create_task(self._run())
        pool.keep(self)

    @property
    def is_ready(self) -> bool:
        """Whether it takes watches and inputs."""
        return self.process is not None and self.process.is_ready

    @property
    def calm_s(self) -> float:
        """How long it has done no harm."""
        return time.monotonic() - self._fault_s

    def renew(self) -> None:
        """Starts it again, without a fault of anybody."""
        if self.process is not None:
            self._is_renewed = True
            self.process.kill()

    def feed(self) -> None:
        """Hands over what waits, if nothing is under way."""
        process = self.process
        if process is None or not process.is_ready or process.in_flight is not None:
            return
        if orders := self.queue.take(self._pool.config.limits.batch):
            process.give(orders)

    def check(self) -> None:
        """Ends the process if more waits for it than it will ever do."""
        if self.queue.is_overrun and self.process is not None:
            self.process.kill()

    async def stop(self) -> None:
        """Ends it."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _run(self) -> None:
        limits = self._pool.config.limits
        while self.names:
            await asyncio.sleep(self._delay_s)
            await self._pool.take_back(self)
            began_s = time.monotonic()
            fault = await self._once()
            if self._is_renewed:
                self._is_renewed, self._delay_s = False, 0.0
                continue
            self._fault_s = time.monotonic()
            if time.monotonic() - began_s > limits.calm_s:
                self._faults = 0
            culprit = fault.culprit
            self._delay_s = 0.0
            if culprit is not None and len(self.names) > 1:
                # The others go on at once, without it.
                self._pool.exile(self, culprit)
            else:
                self._faults += 1
                self._delay_s = min(
                    limits.backoff_most_s, limits.backoff_s * 2 ** min(self._faults - 1, 20)
                )
            if fault.cause == "refused":
                self._delay_s = limits.backoff_most_s
            else:
                self._pool.count_restart([culprit] if culprit else list(self.names))

    async def _once(self) -> Fault:
        config = self._pool.config
        names = self.names
        frames = self._pool.frames
        fault = Fault("killed", None)
        try:
            self.process = WorkerProcess(names, config.limits, self._heard)
            await self.process.run(config, (frames.fd, frames.size))
        except Fault as ended:
            fault = ended
            extra = {"detector": fault.culprit or "", "cause": fault.cause}
            log.warning("detectors were stopped", extra=extra)
        except OSError as error:
            log.error("a worker can't be started", extra={"reason": error.strerror})  # noqa: TRY400
        except Exception:
            # Whatever was wrong with what it said: its detectors are started again, and counted.
            log.exception("what a worker said can't be taken")
        finally:
            self._release()
            self.queue.clear("down")
            self.process = None
        if fault.cause != "refused":
            cause = _CAUSES.get(fault.cause, UnknownCause.CRASHED)
            if self._is_renewed:
                cause = UnknownCause.NO_HOST
            for name in names:
                self._pool.went_down(name, cause)
        return fault

    def _release(self) -> None:
        process = self.process
        if process is None or process.in_flight is None:
            return
        for order in process.in_flight:
            if isinstance(order, tuple) and isinstance(order[0], FrameAt):
                self._pool.freed(order[0])
        process.in_flight = None

    def _heard(self, message: FromWorker) -> None:
        assert self.process is not None
        match message:
            case Ready(detectors=detectors):
                if not detectors:
                    raise Fault("refused", None)
                for name, loaded in detectors.items():
                    if name in self.names:
                        self._pool.listener.loaded(name, loaded)
                self.feed()
            case Refused(detector=name, cause=cause, reason=reason):
                extra = {"detector": name, "reason": reason}
                log.warning("a detector can't be loaded", extra=extra)
                self._pool.listener.down(name, cause)
            case Raised(detector=name, error=error):
                extra = {"detector": name, "error": error}
                log.warning("a detector failed", extra=extra)
                self._fail(name)
            case Done(seconds=seconds):
                orders = self.process.in_flight or []
                self._release()
                self._pool.listener.done(orders, seconds)
                self.feed()
            case Out():
                culprit = self._pool.listener.out(message)
                if culprit is not None:
                    raise Fault("rubbish", culprit)

    def _fail(self, name: str) -> None:
        if len(self.names) == 1:
            raise Fault("raised", name)
        self._pool.exile(self, name)
        self._pool.count_restart([name])
        self._pool.went_down(name, UnknownCause.CRASHED)


class Pool:
    """All workers.

    Attributes:
        restarts: of each detector.
    """

    def __init__(self, config: HostConfig, frames: Frames, listener: PoolListener) -> None:
        self.config = config
        self.frames = frames
        self.listener = listener
        self.restarts: Counter[str] = Counter()
        self._runners: dict[str, Runner] = {}
        self._exiles: dict[str, Runner] = {}
        """Detectors that were put out of their group, and where they come from."""
        self._everyone: set[Runner] = set()
        """Also those that nobody is left in, and that are about to end."""
        self._is_stopped = False

    def keep(self, runner: Runner) -> None:
        """Somebody runs, until his task ends."""
        self._everyone.add(runner)
        runner.task.add_done_callback(lambda _: self._everyone.discard(runner))

    def start(self) -> None:
        """Starts all."""
        for names in self.config.layout().values():
            runner = Runner(self, names)
            self._runners |= dict.fromkeys(names, runner)

    @property
    def runners(self) -> list[Runner]:
        """Each once."""
        return list(dict.fromkeys(self._runners.values()))

    def of(self, detector: str) -> Runner:
        """The worker of a detector."""
        return self._runners[detector]

    def depth(self, detector: str) -> int:
        """Pictures and chunks of sound that wait for a detector."""
        runner = self._runners.get(detector)
        return 0 if runner is None else runner.queue.depth(detector)

    def freed(self, frame: FrameAt) -> None:
        """A worker holds a picture no longer."""
        self.frames.release(frame.offset)

    def exile(self, runner: Runner, detector: str) -> None:
        """A detector that did harm goes on in a process of its own, after a while."""
        if self._is_stopped or detector not in runner.names:
            return
        runner.names = tuple(name for name in runner.names if name != detector)
        delay_s = self.config.limits.backoff_s
        self._runners[detector] = Runner(self, (detector,), delay_s)
        self._exiles[detector] = runner
        log.warning("a detector gets a process of its own", extra={"detector": detector})

    def _reformed(self, home: Runner) -> list[str]:
        """Detectors of a group that have done no harm for long enough."""
        after_s = self.config.limits.return_after_s
        return [
            name
            for name, place in self._exiles.items()
            if place is home and self._runners[name].calm_s >= after_s
        ]

    async def take_back(self, home: Runner) -> None:
        """A group is about to start: who may come back does."""
        for name in self._reformed(home):
            del self._exiles[name]
            await self._runners[name].stop()
            self._runners[name] = home
            home.names = (*home.names, name)
            self.went_down(name, UnknownCause.NO_HOST)
            log.info("a detector is back in its group", extra={"detector": name})

    def rest(self) -> None:
        """Nobody is watched: groups start again with whoever may come back."""
        for home in list(dict.fromkeys(self._exiles.values())):
            if self._reformed(home):
                home.renew()

    def count_restart(self, names: list[str]) -> None:
        """Counts one."""
        self.restarts.update(names)

    def went_down(self, detector: str, cause: UnknownCause) -> None:
        """Tells the listener."""
        self.listener.down(detector, cause)

    def drop_frames_for_room(self) -> bool:
        """Drops the oldest picture that waits for the worker with most; whether there was one."""
        fullest = max(self.runners, key=lambda runner: len(runner.queue), default=None)
        return fullest is not None and fullest.queue.drop_oldest("no_memory", pictures=True)

    def order(self, detector: str, order: Order) -> bool:
        """Gives a worker what is never dropped; says whether there is one."""
        runner = self.of(detector)
        if runner.is_ready:
            runner.queue.order(order)
            runner.feed()
            runner.check()
        return runner.is_ready

    def withdraw(self, detector: str, watch: int) -> None:
        """Ends a watch without its last words, ahead of all that waits for it."""
        process = self.of(detector).process
        if process is not None:
            process.withdraw(watch)
        # Once more in order: it may not have begun yet.
        self.order(detector, Withdraw(watch))

    def put(self, item: Any, watches: dict[str, list[int]]) -> None:
        """Gives an input to the watches of several detectors, by the detectors' names."""
        by_runner: dict[Runner, list[str]] = {}
        for name in watches:
            runner = self.of(name)
            if runner.is_ready:
                by_runner.setdefault(runner, []).append(name)
        for runner, names in by_runner.items():
            numbers = tuple(number for name in names for number in watches[name])
            if isinstance(item, FrameAt):
                self.frames.hold(item.offset)
            runner.queue.put(item, numbers, tuple(names))
            runner.feed()
            runner.check()

    def forget(self, allowed: Callable[[Any, int], bool]) -> None:
        """Takes out of all queues what may not be looked at any more."""
        for runner in self.runners:
            runner.queue.drop_of(allowed)

    def dropped(self) -> dict[str, Counter[str]]:
        """By detector and reason."""
        found: dict[str, Counter[str]] = {}
        for runner in self.runners:
            for name, reasons in runner.queue.dropped.items():
                found.setdefault(name, Counter()).update(reasons)
        return found

    async def stop(self) -> None:
        """Ends all, also groups that nobody is left in; to the end, even if that is cancelled."""
        self._is_stopped = True
        for runner in self._everyone:
            runner.task.cancel()
        await to_its_end(self._ended())

    async def _ended(self) -> None:
        tasks = [runner.task for runner in self._everyone]
        await asyncio.gather(*tasks, return_exceptions=True)
