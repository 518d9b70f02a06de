"""The page of ``witness detector run``: findings, the frames that caused them, a timeline."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from analytics.detector import Box, Detector, Finding, FrameRef, Text, VideoFrame
from analytics.eval.run import Run

__all__ = ["explained", "page"]

_STRIP: Final = 6


def explained(detectors: Sequence[Detector], finding: Finding) -> tuple[Text, Text]:
    """Title and explanation of a finding, its values filled in."""
    for detector in detectors:
        for kind in detector.card.kinds:
            if kind.kind == finding.kind:
                values = _Values(finding.values)
                return kind.title, Text(
                    kind.explanation.zh.format_map(values), kind.explanation.en.format_map(values)
                )
    return Text(finding.kind, finding.kind), Text("", "")


class _Values(dict[str, float | int | str]):
    def __init__(self, values: Mapping[str, float | int | str]) -> None:
        super().__init__(values)

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def page(
    title: str, run: Run, detectors: Sequence[Detector], frames: Mapping[int, VideoFrame]
) -> str:
    """A page that stands for itself, in both languages.

    Args:
        title: name of the file.
        run: what was found.
        detectors: that found it.
        frames: those that findings name, by their time.
    """
    findings = [said.finding for said in run.said]
    return _PAGE.format(
        title=escape(title),
        timeline=_timeline(run, detectors),
        none="" if findings else _both("没有发现。", "Nothing was found."),
        findings="".join(_finding(detectors, one, frames) for one in findings),
        said="".join(
            f"<tr><td>{one.start_us / 1e6:.1f}–{one.end_us / 1e6:.1f} s</td>"
            f"<td>{escape(one.text)}</td></tr>"
            for one in run.utterances
        ),
        said_title=_both("所说内容", "What was said") if run.utterances else "",
    )


def _finding(
    detectors: Sequence[Detector], finding: Finding, frames: Mapping[int, VideoFrame]
) -> str:
    title, explanation = explained(detectors, finding)
    score = "" if finding.score is None else f" · {finding.score:.2f}"
    shown = [ref for ref in finding.frames if ref.at_us in frames]
    step = max(len(shown) // _STRIP, 1)
    strip = "".join(_figure(frames[ref.at_us], ref) for ref in shown[::step][:_STRIP])
    words = " ".join(escape(word.text) for word in finding.words)
    quoted = f"<p><q>{words}</q></p>" if words else ""
    return (
        f'<section class="{finding.outcome.value}"><h3>{_both(title.zh, title.en)}</h3>'
        f"<p><code>{escape(finding.kind)}</code> · {finding.outcome.value}{score} ·"
        f" {finding.start_us / 1e6:.1f}–{finding.end_us / 1e6:.1f} s</p>"
        f"<p>{_both(explanation.zh, explanation.en)}</p>{quoted}"
        f"<div class=strip>{strip}</div></section>"
    )


def _figure(frame: VideoFrame, ref: FrameRef) -> str:
    box = "" if ref.box is None else _box(ref.box, ref.label)
    return (
        f'<figure><div class=pic><img src="{_jpeg(frame)}" alt="">{box}</div>'
        f"<figcaption>{frame.pts_us / 1e6:.1f} s</figcaption></figure>"
    )


def _box(box: Box, label: str) -> str:
    left, top, right, bottom = (
        100 * min(max(edge, 0.0), 1.0) for edge in (box.left, box.top, box.right, box.bottom)
    )
    return (
        f'<i class=box title="{escape(label)}" style="left:{left:.1f}%;top:{top:.1f}%;'
        f'width:{max(right - left, 0):.1f}%;height:{max(bottom - top, 0):.1f}%"></i>'
    )


def _jpeg(frame: VideoFrame) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame.image).save(buffer, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _timeline(run: Run, detectors: Sequence[Detector]) -> str:
    total_us = max(run.clip.duration_us, 1)
    rows = []
    for kind in dict.fromkeys(said.finding.kind for said in run.said):
        of_kind = [said.finding for said in run.said if said.finding.kind == kind]
        title, _ = explained(detectors, of_kind[0])
        bars = "".join(
            f'<i class="{one.outcome.value}" style="left:{100 * one.start_us / total_us:.2f}%;'
            f'width:{max(100 * (one.end_us - one.start_us) / total_us, 0.6):.2f}%"></i>'
            for one in of_kind
        )
        name = _both(title.zh, title.en)
        rows.append(f"<div class=row><b>{name}</b><div class=bar>{bars}</div></div>")
    return "".join(rows) + f"<p>0 – {total_us / 1e6:.1f} s</p>"


def _both(zh: str, en: str) -> str:
    return f"<span lang=zh>{escape(zh)}</span><span lang=en>{escape(en)}</span>"


_PAGE: Final = """<!doctype html>
<html data-language="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>
body{{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}}
html[data-language=en] [lang=zh],html[data-language=zh] [lang=en]{{display:none}}
section{{border-left:4px solid #e90;padding:.1rem .8rem;margin:1rem 0}}
section.fail{{border-color:#d22}}
section.pass{{border-color:#2a9d4a}}section.unknown{{border-color:#999}}h3,p{{margin:.2rem 0}}
.strip{{display:flex;flex-wrap:wrap;gap:6px}}figure{{margin:0}}.pic{{position:relative;
display:inline-block}}.pic img{{display:block;height:150px}}.box{{position:absolute;
border:2px solid #f33;box-sizing:border-box}}figcaption{{font-size:11px;color:#555}}
.row{{display:flex;font-size:13px}}.row b{{width:14rem;font-weight:400}}.bar{{position:relative;
flex:1;height:1.1rem;background:#f4f4f4;margin:1px}}.bar i{{position:absolute;top:0;height:100%;
background:#e90}}.bar i.fail{{background:#d22}}.bar i.pass{{background:#2a9d4a}}
.bar i.unknown{{background:#999}}td{{padding:.1rem .6rem .1rem 0}}
</style></head><body>
<button onclick="var e=document.documentElement;
e.dataset.language=e.dataset.language=='en'?'zh':'en'">中文 / English</button>
<h1>{title}</h1>{timeline}{none}{findings}<h2>{said_title}</h2><table>{said}</table>
</body></html>
"""
