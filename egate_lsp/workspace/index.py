"""The files of a workspace in chunks, and what of them is like the code around a cursor. Not safe to use from several
threads.

First the chunks that share the rarest words with the rows around the cursor, by BM25; then, row by row, where in them
it goes on as it does at the cursor. As retrieval by similar code does in RepoCoder (arXiv 2303.12570) and CrossCodeEval
(arXiv 2310.11248), but with what stands after the cursor too, and by place and not by window.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp import languages
from egate_lsp.workspace import alignment, chunks, imports, words
from egate_lsp.workspace.excerpts import at_row, chosen
from egate_lsp.workspace.postings import Postings
from egate_lsp.workspace.questions import OWN, SIMILAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from egate_lsp.workspace.alignment import Around
    from egate_lsp.workspace.chunks import Chunk
    from egate_lsp.workspace.questions import Excerpt, Question

CANDIDATES = 30  # chunks that are looked at row by row
OWN_PLACES = 4  # of the document itself, on each side of what is shown
OWN_ROWS = 4000  # on each side that are looked at, the nearest
# How much more a find in a file that has to do with this one counts.
IMPORTED, IMPORTING, SIBLING, NEIGHBOUR = 1.15, 1.1, 1.15, 1.05


@dataclass(frozen=True, slots=True)
class _File:
    """Attributes:
    packed: the text, compressed: a workspace's would not fit into the memory that an editor's helper may take.
    chunks: numbers in the postings of its family.
    imports: modules; see `imports`.
    """

    family: str
    packed: bytes
    chunks: tuple[int, ...]
    imports: frozenset[str]

    @property
    def lines(self) -> list[str]:
        return zlib.decompress(self.packed).decode("utf-8", "replace").split("\n")


class _Family:
    """The chunks of one language, or of several that are one to a reader."""

    def __init__(self) -> None:
        self.postings = Postings()
        self.places: list[tuple[str, Chunk] | None] = []  # file and rows of each chunk; None: it is gone


class Index:
    """Files by their paths with slashes, relative to the workspace folder."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._families: dict[str, _Family] = {}
        self._modules = imports.Modules()
        self._importers: dict[str, set[str]] = {}  # files by the modules that they import
        self._stems: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._files)

    @property
    def chunks(self) -> int:
        return sum(len(family.postings) for family in self._families.values())

    def put(self, name: str, text: str, language: str) -> None:
        """Add a file, or what it has become. LF line breaks."""
        self.drop(name)
        kind = languages.family(language)
        family = self._families.setdefault(kind, _Family())
        lines = text.split("\n")
        cut = chunks.of_file(text, language)
        bags = [words.of_text("\n".join(lines[chunk.first : chunk.last + 1])) for chunk in cut]
        numbers = [family.postings.add(bag) for bag in bags]
        family.places += ((name, chunk) for chunk in cut)
        packed = zlib.compress(text.encode("utf-8", "replace"), 1)
        imported = imports.of_text(text, name)
        self._files[name] = _File(kind, packed, tuple(numbers), imported)
        self._modules.put(name)
        self._stems.setdefault(imports.stem(name), set()).add(name)
        for module in imported:
            self._importers.setdefault(module, set()).add(name)

    def drop(self, name: str) -> None:
        """Forget a file, if it is known."""
        file = self._files.pop(name, None)
        if file is not None:
            self._modules.drop(name)
            _take_out(self._stems, imports.stem(name), name)
            for module in file.imports:
                _take_out(self._importers, module, name)
            family = self._families[file.family]
            for number in file.chunks:
                family.postings.remove(number)
                family.places[number] = None

    def ask(self, question: Question) -> list[Excerpt]:
        """What is most like the code around the cursor, within the question's characters; the best last, where it is
        nearest to the cursor."""
        family = self._families.get(languages.family(question.language))
        postings = family.postings if family is not None else Postings()
        near = alignment.around(question.text[: question.offset], question.text[question.offset :])
        near = alignment.weighed(near, postings.rarities(near.all))
        found: list[Excerpt] = []
        if SIMILAR in question.sources and family is not None:
            found += self._similar(question, family, near)
        if OWN in question.sources:
            found += _further_away(question, near)
        return chosen(found, question)

    def _similar(self, question: Question, family: _Family, near: Around) -> Iterator[Excerpt]:
        related = self._related(question)
        folder = question.name.rpartition("/")[0]
        parts: dict[str, list[Chunk]] = {}
        for number, _ in family.postings.best(near.all, CANDIDATES):
            place = family.places[number]
            if place is not None and place[0] != question.name:
                parts.setdefault(place[0], []).append(place[1])
        for name, found in parts.items():
            factor = related.get(name, NEIGHBOUR if name.rpartition("/")[0] == folder else 1.0)
            lines = self._files[name].lines
            for chunk in found:
                first = max(chunk.first - alignment.REACH_BEFORE, 0)
                likeness = alignment.likeness(lines[first : chunk.last + 1 + alignment.REACH_AFTER], near)
                rows = range(chunk.first, min(chunk.last + 2, first + len(likeness)))
                row = max(rows, key=lambda row: likeness[row - first])
                yield at_row(name, lines, row, min(likeness[row - first] * factor, 1.0), SIMILAR)

    def _related(self, question: Question) -> dict[str, float]:
        """Files that this one imports, that import it, and its tests or what it tests."""
        found = dict.fromkeys(self._importers.get(imports.module_of(question.name), ()), IMPORTING)
        found.update(dict.fromkeys(self._stems.get(imports.stem(question.name), ()), SIBLING))
        for module in imports.of_text(question.text, question.name):
            found.update(dict.fromkeys(self._modules.files(module), IMPORTED))
        return found


def _take_out(sets: dict[str, set[str]], key: str, name: str) -> None:
    sets[key].discard(name)
    if not sets[key]:
        del sets[key]


def _further_away(question: Question, near: Around) -> Iterator[Excerpt]:
    """Of the document itself what is not shown, on both sides; a line that is shown in part is none of it."""
    text, start, end = question.text, question.start, question.end
    above = text[: text.rfind("\n", 0, start) + 1].split("\n")[-OWN_ROWS - 1 :]
    if end and text[end - 1] != "\n":
        end = text.find("\n", end) + 1 or len(text)
    below = text[end:].split("\n")[:OWN_ROWS]
    first = text.count("\n", 0, start) + 1 - len(above)
    for row, lines in ((first, above), (text.count("\n", 0, end), below)):
        if len(lines) > 1:
            likeness = alignment.likeness(lines, near)
            for place in alignment.peaks(likeness, OWN_PLACES):
                yield at_row(question.name, lines, place, likeness[place], OWN, row)
