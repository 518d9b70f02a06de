"""``report.html``: what a package holds, for people, in Chinese and English; no script."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from recorder.timeline import Gap, Timeline

__all__ = ["render_report"]

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "td,th{border:1px solid #bbb;padding:.3rem .5rem;text-align:left;vertical-align:top}"
    "code{word-break:break-all;font-size:.85em}"
)


MAX_ROWS: Final = 500
"""Findings that are listed; all of them are in ``checks.jsonl``."""


def render_report(
    manifest: dict[str, Any],
    timeline: Timeline,
    findings: Sequence[Mapping[str, Any]] = (),
    consents: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page.

    Args:
        manifest: without its list of files.
        timeline: of the same session.
        findings: of detectors, each as :meth:`recorder.findings.FindingBook.findings` has it.
        consents: as ``consents.json`` has them.
    """
    session = manifest["session"]
    summary = [
        ("包编号 / Package", manifest["package"]),
        ("会话 / Session", session["session"]),
        ("房间 / Room", session["room"]),
        ("开始时间 / Started", session["started_at"]),
        ("封存时间 / Sealed", manifest["sealed_at"]),
        ("软件 / Software", manifest["software"]),
        (
            "第三方时间戳 / Third party's time-stamp",
            "有 / yes" if manifest["timestamp"] else "无 / no",
        ),
        (
            "总完整度，含服务中断 / Complete in all, outages included",
            _percent(timeline.totals().there),
        ),
        *((f"材料 / Document: {name}", there) for name, there in manifest["documents"].items()),
    ]
    tracks = [
        (
            track["track"],
            track["role"],
            track["kind"],
            track["codec"],
            track["chunks"],
            track["backfilled"],
            track["bytes"],
            _share(timeline, track["track"]),
        )
        for track in manifest["tracks"]
    ]
    gaps = [
        (track.track, _clock(gap.from_us), _clock(gap.to_us), gap.cause, _filled(gap))
        for track in timeline.tracks.values()
        for gap in track.gaps
    ]
    gaps += [("*", _clock(start), _clock(end), "paused", "") for start, end in timeline.pauses]
    gaps += [("*", _clock(start), _clock(end), _OUTAGE, "") for start, end in timeline.outages]
    attempts = [
        (
            attempt.node,
            attempt.attempt,
            _clock(attempt.from_us),
            "" if attempt.to_us is None else _clock(attempt.to_us),
            attempt.superseded_by or "",
        )
        for attempt in timeline.attempts
    ]
    return (
        '<!doctype html><html lang="zh"><meta charset="utf-8">'
        f"<title>双录证据包 / Evidence package</title><style>{_STYLE}</style>"
        "<h1>双录证据包 / Evidence package</h1>"
        "<p>本页仅为摘要；以 <code>witness verify</code> 的结论为准。"
        " / This page is a summary only; what counts is what <code>witness verify</code> finds.</p>"
        + _table(["项目 / Item", "内容 / Content"], summary)
        + "<h2>媒体 / Tracks</h2>"
        + _table(
            [
                "轨道 / Track",
                "角色 / Role",
                "类型 / Kind",
                "编码 / Codec",
                "文件数 / Files",
                "其中补传 / Uploaded",
                "字节 / Bytes",
                "完整度 / Complete",
            ],
            tracks,
        )
        + "<h2>已声明的缺口 / Declared gaps</h2>"
        + _table(
            ["轨道 / Track", "从 / From", "到 / To", "原因 / Cause", "补传 / Filled by uploads"],
            gaps,
        )
        + "<h2>环节与补录 / Nodes and attempts</h2>"
        + _table(
            [
                "环节 / Node",
                "次数 / Attempt",
                "从 / From",
                "到 / To",
                "被取代于 / Superseded by",
            ],
            attempts,
        )
        + "<h2>授权 / Consents</h2>"
        + _table(_CONSENT_HEAD, [_consent_row(one) for one in consents])
        + f"<h2>检测 / Findings ({len(findings)})</h2>"
        + _table(_FINDING_HEAD, [_finding_row(one) for one in findings[:MAX_ROWS]])
        + "<h2>校验 / To verify</h2><pre>witness verify PACKAGE --trust CERTIFICATE</pre></html>\n"
    )


_OUTAGE: Final = "crash: 服务器中断 / server outage"
_CONSENT_HEAD: Final = [
    "参与者 / Participant", "授权 / Permission", "方式 / How", "给予 / Given", "撤回 / Withdrawn",
]  # fmt: skip
_FINDING_HEAD: Final = [
    "从 / From", "到 / To", "参与者 / Participant", "检测 / Detector", "结论 / Outcome",
    "说明 / What",
]  # fmt: skip


def _consent_row(consent: Mapping[str, Any]) -> tuple[object, ...]:
    keys = ("participant", "permission", "how", "given_at", "withdrawn_at")
    return tuple(consent[key] or "" for key in keys)


def _finding_row(finding: Mapping[str, Any]) -> tuple[object, ...]:
    text = finding["text"]
    what = f"{text['zh']} / {text['en']}"
    if finding["cause"]:
        what += f" ({finding['cause']})"
    end = "" if finding["is_open"] else _clock(finding["to_us"])
    who, name = finding["participant"], finding["detector"]
    return _clock(finding["from_us"]), end, who, name, finding["outcome"], what


def _table(head: list[str], rows: list[Any]) -> str:
    if not rows:
        return "<p>无 / none</p>"
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def _share(timeline: Timeline, name: str) -> str:
    track = timeline.tracks[name]
    expected = sum(end - start for start, end in track.expected)
    captured = sum(end - start for start, end in [*track.captured, *track.filled])
    return _percent(captured / expected if expected else None)


def _percent(share: float | None) -> str:
    """Rounded down: what is not complete never reads as 100 %."""
    return "未知 / unknown" if share is None else f"{int(share * 10_000) / 100:.2f} %"


def _filled(gap: Gap) -> str:
    if gap.is_filled:
        return "全部补齐 / all of it"
    return f"{gap.filled_us / 1e6:.3f} s" if gap.filled_us else "否 / no"


def _clock(at_us: int) -> str:
    minutes, rest_us = divmod(at_us, 60_000_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest_us / 1e6:06.3f}"
