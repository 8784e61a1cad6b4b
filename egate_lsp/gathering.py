"""Code of other files beside a hole: asked of those who know it, and left as it is while the user types on.

In the draft engine's prompt it stands before the file at hand, so each change of it makes the engine read all anew. So
what is shown of a document stays until the cursor is elsewhere, where all is new to the engine anyway, or until nothing
was asked for a while and enough has changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from egate_lsp.snippet_choice import Choice, choose, left

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from egate_lsp.guard import Sieved
    from egate_lsp.values import FimContext, Snippet

    # What may be shown of parts of other files; True: the text of the hole may leave the machine.
    Sieve = Callable[[Sequence[Snippet], bool], Awaitable[Sieved]]

log = logging.getLogger(__name__)

PATIENCE_S = 0.05  # at a new place; what is not there by then may be shown later
IDLE_PATIENCE_S = 2.0
SIEVE_PATIENCE_S = 0.5  # until it is known what of it may be shown: files are looked at, and a disk may not answer
RENEWED_SHARE = 0.2  # of what is shown must be new, or it stays as it was
START_CHARS = 200  # by which a window's start is known
KEPT_DOCUMENTS = 16


class Gatherer(Protocol):
    """Who knows code of other files."""

    @property
    def sources(self) -> Collection[str]:
        """As `context.sources` names them."""
        ...

    async def gather(self, hole: FimContext, chars: int, sources: Collection[str]) -> Sequence[Snippet]:
        """The best of these sources for a hole, the best first, of at most about so many characters.

        It is asked at a keystroke: what is at hand now, not what work would find. Cancelled when it takes long.
        """
        ...

    async def aclose(self) -> None:
        """Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is shown of a document, and the window that it was chosen for."""

    choice: Choice
    start: str
    below: str

    @classmethod
    def of(cls, hole: FimContext, choice: Choice) -> _Kept:
        return cls(choice, hole.prefix[:START_CHARS], _below(hole))

    def fits(self, hole: FimContext) -> bool:
        """Is it still the same window, with more or less typed in it?"""
        start = hole.prefix[:START_CHARS]
        return (start.startswith(self.start) or self.start.startswith(start)) and _below(hole) == self.below


def _below(hole: FimContext) -> str:
    """What follows the cursor's line: brackets that close themselves change that line alone."""
    return hole.suffix.partition("\n")[2]


class Gathering:
    """For one service."""

    def __init__(self, gatherers: Sequence[Gatherer], sources: Collection[str], chars: int, sieve: Sieve) -> None:
        """`gatherers`: those whose finds change least first. `sources`: those that the user wants. `chars`: what all
        of it may cost in a window."""
        wanted = [(each, [name for name in sources if name in each.sources]) for each in gatherers]
        self._gatherers = [(each, names) for each, names in wanted if names]
        self._chars = chars
        self._sieve = sieve
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._failed: set[str] = set()

    @property
    def active(self) -> bool:
        """Is there anything to be shown, by the settings?"""
        return bool(self._gatherers) and self._chars > 0

    async def beside(self, hole: FimContext, *, leaves: bool) -> FimContext:
        """The hole with what is shown beside it. `leaves`: its text may leave the machine; then only what may leave
        too is shown, to any model: what a model of this machine has read here, it may write into the text."""
        if not self.active:
            return hole
        kept = self._kept.get(hole.file)
        if kept is None or not kept.fits(hole):
            found = await self._found(hole, PATIENCE_S)
            kept = _Kept.of(hole, choose(found, hole, self._chars, kept.choice if kept else None))
            self._keep(hole, kept)
        return await self.shown(hole, kept.choice, leaves=leaves)

    async def renewed(self, hole: FimContext) -> Choice | None:
        """What should be shown now, where that has changed enough to be worth reading anew."""
        kept = self._kept.get(hole.file)
        former = kept.choice if kept else Choice()
        choice = choose(await self._found(hole, IDLE_PATIENCE_S), hole, self._chars, former)
        return choice if choice.renewal(former) >= RENEWED_SHARE else None

    async def shown(self, hole: FimContext, choice: Choice, *, leaves: bool) -> FimContext:
        """The hole with this choice, as far as it may be shown."""
        if not choice.snippets:
            return replace(hole, left_out=choice.left_out)
        try:
            async with asyncio.timeout(SIEVE_PATIENCE_S):
                sieved = await self._sieve(choice.snippets, leaves)
        except TimeoutError:
            reason = "it was not known in time whether it may be shown"
            unknown = tuple(left(each, hole, reason) for each in choice.snippets)
            return replace(hole, left_out=(*unknown, *choice.left_out))
        stopped = tuple(left(each, hole, reason) for each, reason in sieved.stopped)
        return replace(hole, snippets=sieved.passed, left_out=(*stopped, *choice.left_out))

    def adopt(self, hole: FimContext, choice: Choice) -> None:
        """Show this from now on."""
        self._keep(hole, _Kept.of(hole, choice))

    async def aclose(self) -> None:
        """Close the gatherers."""
        for gatherer, _ in self._gatherers:
            await gatherer.aclose()

    def _keep(self, hole: FimContext, kept: _Kept) -> None:
        self._kept[hole.file] = kept
        self._kept.move_to_end(hole.file)
        while len(self._kept) > KEPT_DOCUMENTS:
            self._kept.popitem(last=False)

    async def _found(self, hole: FimContext, patience_s: float) -> list[Sequence[Snippet]]:
        """What each gatherer has to say in time."""
        tasks = [
            asyncio.create_task(each.gather(hole, self._chars, names), name="egate gather")
            for each, names in self._gatherers
        ]
        try:
            await asyncio.wait(tasks, timeout=patience_s)
        finally:
            for task in tasks:
                task.cancel()
        return [self._result(task) for task in tasks]

    def _result(self, task: asyncio.Task[Sequence[Snippet]]) -> Sequence[Snippet]:
        if not task.done() or task.cancelled():
            return ()
        if (error := task.exception()) is not None:
            if (kind := type(error).__name__) not in self._failed:
                self._failed.add(kind)
                log.warning("code of other files is not found: %s", kind)
            return ()
        return task.result()
