"""Small plots as inline SVG, for pages that load nothing: stacked bars and lines over days. Pure.

Colours are classes (`s0`, `s1`, ...) that the page's style sheet sets, so that a plot follows light and dark.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 720, 190
LEFT, RIGHT, TOP, BOTTOM = 54, 10, 10, 24
MOST_LABELS = 10


@dataclass(frozen=True, slots=True)
class Series:
    """One row of values, by day; None: nothing is known of that day.

    Attributes:
        style: the class that colours it.
        dashed: drawn as a broken line.
    """

    name: str
    style: str
    values: Sequence[float | None]
    dashed: bool = False


def bars(title: str, labels: Sequence[str], series: Sequence[Series], form: Callable[[float], str]) -> str:
    """Bars that stack the series, one for each label; `form` writes a value."""
    sums = [sum(each.values[at] or 0.0 for each in series) for at in range(len(labels))]
    top = nice(max(sums, default=0.0))
    slot = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    width = max(min(slot * 0.72, 46.0), 1.0)
    parts = _frame(labels, top, form, slot)
    for at, label in enumerate(labels):
        base = 0.0
        x = LEFT + slot * (at + 0.5) - width / 2
        for each in series:
            value = each.values[at] or 0.0
            if value > 0:
                high = _y(base + value, top)
                tall = _y(base, top) - high
                told = html.escape(f"{label}: {each.name} {form(value)}")
                parts.append(
                    f'<rect class="{each.style}" x="{x:.1f}" y="{high:.1f}" width="{width:.1f}" height="{tall:.1f}">'
                    f"<title>{told}</title></rect>"
                )
                base += value
    return _svg(title, parts)


def lines(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    form: Callable[[float], str],
    *,
    top: float | None = None,
) -> str:
    """One line for each series, broken where a value is missing; a dot on each value."""
    known = [value for each in series for value in each.values if value is not None]
    top = nice(max(known, default=0.0)) if top is None else top
    slot = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    parts = _frame(labels, top, form, slot)
    for each in series:
        run: list[str] = []
        runs: list[list[str]] = [run]
        dots = []
        for at, value in enumerate(each.values):
            if value is None:
                run = []
                runs.append(run)
                continue
            x, y = LEFT + slot * (at + 0.5), _y(min(value, top), top)
            run.append(f"{x:.1f},{y:.1f}")
            told = html.escape(f"{labels[at]}: {each.name} {form(value)}")
            dots.append(f'<circle class="{each.style}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{told}</title></circle>')
        dash = ' stroke-dasharray="5 4"' if each.dashed else ""
        parts += [
            f'<polyline class="line {each.style}" points="{" ".join(points)}"{dash}/>'
            for points in runs
            if len(points) > 1
        ]
        parts += [] if each.dashed and len(dots) > 1 else dots
    return _svg(title, parts)


def legend(series: Sequence[Series]) -> str:
    """Names and colours."""
    items = "".join(
        f'<span><i class="{each.style}{" dashed" if each.dashed else ""}"></i>{html.escape(each.name)}</span>'
        for each in series
    )
    return f'<p class="legend">{items}</p>'


def nice(value: float) -> float:
    """The next of 1, 2, 4, 5, 8 times a power of ten: the end of an axis. 1 for nothing."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 4, 5, 8) if value <= step * power * (1 + 1e-9)), 10.0 * power)


def _short(label: str) -> str:
    """Without the year, and without the day where there is an hour."""
    return label[6:] if ":" in label else label[5:]


def _frame(labels: Sequence[str], top: float, form: Callable[[float], str], slot: float) -> list[str]:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = _y(share * top, top)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{html.escape(form(share * top))}</text>')
    every = max(math.ceil(len(labels) / MOST_LABELS), 1)
    for at, label in enumerate(labels):
        if (len(labels) - 1 - at) % every == 0:
            x = LEFT + slot * (at + 0.5)
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(_short(label))}</text>')
    return parts


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value / top if top else 0.0)


def _svg(title: str, parts: Sequence[str]) -> str:
    told = html.escape(title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}">{"".join(parts)}</svg>'
