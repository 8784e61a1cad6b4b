"""The HTML report of a comparison of deferral rules: one page, nothing loaded from elsewhere. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from egate_lsp import signals
from egate_lsp.evaluation.calibrating import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from egate_lsp.evaluation.outcomes import Outcome
    from egate_lsp.values import Token

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = 640, 380, 60, 20, 40
WRONG_SHOWN = 40
BINS = 20
CONTEXT_LINES = 3
DARKEST = 0.4  # normalised entropy at which a token's shade is full
_FLAGS = ("syntax", "names")
_COLOURS = (
    "#1b6ca8",
    "#c0392b",
    "#2e8b57",
    "#b7791f",
    "#7d3c98",
    "#607d8b",
    "#d35400",
    "#16a085",
    "#7f6a3d",
    "#c2185b",
    "#00838f",
    "#8d6e63",
    "#9e9d24",
)
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.2rem .7rem;border-bottom:1px solid #8886;text-align:right}
td:first-child,th:first-child{text-align:left}
pre{font:13px/1.45 ui-monospace,monospace;background:#8881;padding:.6rem;overflow-x:auto;margin:.3rem 0}
.token{border-radius:2px} .dim{opacity:.6} figure{margin:1rem 0} svg text{fill:currentColor;font:12px system-ui}
"""


