"""A worker process leaves nothing, however it is ended."""

import asyncio

import pytest

from analytics.host.frames import Frames
from analytics.host.process import Fault, WorkerProcess
from analytics.host.wire import FromWorker, Ready
from tests.analytics.host.endings import cancel_to_the_end, descriptors, is_known
from tests.analytics.host.scene import config, detectors

pytestmark = [pytest.mark.net, pytest.mark.timeout(60)]


@pytest.mark.parametrize("way", ["cancelled", "faulty"])
async def test_an_impatient_stop_leaves_no_process(way: str) -> None:
    """Who stops it may be stopped too, at every turn of the loop while it ends."""
    settings = config(detectors(Counter={}))
    is_ready = asyncio.Event()
    frames = Frames(1 << 16)

    def heard(message: FromWorker) -> None:
        if isinstance(message, Ready):
            is_ready.set()
            if way == "faulty":
                raise Fault("refused", None)

    before = descriptors()
    process = WorkerProcess(tuple(settings.detectors), settings.limits, heard)
    task = asyncio.create_task(process.run(settings, (frames.fd, frames.size)))
    await is_ready.wait()
    pid = process.pid
    assert pid is not None
    await cancel_to_the_end(task)
    assert task.cancelled()
    assert not is_known(pid), "it has been waited for"
    await asyncio.sleep(0)
    assert descriptors() <= before
