"""The index's process as the server sees it: started, asked, told of saved files, restarted; a `gathering.Gatherer`.

A crash or a hang of it costs the snippets of a moment and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from egate_lsp.child import Child, spawn
from egate_lsp.values import Snippet
from egate_lsp.workspace.questions import OWN, SIMILAR, SOURCES
from egate_lsp.workspace.scan import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from egate_lsp.values import FimContext

log = logging.getLogger(__name__)

# -P: the editor's working directory is a workspace, and no file of it may be imported in a module's place.
WORKER = (sys.executable, "-P", "-m", "egate_lsp.workspace.worker")
BACKOFF_S = (0.0, 1.0, 10.0, 60.0)  # before each start after a death; after as many it stays dead
HANG_S = 30.0  # without an answer: it is killed
IN_WORDS = {SIMILAR: "similar code", OWN: "this file, further away"}
MAX_OWN_CHARS = 200_000  # of a document; of a larger one only what is shown is told
MAX_WAITING = 4  # questions


@dataclass(frozen=True, slots=True)
class IndexState:
    """Attributes:
    files, chunks: in all folders whose reading has ended.
    read_s: the processor time that it took.
    done: all folders were read.
    """

    files: int = 0
    chunks: int = 0
    read_s: float = 0.0
    done: bool = False


class WorkspaceIndex:
    """For one server. Create and use it within one running event loop.

    Attributes:
        on_state: called when a folder was read.
    """

    sources: Collection[str] = SOURCES

    def __init__(
        self,
        never_send: Sequence[str],
        *,
        limits: Limits | None = None,
        command: Sequence[str] = WORKER,
        hang_s: float = HANG_S,
        backoff_s: Sequence[float] = BACKOFF_S,
    ) -> None:
        """`never_send`: privacy patterns; what matches is not even read."""
        limited = asdict(limits or Limits())
        self._opening: dict[str, Any] = {
            "op": "open", "number": 0, "roots": [], "never_send": list(never_send), "limits": limited,
        }  # fmt: skip
        self._command = tuple(command)
        self._hang_s = hang_s
        self._backoff_s = tuple(backoff_s)
        self._child: Child | None = None  # the one that can be asked
        self._last: Child | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[list[dict[str, Any]]]] = {}
        self._asked = 0
        self._roots: dict[str, IndexState] = {}
        self._read = asyncio.Event()
        self.on_state: Callable[[IndexState], None] = lambda _state: None

    @property
    def state(self) -> IndexState:
        found = self._roots.values()
        return IndexState(
            sum(each.files for each in found),
            sum(each.chunks for each in found),
            sum(each.read_s for each in found),
            self._read.is_set(),
        )

    @property
    def pid(self) -> int | None:
        """Of the process, if it runs."""
        return self._child.process.pid if self._child is not None and self._child.alive else None

    def work_in(self, folders: Sequence[str]) -> None:
        """The workspace folders now, absolute."""
        if list(folders) == self._opening["roots"]:
            return
        self._opening |= {"number": self._opening["number"] + 1, "roots": list(folders)}
        self._roots.clear()
        self._read.clear()
        if self._child is not None:
            self._child.send(**self._opening)

    def start(self) -> None:
        """Begin to read the folders, in the background; does nothing without a folder."""
        if self._keeping is None and self._opening["roots"]:
            self._keeping = asyncio.create_task(self._keep(), name="egate workspace index")

    async def read(self) -> None:
        """Wait until all folders have been read once; not at all without one."""
        if self._opening["roots"]:
            await self._read.wait()

    def changed(self, path: str) -> None:
        """A file was saved, made or deleted."""
        if self._child is not None:
            self._child.send(op="changed", path=path)

    async def gather(self, hole: FimContext, chars: int, sources: Collection[str]) -> list[Snippet]:
        """See `gathering.Gatherer`. Nothing while the process does not run or is behind; cancelled, its answer is
        let go."""
        self.start()
        child = self._child
        if child is None or not child.alive or len(self._waiting) >= MAX_WAITING or not os.path.isabs(hole.file):
            return []
        head, tail = hole.head, hole.tail
        if len(head) + len(tail) > MAX_OWN_CHARS:
            head = tail = ""
        start, offset = len(head), len(head) + len(hole.prefix)
        question = {
            "language": hole.language, "text": head + hole.prefix + hole.suffix + tail, "offset": offset,
            "start": start, "end": offset + len(hole.suffix), "chars": chars, "sources": list(sources),
        }  # fmt: skip
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        child.send(op="ask", id=number, path=hole.file, question=question)
        found = await answer
        return [Snippet(each["name"], each["text"], IN_WORDS[each["source"]], each["file"]) for each in reversed(found)]

    async def aclose(self) -> None:
        """End the process. Idempotent."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._last is not None:
            await self._last.end(kill=True)  # once more: the first time may have been broken off just now
        self._let_go()

    async def _keep(self) -> None:
        """Run the process, and run it again when it has died."""
        for delay in self._backoff_s:
            await asyncio.sleep(delay)
            try:
                child = Child(await spawn(self._command), "workspace index")
            except OSError as error:
                log.warning("the workspace index cannot be started: %s", error)
                return
            self._child = self._last = child
            try:
                child.send(**self._opening)
                await self._listen(child)
            finally:
                self._child = None
                self._let_go()
                await child.end(kill=True)  # there is nothing that it could lose
            log.warning("the workspace index ended (%s): %s", child.ending, child.last_words)
        log.warning("the workspace index is not started again in this session")

    async def _listen(self, child: Child) -> None:
        """Until the process has died or was silent for too long while somebody waited."""
        while True:
            waited = bool(self._waiting)
            try:
                async with asyncio.timeout(self._hang_s):
                    event = await child.events.get()
            except TimeoutError:
                if waited and self._waiting:
                    return
                continue
            if event is None:
                return
            with contextlib.suppress(KeyError, TypeError):
                self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "found":
            answer = self._waiting.pop(event["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(event["excerpts"])
        elif event["event"] == "state" and event["number"] == self._opening["number"]:
            self._roots[event["root"]] = IndexState(event["files"], event["chunks"], event["read_s"], event["done"])
            if event["done"]:
                self._read.set()
            self.on_state(self.state)

    def _let_go(self) -> None:
        """Nobody will be answered any more."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result([])
        self._waiting.clear()
