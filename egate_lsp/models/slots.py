"""Which of the prompts that are kept serves a new one: several documents, and several windows of one, stay warm.
Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A slot that has most of the prompt, or is mostly of use to it, is cut and goes on; another is left as it is, and what
# it has in common with the prompt is copied.
KEPT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a prompt goes.

    Attributes:
        slot: the one that is to hold it.
        source: the one whose beginning it shares; the same one, or another to copy from.
        common: tokens that need not be evaluated.
    """

    slot: int
    source: int
    common: int


class Slots:
    """The tokens of each prompt, with the draft behind it, and when it was used last."""

    def __init__(self, count: int) -> None:
        self._tokens: list[list[int]] = [[] for _ in range(count)]
        self._used = [0] * count
        self._clock = 0

    def __getitem__(self, slot: int) -> list[int]:
        """The tokens of a slot; the engine keeps them true."""
        return self._tokens[slot]

    def choose(self, prompt: Sequence[int]) -> Choice:
        """The best place for the prompt. The last token of a prompt is always evaluated, for its logits."""
        commons = [min(longest_common_prefix(held, prompt), len(prompt) - 1) for held in self._tokens]
        source = max(range(len(commons)), key=lambda slot: (commons[slot], self._used[slot]))
        common = commons[source]
        if common >= KEPT_SHARE * min(len(self._tokens[source]), len(prompt)):
            return Choice(source, source, common)
        others = [slot for slot in range(len(commons)) if slot != source]
        slot = min(others, key=lambda other: (bool(self._tokens[other]), self._used[other])) if others else source
        return Choice(slot, source, common)

    def use(self, slot: int) -> None:
        """Mark as the most recently used."""
        self._clock += 1
        self._used[slot] = self._clock

    def in_the_way(self, slot: int, needed: int, capacity: int) -> list[int]:
        """Slots to empty so that no more than `capacity` tokens are kept in all with `needed` in `slot`, the least
        recently used first."""
        others = sorted((other for other in range(len(self._tokens)) if other != slot), key=self._used.__getitem__)
        held = sum(len(self._tokens[other]) for other in others)
        found = []
        for other in others:
            if held + needed <= capacity:
                break
            if self._tokens[other]:
                found.append(other)
                held -= len(self._tokens[other])
        return found

    def clear(self) -> None:
        """Nothing is held any more."""
        for held in self._tokens:
            held.clear()


def longest_common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Number of equal elements at the beginning of both."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))
