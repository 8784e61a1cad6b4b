"""Where in a text it goes on as it does at the cursor: the rows most like those around it. Pure.

A chunk that shares words is a coarse find. Here each row of a text is tried as the counterpart of the cursor's: rows
above it are compared with what stands before the cursor, rows from it on with what stands after.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from egate_lsp.workspace import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROWS_BEFORE, ROWS_AFTER = 10, 4  # of code, around the cursor
SLACK = 3  # rows that a counterpart may have more
REACH_BEFORE, REACH_AFTER = ROWS_BEFORE + SLACK, ROWS_AFTER + SLACK
FADE = 0.8  # the weight of a row to that of the next nearer one
AFTER_WEIGHT = 0.5  # of the first row after the cursor; that of the cursor's own row, or the one above, is 1
NEAR_CHARS = 4000  # on each side that the rows are looked for in
APART = 12  # rows between two places in one text


@dataclass(frozen=True, slots=True)
class Around:
    """The words around a cursor with their weights.

    Attributes:
        before, after: on both sides of the hole; what stands before it on its row counts as before.
    """

    before: Mapping[int, float]
    after: Mapping[int, float]

    @property
    def all(self) -> dict[int, float]:
        """Both sides' words, each with its greater weight."""
        both = dict(self.before)
        for word, weight in self.after.items():
            both[word] = max(both.get(word, 0.0), weight)
        return both


def around(before: str, after: str) -> Around:
    """The words near a cursor, weighed by nearness."""
    above = [line for line in before[-NEAR_CHARS:].split("\n") if line.strip()][-ROWS_BEFORE:]
    below = [line for line in after[:NEAR_CHARS].split("\n") if line.strip()][:ROWS_AFTER]
    return Around(_faded(reversed(above), 1.0), _faded(below, AFTER_WEIGHT))


def weighed(found: Around, rarities: Mapping[int, float]) -> Around:
    """The same weighed by rarity too."""
    return Around(
        {word: weight * rarities[word] for word, weight in found.before.items()},
        {word: weight * rarities[word] for word, weight in found.after.items()},
    )


def _faded(rows: Iterable[str], weight: float) -> dict[int, float]:
    """From the nearest row on."""
    found: dict[int, float] = {}
    for line in rows:
        for word in _words_of(line):
            found.setdefault(word, weight)
        weight *= FADE
    return found


@lru_cache(maxsize=8_192)
def _words_of(line: str) -> frozenset[int]:
    return frozenset(words.of_text(line))


def likeness(lines: Sequence[str], wanted: Around) -> list[float]:
    """For each row, and the one after the last: the share of the weight around the cursor that stands around it too,
    in [0, 1]."""
    before, after = _whole(wanted.before), _whole(wanted.after)
    total = sum(before.values()) + sum(after.values())
    if not total:
        return [0.0] * (len(lines) + 1)
    rows = [_words_of(line) for line in lines]
    above = _sums(rows, before, REACH_BEFORE)
    below = _sums(rows[::-1], after, REACH_AFTER)[::-1]
    return [(up + down) / total for up, down in zip(above, below, strict=True)]


def _whole(weights: Mapping[int, float]) -> dict[int, int]:
    """In millionths: sums of whole numbers are the same in whichever order they are made."""
    return {word: round(weight * 1e6) for word, weight in weights.items()}


def _sums(rows: Sequence[frozenset[int]], weights: Mapping[int, int], reach: int) -> list[int]:
    """For each place between rows, the ends included: the weight of the words in the `reach` rows before it, each
    counted once."""
    found = [0]
    held: dict[int, int] = {}
    total = 0
    for row, words_there in enumerate(rows):
        for word in weights.keys() & words_there:
            count = held.get(word, 0)
            held[word] = count + 1
            if not count:
                total += weights[word]
        if row >= reach:
            for word in weights.keys() & rows[row - reach]:
                held[word] -= 1
                if not held[word]:
                    total -= weights[word]
        found.append(total)
    return found


def peaks(found: Sequence[float], count: int) -> list[int]:
    """The rows of the greatest likeness, at least `APART` rows from one another."""
    taken: list[int] = []
    for row in sorted(range(len(found)), key=lambda row: (-found[row], row)):
        if len(taken) == count:
            break
        if all(abs(row - other) >= APART for other in taken):
            taken.append(row)
    return taken
