"""The HTML report of a replay: one page, nothing loaded from elsewhere. Pure."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

from egate_lsp.evaluation.latency_figures import answered_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = {"egate": "egate-lsp", "peer": "llama.vim with llama-server"}
COLOURS = {"egate": "#1b6ca8", "peer": "#c0392b"}
# What is told of each tool: words, where it stands in the figures, how it is written.
ROWS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("all keys, p50 ms", ("p50_ms",), ".0f"),
    ("  p95 ms", ("p95_ms",), ".0f"),
    ("  p50 ms of those answered in time", ("all", "p50_ms"), ".1f"),
    ("  p95 ms of those answered in time", ("all", "p95_ms"), ".0f"),
    ("fresh while typing, p50 ms", ("fresh_p50_ms",), ".0f"),
    ("  p95 ms", ("fresh_p95_ms",), ".0f"),
    ("  p50 ms of those answered in time", ("kinds", "fresh", "p50_ms"), ".0f"),
    ("  p95 ms of those answered in time", ("kinds", "fresh", "p95_ms"), ".0f"),
    ("text on the screen, p50 ms", ("text_p50_ms",), ".0f"),
    ("  p95 ms", ("text_p95_ms",), ".0f"),
    ("typed through, p50 ms", ("kinds", "type-through", "p50_ms"), ".1f"),
    ("after a jump, p50 ms", ("kinds", "jump", "p50_ms"), ".0f"),
    ("first in a file, p50 ms", ("cold_ms",), ".0f"),
    ("keys", ("keys",), ".0f"),
    ("  overtaken by the next", ("all", "superseded"), ".0f"),
    ("  with text shown", ("share_with_text",), ".0%"),
    ("characters saved", ("chars_saved",), ".0f"),
    ("  of texts within a second", ("chars_saved_in_time",), ".0f"),
    ("  of characters written", ("chars_written",), ".0f"),
    ("prompt tokens evaluated", ("prompt_tokens",), ".0f"),
    ("  per key", ("prompt_tokens_per_key",), ".1f"),
    ("tokens decoded per key", ("decoded_tokens_per_key",), ".1f"),
    ("  decoded and never shown", ("decoded_never_shown",), ".0f"),
    ("target requests per 1,000 characters", ("target_requests_per_1000_chars",), ".1f"),
    ("  tokens per 1,000 characters", ("target_tokens_per_1000_chars",), ".0f"),
    ("CPU seconds", ("cpu_s",), ".1f"),
    ("peak memory, MB", ("peak_rss_mb",), ".0f"),
    ("fresh over the engine's own time", ("floor_ratio",), ".2f"),
)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 300, 50, 20, 10, 40
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.2rem .7rem;border-bottom:1px solid #8886;text-align:right}
td:first-child,th:first-child{text-align:left;white-space:pre}
svg text{fill:currentColor;font:12px system-ui} .grid{stroke:currentColor;opacity:.2} .curve{fill:none;stroke-width:2}
"""


def rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Words, the figure of each tool, and with two tools the ratio of ours to the peer's; as text."""
    tools = tools_of(result)
    found = []
    for words, path, form in ROWS:
        values = [_value(result[name], path) for name in tools]
        cells = ["-" if value is None else format(value, form) for value in values]
        if len(values) == 2:
            one, other = values
            cells.append(f"{one / other:.2f}" if one is not None and other else "-")
        found.append((words, *cells))
    return found


def tools_of(result: Mapping[str, Any]) -> list[str]:
    """Those that were measured, ours first."""
    return [name for name in NAMES if name in result]


def page(result: Mapping[str, Any]) -> str:
    """The whole page: what it was taken on, the share of keys answered by time, all figures, the files."""
    machine, versions = result["machine"], result["versions"]
    tools = tools_of(result)
    heads = ["", *(NAMES[name] for name in tools), *(["ratio"] if len(tools) == 2 else [])]
    figures = _table(heads, rows(result))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>egate-lsp: from keystroke to text</title><style>{_STYLE}</style>
