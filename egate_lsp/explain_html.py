"""An explained completion as one HTML page that needs nothing else: no script, no font, no network. Pure.

Every text goes through `_e`; nothing of the document reaches the page unescaped.
"""

from __future__ import annotations

import html
from string import Template
from typing import TYPE_CHECKING

from egate_lsp.explain_view import LEFT_OUT, SHOWN, STEPS, count, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from egate_lsp.explain_view import ContextLine, LineFacts, RequestFacts, Span, TokenFacts, View

# From nearly the page's background to the strongest shade. The text on them has a contrast of at least 7 : 1.
_LIGHT = ((0xFF, 0xF3, 0xCC), (0xFF, 0xA0, 0x50))
_DARK = ((0x3C, 0x36, 0x22), (0x8A, 0x30, 0x00))

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<main>
<h1>$title</h1>
$summary
$legend
<section aria-label="Completion in its surroundings" class="code">
$code
</section>
<h2>Lines</h2>
$lines
<h2>Requests</h2>
$requests$window
<div class="pair">
<section><h2>Time by stage</h2>
$timing
</section>
<section><h2>Engine counters</h2>
$stats
</section>
</div>
</main>
</body>
</html>
""")

_STYLE = """\
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1b1b; --soft: #595959; --line: #d8d8d8;
  --panel: #f7f7f5; --draft: #17632f; --target: #7a1fa2; --gone: #a01818; --tip: #ffffff; --hatch: #0000002e; }
