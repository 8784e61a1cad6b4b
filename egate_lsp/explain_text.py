"""An explained completion as plain lines, for a floating window without colours: the same facts as the page. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from egate_lsp.explain_view import LEFT_OUT, SHOWN, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from egate_lsp.explain_view import LineFacts, RequestFacts, TokenFacts, View

MOST_TOKENS = 4


def text(view: View) -> str:
    """The whole view, without a line break at its end."""
    return "\n".join(_lines(view))


def _lines(view: View) -> Iterator[str]:
    yield f"{view.name}:{view.number}"
    if view.gate.tau is not None:
        yield f"deferred where {view.gate.rule} reaches tau = {number(view.gate.tau)}"
    if view.note or not view.lines:
        yield view.note or "nothing to show"
    if view.pending:
        yield "More was still awaited when this was returned."
    for line in view.lines:
        yield ""
        yield from _line(view, line)
    yield ""
    if not view.requests:
        yield "requests: none"
    for request in view.requests:
        yield f"request for line {request.number}: {_told(request)}, {_counts(request)}"
    for title, parts in ((SHOWN, view.shown_parts), (LEFT_OUT, view.left_out)):
        if parts:
            yield f"{title}:"
        for part in parts:
            yield f"  {part.name}: {part.left_out or part.cost}"
            yield from (f"    {row}" for row in part.rows)
    times = ", ".join(f"{name} {value:.1f} ms" for name, value in view.timing_ms)
    if times:
        yield f"time: {times}"


def _line(view: View, line: LineFacts) -> Iterator[str]:
    source = f"{line.source} ({line.tier})" if line.tier else line.source
    written = "".join(span.text for span in line.spans if not span.beyond)
    yield f"{line.number:>5}  {source:<6}  {line.before}{written}{line.after}"
    if line.replaced is not None:
        yield f"       the draft wrote: {line.replaced.strip() or '(nothing)'}"
    verdict = f"verdict {line.verdict}" if line.verdict else "no draft to judge"
    yield f"       {verdict}, draft's score {number(line.score)}, tau {number(view.gate.tau)}"
    for reason in line.reasons:
        yield f"       - {reason}"
    for request in line.requests:
        yield f"       asked {_told(request)}"
    for token in line.uncertain[:MOST_TOKENS]:
        yield f"       {_token(token)}"


def _token(token: TokenFacts) -> str:
    return (
        f"{token.label}: entropy {number(token.entropy)} nats ({number(token.normalised)} of ln|V|), "
        f"probability {number(token.probability)}, margin {number(token.margin)}"
    )


def _told(request: RequestFacts) -> str:
    said = f"{request.tier}: {request.outcome}, {request.latency_ms:.0f} ms"
    return f"{said} ({request.detail})" if request.detail else said


def _counts(request: RequestFacts) -> str:
    where = "remote" if request.remote else "this machine"
    asked, answered = number(request.prompt_tokens, 0), number(request.completion_tokens, 0)
    return f"tokens {asked} in, {answered} out, {where}"
