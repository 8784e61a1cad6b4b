"""The HTML report of a comparison of contexts: one page, nothing loaded from elsewhere. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.2rem .7rem;border-bottom:1px solid #8886;text-align:right}
td:first-child,th:first-child{text-align:left} .gap svg{vertical-align:middle} svg line{stroke:currentColor}
"""
_COLUMNS = ("way", "holes", "exact", "against the file by lines, points (95 %)", "", "edit similarity", "names found",
            "prompt tokens", "read cold", "read warm", "ms cold", "ms warm")  # fmt: skip
WIDTH, HEIGHT = 160, 14
REACH = 0.3  # of exact matches, to both sides of the middle


def page(result: Mapping[str, Any]) -> str:
    """The whole page: a table for each model and budget, and one for the holes that need nothing from outside."""
    models = "".join(f"<li>{escape(name)}: <code>{escape(sha)}</code></li>" for name, sha in result["models"].items())
    parts = "".join(
        f"<h2>{escape(found['model'])}, {found['tokens']} tokens</h2>"
        f"{_table('Holes that use what other files define', found)}"
        f"{_table('Holes that need nothing from outside', found['control'])}"
        for found in result["budgets"]
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>egate-lsp: what a model is shown</title><style>{_STYLE}</style>
<h1>What a model is shown</h1>
<p>{result["n"]} holes in {escape(", ".join(result["packages"]))}, {escape(result["date"])}, seed {result["seed"]}.
Every way has the same number of characters; intervals by resampling files.</p>
<ul>{models}</ul>
{parts}
"""


def _table(title: str, part: Mapping[str, Any]) -> str:
    if not part["n"]:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in _COLUMNS)
    rows = "".join(_row(row) for row in part["ways"])
    return f"<h3>{title}: {part['n']} in {part['files']} files</h3><table><tr>{head}</tr>{rows}</table>"


def _row(row: Mapping[str, Any]) -> str:
    gap = row["difference"]
    cells = (
        f"{row['n']}",
        f"{row['exact']:.3f}",
        f"{100 * gap['exact']:+.1f} ({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f})",
        _interval(gap["low"], gap["exact"], gap["high"]),
        f"{row['similarity']:.3f}",
        f"{row['identifiers']:.3f}",
        *(f"{row[key]:.0f}" for key in ("prompt_tokens", "evaluated_tokens", "warm_tokens", "cold_ms", "warm_ms")),
    )
    return f"<tr><td>{escape(row['name'])}</td>" + "".join(f'<td class="gap">{cell}</td>' for cell in cells) + "</tr>"


def _interval(low: float, value: float, high: float) -> str:
    """A line from low to high with a mark at the value; the middle is zero."""

    def at(share: float) -> float:
        return (max(min(share / REACH, 1.0), -1.0) + 1.0) / 2.0 * WIDTH

    middle = HEIGHT / 2
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="from {low:+.3f} to {high:+.3f}">'
        f'<line x1="{WIDTH / 2}" x2="{WIDTH / 2}" y1="0" y2="{HEIGHT}" opacity=".4"/>'
        f'<line x1="{at(low):.1f}" x2="{at(high):.1f}" y1="{middle}" y2="{middle}" stroke-width="2"/>'
        f'<line x1="{at(value):.1f}" x2="{at(value):.1f}" y1="2" y2="{HEIGHT - 2}" stroke-width="3"/></svg>'
    )
