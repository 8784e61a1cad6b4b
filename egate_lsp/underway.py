"""Drafts under way, and the requests that come while they are written.

Whoever types what a draft writes goes on waiting for it, instead of having it begun anew at every key. Whoever has
waited long enough gets what is settled so far, and the rest when it is there.

A draft is ended as soon as it writes something else than was typed, when a request comes that it cannot answer, or when
nobody has waited for it for `GRACE_S`: editors cancel a request at each key, and send the next a moment later.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from egate_lsp.cache import Place

T = TypeVar("T")

# From a key to the request that follows it: VS Code waits 50 ms at least, Neovim 200 ms.
GRACE_S = 0.4


class Underway(Generic[T]):
    """One draft, a task of its own.

    Attributes:
        place: where it was asked for.
    """

    def __init__(
        self,
        place: Place,
        draft: Callable[[Self], Coroutine[Any, Any, T]],
        *,
        asked_at: float | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        """`draft` is given this and calls `wrote` and `settled`. `asked_at`: when the request came, by
        `time.monotonic`; None: now. `grace_s` after the last one has ceased to wait, it ends, unless somebody was
        given what was settled by then."""
        self.place = place
        self._asked_at = time.monotonic() if asked_at is None else asked_at
        self._grace_s = grace_s
        self._text = ""
        self._typed = ""
        self._so_far: tuple[str, T] | None = None
        self._waits = False
        self._more: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting = 0
        self._shown = False
        self._ending: asyncio.TimerHandle | None = None
        self._ended_at: float | None = None
        self._task = asyncio.create_task(draft(self), name="egate draft under way")
        self._task.add_done_callback(self._has_ended)

    @property
    def awaited(self) -> bool:
        """Somebody waits for it."""
        return self._waiting > 0

    @property
    def done(self) -> bool:
        """It has come to its end, or was ended."""
        return self._task.done()

    @property
    def age_ms(self) -> float:
        """From when it was asked for to its end, or till now."""
        until = time.monotonic() if self._ended_at is None else self._ended_at
        return (until - self._asked_at) * 1000.0

    def wrote(self, text: str) -> None:
        """This is written so far, and may yet be changed."""
        self._text = text
        if not self._agrees(self._typed):
            self.end()

    def settled(self, text: str, so_far: T) -> None:
        """This much of the text is written for good, and may be shown."""
        self._so_far, self._waits = (text, so_far), False
        self._wake()

    def waits(self, text: str, so_far: T) -> None:
        """What follows this text may take long: it is drafted anew, or another model was asked for it."""
        if self._so_far is None or not self._so_far[0].startswith(text):
            self._so_far = (text, so_far)
        self._waits = True
        self._wake()

    def typed(self, place: Place) -> str | None:
        """What was typed since, if it is at `place` now and may still come to the same; else None."""
        typed = place.typed_since(self.place)
        lost = self._task.done() and self._is_lost()
        return typed if typed is not None and not lost and self._agrees(typed) else None

    async def result(self, typed: str, answer_s: float = 0.0, *, told_later: bool = False) -> T | None:
        """What was drafted, for somebody who has typed that much of it; None if it was ended, or turned out to write
        something else. `answer_s` after it was asked for, what is settled will do, if it is more than was typed; 0:
        only the whole. Cancel to wait no longer.

        Args:
            told_later: it can be told when there is more, so where that may take long nothing will do too.

        Raises:
            EgateError: as the draft raised it.
        """
        if self._ending is not None:
            self._ending.cancel()
        self._typed = typed
        self._waiting += 1
        try:
            while not self._task.done():
                left = None
                if answer_s and (so_far := self._beyond(typed, told_later=told_later)) is not None:
                    left = self._asked_at + answer_s - time.monotonic()
                    if left <= 0:
                        self._shown = True
                        return so_far
                if self._more.done():
                    self._more = asyncio.get_running_loop().create_future()
                either: set[asyncio.Future[Any]] = {self._task, self._more}
                await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._shown and not self._task.done():
                self._ending = asyncio.get_running_loop().call_later(self._grace_s, self.end)
        return None if self._task.cancelled() else self._task.result()

    async def whole(self) -> T | None:
        """What was drafted in the end, for somebody who does not hurry it; None if it was ended, or failed."""
        await asyncio.wait({self._task})
        return None if self._is_lost() else self._task.result()

    def end(self) -> None:
        """Stop; whoever waits gets None."""
        if not self._task.cancelling():  # once: a second time would break off what ends the first model's job
            self._task.cancel()

    async def ended(self) -> None:
        """Stop, and wait until it has."""
        self.end()
        await asyncio.wait({self._task})

    def _has_ended(self, task: asyncio.Task[T]) -> None:
        self._ended_at = time.monotonic()
        if not task.cancelled():
            task.exception()  # seen: whoever waits for it is told

    def _is_lost(self) -> bool:
        """It was ended, or it failed; of one that is done."""
        return self._task.cancelled() or self._task.exception() is not None

    def _wake(self) -> None:
        if not self._more.done():
            self._more.set_result(None)

    def _beyond(self, typed: str, *, told_later: bool) -> T | None:
        if self._so_far is None:
            return None
        text, so_far = self._so_far
        more = text.startswith(typed) and text[len(typed) :].strip()
        return so_far if more or (told_later and self._waits) else None

    def _agrees(self, typed: str) -> bool:
        return self._text.startswith(typed) or typed.startswith(self._text)


class Drafts(Generic[T]):
    """The drafts of all documents; each has at most one."""

    def __init__(self) -> None:
        self._by_path: dict[str, Underway[T]] = {}

    def of(self, path: str) -> Underway[T] | None:
        """The document's."""
        return self._by_path.get(path)

    def at(self, path: str, place: Place) -> tuple[Underway[T], str] | None:
        """One that may answer a request there, and what was typed since it was begun."""
        draft = self._by_path.get(path)
        typed = draft.typed(place) if draft is not None else None
        return (draft, typed) if draft is not None and typed is not None else None

    async def make_way(self, path: str) -> None:
        """End what this document has under way, and what nobody waits for; returns when that has ended."""
        ending = [draft for other, draft in self._by_path.items() if other == path or not draft.awaited]
        self._by_path = {other: draft for other, draft in self._by_path.items() if draft not in ending}
        await asyncio.gather(*(draft.ended() for draft in ending))

    def begin(self, path: str, draft: Underway[T]) -> None:
        """A draft was begun, after `make_way`; one that came in between ends."""
        self.forget(path)
        self._by_path[path] = draft

    def forget(self, path: str, only: Underway[T] | None = None) -> None:
        """End what a document has under way; with `only`, if it is this."""
        draft = self._by_path.get(path)
        if draft is not None and only in {None, draft}:
            del self._by_path[path]
            draft.end()

    def abandon(self) -> None:
        """End all."""
        for draft in self._by_path.values():
            draft.end()

    async def aclose(self) -> None:
        """End all, and wait until they have ended."""
        drafts, self._by_path = list(self._by_path.values()), {}
        await asyncio.gather(*(draft.ended() for draft in drafts))
