"""Figures of an evaluation, as JSON and as a page in both languages."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from analytics.detector import VideoFrame
from analytics.eval.confusion import AT_EAR, NOTHING, Row, confusion
from analytics.eval.limits import limits_of
from analytics.eval.media import items_of
from analytics.eval.score import TARGETS, Judged, Score, upper_rate, wilson

__all__ = ["as_json", "as_page"]

_MAX_STRIPS: Final = 40
_STRIP: Final = 5
_DELAYS: Final = ("median", "p95", "max")


def as_json(clips: Sequence[Judged], scores: Mapping[str, Score]) -> dict[str, Any]:
    """All figures."""
    seconds = sum(judged.run.clip.duration_us for judged in clips) / 1e6
    cost: dict[str, float] = {}
    for judged in clips:
        for name, spent in judged.run.seconds.items():
            cost[name] = cost.get(name, 0.0) + spent
    return {
        "clips": len(clips),
        "hours": round(seconds / 3600, 3),
        "kinds": {kind: _figures(one) for kind, one in scores.items()},
        "targets": {kind: _target(kind, scores) for kind in TARGETS if kind in scores},
        "at_ear": [_confused(row) for row in confusion(clips)],
        "cpu_ms_per_minute": {
            name: round(spent * 60_000 / seconds) for name, spent in sorted(cost.items())
        },
        "limits": {
            "zh": [line.zh for line in limits_of(judged.run.clip for judged in clips)],
            "en": [line.en for line in limits_of(judged.run.clip for judged in clips)],
        },
    }


def _figures(one: Score) -> dict[str, Any]:
    delays = sorted(one.delays_s)
    rate = upper_rate(one.false_alarms, one.free_s / 3600)
    return {
        "events": one.events,
        "found": one.found,
        "late": one.late,
        "recall": _rounded(one.recall),
        "recall_low": _rounded(wilson(one.found, one.events)[0]) if one.events else None,
        "precision": _rounded(one.precision),
        "delay_s": {
            "median": delays[len(delays) // 2],
            "p95": delays[min(int(len(delays) * 0.95), len(delays) - 1)],
            "max": delays[-1],
        }
        if delays
        else None,
        "false_alarms": one.false_alarms,
        "hours_without": round(one.free_s / 3600, 3),
        "false_alarms_per_hour": _rounded(one.alarms_per_hour),
        "false_alarms_per_hour_high": _rounded(rate),
        "unknown_s": round(one.unknown_s, 1),
        "by_tag": {
            tag: {"found": found, "events": events}
            for tag, (found, events) in sorted(one.by_tag.items())
        },
    }


def _confused(row: Row) -> dict[str, Any]:
    return {
        "truth": row.truth,
        "story": row.story or None,
        "clips": row.clips,
        "said": {
            kind: {"clips": count, "interval": [round(end, 3) for end in row.interval(kind)]}
            for kind, count in row.said.items()
        },
    }


def _target(kind: str, scores: Mapping[str, Score]) -> dict[str, Any]:
    target = TARGETS[kind]
    return {
        "within_s": target.within_s,
        "recall": target.recall,
        "false_alarms_per_hour": target.alarms_per_hour,
        "met": scores[kind].meets(target),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def as_page(clips: Sequence[tuple[Path, Judged]], scores: Mapping[str, Score]) -> str:
    """A page that stands for itself: figures, a timeline for each clip, pictures of what failed.

    Args:
        clips: each with its folder.
        scores: of all of them.
    """
    figures = as_json([judged for _, judged in clips], scores)
    rows = "".join(_row(kind, one) for kind, one in figures["kinds"].items())
    targets = "".join(_target_row(kind, one, figures) for kind, one in figures["targets"].items())
    confused = "".join(_confused_row(row) for row in figures["at_ear"])
    cost = "".join(
        f"<tr><td>{escape(name)}</td><td>{ms}</td></tr>"
        for name, ms in figures["cpu_ms_per_minute"].items()
    )
    limits = "".join(
        f"<li>{_both(line.zh, line.en)}</li>"
        for line in limits_of(judged.run.clip for _, judged in clips)
    )
    failed = [pair for pair in clips if _failures(pair[1])]
    strips = "".join(_strips(folder, judged) for folder, judged in failed[:_MAX_STRIPS])
    lines = "".join(_timeline(judged) for _, judged in clips)
    summary = _both(
        f"{figures['clips']} 个片段，共 {figures['hours']:.2f} 小时。",
        f"{figures['clips']} clips, {figures['hours']:.2f} hours.",
    )
    return _PAGE.format(
        title=_both("检测器评测", "Evaluation of detectors"),
        summary=summary,
        limits_title=_both("这些数字不能说明什么", "What these figures do not show"),
        limits=limits,
        targets_title=_both("目标", "Targets"),
        targets=targets,
        figures_title=_both("各类发现", "By kind"),
        head="".join(f"<th>{_both(zh, en)}</th>" for zh, en in _HEAD),
        rows=rows,
        at_ear_title=_both("耳边有什么，说成什么", "What is at the ear, and what was said"),
        at_ear_about=_both(
            "每格：片段数与所占比例的 95% 区间；既说手机又说手的片段算作手机。",
            "Each cell: clips, and the 95 % interval of their share; where a phone and a hand were "
            "said, it counts as a phone.",
        ),
        at_ear_head="".join(f"<th>{_both(zh, en)}</th>" for zh, en in _AT_EAR_HEAD),
        at_ear=confused,
        cost_title=_both("每分钟媒体耗时（毫秒）", "Cost per minute of media (ms)"),
        cost=cost,
        failed_title=_both("漏报与误报", "Missed and false"),
        strips=strips or _both("没有。", "None."),
        clips_title=_both("各片段时间线", "Timelines"),
        legend=_both(
            "绿：应发现；蓝：正确发现；红：误报；橙：未知；灰：可有可无。",
            "Green: ought to be found; blue: found; red: false alarm; orange: unknown; "
            "grey: may be found.",
        ),
        lines=lines,
    )


def _both(zh: str, en: str) -> str:
    return f'<span lang="zh">{escape(zh)}</span><span lang="en">{escape(en)}</span>'


_HEAD: Final = (
    ("类别", "Kind"),
    ("事件", "Events"),
    ("及时发现", "Found in time"),
    ("召回率（95% 下限）", "Recall (95 % low)"),
    ("精确率", "Precision"),
    ("延迟 中位 / 95% / 最大（秒）", "Delay median / 95 % / max (s)"),
    ("误报", "False alarms"),
    ("无事件小时数", "Hours without"),
    ("每小时误报（95% 上限）", "False alarms per hour (95 % high)"),
)


_NAMES: Final = {
    "phone_at_ear": ("手机贴在耳边", "phone at the ear"),
    "hand_at_ear": ("空手在耳边", "bare hand at the ear"),
    "neither": ("两者皆无", "neither"),
    "nothing": ("什么也没说", "nothing"),
}
_AT_EAR_HEAD: Final = (
    ("实际", "True"),
    ("片段", "Clips"),
    *(_NAMES[kind] for kind in (*AT_EAR, NOTHING)),
)


def _confused_row(row: Mapping[str, Any]) -> str:
    truth = _both(*_NAMES[row["truth"]]) + (f" · {escape(row['story'])}" if row["story"] else "")
    cells = [truth, str(row["clips"])]
    for said in row["said"].values():
        low, high = said["interval"]
        cells.append(f"{said['clips']} ({100 * low:.0f}–{100 * high:.0f} %)")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _row(kind: str, one: Mapping[str, Any]) -> str:
    delay = one["delay_s"]
    cells = [
        escape(kind),
        str(one["events"]),
        f"{one['found']}" + (f" (+{one['late']} late)" if one["late"] else ""),
        f"{_number(one['recall'])} ({_number(one['recall_low'])})",
        _number(one["precision"]),
        "–"
        if delay is None
        else " / ".join(_number(delay[x], 1) for x in ("median", "p95", "max")),
        str(one["false_alarms"]),
        _number(one["hours_without"]),
        f"{_number(one['false_alarms_per_hour'])} ({_number(one['false_alarms_per_hour_high'])})",
    ]
    tags = "".join(
        f"<span class=tag>{escape(tag)} {counts['found']}/{counts['events']}</span>"
        for tag, counts in one["by_tag"].items()
    )
    detail = f"<tr class=tags><td colspan=9>{tags}</td></tr>" if tags else ""
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" + detail


def _target_row(kind: str, target: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    met = {True: _both("达到", "met"), False: _both("未达到", "not met")}.get(
        target["met"], _both("未知", "unknown")
    )
    one = figures["kinds"][kind]
    aims = [f"≤ {target['within_s']} s"]
    if target["recall"] is not None:
        aims.append(f"recall ≥ {target['recall']} ({_number(one['recall'])})")
    if target["false_alarms_per_hour"] is not None:
        rate = _number(one["false_alarms_per_hour"])
        aims.append(f"≤ {target['false_alarms_per_hour']} / h ({rate})")
    state = {True: "good", False: "bad"}.get(target["met"], "")
    return (
        f"<tr><td>{escape(kind)}</td><td>{escape('; '.join(aims))}</td>"
        f'<td class="{state}">{met}</td></tr>'
    )


def _failures(judged: Judged) -> list[tuple[str, int, str]]:
    """Kind, time (µs) and what is wrong."""
    missed = [
        (case.event.kind, case.event.start_us, "late" if case.said else "missed")
        for case in judged.cases
        if not case.found
    ]
    false = [(said.finding.kind, said.finding.start_us, "false") for said in judged.false_alarms]
    return missed + false


_WRONG: Final = {"late": ("太迟", "late"), "missed": ("漏报", "missed"), "false": ("误报", "false")}


def _strips(folder: Path, judged: Judged) -> str:
    """Pictures around each failure."""
    clip = judged.run.clip
    made = []
    frames = _frames(folder, judged)
    for kind, at_us, wrong in _failures(judged)[:4]:
        around = [frame for frame in frames if -1e6 <= frame.pts_us - at_us <= 6e6]
        step = max(len(around) // _STRIP, 1)
        pictures = "".join(
            f'<figure><img src="{_jpeg(frame)}" alt=""><figcaption>{frame.pts_us / 1e6:.1f} s'
            "</figcaption></figure>"
            for frame in around[::step][:_STRIP]
        )
        tags = " ".join(f"{name}={value}" for name, value in clip.tags.items())
        made.append(
            f"<h3>{escape(clip.name)} · {escape(kind)} · {_both(*_WRONG[wrong])}"
            f" · {at_us / 1e6:.1f} s</h3><p>{escape(tags)}</p><div class=strip>{pictures}</div>"
        )
    return "".join(made)


def _frames(folder: Path, judged: Judged) -> list[VideoFrame]:
    clip = judged.run.clip
    sources = {track.source: 1.0 for track in clip.tracks if track.kind == "video"}
    if not sources:
        return []
    items: Iterable[Any] = items_of(clip, folder, sources, 120, 960)
    return [item for item in items if isinstance(item, VideoFrame)]


def _jpeg(frame: VideoFrame) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame.image).save(buffer, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _timeline(judged: Judged) -> str:
    clip = judged.run.clip
    false = {id(said) for said in judged.false_alarms}
    bars = []
    for event in clip.events:
        style = "may" if event.optional else "event"
        bars.append((event.kind, event.start_us, event.end_us, style))
    for said in judged.run.said:
        finding = said.finding
        style = "false" if id(said) in false else "found"
        if finding.outcome.value in {"unknown", "pass"}:
            style = finding.outcome.value
        bars.append((finding.kind, finding.start_us, finding.end_us, style))
    kinds = sorted({bar[0] for bar in bars})
    rows = []
    for kind in kinds:
        drawn = "".join(
            f'<i class="{style}" style="left:{100 * start / clip.duration_us:.2f}%;'
            f'width:{max(100 * (end - start) / clip.duration_us, 0.6):.2f}%"></i>'
            for name, start, end, style in bars
            if name == kind
        )
        rows.append(f"<div class=row><b>{escape(kind)}</b><div class=bar>{drawn}</div></div>")
    tags = " ".join(f"{name}={value}" for name, value in clip.tags.items())
    length = f"{clip.duration_us / 1e6:.0f} s"
    return (
        f"<details{' open' if _failures(judged) else ''}><summary>{escape(clip.name)} · {length}"
        f" · {escape(tags)}</summary>{''.join(rows)}</details>"
    )


_PAGE: Final = """<!doctype html>
<html data-language="en"><head><meta charset="utf-8"><title>Witness</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>
body{{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}}
html[data-language=en] [lang=zh],html[data-language=zh] [lang=en]{{display:none}}
table{{border-collapse:collapse;margin:.5rem 0}}td,th{{border:1px solid #ccc;padding:.2rem .5rem;
text-align:left}}.tags td{{border-top:0;font-size:12px;color:#555}}.tag{{margin-right:1em}}
.good{{background:#d8f0d8}}.bad{{background:#f6d5d5}}.strip{{display:flex;gap:4px}}figure{{margin:0}}
figcaption{{font-size:11px;color:#555}}.row{{display:flex;font-size:12px}}.row b{{width:11rem;
font-weight:400}}.bar{{position:relative;flex:1;height:1.1rem;background:#f4f4f4;margin:1px}}
.bar i{{position:absolute;top:0;height:50%;background:#2a9d4a}}.bar i.may{{background:#bbb}}
.bar i.found,.bar i.false,.bar i.unknown,.bar i.pass{{top:50%;background:#2866c4}}
.bar i.false{{background:#d22}}.bar i.unknown{{background:#e90}}.bar i.pass{{background:#8bc}}
</style></head><body>
<button onclick="var e=document.documentElement;
e.dataset.language=e.dataset.language=='en'?'zh':'en'">中文 / English</button>
<h1>{title}</h1><p>{summary}</p>
<h2>{limits_title}</h2><ul>{limits}</ul>
<h2>{targets_title}</h2><table>{targets}</table>
<h2>{figures_title}</h2><table><tr>{head}</tr>{rows}</table>
<h2>{at_ear_title}</h2><p>{at_ear_about}</p><table><tr>{at_ear_head}</tr>{at_ear}</table>
<h2>{cost_title}</h2><table>{cost}</table>
<h2>{failed_title}</h2>{strips}
<h2>{clips_title}</h2><p>{legend}</p>{lines}
</body></html>
"""
