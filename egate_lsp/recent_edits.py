"""What the user changed of late, as small differences: a rename made elsewhere shows in what is proposed here. Pure.

Keystrokes near each other become one change. Nothing but the edits is kept of it as long as it goes on; what stood
there before is found by taking them back in the lines that they touched.
"""

from __future__ import annotations

import difflib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from egate_lsp import languages
from egate_lsp.documents import Change, Document, PositionEncoding
from egate_lsp.kept import after
from egate_lsp.values import Snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from egate_lsp.documents import Edit
    from egate_lsp.values import FimContext

    Place = tuple[int, int]

NEAR = 4  # rows between edits of one change, at most
REMEMBERED = 12  # changes
MOST_ROWS = 120  # a change of more is a paste or a formatter's
MOST_EDITS = 500
SHOWN = 4  # changes at once
SHOWN_LINES = 12  # of one
MOST_COLUMNS = 160  # a longer line tells of data


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that is over, or as it is now: whole lines without line breaks."""

    file: str
    before: tuple[str, ...]
    now: tuple[str, ...]
    language: str = ""


@dataclass(slots=True)
class _Change:
    """A change that goes on: rows `first` to `last` of the document, as it is now, hold it. `edits` are places and text
    that take each of its edits back."""

    document: Document
    file: str
    first: int
    last: int
    edits: list[Change] = field(default_factory=list)

    def near(self, edit: Edit) -> bool:
        """Does an edit go on with it?"""
        return self.first - NEAR <= edit.end[0] and edit.start[0] <= self.last + NEAR

    def add(self, edit: Edit) -> None:
        end = _end_of(edit)
        if self.edits and not edit.removed and edit.start == self.edits[-1].end:  # typed on
            self.edits[-1] = Change(self.edits[-1].text, self.edits[-1].start, end)
        else:
            self.edits.append(Change(edit.removed, edit.start, end))
        self.first = min(self.first, edit.start[0])
        self.last = max(self.last, edit.end[0]) + end[0] - edit.end[0]

    def moved_by(self, edit: Edit) -> _Change:
        """The change after an edit far from it."""
        rows = _end_of(edit)[0] - edit.end[0] if edit.end[0] < self.first else 0
        edits = [Change(each.text, _down(each.start, rows), _down(each.end, rows)) for each in self.edits]
        return _Change(self.document, self.file, self.first + rows, self.last + rows, edits)

    def settled(self) -> Changed | None:
        """What it comes to; None if that is nothing, or too much to be shown."""
        if self.last - self.first > MOST_ROWS:
            return None
        text = self.document.between((self.first, 0), (self.last + 1, 0))
        lines = Document("", 0, "", text)
        for each in reversed(self.edits):
            undone = Change(each.text, _down(each.start, -self.first), _down(each.end, -self.first))
            lines.apply(undone, PositionEncoding.UTF32)
        before, now = lines.text.splitlines(), text.splitlines()
        if "".join(lines.text.split()) == "".join(text.split()):  # white space is a formatter's affair
            return None
        return Changed(self.file, tuple(before), tuple(now), self.document.language)


def _end_of(edit: Edit) -> Place:
    """Where its text ends."""
    return after(edit.start, edit.text.replace("\r\n", "\n").replace("\r", "\n"))


def _down(place: Place | None, rows: int) -> Place:
    assert place is not None
    return place[0] + rows, place[1]


class RecentEdits:
    """The changes of all documents; see `gathering.Gatherer`."""

    sources = ("recent-edits",)

    def __init__(self, shown: Callable[[str], str]) -> None:
        """`shown`: a file as models are told it."""
        self._shown = shown
        self._open: _Change | None = None
        self._over: deque[Changed] = deque(maxlen=REMEMBERED)

    def edited(self, document: Document, file: str, edit: Edit) -> None:
        """An edit was made; the document is as it is after it, and no later one."""
        change = self._open
        if change is not None and change.document is not document:
            self._close(change)
        elif change is not None and not change.near(edit):
            self._close(change.moved_by(edit))
        if self._open is None:
            self._open = _Change(document, file, edit.start[0], edit.start[0])
        self._open.add(edit)
        if len(self._open.edits) >= MOST_EDITS:
            self._close(self._open)

    def closed(self, document: Document) -> None:
        """The document is closed."""
        if self._open is not None and self._open.document is document:
            self._close(self._open)

    def _close(self, change: _Change) -> None:
        self._open = None
        if (found := change.settled()) is not None:
            self._over.append(found)

    def changes(self) -> list[Changed]:
        """The newest first, that which goes on among them."""
        now = self._open.settled() if self._open is not None else None
        return [*([now] if now is not None else []), *reversed(self._over)]

    async def gather(self, hole: FimContext, chars: int, sources: Collection[str]) -> Sequence[Snippet]:
        """The last changes that do not stand around the cursor anyway, as comments."""
        found: list[Snippet] = []
        for each in self.changes():
            if len(found) == SHOWN:
                break
            if each.file == hole.file and "\n".join(each.now).strip() in hole.prefix + hole.suffix:
                continue
            if text := difference(each, hole.language):
                found.append(Snippet(self._shown(each.file), text, "recent edits", each.file, each.language))
        return found

    async def aclose(self) -> None:
        """Nothing is open. What is known stays, for the next service."""


def difference(changed: Changed, language: str) -> str:
    """A change as comment lines that begin with - and +; "" where it is too large or too wide to be of use."""
    rows = [
        line
        for line in difflib.unified_diff(changed.before, changed.now, n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    if len(rows) > SHOWN_LINES or any(len(line) > MOST_COLUMNS for line in rows):
        return ""
    rows = [f"{line[:1]} {line[1:]}".rstrip() for line in rows if line[1:].strip()]
    return "".join(languages.comment(line, language) + "\n" for line in rows)
