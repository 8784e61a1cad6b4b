"""How long an automatic request should wait for the next key before a model is asked. Pure.

A draft that the next key makes useless was computed in vain; one that waits comes late. From the gaps between this
user's last keys follows what each wait w would have cost them, where a draft takes d:

    gap <= w          the request was overtaken while it waited: nothing
    w < gap < w + d   the draft was overtaken: THRIFT * (gap - w), the time it was computed for
    gap >= w + d      the draft was wanted, and came later: w

The wait with the least sum is taken. So a key that repeats (held down) waits for its end, somebody who types in bursts
hardly waits, and nobody waits as long as little is known.
"""

from __future__ import annotations

from collections import deque

THRIFT = 0.1  # a second computed in vain counts as much as so many seconds of waiting
MEMORY = 32  # gaps
LEAST_KNOWN = 8  # gaps
PAUSE_S = 2.0  # a gap as long as that, or longer, is a pause of any length
DRAFT_MEMORY = 0.7  # of a measured time in the average
_TICK = 0.001  # a wait must outlast the gap


class Debounce:
    """The gaps between keys of one user, and the time that a draft takes."""

    def __init__(self, longest_s: float) -> None:
        """`longest_s`: no wait is longer; 0: there is none."""
        self._longest_s = longest_s
        self._gaps: deque[float] = deque(maxlen=MEMORY)
        self._last: float | None = None
        self._draft_s = 0.0

    def key(self, now: float) -> None:
        """A key was pressed, by a clock in seconds that never goes back."""
        if self._last is not None:
            self._gaps.append(min(now - self._last, PAUSE_S))
        self._last = now

    def drafted(self, seconds: float) -> None:
        """A draft took so long from the request to its first line."""
        known = self._draft_s
        self._draft_s = DRAFT_MEMORY * known + (1.0 - DRAFT_MEMORY) * seconds if known else seconds

    def wait(self) -> float:
        """Seconds to wait from the last key on."""
        if len(self._gaps) < LEAST_KNOWN or not self._draft_s or not self._longest_s:
            return 0.0
        waits = [0.0, *(gap + _TICK for gap in self._gaps if gap < self._longest_s)]
        return min(min(waits, key=lambda wait: (self._cost(wait), wait)), self._longest_s)

    def _cost(self, wait: float) -> float:
        return sum(self._cost_of(gap, wait) for gap in self._gaps)

    def _cost_of(self, gap: float, wait: float) -> float:
        if gap <= wait:
            return 0.0
        if gap < wait + self._draft_s:
            return THRIFT * (gap - wait)
        return wait
