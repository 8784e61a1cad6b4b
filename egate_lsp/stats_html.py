"""The statistics as one HTML page that needs nothing else: no script, no font, no network. Pure."""

from __future__ import annotations

import html
from string import Template
from typing import TYPE_CHECKING

from egate_lsp import plots
from egate_lsp.figures import SHARES
from egate_lsp.plots import Series
from egate_lsp.stats_words import bytes_, count, milliseconds, money, percent, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from egate_lsp.figures import Asked, Figures, Kept, Shown, Step

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>egate-lsp, $first to $last</title>
<style>
$style
</style>
</head>
<body>
<main>
<h1>egate-lsp <span class="soft">$first to $last</span></h1>
$cards
<div class="plots">
$plots
</div>
<h2>By source</h2>
$by_source
<h2>By language</h2>
$by_language
<h2>Time from request to reply</h2>
$latency
<h2>What left for a target</h2>
$asked
<details><summary>Step by step</summary>
$steps
</details>
<p class="soft">Kept on this machine by egate-lsp; <code>egate-lsp ledger</code> lists each request.</p>
</main>
</body>
</html>
""")

_STYLE = """\
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1b1b; --soft: #595959; --line: #d8d8d8; --panel: #f7f7f5;
  --s0: #1b7a4b; --s1: #6fb98f; --s2: #2f6db3; --s3: #c9803a; --s4: #b5b5b5; --s5: #7a1fa2; }
@media (prefers-color-scheme: dark) {
:root { --paper: #15161a; --ink: #ececec; --soft: #a8a8ae; --line: #3a3b42; --panel: #1c1d22;
  --s0: #58c98b; --s1: #2f7d55; --s2: #6ea8e8; --s3: #e0a060; --s4: #5d5e66; --s5: #d9a3f2; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 78rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.4rem; margin: 0 0 .8rem; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
h3 { font-size: .95rem; margin: 0 0 .2rem; font-weight: 600; }
.soft { color: var(--soft); font-weight: 400; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: .7rem; margin: 0 0 1.2rem; }
.card { border: 1px solid var(--line); border-radius: 6px; background: var(--panel); padding: .6rem .8rem; }
.card b { display: block; font-size: 1.35rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card span { display: block; font-size: .82rem; color: var(--soft); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem .4rem; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--line); stroke-width: 1; }
.line { fill: none !important; stroke-width: 2; }
SERIES
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .3rem 0 0; font-size: .82rem; color: var(--soft); }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .35rem;
  vertical-align: -1px; }
.legend i.dashed { height: 0; border-top-style: dashed; border-top-width: 2px; background: none !important;
  border-radius: 0; vertical-align: 3px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; }
