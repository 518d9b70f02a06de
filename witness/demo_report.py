"""The demonstration's result: a table for people, JSON for machines, and the verdict."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from witness.i18n import marked, t
from witness.table import render

__all__ = ["Line", "problems", "render_json", "render_table"]

_KINDS = {"audio": marked("audio"), "video": marked("video")}

MIN_SHARE = 0.25
"""Of the frames sent, so many must have been decoded, or the call did not work."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one participant received of one track. ``None``: not known.

    Attributes:
        expected: frames the sender made while this was received.
        delay_s: from before the encoder to after the decoder.
        rtt_s: between the receiver and the server.
    """

    receiver: str
    sender: str
    kind: str
    packets: int
    lost: int
    frames: int
    expected: int
    frames_per_s: float
    delay_s: float | None
    rtt_s: float | None
    detail: str


def problems(lines: Sequence[Line], wanted: Sequence[tuple[str, str, str]]) -> list[str]:
    """Why the call did not work; empty if it did.

    Args:
        lines: what was received.
        wanted: ``(receiver, sender, kind)`` that must be among them.
    """
    found = {(line.receiver, line.sender, line.kind): line for line in lines}
    result = []
    for receiver, sender, kind in wanted:
        line = found.get((receiver, sender, kind))
        names = {"receiver": receiver, "sender": sender, "kind": t(_KINDS[kind])}
        if line is None or line.packets == 0:
            result.append(t("{receiver} received no {kind} from {sender}").format(**names))
        elif line.frames < line.expected * MIN_SHARE:
            result.append(
                t("{receiver} could decode only {frames} of {expected} {kind} frames").format(
                    **names, frames=line.frames, expected=line.expected
                )
            )
    return result


def render_table(lines: Sequence[Line]) -> str:
    """Aligned columns; wide characters count as two."""
    head = [
        t("receiver"), t("from"), t("track"), t("packets"), t("lost"), t("frames"),
        t("per s"), t("delay"), t("round trip"), "",
    ]  # fmt: skip
    rows = [head, *(_cells(line) for line in lines)]
    return render(rows, left={0, 1, 2, len(head) - 1})


def render_json(
    lines: Sequence[Line],
    failures: Sequence[str],
    evidence: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """One JSON object: ``received``, ``problems``, and ``evidence`` where the call was sealed."""
    data: dict[str, Any] = {
        "received": [asdict(line) for line in lines],
        "problems": list(failures),
    }
    if evidence is not None:
        data["evidence"] = list(evidence)
    return json.dumps(data, ensure_ascii=False, indent=2)


def _cells(line: Line) -> list[str]:
    return [
        line.receiver,
        line.sender,
        t(_KINDS[line.kind]),
        str(line.packets),
        str(line.lost),
        str(line.frames),
        f"{line.frames_per_s:.1f}",
        _milliseconds(line.delay_s),
        _milliseconds(line.rtt_s),
        line.detail,
    ]


def _milliseconds(value_s: float | None) -> str:
    if value_s is None:
        return t("unknown")
    return f"{value_s * 1000:.1f} ms" if value_s < 0.01 else f"{value_s * 1000:.0f} ms"
