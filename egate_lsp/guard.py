"""The one gate through which text leaves the machine: every model that is not on it is asked through a `GuardedModel`.

The user's terms are looked at once more, and the text is searched for secrets, when a request is about to leave and
not before; both outside of the event loop.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from typing import TYPE_CHECKING

from egate_lsp.errors import Withheld
from egate_lsp.models.wrapped import WrappedModel
from egate_lsp.values import FimContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from egate_lsp.config import Privacy
    from egate_lsp.models import Limits, Model
    from egate_lsp.secret_scan import Scanned
    from egate_lsp.terms import Permission, Terms
    from egate_lsp.values import Token

log = logging.getLogger(__name__)


class Guard:
    """Decides for each request.

    Attributes:
        on_question: told a folder when the user must be asked about it; called again at each request until answered.
        paused: nothing leaves.
    """

    def __init__(self, terms: Terms, privacy: Privacy) -> None:
        self._terms = terms
        self._secrets = privacy.secrets
        self._lock = threading.Lock()
        self.on_question: Callable[[str], None] = lambda _folder: None
        self.paused = False

    async def warm_up(self) -> None:
        """Load the detectors, so that the first request need not wait for them."""
        if self._secrets != "send":
            await asyncio.to_thread(_scanned, FimContext("", ""))

    async def permission(self, path: str, language: str) -> Permission:
        """What the terms say of a document."""
        return await asyncio.to_thread(self._permission, path, language)

    async def admitted(self, context: FimContext) -> FimContext:
        """The hole as it may leave, secrets masked if the settings say so.

        Raises:
            Withheld: it may not; the message says why.
        """
        if self.paused:
            raise Withheld("the target is paused")
        permission = await self.permission(context.file, context.language)
        if permission.verdict == "ask":
            self.on_question(permission.folder)
        if permission.verdict != "yes":
            raise Withheld(permission.reason)
        if self._secrets == "send":
            return context
        scanned = await asyncio.to_thread(_scanned, context)
        if not scanned.kinds:
            return scanned.masked
        kinds = ", ".join(scanned.kinds)
        log.info("%s in the text around the cursor: %s", kinds, self._secrets)
        if self._secrets == "stop":
            raise Withheld(f"the text around the cursor holds what looks like a secret: {kinds} (privacy.secrets)")
        return scanned.masked

    def _permission(self, path: str, language: str) -> Permission:
        with self._lock:
            return self._terms.permission(path, language)


class GuardedModel(WrappedModel):
    """A model that is not on this machine, behind the guard."""

    def __init__(self, model: Model, guard: Guard) -> None:
        super().__init__(model)
        self._guard = guard

    async def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        """Stream the middle; see `Model`.

        Raises:
            Withheld: nothing was sent.
        """
        stream = self.inner.generate(await self._guard.admitted(context), limits)
        try:
            async for token in stream:
                yield token
        finally:
            await stream.aclose()  # type: ignore[attr-defined]


def _scanned(context: FimContext) -> Scanned:
    # Imported here, in the thread: the detectors take a moment.
    scanned: Scanned = importlib.import_module("egate_lsp.secret_scan").scan_hole(context)
    return scanned
