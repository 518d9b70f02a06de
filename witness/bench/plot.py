"""The growth curve as an SVG figure, in few lines and without a library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Curve", "growth_svg"]

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 64, 64
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 17px; font-weight: 600 }
  .note { fill: #57606a; font-size: 12px }
  .grid { stroke: #d8dee4; stroke-width: 1 }
  .limit { stroke: #8250df; stroke-width: 1.5; stroke-dasharray: 6 4 }
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of the figure: ``(rooms, µs)`` in rising order."""

    name: str
    colour: str
    points: Sequence[tuple[int, float]]


def growth_svg(
    curves: Sequence[Curve], *, title: str, across: str, upwards: str, limit: tuple[str, float]
) -> str:
    """Cost over rooms, rooms on a logarithmic scale.

    Args:
        curves: at least one point in all.
        title: above the figure.
        across: what the horizontal axis shows.
        upwards: what the vertical axis shows.
        limit: name and height of a horizontal line.
    """
    points = [point for curve in curves for point in curve.points]
    most_rooms = max(rooms for rooms, _ in points)
    top = _round_up(1.1 * max([limit[1], *(value for _, value in points)]))

    def x(rooms: float) -> float:
        span = math.log10(max(most_rooms, 2))
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log10(max(rooms, 1)) / span

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text class="title" x="{_LEFT}" y="26">{_escape(title)}</text>',
        f'<text class="note" x="{_LEFT}" y="46">{_escape(upwards)}</text>',
        _text(across, _WIDTH / 2, _HEIGHT - 14, 'class="note" text-anchor="middle"'),
    ]
    for step in range(6):
        value = top * step / 5
        parts.append(_line("grid", _LEFT, y(value), _WIDTH - _RIGHT, y(value)))
        parts.append(
            f'<text x="{_LEFT - 10}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.1f}</text>'
        )
    below = _HEIGHT - _BOTTOM + 20
    parts += [
        _text(str(rooms), x(rooms), below, 'text-anchor="middle"')
        for rooms in sorted({rooms for rooms, _ in points})
    ]
    parts.append(_line("limit", _LEFT, y(limit[1]), _WIDTH - _RIGHT, y(limit[1])))
    parts.append(
        f'<text class="note" x="{_LEFT + 8}" y="{y(limit[1]) - 6:.1f}">{_escape(limit[0])}</text>'
    )
    for number, curve in enumerate(curves):
        parts += _curve(curve, [(x(rooms), y(value)) for rooms, value in curve.points], number)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _curve(curve: Curve, places: Sequence[tuple[float, float]], number: int) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    right, top = _WIDTH - _RIGHT, 26 + 20 * number
    return [
        f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="2.5"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{curve.colour}"/>' for x, y in places),
        _text(curve.name, right, top, f'text-anchor="end" style="fill:{curve.colour}"'),
    ]


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(text: str, x: float, y: float, attributes: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{_escape(text)}</text>'


def _round_up(value: float) -> float:
    """To the next half."""
    return math.ceil(2 * value) / 2


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
