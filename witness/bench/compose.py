"""``witness bench compose``: how fast a recorded call becomes files people can play."""

import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from recorder.compose.film import FilmOptions, make_film
from recorder.playback.remux import remux_track
from recorder.playback.survey import survey_participant
from witness.bench.compose_scene import recorded_call
from witness.bench.progress import Progress
from witness.i18n import t

__all__ = ["ComposeBenchOptions", "ComposeBenchResult", "compose_text", "measure_compose"]


@dataclass(frozen=True, slots=True)
class ComposeBenchOptions:
    """Command line of ``witness bench compose``."""

    seconds: float = 120.0
    """Of the recorded call."""
    participants: int = 3
    width: int = 1_280
    height: int = 720

    @classmethod
    def quick(cls) -> Self:
        """A result in less than half a minute."""
        return cls(seconds=30.0)


@dataclass(frozen=True, slots=True)
class ComposeBenchResult:
    """What it took.

    Attributes:
        realtime_factor: seconds of recording in a second, for survey and film together.
        remux_realtime_factor: the same for all tracks remuxed one after the other.
        survey_s: first pass over all packets.
        film_s: everything else until the file is complete.
        remux_s: all tracks.
        cpu_s: of this process for survey and film, all threads.
        stages_s: CPU seconds of decode, sound, compose and encode (without x264's own threads).
        mib: size of the film.
    """

    seconds: float
    participants: int
    width: int
    height: int
    realtime_factor: float
    remux_realtime_factor: float
    survey_s: float
    film_s: float
    remux_s: float
    cpu_s: float
    stages_s: dict[str, float]
    mib: float

    def json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def measure_compose(options: ComposeBenchOptions, progress: Progress) -> ComposeBenchResult:
    """Encodes a call, then composes and remuxes it."""
    progress.say(t("encoding a call"))
    size = (options.width, options.height)
    recording = recorded_call(options.participants, options.seconds, size)
    with tempfile.TemporaryDirectory(prefix="witness-bench-") as folder:
        progress.say(t("first pass over the packets"))
        began, cpu_began = time.monotonic(), time.process_time()
        surveys = [
            found
            for _, sources in groupby(recording.sources, lambda source: source.info.participant)
            for found in survey_participant(sources)
        ]
        survey_s = time.monotonic() - began
        progress.say(t("composing"))
        film = make_film(recording, surveys, Path(folder) / "film.mp4", FilmOptions())
        total_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
        progress.say(t("remuxing"))
        began = time.monotonic()
        for source, survey in zip(recording.sources, surveys, strict=True):
            remux_track(source, survey, Path(folder), epoch_us=0)
        remux_s = time.monotonic() - began
        return ComposeBenchResult(
            seconds=options.seconds,
            participants=options.participants,
            width=options.width,
            height=options.height,
            realtime_factor=options.seconds / total_s,
            remux_realtime_factor=options.seconds / remux_s,
            survey_s=survey_s,
            film_s=film.wall_s,
            remux_s=remux_s,
            cpu_s=cpu_s,
            stages_s=film.stages_s,
            mib=film.file.stat().st_size / 2**20,
        )


def compose_text(result: ComposeBenchResult) -> str:
    """As the terminal shows it."""
    stages = ", ".join(f"{name} {value:.1f} s" for name, value in result.stages_s.items())
    lines = [
        t("{count} participants of {width} × {height}, {seconds:.0f} s of call").format(
            count=result.participants,
            width=result.width,
            height=result.height,
            seconds=result.seconds,
        ),
        t("composition: {factor:.1f} × real time ({seconds:.1f} s, {cpu:.1f} s of CPU)").format(
            factor=result.realtime_factor,
            seconds=result.survey_s + result.film_s,
            cpu=result.cpu_s,
        ),
        t("CPU by stage: {stages}").format(stages=stages),
        t("remuxing: {factor:.0f} × real time ({seconds:.1f} s)").format(
            factor=result.remux_realtime_factor, seconds=result.remux_s
        ),
    ]
    return "\n".join(lines)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value