def page(result: Mapping[str, Any], found: Sequence[Outcome]) -> str:
    """The whole page: the curve against random, oracle and rivals, a histogram of scores, the lines that the draft got
    wrong with their tokens shaded by entropy."""
    title = "The gate on your code" if "rate" in result else "Deferral rules compared"
    models = "".join(f"<li>{escape(name)}: <code>{escape(sha)}</code></li>" for name, sha in result["models"].items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>egate-lsp: {title.lower()}</title><style>{_STYLE}</style>
<h1>{title}</h1>
<p>{result["n"]} lines of {result["groups"]} problems or files ({escape(", ".join(result["data"]))}),
{result["date"]}.</p>
<ul>{models}</ul>
{_comparison(result)}
<h2>Scores of the default rule: {escape(result["default"])}</h2>
{_histogram(result.get("scores", []))}
<h2>Lines that the draft got wrong</h2>
<p>The darker a token, the higher its entropy. Of {sum(not outcome.shown.right for outcome in found)} such lines the
first {WRONG_SHOWN} are shown.</p>
{_wrong(found)}
</html>
"""


def fixed_rules(rules: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Right lines by each rule that defers none or all, by its name."""
    return {row["name"]: row["curve"][0]["pass_at_1"] for row in rules if len(row["curve"]) == 1}


def _comparison(result: Mapping[str, Any]) -> str:
    """What deferring is worth by share and rule; nothing where no target was asked."""
    if not result["rules"]:
        return "<p>No target was asked: what a share of lines is worth is not known.</p>"
    rows = [row for row in result["rules"] if len(row["curve"]) > 1]
    names = ["default", "random", "oracle", *result["differences"]]
    drawn = [row for name in dict.fromkeys(names) for row in rows if row["name"] == name]
    fixed = fixed_rules(result["rules"])
    # A calibration is of lines that are typed: there nothing is chosen from several drafts.
    chosen = "" if "rate" in result else " and unsure ones chosen from several drafts"
    return f"""<p>The draft alone is right on {fixed["never"]:.1%}, and on
{fixed["never, and unsure lines chosen from several drafts"]:.1%} with faulty lines drafted anew{chosen}; always asking
the target on {fixed["always"]:.1%}, and on
{fixed["always, the likeliest of its lines, refused where it is worse"]:.1%} with the best of the lines that it writes,
refused where the draft's is better.</p>
<h2>Right lines by share of lines deferred</h2>
{_curves(drawn, fixed)}
{_calibrated(result)}
<h2>The rules compared</h2>
<p>Right lines at each share; AUROC of each rule on its own drafts.</p>
{_table(rows)}"""


def _calibrated(result: Mapping[str, Any]) -> str:
    """By share: tau, and what the user would see."""
    if not result.get("rows"):
        return ""
    columns = {name: head for name, head in COLUMNS.items() if name != "right" or result["tested"]}
    heads = "".join(f"<th>{escape(head)}</th>" for head in columns.values())
    body = "".join(
        f"<tr><td>{row['share']:.0%}</td><td>{'never' if row['tau'] is None else format(row['tau'], '.4f')}</td>"
        + "".join(f"<td>{row[name][0]:.3f} ({row[name][1]:.2f} to {row[name][2]:.2f})</td>" for name in columns)
        + "</tr>"
        for row in result["rows"]
    )
    low, high = result["rate_interval"]
    return f"""<h2>What is shown, by share of lines deferred</h2>
<table>
<tr><th>share</th><th>tau</th>{heads}</tr>
{body}
</table>
<p>Chosen: {result["rate"]:.0%} of lines, tau {result["tau"]:.4f}. On other code like this the share will be between
{low:.0%} and {high:.0%}, with 95 %.</p>"""


def _curves(rows: Sequence[Mapping[str, Any]], fixed: Mapping[str, float]) -> str:
    shares = [point["share"] for point in rows[0]["curve"]]
    values = [point["pass_at_1"] for row in rows for point in row["curve"]] + [fixed["never"], fixed["always"]]
    low, high = min(values) - 0.01, max(values) + 0.01

    def place(share: float, value: float) -> str:
        x = LEFT + share / max(shares) * (WIDTH - LEFT - RIGHT)
        y = (HEIGHT - BOTTOM) * (1.0 - (value - low) / (high - low))
        return f"{x:.1f},{y:.1f}"

    parts = []
    for index, row in enumerate(rows):
        colour = _COLOURS[index % len(_COLOURS)]
        points = " ".join(
            [place(0.0, row["none_deferred"]), *(place(point["share"], point["pass_at_1"]) for point in row["curve"])]
        )
        width = 3.0 if row["name"] == "default" else 1.5
        dash = "5 3" if row["name"] in {"random", "oracle"} else ""
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}" '
            f'points="{points}"/>'
        )
    legend = " ".join(
        f'<span style="color:{_COLOURS[index % len(_COLOURS)]}">&#9632;</span> {escape(row["name"])}'
        for index, row in enumerate(rows)
    )
    always = place(0.0, fixed["always"]).partition(",")[2]
    parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{always}" y2="{always}" stroke="currentColor" '
        f'stroke-dasharray="1 4"/>'
        f'<text x="{WIDTH - RIGHT - 2}" y="{float(always) - 4:.1f}" text-anchor="end">always the target</text>'
    )
    for share in shares:
        x = place(share, low).partition(",")[0]
        parts.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{share:.0%}</text>')
    for step in range(5):
        value = low + (high - low) * step / 4
        y = place(0.0, value).partition(",")[2]
        parts.append(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">{value:.3f}</text>')
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="right lines by share">'
        f"{''.join(parts)}</svg><figcaption>{legend}</figcaption></figure>"
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    shares = [point["share"] for point in rows[0]["curve"]]
    head = "".join(f"<th>{share:.0%}</th>" for share in shares)
    body = "".join(
        f"<tr><td>{escape(row['name'])}</td><td>{_cell(row['auroc_error'])}</td><td>{_cell(row['auroc_gain'])}</td>"
        + "".join(
            f'<td title="95 %: {point["low"]:.3f} to {point["high"]:.3f}">{point["pass_at_1"]:.3f}</td>'
            for point in row["curve"]
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><tr><th>rule</th><th>AUROC error</th><th>AUROC gain</th>{head}</tr>{body}</table>"


def _histogram(scores: Sequence[Mapping[str, Any]]) -> str:
    """`scores`: `{"score": in [0, 1], "right": bool}` of each line."""
    if not scores:
        return ""
    counts = [[0, 0] for _ in range(BINS)]
    for entry in scores:
        counts[min(int(entry["score"] * BINS), BINS - 1)][0 if entry["right"] else 1] += 1
    highest = max(right + wrong for right, wrong in counts) or 1
    width = (WIDTH - LEFT) / BINS
    bars = []
    for index, (right, wrong) in enumerate(counts):
        x, y = LEFT + index * width, HEIGHT - BOTTOM
        for count, colour in ((right, _COLOURS[2]), (wrong, _COLOURS[1])):
            tall = count / highest * (HEIGHT - BOTTOM - 20)
            y -= tall  # type: ignore[assignment]
            bars.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{tall:.1f}" fill="{colour}"/>')
    labels = "".join(
        f'<text x="{LEFT + share * (WIDTH - LEFT):.0f}" y="{HEIGHT - BOTTOM + 18}">{share:.1f}</text>'
        for share in (0.0, 0.25, 0.5, 0.75)
    )
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="histogram of scores">'
        f"{''.join(bars)}{labels}</svg><figcaption>Green: the draft is right; red: it is wrong.</figcaption></figure>"
    )


def _wrong(found: Sequence[Outcome]) -> str:
    wrong = [outcome for outcome in found if not outcome.shown.right][:WRONG_SHOWN]
    return "".join(_line(outcome) for outcome in wrong)


def _line(outcome: Outcome) -> str:
    context = outcome.problem.context
    before = "\n".join(context.prefix.split("\n")[-CONTEXT_LINES - 1 :])
    after = "\n".join(context.suffix.split("\n")[: CONTEXT_LINES + 1])
    verdict = "right" if outcome.target_right else "wrong too"
    signs = [f"{name} {outcome.signals[name]:.2f}" for name in ("entropy-max", *_FLAGS) if outcome.signals.get(name)]
    anew = ""
    if outcome.shown.text != outcome.plain.text:
        how = "drafted anew" if outcome.repaired.text != outcome.plain.text else "chosen from several drafts"
        anew = f"{how}: <code>{escape(outcome.shown.text.strip())}</code><br>"
    return (
        f"<p><b>{escape(outcome.problem.name)}</b> {escape(', '.join(signs))}</p>"
        f'<pre><span class="dim">{escape(before)}</span>{_shaded(outcome.tokens, outcome.plain.text)}'
        f'<span class="dim">{escape(after)}</span></pre>'
        f"<p>author: <code>{escape(outcome.problem.expected.strip())}</code><br>{anew}"
        f"target ({verdict}): <code>{escape(outcome.target.strip())}</code></p>"
    )


def _shaded(tokens: Sequence[Token], text: str) -> str:
    parts, rest = [], text
    for token in tokens:
        piece = token.piece.decode("utf-8", "replace").partition("\n")[0][: len(rest)]
        if not piece:
            continue
        rest = rest[len(piece) :]
        share = signals.uncertainty(token, "entropy")
        shade = 0.0 if share is None else min(share / DARKEST, 1.0)
        parts.append(f'<span class="token" style="background:rgba(214,60,40,{shade:.2f})">{escape(piece)}</span>')
    return "".join(parts)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
