"""One page that shows what was measured: plots to look at, in Chinese and English."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtest.page import both, document
from loadtest.weaknet.figures import Figures
from loadtest.weaknet.result import KEYS, Result

__all__ = ["page"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 560, 120, 46, 18
_COLOURS = ("#1b5e8c", "#c0532b", "#4d7a3a", "#7a4d8c", "#8c7a1b", "#555555")

_TEXTS = {
    "title": ("Calls over bad networks", "弱网通话测量"),
    "concealed_ratio": ("Audio concealed, %", "音频补偿（隐藏）占比，%"),
    "interruptions_per_min": ("Interruptions ≥ 150 ms per minute", "每分钟 ≥ 150 毫秒中断次数"),
    "video_fps": ("Pictures per second", "视频帧率"),
    "freeze_ratio": ("Picture frozen, %", "画面卡顿占比，%"),
    "audio_kbps": ("Audio on the link, kb/s", "音频占用带宽，kb/s"),
    "video_kbps": ("Video on the link, kb/s", "视频占用带宽，kb/s"),
    "mouth_to_ear_ms": ("Mouth to ear, ms", "口到耳时延，毫秒"),
    "join_s": ("From joining to media, s", "加入到出音画，秒"),
    "offered_loss": ("Loss on the path, %", "链路丢包，%"),
    "concealed": ("Loss that is heard (audio concealed), %", "听到的丢失（音频补偿），%"),
    "fps": ("Pictures per second", "视频帧率"),
    "bitrate": ("Bit rate on the link, kb/s (thick: audio)", "带宽占用，kb/s（粗线：音频）"),
    "buffer": (
        "Delay, ms (dots: mouth to ear; line: playout buffer)",
        "时延，毫秒（点：口到耳；线：播放缓冲）",
    ),
    "marks": ("Red bars: interruptions of 150 ms or more", "红色竖条：150 毫秒以上的中断"),
    "down": ("down, to the participant", "下行（到参与者）"),
    "up": ("up, from the participant", "上行（来自参与者）"),
    "carried": ("Media at the bad end went over", "受损端的媒体经由"),
    "clean": ("not impaired", "未施加损伤"),
    "run": ("run", "第几次"),
    "worst": ("worst of all runs", "各次中最差"),
    "unknown": ("unknown", "未知"),
    "busy": (
        "The machine was too busy while this was measured: pages could not run for a while.",
        "测量期间机器过于繁忙，页面曾一度无法运行，结果不可信。",
    ),
}

_STYLE = """
h3 { font-size: 15px; margin: 1.2em 0 .3em; }
th, td { padding: 3px 12px 3px 0; text-align: right;
  border-bottom: 1px solid #dedbd2; font-weight: 400; }
th:first-child, td:first-child { text-align: left; } thead th { color: #666; }
.plots { display: grid; gap: 6px 32px;
  grid-template-columns: repeat(auto-fill, minmax(540px, 1fr));
}
.warn { color: #a11; } .clean { color: #888; }
"""


@dataclass(frozen=True, slots=True)
class _Line:
    """Points of one curve, in seconds and the plot's unit; ``None`` interrupts it."""

    points: Sequence[tuple[float, float | None]]
    colour: str
    thick: bool = False
    dots: bool = False


def page(results: Sequence[Result]) -> str:
    """The whole page, UTF-8.

    Args:
        results: one or more, shown one below the other.
    """
    body = "".join(_result(result) for result in results)
    return document(_TEXTS["title"], _STYLE, body)


def _text(name: str) -> str:
    return both(*_TEXTS[name])


def _result(result: Result) -> str:
    plan = result.plan
    heading = f"{result.name}, {plan.direction.value}, {plan.traffic.value}"
    parts = [f"<section><h2>{html.escape(heading)}</h2>"]
    parts.append(f"<p>{both(plan.profile.title, plan.profile.title_zh)}</p>")
    if result.busy:
        parts.append(f'<p class="warn">{_text("busy")}</p>')
    parts.append(f"<p>{_text('carried')} {_shares(result.carriers)}</p>")
    parts.append(_table(result))
    parts += [_plots(way, result.way(way), plan.seconds) for way in ("down", "up")]
    parts.append("</section>\n")
    return "".join(parts)


def _shares(carriers: Mapping[str, float]) -> str:
    shares = [f"{name} {share * 100:.0f} %" for name, share in carriers.items()]
    return html.escape(", ".join(shares)) or _text("unknown")


def _table(result: Result) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in ("down", "up"))
    rows = []
    worst = {way: result.worst(way) for way in ("down", "up")}
    for key in KEYS:
        cells = "".join(
            f'<td class="{"" if worst[way]["impaired"] else "clean"}">'
            f"{_value(key, worst[way][key])}</td>"
            for way in ("down", "up")
        )
        rows.append(f"<tr><th>{_text(key)}</th>{cells}</tr>")
    count = f"{len(result.runs)} × {result.plan.seconds:g} s"
    return (
        f"<table><thead><tr><th>{_text('worst')} ({count})</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _value(key: str, value: float | None) -> str:
    if value is None:
        return _text("unknown")
    return f"{value * 100:.2f}" if key.endswith("_ratio") else f"{value:.4g}"


def _plots(way: str, runs: Sequence[Figures], seconds: float) -> str:
    note = "" if runs[0].impaired else f' <span class="clean">({_text("clean")})</span>'
    kinds = {
        "offered_loss": [_curve(run.series.offered_loss, n, 100) for n, run in enumerate(runs)],
        "concealed": [_curve(run.series.concealed, n, 100) for n, run in enumerate(runs)],
        "fps": [_curve(run.series.fps, n) for n, run in enumerate(runs)],
        "bitrate": [
            line
            for n, run in enumerate(runs)
            for line in (
                _curve(run.series.audio_kbps, n, thick=True),
                _curve(run.series.video_kbps, n),
            )
        ],
        "buffer": [
            line
            for n, run in enumerate(runs)
            for line in (
                _curve(run.series.buffer_ms, n),
                _Line(run.series.delay_ms, _COLOURS[n % len(_COLOURS)], dots=True),
            )
        ],
    }
    floors = {"offered_loss": 100.0, "concealed": 10.0, "fps": 25.0, "bitrate": 100.0}
    figures = []
    for name, lines in kinds.items():
        marks = (
            [mark for run in runs for mark in run.series.interruptions]
            if name == "concealed"
            else []
        )
        drawn = _svg(lines, seconds, floors.get(name, 200.0), marks)
        more = f"<br>{_text('marks')}" if name == "concealed" else ""
        figures.append(f"<figure><figcaption>{_text(name)}{more}</figcaption>{drawn}</figure>")
    legend = ", ".join(
        f'<span style="color:{_COLOURS[n % len(_COLOURS)]}">{_text("run")} {n + 1}</span>'
        for n in range(len(runs))
    )
    return f"<h3>{_text(way)}{note} — {legend}</h3><div class='plots'>{''.join(figures)}</div>"


def _curve(
    values: Sequence[float | None], number: int, scale: float = 1.0, *, thick: bool = False
) -> _Line:
    points = [
        (second + 0.5, None if value is None else value * scale)
        for second, value in enumerate(values)
    ]
    return _Line(points, _COLOURS[number % len(_COLOURS)], thick)


def _svg(
    lines: Sequence[_Line],
    seconds: float,
    floor: float,
    marks: Sequence[tuple[float, float]],
) -> str:
    known = [value for line in lines for _, value in line.points if value is not None]
    top = _nice(max([floor, *known]))
    width, height = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - 8

    def place(at: float, value: float) -> tuple[float, float]:
        return _LEFT + min(at, seconds) / seconds * width, 8 + (1 - value / top) * height

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for share in (0, 0.5, 1):
        x, y = place(0, top * share)
        parts.append(
            f'<line x1="{x:.0f}" x2="{_LEFT + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dedbd2"/>'
            f'<text x="{x - 5:.0f}" y="{y + 4:.1f}" text-anchor="end">{top * share:g}</text>'
        )
    for at in (0.0, seconds / 2, seconds):
        x, _ = place(at, 0)
        anchor = "end" if at == seconds else "middle"
        parts.append(f'<text x="{x:.0f}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{at:g} s</text>')
    for at, length in marks:
        x, _ = place(max(0.0, at), 0)
        wide = max(2.0, length / seconds * width)
        parts.append(
            f'<rect x="{x:.1f}" y="8" width="{wide:.1f}" height="{height}" fill="#d33"'
            ' fill-opacity="0.35"/>'
        )
    for line in lines:
        if line.dots:
            dots = [place(at, value) for at, value in line.points if value is not None]
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{line.colour}"/>' for x, y in dots
            ]
            continue
        stroke = 2.4 if line.thick else 1.3
        for run in _runs(line.points):
            path = " ".join("{:.1f},{:.1f}".format(*place(at, value)) for at, value in run)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{line.colour}"'
                f' stroke-width="{stroke}"/>'
            )
    return "".join([*parts, "</svg>"])


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((at, value))
    return [run for run in runs if run]


def _nice(value: float) -> float:
    """The next of 1, 2, 5 and their multiples by ten."""
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 2, 2.5, 5, 10) if step * size >= value * 0.999)
