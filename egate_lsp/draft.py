"""Stage 2 of 5: a model's tokens become lines, until the wanted text is complete.

Which line pays for a token that spans a line break: the one that holds its first character that is not white space,
or, for a token of white space alone, the one in which it begins. So the token ")\\n" belongs to the line it ends and
"\\n    return" to the line it begins.
"""

from __future__ import annotations

import codecs
import math
from collections import Counter
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from egate_lsp import languages
from egate_lsp.signals import line_logprob
from egate_lsp.values import DraftLine, Shape, Token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from egate_lsp.models import Limits, Model
    from egate_lsp.values import FimContext

MAX_BLANK_RUN = 2
MAX_PERIOD = 4  # lines
RUNAWAY_CHARS = 120
RUNAWAY_UNIT = 40
FENCE = "```"


class LineAssembler:
    """Collects tokens into lines. Holds incomplete UTF-8 back until the character is whole."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._tokens: list[Token] = []

    @property
    def text(self) -> str:
        """The line so far."""
        return self._text

    def feed(self, token: Token) -> list[DraftLine]:
        """The lines that this token completes."""
        segments = self._decoder.decode(token.piece).split("\n")
        owner = next((index for index, segment in enumerate(segments) if segment.strip()), 0)
        lines: list[DraftLine] = []
        for index, segment in enumerate(segments):
            if index:
                lines.append(self._end(complete=True))
            self._text += segment
            if index == owner:
                self._tokens.append(token)
        return lines

    def flush(self, *, complete: bool = True) -> DraftLine:
        """End the text here."""
        self._text += self._decoder.decode(b"", final=True)
        return self._end(complete=complete)

    def _end(self, *, complete: bool) -> DraftLine:
        line = DraftLine(self._text.removesuffix("\r"), tuple(self._tokens), complete)
        self._text, self._tokens = "", []
        return line


class Admission(Enum):
    """Whether a line still belongs to the wanted text."""

    ADMIT = "admit"
    LAST = "admit, and nothing after it"
    STOP = "the text ended before it"


def admission(context: FimContext, written: Sequence[str], line: str, max_lines: int) -> Admission:
    """Does `line` still belong to the text after `written`?

    Rules, in order: the cap on lines; a hole in a line takes one line; a fence by which a model that was trained on
    chats ends its code; a line that repeats the first line of the suffix; the end of the block (dedent; at top level a
    blank line before an unindented one); repetition.
    `written[0]` continues the cursor's line. Pure.
    """
    if len(written) >= max_lines:
        return Admission.STOP
    last = Admission.LAST if context.shape is Shape.LINE or len(written) == max_lines - 1 else Admission.ADMIT
    before = context.prefix.rpartition("\n")[2]
    whole = line if written else before + line
    if not whole.strip():
        blank_run = len(written) - len(_without_blank_tail(written)) + 1
        return Admission.STOP if blank_run > MAX_BLANK_RUN else last
    if _is_closing_fence(context, written, whole):
        return Admission.STOP
    if context.shape is Shape.BLOCK and _repeats_suffix(
        context.suffix, whole, on_own_line=not before.strip() or bool(written)
    ):
        return Admission.STOP
    if not written or context.shape is Shape.LINE:
        return last
    if _is_repetition([*written, line]):
        return Admission.STOP
    return _block_admission(context, written, line, last)


def is_over(context: FimContext, written: Sequence[str], start: str) -> bool:
    """Does a line that begins with `start` no longer belong to the text, however it goes on? By its indentation, which
    tells before the line is written to its end. `admission` says the same of the whole line. Pure."""
    if not written or context.shape is Shape.LINE or not start.strip():
        return False
    before = context.prefix.rpartition("\n")[2]
    outer = _indent(before) if before.strip() else _base(before, written)
    return _indent(start) < outer


def _is_closing_fence(context: FimContext, written: Sequence[str], line: str) -> bool:
    """True if the line is a fence of Markdown, in code, and no other is open above it, as in a docstring."""
    if line.strip() != FENCE or context.language in languages.FENCED:
        return False
    above = [*context.prefix.split("\n")[:-1], *written]
    return sum(text.lstrip().startswith(FENCE) for text in above) % 2 == 0


def _base(before: str, written: Sequence[str]) -> int:
    """Columns by which the block is indented that begins on the cursor's blank line."""
    whole = [before + written[0], *written[1:]]
    return next((_indent(text) for text in whole if text.strip()), len(before))


def _block_admission(context: FimContext, written: Sequence[str], line: str, otherwise: Admission) -> Admission:
    before = context.prefix.rpartition("\n")[2]
    indent = _indent(line)
    if before.strip():  # the cursor stood after a block opener
        outer = _indent(before)
        if indent > outer:
            return otherwise
        if indent == outer and languages.closes_block(line, context.language):
            return Admission.LAST
        return Admission.STOP
    base = _base(before, written)
    if indent < base:
        return Admission.STOP
    if base == 0 and indent == 0 and not written[-1].strip():
        return Admission.STOP
    return otherwise


