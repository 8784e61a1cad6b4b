"""An explained completion for a terminal: the same facts as the HTML page, drawn with rich. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from egate_lsp.explain_view import LEFT_OUT, SHOWN, STEPS, count, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from egate_lsp.explain_view import LineFacts, RequestFacts, Span, TokenFacts, View

MOST_TOKENS = 4
_TAB = "    "
# White on these reads well whatever the terminal's own colours are.
_LOW, _HIGH = (0x3A, 0x34, 0x24), (0xA0, 0x34, 0x00)
_COLOURS = {"draft": "green", "target": "magenta"}


def drawing(view: View) -> RenderableType:
    """The whole view."""
    parts: list[RenderableType] = [Text(f"{view.name}:{view.number}", style="bold"), legend(view), Text()]
    parts += _code(view)
    if view.note or not view.lines:
        parts.append(Text(view.note or "nothing to show", style="yellow"))
    if view.pending:
        parts.append(Text("More was still awaited when this was returned.", style="yellow"))
    for line in view.lines:
        parts += _details(view, line)
    parts += [Text(), *_requests(view)]
    parts += _window(view)
    parts.append(_pairs("time", ((name, f"{value:.1f} ms") for name, value in view.timing_ms)))
    parts.append(_pairs("engine", ((name, count(value)) for name, value in view.stats)))
    return Group(*parts)


def _window(view: View) -> Iterator[RenderableType]:
    if view.window:
        yield _pairs(SHOWN, ((part.name, part.cost) for part in view.shown_parts))
    for part in view.shown_parts:
        for row in part.rows:
            yield _indented(Text(_tabs(row), style="dim"))
    if view.left_out:
        yield _pairs(LEFT_OUT, ((part.name, part.left_out) for part in view.left_out))


def legend(view: View) -> Text:
    """The colour scale, and the rule."""
    text = Text("entropy of a token / ln|V|: 0 ", style="dim")
    for step in range(STEPS + 1):
        text.append("  ", style=_background(step))
    text.append(f" {view.scale:.2f}")
    if view.gate.tau is not None:
        text.append(f"   deferred where {view.gate.rule} reaches τ = {number(view.gate.tau)}")
    return text


def _background(step: int | None) -> str:
    if not step:
        return "not dim"
    share = (step - 1) / (STEPS - 1)
    mixed = (round(low + (high - low) * share) for low, high in zip(_LOW, _HIGH, strict=True))
    return f"not dim white on #{''.join(f'{part:02x}' for part in mixed)}"


def _code(view: View) -> Iterator[RenderableType]:
    for line in view.above:
        yield _row(line.number, "", "", Text(_tabs(line.text), style="dim"))
    for facts in view.lines:
        if facts.replaced is not None:
            yield _row(None, "was", "", _gone(facts.before, facts.replaced))
        yield _row(facts.number, facts.source, number(facts.score), _text(view, facts))
    if view.cursor_line is not None:
        at, before, after = view.cursor_line
        yield _row(at, "", "", Text.assemble((_tabs(before), "dim"), ("▏", "bold red"), (_tabs(after), "dim")))
    for line in view.below:
        yield _row(line.number, "", "", Text(_tabs(line.text), style="dim"))


def _gone(before: str, text: str) -> Text:
    written = text.lstrip()
    return Text.assemble((_tabs(before + text[: len(text) - len(written)]), "dim"), (_tabs(written), "red strike"))


def _row(at: int | None, who: str, score: str, text: Text) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=5, justify="right", style="dim")
    row.add_column(width=6, style=_COLOURS.get(who, "red"))
    row.add_column(width=6, justify="right", style="dim")
    row.add_column(overflow="fold")
    row.add_row("" if at is None else str(at), who, score, text)
    return row


def _text(view: View, line: LineFacts) -> Text:
    text = Text()
    text.append(_tabs(line.before), style="dim")
    for span in line.spans:
        if not span.beyond:
            text.append(_tabs(span.text), style=_style(view, span))
    text.append(_tabs(line.after), style="dim")
    for span in line.spans:
        if span.beyond:
            text.append(span.text, style=f"{_style(view, span)} italic")
    return text


def _style(view: View, span: Span) -> str:
    return _background(view.step(span.normalised)) if span.tokens else "not dim"


def _tabs(text: str) -> str:
    return text.replace("\t", _TAB)


def _details(view: View, line: LineFacts) -> Iterator[RenderableType]:
    head = Text.assemble(
        f"\nline {line.number}: ", (line.source, _COLOURS.get(line.source, "")), f" ({line.tier})" if line.tier else ""
    )
    head.append(f", {f'verdict {line.verdict}' if line.verdict else 'no draft to judge'}", style="bold")
    head.append(f", draft's score {number(line.score)}, τ {number(view.gate.tau)}")
    yield head
    for reason in line.reasons:
        yield _indented(Text(f"- {reason}"))
    if line.replaced is not None:
        yield _indented(Text.assemble("the draft wrote: ", (line.replaced.strip() or "(nothing)", "red")))
    for request in line.requests:
        yield _indented(Text(f"asked {_told(request)}"))
    if line.signals:
        said = ", ".join(f"{name} {count(value)}" for name, value in line.signals)
        yield _indented(Text(f"signals: {said}"))
    if line.uncertain:
        yield _indented(_tokens(view, line.uncertain[:MOST_TOKENS]))


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2))


def _tokens(view: View, tokens: Iterable[TokenFacts]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("least certain", overflow="fold", max_width=28)
    for name in ("nats", "norm.", "prob.", "margin"):
        table.add_column(name, justify="right")
    table.add_column("likeliest", style="dim")
    for token in tokens:
        table.add_row(
            Text.assemble((token.label, _background(view.step(token.normalised)))),
            *(number(value) for value in (token.entropy, token.normalised, token.probability, token.margin)),
            " ".join(number(probability) for probability in token.top[:5]),
        )
    return table


def _requests(view: View) -> Iterator[RenderableType]:
    if not view.requests:
        yield Text("requests: none")
    for request in view.requests:
        yield Text(f"request for line {request.number}: {_told(request)}{_counts(request)}")


def _told(request: RequestFacts) -> str:
    said = f"{request.tier}: {request.outcome}, {request.latency_ms:.0f} ms"
    return f"{said} ({request.detail})" if request.detail else said


def _counts(request: RequestFacts) -> str:
    where = "remote" if request.remote else "this machine"
    asked, answered = number(request.prompt_tokens, 0), number(request.completion_tokens, 0)
    return f", tokens {asked} in, {answered} out, {where}"


def _pairs(title: str, pairs: Iterable[tuple[str, str]]) -> Text:
    return Text(f"{title}: " + (", ".join(f"{name} {value}" for name, value in pairs) or "none"))
