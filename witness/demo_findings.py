"""What detectors found in the demonstration, in lines for people and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from witness.i18n import t

__all__ = ["finding_line", "findings_json", "findings_lines"]


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
