"""What ``witness detector`` does."""

import argparse
import json
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.cards import all_cards, card_of
from analytics.errors import AnalyticsError, DetectorError, DetectorFailedError
from analytics.registry import the_registry
from witness import os_errors
from witness.bar import Bar
from witness.errors import DetectorsError
from witness.i18n import language_of_user, of_error, t
from witness.recorded import settings_of
from witness.table import render

__all__ = ["card", "list_detectors", "new", "run"]

if TYPE_CHECKING:
    from analytics.config import AnalyticsConfig
    from analytics.detector import Detector, Finding
    from analytics.eval.run import Run
    from analytics.filerun import Loaded
    from analytics.registry import Registry


def list_detectors(arguments: argparse.Namespace) -> int:
    """``witness detector list``: the exit code is 1 when one can't be had."""
    told = all_cards(the_registry(), settings_of(arguments.config).analytics)
    if arguments.json:
        _print(told)
    else:
        head = [t("detector"), t("version"), t("package"), t("needs consent"), t("state"), ""]
        rows = [[*_row(one)] for one in told["detectors"]]
        rows += [[one["detector"], "", "", "", t("can't be had"), ""] for one in told["problems"]]
        _say(render([head, *rows], left={0, 1, 2, 3, 4, 5}))
        for problem in told["problems"]:
            sys.stderr.write(f"witness: {problem['problem']}\n")
    return 1 if told["problems"] else 0


def _row(one: dict[str, Any]) -> Iterator[str]:
    missing = [model["name"] for model in one["models"] if model["sha256"] is None]
    missing += one["lacks"]
    state = t("ready")
    if not one["enabled"]:
        state = t("switched off")
    elif missing:
        state = t("lacks {models}").format(models=", ".join(missing))
    elif not one["runs"]:
        state = t("not in analytics.detectors")
    asks = [name for name in one["permissions"] if name != "picture"]
    yield from (one["name"], one["version"], one["package"], ", ".join(asks) or "-", state)
    yield one["title"][language_of_user()]


def card(arguments: argparse.Namespace) -> int:
    """``witness detector card``."""
    registry = the_registry()
    config = settings_of(arguments.config).analytics
    with _said():
        detector = registry.find(arguments.name)
        told = card_of(
            detector,
            config.config(detector),
            config.models(),
            package=registry.origin(arguments.name).package,
            costs=config.measured_costs(),
        )
    if arguments.json:
        _print(told)
    else:
        _say("\n".join(_card_lines(told)))
    return 0


def _card_lines(told: dict[str, Any]) -> Iterator[str]:
    language = language_of_user()
    yield f"{told['name']} {told['version']} ({told['package']}) · {told['title'][language]}"
    yield told["summary"][language]
    yield ""
    yield f"{t('looks at')}: {told['scope']}; {t('needs')}: {_inputs(told['inputs'])}"
    yield f"{t('does with people')}: {', '.join(told['permissions'])}"
    yield ""
    yield t("what it finds") + ":"
    for kind in told["kinds"]:
        yield f"  {kind['kind']} ({kind['severity']}): {kind['title'][language]}"
    yield f"  unknown: {told['outcomes']['unknown'][language]}"
    yield ""
    yield t("settings") + f" (analytics.detectors.{told['name']}):"
    for one in told["settings"]:
        yield f"  {one['name']}: {json.dumps(one['value'], ensure_ascii=False)}"
        if one["description"]:
            yield f"      {one['description']}"
    yield ""
    yield f"{t('limits')}: {told['limits'][language]}"
    cost = told["cpu_ms_per_minute"]
    measured = t("not measured") if cost is None else f"{cost:g} ms"
    yield f"{t('cost of a minute on one core')}: {measured}"
    for model in told["models"]:
        yield f"{t('model')} {model['name']}: {model['sha256'] or t('missing')}"


def _inputs(inputs: dict[str, Any] | None) -> str:
    if inputs is None:
        return t("unknown")
    parts = []
    if inputs["video"]:
        parts.append(f"{inputs['video']['rate_hz']:g} Hz × {inputs['video']['height']}")
    if inputs["audio"]:
        parts.append(t("audio"))
    if inputs["words"]:
        parts.append(t("words"))
    if inputs["marks"]:
        parts.append(t("marks"))
    return ", ".join([*parts, *inputs["findings"]]) or "-"


def new(arguments: argparse.Namespace) -> int:
    """``witness detector new``."""
    from analytics.skeleton import write_skeleton

    with _said():
        files = write_skeleton(arguments.name, arguments.directory)
    for path in files:
        _say(str(path))
    home = files[0].parent
    text = t("next: pip install pytest -e {home}, then: python -m pytest {home}")
    _say(text.format(home=home))
    return 0


