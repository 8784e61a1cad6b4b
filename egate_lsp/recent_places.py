"""Places where the user was of late, as parts of files: what is like the code at the cursor is shown there. Pure.

A place is taken when the user goes elsewhere, so that it is as it was left. Parts that are nearly the same are kept
once. The idea of such a ring is llama.vim's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp import languages
from egate_lsp.outline import WORDS
from egate_lsp.values import Snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from egate_lsp.documents import Document
    from egate_lsp.values import FimContext

    Place = tuple[int, int]

NEAR = 12  # rows; farther away is another place
TAKEN_BEFORE, TAKEN_AFTER = 16, 8  # rows around a place
REMEMBERED = 32
SAME = 0.9  # likeness of lines, above which two parts are one
SAME_IN_FILE = 0.5
ROWS_BEFORE, ROWS_AFTER = 12, 4  # around the cursor, for likeness
LEAST_LIKENESS = 0.05
FEWEST_LINES = 3
MOST_CHARS = 2000  # of one part


@dataclass(frozen=True, slots=True)
class Part:
    """Whole lines of a file: as text, as a set without indentation, and their words."""

    file: str
    language: str
    text: str
    lines: frozenset[str]
    words: frozenset[str]


class RecentPlaces:
    """Of all documents; see `gathering.Gatherer`."""

    sources = ("open-files",)

    def __init__(self, shown: Callable[[str], str]) -> None:
        """`shown`: a file as models are told it."""
        self._shown = shown
        self._here: tuple[Document, str, int] | None = None
        self._parts: deque[Part] = deque(maxlen=REMEMBERED)

    def looked(self, document: Document, file: str, row: int) -> None:
        """The user is at this row: asks for a completion there, or edits."""
        if self._here is not None and (self._here[0] is not document or abs(self._here[2] - row) > NEAR):
            self._take(*self._here)
        self._here = document, file, row

    def closed(self, document: Document) -> None:
        """The document is closed."""
        if self._here is not None and self._here[0] is document:
            self._take(*self._here)
            self._here = None

    def _take(self, document: Document, file: str, row: int) -> None:
        text = document.between((max(row - TAKEN_BEFORE, 0), 0), (row + TAKEN_AFTER, 0))
        text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
        part = Part(file, document.language, f"{text}\n", _lines(text), _words(text))
        if len(part.lines) < FEWEST_LINES or len(text) > MOST_CHARS:
            return
        others = [
            each
            for each in self._parts
            if jaccard(each.lines, part.lines) < (SAME_IN_FILE if each.file == file else SAME)
        ]
        self._parts = deque([*others, part], maxlen=REMEMBERED)

    async def gather(self, hole: FimContext, chars: int, sources: Collection[str]) -> Sequence[Snippet]:
        """The parts that share most words with the code around the cursor, the likest first."""
        wanted = _words("\n".join([*hole.prefix.split("\n")[-ROWS_BEFORE:], *hole.suffix.split("\n")[:ROWS_AFTER]]))
        around = _lines(hole.prefix + hole.suffix)
        alike = [
            (jaccard(part.words, wanted), part)
            for part in reversed(self._parts)
            if languages.family(part.language) == languages.family(hole.language)
            and not (part.file == hole.file and _is_in(part, around))
        ]
        alike.sort(key=lambda each: -each[0])
        return [
            Snippet(self._shown(part.file), part.text, "open files", part.file, part.language)
            for likeness, part in alike
            if likeness >= LEAST_LIKENESS
        ]

    async def aclose(self) -> None:
        """Nothing is open. What is known stays, for the next service."""


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of what two sets have together that both have, in [0, 1]; 0 for empty ones."""
    together = len(one | other)
    return len(one & other) / together if together else 0.0


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in WORDS.findall(text) if len(word) > 2)


def _lines(text: str) -> frozenset[str]:
    return frozenset(line.strip() for line in text.split("\n") if line.strip())


def _is_in(part: Part, lines: frozenset[str]) -> bool:
    """Is most of it there already?"""
    return len(part.lines & lines) >= SAME_IN_FILE * len(part.lines)
