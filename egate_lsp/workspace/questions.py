"""What the index is asked, and what it answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

# As `context.sources` names them.
SIMILAR, OWN = "similar-code", "this-file"
SOURCES = (SIMILAR, OWN)


@dataclass(frozen=True, slots=True)
class Question:
    """A place in a document, and what of the document is shown already.

    Attributes:
        name: the document's path with slashes, relative to the workspace folder; "" for one that is not in it.
        text, offset: the document with LF line breaks, and the cursor in it, in code points.
        start, end: of the text that models are shown in any case.
        chars: how many characters the answer may have, paths included.
        sources: which may answer.
    """

    name: str
    language: str
    text: str
    offset: int
    start: int
    end: int
    chars: int
    sources: tuple[str, ...] = SOURCES


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a file.

    Attributes:
        name: the file's path with slashes, relative to the workspace folder.
        row: its first, counted from 0.
        text: whole lines.
        source: which found it.
        likeness: to the code around the cursor, in [0, 1].
    """

    name: str
    row: int
    text: str
    source: str
    likeness: float
