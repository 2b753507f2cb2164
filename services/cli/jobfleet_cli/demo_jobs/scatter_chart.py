"""A scatter chart as SVG, without a library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 640, 420, 60
_COLOURS = ("#e07b39", "#7a5195", "#2a9d8f", "#4361ee", "#b5838d")
_PAPER = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
_AXES = (
    f'<path d="M{MARGIN} {MARGIN - 10}V{HEIGHT - MARGIN + 10}H{WIDTH - MARGIN}" '
    'fill="none" stroke="#888"/>'
)


def scatter_chart(points: Sequence[tuple[str, float, float]], *, title: str, x: str, y: str) -> str:
    """Return an SVG document with one dot per ``(group, x, y)`` and a legend of the groups."""
    groups = list(dict.fromkeys(group for group, _, _ in points))
    colours = {group: _COLOURS[i % len(_COLOURS)] for i, group in enumerate(groups)}
    xs, ys = [point[1] for point in points], [point[2] for point in points]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>',
        _PAPER,
        _AXES,
        *(_dot(_across(px, xs), _down(py, ys), colours[group]) for group, px, py in points),
        *(_legend(row, group, colours[group]) for row, group in enumerate(groups)),
        *(_text(_across(v, xs), HEIGHT - MARGIN + 28, f"{v:g}") for v in (min(xs), max(xs))),
        *(_text(MARGIN / 2, _down(v, ys) + 4, f"{v:g}") for v in (min(ys), max(ys))),
        _text(WIDTH / 2, 28, title),
        _text(WIDTH / 2, HEIGHT - 12, x),
        _text(MARGIN, MARGIN - 22, y),
        "</svg>",
    ]
    return "\n".join(parts)


def _across(value: float, values: Sequence[float]) -> float:
    return _place(value, values, MARGIN, WIDTH - MARGIN)


def _down(value: float, values: Sequence[float]) -> float:
    return _place(value, values, HEIGHT - MARGIN, MARGIN)


def _place(value: float, values: Sequence[float], low: float, high: float) -> float:
    span = max(values) - min(values) or 1
    return low + (value - min(values)) / span * (high - low)


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}" fill-opacity=".65"/>'


def _legend(row: int, group: str, colour: str) -> str:
    y = MARGIN + 18 * row
    name = f'<text x="{MARGIN + 24}" y="{y + 4}">{escape(group)}</text>'
    return f'<circle cx="{MARGIN + 12}" cy="{y}" r="5" fill="{colour}"/>{name}'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'
