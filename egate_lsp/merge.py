"""Stage 5 of 5: lines with their sources become the text that is inserted at the cursor. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from egate_lsp.values import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.values import CompletionLine, FimContext

_CLOSER_OF = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "\"'`"


def assemble(lines: Sequence[CompletionLine], context: FimContext) -> tuple[CompletionLine, ...]:
    """The lines to show: blank ends cut off, and nothing that already stands after the cursor written again."""
    result = [
        replace(line, text=line.text.rstrip()) if _trimmable(index, lines) else line for index, line in enumerate(lines)
    ]
    if result and context.shape is Shape.LINE:
        after = context.suffix.partition("\n")[0]
        last = result[-1]
        result[-1] = replace(last, text=without_overlap(last.text, after))
    while result and not result[-1].text.strip():
        result.pop()
    return tuple(result)


def rest_of(lines: Sequence[CompletionLine], typed: int) -> tuple[CompletionLine, ...]:
    """The lines without the first `typed` characters of their text: what is left to show when these were typed."""
    left = list(lines)
    while left and typed > len(left[0].text):
        typed -= len(left[0].text) + 1
        left.pop(0)
    if not left or typed <= 0:
        return tuple(left)
    first = left[0]
    tokens, seen = list(first.tokens), 0
    while tokens and seen < typed:
        seen += len(tokens.pop(0).piece.decode("utf-8", "replace"))
    return (replace(first, text=first.text[typed:], tokens=tuple(tokens)), *left[1:])


def _trimmable(index: int, lines: Sequence[CompletionLine]) -> bool:
    """White space at a line's end is kept only inside a text that goes on (it may be part of a string) and never at
    the very end."""
    return index == len(lines) - 1 or not lines[index].text.strip()


def without_overlap(text: str, after: str) -> str:
    """Cut from the end of `text` what stands after the cursor already.

    Two cases: the end of the text is the beginning of the rest of the line; or the text closes brackets or quotes
    that it did not open, and the rest of the line closes them too.
    """
    rest = after.strip()
    if not rest:
        return text
    stripped = text.rstrip()
    for length in range(min(len(stripped), len(rest)), 0, -1):
        if stripped.endswith(rest[:length]) and _is_surplus(stripped, length):
            return stripped[:-length].rstrip() if after[:1].isspace() else stripped[:-length]
    return stripped


def _is_surplus(text: str, length: int) -> bool:
    """Is the tail of `length` characters more than the text needs for itself?

    A tail with a letter or digit in it is surplus if it is the whole rest or long; a tail of punctuation is if its
    closers have no opener in the text.
    """
    tail = text[-length:]
    if any(character.isalnum() for character in tail):
        return length >= 3
    return _unopened(text) > _unopened(text[:-length])


def _unopened(text: str) -> int:
    """How many closers and quotes of the text have no partner in it."""
    stack: list[str] = []
    surplus = 0
    quote = ""
    previous = ""
    for character in text:
        if quote:
            if character == quote and previous != "\\":
                quote = ""
        elif character in _QUOTES:
            quote = character
        elif character in _CLOSER_OF:
            stack.append(_CLOSER_OF[character])
        elif character in _CLOSER_OF.values():
            if stack and stack[-1] == character:
                stack.pop()
            else:
                surplus += 1
        elif character in ";,":
            surplus += 1
        previous = character
    return surplus + bool(quote)