th, td { text-align: right; padding: .2rem 1.1rem .2rem 0; border-bottom: 1px solid var(--line); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; color: var(--soft); }
summary { cursor: pointer; margin: 1.5rem 0 .5rem; font-weight: 600; }
p { margin: .4rem 0; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .9em; }
""".replace(
    "SERIES",
    "\n".join(
        f".s{n} {{ fill: var(--s{n}); stroke: var(--s{n}); }} rect.s{n} {{ stroke: none; }} "
        f"i.s{n} {{ background: var(--s{n}); border-color: var(--s{n}); }}"
        for n in range(6)
    ),
)


def page(figures: Figures) -> str:
    """The whole page."""
    return _PAGE.substitute(
        first=figures.first,
        last=figures.last,
        style=_STYLE,
        cards=_cards(figures),
        plots="\n".join(_plots(figures)),
        by_source=_fates(figures.by_source, "source"),
        by_language=_fates(figures.by_language, "language"),
        latency=_latency(figures),
        asked=_asked(figures),
        steps=_steps(figures.steps),
    )


def _e(text: str) -> str:
    return html.escape(text, quote=True)


def _cards(figures: Figures) -> str:
    total, asked = figures.total, figures.asked
    cards = [
        (count(total.shown), "suggestions shown"),
        (percent(total.rate), f"accepted: {count(total.accepted)} whole, {count(total.partly)} in part"),
        (count(total.chars_taken), "characters not typed"),
        (percent(total.kept_300.share), f"of it kept after 5 min{_known(total.kept_300)}"),
        (percent(figures.deferred), f"of lines deferred, {percent(figures.wanted)} wanted"),
        (count(asked.requests), f"requests, {bytes_(asked.bytes_out)} sent"),
        (money(asked.cost), "USD spent" + (f", {count(asked.estimated)} estimated" if asked.estimated else "")),
    ]
    inner = "".join(f'<div class="card"><b>{_e(value)}</b><span>{_e(told)}</span></div>' for value, told in cards)
    return f'<div class="cards">{inner}</div>'


def _known(kept: Kept) -> str:
    return f" ({count(kept.known)} seen)" if kept.known else ""


def _plots(figures: Figures) -> Iterable[str]:
    steps, each_step = figures.steps, f"by {figures.unit}"
    labels = [step.label for step in steps]
    fates = [
        Series("accepted", "s0", [step.shown.accepted for step in steps]),
        Series("in part", "s1", [step.shown.partly for step in steps]),
        Series("typed by hand", "s2", [step.shown.typed for step in steps]),
        Series("refused or undone", "s3", [step.shown.refused + step.shown.undone for step in steps]),
        Series("not known", "s4", [_unknown(step.shown) for step in steps]),
    ]
    yield _figure(
        f"Suggestions by what became of them, {each_step}", plots.bars("Suggestions", labels, fates, short), fates
    )
    shares = [
        Series("deferred", "s5", [step.deferred for step in steps]),
        Series("wanted", "s3", [step.wanted for step in steps], dashed=True),
    ]
    known = [value for each in shares for value in each.values if value is not None]
    top = min(plots.nice(max(known, default=0.0)), 1.0)
    yield _figure(
        f"Share of lines deferred, {each_step}", plots.lines("Deferred", labels, shares, percent, top=top), shares
    )
    saved = [Series("characters", "s0", [step.shown.chars_taken for step in steps])]
    yield _figure(f"Characters not typed, {each_step}", plots.bars("Characters", labels, saved, short), saved)
    requests = [
        Series("answered", "s5", [step.asked.answered for step in steps]),
        Series("failed or late", "s3", [step.asked.failed for step in steps]),
        Series("cancelled", "s4", [step.asked.requests - step.asked.answered - step.asked.failed for step in steps]),
    ]
    yield _figure(f"Requests to targets, {each_step}", plots.bars("Requests", labels, requests, short), requests)
    tokens = [
        Series("in", "s2", [step.asked.tokens_in for step in steps]),
        Series("out", "s5", [step.asked.tokens_out for step in steps]),
    ]
    yield _figure(f"Tokens of targets, {each_step}", plots.bars("Tokens", labels, tokens, short), tokens)
    cost = [Series("USD", "s3", [step.asked.cost for step in steps])]
    yield _figure(f"Cost in USD, {each_step}", plots.bars("Cost in USD", labels, cost, _dollars), cost)


def _unknown(shown: Shown) -> int:
    return max(shown.shown - shown.accepted - shown.partly - shown.typed - shown.refused - shown.undone, 0)


def _dollars(value: float) -> str:
    return "0" if value == 0 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _figure(title: str, plot: str, series: Sequence[Series]) -> str:
    return f"<figure><h3>{_e(title)}</h3>{plot}{plots.legend(series)}</figure>"


def _fates(rows: Sequence[Shown], name: str) -> str:
    head = (
        name,
        "shown",
        "accepted",
        "in part",
        "rate",
        "typed",
        "refused",
        "undone",
        "chars saved",
        "kept 30 s",
        "5 min",
    )
    body = [
        (
            row.name,
            count(row.shown),
            count(row.accepted),
            count(row.partly),
            percent(row.rate),
            count(row.typed),
            count(row.refused),
            count(row.undone),
            count(row.chars_taken),
            percent(row.kept_30.share),
            percent(row.kept_300.share),
        )
        for row in rows
        if row.shown
    ]
    return _table(head, body)


def _latency(figures: Figures) -> str:
    names = [f"p{share * 100:g}" for share in SHARES]
    body = [(source, *(milliseconds(values.get(name)) for name in names)) for source, values in figures.latency.items()]
    return _table(("source", *names), body)


def _asked(figures: Figures) -> str:
    head = ("model", "requests", "answered", "failed", "sent", "received", "tokens in", "cached", "out", "USD")
    return _table(head, [_request_row(row) for row in figures.by_model])


def _request_row(row: Asked) -> tuple[str, ...]:
    return (
        row.name,
        count(row.requests),
        count(row.answered),
        count(row.failed),
        bytes_(row.bytes_out),
        bytes_(row.bytes_in),
        ("~" if row.estimated else "") + count(row.tokens_in),
        count(row.tokens_cached),
        ("~" if row.estimated else "") + count(row.tokens_out),
        money(row.cost),
    )


def _steps(steps: Sequence[Step]) -> str:
    head = ("from", "shown", "accepted", "in part", "chars saved", "deferred", "wanted", "requests", "tokens", "USD")
    body = [
        (
            step.label,
            count(step.shown.shown),
            count(step.shown.accepted),
            count(step.shown.partly),
            count(step.shown.chars_taken),
            percent(step.deferred),
            percent(step.wanted),
            count(step.asked.requests),
            count(step.asked.tokens_in + step.asked.tokens_out),
            money(step.asked.cost),
        )
        for step in reversed(steps)
        if step.shown.shown or step.asked.requests
    ]
    return _table(head, body)


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    if not body:
        return '<p class="soft">nothing yet</p>'
    titles = "".join(f'<th scope="col">{_e(title)}</th>' for title in head)
    rows = "".join("<tr>" + "".join(f"<td>{_e(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f'<div class="scroll"><table><tr>{titles}</tr>{rows}</table></div>'
