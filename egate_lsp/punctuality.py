"""Are answers of the tiers behind the draft there in time, of late? Where they are not, waiting for them is of no use.

One answer after the deadline may be chance; after `LATE` of them in a row they are taken to be late, and one that is in
time ends that. While they are late, only one request in `PROBE_S` finds out whether they still are.
"""

from __future__ import annotations

LATE = 2
PROBE_S = 30.0


class Punctuality:
    """Of one row of tiers, by a deadline.

    Attributes:
        deadline_s: how long somebody who types may be kept waiting.
    """

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        self._late = 0
        self._asked_at = float("-inf")

    @property
    def late(self) -> bool:
        """The last answers came after the deadline."""
        return self._late >= LATE

    def asked(self, now: float) -> None:
        """A request is made."""
        self._asked_at = now

    def took(self, seconds: float, *, answered: bool) -> None:
        """A request has ended. One that was given up before the deadline tells nothing."""
        if seconds > self.deadline_s:
            self._late += 1
        elif answered:
            self._late = 0

    def may_ask(self, now: float) -> bool:
        """While they are late: is it time to see whether they still are?"""
        return now - self._asked_at >= PROBE_S
