"""What detectors found in the demonstration, told as it comes and once more at the end."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from loadtest.sources import ClipVideo, black_pictures, empty_seat
from witness.i18n import t

__all__ = ["LEAST_S", "finding_line", "findings_json", "findings_lines", "tell", "trouble"]

LEAST_S: Final = 15.0
"""A shorter call has no room for anything to go wrong in it."""

_COVERED: Final = (0.25, 4.0)
_AWAY: Final = (0.55, 5.0)
"""When it begins, as a share of the call, and how long it lasts, seconds."""


async def trouble(cameras: Mapping[str, ClipVideo], seconds: float) -> None:
    """Something to find: the customer's lens is covered, later the RM leaves the seat."""
    if seconds < LEAST_S:
        return
    covered_s, away_s = _COVERED[0] * seconds, _AWAY[0] * seconds
    await asyncio.sleep(covered_s)
    customer, rm = cameras["customer"], cameras["rm"]
    customer.show_instead(black_pictures(customer.pictures), _COVERED[1])
    await asyncio.sleep(away_s - covered_s)
    rm.show_instead(empty_seat(rm.pictures), _AWAY[1])


def tell(
    say: Callable[[str], None], names: Mapping[str, str], lang: str
) -> Callable[[str, Mapping[str, Any]], None]:
    """Prints findings as an RM is told of them."""

    def heard(kind: str, data: Mapping[str, Any]) -> None:
        if kind == "finding":
            about = {
                **data, "participant": names.get(data["participant_id"] or "", ""),
                "is_open": data["state"] == "open",
            }  # fmt: skip
            say(t("found:       {text}").format(text=finding_line(about, lang)))

    return heard


def finding_line(finding: Mapping[str, Any], lang: str) -> str:
    """Who, what, and when."""
    who = f"{finding['participant']} · " if finding["participant"] else ""
    what, title = finding["text"][lang], finding["title"][lang]
    text = what if what == title else f"{title}: {what}"
    if finding.get("cause"):
        text = t("{what} not known ({cause})").format(what=title, cause=finding["cause"])
    from_s, to_s = finding["from_us"] / 1e6, finding["to_us"] / 1e6
    when = t("since {at:.1f} s") if finding["is_open"] else t("{at:.1f} to {to:.1f} s")
    return f"{who}{text} ({when.format(at=from_s, to=to_s)})"


def findings_json(findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For programs."""
    keys = ("detector", "kind", "outcome", "severity", "cause", "participant", "from_us", "to_us")
    return [{key: finding[key] for key in keys} for finding in findings]


def findings_lines(
    findings: Sequence[Mapping[str, Any]], people: Sequence[Mapping[str, Any]], lang: str
) -> list[str]:
    """For people; what nobody knows in a line for each cause."""
    names = {person["participant"]: person["name"] for person in people}
    known = [one for one in findings if one["outcome"] != "unknown"]
    lines = [t("findings:    {count}, sealed in checks.jsonl").format(count=len(known))]
    for one in known:
        about = {**one, "participant": names.get(one["participant"], one["participant"])}
        lines.append("             " + finding_line(about, lang))
    unknown: dict[str, set[str]] = {}
    for one in findings:
        if one["outcome"] == "unknown":
            unknown.setdefault(one["cause"] or "-", set()).add(one["title"][lang])
    for cause, titles in sorted(unknown.items()):
        what = ", ".join(sorted(titles))
        lines.append(
            "             "
            + t("for some time not known ({cause}): {what}").format(cause=cause, what=what)
        )
    return lines
