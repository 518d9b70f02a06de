"""Network profiles drawn on a terminal: loss over time, and what else is wrong."""

import os

from loadtest.netem.profile import Link, Profile
from witness.i18n import language, t

__all__ = ["draw"]

_BARS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 60


def draw(name: str, profile: Profile) -> str:
    """A few lines: title, loss of each direction over time, and every state in words."""
    title = profile.title_zh if language(os.environ) == "zh" else profile.title
    length = _length_s(profile)
    lines = [f"{name}: {title or profile.title}"]
    both = [*profile.timeline("down")] == [*profile.timeline("up")]
    for way in ("down",) if both else ("down", "up"):
        states = [*profile.timeline(way)]
        bar = "".join(_bar(_at(states, length * i / _COLUMNS)) for i in range(_COLUMNS))
        label = t("both ways") if both else {"down": t("down"), "up": t("up")}[way]
        lines.append(f"  |{bar}| {length:g} s  {label}")
        lines += [f"  {at:>5g} s  {_words(link)}" for at, link in states]
    return "\n".join(lines) + "\n"


def _length_s(profile: Profile) -> float:
    last = profile.steps[-1].at_s if profile.steps else 0.0
    return max(60.0, last * 1.25)


def _at(states: list[tuple[float, Link]], at_s: float) -> Link:
    return [link for begin, link in states if begin <= at_s][-1]


def _bar(link: Link) -> str:
    share = link.loss.percent / 100
    return _BARS[0] if share == 0 else _BARS[max(1, round(share * (len(_BARS) - 1)))]


def _words(link: Link) -> str:
    parts = []
    loss = link.loss
    if loss.percent == 100:
        parts.append(t("nothing comes through"))
    elif loss.percent and loss.mean_burst is not None:
        text = t("loss {percent:g} %, bursts of {burst:g}")
        parts.append(text.format(percent=loss.percent, burst=loss.mean_burst))
    elif loss.percent:
        parts.append(t("loss {percent:g} %").format(percent=loss.percent))
    if link.rate_kbps is not None:
        text = t("{rate:g} kb/s, queue {queue:g} ms")
        parts.append(text.format(rate=link.rate_kbps, queue=link.queue_ms))
    delay = t("delay {delay:g} ms").format(delay=link.delay_ms)
    parts.append(delay + (f" ± {link.jitter_ms:g}" if link.jitter_ms else ""))
    if link.reorder_percent:
        text = t("{percent:g} % late by {delay:g} ms")
        parts.append(text.format(percent=link.reorder_percent, delay=link.reorder_ms))
    if link.duplicate_percent:
        parts.append(t("{percent:g} % twice").format(percent=link.duplicate_percent))
    return "; ".join(parts)
