"""llama.cpp's server driven as llama.vim drives it: the peer of a replay."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import httpx2

from egate_lsp.errors import EgateError
from egate_lsp.evaluation import llama_vim
from egate_lsp.evaluation.latency_figures import Work
from egate_lsp.evaluation.process_load import Load
from egate_lsp.evaluation.tools import Answer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from egate_lsp.evaluation.typing_script import Step

REQUEST_S = 300.0
LONGEST_SETTLING_S = 60.0
ENTER_S = 0.1  # after a buffer is entered, before a chunk is taken of it


class LlamaVim:
    """A `Tool`. The events of the editor are those of Neovim: a jump is made in normal mode; a key in insert mode moves
    the cursor, which hides the hint, looks into the cache and asks."""

    name = "peer"

    def __init__(self, base_url: str, pid: int | None, *, seed: int = 0) -> None:
        """`pid`: of the server's process; None: it is not ours to measure."""
        self._url = f"{base_url.rstrip('/').removesuffix('/v1')}/infill"
        self._http = httpx2.AsyncClient(timeout=REQUEST_S)
        self._load = Load(pid) if pid is not None else None
        self._ring = llama_vim.Ring(random.Random(seed).randint)
        self._cache = llama_vim.Cache()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._busy = False
        self._lines: list[str] = [""]
        self._row = self._column = 0
        self._name = ""
        self._inserting = self._modified = False
        self._hint: llama_vim.Hint | None = None
        self._indent = 0
        self._picked_at = -9999
        self._moved_at = 0.0
        self._answer: Answer | None = None
        self._prompt_tokens = self._decoded_tokens = self._shown_tokens = 0.0
        self._unshown: dict[str, float] = {}  # tokens of replies that were not on the screen yet, by their first key
        self._failure: Exception | None = None

    async def open(self, name: str, language: str, text: str) -> None:
        del language
        self._lines, self._row, self._column, self._name = text.split("\n"), 0, 0, name
        self._inserting = self._modified = False
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick(), name="llama.vim ring")
        asyncio.get_running_loop().call_later(ENTER_S, self._pick_here)

    async def check(self) -> None:
        """See that the server is there.

        Raises:
            EgateError: it is not, or it cannot fill a hole.
        """
        await self._start(self._warm())
        self._raise()

    def press(self, step: Step, document: str) -> Answer:
        self._raise()
        self._inserting = True
        self._modified = self._modified or bool(step.inserted or step.removed)
        self._lines = document.split("\n")
        self._row = document.count("\n", 0, step.cursor)
        self._column = step.cursor - document.rfind("\n", 0, step.cursor) - 1
        self._answer = Answer()
        answer = self._answer
        self._moved()
        self._ask()
        answer.reused = answer.at is not None  # from the cache; all else comes later
        return answer

    def leave(self) -> None:
        self._inserting = False
        self._hint = None

    async def close(self) -> None:
        self.leave()
        self._modified = False
        self._pick_here()  # of a file that was written; the same again when the buffer is left changes nothing

    async def settle(self) -> None:
        # What it still has to read of the ring is its own work, and would slow whoever is measured next.
        while self._tasks or self._retry is not None or self._ring.queued:  # noqa: ASYNC110  # they follow each other
            await asyncio.sleep(llama_vim.RETRY_S)
        self._raise()
        if self._load is not None:
            await self._load.settle(LONGEST_SETTLING_S)

    async def work(self) -> Work:
        cpu_s = None if self._load is None else self._load.look()
        return Work(
            prompt_tokens=self._prompt_tokens,
            decoded_tokens=self._decoded_tokens,
            shown_tokens=self._shown_tokens,
            cpu_s=cpu_s,
            peak_rss_mb=None if self._load is None else self._load.peak_rss_mb,
        )

    async def aclose(self) -> None:
        """Close the connection; the server is the caller's."""
        if self._retry is not None:
            self._retry.cancel()
        tasks = [*self._tasks, *([self._ticking] if self._ticking is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()

    # ── what the plug-in does ───────────────────────────────────────────────────────────────────────────────

    def _moved(self) -> None:
        self._moved_at = time.monotonic()
        self._hint = None
        self._try_hint()

    def _try_hint(self) -> None:
        """Show what the cache has for the cursor's place."""
        if not self._inserting:
            return
        context = self._here()
        content = self._cache.find(context)
        if content is None:
            return
        self._hint = llama_vim.rendered(content, self._lines, self._row, self._column)
        if self._hint.acceptable and self._hint.text:
            self._count_shown(content)
            self._reply(self._hint.text, self._hint.insert)
        self._ask(self._hint.content)

    def _ask(self, shown: Sequence[str] = ()) -> None:
        """A request for the cursor's place, or with `shown` for the end of that text; put off while one is under
        way."""
        if self._busy:
            self._put_off(shown)
            return
        context = llama_vim.local(self._lines, self._row, self._column, shown, self._indent)
        if len(context.line_suffix) > llama_vim.MAX_LINE_SUFFIX:
            self._unasked()
            return
        if self._cache.holds(context):
            if not shown:
                self._reply()
            return
        self._indent = context.indent
        self._ring.evict_like(llama_vim.around(self._lines, self._row))
        body = llama_vim.request(context, self._ring.chunks, speculative=bool(shown))
        self._busy = True
        self._start(self._run(body, context.keys))
        self._gather()

    def _put_off(self, shown: Sequence[str]) -> None:
        if self._retry is not None:
            self._retry.cancel()

        def again() -> None:
            self._retry = None
            if self._inserting:
                self._ask(shown)

        self._retry = asyncio.get_running_loop().call_later(llama_vim.RETRY_S, again)

    async def _run(self, body: dict[str, Any], keys: list[str]) -> None:
        try:
            found = await self._post(body)
            content = str(found.get("content", ""))
            self._decoded_tokens += found.get("timings/predicted_n", 0)
            self._unshown[content] = found.get("timings/predicted_n", 0)
            self._cache.put(keys, content)
            if self._hint is None or not self._hint.acceptable:
                self._try_hint()
            if self._inserting and keys[0] == self._here().keys[0]:
                self._reply()
        finally:
            self._busy = False

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(llama_vim.RING_UPDATE_S)
            idle = time.monotonic() - self._moved_at >= llama_vim.RING_IDLE_S
            if (not self._inserting or idle) and self._ring.take_in():
                self._start(self._warm())

    async def _warm(self) -> None:
        await self._post(llama_vim.warming(self._ring.chunks))

    def _gather(self) -> None:
        """Chunks from farther away, where the cursor has moved a lot."""
        if abs(self._row - self._picked_at) <= llama_vim.FAR_LINES:
            return
        above = max(self._row - llama_vim.PREFIX_LINES, 0)
        below = min(self._row + llama_vim.SUFFIX_LINES, len(self._lines) - 1)
        scope = self._lines[max(self._row - llama_vim.RING_SCOPE, 0) : above + 1]
        self._ring.pick(scope, self._name, evict=False)
        self._ring.pick(self._lines[below : below + llama_vim.CHUNK_LINES + 1], self._name, evict=False)
        self._picked_at = self._row

    def _pick_here(self) -> None:
        if not self._modified:
            self._ring.pick(llama_vim.around(self._lines, self._row), self._name, evict=True)

    # ── the replay's side ───────────────────────────────────────────────────────────────────────────────────

    def _here(self) -> llama_vim.Local:
        return llama_vim.local(self._lines, self._row, self._column)

    def _reply(self, text: str = "", insert: str = "") -> None:
        """The user sees it, or it is certain that nothing will come."""
        if self._answer is not None and self._answer.at is None:
            self._answer.arrive(text, insert)
            self._answer.known.set()

    def _unasked(self) -> None:
        if self._answer is not None and self._answer.at is None:
            self._answer.asked = False
            self._reply()

    def _count_shown(self, content: str) -> None:
        for reply in [reply for reply in self._unshown if reply.endswith(content)]:
            self._shown_tokens += self._unshown.pop(reply)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (httpx2.HTTPError, ValueError) as error:
            self._failure = error
            self._reply()  # nobody need wait; the next step raises

    def _raise(self) -> None:
        if self._failure is not None:
            raise EgateError(
                f"The server for comparison failed: {self._failure}.",
                hint="It must be llama.cpp's, with a model that fills holes (/infill).",
            ) from self._failure

    async def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._http.post(self._url, json=body)
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        self._prompt_tokens += found.get("timings/prompt_n", 0)
        return found
