"""One page that shows what happened: plots to look at, in Chinese and English."""

import html
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from loadtest.page import both, document
from loadtest.soak.run import Observed
from loadtest.soak.samples import Sample
from loadtest.soak.verdict import Outcome, Verdict
from witness.i18n import marked
from witness.i18n_zh import CATALOGUE
from witness.soak.report import CHECKS, OUTCOMES, notes

if TYPE_CHECKING:
    from witness.soak.command import SoakOptions

__all__ = ["page"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 560, 130, 56, 18
_STYLE = """
td { padding: 4px 16px 4px 0; border-bottom: 1px solid #dedbd2; vertical-align: top; }
.held { color: #2c6b2f; } .failed { color: #a11; font-weight: 600; } .unknown { color: #8a6d00; }
.plots { display: grid; gap: 10px 32px;
  grid-template-columns: repeat(auto-fill, minmax(min(540px, 100%), 1fr)); }
"""

_TITLE = marked("Soak of the server")
_MEMORY = marked("Memory of its own (not mapped from files), MiB")
_SILENCE = marked("red bars: the machine stood still")
_ACTIONS = marked("What was done")
_TROUBLE = marked("What went wrong")
_CONNECTION = marked("connection")
_NO_PACKETS = marked("room {room}: no {kind} for {seconds} s")
_DROPPED = marked("Dropped packets by reason")
_SUMMARY = marked(
    "{minutes} min, up to {rooms} rooms, seed {seed}: {packets} packets in, {forwarded} out"
)
_PLOTS: Sequence[tuple[str, Callable[[Sample], float]]] = (
    (_MEMORY, lambda s: s.own_bytes / (1 << 20)),
    (marked("Resident memory, MiB"), lambda s: s.rss_bytes / (1 << 20)),
    (marked("Descriptors"), lambda s: s.descriptors),
    (marked("Threads"), lambda s: s.threads),
    (marked("Rooms"), lambda s: s.rooms),
    (marked("Participants"), lambda s: s.participants),
    (marked("Media transports"), lambda s: s.transports),
    (marked("WebSockets"), lambda s: s.connections),
    (marked("Packets that wait"), lambda s: s.waiting_packets),
    (marked("Commands that wait"), lambda s: s.waiting_commands),
    (marked("Lateness of the event loop, ms"), lambda s: 1_000 * s.lag_s),
)
_RATES: Sequence[tuple[str, Callable[[Sample], float]]] = (
    (marked("Packets received per second"), lambda s: s.packets_in),
    (marked("Packets forwarded per second"), lambda s: s.packets_out),
    (marked("Packets dropped per second"), lambda s: s.dropped),
)
_ACT_NAMES: dict[str, str] = {
    "join": marked("joined"),
    "leave": marked("left"),
    "vanish": marked("gone without a word"),
    "resume": marked("WebSocket lost and resumed"),
    "reload": marked("page loaded again"),
    "reconnect": marked("new media connection"),
    "watch": marked("tiles resized"),
    "mute": marked("muted"),
    "unmute": marked("unmuted"),
    "screen_start": marked("screen shared"),
    "screen_stop": marked("screen no longer shared"),
    "move": marked("moved to another address"),
    "loss": marked("lossy network"),
    "outage_short": marked("no network for a moment"),
    "outage_long": marked("no network for longer than the participation waits"),
    "slow_reader": marked("WebSocket not read for a while"),
    "stay": marked("stay in the room"),
}


def page(options: "SoakOptions", observed: Observed, verdict: Verdict) -> str:
    """The whole page, UTF-8."""
    body = (
        f"{_summary(options, observed)}\n{_verdict(observed, verdict)}\n"
        f"{_plots(options, observed)}\n{_tables(observed)}\n"
    )
    return document((_TITLE, CATALOGUE[_TITLE]), _STYLE, body)


def _both(text: str, **values: object) -> str:
    """A text in both languages."""
    texts = [text, CATALOGUE.get(text, text)]
    return both(*([one.format(**values) for one in texts] if values else texts))


def _summary(options: "SoakOptions", observed: Observed) -> str:
    last = observed.samples[-1] if observed.samples else observed.baseline
    return "<p>{}</p>".format(
        _both(
            _SUMMARY,
            minutes=f"{options.minutes:g}",
            rooms=options.rooms,
            seed=options.seed,
            packets=f"{last.packets_in:,}",
            forwarded=f"{last.packets_out:,}",
        )
    )


def _verdict(observed: Observed, verdict: Verdict) -> str:
    rows = [
        f'<tr><td class="{check.outcome.value}">{_both(OUTCOMES[check.outcome])}</td>'
        f"<td>{_both(CHECKS[check.name], **check.values)}</td></tr>"
        for check in verdict.checks
    ]
    rows += [f"<tr><td></td><td>{_both(t, **values)}</td></tr>" for t, values in notes(observed)]
    name = Outcome.HELD if verdict.held else Outcome.FAILED
    return f'<h2 class="{name.value}">{_both(OUTCOMES[name])}</h2><table>{"".join(rows)}</table>'


def _plots(options: "SoakOptions", observed: Observed) -> str:
    samples = observed.samples
    if len(samples) < 2:
        return ""
    end_s = max(options.plan.seconds, samples[-1].at_s)
    figures = [
        _figure(name, [(s.at_s, value(s)) for s in samples], end_s, observed)
        for name, value in _PLOTS
    ]
    for name, value in _RATES:
        pairs = itertools.pairwise(samples)
        points = [
            (now.at_s, (value(now) - value(before)) / max(now.at_s - before.at_s, 0.001))
            for before, now in pairs
        ]
        figures.append(_figure(name, points, end_s, observed))
    return f'<div class="plots">{"".join(figures)}</div><p>{_both(_SILENCE)}</p>'


def _figure(
    name: str, points: Sequence[tuple[float, float]], end_s: float, observed: Observed
) -> str:
    values = [value for _, value in points]
    top = max(*values, 1.0)
    # Memory is a question of its change.
    low = 0.9 * min(values) if name == _MEMORY else 0.0

    def x(at_s: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 4) * at_s / end_s

    def y(value: float) -> float:
        return 6 + (_HEIGHT - _BOTTOM - 6) * (1 - (value - low) / (1.05 * top - low))

    path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
    bottom = _HEIGHT - _BOTTOM
    frozen = "".join(
        f'<rect x="{x(one.at_s):.1f}" y="6" height="{bottom - 6}" fill="#a11" opacity=".35"'
        f' width="{max(1.5, x(one.at_s + one.seconds) - x(one.at_s)):.1f}"/>'
        for one in observed.freezes
    )
    marks = "".join(
        f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        f'<line x1="{_LEFT}" x2="{_WIDTH - 4}" y1="{y(value):.1f}" y2="{y(value):.1f}"'
        ' stroke="#dedbd2"/>'
        for value in (low, (low + top) / 2, top)
    )
    times = "".join(
        f'<text x="{x(share * end_s):.1f}" y="{_HEIGHT - 4}" text-anchor="middle">'
        f"{share * end_s / 60:.3g} min</text>"
        for share in (0.25, 0.5, 0.75)
    )
    return (
        f"<figure><figcaption>{_both(name)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{frozen}{marks}{times}'
        f'<polyline points="{path}" fill="none" stroke="#1b5e8c" stroke-width="1.6"/>'
        "</svg></figure>"
    )


def _tables(observed: Observed) -> str:
    done = "".join(
        f"<tr><td>{_both(_ACT_NAMES.get(act, act))}</td><td>{count}</td></tr>"
        for act, count in observed.done.most_common()
    )
    dropped = "".join(
        f"<tr><td><code>{html.escape(reason)}</code></td><td>{count:,}</td></tr>"
        for reason, count in sorted(observed.dropped.items(), key=lambda item: -item[1])
    )
    return _trouble(observed) + (
        f"<h2>{_both(_ACTIONS)}</h2><table>{done}</table>"
        f"<h2>{_both(_DROPPED)}</h2><table>{dropped}</table>"
    )


def _trouble(observed: Observed) -> str:
    """When and why something failed."""
    rows = [
        (one.at_s, f"{_both(_ACT_NAMES.get(one.act, one.act))}</td><td>{html.escape(one.reason)}")
        for one in observed.failures
    ]
    rows += [
        (one.at_s, f"{_stuck_text(one.room, one.kind, one.silent_s)}</td><td>")
        for one in observed.stuck.found
    ]
    if not rows:
        return ""
    shown = "".join(f"<tr><td>{at:.0f} s</td><td>{text}</td></tr>" for at, text in sorted(rows))
    return f"<h2>{_both(_TROUBLE)}</h2><table>{shown}</table>"


def _stuck_text(room: int, kind: str, seconds: float) -> str:
    english = _NO_PACKETS.format(room=room, kind=kind, seconds=seconds)
    chinese = CATALOGUE[_NO_PACKETS].format(
        room=room, kind=CATALOGUE.get(kind, kind), seconds=seconds
    )
    return both(english, chinese)
