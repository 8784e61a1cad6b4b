"""Which tau defers which share of lines, and the weights of a learned score: data of each draft model, not code.

A calibration is measured by `egate-lsp calibrate` and written to the user's settings; the default draft's own is
shipped as `calibrations/MODEL.json`, with the command that measured it.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Points = tuple[tuple[float, float], ...]

RATES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of one draft model.

    Attributes:
        taus: name of a rule (`gate.Rule.name`) -> (share of lines, score that this share reaches or exceeds), by
            rising share.
        weights: of the learned score: signal -> weight, and "bias".
        note: what it was measured on, and how.
    """

    taus: Mapping[str, Points] = field(default_factory=lambda: MappingProxyType({}))
    weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    note: str = ""

    def over(self, base: Calibration) -> Calibration:
        """This one, and what only `base` has. Taus of a learned score go with its weights."""
        taus = {name: points for name, points in base.taus.items() if not (self.weights and name == "learned")}
        return Calibration({**taus, **self.taus}, self.weights or base.weights, self.note or base.note)


@functools.cache
def shipped(model: str) -> Calibration | None:
    """The calibration that comes with egate-lsp for this model of the catalogue."""
    file = resources.files("egate_lsp") / "calibrations" / f"{model}.json"
    if not file.is_file():
        return None
    table = json.loads(file.read_text(encoding="utf-8"))
    taus = {name: tuple((rate, tau) for rate, tau in points) for name, points in table["taus"].items()}
    return Calibration(taus, table["weights"], table["note"])


def points_of(scores: Sequence[float]) -> Points:
    """The points of these lines' scores; none without lines."""
    return tuple((rate, round(tau_at(scores, rate), DECIMALS)) for rate in RATES) if scores else ()


def tau_at(scores: Sequence[float], share: float) -> float:
    """The tau that defers this share of lines of these scores: the midpoint between the last score above and the
    first below, so that new lines near it fall to either side."""
    ordered = sorted(scores, reverse=True)
    index = min(round(share * len(ordered)), len(ordered) - 1)
    return float((ordered[max(index - 1, 0)] + ordered[index]) / 2.0)


def tau_for(points: Points, rate: float) -> float:
    """The tau that defers this share of lines, linear between the points. A rate of 0 is inf, never; of 1 always: 0."""
    if rate <= 0.0:
        return math.inf
    for (low_rate, high_tau), (high_rate, low_tau) in itertools.pairwise(_closed(points)):
        if rate <= high_rate:
            share = (rate - low_rate) / (high_rate - low_rate) if high_rate > low_rate else 1.0
            return high_tau + share * (low_tau - high_tau)
    return 0.0


def share_for(points: Points, score: float) -> float:
    """The share of lines that score at least this; the inverse of `tau_for`, in [0, 1]."""
    for (low_rate, high_tau), (high_rate, low_tau) in itertools.pairwise(_closed(points)):
        if score >= low_tau:
            share = (high_tau - score) / (high_tau - low_tau) if high_tau > low_tau else 0.0
            return low_rate + min(max(share, 0.0), 1.0) * (high_rate - low_rate)
    return 1.0


def _closed(points: Points) -> Points:
    """With its ends: no line scores above 1, every line at least 0."""
    first = ((0.0, 1.0),) if not points or points[0][0] > 0.0 else ()
    last = ((1.0, 0.0),) if not points or points[-1][0] < 1.0 else ()
    return (*first, *points, *last)