def run(arguments: argparse.Namespace) -> int:
    """``witness detector run``."""
    from analytics import filerun
    from analytics.eval.run import run_clip

    registry = the_registry()
    config = settings_of(arguments.config).analytics
    path: Path = arguments.file
    if arguments.html is not None:
        _expect_place(arguments.html)
    with _said():
        names = [arguments.name]
        if arguments.name == "all":
            names = list(_those_there_are(registry, config))
        clip = filerun.clip_of(path, arguments.role)
        order = filerun.suppliers(registry, config, names)
        loaded = filerun.load_detectors(registry, config, order, config.models())
        for name, error in loaded.problems.items():
            if arguments.name == name:
                raise error
            _leave_out(name, error)
        quiet = arguments.json or not sys.stderr.isatty()
        found = run_clip(clip, path.parent, loaded.detectors, None if quiet else Bar())
        if arguments.html is not None:
            _write_page(arguments.html, path, found, loaded)
    shown = [said.finding for said in found.said]
    if arguments.json:
        _print(_json(found, loaded))
    elif shown:
        _say(render(_table(loaded.detectors, shown), left={0, 2, 3}))
    else:
        _say(t("nothing was found"))
    return 0


def _those_there_are(registry: "Registry", config: "AnalyticsConfig") -> Iterator[str]:
    """Detectors that can be had; what is wrong with the others is said."""
    for name in registry.names:
        try:
            config.config(registry.find(name))
        except DetectorError as error:
            _leave_out(name, error)
        else:
            yield name


def _leave_out(name: str, error: Exception) -> None:
    text = t("{detector} is left out: {reason}")
    sys.stderr.write(text.format(detector=name, reason=of_error(error)) + "\n")


def _expect_place(target: Path) -> None:
    """A page can be written there: said before all is looked at, not after."""
    was_there = target.exists()
    try:
        with target.open("a"):
            pass
        if not was_there:
            target.unlink()
    except OSError as error:
        text = t("can't write to {path}: {reason}")
        raise DetectorsError(text.format(path=target, reason=os_errors.reason(error))) from error


def _write_page(target: Path, path: Path, found: "Run", loaded: "Loaded") -> None:
    from analytics.filepage import page
    from analytics.filerun import frames_of
    from analytics.pacing import most_hz

    needs = [detector.needs.video for detector in loaded.detectors]
    videos = [need for need in needs if need is not None]
    refs = [ref for said in found.said for ref in said.finding.frames]
    frames = frames_of(
        found.clip,
        path.parent,
        refs if videos else [],
        rate_hz=max((most_hz(need) for need in videos), default=1.0),
        height=max((need.height for need in videos), default=180),
    )
    try:
        target.write_text(page(path.name, found, loaded.detectors, frames), "utf-8")
    except OSError as error:
        text = t("can't write to {path}: {reason}")
        raise DetectorsError(text.format(path=target, reason=os_errors.reason(error))) from error


def _table(detectors: "Sequence[Detector]", findings: "Sequence[Finding]") -> list[list[str]]:
    from analytics.filepage import explained

    rows = [[t("time"), t("score"), t("finding"), ""]]
    for one in findings:
        title, explanation = explained(detectors, one)
        texts = (title.zh, explanation.zh) if language_of_user() == "zh" else (
            title.en,
            explanation.en,
        )  # fmt: skip
        times = f"{one.start_us / 1e6:.1f}-{one.end_us / 1e6:.1f} s"
        score = "-" if one.score is None else f"{one.score:.2f}"
        rows.append([times, score, f"{one.kind} [{one.outcome.value}]", " · ".join(texts)])
    return rows


def _json(found: "Run", loaded: "Loaded") -> dict[str, Any]:
    return {
        "duration_us": found.clip.duration_us,
        "detectors": [detector.name for detector in loaded.detectors],
        "left_out": {name: str(error) for name, error in loaded.problems.items()},
        "findings": [
            {
                "detector": said.detector,
                "kind": said.finding.kind,
                "outcome": said.finding.outcome.value,
                "start_us": said.finding.start_us,
                "end_us": said.finding.end_us,
                "said_us": said.said_us,
                "score": said.finding.score,
                "values": dict(said.finding.values),
            }
            for said in found.said
        ],
        "utterances": [
            {"start_us": one.start_us, "end_us": one.end_us, "text": one.text}
            for one in found.utterances
        ],
        "seconds": {name: round(value, 4) for name, value in found.seconds.items()},
    }


@contextmanager
def _said() -> Iterator[None]:
    """Errors of detectors become sentences."""
    try:
        yield
    except DetectorFailedError as error:
        # Whoever writes it wants to know where.
        if error.__cause__ is not None:
            sys.stderr.write("".join(traceback.format_exception(error.__cause__)))
        raise DetectorsError(of_error(error)) from error
    except AnalyticsError as error:
        raise DetectorsError(of_error(error)) from error


def _print(told: Any) -> None:
    sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
