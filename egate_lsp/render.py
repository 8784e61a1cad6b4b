"""An explanation (see `explanation.as_json`) drawn for a terminal: sources in the margin, tokens shaded by entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

# Background by normalised entropy: below each bound, this colour. 0.12 is about where one line in five is deferred.
_SHADES = ((0.02, ""), (0.06, "on grey19"), (0.12, "on grey27"), (0.20, "on dark_goldenrod"), (1.01, "on dark_red"))
_SOURCES = {"draft": ("draft ", "green"), "target": ("target", "magenta")}


def completion(explanation: dict[str, Any], *, before: str = "", after: str = "", width: int = 100) -> RenderableType:
    """The merged completion line by line: source, score, text. `before` and `after` are what stands on the cursor's
    line around it, shown dimmed."""
    lines = explanation["lines"]
    if not lines:
        return Text(explanation["note"] or "nothing to show", style="dim italic")
    parts: list[RenderableType] = []
    for index, line in enumerate(lines):
        row = Text(no_wrap=True, overflow="ellipsis")
        label, colour = _SOURCES[line["source"]]
        row.append(f" {label} ", style=colour)
        row.append(f"{_score(line['score'])} ", style="dim")
        if index == 0:
            row.append(before, style="dim")
        row.append_text(shaded(line))
        if index == len(lines) - 1:
            row.append(after, style="dim")
        row.truncate(width, overflow="ellipsis")
        parts.append(row)
        if line["draft"] is not None and line["draft"].rstrip() != line["text"].rstrip():
            parts.append(Text(f" {'':6}       was: {line['draft'].strip()}", style="dim strike", no_wrap=True))
        if line["source"] == "target" or any(reason.startswith("unsure") for reason in line["reasons"]):
            parts.append(Text(f" {'':6}       {'; '.join(line['reasons'])}", style="dim italic"))
    return Group(*parts)


def shaded(line: dict[str, Any]) -> Text:
    """The line's text, each token on a background that tells its entropy."""
    text = Text(line["text"].expandtabs(4))
    pieces = [token for token in line["tokens"] if token["text"]]
    if "".join(token["text"] for token in pieces).strip("\n").strip() not in line["text"]:
        return text  # the tokens are not this text's (healed, cut or cleaned): no shading rather than a wrong one
    at = 0
    for token in pieces:
        piece = token["text"].strip("\n")
        start = line["text"].find(piece, at)
        if start < 0:
            break
        at = start + len(piece)
        if style := _shade(token["normalised_entropy"]):
            text.stylize(style, start, at)
    return text


def legend() -> Text:
    """What the shades mean."""
    text = Text(" certain ", style="dim")
    for bound, style in _SHADES[1:]:
        text.append(f" < {bound:.2f} " if bound < 1 else " more ", style=style)
    text.append(" entropy of each token / ln|V|", style="dim")
    return text


def times(explanation: dict[str, Any]) -> Text:
    """One line of stage times and requests."""
    stages = ", ".join(f"{name.replace('_', ' ')} {value:.0f} ms" for name, value in explanation["timing_ms"].items())
    requests = ", ".join(
        f"{request['tier']} {request['outcome']} in {request['latency_ms']:.0f} ms"
        + (f" ({request['detail']})" if request["detail"] else "")
        for request in explanation["requests"]
    )
    return Text(f" {stages}\n requests: {requests or 'none'}", style="dim")


def _score(score: float | None) -> str:
    return "  -  " if score is None else f"{score:5.3f}"


def _shade(entropy: float | None) -> str:
    if entropy is None:
        return ""
    return next(style for bound, style in _SHADES if entropy < bound)
