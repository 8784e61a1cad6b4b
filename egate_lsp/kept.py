"""How much of an accepted text still stands where it was put, while the document around it is edited. Pure.

The place is followed through the edits, and the text that stands there now is compared by its words: so a formatter
that writes the line anew costs nothing, and white space does not count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rapidfuzz.distance import LCSseq

if TYPE_CHECKING:
    from egate_lsp.documents import Edit

    Place = tuple[int, int]

_WORD = re.compile(r"\w+|[^\w\s]")
MOST_AWAITED = 8  # edits within which an acceptance that was reported is seen in the document


@dataclass(slots=True)
class Standing:
    """An accepted text's place `[start, end)`, in `(row, column)` of code points."""

    text: str
    start: Place
    end: Place

    @classmethod
    def at(cls, text: str, start: Place) -> Standing:
        """The place of a text (line breaks as LF) that begins there."""
        return cls(text, start, after(start, text))

    def follow(self, edit: Edit) -> None:
        """The document was edited. What replaces all of the text, or reaches into it, is taken for its successor."""
        text = edit.text.replace("\r\n", "\n").replace("\r", "\n")
        new_end = after(edit.start, text)
        if edit.start >= self.end:
            return
        if edit.end <= self.start:
            self.start, self.end = (_moved(place, edit.end, new_end) for place in (self.start, self.end))
            return
        end = new_end if edit.end >= self.end else _moved(self.end, edit.end, new_end)
        self.start, self.end = min(self.start, edit.start), end


def share_kept(accepted: str, now: str) -> float:
    """The share of the accepted text's words and signs, by characters, that `now` has in the same order; 0 to 1."""
    words, others = _WORD.findall(accepted), _WORD.findall(now)
    size = sum(map(len, words))
    if not size:
        return 1.0
    kept = [block for block in LCSseq.opcodes(words, others) if block.tag == "equal"]
    return sum(len(word) for block in kept for word in words[block.src_start : block.src_end]) / size


def after(start: Place, text: str) -> Place:
    """Where a text that begins at `start` ends."""
    head, newline, last = text.rpartition("\n")
    return (start[0] + head.count("\n") + 1, len(last)) if newline else (start[0], start[1] + len(text))


def _moved(place: Place, old: Place, new: Place) -> Place:
    """A place behind `old`, after what ended at `old` ends at `new`."""
    if place[0] != old[0]:
        return (place[0] + new[0] - old[0], place[1])
    return (new[0], new[1] + place[1] - old[1])