LIGHT_SHADES
@media (prefers-color-scheme: dark) {
:root { --paper: #15161a; --ink: #ececec; --soft: #a8a8ae; --line: #3a3b42; --panel: #1c1d22; --draft: #7fd79a;
  --target: #d9a3f2; --gone: #ff9b94; --tip: #2a2b32; --hatch: #ffffff33; }
DARK_SHADES
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 12rem; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
h3, h4 { font-size: 1rem; margin: 0 0 .2rem; }
p { margin: .2rem 0; }
a { color: inherit; }
code, .code, td.mono { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .9rem; }
code, td.mono { white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
.soft { color: var(--soft); }
.note { border-left: 4px solid var(--gone); padding: .3rem .8rem; background: var(--panel); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; align-items: center; margin: .8rem 0; font-size: .85rem; }
.scale { display: inline-flex; vertical-align: middle; margin: 0 .4rem; border: 1px solid var(--line); }
.scale i { width: 1.3rem; height: 1rem; }
.key { padding: 0 .35rem; }
.code { border: 1px solid var(--line); border-radius: 6px; background: var(--panel); padding: .5rem 0; }
.row { display: grid; grid-template-columns: 3.6rem 4.2rem 3.8rem minmax(0, 1fr); position: relative; }
.row > * { padding: .08rem .4rem; }
.no { text-align: right; color: var(--soft); user-select: none; }
.who, .score { user-select: none; font-size: .8rem; line-height: 1.7; }
.score { color: var(--soft); text-align: right; }
.draft { color: var(--draft); } .target { color: var(--target); font-weight: 600; }
.new { background: var(--paper); } .new.by-draft { box-shadow: inset 3px 0 var(--draft); }
.new.by-target { box-shadow: inset 3px 0 var(--target); }
.text { white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
.context .text, .around { color: var(--soft); }
.gone .text, .gone .around { color: var(--gone); } .gone del { text-decoration: line-through; }
.gone .who, .gone-text { color: var(--gone); }
.cursor { border-left: 2px solid var(--gone); }
.t { border-radius: 2px; outline: 1px solid transparent; cursor: help; }
.t:hover, .t:focus { outline-color: var(--ink); }
.beyond { opacity: .75; font-size: .8em; }
.hatched { background: repeating-linear-gradient(45deg, transparent 0 4px, var(--hatch) 4px 5px); }
.tip { display: none; position: absolute; z-index: 1; top: 100%; left: 11.6rem; min-width: 17rem;
  max-width: calc(100% - 12rem); padding: .5rem .7rem; border: 1px solid var(--soft); border-radius: 6px;
  background: var(--tip); color: var(--ink); font: .82rem/1.45 system-ui, sans-serif; white-space: normal;
  user-select: none; box-shadow: 0 3px 12px #0005; pointer-events: none; }
.t:hover > .tip, .t:focus > .tip { display: block; }
.t:hover > .tip { z-index: 2; }
.tip b { display: block; font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
.tip span { display: block; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: .6rem .9rem; margin: .6rem 0; }
.card ul { margin: .2rem 0; padding-left: 1.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; }
th, td { text-align: left; padding: .12rem .7rem .12rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.num, th.num { text-align: right; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; }
.pair { display: flex; flex-wrap: wrap; gap: 0 4rem; }
@media (max-width: 40rem) { .row { grid-template-columns: 2.4rem 3.8rem minmax(0, 1fr); } .score { display: none; }
  .tip { left: .5rem; max-width: 95%; } }
@media print { .tip { display: none !important; } }"""


def page(view: View) -> str:
    """The whole page."""
    return _PAGE.substitute(
        title=_e(f"{view.name}:{view.number}"),
        style=_style(),
        summary=_summary(view),
        legend=_legend(view),
        code="\n".join(_code(view)),
        lines="\n".join(_card(view, line) for line in view.lines) or '<p class="soft">none</p>',
        requests=_requests(view.requests),
        timing=_pairs((name, f"{value:.1f} ms") for name, value in view.timing_ms),
        window=_window(view),
        stats=_pairs((name, count(value)) for name, value in view.stats),
    )


def _window(view: View) -> str:
    """What the models were shown: sizes, and the texts that the reader does not see above."""
    if not view.window:
        return ""
    sizes = _pairs((part.name, part.cost) for part in view.shown_parts)
    texts = (
        f"<details><summary>{_e(part.name)}</summary>"
        f'<div class="text context">{_e(chr(10).join(part.rows))}</div></details>'
        for part in view.shown_parts
        if part.rows
    )
    left_out = _pairs((part.name, part.left_out) for part in view.left_out)
    rest = f"\n<h2>{LEFT_OUT.capitalize()}</h2>\n{left_out}" if view.left_out else ""
    return f"\n<h2>{SHOWN.capitalize()}</h2>\n{sizes}{''.join(texts)}{rest}"


def _e(text: str) -> str:
    return html.escape(text, quote=True)


def _style() -> str:
    light, dark = (_shades(ends) for ends in (_LIGHT, _DARK))
    return _STYLE.replace("LIGHT_SHADES", light).replace("DARK_SHADES", dark)


def _shades(ends: tuple[tuple[int, int, int], tuple[int, int, int]]) -> str:
    rules = []
    for step in range(1, STEPS + 1):
        share = (step - 1) / (STEPS - 1)
        mixed = (round(low + (high - low) * share) for low, high in zip(*ends, strict=True))
        rules.append(f".h{step} {{ background: #{''.join(f'{part:02x}' for part in mixed)}; }}")
    return "\n".join(rules)


def _summary(view: View) -> str:
    targets = sum(line.source == "target" for line in view.lines)
    deferred = sum(line.verdict == "defer" for line in view.lines)
    many = "1 line" if len(view.lines) == 1 else f"{len(view.lines)} lines"
    said = f"{many}, {deferred} deferred by the gate, {targets} written or confirmed by a target."
    parts = [f"<p>{said} {_rule(view)}</p>"]
    if view.note or not view.lines:
        parts.append(f'<p class="note" role="note">{_e(view.note or "nothing to show")}</p>')
    if view.pending:
        parts.append('<p class="note" role="note">More was still awaited when this was returned.</p>')
    return "\n".join(parts)


def _rule(view: View) -> str:
    if view.gate.tau is None:
        return ""
    return f"A line is deferred where its {_e(view.gate.rule)} reaches τ = {number(view.gate.tau)}."


def _legend(view: View) -> str:
    boxes = "".join(f'<i class="h{step}"></i>' for step in range(STEPS + 1))
    return (
        '<div class="legend">'
        f'<span>entropy of a token / ln|V|: 0<span class="scale" aria-hidden="true">{boxes}</span>'
        f"{view.scale:.2f}</span>"
        '<span><span class="hatched key">abc</span> no entropy, or no vote</span>'
        '<span><span class="draft">draft</span> / <span class="target">target</span>: who wrote the line</span>'
        "<span>· blank, → tab, ⏎ line break; small: not part of the line's text</span>"
        '<span class="soft">Line numbers are those with the completion inserted.</span>'
        "</div>"
    )


def _code(view: View) -> Iterable[str]:
    yield from map(_context, view.above)
    for line in view.lines:
        if line.replaced is not None:
            yield _row("gone", "", "was", "", _gone(line.before, line.replaced))
        yield _completed(view, line)
    if view.cursor_line is not None:
        at, before, after = view.cursor_line
        yield _row("context", str(at), "", "", f'{_e(before)}<span class="cursor"></span>{_e(after)}')
    yield from map(_context, view.below)


def _gone(before: str, text: str) -> str:
    written = text.lstrip()
    return f"{_e(before + text[: len(text) - len(written)])}<del>{_e(written)}</del>"


def _context(line: ContextLine) -> str:
    return _row("context", str(line.number), "", "", _e(line.text))


def _row(kind: str, at: str, who: str, score: str, text: str) -> str:
    return (
        f'<div class="row {kind}"><span class="no">{at}</span><span class="who">{who}</span>'
        f'<span class="score">{score}</span><span class="text">{text}</span></div>'
    )


def _completed(view: View, line: LineFacts) -> str:
    around = [f'<span class="around">{_e(text)}</span>' if text else "" for text in (line.before, line.after)]
    shaded = "".join(_span(view, span) for span in line.spans if not span.beyond)
    beyond = "".join(_span(view, span) for span in line.spans if span.beyond)
    at = f'<a href="#line-{line.number}">{line.number}</a>'
    who = f'<span class="{_e(line.source)}">{_e(line.source)}</span>'
    return _row(f"new by-{_e(line.source)}", at, who, number(line.score), f"{around[0]}{shaded}{around[1]}{beyond}")


def _span(view: View, span: Span) -> str:
    if not span.tokens:
        return _e(span.text)
    beyond = " beyond" if span.beyond else ""
    tips = "".join(_tip(token) for token in span.tokens)
    return (
        f'<span class="t {_shade(view, span.normalised)}{beyond}" tabindex="0">{_e(span.text)}'
        f'<span class="tip" role="tooltip">{tips}</span></span>'
    )


def _shade(view: View, normalised: float | None) -> str:
    step = view.step(normalised)
    return "hatched" if step is None else f"h{step}"


def _tip(token: TokenFacts) -> str:
    facts = [f"entropy {number(token.entropy)} nats, normalised {number(token.normalised)}"]
    facts.append(f"probability {number(token.probability)}, margin {number(token.margin)}")
    if token.top:
        facts.append(f"likeliest: {_top(token)}")
    if token.silent:
        facts.append(token.silent)
    return f"<b>{_e(token.label)}</b>" + "".join(f"<span>{_e(fact)}</span>" for fact in facts)


def _top(token: TokenFacts) -> str:
    return ", ".join(number(probability) for probability in token.top[:5])


def _card(view: View, line: LineFacts) -> str:
    parts = [f'<section class="card" id="line-{line.number}">', f"<h3>Line {line.number}: {_title(line)}</h3>"]
    parts.append(f"<p>{_judgement(view, line)}</p>")
    if line.reasons:
        parts.append("<ul>" + "".join(f"<li>{_e(reason)}</li>" for reason in line.reasons) + "</ul>")
    if line.replaced is not None:
        parts.append(
            f'<p>The draft wrote: <code class="gone-text">{_e(line.replaced.strip()) or "(nothing)"}</code></p>'
        )
    parts += [f"<p>{_asked(request)}</p>" for request in line.requests]
    if line.signals:
        parts.append("<h4>Signals</h4>" + _pairs((name, count(value)) for name, value in line.signals))
    if line.tokens:
        parts.append(_tokens(view, line.tokens))
    return "\n".join([*parts, "</section>"])


def _title(line: LineFacts) -> str:
    source = _e(line.source)
    return f'<span class="{source}">{source}</span>{f" ({_e(line.tier)})" if line.tier else ""}'


def _judgement(view: View, line: LineFacts) -> str:
    verdict = f"verdict <b>{_e(line.verdict)}</b>" if line.verdict else "no draft to judge"
    return f"{verdict}; score of the draft's line {number(line.score)}, τ {number(view.gate.tau)}"


def _asked(request: RequestFacts) -> str:
    said = f"asked {request.tier}: {request.outcome}, {request.latency_ms:.0f} ms"
    return _e(f"{said} ({request.detail})" if request.detail else said)


def _tokens(view: View, tokens: Sequence[TokenFacts]) -> str:
    head = _head("token", ("nats", "normalised", "probability", "margin"), "likeliest")
    rows = "".join(
        f'<tr><td class="mono"><span class="{_shade(view, token.normalised)}">{_e(token.label)}</span></td>'
        + "".join(
            f'<td class="num">{number(value)}</td>'
            for value in (token.entropy, token.normalised, token.probability, token.margin)
        )
        + f"<td>{_e(_top(token) or token.silent)}</td></tr>"
        for token in tokens
    )
    told = f"{len(tokens)} token{'s' if len(tokens) != 1 else ''}"
    return f'<details><summary>{told}</summary><div class="scroll"><table>{head}{rows}</table></div></details>'


def _head(first: str, numbers: Sequence[str], last: str) -> str:
    middle = "".join(f'<th class="num" scope="col">{name}</th>' for name in numbers)
    return f'<tr><th scope="col">{first}</th>{middle}<th scope="col">{last}</th></tr>'


def _requests(requests: Sequence[RequestFacts]) -> str:
    if not requests:
        return '<p class="soft">none</p>'
    head = _head("tier and outcome", ("line", "ms", "prompt tokens", "completion tokens"), "where, detail")
    rows = "".join(
        f"<tr><td>{_e(request.tier)}: {_e(request.outcome)}</td>"
        f'<td class="num">{request.number}</td><td class="num">{request.latency_ms:.0f}</td>'
        f'<td class="num">{number(request.prompt_tokens, 0)}</td>'
        f'<td class="num">{number(request.completion_tokens, 0)}</td>'
        f"<td>{_e(_where(request))}</td>"
        "</tr>"
        for request in requests
    )
    return f'<div class="scroll"><table>{head}{rows}</table></div>'


def _where(request: RequestFacts) -> str:
    where = "remote" if request.remote else "this machine"
    return f"{where}: {request.detail}" if request.detail else where


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f'<tr><th scope="row">{_e(name)}</th><td class="num">{_e(value)}</td></tr>' for name, value in pairs)
    return f"<table>{rows}</table>" if rows else '<p class="soft">none</p>'
