"""Starts the server under test, has the plan carried out and judges."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtest.errors import LoadtestError
from loadtest.soak.plan import Action, PlanConfig, make_plan
from loadtest.soak.run import Observed, RunConfig, Server, run_plan
from loadtest.soak.verdict import Bounds, Verdict, judge
from sfu import Role
from sfu._media import MediaError, Swarm
from signaling.auth import MintingKey, mint_token
from witness.bench.process import ServerProcess, server_process
from witness.bench.progress import Progress
from witness.bench.server import KEY_ID
from witness.errors import MeasureError
from witness.i18n import t
from witness.output import Output
from witness.runner import run_until_complete
from witness.soak.page import page
from witness.soak.report import check_text, text_report

__all__ = ["SoakOptions", "run_soak", "soak"]

_HEARTBEATS = 1.5
"""After so many a silent socket is given up."""
_EVERYBODY = 1_000_000
_AUDIO = (50.0, 120, 1)
_VIDEO = (36.0, 1_000, 3)
_TOKEN_S = 36_000


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """Command line of ``witness loadtest soak``."""

    minutes: float = 30.0
    rooms: int = 6
    seed: int = 1
    actions_per_s: float = 1.0
    sample_s: float = 5.0
    resume_window_s: float = 20.0
    heartbeat_s: float = 6.0
    patience_s: float = 10.0
    recover_s: float = 15.0
    begin_s: float = 5.0
    bounds: Bounds = field(default_factory=Bounds)

    @classmethod
    def quick(cls) -> "SoakOptions":
        """Some 40 s in all: long enough for everything to happen, too short for a trend."""
        return cls(
            minutes=0.5,
            rooms=3,
            actions_per_s=3.0,
            sample_s=1.0,
            resume_window_s=2.0,
            heartbeat_s=2.0,
            recover_s=3.0,
            begin_s=2.0,
        )

    @property
    def plan(self) -> PlanConfig:
        """What is planned."""
        return PlanConfig(
            seconds=60 * self.minutes,
            rooms=self.rooms,
            actions_per_s=self.actions_per_s,
            resume_window_s=self.resume_window_s + _HEARTBEATS * self.heartbeat_s,
        )


def run_soak(options: SoakOptions, output: Output) -> int:
    """Runs and prints; 0 if everything held, else 1.

    Raises:
        MeasureError: it could not be run; the text says why.
    """
    plan = make_plan(options.plan, options.seed)
    try:
        observed = run_until_complete(soak(options, plan, Progress()))
    except (LoadtestError, MediaError) as error:
        raise MeasureError(t("the soak can't be run: {reason}").format(reason=error)) from error
    verdict = judge(observed, options.bounds)
    output.write(
        page=lambda: page(options, observed, verdict),
        data=lambda: as_json(options, plan, observed, verdict),
        text=lambda: text_report(observed, verdict),
    )
    return 0 if verdict.held else 1


async def soak(options: SoakOptions, plan: list[Action], progress: Progress) -> Observed:
    """Carries the plan out against a server of its own.

    Raises:
        BenchError: the server does not start.
        LoadtestError: not even the first call works.
        MediaError: the load generator can't be started.
    """
    settings = {
        "resume_window_s": options.resume_window_s,
        "heartbeat_s": options.heartbeat_s,
    }
    progress.say(t("starting a server"))
    async with server_process(cpus=[], engines=1, settings=settings) as server, _swarms() as swarms:
        tested = Server(url=server.url, pid=server.pid, token=_tokens(server))
        config = RunConfig(
            seconds=options.plan.seconds,
            sample_s=options.sample_s,
            patience_s=options.patience_s,
            recover_s=options.recover_s,
            begin_s=options.begin_s,
            settle_s=30 + 2 * (options.resume_window_s + _HEARTBEATS * options.heartbeat_s),
        )
        say = _Saying(progress)
        observed = await run_plan(plan, config, tested, swarms, say)
        progress.say(t("everybody has left"))
    return observed


@contextlib.asynccontextmanager
async def _swarms() -> AsyncIterator[list[Swarm]]:
    swarms = [Swarm(sockets=2, sample=0) for _ in range(2)]
    try:
        for swarm in swarms:
            swarm.load(participants=_EVERYBODY, audio=_AUDIO, video=_VIDEO, busy=False)
        yield swarms
    finally:
        for swarm in swarms:
            swarm.close()


def _tokens(server: ServerProcess) -> Any:
    key = MintingKey(KEY_ID, server.secret.encode())

    def token(room: str, participant_id: str, role: str) -> str:
        return mint_token(
            key,
            room=room,
            participant_id=participant_id,
            role=Role(role),
            now_unix_s=time.time(),
            ttl_s=_TOKEN_S,
        )

    return token


class _Saying:
    """Progress: about twelve lines, or one a minute, and everything that goes wrong."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._next_s = 0.0
        self._gap_s: float | None = None
        self._told = (0, 0, 0)

    def __call__(self, observed: Observed, left_s: float) -> None:
        sample = observed.samples[-1]
        if self._gap_s is None:
            self._gap_s = min(60.0, (sample.at_s + left_s) / 12)
        if sample.at_s >= self._next_s:
            self._next_s = sample.at_s + self._gap_s
            self._progress.say(
                t(
                    "{left} left: {people} people in {rooms} rooms, {actions} actions,"
                    " {memory} MiB, {descriptors} descriptors"
                ).format(
                    left=_clock(left_s),
                    people=sample.participants,
                    rooms=sample.rooms,
                    actions=observed.done.total(),
                    memory=round(sample.own_bytes / (1 << 20), 1),
                    descriptors=sample.descriptors,
                )
            )
        self._tell_trouble(observed)

    def _tell_trouble(self, observed: Observed) -> None:
        freezes, failures, stuck = self._told
        for freeze in observed.freezes[freezes:]:
            self._progress.say(
                t("the machine stood still for {seconds} s").format(seconds=freeze.seconds)
            )
        for failure in observed.failures[failures:]:
            text = t("{action} failed: {reason}")
            self._progress.say(text.format(action=failure.act, reason=failure.reason))
        for one in observed.stuck.found[stuck:]:
            self._progress.say(
                t("room {room}: no {kind} for {seconds} s").format(
                    room=one.room, kind=t(one.kind), seconds=one.silent_s
                )
            )
        self._told = (len(observed.freezes), len(observed.failures), len(observed.stuck.found))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def as_json(
    options: SoakOptions, plan: list[Action], observed: Observed, verdict: Verdict
) -> dict[str, Any]:
    """Documented in ``docs/operations.md``."""
    return {
        "held": verdict.held,
        "seed": options.seed,
        "seconds": options.plan.seconds,
        "planned": len(plan),
        "done": dict(sorted(observed.done.items())),
        "rejoins": observed.rejoins,
        "excused": observed.excused,
        "checks": [
            {"name": one.name, "outcome": one.outcome, **one.values, "text": check_text(one)}
            for one in verdict.checks
        ],
        "memory_mib_per_hour": None if verdict.memory is None else asdict(verdict.memory),
        "failures": [asdict(one) for one in observed.failures],
        "stuck": [asdict(one) for one in observed.stuck.found],
        "freezes": [asdict(one) for one in observed.freezes],
        "layer_switches": observed.layer_switches,
        "overflows": observed.overflows,
        "dropped": observed.dropped,
        "baseline": asdict(observed.baseline),
        "final": None if observed.final is None else asdict(observed.final),
        "samples": [asdict(one) for one in observed.samples],
    }
