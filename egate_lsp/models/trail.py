"""The logits along the last draft, kept so that the next one need not compute them again.

Whoever types another character than was drafted asks for a draft with the same prompt, healing included, and often the
first tokens that spell what was typed are the same too. The KV cache holds those tokens; what it does not hold are the
logits behind them, for which the last token would have to be decoded once more. Pure; numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 32  # positions; 0.6 MB each with 152,000 tokens


class Trail:
    """Logits of one sequence, by the number of its tokens that they follow."""

    def __init__(self, vocabulary: int, most: int = MOST) -> None:
        """`most`: positions; 0 keeps nothing."""
        self._rows = np.empty((most, vocabulary), np.float32)  # touched, and so in memory, only as far as it is used
        self._row: dict[int, int] = {}
        self._sequence = -1

    @property
    def keeps(self) -> bool:
        """Whether anything put here can be got again."""
        return len(self._rows) > 0

    def begin(self, sequence: int, least: int, most: int) -> None:
        """From now on it is of this sequence; what follows fewer than `least` or more than `most` of its tokens, and
        all of another, is forgotten."""
        if sequence != self._sequence:
            self._row.clear()
        self._sequence = sequence
        self._row = {held: row for held, row in self._row.items() if least <= held <= most}

    def put(self, held: int, logits: NDArray[np.float32]) -> None:
        """What follows the first `held` tokens, shape (|V|,); copied. Where there is no room it is not kept: the
        beginning of a draft is wanted again sooner than its end."""
        free = self._row.get(held)
        if free is None:
            used = set(self._row.values())
            free = next((row for row in range(len(self._rows)) if row not in used), None)
        if free is not None:
            self._rows[free] = logits
            self._row[held] = free

    def get(self, sequence: int, held: int) -> NDArray[np.float32] | None:
        """What follows the first `held` tokens of the sequence, shape (|V|,); None if it is not known."""
        row = self._row.get(held) if sequence == self._sequence else None
        return None if row is None else self._rows[row]

    def forget(self, sequence: int) -> None:
        """The sequence holds other tokens now."""
        if sequence == self._sequence:
            self._row.clear()
