"""A worker: a process that runs one detector, or a few that share a model.

It is told what to watch and given inputs; it says what its detectors find. A detector that raises
is forgotten, and said to have. One that hangs takes the worker with it: the host sees no sign of
life, reads in shared memory which one was at work, and ends the process.
"""

import contextlib
import functools
import json
import math
import mmap
import os
import pickle
import re
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from analytics.detector import (
    Defers,
    Detector,
    Discards,
    Finding,
    Heard,
    Input,
    Prepares,
    Utterance,
    VideoFrame,
    Watch,
    is_watch,
)
from analytics.host.loading import cause_of, installed_models, load_detector
from analytics.host.orphans import end_with_parent
from analytics.host.wire import (
    LENGTH,
    Batch,
    Flush,
    FrameAt,
    Loaded,
    Setup,
    Show,
    Unwatch,
    WatchThis,
    Withdraw,
)

__all__ = ["Worker", "main"]

_ALIVE_S: Final = 0.5
_IDLE_MARK: Final = 255
_MAX_REASON: Final = 500
_MAX_OUTPUTS: Final = 512
"""What a watch may say at once; whoever says more has gone mad."""


class _RubbishError(Exception):
    """A detector returned what is no output."""


@dataclass(slots=True)
class _Running:
    detector: str
    watch: Watch


