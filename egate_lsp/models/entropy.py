"""Uncertainty of a next-token distribution from its raw logits. Pure; numpy.

With x the logits, m their maximum and Z = sum exp(x_i - m), the entropy is

    H = ln Z - (1/Z) sum (x_i - m) exp(x_i - m)      nats, in [0, ln |V|]

one pass of exp, a sum and a dot product, in float32 with a float64 end: within 1e-4 nats of a float64 softmax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float32]

# exp(-80) = 2e-35: smaller terms cannot be seen in the sums, and clipping keeps 0 * -inf and denormals out of them.
_FLOOR = np.float32(-80.0)


@dataclass(frozen=True, slots=True)
class TokenStats:
    """The likeliest token and what the distribution says of it.

    Attributes:
        argmax: its index.
        entropy: of the whole distribution, nats.
        logprob: ln p of the likeliest token.
        margin: p of the likeliest less p of the second; 1 if there is but one.
    """

    argmax: int
    entropy: float
    logprob: float
    margin: float


class Meter:
    """Measures distributions of one size, with buffers made once. Not for use by several threads."""

    def __init__(self, vocabulary: int) -> None:
        self._shifted = np.empty(vocabulary, np.float32)
        self._powers = np.empty(vocabulary, np.float32)

    def measure(self, logits: Logits) -> TokenStats:
        """Stats of `logits`, shape (n,) with 1 <= n <= vocabulary; not changed, not kept.

        Entries of -inf are tokens of probability 0.
        """
        size = logits.shape[0]
        shifted, powers = self._shifted[:size], self._powers[:size]
        best = int(logits.argmax())
        np.subtract(logits, logits[best], out=shifted)
        shifted[best] = -np.inf
        second = float(shifted.max()) if size > 1 else -math.inf
        shifted[best] = 0.0
        np.maximum(shifted, _FLOOR, out=shifted)
        np.exp(shifted, out=powers)
        total = float(powers.sum())
        entropy = math.log(total) - float(powers.dot(shifted)) / total
        return TokenStats(best, max(entropy, 0.0), -math.log(total), (1.0 - math.exp(second)) / total)


def likeliest(logits: Logits, count: int) -> list[tuple[int, float]]:
    """`(index, natural log of its probability)` of the `count` likeliest entries of `logits`, shape (n,), the
    likeliest first; fewer if n is less. Entries of -inf are left out."""
    size = logits.shape[0]
    best = np.argpartition(logits, size - count)[size - count :] if size > count else np.arange(size)
    best = best[np.argsort(logits[best])[::-1]]
    shifted = np.maximum(logits - logits[best[0]], _FLOOR)
    total = math.log(float(np.exp(shifted).sum()))
    return [(int(index), float(logits[index] - logits[best[0]]) - total) for index in best if logits[index] > -math.inf]


def top_probabilities(logits: Logits, count: int) -> tuple[float, ...]:
    """Probabilities of the `count` likeliest entries, falling."""
    return tuple(math.exp(logprob) for _, logprob in likeliest(logits, count))
