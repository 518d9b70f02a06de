"""One page that shows how long joining took: the share of tries over time, for every stage."""

import html
import math

from loadtest.joins.result import MARKS_S, JoinResult
from loadtest.joins.scene import STAGES
from loadtest.page import both, document

__all__ = ["page"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 760, 260, 46, 20
_COLOURS = dict(zip(STAGES, ("#999", "#7a4d8c", "#1b5e8c", "#4d7a3a", "#c0532b"), strict=True))
_TEXTS = {
    "title": ("Joining over bad networks", "弱网入会测量"),
    "socket": ("WebSocket open", "WebSocket 已连接"),
    "joined": ("let in by the server", "服务器已准入"),
    "connected": ("ICE and DTLS done", "ICE 与 DTLS 完成"),
    "heard": ("sound at both ends", "双方有声音"),
    "seen": ("pictures at both ends", "双方有画面"),
    "share": (
        "Share of tries, % over seconds since the click",
        "各阶段完成比例（%），横轴为点击后秒数",
    ),
    "stage": ("stage", "阶段"),
    "median": ("median", "中位数"),
    "within": ("within", "不超过"),
    "never": ("not in time", "未在时限内"),
    "carried": ("Tries by what carried media:", "各次媒体经由："),
    "busy": (
        "The machine was too busy while this was measured: pages could not run for a while.",
        "测量期间机器过于繁忙，页面曾一度无法运行，结果不可信。",
    ),
}
_STYLE = """
th, td { padding: 3px 12px 3px 0; text-align: right; border-bottom: 1px solid #dedbd2;
  font-weight: 400; }
th:first-child, td:first-child { text-align: left; } thead th { color: #666; }
.warn { color: #a11; } figure { max-width: 900px; }
"""


def page(result: JoinResult) -> str:
    """The whole page, UTF-8."""
    plan = result.plan
    heading = f"{result.name}, {plan.direction.value}, {plan.traffic.value}"
    carried = ", ".join(f"{name} {count}" for name, count in result.carriers.items()) or "-"
    parts = [
        f"<h2>{html.escape(heading)} ({len(result.tries)} ×)</h2>",
        f"<p>{both(plan.profile.title, plan.profile.title_zh)}</p>",
        f'<p class="warn">{_text("busy")}</p>' if result.busy else "",
        f"<figure><figcaption>{_text('share')}</figcaption>{_plot(result)}</figure>",
        _table(result),
        f"<p>{_text('carried')} {html.escape(carried)}</p>",
    ]
    return document(_TEXTS["title"], _STYLE, "".join(parts))


def _text(name: str) -> str:
    return both(*_TEXTS[name])


def _table(result: JoinResult) -> str:
    marks = "".join(f"<th>{_text('within')} {at:g} s</th>" for at in MARKS_S)
    rows = []
    for stage in STAGES:
        middle = result.quantile(stage, 0.5)
        shown = _text("never") if middle is None else f"{middle:.2f} s"
        shares = "".join(f"<td>{result.share(stage, at) * 100:.0f} %</td>" for at in MARKS_S)
        mark = f'<span style="color:{_COLOURS[stage]}">■</span>'
        rows.append(f"<tr><th>{mark} {_text(stage)}</th><td>{shown}</td>{shares}</tr>")
    head = f"<tr><th>{_text('stage')}</th><th>{_text('median')}</th>{marks}</tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _plot(result: JoinResult) -> str:
    width, height = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - 8
    end = result.plan.within_s

    def place(at: float, share: float) -> tuple[float, float]:
        return _LEFT + min(at, end) / end * width, 8 + (1 - share) * height

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for share in (0.0, 0.5, 0.9, 1.0):
        x, y = place(0, share)
        parts.append(
            f'<line x1="{x:.0f}" x2="{_LEFT + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dedbd2"/>'
            f'<text x="{x - 5:.0f}" y="{y + 4:.1f}" text-anchor="end">{share * 100:g}</text>'
        )
    for at in (0.0, *(mark for mark in MARKS_S if mark < end), end):
        x, _ = place(at, 0)
        anchor = "end" if at == end else "middle"
        parts.append(f'<text x="{x:.0f}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{at:g} s</text>')
    for stage in STAGES:
        times = result.times(stage)
        points = [(0.0, 0.0)]
        for number, at in enumerate(times):
            if math.isinf(at):
                break
            points += [(at, number / len(times)), (at, (number + 1) / len(times))]
        points.append((end, points[-1][1]))
        path = " ".join("{:.1f},{:.1f}".format(*place(at, share)) for at, share in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{_COLOURS[stage]}" stroke-width="2"/>'
        )
    return "".join([*parts, "</svg>"])
