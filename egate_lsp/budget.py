"""What may be spent and asked of targets. Looked at before a request leaves; the ledger's file holds the sums of all
servers of this user."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from egate_lsp.errors import LedgerUnavailable, OverBudget
from egate_lsp.ledger_file import Caps

if TYPE_CHECKING:
    from collections.abc import Callable

    from egate_lsp.ledger import Ledger
    from egate_lsp.records import RequestRecord

MINUTE_S = 60.0
_PERIODS = {"per_day": "day", "per_month": "month"}


class Budget:
    """Grants or refuses requests, and says when a cap is near. To be used within one event loop.

    Attributes:
        on_news: told once for each cap, period and level that the cap is near or reached.
    """

    def __init__(
        self,
        ledger: Ledger,
        caps: Caps,
        *,
        warn_at: float = 0.8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` must not go back: with it this server's own pace is measured, whatever the date is set to."""
        self._ledger = ledger
        self.caps = caps
        self._warn_at = warn_at
        self._clock = clock
        self._granted: deque[float] = deque()
        self._under_way = 0
        self._reached: dict[str, str] = {}  # cap -> the period in which a request was refused
        self._pace_refused: tuple[str, float] | None = None
        self._told: set[tuple[str, str, str]] = set()
        self.on_news: Callable[[str], None] = lambda _text: None

    async def admit(self, record: RequestRecord) -> None:
        """Let the request leave and write it down, or do not. `record.cost`: the most it can cost. Whoever is admitted
        calls `settle` in the end.

        Raises:
            OverBudget: a cap is reached, or cannot be held.
        """
        self._check_pace()
        if self.caps.money and record.cost is None and not record.local:
            raise OverBudget(
                f"there is no price for {record.model}, so the budget cannot be held",
                hint=f'Set [prices."{record.model}"].',
            )
        now = self._clock()
        self._granted.append(now)
        self._under_way += 1
        if self.caps == Caps():
            self._ledger.put(record)
            return
        try:
            hit = await self._ledger.reserve(record, self.caps)
        except LedgerUnavailable as error:
            if self.caps.money and record.cost:
                self._undo(now)
                raise OverBudget(f"the budget cannot be held: {error}", hint=error.hint) from None
            self._ledger.put(record)
            return
        except BaseException:  # cancelled meanwhile: the thread may yet write it
            self._undo(now)
            self._ledger.forget(record)
            raise
        if hit:
            self._undo(now)
            raise self._refusal(hit, record.day)
        self.look()

    def settle(self, record: RequestRecord) -> None:
        """The request has ended."""
        self._under_way -= 1
        self._ledger.put(record)

    def warning(self) -> str:
        """What the user should know now; "" if nothing."""
        totals = self._ledger.totals
        if self._pace_refused is not None:
            key, moment = self._pace_refused
            if self._clock() - moment < MINUTE_S:
                return self._said(key)
            self._pace_refused = None
        for key, period, cap, spent in self._money(totals.day, totals.cost, totals.cost_month):
            if self._reached.get(key) == period or spent >= cap:
                return self._said(key)
        for key, _period, cap, spent in self._money(totals.day, totals.cost, totals.cost_month):
            if spent >= self._warn_at * cap:
                return f"more than {self._warn_at:.0%} of the {_PERIODS[key]}'s {cap:.2f} USD are spent"
        return ""

    def look(self) -> None:
        """Tell the news, if there is any since the last time."""
        totals = self._ledger.totals
        for key, period, cap, spent in self._money(totals.day, totals.cost, totals.cost_month):
            reached = self._reached.get(key) == period or spent >= cap
            if (reached or spent >= self._warn_at * cap) and (text := self.warning()):
                self._tell(key, period, "reached" if reached else "near", text)

    def _money(self, day: str, today: float, month: float) -> list[tuple[str, str, float, float]]:
        """Caps in money: key, period, cap, spent."""
        found = []
        if self.caps.per_day is not None:
            found.append(("per_day", day, self.caps.per_day, today))
        if self.caps.per_month is not None:
            found.append(("per_month", day[:7], self.caps.per_month, month))
        return found

    def _check_pace(self) -> None:
        now = self._clock()
        while self._granted and self._granted[0] <= now - MINUTE_S:
            self._granted.popleft()
        per_minute, in_flight = self.caps.requests_per_minute, self.caps.in_flight
        if per_minute is not None and len(self._granted) >= per_minute:
            raise self._refusal("requests_per_minute", "")
        if in_flight is not None and self._under_way >= in_flight:
            raise self._refusal("in_flight", "")

    def _undo(self, moment: float) -> None:
        self._under_way -= 1
        self._granted.remove(moment)

    def _refusal(self, key: str, day: str) -> OverBudget:
        if key in _PERIODS:
            period = day if key == "per_day" else day[:7]
            self._reached[key] = period
            self._tell(key, period, "reached", self._said(key))
        elif key == "requests_per_minute":
            self._pace_refused = (key, self._clock())
            self._tell(key, "", "reached", self._said(key))
        return OverBudget(self._said(key), hint=f"See budget.{key}.")

    def _said(self, key: str) -> str:
        caps = self.caps
        match key:
            case "per_day":
                return f"the day's cap of {caps.per_day:.2f} USD is reached; lines stay with the draft"
            case "per_month":
                return f"the month's cap of {caps.per_month:.2f} USD is reached; lines stay with the draft"
            case "requests_per_minute":
                return f"{caps.requests_per_minute} requests in a minute are reached; lines stay with the draft"
            case _:
                return f"{caps.in_flight} requests are under way already"

    def _tell(self, key: str, period: str, level: str, text: str) -> None:
        if (key, period, level) not in self._told:
            self._told.add((key, period, level))
            self.on_news(text)
