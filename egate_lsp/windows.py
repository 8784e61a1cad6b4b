"""Which part of a file is shown: cut at syntactic borders, with the rest in short, and not moved by typing. Pure.

In the draft engine's prompt everything after the first changed character is read anew, so a window stays where it is
until the cursor has left it or has filled it. Only then is the file's outline asked for.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp import context as contexts
from egate_lsp import languages
from egate_lsp.outline import digest, idle_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.context import Budget
    from egate_lsp.outline import Entry

OUTLINE_SHARE = 0.3  # of the characters before the cursor, at most
GROWTH_SHARE = 0.2  # of them kept free when the window is cut, for what is typed until it moves
LEAST_SHARE = 0.25  # of them: with less before the cursor the window moves up
BORDER_SHARE = 0.2  # of a side: so much of it is given up at most, to begin or end at a border
KEPT_WINDOWS = 16


@dataclass(frozen=True, slots=True)
class Window:
    """What is shown of a text, in code points.

    Attributes:
        start, end: the prefix begins and the suffix ends here, at the start of a line or at the ends of the text.
        outline: what is worth knowing of the rest, as lines of the language; "" for nothing.
    """

    start: int
    end: int
    outline: str = ""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A window by the text around it; `before` and `after` are the sizes of its sides when it was cut."""

    head: str
    tail: str
    outline: str
    before: int
    after: int
    budget: Budget
    language: str


class Windows:
    """The windows of the documents that were completed last.

    `outliner` gives the entries of a text of a language for a cursor on a row (from 0); it is only called when a
    window is cut.
    """

    def __init__(self, outliner: Callable[[str, str, int], Sequence[Entry]]) -> None:
        self._outliner = outliner
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.cuts = 0

    def at(self, document: str, text: str, offset: int, budget: Budget, language: str) -> Window:
        """The window around the cursor; `document` is a name that stays the same from request to request.

        The outline and the prefix together keep to the budget. The same text and cursor give the same window.
        """
        kept = self._kept.get(document)
        if kept is not None and kept.budget == budget and kept.language == language:
            window = _still(kept, text, offset)
            if window is not None:
                self._kept.move_to_end(document)
                return window
        if offset <= budget.prefix_chars and len(text) - offset <= budget.suffix_chars:
            window = Window(0, len(text))
        else:
            window = cut(text, offset, budget, language, self._outliner)
        self.cuts += 1
        head, tail = text[: window.start], text[window.end :]
        sides = offset - window.start, window.end - offset
        self._kept[document] = _Kept(head, tail, window.outline, *sides, budget, language)
        self._kept.move_to_end(document)
        while len(self._kept) > KEPT_WINDOWS:
            self._kept.popitem(last=False)
        return window


def _still(kept: _Kept, text: str, offset: int) -> Window | None:
    """The window as it was, if it still fits."""
    start, end = len(kept.head), len(text) - len(kept.tail)
    budget = kept.budget
    if not start <= offset <= end or not text.startswith(kept.head) or not text.endswith(kept.tail):
        return None
    before, after = offset - start, end - offset
    if before + len(kept.outline) > budget.prefix_chars or after > budget.suffix_chars:
        return None
    if start and before < min(LEAST_SHARE * budget.prefix_chars, kept.before):
        return None
    if kept.tail and after < min(LEAST_SHARE * budget.suffix_chars, kept.after):
        return None
    return Window(start, end, kept.outline)


def cut(
    text: str,
    offset: int,
    budget: Budget,
    language: str,
    outliner: Callable[[str, str, int], Sequence[Entry]],
    *,
    growth: float = GROWTH_SHARE,
    outline: float = OUTLINE_SHARE,
) -> Window:
    """A new window.

    Args:
        growth: share of the characters before the cursor that is kept free for what will be typed.
        outline: share of them that the rest of the file may have, at most.
    """
    rows = [0, *itertools.accumulate(len(line) + 1 for line in text.split("\n")[:-1])]
    row = _row_of(rows, offset)
    entries = outliner(text, language, row)
    end = _end(text, offset, budget.suffix_chars, rows, row, entries)
    last = _row_of(rows, end)
    room = int(budget.prefix_chars * (1.0 - growth))
    comment = next(iter(languages.facts(language).line_comments), "//")
    spent = int(room * outline)
    idle = idle_names(entries, text)
    rest = ""
    start = _start(text, offset, room, rows, row, entries)
    if start or end < len(text):
        # First as if the outline took all that it may, then with what it leaves; what a border leaves is the outline's.
        for _ in range(2):
            start = _start(text, offset, room - spent, rows, row, entries)
            shown, left = (_row_of(rows, start), last), room - (offset - start)
            rest = digest(entries, text[start:end], shown, left, cut_at=shown[0], comment=comment, idle=idle)
            spent = min(len(rest), spent)
    return Window(start, end, rest)


def _start(text: str, offset: int, room: int, rows: Sequence[int], row: int, entries: Sequence[Entry]) -> int:
    """Where the prefix begins: at the outermost definition that fits whole, or else at the first border that does."""
    if offset <= room:
        return 0
    first = offset - room
    latest = first + int(room * BORDER_SHARE)
    borders = [rows[each.first] for each in entries if (each.first <= row and each.kind != "value") or not each.depth]
    fitting = [border for border in borders if first <= border <= min(latest, offset)]
    if fitting:
        return min(fitting)
    return _least_indented(text, rows, first, min(latest, rows[row]))


def _least_indented(text: str, rows: Sequence[int], first: int, latest: int) -> int:
    """The first of the least indented lines that begin between the two; if none begins there, the first below."""
    begin, stop = _row_of(rows, first - 1) + 1 if first else 0, _row_of(rows, latest)
    best, least = -1, 1 << 30
    for row in range(begin, stop + 1):
        line = text[rows[row] : rows[row + 1] if row + 1 < len(rows) else len(text)]
        width = len(line) - len(line.lstrip())
        if line.strip() and line.strip()[0] not in ")]}" and width < least:
            best, least = row, width
    if best >= 0:
        return rows[best]
    return rows[begin] if begin < len(rows) and rows[begin] <= latest else first


def _end(text: str, offset: int, room: int, rows: Sequence[int], row: int, entries: Sequence[Entry]) -> int:
    """Where the suffix ends: after the last definition that fits whole, or else after the last line that does."""
    if len(text) - offset <= room:
        return len(text)
    limit = offset + room
    earliest = limit - int(room * BORDER_SHARE)
    ends = (rows[each.last + 1] for each in entries if row <= each.last < len(rows) - 1)
    fitting = [end for end in ends if earliest <= end <= limit]
    if fitting:
        return max(fitting)
    return contexts.window_end(text, offset, room)


def _row_of(rows: Sequence[int], offset: int) -> int:
    """The row that holds a place."""
    return bisect_right(rows, offset) - 1
