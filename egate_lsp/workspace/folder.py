"""One workspace folder with its index, read a file at a time, so that whoever does it can do other things between."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from egate_lsp import languages
from egate_lsp.workspace.index import Index
from egate_lsp.workspace.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from egate_lsp.workspace.questions import Excerpt, Question
    from egate_lsp.workspace.scan import Limits, Stamp

log = logging.getLogger(__name__)


class Folder:
    """Attributes:
    root: absolute and without links.
    read_s: the processor time that the last reading of the whole folder took.
    """

    def __init__(self, root: str, never_send: Sequence[str], limits: Limits) -> None:
        self._scan = Scan(root, never_send, limits)
        self._limits = limits
        self._index = Index()
        self._stamps: dict[str, Stamp] = {}
        self.root = self._scan.root
        self.read_s = 0.0

    def __len__(self) -> int:
        return len(self._index)

    @property
    def chunks(self) -> int:
        return self._index.chunks

    def name_of(self, path: str) -> str | None:
        """A path without links as the index names it; None for one that is outside of the folder."""
        if not path.startswith(os.path.join(self.root, "")):
            return None
        return path[len(os.path.join(self.root, "")) :].replace(os.sep, "/")

    def reading(self) -> Iterator[None]:
        """Bring all files up to date, with a pause after each step."""
        began, spent = time.process_time(), 0.0
        seen = set()
        for step in self._scan.steps():
            if step is not None:
                name, stamp = step
                seen.add(name)
                if self._stamps.get(name) != stamp:
                    self._read(name, stamp)
            spent += time.process_time() - began
            yield
            began = time.process_time()
        for name in self._stamps.keys() - seen:
            self._forget(name)
        self.read_s = spent + time.process_time() - began

    def changed(self, name: str) -> None:
        """A file was saved, made or deleted."""
        stamp = self._scan.stamp(name) if self._scan.admits(name) else None
        if stamp is None:
            self._forget(name)
        elif name in self._stamps or len(self._stamps) < self._limits.files:
            self._read(name, stamp)

    def ask(self, question: Question) -> list[Excerpt]:
        """See `Index.ask`."""
        return self._index.ask(question)

    def _read(self, name: str, stamp: Stamp) -> None:
        text = self._scan.text(name)
        # Remembered in any case: what is no text is not read again before it has changed.
        self._stamps[name] = stamp
        if text is None:
            self._index.drop(name)
            return
        try:
            self._index.put(name, text, languages.by_path(name))
        except Exception as error:  # whatever is made of a strange file costs that file alone
            log.warning("a file is left out of the index: %s", type(error).__name__)
            self._index.drop(name)

    def _forget(self, name: str) -> None:
        self._stamps.pop(name, None)
        self._index.drop(name)
