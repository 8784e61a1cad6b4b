"""How figures are written for people: in the terminal and on the page. Pure. Unknown is an en dash."""

from __future__ import annotations

UNKNOWN = "–"  # noqa: RUF001  # as the explained completion writes it


def count(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def short(value: float) -> str:
    """For an axis: "12k"."""
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{sign}"
    return f"{value:.3g}"


def percent(value: float | None) -> str:
    """Of a share, 0 to 1."""
    return UNKNOWN if value is None else f"{value:.0%}"


def money(value: float | None) -> str:
    """USD; small sums with more digits, none of them rounded to nothing."""
    if value is None:
        return UNKNOWN
    if value == 0 or value >= 10:
        return f"{value:.2f}"
    if value < 0.0000005:
        return "<0.000001"
    return f"{value:.4f}" if value >= 0.001 else f"{value:.6f}"


def bytes_(value: float) -> str:
    """With a unit."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:.0f} B"


def seconds(milliseconds: float) -> str:
    """With a tenth, and the unit."""
    return f"{milliseconds / 1000:.1f} s"


def milliseconds(value: float | None) -> str:
    """Whole, with the unit."""
    return UNKNOWN if value is None else f"{value:,.0f} ms"
