"""Stage 1 of 5: a document and a cursor become what the models are shown. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from egate_lsp import languages
from egate_lsp.values import FimContext, Shape

_LINE_BREAK = re.compile(r"\r\n?")


@dataclass(frozen=True, slots=True)
class Budget:
    """How many characters around the cursor may be shown."""

    prefix_chars: int
    suffix_chars: int


def build(
    text: str,
    offset: int,
    budget: Budget,
    *,
    path: str = "",
    language: str = "",
    span: tuple[int, int] | None = None,
    outline: str = "",
) -> FimContext:
    """Cut the text around `offset` (code points) to the budget, at line starts, with LF line breaks.

    `span` is what to show instead, as `windows` chose it, and `outline` the rest of the file in short.

    Without it the prefix's start is anchored to multiples of a quarter of the budget, so that typing does not move it
    at each keystroke: every move would make the draft engine read the whole prompt anew. The prefix is therefore
    between three quarters of the budget and the whole of it.
    """
    offset = min(max(offset, 0), len(text))
    if span is None:
        span = _window_start(text, offset, budget.prefix_chars), window_end(text, offset, budget.suffix_chars)
    start, end = span
    prefix = _with_lf(text[start:offset])
    # A cursor between \r and \n (some clients round so) must not make two line breaks of one.
    suffix = _with_lf(text[offset:end])
    head, tail = _with_lf(text[:start]), _with_lf(text[end:])
    shape = shape_at(prefix, suffix, language)
    return FimContext(prefix, suffix, path, language, shape, head, tail, outline=_with_lf(outline))


def recut(hole: FimContext, budget: Budget) -> FimContext:
    """The same hole with another share of its document shown, by the rules of `build`."""
    before, after = hole.head + hole.prefix, hole.suffix + hole.tail
    start, end = _window_start(before, len(before), budget.prefix_chars), window_end(after, 0, budget.suffix_chars)
    return replace(hole, prefix=before[start:], suffix=after[:end], head=before[:start], tail=after[end:])


def nearest(prefix: str, suffix: str, chars: int) -> tuple[str, str]:
    """The two sides of a window cut to few characters, by the rules of `build`: what stands before the cursor, and the
    rest of its line; lines below only where there is little above, because in so few characters they tell less."""
    step = max(chars // 4, 1)
    room = max(chars - len(prefix), 0) // step * step  # what is typed above must not move the suffix at each key
    rest = min(len(suffix.partition("\n")[0]), step)
    start = _window_start(prefix, len(prefix), chars)
    return prefix[start:], suffix[: window_end(suffix, 0, max(room, rest))]


def _with_lf(text: str) -> str:
    return _LINE_BREAK.sub("\n", text) if "\r" in text else text


def shape_at(prefix: str, suffix: str, language: str) -> Shape:
    """How much is wanted: the rest of the line where text follows the cursor or precedes it on a line that opens
    nothing; the whole block on an empty line or after a block opener."""
    before = prefix.rpartition("\n")[2]
    after = suffix.partition("\n")[0]
    if after.strip():
        return Shape.LINE
    if not before.strip() or languages.opens_block(before, language):
        return Shape.BLOCK
    return Shape.LINE


def _window_start(text: str, offset: int, budget: int) -> int:
    if offset <= budget:
        return 0
    quantum = max(budget // 4, 1)
    start = -(-(offset - budget) // quantum) * quantum
    line_start = text.find("\n", start, offset) + 1
    return line_start or start


def window_end(text: str, offset: int, budget: int) -> int:
    """Where a suffix of at most `budget` characters ends: after the last line that fits, or in it if none does."""
    if len(text) - offset <= budget:
        return len(text)
    line_end = text.rfind("\n", offset, offset + budget) + 1
    return line_end or offset + budget
