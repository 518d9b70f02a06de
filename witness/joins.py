"""``witness loadtest join``: tries, progress and output."""

import asyncio
import sys

from loadtest.browser.bidi import BidiError
from loadtest.browser.programs import chromium_missing
from loadtest.errors import LoadtestError
from loadtest.joins.html import page
from loadtest.joins.result import MARKS_S, JoinResult
from loadtest.joins.scene import STAGES, JoinPlan, Try, measure_joins
from loadtest.netem.ways import why_not
from loadtest.weaknet.scene import Transport
from witness import table
from witness.bench.progress import Progress
from witness.errors import MeasureError
from witness.i18n import marked, t
from witness.output import Output
from witness.weaknet import EMULATOR, host

__all__ = ["run"]

_NAMES = {
    "socket": marked("WebSocket open"),
    "joined": marked("let in by the server"),
    "connected": marked("ICE and DTLS done"),
    "heard": marked("sound at both ends"),
    "seen": marked("pictures at both ends"),
}


def run(name: str, plan: JoinPlan, output: Output) -> int:
    """Tries and prints.

    Raises:
        MeasureError: it could not be measured; the text says why.
    """
    tcp = plan.transport is Transport.ANY
    missing = chromium_missing() or why_not(plan.way, plan.profile, plan.traffic, tcp=tcp)
    if missing is not None:
        raise MeasureError(t("can't measure here: {reason}").format(reason=missing))
    progress = Progress()

    def say(number: int, one: Try | None) -> None:
        if number == 0:
            progress.say(t("starting a server and two browsers"))
        elif one is not None:
            text = t("try {number} of {count}: sound after {heard}, pictures after {seen}")
            heard, seen = (_shown(one.reached[stage]) for stage in ("heard", "seen"))
            progress.say(text.format(number=number, count=plan.tries, heard=heard, seen=seen))

    try:
        tries = asyncio.run(measure_joins(plan, host(), EMULATOR, say))
    except (LoadtestError, BidiError, TimeoutError, RuntimeError) as error:
        text = t("the measurement failed: {reason}")
        raise MeasureError(text.format(reason=error)) from error
    result = JoinResult(name, plan, tries)
    output.write(page=lambda: page(result), data=result.as_json, text=lambda: _table(result))
    if result.busy:
        text = t("the machine was too busy: pages could not run for a while; measure again")
        sys.stderr.write(f"witness: {t('warning: {text}').format(text=text)}\n")
    return 0


def _shown(seconds: float | None) -> str:
    return t("not in time") if seconds is None else f"{seconds:.2f} s"


def _table(result: JoinResult) -> str:
    within = [t("within {seconds:g} s").format(seconds=at) for at in MARKS_S]
    rows = [["", t("median"), "90 %", *within]]
    for stage in STAGES:
        times = [_shown(result.quantile(stage, share)) for share in (0.5, 0.9)]
        shares = [f"{result.share(stage, at) * 100:.0f} %" for at in MARKS_S]
        rows.append([t(_NAMES[stage]), *times, *shares])
    return table.render(rows, left={0})
