"""A detector that does harm is stopped, unknown, and started again; the others do not notice."""

import os
import signal
from pathlib import Path

import pytest

from tests.analytics.host.scene import HERE, Scene, config, detectors

pytestmark = [pytest.mark.net, pytest.mark.timeout(120)]

CAUSES = {
    "hang": "hung",
    "raise": "crashed",
    "exit": "crashed",
    "cut": "crashed",
    "kill": "crashed",
    "leak": "crashed",
    "rubbish": "crashed",
    "strange": "crashed",
    "flood": "crashed",
}


@pytest.mark.parametrize("harm", CAUSES)
async def test_harm_is_ended_counted_and_unknown_and_others_go_on(harm: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    lives = str(tmp_path / "life")
    names = detectors(Counter={}, Harm={"harm": harm, "lives": lives})
    settings = config(names, memory_mib=300, hang_after_s=2.0 if harm != "leak" else 30.0)
    async with Scene(settings) as scene:
        await scene.ready("Counter", "Harm")
        scene.join()
        scene.start()
        while not scene.unknown("Harm"):
            await scene.show(1)
            if scene.host.pool.of(f"{HERE}Counter").queue.depth(f"{HERE}Counter") > 8:
                await scene.until(
                    lambda: not len(scene.host.pool.of(f"{HERE}Counter").queue._entries)
                )
        (unknown,) = scene.unknown("Harm")
        assert (unknown.cause, unknown.is_open) == (CAUSES[harm], True)
        before = scene.found("Harm")
        assert unknown.start_us >= before[-1].end_us
        # What it had open is over.
        assert not scene.found("Harm", "watched")[-1].is_open
        while scene.unknown("Harm")[-1].is_open or len(scene.found("Harm")) < len(before) + 3:
            await scene.show(1)
        known = scene.unknown("Harm")[-1]
        assert known.finding_id == unknown.finding_id
        assert known.end_us > known.start_us
        again = scene.found("Harm")[len(before)]
        assert again.values["count"] == 1, "it knows nothing of its former life"
        assert again.start_us >= known.end_us
        # The other one has seen every picture that was due, and nothing was dropped for it.
        due = scene.host._media["video-a"].video
        assert due is not None
        await scene.until(lambda: len(scene.found("Counter")) >= due.converted)
        counts = [item.values["count"] for item in scene.found("Counter")]
        assert counts == list(range(1, len(counts) + 1))
        assert scene.unknown("Counter") == []
        status = scene.host.tick()
        assert status.restarts == {f"{HERE}Counter": 0, f"{HERE}Harm": 1}
        assert f"{HERE}Counter" not in status.dropped
        assert status.seconds[f"{HERE}Counter"] > 0


async def test_a_worker_that_is_killed_again_and_again_waits_longer_each_time() -> None:
    async with Scene(config(detectors(Counter={}), backoff_s=0.1, backoff_most_s=0.4)) as scene:
        runner = scene.host.pool.of(f"{HERE}Counter")
        waits = []
        for _ in range(4):
            await scene.ready("Counter")
            assert runner.process is not None
            assert runner.process.pid is not None
            os.kill(runner.process.pid, signal.SIGKILL)
            await scene.until(lambda: scene.host._down)
            await scene.until(lambda: runner._delay_s > 0)
            waits.append(runner._delay_s)
        assert waits == [0.1, 0.2, 0.4, 0.4]
        assert scene.host.pool.restarts[f"{HERE}Counter"] == 4


async def test_of_detectors_that_share_a_process_the_one_that_hangs_is_put_out(tmp_path) -> None:  # type: ignore[no-untyped-def]
    lives = str(tmp_path / "life")
    names = detectors(Counter={}, Harm={"harm": "hang", "lives": lives})
    settings = config(names, hang_after_s=2.0)
    settings = settings.model_copy(update={"groups": {"both": tuple(names)}})
    async with Scene(settings) as scene:
        await scene.ready("Counter", "Harm")
        assert len(scene.host.pool.runners) == 1
        scene.join()
        scene.start()
        while not scene.unknown("Harm"):
            await scene.show(1)
        # The other one lost what it knew, and says so.
        assert [item.cause for item in scene.unknown("Counter")] == ["hung"]
        await scene.ready("Counter", "Harm")
        assert len(scene.host.pool.runners) == 2
        assert scene.host.pool.restarts == {f"{HERE}Harm": 1}
        count = len(scene.found("Counter"))
        while len(scene.found("Counter")) < count + 3 or not scene.found("Harm"):
            await scene.show(1)
        assert not scene.unknown("Counter")[-1].is_open


@pytest.mark.parametrize("harm", ["leave", "greed"])
async def test_a_detector_that_can_not_be_loaded_keeps_nobody_of_its_group_away(harm: str) -> None:
    names = detectors(Harm={"harm": harm}, Counter={})
    settings = config(names).model_copy(update={"groups": {"both": tuple(names)}})
    async with Scene(settings) as scene:
        await scene.ready("Counter")
        scene.join()
        scene.start()
        while len(scene.found("Counter")) < 3:
            await scene.show(1)
        assert scene.unknown("Harm")[-1].cause == "crashed"
        assert scene.unknown("Harm")[-1].is_open
        assert scene.host.pool.restarts == {}


async def test_what_a_detector_has_started_ends_with_its_worker(tmp_path: Path) -> None:
    names = detectors(Harm={"harm": "children", "lives": str(tmp_path / "life")})
    async with Scene(config(names)) as scene:
        await scene.ready("Harm")
        process = scene.host.pool.of(f"{HERE}Harm").process
        assert process is not None
        group = process.pid
        assert group is not None
        scene.join()
        scene.start()
        while not scene.unknown("Harm"):
            await scene.show(1)

        def is_gone() -> bool:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return True
            return False

        await scene.until(is_gone)


async def test_a_detector_that_was_put_out_comes_back_when_nobody_is_watched(
    tmp_path: Path,
) -> None:
    names = detectors(Counter={}, Harm={"harm": "raise", "lives": str(tmp_path / "life")})
    settings = config(names, return_after_s=0.5)
    settings = settings.model_copy(update={"groups": {"both": tuple(names)}})
    async with Scene(settings) as scene:
        await scene.ready("Counter", "Harm")
        scene.join()
        scene.start()
        while not scene.unknown("Harm"):
            await scene.show(1)
        await scene.ready("Counter", "Harm")
        assert len(scene.host.pool.runners) == 2
        while len(scene.found("Harm")) < 3:
            await scene.show(1)
        restarts = dict(scene.host.pool.restarts)
        scene.host.tick()
        assert scene.host.pool.of(f"{HERE}Harm").names == (f"{HERE}Harm",), "somebody is watched"
        scene.mark("session.ended", who="")
        await scene.until(lambda: not scene.host._watches)

        def is_back() -> bool:
            scene.host.tick()
            return scene.host.pool.of(f"{HERE}Harm").names == (f"{HERE}Counter", f"{HERE}Harm")

        await scene.until(is_back)
        await scene.ready("Counter", "Harm")
        assert len(scene.host.pool.runners) == 1
        assert scene.host.pool.restarts == restarts, "that was no fault"
        scene.said.clear()
        scene.join()
        scene.start()
        while not scene.found("Counter") or not scene.found("Harm"):
            await scene.show(1)
