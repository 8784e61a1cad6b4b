"""One service's ledger, budget and prices, as its settings say."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from egate_lsp import prices
from egate_lsp.accounted import AccountedModel
from egate_lsp.budget import Budget
from egate_lsp.ledger import Ledger
from egate_lsp.ledger_file import Caps
from egate_lsp.records import day_of
from egate_lsp.status import Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from egate_lsp.config import Settings
    from egate_lsp.models import Model


class Accounts:
    """To be used within one event loop; `start` before the first request, `aclose` in the end, and again if need be.

    Attributes:
        on_news: told what the user should be shown once: a cap is near or reached, the ledger cannot be written.
        on_change: called when `usage` or `warning` may have changed.
    """

    def __init__(self, settings: Settings, path: Path | None) -> None:
        """`path`: of the ledger's file; None: it is kept in memory."""
        self._settings = settings
        self._path = path if settings.ledger.enabled else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_news: Callable[[str], None] = lambda _text: None
        self.on_change: Callable[[], None] = lambda: None
        self.ledger, self.budget = self._begin()

    def start(self) -> None:
        """Open the ledger, in the background."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            if self.ledger.is_closed:
                self.ledger, self.budget = self._begin()
            self.ledger.start()

    def accounted(self, model: Model, url: str) -> AccountedModel:
        """The model, with its requests granted and written down."""
        settings = self._settings
        return AccountedModel(model, url, self.budget, settings.prices, keep_text=settings.ledger.keep_text)

    def usage(self) -> Usage:
        """What was shown and asked today, by all of the user's servers. From memory."""
        day = day_of(time.time())
        totals = self.ledger.totals
        known = totals.day == day
        caps = self._settings.budget
        free = bool(self._settings.prices)
        return Usage(
            day,
            lines=totals.lines if known else 0,
            lines_target=totals.lines_target if known else 0,
            share=totals.lines_target / totals.lines if known and totals.lines else 0.0,
            requests=totals.requests if known else 0,
            tokens_in=totals.tokens_in if known else 0,
            tokens_out=totals.tokens_out if known else 0,
            estimated=known and totals.estimated,
            cost=round(totals.cost, 6) if known and (totals.priced or totals.cost) else 0.0 if free else None,
            currency=prices.CURRENCY,
            cap=caps.per_day,
            warning=self.budget.warning(),
        )

    async def aclose(self) -> None:
        """Write what is waiting. Idempotent."""
        self._loop = None
        await asyncio.to_thread(self.ledger.close)

    def _begin(self) -> tuple[Ledger, Budget]:
        kept, caps = self._settings.ledger, self._settings.budget
        ledger = Ledger(self._path, keep_days=kept.keep_days, max_mb=kept.max_mb)
        ledger.on_trouble = lambda text: self._soon(lambda: self.on_news(text))
        ledger.on_totals = lambda: self._soon(self._looked)
        budget = Budget(
            ledger,
            Caps(caps.per_day, caps.per_month, caps.requests_per_minute, caps.in_flight),
            warn_at=caps.warn_at,
        )
        budget.on_news = lambda text: self.on_news(text)
        return ledger, budget

    def _looked(self) -> None:
        self.budget.look()
        self.on_change()

    def _soon(self, work: Callable[[], None]) -> None:
        """On the event loop; from the ledger's thread."""
        if (loop := self._loop) is not None and not loop.is_closed():
            loop.call_soon_threadsafe(work)
