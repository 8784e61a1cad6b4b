"""Which chunks hold which words, and the chunks that are most like a bag of words by BM25. numpy.

BM25 as in Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009), section 3.4, for words that count
once in a chunk. The libraries at hand make their index anew for each change (bm25s) or are not kept up (rank_bm25);
here a file's chunks come and go, and each word of a query has a weight.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

K1, B = 1.2, 0.75
COMMON_SHARE = 0.25  # of the chunks: a word in more of them tells nothing
COMMON_LEAST = 20  # chunks; so many say little of what is common
SEALED_AT = 20_000  # words of chunks that wait: with so many making them searchable anew takes 2 ms
MOST_IN_TABLE = 600_000  # words: what making one takes in memory stays small


@dataclass(frozen=True, slots=True)
class _Table:
    """Words in order, with the chunks of the word at `i` from `starts[i]` to `starts[i + 1]`."""

    words: np.ndarray
    starts: np.ndarray
    chunks: np.ndarray

    @classmethod
    def of(cls, words: np.ndarray, chunks: np.ndarray) -> _Table:
        order = np.argsort(words, kind="stable")
        words, chunks = words[order], chunks[order]
        unique, starts = np.unique(words, return_index=True)
        return cls(unique, np.append(starts, len(words)).astype(np.uint32), chunks)

    def __len__(self) -> int:
        return len(self.chunks)

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        return np.repeat(self.words, np.diff(self.starts)), self.chunks

    def spans(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in `chunks` those of each word stand: firsts and ends; nothing for a word that is in none."""
        places = np.minimum(np.searchsorted(self.words, words), max(len(self.words) - 1, 0))
        if not len(self.words):
            return np.zeros(len(words), np.uint32), np.zeros(len(words), np.uint32)
        firsts, ends = self.starts[places], self.starts[places + 1]
        return firsts, np.where(self.words[places] == words, ends, firsts)


class Postings:
    """Chunks by number. Not safe to use from several threads."""

    def __init__(self) -> None:
        self._sizes = array("H")  # words of each chunk that ever was; 0: it is gone
        self._alive = 0
        self._total = 0
        self._sealed: list[_Table] = []
        self._words, self._chunks = array("I"), array("I")  # of chunks that wait to be sealed
        self._waiting: _Table | None = None  # they, made searchable

    def __len__(self) -> int:
        return self._alive

    def add(self, words: Collection[int]) -> int:
        """A chunk of these words; returns its number. One without a word is never found."""
        chunk = len(self._sizes)
        size = min(len(words), 0xFFFF)
        self._sizes.append(size)
        self._alive += 1
        self._total += size
        self._words.extend(words)
        self._chunks.extend([chunk] * len(words))
        self._waiting = None
        if len(self._words) >= SEALED_AT:
            self.seal()
        return chunk

    def remove(self, chunk: int) -> None:
        """A chunk that was added."""
        self._alive -= 1
        self._total -= self._sizes[chunk]
        self._sizes[chunk] = 0

    def seal(self) -> None:
        """Put away what waits. Tables of like size become one, without what is gone, as long as it is not too large;
        so there are few, and none is made often."""
        self._sealed.append(_Table.of(*self._unsealed()))
        self._words, self._chunks, self._waiting = array("I"), array("I"), None
        while len(self._sealed) > 1:
            older, newer = self._sealed[-2:]
            if len(older) > 2 * len(newer) or len(older) + len(newer) > MOST_IN_TABLE:
                break
            words, chunks = (np.concatenate(both) for both in zip(older.pairs, newer.pairs, strict=True))
            there = np.frombuffer(self._sizes, np.uint16)[chunks] > 0
            self._sealed[-2:] = [_Table.of(words[there], chunks[there])]

    def rarities(self, words: Collection[int]) -> dict[int, float]:
        """The inverse document frequency of each word, at least 0; 0.0 for what so many chunks hold that it tells
        nothing. A chunk that is gone may count for a while."""
        known = np.fromiter(words, np.uint32, len(words))
        return dict(zip(words, self._rarities(known).tolist(), strict=True))

    def best(self, weights: Mapping[int, float], count: int) -> list[tuple[int, float]]:
        """Numbers and scores of the chunks most like these words, the best first; only what has one in common."""
        if not self._alive:
            return []
        words = np.fromiter(weights, np.uint32, len(weights))
        worth = self._rarities(words) * np.fromiter(weights.values(), np.float64, len(weights))
        scores = np.zeros(len(self._sizes), np.float32)
        for table in self._tables:
            firsts, ends = table.spans(words)
            for place in np.flatnonzero((ends > firsts) & (worth > 0.0)):
                scores[table.chunks[firsts[place] : ends[place]]] += worth[place]
        some = np.flatnonzero(scores)
        sizes = np.frombuffer(self._sizes, np.uint16)[some].astype(np.float32)
        scores = scores[some] * ((K1 + 1.0) / (1.0 + K1 * (1.0 - B + B * sizes / max(self._total / self._alive, 1.0))))
        some, scores = some[sizes > 0.0], scores[sizes > 0.0]
        if len(some) > count:
            top = np.argpartition(-scores, count - 1)[:count]
            some, scores = some[top], scores[top]
        # By number where scores are the same, so that the same index gives the same answer.
        order = np.lexsort((some, -scores))
        return [(int(some[place]), float(scores[place])) for place in order]

    def _rarities(self, words: np.ndarray) -> np.ndarray:
        holders = np.zeros(len(words), np.int64)
        for table in self._tables:
            firsts, ends = table.spans(words)
            holders += ends.astype(np.int64) - firsts
        found = np.log1p((np.maximum(self._alive - holders, 0) + 0.5) / (holders + 0.5))
        found[holders > max(COMMON_SHARE * self._alive, COMMON_LEAST)] = 0.0
        return found

    @property
    def _tables(self) -> list[_Table]:
        if self._waiting is None:
            self._waiting = _Table.of(*self._unsealed())
        return [*self._sealed, self._waiting]

    def _unsealed(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self._words, np.uint32), np.array(self._chunks, np.uint32)
