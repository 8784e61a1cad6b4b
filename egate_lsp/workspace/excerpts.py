"""Which lines are shown of a find, and which finds. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from egate_lsp.workspace.questions import Excerpt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from egate_lsp.workspace.questions import Question

MOST_CHARS = 480  # of one excerpt: two or three different places are better than one at length
LEAST_CHARS = 60  # less is not worth its path
BEFORE_SHARE = 0.5  # of the characters: what leads to the place shows the model that it is one like the cursor's
BEFORE_ROWS, AFTER_ROWS = 12, 16
LEAST_LIKENESS = 0.25  # what is less like the code around the cursor is worth less than more of the file
MARK_CHARS = 8  # what an excerpt costs beside its path and its text
SAME_SHARE = 0.5  # of lines: two such excerpts are one


def at_row(name: str, lines: Sequence[str], row: int, likeness: float, source: str, offset: int = 0) -> Excerpt:
    """The lines before and from a row, counted in `lines`, whose first is the file's row `offset`."""
    first, left = row, int(MOST_CHARS * BEFORE_SHARE)
    while first > 0 and row - first < BEFORE_ROWS and len(lines[first - 1]) < left:
        first -= 1
        left -= len(lines[first]) + 1
    last, left = row, MOST_CHARS - sum(len(line) + 1 for line in lines[first:row])
    while last < len(lines) and last - row < AFTER_ROWS and len(lines[last]) < left:
        left -= len(lines[last]) + 1
        last += 1
    while first < last and not lines[first].strip():
        first += 1
    while first < last and not lines[last - 1].strip():
        last -= 1
    return Excerpt(name, offset + first, "\n".join(lines[first:last]), source, likeness)


def chosen(found: Iterable[Excerpt], question: Question) -> list[Excerpt]:
    """The best that fit into the question's characters, without what is shown already and without twins; the best
    last."""
    kept: list[tuple[Excerpt, frozenset[str]]] = []
    left = question.chars
    shown = question.text[question.start : question.end]
    # The order of finds that are equally good does not depend on how they came.
    for each in sorted(found, key=lambda each: (-each.likeness, each.name, each.row)):
        cost = len(each.text) + len(each.name) + MARK_CHARS
        if each.likeness < LEAST_LIKENESS:
            break
        if cost > left or len(each.text) < LEAST_CHARS or each.text in shown:
            continue
        lines = frozenset(line.strip() for line in each.text.split("\n") if line.strip())
        if any(len(lines & other) > SAME_SHARE * min(len(lines), len(other)) for _, other in kept):
            continue
        kept.append((each, lines))
        left -= cost
    return [each for each, _ in reversed(kept)]
