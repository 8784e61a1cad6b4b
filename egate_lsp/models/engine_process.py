"""The draft engine's process as the server sees it: started, watched, restarted, unloaded; a `Model`.

A crash, a hang or a lack of memory in the engine costs the completion that was running and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import psutil

from egate_lsp.child import Child, spawn
from egate_lsp.errors import DraftError, EngineDied, ModelLoadError
from egate_lsp.models import Limits, Search
from egate_lsp.values import Token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from pathlib import Path

    from egate_lsp.config import Draft
    from egate_lsp.models.fim import FimMarks, FimOrder
    from egate_lsp.values import FimContext

log = logging.getLogger(__name__)

# -P: the editor's working directory is a workspace, and no file of it may be imported in a module's place.
WORKER = (sys.executable, "-P", "-m", "egate_lsp.models.engine_worker")
BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # before each start after a death without a finished job

EngineStateName = Literal["stopped", "loading", "ready", "working", "failed"]


@dataclass(frozen=True, slots=True)
class EngineState:
    """Attributes:
    reason, hint: for "failed", what is wrong, and how to mend it.
    """

    state: EngineStateName
    reason: str = ""
    hint: str = ""


class _Child(Child):
    """One process of the worker, and its jobs. Each job has its own messages: one that is being cancelled and the next
    may be listened to at the same time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._jobs: dict[int, asyncio.Queue[dict[str, Any] | None]] = {}
        self._over = False
        self.loaded: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.loaded.add_done_callback(lambda future: future.cancelled() or future.exception())
        super().__init__(process, "engine")

    def take(self, message: dict[str, Any]) -> None:
        if message["event"] == "loaded":
            self.loaded.set_result(message)
        elif message["event"] == "error" and not self.loaded.done():
            self.loaded.set_exception(ModelLoadError(message["message"], hint=message["hint"]))
        elif (messages := self._jobs.get(message["job"])) is not None:
            messages.put_nowait(message)

    def messages(self, job: int) -> asyncio.Queue[dict[str, Any] | None]:
        """Those of a job, from the first call on; None once the process has ended."""
        if job not in self._jobs:
            self._jobs[job] = asyncio.Queue()
            if self._over:
                self._jobs[job].put_nowait(None)
        return self._jobs[job]

    def forget(self, job: int) -> None:
        """Nobody listens to it any more."""
        self._jobs.pop(job, None)

    def ended(self) -> None:
        self._over = True
        for messages in self._jobs.values():
            messages.put_nowait(None)
        if not self.loaded.done():
            self.loaded.set_exception(EngineDied("The draft engine ended while it loaded the model."))


