"""What detectors found in the demonstration, in lines for people and as JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from witness.i18n import marked, t

__all__ = ["finding_line", "findings_json", "findings_lines"]

_MARGIN: Final = " " * 13
_FEW: Final = 4
_WHY: Final = {
    "": marked("too little to tell"),
    "model_missing": marked("models are not installed"),
    "no_consent": marked("nobody has agreed to it"),
    "crashed": marked("it failed"),
    "hung": marked("it hung"),
    "overloaded": marked("the machine was too busy"),
    "no_host": marked("models were being loaded"),
    "undecodable": marked("what came could not be decoded"),
    "config": marked("its settings are wrong"),
    "no_media": marked("nothing came"),
    "paused": marked("the recording was paused"),
}


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
    """For people: what somebody should look at, what is only noted, and what nobody knows."""
    names = {person["participant"]: person["name"] for person in people}
    known = [one for one in findings if one["outcome"] != "unknown"]
    lines = [t("findings:    {count}, sealed in checks.jsonl").format(count=len(known))]
    for one in known:
        if one["severity"] != "info":
            about = {**one, "participant": names.get(one["participant"], one["participant"])}
            lines.append(_MARGIN + finding_line(about, lang))
    noted = Counter(one["title"][lang] for one in known if one["severity"] == "info")
    if noted:
        what = ", ".join(f"{title} × {count}" for title, count in sorted(noted.items()))
        lines.append(_MARGIN + t("only noted: {what}").format(what=what))
    unknown: dict[str, set[str]] = {}
    for one in findings:
        if one["outcome"] == "unknown":
            unknown.setdefault(one["cause"] or "", set()).add(one["title"][lang])
    for cause, titles in sorted(unknown.items()):
        what = ", ".join(sorted(titles))
        if len(titles) > _FEW:
            what = t("{count} detectors").format(count=len(titles))
        why = t(_WHY.get(cause, cause))
        text = t("for some time not known: {what} ({why})").format(what=what, why=why)
        lines.append(_MARGIN + text)
    return lines
