"""Charts as SVG for a page: they take its colours, so that they can be read in the dark and on paper."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 96, 22, 40  # room for numbers, names and marks


class Line(NamedTuple):
    """One line of a chart: its name, its class in the page's style, and its points."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


class Mark(NamedTuple):
    """Something that happened at a place on the horizontal axis."""

    place: float
    text: str


def line_chart(
    lines: Sequence[Line],
    marks: Sequence[Mark],
    across: str,
    title: str,
    shown: Callable[[float], str] = "{:g}".format,
) -> str:
    """Lines over epochs, from 0 up, with a legend at their ends and marks as upright lines. shown: of the numbers.

    ``title`` says in words what can be seen; it is for who does not see it.
    """
    xs = [x for line in lines for x, _ in line.points]
    top = max(y for line in lines for _, y in line.points)
    step = _nice(top / 5 or 1)
    ceiling = step * math.ceil(top / step - 1e-9) or step
    first, last = min(xs), max(max(xs), min(xs) + 1)

    def x(place: float) -> float:
        return LEFT + (place - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / ceiling * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for number in range(round(ceiling / step) + 1):
        level = y(number * step)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 8}" y="{level + 4:.1f}">{escape(shown(number * step))}</text>')
    stride = max(1, math.ceil(_nice((last - first) / 10)))
    ticks = [place for place in range(math.ceil(first), int(last) + 1) if place % stride == 0 or place == first]
    for place in ticks:
        if place == first or place - first >= stride / 2:
            parts.append(f'<text class="middle" x="{x(place):.1f}" y="{HEIGHT - BOTTOM + 18}">{place:g}</text>')
    parts.append(f'<text class="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}">{escape(across)}</text>')
    for mark in marks:
        parts.append(
            f'<line class="mark" x1="{x(mark.place):.1f}" x2="{x(mark.place):.1f}" y1="{TOP}" y2="{y(0):.1f}"/>'
        )
        parts.append(f'<text class="small" x="{x(mark.place) + 4:.1f}" y="{TOP - 6}">{escape(mark.text)}</text>')
    ends = _apart([y(line.points[-1][1]) for line in lines], 15)
    for line, end in zip(lines, ends):
        path = " ".join(f"{x(across):.1f},{y(up):.1f}" for across, up in line.points)
        parts.append(f'<polyline class="{line.style}" points="{path}"/>')
        if len(line.points) == 1:
            dot = line.points[0]
            parts.append(f'<circle class="{line.style}" cx="{x(dot[0]):.1f}" cy="{y(dot[1]):.1f}" r="4"/>')
        parts.append(f'<text class="{line.style}" x="{WIDTH - RIGHT + 8}" y="{end + 4:.1f}">{escape(line.name)}</text>')
    return "".join([*parts, "</svg>"])


def _nice(step: float) -> float:
    """The next of 1, 2, 5, 10, … that is no smaller."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """The same places, moved so that they are at least a gap apart, in the same order."""
    order = sorted(range(len(places)), key=lambda k: places[k])
    moved = list(places)
    for below, above in itertools.pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved
