"""Quality against the share of lines deferred, with intervals. Pure; numpy.

Lines with equal scores are deferred in equal parts, so a curve does not depend on their order: for a rule that scores
all lines alike it is the straight line of deferring at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Lines:
    """What became of n lines. All arrays have shape (n,).

    Attributes:
        kept: 1.0 where the draft's line is right, else 0.0.
        deferred: the same of the line that is shown when it is deferred.
        groups: index of the problem or file a line is of; intervals are taken over them.
    """

    kept: Floats
    deferred: Floats
    groups: NDArray[np.int64]


def quality(lines: Lines, scores: Floats, shares: Sequence[float], weights: Floats | None = None) -> Floats:
    """Share of right lines when the highest-scored `shares` of the lines are deferred, shape (len(shares),)."""
    weights = np.ones(len(scores)) if weights is None else weights
    total = weights.sum()
    levels, level_of = np.unique(-scores, return_inverse=True)
    size = np.bincount(level_of, weights, len(levels))
    before = np.cumsum(size) - size
    gain = np.bincount(level_of, weights * (lines.deferred - lines.kept), len(levels))
    wanted = np.asarray(shares)[:, None] * total
    taken = np.clip((wanted - before) / np.where(size > 0, size, 1.0), 0.0, 1.0)
    return np.asarray(((weights * lines.kept).sum() + taken @ gain) / total)


def auroc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Probability that a positive line scores above a negative one, ties counted half; nan without both kinds."""
    count = int(positive.sum())
    if count in {0, len(scores)}:
        return float("nan")
    _, level_of, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    rank = (last - (sizes - 1) / 2.0)[level_of]
    return float((rank[positive].sum() - count * (count + 1) / 2.0) / (count * (len(scores) - count)))


def resamples(groups: NDArray[np.int64], *, count: int = RESAMPLES, seed: int = 7) -> Floats:
    """Weights of the lines in bootstrap resamples of whole groups, shape (count, n)."""
    chance = np.random.default_rng(seed)
    number = int(groups.max()) + 1
    drawn = chance.multinomial(number, np.full(number, 1.0 / number), size=count)
    return np.asarray(drawn[:, groups], dtype=np.float64)


def interval(values: Floats) -> tuple[float, float]:
    """The central 95 % of the values along the first axis; those that are nan are left out."""
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.nanquantile(values, (tail, 1.0 - tail))
    return float(low), float(high)


def recovered(quality_at: Floats, never: Floats | float, always: Floats | float) -> Floats:
    """Share of the gap from never deferring to always deferring that is closed; nan where there is no gap."""
    gap = np.asarray(always) - np.asarray(never)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(gap) > 1e-12, (quality_at - never) / gap, np.nan)


def grouped(names: Sequence[str]) -> NDArray[np.int64]:
    """The names as numbers from 0, in the order in which they first come."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names])
