"""`.egate/context.md` in a workspace folder: what a team wants models to know, shown to them as a comment.

It is text for models and nothing else: no setting is read from it.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from egate_lsp import languages, workspace_paths
from egate_lsp.values import Snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from egate_lsp.values import FimContext

NAME = ".egate/context.md"
MAX_BYTES = 65_536  # that are read
MOST_SHARE = 0.5  # of the characters for all of other files


class ProjectNote:
    """Reads the note when it is first needed or has changed; see `gathering.Gatherer`."""

    sources = ("project-note",)

    def __init__(self, folders: Callable[[], Sequence[str]]) -> None:
        """`folders`: the workspace folders now."""
        self._folders = folders
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}
        self._reading: dict[str, asyncio.Task[str]] = {}

    async def gather(self, hole: FimContext, chars: int, sources: Collection[str]) -> Sequence[Snippet]:
        """The note of the folder that the document is in, as comments of its language; its first lines where it is
        long."""
        folder = workspace_paths.home(hole.file, self._folders())
        if not folder:
            return []
        text = await self._read(folder)
        lines: list[str] = []
        room = int(chars * MOST_SHARE)
        for line in text.splitlines():
            comment = languages.comment(line, hole.language).rstrip() if line.strip() else ""
            room -= len(comment) + 1
            if room < 0:
                break
            lines.append(comment)
        shown = "\n".join(lines).strip("\n")
        return [Snippet(NAME, f"{shown}\n", "project note", str(Path(folder, NAME)))] if shown else []

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _read(self, folder: str) -> str:
        # On a disk that does not answer, one thread waits for it, not one more at each key.
        if (reading := self._reading.get(folder)) is None:
            reading = asyncio.create_task(asyncio.to_thread(self._text, folder), name="egate project note")
            self._reading[folder] = reading
            reading.add_done_callback(lambda _task: self._reading.pop(folder, None))
        return await asyncio.shield(reading)

    def _text(self, folder: str) -> str:
        path = os.path.join(folder, NAME)
        try:
            # Not what a link leads to from out of the folder, and no pipe, which could be read for ever.
            if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
                return ""
            found = os.stat(path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if not stat.S_ISREG(found.st_mode):
                return ""
            if (kept := self._known.get(folder)) is not None and kept[0] == stamp:
                return kept[1]
            with open(path, "rb") as file:
                text = file.read(MAX_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError):
            return ""
        self._known[folder] = (stamp, text)
        return text
