"""The one gate through which text leaves the machine: every model that is not on it is asked through a `GuardedModel`.

The user's terms are looked at once more, and the text is searched for secrets, when a request is about to leave and
not before; both outside of the event loop.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from egate_lsp import languages
from egate_lsp.errors import Withheld
from egate_lsp.models.wrapped import WrappedModel
from egate_lsp.values import FimContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from egate_lsp.config import Privacy
    from egate_lsp.models import Limits, Model
    from egate_lsp.secret_scan import Scanned
    from egate_lsp.terms import Permission, Terms
    from egate_lsp.values import Snippet, Token

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sieved:
    """Parts of other files after the user's terms were looked at.

    Attributes:
        passed: those that may be shown, secrets masked if the settings say so.
        stopped: the others, and why.
    """

    passed: tuple[Snippet, ...] = ()
    stopped: tuple[tuple[Snippet, str], ...] = ()


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
        if context.snippets:
            context = replace(context, snippets=(await self.sieved(context.snippets)).passed)
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

    async def sieved(self, snippets: Sequence[Snippet], *, leaving: bool = True) -> Sieved:
        """Those that may leave: the terms hold for the file of each as for a document, and one with a secret stays
        here, or is masked. `leaving` False: those that a model of this machine may be shown beside a document that
        stays here, which is all but files that hold secrets by their nature."""
        return await asyncio.to_thread(self._sieved, snippets, leaving)

    def _sieved(self, snippets: Sequence[Snippet], leaving: bool) -> Sieved:  # noqa: FBT001  # handed to a thread
        passed, stopped = [], []
        for each in snippets:
            reason, text = self._looked_at(each, leaving)
            if reason:
                stopped.append((each, reason))
            else:
                passed.append(each if text == each.text else replace(each, text=text))
        return Sieved(tuple(passed), tuple(stopped))

    def _looked_at(self, snippet: Snippet, leaving: bool) -> tuple[str, str]:  # noqa: FBT001
        """Why it may not be shown, "" if it may; and its text as it may."""
        if not leaving:
            with self._lock:
                secret = self._terms.names_a_secret(snippet.file)
            return "its file matches privacy.never_send" if secret else "", snippet.text
        if not snippet.file:
            return "nobody knows its file", snippet.text
        permission = self._permission(snippet.file, snippet.language or languages.by_path(snippet.file))
        if permission.verdict != "yes":
            return permission.reason, snippet.text
        if self._secrets == "send":
            return "", snippet.text
        kinds, masked = _scanner().scan_part(snippet.text, snippet.path)
        if kinds and self._secrets == "stop":
            return f"it holds what looks like a secret: {', '.join(kinds)} (privacy.secrets)", snippet.text
        return "", masked

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
    scanned: Scanned = _scanner().scan_hole(context)
    return scanned


def _scanner() -> Any:
    # Imported when first needed, in a thread: the detectors take a moment.
    return importlib.import_module("egate_lsp.secret_scan")