class EngineProcess:
    """A local model in a process of its own. One job at a time; the others wait for it in turn.

    Attributes:
        info: what the worker told when the model was loaded: vocabulary, fim, trained_context, threads, load_ms.
        totals: what was computed since the start: jobs, evaluated_tokens, generated_tokens; by cancelled jobs and by
            reading ahead too.
        on_progress: called whenever a part of a prompt is about to be evaluated.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        draft: Draft,
        *,
        marks: FimMarks | None,
        order: FimOrder,
        on_state: Callable[[EngineState], None] | None = None,
        command: Sequence[str] = WORKER,
    ) -> None:
        self._name = name
        self._draft = draft
        self._settings = {
            "path": str(path),
            "threads": draft.threads or default_threads(),
            "context_tokens": draft.context_tokens,
            "batch_tokens": draft.batch_tokens,
            "gpu_layers": draft.gpu_layers,
            "kv_type": draft.kv_type,
            "marks": asdict(marks) if marks else None,
            "order": order.value,
            "healing": draft.healing,
            "reuse": draft.reuse,
            "lookup": draft.lookup,
        }
        self._on_state = on_state or (lambda _state: None)
        self._command = tuple(command)
        self._turn = asyncio.Lock()
        self._child: _Child | None = None
        self._starting: asyncio.Task[_Child] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._unloading: asyncio.Task[None] | None = None
        self._cancelling: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._reviews: set[asyncio.Task[list[float]]] = set()
        self._wanted = 0  # jobs that run or wait for their turn
        self._deaths = 0
        self._jobs = 0
        self._failure: ModelLoadError | None = None
        self._usage: dict[str, float] = {}
        self.totals: dict[str, float] = {"jobs": 0.0, "evaluated_tokens": 0.0, "generated_tokens": 0.0}
        self._closed = False
        self.info: dict[str, Any] = {}
        self.on_progress: Callable[[], None] = lambda: None
        self.state = EngineState("stopped")

    @property
    def name(self) -> str:
        return self._name

    @property
    def remote(self) -> bool:
        return False

    @property
    def pid(self) -> int | None:
        """Of the engine's process, if it runs."""
        return self._child.process.pid if self._child is not None and self._child.alive else None

    def start(self) -> None:
        """Begin to load in the background."""
        self._begin().add_done_callback(lambda task: task.cancelled() or task.exception())

    def wake(self) -> None:
        """A request is near: load the model if it was unloaded."""
        if not self._closed and self._failure is None and (self._unloading is None or self._unloading.done()):
            self.start()

    def usage(self) -> dict[str, float]:
        return self._usage

    async def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        """Stream the middle; see `Model`.

        Raises:
            ModelLoadError: the model cannot be loaded; not tried again until `restart` or new settings.
            EngineDied: the engine crashed or hung; the next call starts it again.
            DraftError: the engine is closed, or llama.cpp refused the prompt.
        """
        stream = self._stream(context, limits, _generation(context, limits, Search()))
        try:
            async for event in stream:
                yield self._token(event)
        finally:
            await stream.aclose()

    async def candidates(
        self, context: FimContext, limits: Limits, search: Search, *, within_s: float | None = None
    ) -> list[list[Token]]:
        """Several drafts of the cursor's line; see `Searcher`. Raises as `generate` does."""
        found: list[list[Token]] = [[]]
        limits = replace(limits, max_lines=1)
        stream = self._stream(context, limits, _generation(context, limits, search))
        try:
            async with asyncio.timeout(within_s):
                async for event in stream:
                    branch = event.get("branch", 0)
                    found += [[] for _ in range(branch + 1 - len(found))]
                    found[branch].append(self._token(event))
        except TimeoutError:
            return [tokens for tokens in found if tokens and b"\n" in tokens[-1].piece]
        finally:
            await stream.aclose()
        return found

    async def review(self, context: FimContext, lines: Sequence[str], *, within_s: float | None = None) -> list[float]:
        """How well the text below follows each line; see `Reviewer`. Raises as `generate` does, and a DraftError where
        it gave way to a draft: somebody who types may wait for that."""
        job = {
            "op": "review",
            "prefix": _sendable(context.prefix),
            "suffix": _sendable(context.suffix),
            "lines": [_sendable(line) for line in lines],
            "within_ms": None if within_s is None else within_s * 1000.0,
        }
        task = asyncio.create_task(self._review(context, job), name="egate engine review")
        self._reviews.add(task)
        task.add_done_callback(self._reviews.discard)
        try:
            async with asyncio.timeout(within_s):
                return await task
        except TimeoutError:
            return []
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is None or this.cancelling():
                raise
            raise DraftError("A review gave way to a draft.") from None

    async def _review(self, context: FimContext, job: dict[str, Any]) -> list[float]:
        async with contextlib.aclosing(self._stream(context, Limits(0, 1), job)) as stream:
            async for event in stream:
                return list(event["logprobs"])
        return []

    async def _stream(self, context: FimContext, limits: Limits, job: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """What one job tells. A window that it had no time to read whole is read afterwards, until the next job
        comes."""
        self._wanted += 1
        try:
            await self._stop_reading()
            if job["op"] != "review":
                await self._stop_reviews()
            async with contextlib.aclosing(self._in_turn(limits, job)) as stream:
                async for event in stream:
                    yield event
        finally:
            self._wanted -= 1
            # Not where the next job waits already: it has stopped what was being read, and could not stop this.
            idle = not self._wanted and not self._closed
            if idle and self._usage.get("unread_tokens") and self._draft.read_ahead:
                self._reading = asyncio.create_task(self._read(context), name="egate engine reading")

    async def _in_turn(self, limits: Limits, job: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        async with self._turn:
            # An engine that was killed while it was idle is found dead only now: as long as nothing was written, the
            # job is run once more on a new one.
            may_retry = True
            while True:
                stream = self._run(await self._ready(), limits, job)
                try:
                    async for event in stream:
                        may_retry = False
                        yield event
                    return
                except EngineDied as error:
                    if not may_retry or not error.sudden:
                        raise
                    may_retry = False
                finally:
                    await stream.aclose()

    async def _read(self, context: FimContext) -> None:
        """Bring the whole window into the KV cache while nobody waits for the engine."""
        async with self._turn:
            await self._cancelled()
            if self._child is None or not self._child.alive:
                return
            try:
                limits = Limits(0, 1)
                job = _generation(context, limits, Search())
                async with contextlib.aclosing(self._run(self._child, limits, job)) as stream:
                    async for _ in stream:
                        pass
            except DraftError as error:
                log.info("reading ahead ended: %s", type(error).__name__)

    async def read_all(self) -> None:
        """Wait until the window of the last job is read whole."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    async def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None

    async def _stop_reviews(self) -> None:
        if reviews := list(self._reviews):
            for review in reviews:
                review.cancel()
            await asyncio.wait(reviews)

    async def _ready(self) -> _Child:
        """The loaded child, after the last job's cancellation has ended.

        Raises:
            EngineDied: loading was broken off by `restart` or `aclose`.
        """
        await self._cancelled()
        starting = self._begin()
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                raise
            raise EngineDied("The draft engine was closed while it loaded.") from None

    async def _cancelled(self) -> None:
        """Wait until all jobs that were cancelled have ended."""
        if self._cancelling:
            await asyncio.wait(set(self._cancelling))

    async def _run(self, child: _Child, limits: Limits, message: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """One job on one child: its messages "token" and "reviewed"."""
        self._stop_idle_clock()
        self._jobs += 1
        job = self._jobs
        self._report("working")
        if limits.max_tokens:
            self._usage = {}  # what is read ahead is not part of a generation
        child.messages(job)
        child.send(**message, job=job)
        finished = False
        try:
            while True:
                event = await self._next_event(child, job)
                if event["event"] in {"token", "reviewed"}:
                    if "usage" in event and limits.max_tokens:
                        self._usage = _numbers(event["usage"])
                    yield event
                elif event["event"] == "done":
                    finished = True
                    self._deaths = 0
                    self._take_usage(event, limits)
                    return
                elif event["event"] == "error":
                    finished = True
                    raise DraftError(event["message"], hint=event["hint"])
        finally:
            try:
                if not finished and child.alive:
                    # A task of its own, which the next job waits for: whoever reads may be cancelled once more.
                    cancelling = asyncio.create_task(self._cancel(child, job, limits), name="egate engine cancel")
                    self._cancelling.add(cancelling)
                    cancelling.add_done_callback(self._cancelling.discard)
                    await asyncio.shield(cancelling)
                else:
                    child.forget(job)
            finally:
                self._start_idle_clock()
                self._report("ready" if child.alive else "stopped")

    def _token(self, event: dict[str, Any]) -> Token:
        piece, top = event["piece"].encode("latin-1"), tuple(event.get("top", ()))
        return Token(piece, event["logprob"], event["entropy"], event["margin"], self.info["vocabulary"], top)

    async def restart(self) -> None:
        """End the process and forget failures; the next job starts it anew."""
        self._failure, self._deaths = None, 0
        await self._end(kill=False)

    async def aclose(self) -> None:
        self._closed = True
        self._stop_idle_clock()
        await self._end(kill=True)
        rest = [*self._cancelling, *([self._unloading] if self._unloading is not None else [])]
        await asyncio.gather(*rest, return_exceptions=True)

    def _begin(self) -> asyncio.Task[_Child]:
        if self._starting is not None and not self._starting.done():
            return self._starting
        if self._starting is None or self._child is None or not self._child.alive:
            self._starting = asyncio.create_task(self._start(), name="egate engine start")
        return self._starting

    async def _start(self) -> _Child:
        if self._closed:
            raise DraftError("The draft engine is closed.")
        if self._failure is not None:
            raise self._failure
        if self._child is not None:
            await self._child.end(kill=True)
            self._child = None
        self._report("loading")
        await asyncio.sleep(BACKOFF_S[min(self._deaths, len(BACKOFF_S) - 1)] if self._deaths > 1 else 0.0)
        child = self._child = _Child(await spawn(self._command))
        child.send(op="load", settings=self._settings)
        try:
            async with asyncio.timeout(self._draft.load_timeout_s):
                self.info = await asyncio.shield(child.loaded)
        except TimeoutError:
            await self._died(child)
            raise EngineDied(
                f"The draft engine took more than {self._draft.load_timeout_s:.0f} s to load.",
                hint="Raise draft.load_timeout_s, or choose a smaller draft.model.",
            ) from None
        except EngineDied as error:
            await self._died(child)
            raise EngineDied(f"{error} {child.last_words}".strip(), hint=_MEMORY_HINT) from None
        except ModelLoadError as error:
            self._failure = error
            await child.end(kill=True)
            self._report("failed", str(error), error.hint)
            raise
        log.info("engine loaded: %s, %s", self._name, {key: self.info[key] for key in ("threads", "load_ms", "fim")})
        self._start_idle_clock()
        self._report("ready")
        return child

    async def _next_event(self, child: _Child, job: int) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._draft.hang_timeout_s):
                event = await child.messages(job).get()
        except TimeoutError:
            await self._died(child)
            raise EngineDied(
                f"The draft engine was silent for {self._draft.hang_timeout_s:.0f} s and was restarted.",
                hint="If this machine is that slow, raise draft.hang_timeout_s.",
            ) from None
        if event is None:
            await self._died(child)
            raise EngineDied(
                f"The draft engine ended unexpectedly ({child.ending}). {child.last_words}".strip(),
                hint="It is started again for the next completion.",
                sudden=True,
            )
        if event["event"] == "progress":
            self.on_progress()
        return event

    async def _cancel(self, child: _Child, job: int, limits: Limits) -> None:
        """Ask the worker to stop and wait until it has: within one decode step."""
        child.send(op="cancel", job=job)
        try:
            with contextlib.suppress(EngineDied):
                while (event := await self._next_event(child, job))["event"] not in {"done", "error"}:
                    pass
                self._take_usage(event, limits)
        finally:
            child.forget(job)

    def _take_usage(self, event: dict[str, Any], limits: Limits) -> None:
        usage = event.get("usage", {})
        self.totals["jobs"] += 1
        self.totals["evaluated_tokens"] += usage.get("evaluated_tokens", 0.0)
        self.totals["generated_tokens"] += usage.get("generated_tokens", 0.0) - usage.get("known_tokens", 0.0)
        if limits.max_tokens:
            self._usage = _numbers(usage)

    async def _died(self, child: _Child) -> None:
        self._deaths += 1
        await child.end(kill=True)
        log.warning("engine died (%s): %s", child.ending, child.last_words)
        if self._child is child:
            self._child = None

    async def _end(self, *, kill: bool) -> None:
        await self._stop_reading()
        await self._stop_reviews()
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._child is not None:
            child, self._child = self._child, None
            await child.end(kill=kill)
        self._report("stopped")

    def _start_idle_clock(self) -> None:
        self._stop_idle_clock()
        if self._draft.idle_unload_s > 0 and not self._closed:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._draft.idle_unload_s, self._unload)

    def _stop_idle_clock(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _unload(self) -> None:
        if not self._turn.locked():
            log.info("engine unloaded after %.0f s without a request", self._draft.idle_unload_s)
            self._unloading = asyncio.get_running_loop().create_task(self._end(kill=False))

    def _report(self, state: EngineStateName, reason: str = "", hint: str = "") -> None:
        new = EngineState(state, reason, hint)
        if new != self.state:
            self.state = new
            self._on_state(new)


_MEMORY_HINT = "If memory is short, choose a smaller draft.model or lower draft.context_tokens."


def _generation(context: FimContext, limits: Limits, search: Search) -> dict[str, Any]:
    return {
        "op": "generate",
        "prefix": _sendable(context.shown),
        "suffix": _sendable(context.suffix),
        "max_tokens": limits.max_tokens,
        "max_lines": limits.max_lines,
        "reading_ms": limits.reading_ms,
        **asdict(search),
    }


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _numbers(usage: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in usage.items() if isinstance(value, int | float)}


def default_threads() -> int:
    """Physical cores that this process may use: more threads than that slow decoding down."""
    allowed = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else psutil.cpu_count()
    return max(min(psutil.cpu_count(logical=False) or 1, allowed or 1), 1)
