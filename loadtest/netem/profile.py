"""Network profiles: what a path does to packets, and when.

A profile is a YAML file: a state for each direction, and steps that change it over time. It is
applied in one of three ways, which mean the same by it: :mod:`loadtest.netem.tun`,
:mod:`loadtest.netem.tc` and :mod:`loadtest.netem.relay`.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from loadtest.errors import ProfileError

__all__ = ["Direction", "Link", "Loss", "Profile", "Step", "Traffic"]

MAX_STEPS = 1_000
LONGEST_MS = 60_000


class Direction(StrEnum):
    """Which way is impaired, seen from the participant at the bad end."""

    DOWN = "down"
    UP = "up"
    BOTH = "both"

    @property
    def ways(self) -> tuple[str, ...]:
        """``down``, ``up`` or both."""
        return ("down", "up") if self is Direction.BOTH else (self.value,)


class Traffic(StrEnum):
    """What is impaired. The rest has the profile's delay, nothing else."""

    UDP = "udp"
    ALL = "all"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Loss(_Section):
    """Packets that vanish: each by itself, or in bursts after Gilbert and Elliott."""

    percent: float = Field(default=0.0, ge=0, le=100, description="Share of all packets.")
    mean_burst: float | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Mean packets the path stays bad for. Without it each is lost by itself.",
    )
    bad_percent: float = Field(
        default=100.0, gt=0, le=100, description="Loss while the path is bad. With mean_burst only."
    )
    good_percent: float = Field(
        default=0.0, ge=0, lt=100, description="Loss while the path is good. With mean_burst only."
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.mean_burst is None or self.percent == 0:
            return self
        if not self.good_percent <= self.percent < self.bad_percent:
            raise ValueError(
                "percent must be at least good_percent and less than bad_percent where mean_burst"
                " is given"
            )
        if self._to_bad() > 1:
            raise ValueError("mean_burst is too short for so much loss; make it longer")
        return self

    def _to_bad(self) -> float:
        assert self.mean_burst is not None
        bad = (self.percent - self.good_percent) / (self.bad_percent - self.good_percent)
        return bad / (1 - bad) / self.mean_burst

    def parameters(self) -> tuple[float, ...]:
        """As ``sfu._media.NetemConfig`` takes it: nothing, one share, or to bad, to good, loss
        while good, loss while bad.
        """
        if self.percent == 0:
            return ()
        if self.mean_burst is None:
            return (self.percent / 100,)
        states = (self.good_percent / 100, self.bad_percent / 100)
        return (self._to_bad(), 1 / self.mean_burst, *states)


class Link(_Section):
    """One direction of a path: loss, then a link with a rate and a queue, then delay."""

    loss: Loss = Field(default=Loss(), description="Packets that vanish.")
    delay_ms: float = Field(default=0.0, ge=0, le=LONGEST_MS, description="Mean delay, one way.")
    jitter_ms: float = Field(
        default=0.0,
        ge=0,
        le=LONGEST_MS,
        description="The delay is evenly distributed this much around its mean.",
    )
    jitter_reorders: bool = Field(
        default=False, description="Whether a packet with a short delay overtakes others."
    )
    reorder_percent: float = Field(
        default=0.0, ge=0, le=100, description="Share of the packets that others overtake."
    )
    reorder_ms: float = Field(
        default=20.0, ge=0, le=LONGEST_MS, description="How much later these arrive."
    )
    duplicate_percent: float = Field(
        default=0.0, ge=0, le=100, description="Share of the packets that arrive twice."
    )
    rate_kbps: float | None = Field(
        default=None, gt=0, le=10_000_000, description="Rate in kilobits per second."
    )
    queue_ms: float = Field(
        default=300.0,
        gt=0,
        le=LONGEST_MS,
        description="Longest wait for the link; a packet that would wait longer is dropped.",
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.jitter_ms > self.delay_ms:
            raise ValueError("jitter_ms must not exceed delay_ms: no packet arrives before it left")
        return self

    def parameters(self) -> dict[str, Any]:
        """Keyword arguments of ``sfu._media.NetemConfig``."""
        made: dict[str, Any] = {
            "loss": self.loss.parameters(),
            "delay_s": (self.delay_ms - self.jitter_ms) / 1000,
            "jitter_s": 2 * self.jitter_ms / 1000,
            "jitter_reorders": self.jitter_reorders,
            "reorder": self.reorder_percent / 100,
            "reorder_delay_s": self.reorder_ms / 1000,
            "duplicate": self.duplicate_percent / 100,
        }
        if self.rate_kbps is not None:
            made |= {
                "rate_bps": max(1, round(self.rate_kbps * 1000)),
                "queue_delay_s": self.queue_ms / 1000,
            }
        return made

    def unimpaired(self) -> "Link":
        """The same way to go, without trouble."""
        return Link(delay_ms=self.delay_ms)


class Step(_Section):
    """A change; a direction that is not named stays as it is."""

    at_s: float = Field(ge=0, le=86_400, description="Seconds from the beginning of measuring.")
    down: Link | None = Field(default=None, description="Toward the participant.")
    up: Link | None = Field(default=None, description="From the participant.")


class Profile(_Section):
    """A path between a participant and the server."""

    title: str = Field(default="", max_length=120, description="What it stands for, in English.")
    title_zh: str = Field(default="", max_length=120, description="The same in Chinese.")
    seed: int = Field(default=1, ge=0, lt=2**63, description="Of everything random.")
    down: Link = Field(default=Link(), description="Toward the participant, before any step.")
    up: Link = Field(default=Link(), description="From the participant, before any step.")
    steps: tuple[Step, ...] = Field(
        default=(), max_length=MAX_STEPS, description="Changes over time, earliest first."
    )

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        times = [step.at_s for step in self.steps]
        if times != sorted(times):
            raise ValueError("steps must stand in the order of at_s")
        return self

    def only(self, direction: Direction) -> "Profile":
        """The profile with trouble in this direction, and none in the other one."""

        def way(name: str, link: Link | None) -> Link | None:
            return link if link is None or name in direction.ways else link.unimpaired()

        steps = tuple(
            Step(at_s=step.at_s, down=way("down", step.down), up=way("up", step.up))
            for step in self.steps
        )
        down, up = way("down", self.down), way("up", self.up)
        return self.model_copy(update={"down": down, "up": up, "steps": steps})

    def timeline(self, way: str) -> Iterator[tuple[float, Link]]:
        """States of one direction with the time they begin at; the first begins at 0."""
        if way not in {"down", "up"}:
            raise ProfileError(f"no such direction: {way}")
        yield 0.0, getattr(self, way)
        for step in self.steps:
            link = getattr(step, way)
            if link is not None:
                yield step.at_s, link

    def expected_loss(self, way: str, seconds: float) -> float:
        """Mean share that vanishes by the loss models in the first ``seconds`` of measuring."""
        states = [*self.timeline(way)]
        ends = [at for at, _ in states[1:]] + [seconds]
        total = sum(
            link.loss.percent / 100 * max(0.0, min(end, seconds) - min(at, seconds))
            for (at, link), end in zip(states, ends, strict=True)
        )
        return total / seconds
