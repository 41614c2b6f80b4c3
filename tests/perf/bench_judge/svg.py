"""Two small pictures as SVG: dots per category and lines, both with a logarithmic scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#9aa0a6", "#5f6368", "#f6b26b", "#b45f06", "#a4c2f4", "#3d6fb4", "#38a169", "#14532d")
WIDTH = 900.0
LEFT, RIGHT, TOP, ROW = 380.0, 30.0, 60.0, 24.0


@dataclass(frozen=True)
class Series:
    """A named series of points; the second value of each is on the logarithmic scale and positive."""

    name: str
    points: Sequence[tuple[float, float]]


def dots(title: str, categories: Sequence[str], series: Sequence[Series]) -> str:
    """One row per category, one dot per series at its value."""
    low, high = _decades(series)
    bottom = TOP + ROW * len(categories)
    parts: list[str] = []
    for decade in range(low, high + 1):
        x = _scaled(float(decade), low, high, LEFT, WIDTH - RIGHT)
        parts += [_line(x, TOP, x, bottom), _text(x, bottom + 16.0, f"{10.0**decade:,.0f}", "middle")]
    for place, category in enumerate(categories):
        parts.append(_text(LEFT - 8.0, TOP + ROW * (place + 0.65), category, "end"))
    for index, own in enumerate(series):
        for row, value in own.points:
            x = _scaled(math.log10(value), low, high, LEFT, WIDTH - RIGHT)
            parts.append(_dot(x, TOP + ROW * (row + 0.5), COLOURS[index % len(COLOURS)]))
    return _document(title, parts, series, bottom + 40.0)


def lines(title: str, series: Sequence[Series]) -> str:
    """A line per series; the first values are decimal logarithms already."""
    low, high = _decades(series)
    places = [place for own in series for place, _ in own.points] or [0.0, 1.0]
    first, last, bottom, left = min(places), max(places), TOP + 320.0, 80.0
    parts: list[str] = []
    for decade in range(low, high + 1):
        y = _scaled(float(decade), low, high, bottom, TOP)
        parts += [_line(left, y, WIDTH - RIGHT, y), _text(left - 8.0, y + 4.0, f"{10.0**decade:,.0f}", "end")]
    for place in sorted(set(places)):
        x = _scaled(place, first, last, left, WIDTH - RIGHT)
        parts.append(_text(x, bottom + 18.0, f"{10.0**place:g}", "middle"))
    for index, own in enumerate(series):
        colour = COLOURS[(2 * index + 1) % len(COLOURS)]
        drawn = [
            (_scaled(place, first, last, left, WIDTH - RIGHT), _scaled(math.log10(value), low, high, bottom, TOP))
            for place, value in own.points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [_dot(x, y, colour) for x, y in drawn]
    return _document(title, parts, series, bottom + 40.0, spread=2)


def _decades(series: Sequence[Series]) -> tuple[int, int]:
    values = [value for own in series for _, value in own.points] or [1.0, 10.0]
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _scaled(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / ((high - low) or 1.0) * (end - start)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}" fill-opacity="0.85"/>'


def _document(title: str, parts: Sequence[str], series: Sequence[Series], bottom: float, *, spread: int = 1) -> str:
    legend: list[str] = []
    for index, own in enumerate(series):
        x, y = 30.0 + 220.0 * (index % 4), bottom + 20.0 * (index // 4)
        colour = COLOURS[(spread * index + spread - 1) % len(COLOURS)]
        legend += [_dot(x, y - 4.0, colour), _text(x + 10.0, y, own.name, "start")]
    height = bottom + 20.0 * math.ceil(len(series) / 4) + 10.0
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" '
        'font-family="sans-serif" font-size="12">'
    )
    background = f'<rect width="{WIDTH:.0f}" height="{height:.0f}" fill="white"/>'
    name = f'<text x="30" y="30" font-size="16">{escape(title)}</text>'
    return "\n".join((head, background, name, *parts, *legend, "</svg>")) + "\n"
