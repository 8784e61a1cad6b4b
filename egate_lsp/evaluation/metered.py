"""A model whose use is counted and stops at a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.errors import EgateError
from egate_lsp.models.wrapped import WrappedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from egate_lsp.models import Limits, Model
    from egate_lsp.values import FimContext, Token

CHARS_PER_TOKEN = 3.0  # of code; on the careful side: Qwen's tokenizer takes about 3.3


class BudgetSpent(EgateError):
    """The next request could cost more than what is left."""


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million tokens, read and written."""

    read: float = 0.0
    written: float = 0.0

    def of(self, read: float, written: float) -> float:
        """Dollars for so many tokens."""
        return (read * self.read + written * self.written) / 1e6


class MeteredModel(WrappedModel):
    """A model with a meter.

    Attributes:
        spent: dollars so far.
        requests: so far.
    """

    def __init__(self, model: Model, prices: Prices, budget: float | None) -> None:
        super().__init__(model)
        self._prices = prices
        self._budget = budget
        self.spent = 0.0
        self.requests = 0

    async def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        """Stream the middle; see `Model`.

        Raises:
            BudgetSpent: this request could pass the budget.
        """
        read = (len(context.prefix) + len(context.suffix)) / CHARS_PER_TOKEN
        if self._budget is not None and self.spent + self._prices.of(read, limits.most_tokens) > self._budget:
            raise BudgetSpent(f"${self.spent:.2f} of ${self._budget:.2f} are spent.")
        self.requests += 1
        count = 0
        stream = self.inner.generate(context, limits)
        try:
            async for token in stream:
                count += 1
                yield token
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
            usage = self.inner.usage()
            written = usage.get("generated_tokens", float(count))
            self.spent += self._prices.of(usage.get("prompt_tokens", read), written)