def repeats_suffix(context: FimContext, line: str) -> bool:
    """True if `line`, written at the cursor, is the next line of code that stands after it already."""
    before = context.prefix.rpartition("\n")[2]
    return _repeats_suffix(context.suffix, before + line, on_own_line=not before.strip())


def _repeats_suffix(suffix: str, whole: str, *, on_own_line: bool) -> bool:
    rest = suffix.partition("\n")[2]
    following = next((text for text in rest.split("\n") if text.strip()), None)
    return on_own_line and following is not None and following.rstrip() == whole.rstrip()


def _is_repetition(lines: Sequence[str]) -> bool:
    """True if the text ends in three equal runs of one to four lines that hold a letter or digit."""
    for period in range(1, MAX_PERIOD + 1):
        tail = list(lines[-3 * period :])
        if len(tail) < 3 * period:
            return False
        unit = tail[:period]
        if tail == unit * 3 and any(character.isalnum() for text in unit for character in text):
            return True
    return False


def is_runaway(text: str) -> bool:
    """True if the last `RUNAWAY_CHARS` characters are one unit of at most `RUNAWAY_UNIT` over and over."""
    tail = text[-RUNAWAY_CHARS:]
    if len(tail) < RUNAWAY_CHARS:
        return False
    return any(tail[unit:] == tail[:-unit] for unit in range(1, RUNAWAY_UNIT + 1))


def _without_blank_tail(lines: Sequence[str]) -> list[str]:
    result = list(lines)
    while result and not result[-1].strip():
        result.pop()
    return result


def _indent(line: str) -> int:
    """Columns of indentation; a tab counts to the next multiple of eight, as Python reads it."""
    expanded = line.expandtabs(8)
    return len(expanded) - len(expanded.lstrip(" "))


async def draft_lines(
    model: Model,
    context: FimContext,
    written: Sequence[str],
    limits: Limits,
    wrote: Callable[[str], None] = lambda _text: None,
) -> AsyncIterator[DraftLine]:
    """Stream the lines that follow `written` until the text is complete; closes the model's stream when done.

    A last line cut off by the token cap is yielded with `complete=False`. `wrote` is called at each token with the text
    so far, `written` included.
    """
    shown = context.extended("\n".join([*written, ""])) if written else context
    assembler = LineAssembler()
    admitted = list(written)
    wanted = 1 if context.shape is Shape.LINE else limits.max_lines - len(written)
    count = 0
    stream = model.generate(shown, replace(limits, max_lines=max(wanted, 1)))
    try:
        async for token in stream:
            count += 1
            for line in assembler.feed(token):
                verdict = admission(context, admitted, line.text, limits.max_lines)
                if verdict is Admission.STOP:
                    return
                admitted.append(line.text)
                yield line
                if verdict is Admission.LAST:
                    return
            wrote("\n".join([*admitted, assembler.text]))
            if is_runaway(assembler.text) or is_over(context, admitted, assembler.text):
                return
    finally:
        await stream.aclose()  # type: ignore[attr-defined]  # the protocol asks for an async generator
    rest = assembler.flush(complete=count < limits.max_tokens)
    if rest.text.strip() and admission(context, admitted, rest.text, limits.max_lines) is not Admission.STOP:
        yield rest


def line_of(tokens: Iterable[Token], *, own_line: bool) -> DraftLine:
    """The first line of finished tokens; see `one_line`."""
    assembler = LineAssembler()
    for token in tokens:
        for line in assembler.feed(token):
            if line.text.strip() or not own_line:
                return line
    return assembler.flush()


async def drawn_lines(model: Model, context: FimContext, limits: Limits) -> list[DraftLine]:
    """The lines that a model at an address draws in one request, likeliest first; see `Limits.draws`. Where it does not
    tell how likely they are, their share among the draws stands for it."""
    assembler = LineAssembler()
    lines: list[DraftLine] = []
    stream = model.generate(context, limits)
    try:
        async for token in stream:
            lines += assembler.feed(token)
    finally:
        await stream.aclose()  # type: ignore[attr-defined]
    # Without the line break between them. An empty answer is none where there are others.
    written = [replace(line, tokens=line.tokens[:-1]) for line in lines if line.text.strip()]
    lines = written or lines[:1]
    if not all(any(token.logprob is not None for token in line.tokens) for line in lines):
        often = Counter(line.text for line in lines)
        shares = {text: math.log(count / len(lines)) for text, count in often.items()}
        lines = [replace(line, tokens=(Token(line.text.encode(), shares[line.text]),)) for line in lines]
    return sorted(lines, key=lambda line: line_logprob(line.tokens), reverse=True)


async def one_line(model: Model, context: FimContext, limits: Limits) -> DraftLine:
    """The first line the model writes directly after the prefix; blank lines before it are skipped where the prefix
    ends a line, because a chat model likes to begin with one."""
    assembler = LineAssembler()
    own_line = context.prefix.endswith("\n")
    stream = model.generate(context, limits)
    count = 0
    try:
        async for token in stream:
            count += 1
            for line in assembler.feed(token):
                if line.text.strip() or not own_line:
                    return line
    finally:
        await stream.aclose()  # type: ignore[attr-defined]
    return assembler.flush(complete=count < limits.max_tokens)
