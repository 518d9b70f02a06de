"""Workers end with their pool, and one that can't be started is tried again."""

import asyncio
from typing import Any

import pytest

from analytics.host import pool as pool_module
from analytics.host.frames import Frames
from analytics.host.pool import Pool
from analytics.host.process import WorkerProcess
from analytics.link import UnknownCause
from tests.analytics.host.endings import cancel_to_the_end, descriptors, is_known
from tests.analytics.host.scene import HERE, config, detectors

NAME = f"{HERE}Counter"


class Listener:
    """Remembers what became of detectors."""

    def __init__(self) -> None:
        self.causes: list[UnknownCause] = []
        self.ready: set[str] = set()
        self.is_ready = asyncio.Event()
        self.is_down = asyncio.Event()

    def loaded(self, detector: str, loaded: object) -> None:
        self.ready.add(detector)
        self.is_ready.set()

    def down(self, detector: str, cause: UnknownCause) -> None:
        self.causes.append(cause)
        self.is_down.set()

    def out(self, out: object) -> None:
        return None

    def done(self, orders: object, seconds: object) -> None:
        pass


@pytest.mark.parametrize("what", ["os.memfd_create", "os.ftruncate", "socket.socketpair"])
async def test_a_worker_for_which_there_is_no_descriptor_is_tried_again_and_leaks_none(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, listener = Frames(1 << 16), Listener()
    made = asyncio.Event()

    class Second(WorkerProcess):
        async def run(self, *_: Any) -> None:
            made.set()
            await asyncio.Event().wait()

    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    settings = config(detectors(Counter={}), backoff_s=0.001)
    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(what, refuse)
        pool = Pool(settings, frames, listener)
        pool.start()
        await listener.is_down.wait()
    assert listener.causes[0] is UnknownCause.CRASHED
    assert descriptors() == before
    monkeypatch.setattr(pool_module, "WorkerProcess", Second)
    await made.wait()
    assert pool.restarts[NAME] >= 1
    await pool.stop()


@pytest.mark.net
@pytest.mark.timeout(60)
async def test_a_pool_that_is_stopped_impatiently_leaves_no_process() -> None:
    frames, listener = Frames(1 << 16), Listener()
    before = descriptors()
    pool = Pool(config(detectors(Counter={}, Listener={})), frames, listener)
    pool.start()
    while len(listener.ready) < 2:
        await listener.is_ready.wait()
        listener.is_ready.clear()
    pids = [runner.process.pid for runner in pool.runners if runner.process is not None]
    assert len(pids) == 2
    stopping = asyncio.create_task(pool.stop())
    await asyncio.sleep(0)
    await cancel_to_the_end(stopping)
    assert not [pid for pid in pids if is_known(pid)]
    await asyncio.sleep(0)
    assert descriptors() <= before
