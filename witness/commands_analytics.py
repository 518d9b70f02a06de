"""What ``witness analytics`` does."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from analytics.config import config_of
from analytics.errors import AnalyticsError
from analytics.eval import clips as clips_of
from analytics.eval import material, speech_clips
from analytics.eval.evaluate import detectors_for, evaluate
from analytics.eval.labels import find_clips
from analytics.eval.report import as_json, as_page
from analytics.eval.score import Judged, score
from analytics.models.fetch import FolderSource, RegistrySource
from analytics.models.install import Fetching, Step
from analytics.models.store import InstalledModels
from analytics.registry import the_registry
from analytics.vision import mesh as mesh_of
from analytics.vision.face import MODEL, FaceModel
from witness.errors import DetectorsError
from witness.i18n import of_error, t
from witness.table import render

__all__ = ["clips", "evaluate_clips"]


def clips(arguments: argparse.Namespace) -> int:
    """``witness analytics clips``."""
    if arguments.speech is not None:
        return _speech_clips(arguments)
    source = RegistrySource() if arguments.source is None else FolderSource(arguments.source)
    directory: Path = arguments.directory
    with _said():
        models = InstalledModels()
        faces = models.loaded(MODEL, FaceModel.load)
        meshes = models.loaded(mesh_of.MODEL, mesh_of.MeshModel.load)
        home = material.install_material(source, _progress)
        people = material.with_points(material.people(home, faces, arguments.faces), meshes)
        plans = (
            clips_of.quick_set(arguments.seed)
            if arguments.quick
            else clips_of.full_set(
                60 if arguments.clean_minutes is None else arguments.clean_minutes, arguments.seed
            )
        )
        plans = _chosen(plans, arguments.stories)
        made = 0
        for clip in clips_of.make_clips(
            plans, people, material.video(home), directory, arguments.workers
        ):
            made += 1
            _tell(f"{made}/{len(plans)} {clip.name}")
    return _made(arguments, made, sum(plan.length_s for plan in plans))


def _speech_clips(arguments: argparse.Namespace) -> int:
    made, seconds = 0, 0.0
    with _said():
        sentences = speech_clips.Sentences.read(arguments.speech)
        known = {channel.name: channel for channel in speech_clips.SPEECH_CHANNELS}
        unknown = sorted(set(arguments.channels or ()) - known.keys())
        if unknown:
            text = t("no channel {unknown}; there are: {known}")
            raise DetectorsError(text.format(unknown=", ".join(unknown), known=", ".join(known)))
        channels = [known[name] for name in arguments.channels or known]
        plans = speech_clips.speech_set(
            sentences, arguments.clean_minutes or 0, arguments.seed, channels
        )
        stories = ["contrary"] if arguments.quick else arguments.stories
        plans = _chosen(plans, stories)
        for clip in speech_clips.make_speech_clips(sentences, plans, arguments.directory):
            made, seconds = made + 1, seconds + clip.duration_us / 1e6
            _tell(clip.name)
    return _made(arguments, made, seconds)


_Plan = TypeVar("_Plan", clips_of.Plan, speech_clips.SpeechPlan)


def _chosen(plans: Sequence[_Plan], stories: Sequence[str] | None) -> list[_Plan]:
    """Plans of these stories; all, where none is named."""
    known = {plan.story for plan in plans}
    unknown = sorted(set(stories or ()) - known)
    if unknown:
        raise DetectorsError(
            t("no story {unknown}; there are: {known}").format(
                unknown=", ".join(unknown), known=", ".join(sorted(known))
            )
        )
    return [plan for plan in plans if not stories or plan.story in stories]


def _made(arguments: argparse.Namespace, made: int, seconds: float) -> int:
    if arguments.json:
        _print({"directory": str(arguments.directory), "clips": made, "seconds": seconds})
    else:
        text = t("{count} clips of {minutes} minutes in {directory}")
        minutes = f"{seconds / 60:.1f}"
        _say(text.format(count=made, minutes=minutes, directory=arguments.directory))
    return 0


def evaluate_clips(arguments: argparse.Namespace) -> int:
    """``witness analytics eval``."""
    directory: Path = arguments.directory
    judged: list[tuple[Path, Judged]] = []
    with _said():
        settings = _settings(arguments.settings)
        labels = [clip for _, clip in find_clips(directory)]
        usual = detectors_for(labels)
        names = arguments.detectors or usual
        for folder, one in evaluate(directory, names, settings, InstalledModels, arguments.workers):
            judged.append((folder, one))
            _tell(f"{len(judged)}/{len(labels)} {one.run.clip.name}")
        scores = score(one for _, one in judged)
        report = arguments.report or directory / "report.html"
        try:
            report.write_text(as_page(judged, scores), "utf-8")
        except OSError as error:
            raise DetectorsError(
                t("can't write to {path}: {reason}").format(path=report, reason=error.strerror)
            ) from error
    figures = as_json([one for _, one in judged], scores)
    if arguments.json:
        _print({**figures, "report": str(report)})
    else:
        _say(_table(figures))
        _say(t("report: {path}").format(path=report))
    missed = any(target["met"] is False for target in figures["targets"].values())
    return 1 if arguments.strict and missed else 0


def _settings(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        text = t("can't read {path}: {reason}").format(path=path, reason=error)
        raise DetectorsError(text) from error
    if not isinstance(found, dict):
        raise DetectorsError(t("{path} has to name detectors").format(path=path))
    for name, values in found.items():
        if not isinstance(values, dict):
            text = t("{path}: {name} must be a section with keys").format(path=path, name=name)
            raise DetectorsError(text)
        # Settings of a name that is none would be passed over.
        config_of(the_registry().find(str(name)), values)
    return found


def _table(figures: dict[str, Any]) -> str:
    rows = [
        [t("kind"), t("found"), t("recall"), t("precision"), t("delay, s"), t("false per hour")]
    ]
    for kind, one in figures["kinds"].items():
        delay = one["delay_s"]
        rows.append(
            [
                kind,
                f"{one['found']}/{one['events']}",
                _number(one["recall"]),
                _number(one["precision"]),
                "-" if delay is None else f"{delay['median']:.1f} / {delay['max']:.1f}",
                f"{_number(one['false_alarms_per_hour'])} ({one['false_alarms']})",
            ]
        )
    return render(rows, left={0})


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


@contextmanager
def _said() -> Iterator[None]:
    """Errors of detectors and clips become sentences."""
    try:
        yield
    except AnalyticsError as error:
        raise DetectorsError(of_error(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DetectorsError(f"{error.title}: {where}: {first['msg']}") from error


def _progress(step: Step) -> None:
    if isinstance(step, Fetching):
        _tell(f"{step.number}/{step.count} {step.package.name} {step.package.version}")


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _print(told: Any) -> None:
    sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
