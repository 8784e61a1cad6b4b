"""What the index of a workspace costs: time and memory to read a folder, time to take in a saved file and to answer,
and for how long the event loop that it serves is held up meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psutil

from egate_lsp import context as contexts
from egate_lsp import languages
from egate_lsp.config import DEFAULT_NEVER_SEND, Context
from egate_lsp.evaluation.loop_holds import Holds, idle_loop
from egate_lsp.workspace.client import WorkspaceIndex
from egate_lsp.workspace.questions import SOURCES
from egate_lsp.workspace.scan import Limits, Scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from egate_lsp.values import FimContext

LOOK_S = 0.1  # between two looks at the memory
USUAL = Context()  # how much of the file is shown, and how long an answer may be


@dataclass(frozen=True, slots=True)
class IndexLoad:
    """Times in ms, but `built_s`, from the start of the process to the last file, and `read_s`, the processor time
    of it; memory in MB.

    Attributes:
        holds: of the event loop, while the folder was read and questions were answered.
        idle_ms: the longest hold of a loop that did nothing meanwhile, in a process of its own: the machine's.
    """

    files: int
    chunks: int
    built_s: float
    read_s: float
    peak_mb: float
    holds: Holds
    idle_ms: float
    saved_ms: list[float]
    answer_ms: list[float]
    answered: int


async def measure(root: Path, count: int, seed: int) -> IndexLoad:
    """Read a folder, then ask at `count` random places in it."""
    places = list(_places(root, count, seed))
    index = WorkspaceIndex(DEFAULT_NEVER_SEND)
    index.work_in([str(root)])
    holds, memory = Holds(), _Memory()
    if task := asyncio.current_task():
        task.set_name("the questions")  # as a hold of the loop is reported
    try:
        async with idle_loop() as idle:
            watching = [
                asyncio.create_task(holds.tick(), name="the ticks"),
                asyncio.create_task(memory.watch(index), name="the look at the memory"),
            ]
            with holds.timed_callbacks():
                began = time.perf_counter()
                index.start()
                await index.read()
                built = time.perf_counter() - began
                times, answered = [], 0
                for hole in places:
                    began = time.perf_counter()
                    answered += bool(await index.gather(hole, USUAL.snippet_chars, SOURCES))
                    times.append((time.perf_counter() - began) * 1000.0)
                saved = []
                for hole in places:
                    began = time.perf_counter()
                    index.changed(hole.file)
                    await index.gather(hole, USUAL.snippet_chars, SOURCES)
                    saved.append((time.perf_counter() - began) * 1000.0)
            for task in watching:
                task.cancel()
            await memory.look(index)  # a small folder is read before the first look
        state = index.state
    finally:
        await index.aclose()
    return IndexLoad(
        state.files, state.chunks, built, state.read_s, memory.peak_mb, holds, idle.tick_ms, saved, times, answered
    )


class _Memory:
    """Of the index's process.

    Attributes:
        peak_mb: the highest seen.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0

    async def watch(self, index: WorkspaceIndex) -> None:
        """Look until cancelled; from a thread, because a look takes the loop's time too."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look(index)

    async def look(self, index: WorkspaceIndex) -> None:
        """Once."""
        if (pid := index.pid) is not None:
            with contextlib.suppress(psutil.Error):
                self.peak_mb = max(self.peak_mb, await asyncio.to_thread(_resident_mb, pid))


def _resident_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 1e6)


def _places(root: Path, count: int, seed: int) -> Iterator[FimContext]:
    """Random places in random files of the folder."""
    chance = random.Random(seed)
    scan = Scan(str(root), DEFAULT_NEVER_SEND, Limits())
    names = [name for name, _ in scan.files()]
    budget = contexts.Budget(USUAL.prefix_chars, USUAL.suffix_chars)
    for name in chance.sample(names, min(count, len(names))):
        text = scan.text(name) or ""
        offset = chance.randrange(len(text) + 1)
        hole = contexts.build(text, offset, budget, path=name, language=languages.by_path(name))
        yield replace(hole, file=f"{scan.root}/{name}")
