"""A model around another: what a wrapper does not do itself is the inner model's. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egate_lsp.models import Model


class WrappedModel:
    """All of `Model` but `generate`, which each wrapper writes.

    Attributes:
        inner: the model that is asked in the end, or the next wrapper.
    """

    def __init__(self, model: Model) -> None:
        self.inner = model

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def remote(self) -> bool:
        return self.inner.remote

    def usage(self) -> dict[str, float]:
        return self.inner.usage()

    async def aclose(self) -> None:
        await self.inner.aclose()
