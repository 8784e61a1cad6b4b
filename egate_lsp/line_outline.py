"""A file's outline by words and indentation, for languages without an installed grammar. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from egate_lsp import languages
from egate_lsp.outline import WORDS, Entry, Kind, entry, names_in

if TYPE_CHECKING:
    from collections.abc import Sequence

TAB = 4
_IMPORT = re.compile(
    r"(?:import|from|use|using|require|require_relative|include|package|alias)\b|#\s*include\b|local .*=\s*require\b"
    r"|(?:const|let|var) .*=\s*require\("
)
_BEFORE = (
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|local|pub|open|override)\s+)*"
)
_DEFINITION = re.compile(
    _BEFORE
    + r"(?:def|defp|defmodule|function|fn|func|fun|sub|proc|class|module|interface|struct|impl|trait|object|enum"
    r"|namespace|record|protocol|extension)\b\s*(?P<name>[\w.:!?]*)"
)
_SCOPE = re.compile(
    r"\b(?:defmodule|class|module|interface|struct|impl|trait|object|enum|namespace|record|protocol|extension)\b"
)
_OPENER = re.compile(r"\s*(?:\{|\bdo|\bthen|=)\s*$")


def entries(text: str, language: str) -> list[Entry]:
    """The outline; a definition lasts as long as the lines below are indented deeper, its closing line included."""
    lines = text.split("\n")
    found: list[Entry] = []
    starts = [row for row, line in enumerate(lines) if _begins(line)]
    ends = _ends(lines, starts, language)
    open_until: list[int] = []
    braces = "{" in languages.facts(language).openers and "end" not in languages.facts(language).closers
    for row in starts:
        line = lines[row].strip()
        while open_until and open_until[-1] < row:
            open_until.pop()
        last = ends[row]
        indent = lines[row][: len(lines[row]) - len(lines[row].lstrip())]
        depth = len(open_until)
        definition = _DEFINITION.match(line)
        if definition is None:
            if not depth:
                found.append(entry("import", names_in(line), row, row, line, None, indent, depth))
            continue
        kind: Kind = "scope" if _SCOPE.search(definition[0]) else "function"
        names = WORDS.findall(definition["name"])[-1:]
        head = f"{_OPENER.sub('', line)} {{" if braces and line.endswith("{") else line
        body = None if last == row else "... }" if head.endswith("{") else "..."
        found.append(entry(kind, names, row, last, head, body, indent, depth))
        if last > row:
            open_until.append(last)
    return found


def _begins(line: str) -> bool:
    text = line.strip()
    return bool(text) and (_DEFINITION.match(text) is not None or _IMPORT.match(text) is not None)


def _ends(lines: Sequence[str], starts: Sequence[int], language: str) -> dict[int, int]:
    """The last row of what begins on each of the rows."""
    wanted = set(starts)
    ends: dict[int, int] = {}
    waiting: list[tuple[int, int]] = []  # row, indentation
    filled = -1
    for row, line in enumerate(lines):
        text = line.strip()
        if not text:
            continue
        width = _width(line)
        while waiting and width <= waiting[-1][1]:
            start, indent = waiting.pop()
            closes = width == indent and languages.closes_block(text, language)
            ends[start] = row if closes and filled >= start else max(filled, start)
        if row in wanted:
            waiting.append((row, width))
        filled = row
    ends.update({start: max(filled, start) for start, _ in waiting})
    return ends


def _width(line: str) -> int:
    expanded = line.expandtabs(TAB)
    return len(expanded) - len(expanded.lstrip(" "))
