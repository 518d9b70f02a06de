"""Settings of the host."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["BUILTIN_GROUPS", "HostConfig", "HostSettings", "WorkerLimits"]

BUILTIN_GROUPS: dict[str, tuple[str, ...]] = {
    "sight": (
        "face_presence",
        "same_frame",
        "face_quality",
        "person_swap",
        "same_person",
        "liveness_hint",
        "phone",
    ),
    "hearing": ("speech_activity", "sound_health", "second_voice"),
    "words": (
        "required_statements",
        "prohibited_promises",
        "clear_answer",
        "speech_rate",
        "coaching",
    ),
}
"""Built-in detectors that share a model, or cost next to nothing."""

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WorkerLimits(_Settings):
    """What a worker may do before it is stopped and started again."""

    hang_after_s: float = Field(
        default=10.0, gt=0, le=600, description="Time without a sign of life, or for one batch."
    )
    work_after_s: float = Field(
        default=60.0, gt=0, le=3_600, description="Time for one piece of work that was put aside."
    )
    start_s: float = Field(
        default=120.0, gt=0, le=3_600, description="Time to load detectors and their models."
    )
    memory_mib: int = Field(
        default=1_500, ge=64, le=1_048_576, description="Resident memory of one worker."
    )
    queue: int = Field(
        default=16, ge=1, le=10_000, description="Pictures and chunks of sound that wait for one."
    )
    batch: int = Field(default=16, ge=1, le=1_000, description="Inputs handed over at a time.")
    backoff_s: float = Field(
        default=1.0, gt=0, le=600, description="Wait before the first restart; doubled each time."
    )
    backoff_most_s: float = Field(
        default=60.0, gt=0, le=3_600, description="Longest wait before a restart."
    )
    calm_s: float = Field(
        default=120.0,
        gt=0,
        le=86_400,
        description="After so long without a fault, all is forgotten.",
    )
    return_after_s: float = Field(
        default=3_600.0,
        gt=0,
        le=604_800,
        description="A detector that was put out of its group has to run so long without a fault"
        " before it comes back, when the group starts again or nobody is watched.",
    )


class HostSettings(_Settings):
    """How detectors are run."""

    groups: dict[_Name, tuple[_Name, ...]] = Field(
        default_factory=lambda: dict(BUILTIN_GROUPS),
        description="Detectors that share a process; all others have one of their own.",
    )
    limits: WorkerLimits = Field(
        default_factory=WorkerLimits, description="What a worker may do before it is stopped."
    )
    nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="Niceness of the host and its workers: media come first.",
    )
    idle_class: bool = Field(
        default=False, description="Run only when nothing else wants the processor (SCHED_IDLE)."
    )
    threads: int = Field(
        default=1, ge=1, le=64, description="Threads of numerical libraries in each worker."
    )
    frames_mib: int = Field(
        default=64, ge=4, le=65_536, description="Memory shared with workers for pictures."
    )
    video_wait_ms: int = Field(
        default=1_500, ge=0, le=15_000, description="How long a lost video packet is waited for."
    )
    audio_wait_ms: int = Field(
        default=300, ge=0, le=15_000, description="How long a lost audio packet is waited for."
    )

    @model_validator(mode="after")
    def _one_group_each(self) -> Self:
        seen: dict[str, str] = {}
        for group, members in self.groups.items():
            for name in members:
                if seen.setdefault(name, group) != group:
                    raise ValueError(f"{name} is in two groups: {seen[name]} and {group}")
        return self


class HostConfig(HostSettings):
    """Settings of a host of detectors.

    Attributes:
        detectors: settings of each detector that runs, by its name.
        models_directory, own_models: as in :class:`analytics.config.AnalyticsConfig`.
    """

    detectors: dict[_Name, dict[str, Any]] = Field(default_factory=dict)
    models_directory: Path | None = None
    own_models: dict[str, Path] = Field(default_factory=dict)

    def layout(self) -> dict[str, tuple[str, ...]]:
        """Detectors of each worker, by the worker's name."""
        grouped = {
            group: tuple(name for name in members if name in self.detectors)
            for group, members in self.groups.items()
        }
        taken = {name for members in grouped.values() for name in members}
        alone = {name: (name,) for name in self.detectors if name not in taken}
        return {name: members for name, members in grouped.items() if members} | alone
