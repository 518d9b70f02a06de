"""The verdict in words."""

from loadtest.soak.run import Observed
from loadtest.soak.verdict import Check, Outcome, Verdict
from witness.i18n import marked, t

__all__ = ["CHECKS", "OUTCOMES", "check_text", "text_report"]

CHECKS: dict[str, str] = {
    "everybody_gone": marked(
        "left behind at the end: {rooms} rooms, {transports} transports, {sockets} WebSockets,"
        " {packets} waiting packets"
    ),
    "descriptors": marked("descriptors: {start} at the start, {end} at the end"),
    "threads": marked("threads: {start} at the start, {end} at the end"),
    "memory_flat": marked(
        "memory is flat: {slope} MiB an hour in the second half ({low} to {high}, at most {bound})"
    ),
    "memory_grows": marked(
        "memory grows: {slope} MiB an hour in the second half ({low} to {high}, at most {bound})"
    ),
    "memory_unsure": marked(
        "too short to tell whether memory grows: {slope} MiB an hour in the second half"
        " ({low} to {high}, at most {bound})"
    ),
    "memory_unknown": marked(
        "too short to say anything about memory (at most {bound} MiB an hour)"
    ),
    "accounts": marked(
        "packets that don't add up: in {wrong} of {samples} samples (stages: {stages})"
    ),
    "stuck": marked(
        "subscriptions without packets for more than {patience} s: {count} (looked at {checked}"
        " times, longest silence {longest} s)"
    ),
    "layers": marked("subscriptions that got another layer: {up} a higher, {down} a lower one"),
    "actions": marked("actions: {done} done, {failed} failed"),
    "rooms_alive": marked("rooms ended by a broken invariant: {panics}"),
    "events_kept": marked("events lost between media thread and Python: {events}"),
    "metrics_answered": marked("metrics that could not be read: {failed}"),
}
"""By name of the check."""

OUTCOMES: dict[str, str] = {
    Outcome.HELD: marked("held"),
    Outcome.FAILED: marked("failed"),
    Outcome.UNKNOWN: marked("unknown"),
}

_FREEZES = marked(
    "the machine stood still {count} times, {seconds} s in all; {excused} failures after that are"
    " not counted"
)
_OVERFLOWS = marked("datagrams the kernel lost before the server saw them: {count}")


def check_text(check: Check) -> str:
    """One check as a sentence."""
    return t(CHECKS[check.name]).format(**check.values)


def notes(observed: Observed) -> list[tuple[str, dict[str, object]]]:
    """What was seen and is nobody's fault: texts and their values."""
    found: list[tuple[str, dict[str, object]]] = []
    if observed.freezes:
        seconds = round(sum(freeze.seconds for freeze in observed.freezes), 1)
        values: dict[str, object] = {
            "count": len(observed.freezes),
            "seconds": seconds,
            "excused": observed.excused,
        }
        found.append((_FREEZES, values))
    if observed.overflows:
        found.append((_OVERFLOWS, {"count": observed.overflows}))
    return found


def text_report(observed: Observed, verdict: Verdict) -> str:
    """The verdict and its reasons, a line for each."""
    width = max(len(t(text)) for text in OUTCOMES.values())
    lines = [
        f"{t(OUTCOMES[check.outcome]):<{width}}  {check_text(check)}" for check in verdict.checks
    ]
    lines += [f"{'':<{width}}  {t(text).format(**values)}" for text, values in notes(observed)]
    lines.append(t("the server held") if verdict.held else t("the server did not hold"))
    return "\n".join(lines)
