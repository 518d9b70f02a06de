"""``witness loadtest matrix``: every bad network in turn, compared with an earlier measurement."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.netem.profile import Traffic
from loadtest.weaknet.html import page
from loadtest.weaknet.matrix import Cell, chosen, markdown, regressions
from loadtest.weaknet.result import Result
from loadtest.weaknet.scene import Plan
from witness import os_errors
from witness.bench.progress import Progress
from witness.errors import MeasureError, UsageError
from witness.i18n import t
from witness.netem_profiles import load_profile
from witness.weaknet import measure

__all__ = ["MatrixOptions", "run"]

_BEGIN, _END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
_ADAPT_S = 5.0
_OVERHEAD_S = 18.0
"""Start, join and end of one run."""


@dataclass(frozen=True, slots=True)
class MatrixOptions:
    """Command line of ``witness loadtest matrix``.

    Attributes:
        only: patterns of fields; all without any.
        seconds: length of a run.
        runs: of each field.
        folder: keeps what was measured, so that it can be gone on with.
        reference: file to compare with; it may be missing.
        page: Markdown file whose table is written anew with the reference; ``None``: no update.
        prefer: raise the priority of what is measured.
        busy_tries: how often a field is measured that the machine had no time for.
    """

    only: Sequence[str]
    seconds: float
    runs: int
    folder: Path
    reference: Path
    page: Path | None = None
    prefer: bool = False
    busy_tries: int = 2


def run(options: MatrixOptions) -> int:
    """Measures what is not measured yet, compares and reports; 1 if something got worse.

    Raises:
        MeasureError: it could not be measured.
        UsageError: no field matches, or a file can't be used.
    """
    fields = chosen(options.only)
    if not fields:
        raise UsageError(t("no field of the matrix matches --only"))
    progress = Progress()
    options.folder.mkdir(parents=True, exist_ok=True)
    results = _measure_all(options, fields, progress)
    known = _reference(options.reference)
    measured, results = results, _believed(results)
    if measured and not results:
        raise MeasureError(t("the machine was too busy for every field"))
    if options.page is not None:
        _update(options, {**known, **{name: _ways(data) for name, data in results.items()}})
        return 0
    return _report(results, known)


def _believed(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Without fields the machine had no time for: they say nothing, neither good nor bad."""
    busy = [name for name, data in results.items() if data["machine_busy"]]
    if busy:
        text = t("not compared and not kept, the machine was too busy: {names}")
        text = text.format(names=", ".join(busy))
        sys.stderr.write(f"witness: {t('warning: {text}').format(text=text)}\n")
    return {name: data for name, data in results.items() if name not in busy}


def _measure_all(
    options: MatrixOptions, fields: Sequence[Cell], progress: Progress
) -> dict[str, Mapping[str, Any]]:
    done: dict[str, Mapping[str, Any]] = {}
    left = []
    for cell in fields:
        kept = _kept(options, cell)
        if kept is None:
            left.append(cell)
        else:
            done[cell.name] = kept
    each = [max(options.seconds, cell.least_seconds) + _ADAPT_S + _OVERHEAD_S for cell in left]
    text = t("{done} of {count} fields are measured already; the others take about {minutes} min")
    minutes = round(sum(each) * options.runs / 60)
    progress.say(text.format(done=len(done), count=len(fields), minutes=minutes))
    for cell in left:
        result = _measured(options, cell, progress)
        data = {**result.as_json(), "seconds_wanted": options.seconds}
        base = _file(options, cell)
        base.with_suffix(".html").write_text(page([result]), encoding="utf-8")
        # Last, and at once: a file that is there is complete.
        draft = base.with_suffix(".tmp")
        draft.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
        draft.replace(base)
        done[cell.name] = data
    return {cell.name: done[cell.name] for cell in fields}


def _measured(options: MatrixOptions, cell: Cell, progress: Progress) -> Result:
    plan = Plan(
        profile=load_profile(cell.profile),
        direction=cell.direction,
        traffic=Traffic.UDP,
        seconds=max(options.seconds, cell.least_seconds),
        adapt_s=_ADAPT_S,
        prefer=options.prefer,
    )
    result = measure(cell.profile, plan, options.runs, progress)
    for _ in range(options.busy_tries - 1):
        if not result.busy:
            break
        progress.say(t("the machine was too busy; once more"))
        result = measure(cell.profile, plan, options.runs, progress)
    return result


def _file(options: MatrixOptions, cell: Cell) -> Path:
    return options.folder / f"{cell.name.replace('/', '-')}.json"


def _kept(options: MatrixOptions, cell: Cell) -> Mapping[str, Any] | None:
    """What was measured before with the same length and at least as many runs."""
    try:
        data = json.loads(_file(options, cell).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    serves = data.get("seconds_wanted") == options.seconds and len(data["runs"]) >= options.runs
    return data if serves and not data["machine_busy"] else None


def _ways(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the reference keeps of a field: both directions, and how often they were measured."""
    runs = len(data["runs"])
    return {way: {**data[way], "runs": runs} for way in ("down", "up")}


def _reference(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        fields: dict[str, Any] = data["fields"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError) as error:
        text = t("{path} is no reference: {reason}")
        raise UsageError(
            text.format(
                path=path, reason=os_errors.reason(error) if isinstance(error, OSError) else error
            )
        ) from error
    return fields


def _update(options: MatrixOptions, fields: Mapping[str, Any]) -> None:
    """Writes the reference, and its table into the page."""
    assert options.page is not None
    about = {"seconds": options.seconds, "fields": fields}
    try:
        text = options.page.read_text(encoding="utf-8")
        before, rest = text.split(_BEGIN)
        _, after = rest.split(_END)
    except (OSError, ValueError) as error:
        problem = t("{path} has no place for the table: a line `{begin}`, a line `{end}`")
        raise UsageError(
            problem.format(path=options.page, begin=_BEGIN.strip(), end=_END.strip())
        ) from error
    options.reference.write_text(
        json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    options.page.write_text(before + _BEGIN + markdown(fields) + _END + after, encoding="utf-8")


def _report(results: Mapping[str, Mapping[str, Any]], known: Mapping[str, Any]) -> int:
    sys.stdout.write(markdown({name: _ways(data) for name, data in results.items()}))
    worse = [
        found
        for name, data in results.items()
        if name in known
        for found in regressions(name, known[name], _ways(data))
    ]
    missing = [name for name in results if name not in known]
    if missing:
        text = t("not in the reference: {names}").format(names=", ".join(missing))
        sys.stderr.write(f"witness: {t('warning: {text}').format(text=text)}\n")
    if not worse:
        return 0
    text = t("{field}, {way}: {key} was {old}, is {new}")
    lines = [
        text.format(field=name, way=way, key=key, old=old, new=t("unknown") if new is None else new)
        for name, way, key, old, new in worse
    ]
    raise MeasureError("\n".join([t("worse than the reference:"), *lines]))
