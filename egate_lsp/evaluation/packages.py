"""The sources of snippets that serve, on the packages of `context_bench`: an index of each, made when it is first
needed, in this process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from egate_lsp.config import DEFAULT_NEVER_SEND
from egate_lsp.values import Snippet
from egate_lsp.workspace.folder import Folder
from egate_lsp.workspace.questions import SOURCES, Question
from egate_lsp.workspace.scan import Limits

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from egate_lsp.evaluation.crossfile import Hole
    from egate_lsp.values import FimContext


class Packages:
    """See `context_bench.Elsewhere`. The file at hand is known with its hole only.

    Attributes:
        ask_ms: how long each question took.
    """

    def __init__(self) -> None:
        self._folders: dict[Path, Folder] = {}
        self.ask_ms: list[float] = []

    @property
    def sources(self) -> Sequence[str]:
        return SOURCES

    async def gather(self, hole: Hole, context: FimContext, chars: int, sources: Collection[str]) -> list[Snippet]:
        """The best for a hole, the best last."""
        if hole.root not in self._folders:
            self._folders[hole.root] = self._open(hole.root)
        offset = len(hole.before)
        question = Question(
            hole.path.relative_to(hole.root).as_posix(),
            hole.language,
            hole.before + hole.after,
            offset,
            offset - len(context.prefix),
            offset + len(context.suffix),
            chars,
            tuple(sources),
        )
        started = time.perf_counter()
        found = self._folders[hole.root].ask(question)
        self.ask_ms.append((time.perf_counter() - started) * 1000.0)
        return [Snippet(each.name, each.text, each.source, str(hole.root / each.name)) for each in found]

    def _open(self, root: Path) -> Folder:
        folder = Folder(str(root), DEFAULT_NEVER_SEND, Limits())
        for _ in folder.reading():
            pass
        return folder
