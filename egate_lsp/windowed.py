"""A target that is shown more of the document than the draft, or less: it may be quicker to read, and each token of it
may cost money. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from egate_lsp import context as contexts
from egate_lsp.models.wrapped import WrappedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from egate_lsp.models import Limits, Model
    from egate_lsp.values import FimContext, Token


class WindowedModel(WrappedModel):
    """A model with a window of its own. It stands before the guard, which sees what leaves."""

    def __init__(self, model: Model, budget: contexts.Budget) -> None:
        super().__init__(model)
        self._budget = budget

    def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        """Stream the middle; see `Model`."""
        return self.inner.generate(contexts.recut(context, self._budget), limits)
