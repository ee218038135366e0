"""The numbers as pictures, in SVG: bars on a logarithmic scale, and lines of growth.

By hand and not by a library: matplotlib is heavy, and the light ones put a random id, the date or a
script from elsewhere into the file, which is to be the same for the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from .numbers import duration, sides_of

_COLOURS: Final = {
    "chain-callbacks": "#0b6e99",
    "langchain-core": "#d1661f",
    "opentelemetry span": "#7a5195",
    "pluggy, two hook calls": "#4c8c4a",
    "pluggy, five names": "#4c8c4a",
    "floor": "#8a8f94",
    "stevedore": "#c94f7c",
}
_OTHER: Final = "#b3a369"
_INK: Final = "#24292f"
_FAINT: Final = "#d8dee4"

_WIDTH: Final = 960
_LABELS: Final = 230
_VALUES: Final = 80


def bars(cases: Iterable[Mapping[str, Any]]) -> str:
    """Return a picture with a group of bars for each case: what a call costs, by side."""
    timed = [case for case in cases if "wall" in case["net"]]
    costs = [case["net"]["wall"][side] for case in timed for side in sides_of(case)]
    first, last = _decades(costs)
    left, right = _LABELS, _WIDTH - _VALUES

    def x(seconds: float) -> float:
        place = (math.log10(seconds) - first) / (last - first)
        return left + max(place, 0.002) * (right - left)

    parts = []
    y = 40
    for case in timed:
        y += 24
        parts.append(_text(12, y, case["case"], weight="600"))
        for side in sides_of(case):
            y += 16
            cost = case["net"]["wall"][side]
            parts += [
                _text(left - 8, y, side, anchor="end"),
                _bar(left, y - 10, x(cost) - left, 11, _COLOURS.get(side, _OTHER)),
                _text(round(x(cost) + 6, 1), y, duration(cost)),
            ]
    height = y + 30
    grid = []
    for decade in range(first, last + 1):
        place = round(x(10.0**decade), 1)
        grid += [_line(place, 34, place, height - 12), _text(place, 26, _power(decade), "middle")]
    return _svg(height, "What a call costs above the plain one, by case and side", grid + parts)


def lines(growth: Iterable[Mapping[str, Any]]) -> str:
    """Return a picture with a panel for each line: both scales are logarithmic."""
    panels = [*growth]
    width, height, columns = _WIDTH / 3, 270, 3
    parts = []
    for number, line in enumerate(panels):
        column, row = number % columns, number // columns
        parts.append(
            f'<g transform="translate({column * width:.0f} {row * height})">'
            f"{''.join(_panel(line, width, height))}</g>"
        )
    rows = -(-len(panels) // columns)
    return _svg(rows * height + 10, "How the cost grows, both scales logarithmic", parts)


def _panel(line: Mapping[str, Any], width: float, height: float) -> list[str]:
    sizes = line["sizes"]
    first, last = _decades([cost for costs in line["wall"].values() for cost in costs])
    left, right, top, bottom = 56, width - 14, 48, height - 54
    # A size of 0 has a place of its own, left of the 1.
    places = [math.log10(size) if size else -0.5 for size in sizes]

    def x(place: float) -> float:
        return left + (place - places[0]) / (places[-1] - places[0]) * (right - left)

    def y(seconds: float) -> float:
        return bottom - (math.log10(seconds) - first) / (last - first) * (bottom - top)

    parts = [
        _text(12, 20, line["line"], weight="600"),
        _text(12, 36, line["unit"], size=11),
    ]
    for decade in range(first, last + 1):
        level = round(y(10.0**decade), 1)
        parts += [
            _line(left, level, right, level),
            _text(left - 6, level + 4, _power(decade), "end"),
        ]
    parts += [
        _text(round(x(place), 1), bottom + 18, _size(size), "middle")
        for place, size in zip(places, sizes, strict=True)
    ]
    for number, (side, costs) in enumerate(line["wall"].items()):
        colour = _COLOURS.get(side, _OTHER)
        points = [(x(place), y(cost)) for place, cost in zip(places, costs, strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]
        column, row = number % 2, number // 2
        across, down = left + column * 118, bottom + 34 + 14 * row
        parts += [
            _bar(across, down - 8, 9, 9, colour),
            _text(across + 13, down, side, size=10),
        ]
    return parts


def _decades(costs: Iterable[float]) -> tuple[int, int]:
    known = [*costs]
    return math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))


def _power(decade: int) -> str:
    return duration(10.0**decade) if decade >= -6 else f"{10.0 ** (decade + 6):g} us"


def _size(size: int) -> str:
    for unit, factor in (("M", 1_000_000), ("k", 1_000)):
        if size >= factor:
            return f"{size // factor}{unit}"
    return str(size)


def _text(
    x: float, y: float, text: str, anchor: str = "start", *, weight: str = "400", size: int = 12
) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-size="{size}">{escape(text.replace("`", ""))}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{_FAINT}"/>'


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _svg(height: float, title: str, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" fill="{_INK}">\n<title>{escape(title)}</title>\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
