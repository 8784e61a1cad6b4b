"""The text of an open document, and positions in it as LSP counts them. Pure.

Only \\n, \\r\\n and \\r end a line, as the protocol says; a form feed or U+2028 is text. Lines are kept with their
ends, so that an edit costs what it touches and not the whole document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class PositionEncoding(StrEnum):
    """The unit in which a client counts characters of a line."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


@dataclass(frozen=True, slots=True)
class Change:
    """One edit: the text between two positions `(line, character)`, or the whole document where they are None."""

    text: str
    start: tuple[int, int] | None = None
    end: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """What a change did: the text between two places `(row, column)` of the former document was replaced.

    Columns are in code points; a row may be one past the last. `removed` is the text that stood there.
    """

    start: tuple[int, int]
    end: tuple[int, int]
    text: str
    removed: str = ""


class Document:
    """An open document. `version` is the client's."""

    def __init__(self, uri: str, version: int, language: str, text: str) -> None:
        self.uri = uri
        self.version = version
        self.language = language
        self._lines = _split(text)
        self._text: str | None = text

    @property
    def text(self) -> str:
        """The whole text; joined when it is asked for after an edit."""
        if self._text is None:
            self._text = "".join(self._lines)
        return self._text

    @property
    def line_break(self) -> str:
        """That of the first line: what inserted lines get."""
        first = self._lines[0] if self._lines else ""
        return next((end for end in ("\r\n", "\n", "\r") if first.endswith(end)), "\n")

    def apply(self, change: Change, encoding: PositionEncoding) -> Edit:
        """Edit. Positions beyond a line mean its end, beyond the document its end; a reversed range is turned round."""
        if change.start is None or change.end is None:
            former, self._lines, self._text = self._lines, _split(change.text), change.text
            return _difference(former, self._lines)
        start, end = sorted((self._index(*change.start, encoding), self._index(*change.end, encoding)))
        removed = self.between(start, end)
        before = self._lines[start[0]][: start[1]] if start[0] < len(self._lines) else ""
        after = self._lines[end[0]][end[1] :] if end[0] < len(self._lines) else ""
        # A \r that ends the line above and a \n that begins the line below are one line end if they meet.
        first, last = start[0], min(end[0], len(self._lines) - 1)
        if first > 0 and self._lines[first - 1].endswith("\r"):
            first -= 1
            before = self._lines[first] + before
        if not after and last + 1 < len(self._lines):
            last += 1
            after = self._lines[last]
        self._lines[first : last + 1] = _split(before + change.text + after)
        self._text = None
        return Edit(start, end, change.text, removed)

    def between(self, start: tuple[int, int], end: tuple[int, int]) -> str:
        """The text between two places `(row, column)` in code points; "" if they are not in this order."""
        (row, column), (last, until) = start, end
        if row == last:
            return self._lines[row][column:until] if row < len(self._lines) else ""
        rows = self._lines[row : last + 1]
        if not rows:
            return ""
        rows[0] = rows[0][column:]
        if last < len(self._lines):
            rows[-1] = rows[-1][:until]
        return "".join(rows)

    def place_at(self, line: int, character: int, encoding: PositionEncoding) -> tuple[int, int]:
        """`(row, column)` in code points of a client's position."""
        return self._index(line, character, encoding)

    def offset_at(self, line: int, character: int, encoding: PositionEncoding) -> int:
        """Code points before a position."""
        row, column = self._index(line, character, encoding)
        return sum(map(len, self._lines[:row])) + column

    def position_at(self, offset: int, encoding: PositionEncoding) -> tuple[int, int]:
        """`(line, character)` of an offset in code points."""
        left = max(offset, 0)
        for row, text in enumerate(self._lines):
            if left < len(text) or (left == len(text) and not text.endswith(("\r", "\n"))):
                return row, _units(text[:left], encoding)
            left -= len(text)
        return len(self._lines), 0

    def _index(self, line: int, character: int, encoding: PositionEncoding) -> tuple[int, int]:
        """Row and code points in it; the row may be one past the last."""
        if line < 0:
            return 0, 0
        if line >= len(self._lines):
            if self._lines and not self._lines[-1].endswith(("\r", "\n")):
                return len(self._lines) - 1, len(self._lines[-1])
            return len(self._lines), 0
        content = self._lines[line].rstrip("\r\n")
        return line, _code_points(content, max(character, 0), encoding)


def _difference(former: list[str], lines: list[str]) -> Edit:
    """The edit between two texts, by whole lines and then within the first and last that differ."""
    shortest = min(len(former), len(lines))
    first = next((row for row in range(shortest) if former[row] != lines[row]), shortest)
    same = next((n for n in range(shortest - first) if former[-1 - n] != lines[-1 - n]), shortest - first)
    old, new = "".join(former[first : len(former) - same]), "".join(lines[first : len(lines) - same])
    most = min(len(old), len(new))
    head = next((index for index in range(most) if old[index] != new[index]), most)
    head -= old[:head].endswith("\r")  # a line end is one, whole
    tail = next((n for n in range(most - head) if old[-1 - n] != new[-1 - n]), most - head)
    tail -= tail > 0 and old[-tail] == "\n"
    return Edit(
        _place_in(old, head, first),
        _place_in(old, len(old) - tail, first),
        new[head : len(new) - tail],
        old[head : len(old) - tail],
    )


def _place_in(text: str, offset: int, row: int) -> tuple[int, int]:
    """`(row, column)` of an offset in a text that begins with that row."""
    before = _split(text[:offset])
    if before and not before[-1].endswith(("\r", "\n")):
        return row + len(before) - 1, len(before[-1])
    return row + len(before), 0


def word_before(text: str) -> str:
    """The identifier that the text ends in."""
    match = re.search(r"\w*\Z", text)
    return match.group() if match else ""


def _split(text: str) -> list[str]:
    return _LINE.findall(text)


def _units(text: str, encoding: PositionEncoding) -> int:
    match encoding:
        case PositionEncoding.UTF8:
            return len(text.encode("utf-8", "surrogatepass"))
        case PositionEncoding.UTF16:
            return len(text.encode("utf-16-le", "surrogatepass")) // 2
        case PositionEncoding.UTF32:
            return len(text)


def _code_points(text: str, units: int, encoding: PositionEncoding) -> int:
    """Whole characters within so many units; one that is cut does not count."""
    if encoding is PositionEncoding.UTF32 or text.isascii():
        return min(units, len(text))
    width = 0
    for index, character in enumerate(text):
        width += _units(character, encoding)
        if width > units:
            return index
    return len(text)
