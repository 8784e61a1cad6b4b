"""What will be asked for next, drafted while the user reads: after the shown text is accepted, and after a new line.

One piece of work at a time, begun when no request has come for a moment, ended by the next request that needs a model.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from egate_lsp.values import Completion, Snapshot

PAUSE_S = 0.3  # without a request, before anything is drafted ahead


@dataclass(frozen=True, slots=True)
class Written:
    """A document after `text` was written at its cursor. Its whole text is made only where it is drafted, because
    most plans are given up at the next key."""

    document: Snapshot
    text: str

    @property
    def snapshot(self) -> Snapshot:
        """The document as it is then, with the cursor after what was written."""
        before, after = self.document.text[: self.document.offset], self.document.text[self.document.offset :]
        return replace(self.document, text=before + self.text + after, offset=self.document.offset + len(self.text))


def following(document: Snapshot, shown: Completion) -> list[Written]:
    """Where the user is likely to ask next, the likelier first: at the end of the shown text, if there is one, and on
    a new line after it. None where text follows on the line, or where it is blank: an empty line is no end of
    anything. Pure."""
    if shown.pending:
        return []
    text, offset = document.text, document.offset
    line = text[text.rfind("\n", 0, offset) + 1 : offset] + shown.text
    line_end = text.find("\n", offset)
    rest = text[offset:] if line_end < 0 else text[offset:line_end]
    if not line.rpartition("\n")[2].strip() or rest.strip():
        return []
    entered = Written(document, f"{shown.text}\n")
    return [Written(document, shown.text), entered] if shown.text else [entered]


class Ahead:
    """Drafts one place after the other until one has text to show.

    Args:
        draft: drafts at a place and keeps what it finds; True if there is text to show.
        pause_s: see `PAUSE_S`.
    """

    def __init__(self, draft: Callable[[Snapshot], Awaitable[bool]], pause_s: float = PAUSE_S) -> None:
        self._draft = draft
        self._pause_s = pause_s
        self._places: list[Written] = []
        self._work: asyncio.Task[None] | None = None

    def plan(self, places: Sequence[Written]) -> None:
        """Draft there once nothing was asked for a moment. Work on the same places goes on."""
        if self._work is not None and self._places == places:
            return
        self._cancel()
        self._places = list(places)
        if places:
            self._work = asyncio.create_task(self._run(self._places), name="egate ahead")

    async def stop(self) -> None:
        """End what is under way, and wait until it has ended."""
        work = self._work
        self._cancel()
        if work is not None:
            await asyncio.gather(work, return_exceptions=True)

    async def finished(self) -> None:
        """Wait for what is planned."""
        if self._work is not None:
            await asyncio.wait({self._work})

    async def _run(self, places: Sequence[Written]) -> None:
        await asyncio.sleep(self._pause_s)
        for place in places:
            if await self._draft(place.snapshot):
                return

    def _cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()
        self._work, self._places = None, []