class Worker:
    """Detectors and their watches; speaks through ``say``.

    Args:
        marker: two bytes: what the main thread is doing, and what the other one is, as the index
            of the detector, or 255.
        withdrawn: watches for which consent was withdrawn since it was last called; asked before
            each input.
    """

    def __init__(
        self,
        setup: Setup,
        say: Any,
        marker: Any,
        frames: Any,
        withdrawn: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        self._names = list(setup.detectors)
        self._settings = setup.detectors
        self._models = installed_models(setup.models_directory, setup.own_models)
        self._say = say
        self._marker = marker
        self._frames = frames
        self._withdrawn = withdrawn
        self._detectors: dict[str, Detector] = {}
        self._deferring: dict[str, Defers] = {}
        """Of these those that put work aside; asking a class is its own code, too."""
        self._watches: dict[int, _Running] = {}
        self._seconds: dict[str, float] = {}
        self._wake = threading.Event()
        self._working_since: float | None = None
        self._lock = threading.Lock()

    def load(self) -> None:
        """Loads all, and says which could be."""
        models = self._models
        ready: dict[str, Any] = {}
        for name in self._names:
            with self._doing(name):
                try:
                    detector = load_detector(name, self._settings[name], models)
                    described = _described(detector, models)
                    if isinstance(detector, Defers):
                        self._deferring[name] = detector
                    self._detectors[name] = detector
                    ready[name] = described
                except BaseException as error:  # noqa: BLE001 - a detector may fail in any way
                    self._refuse(name, error)
        if self._deferring:
            threading.Thread(target=self._work, name="work", daemon=True).start()
        self._say({"type": "ready", "detectors": ready})

    def alive(self) -> None:
        """Gives a sign of life."""
        since = self._working_since
        work_s = 0.0 if since is None else time.monotonic() - since
        self._say({"type": "alive", "work_s": round(work_s, 3)})

    def take(self, batch: Batch) -> None:
        """Does a batch."""
        self._take_withdrawals()
        orders = [self._unfolded(order) for order in batch.orders]
        self._prepare(orders)
        for order in orders:
            self._take_withdrawals()
            match order:
                case WatchThis():
                    self._begin(order)
                case Show():
                    self._process(order.watch, order.item)
                case Flush():
                    self._flush(order.watch, order.at_us)
                case Unwatch():
                    self._flush(order.watch, order.at_us)
                    self._watches.pop(order.watch, None)
                case Withdraw():
                    self.withdraw(order.watch)
                case (item, watches):
                    for watch in watches:
                        self._process(watch, item)
        seconds, self._seconds = self._seconds, {}
        self._say({"type": "done", "batch": batch.number, "seconds": seconds})
        self._wake.set()

    def withdraw(self, number: int) -> None:
        """Forgets a watch: it is given nothing more, and says nothing more."""
        running = self._watches.pop(number, None)
        if running is not None and isinstance(running.watch, Discards):
            self._guarded(running.detector, running.watch.discard)

    def _take_withdrawals(self) -> None:
        for number in self._withdrawn():
            self.withdraw(number)

    def _unfolded(self, order: Any) -> Any:
        if not isinstance(order, tuple) or not isinstance(order[0], FrameAt):
            return order
        at, watches = order
        frame = VideoFrame(
            at.track_id, at.participant_id, at.pts_us, at.image(self._frames), at.shared
        )
        return frame, watches

    def _prepare(self, orders: Iterable[Any]) -> None:
        """Has models look at all pictures of a batch at once."""
        pictures = [
            order
            for order in orders
            if isinstance(order, tuple) and isinstance(order[0], VideoFrame)
        ]
        for name, detector in list(self._detectors.items()):
            if not isinstance(detector, Prepares):
                continue
            # Models take their time: what is withdrawn meanwhile, the next doesn't look at.
            self._take_withdrawals()
            frames = [frame for frame, watches in pictures if self._any_of(name, watches)]
            if frames:
                self._guarded(name, functools.partial(detector.prepare, frames))

    def _any_of(self, name: str, watches: Iterable[int]) -> bool:
        """Whether any of these watches is a detector's."""
        return any(
            number in self._watches and self._watches[number].detector == name for number in watches
        )

    def _begin(self, order: WatchThis) -> None:
        detector = self._detectors.get(order.detector)
        if detector is None:
            return

        def begun() -> None:
            watch = detector.watch(order.subject)
            if not is_watch(watch):
                raise _RubbishError(type(watch).__name__)
            self._watches[order.watch] = _Running(order.detector, watch)

        with self._lock:
            self._guarded(order.detector, begun)

    def _process(self, number: int, item: Input) -> None:
        running = self._watches.get(number)
        if running is not None:
            self._hear(number, running, lambda: running.watch.process(item))

    def _flush(self, number: int, at_us: int) -> None:
        running = self._watches.get(number)
        if running is not None:
            self._hear(number, running, lambda: running.watch.flush(at_us))

    def _hear(self, number: int, running: _Running, call: Any) -> None:
        def heard() -> None:
            for output in _checked(call()):
                self._say(_said(number, output))

        self._guarded(running.detector, heard)

    def _guarded(self, name: str, call: Any) -> Any:
        """Runs a detector's code, and notes what it costs."""
        began = time.thread_time()
        with self._doing(name):
            try:
                return call()
            except BaseException as error:  # noqa: BLE001 - it may also call sys.exit()
                self._forget(name, error)
                return None
            finally:
                spent = time.thread_time() - began
                self._seconds[name] = self._seconds.get(name, 0.0) + spent

    @contextlib.contextmanager
    def _doing(self, name: str, place: int = 0) -> Any:
        self._marker[place] = min(self._names.index(name), _IDLE_MARK - 1)
        try:
            yield
        finally:
            self._marker[place] = _IDLE_MARK

    def _forget(self, name: str, error: BaseException) -> None:
        self._detectors.pop(name, None)
        self._deferring.pop(name, None)
        for number in [n for n, item in self._watches.items() if item.detector == name]:
            del self._watches[number]
        kind = "rubbish" if isinstance(error, _RubbishError) else type(error).__name__
        # Names in other scripts are Python, but none that the host takes.
        kind = re.sub(r"[^A-Za-z0-9_.]", "_", kind)
        self._say({"type": "raised", "detector": name, "error": kind[:128]})

    def _refuse(self, name: str, error: BaseException) -> None:
        cause = cause_of(error)
        # In one line, and of characters that there are.
        reason = " ".join(f"{type(error).__name__}: {_first_complaint(error)}".split())
        reason = reason.encode("utf-8", "replace").decode()[:_MAX_REASON]
        self._say({"type": "refused", "detector": name, "cause": cause, "reason": reason})

    def _work(self) -> None:
        """Does what detectors put aside, one piece at a time."""
        while True:
            busy = False
            for name, detector in list(self._deferring.items()):
                if self._has_work(name, detector):
                    busy = True
                    self._work_once(name, detector)
            if not busy:
                self._wake.wait()
                self._wake.clear()

    def _has_work(self, name: str, detector: Defers) -> bool:
        try:
            return bool(detector.waiting)
        except BaseException as error:  # noqa: BLE001 - the thread works for the others, too
            self._forget(name, error)
            return False

    def _work_once(self, name: str, detector: Defers) -> None:
        self._working_since = time.monotonic()
        began = time.thread_time()
        try:
            with self._doing(name, 1):
                done = detector.work()
            if done is not None:
                watch, outputs = done
                numbers = [n for n, item in list(self._watches.items()) if item.watch is watch]
                for output in _checked(outputs):
                    for number in numbers:
                        self._say(_said(number, output))
        except BaseException as error:  # noqa: BLE001 - the thread works for the others, too
            self._forget(name, error)
        finally:
            self._working_since = None
            spent = time.thread_time() - began
            self._seconds[name] = self._seconds.get(name, 0.0) + spent


def _checked(outputs: Any) -> Sequence[Any]:
    if not isinstance(outputs, list | tuple) or len(outputs) > _MAX_OUTPUTS:
        raise _RubbishError(type(outputs).__name__)
    for output in outputs:
        if not isinstance(output, Finding | Utterance | Heard):
            raise _RubbishError(type(output).__name__)
    return outputs


def _said(number: int, output: Finding | Utterance | Heard) -> dict[str, Any]:
    kinds = {Finding: "finding", Utterance: "said", Heard: "heard"}
    data = asdict(output)
    if isinstance(output, Finding):
        data["frames"] = [_flat(frame) for frame in data["frames"]]
        data["values"] = {key: _plain(value) for key, value in data["values"].items()}
        data["score"] = _plain(data["score"])
    if isinstance(output, Utterance):
        data["confidence"] = _plain(data["confidence"])
        for one in data["likely"]:
            one["score"] = _plain(one["score"])
    return {"type": "out", "watch": number, "kind": kinds[type(output)], "data": data}


def _flat(frame: dict[str, Any]) -> dict[str, Any]:
    box = frame["box"]
    sides = ("left", "top", "right", "bottom")
    return {**frame, "box": None if box is None else [_plain(box[side]) for side in sides]}


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's; what is no number stays, and is refused by the host."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _described(detector: Detector, models: Any) -> dict[str, Any]:
    card, needs = detector.card, detector.needs
    digests = {}
    for name in card.models:
        with contextlib.suppress(Exception):
            digests[name] = models.find(name).sha256
    described = {
        "version": detector.version,
        "scope": card.scope,
        "permissions": sorted(card.permissions),
        "kinds": [kind.kind for kind in card.kinds],
        "models": digests,
        "needs": _json(asdict(needs)),
    }
    # What the host would take for rubbish is known here with its reason.
    Loaded.model_validate(described)
    return described


def _first_complaint(error: BaseException) -> str:
    """What is wrong, in a line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    return sorted(value) if isinstance(value, frozenset) else value


def _default(value: Hashable) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)


class _Link:
    """The worker's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._waiting: deque[Any] = deque()

    def say(self, message: dict[str, Any]) -> None:
        """Says something; the host reads at once, so this doesn't wait for long."""
        try:
            text = json.dumps(message, allow_nan=False, default=_default)
        except (TypeError, ValueError) as error:
            raise _RubbishError(str(error)) from error
        with self._lock:
            self._socket.sendall(text.encode() + b"\n")

    def messages(self) -> Iterable[Any]:
        """What the host says; ``None`` when it has said nothing for a while."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            ready, _, _ = select.select([self._socket], [], [], _ALIVE_S)
            if not ready:
                yield None
                continue
            piece = self._socket.recv(1 << 20)
            if not piece:
                return
            self._take(piece)

    def withdrawn(self) -> list[int]:
        """Watches that the host has withdrawn since it gave the batch that is being done."""
        while select.select([self._socket], [], [], 0)[0]:
            piece = self._socket.recv(1 << 16)
            if not piece:
                break
            self._take(piece)
        # Before a batch is done there comes nothing else.
        watches = [item.watch for item in self._waiting if isinstance(item, Withdraw)]
        self._waiting = deque(i for i in self._waiting if not isinstance(i, Withdraw))
        return watches

    def _take(self, piece: bytes) -> None:
        self._buffer += piece
        while len(self._buffer) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[LENGTH.size : end])
            del self._buffer[:end]
            self._waiting.append(pickle.loads(body))  # noqa: S301 - the host's own words


def main() -> int:
    """Runs until the host is gone."""
    end_with_parent()
    link = _Link(socket.socket(fileno=int(sys.argv[1])))
    messages = iter(link.messages())
    setup = next(messages)
    while setup is None:
        setup = next(messages)
    frames = np.frombuffer(
        mmap.mmap(setup.frames_fd, setup.frames_bytes, prot=mmap.PROT_READ), np.uint8
    )
    marker = mmap.mmap(setup.marker_fd, mmap.PAGESIZE)
    worker = Worker(setup, link.say, marker, frames, link.withdrawn)
    # A host that ends leaves its workers nothing to do.
    with contextlib.suppress(ConnectionError):
        worker.load()
        for message in messages:
            if message is None:
                worker.alive()
            elif isinstance(message, Withdraw):
                worker.withdraw(message.watch)
            else:
                worker.take(message)
    # Detectors may hold threads; there is nothing to be saved.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