<h1>From keystroke to text</h1>
<p>{len(result["files"])} files, {escape(result["date"])}; {escape(machine["cpu"])}, {machine["cores"]} cores, load
{result["load_before"]:.1f} before; {escape(result["model"])} <code>{escape(str(result["model_sha256"])[:16])}</code>;
mean gap {result["gap_ms"]:.0f} ms, {result["limit"]} characters a file, seed {result["seed"]},
patience {result["patience_s"]:.0f} s;
{escape(", ".join(f"{name} {number}" for name, number in versions.items()))}.</p>
<h2>Fresh completions: share answered by time</h2>
<p>Of all requests that needed a model while typing, those too that the next key overtook (Kaplan-Meier).</p>
{_curves(result, tools)}
<h2>Figures</h2>
{figures}
<h2>Files</h2>
{_files(result, tools)}
</html>
"""


def _files(result: Mapping[str, Any], tools: Sequence[str]) -> str:
    columns = (("fresh p50 ms", "fresh_p50_ms"), ("cold ms", "cold_ms"), ("saved", "chars_saved"))
    heads = ["file", "lines", *(f"{NAMES[name].split()[0]}: {words}" for name in tools for words, _ in columns)]
    body = [
        (file["name"], str(file["lines"]), *(_cell(file[name][key]) for name in tools for _, key in columns))
        for file in result["files"]
    ]
    return _table(heads, body)


def _curves(result: Mapping[str, Any], tools: Sequence[str]) -> str:
    """Time on a logarithmic axis."""
    times = {name: (_fresh(result, name, answered=True), _fresh(result, name, answered=False)) for name in tools}
    known = [ms for both in times.values() for values in both for ms in values]
    if not known:
        return "<p>None was needed.</p>"
    low, high = math.log10(max(min(known), 1.0)), math.log10(max(max(known), 10.0))

    def x(ms: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(max(ms, 1.0)) - low) / max(high - low, 0.1)

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share

    parts = []
    for share in (0.0, 0.5, 0.95, 1.0):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(share):.1f}" y2="{y(share):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for power in range(math.ceil(low), math.floor(high) + 1):
        parts.append(f'<line class="grid" x1="{x(10**power):.1f}" x2="{x(10**power):.1f}" y1="{TOP}" y2="{y(0):.1f}"/>')
        label = f"{10**power} ms" if power < 3 else f"{10 ** (power - 3)} s"
        parts.append(f'<text x="{x(10**power):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{label}</text>')
    for number, name in enumerate(tools):
        points, share = [f"{x(10**low):.1f},{y(0):.1f}"], 0.0
        for ms, answered_share in answered_by(*times[name]):
            points += [f"{x(ms):.1f},{y(share):.1f}", f"{x(ms):.1f},{y(answered_share):.1f}"]
            share = answered_share
        parts.append(f'<polyline class="curve" stroke="{COLOURS[name]}" points="{" ".join(points)}"/>')
        parts.append(
            f'<text x="{LEFT + 6}" y="{TOP + 16 + 16 * number}" style="fill:{COLOURS[name]}">{NAMES[name]}</text>'
        )
    label = "share of fresh completions answered by time"
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg></figure>'
    )


def _fresh(result: Mapping[str, Any], name: str, *, answered: bool) -> list[float]:
    """Milliseconds of each fresh request that was answered, or that was overtaken."""
    return [
        ms
        for file in result["files"]
        for kind, ms, was_answered, _ in file[name]["times"]
        if kind == "fresh" and was_answered is answered
    ]


def _value(figures: Mapping[str, Any], path: Sequence[str]) -> float | None:
    found: Any = figures
    for name in path:
        found = found.get(name)
        if found is None:
            return None
    return float(found)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f"<table><tr>{head}</tr>{lines}</table>"
