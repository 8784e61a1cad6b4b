"""What the index of a workspace costs: time and memory to read a folder, time to take in a saved file and to answer,
and how long the event loop that it serves is held up meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psutil

from egate_lsp import context as contexts
from egate_lsp import languages
from egate_lsp.config import DEFAULT_NEVER_SEND, Context
from egate_lsp.workspace.client import WorkspaceIndex
from egate_lsp.workspace.questions import SOURCES
from egate_lsp.workspace.scan import Limits, Scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from egate_lsp.values import FimContext

TICK_S = 0.001
USUAL = Context()  # how much of the file is shown, and how long an answer may be


@dataclass(frozen=True, slots=True)
class IndexLoad:
    """Times in ms, but `built_s`, from the start of the process to the last file, and `read_s`, the processor time
    of it; memory in MB.

    Attributes:
        held_ms: the most time that the event loop's thread worked between two of its ticks, while the folder was read
            and questions were answered; what other processes took of the machine is not in it.
    """

    files: int
    chunks: int
    built_s: float
    read_s: float
    peak_mb: float
    held_ms: float
    saved_ms: list[float]
    answer_ms: list[float]
    answered: int


async def measure(root: Path, count: int, seed: int) -> IndexLoad:
    """Read a folder, then ask at `count` random places in it."""
    places = list(_places(root, count, seed))
    index = WorkspaceIndex(DEFAULT_NEVER_SEND)
    index.work_in([str(root)])
    watch = _Watch()
    watching = asyncio.create_task(watch.run(index))
    began = time.perf_counter()
    index.start()
    try:
        await index.read()
        built = time.perf_counter() - began
        saved, times, answered = [], [], 0
        for hole in places:
            began = time.perf_counter()
            answered += bool(await index.gather(hole, USUAL.snippet_chars, SOURCES))
            times.append((time.perf_counter() - began) * 1000.0)
        for hole in places:
            began = time.perf_counter()
            index.changed(hole.file)
            await index.gather(hole, USUAL.snippet_chars, SOURCES)
            saved.append((time.perf_counter() - began) * 1000.0)
        state = index.state
    finally:
        watching.cancel()
        await index.aclose()
    return IndexLoad(
        state.files, state.chunks, built, state.read_s, watch.peak_mb, watch.held_ms, saved, times, answered
    )


class _Watch:
    """Ticks of the loop, and the memory of the process."""

    def __init__(self) -> None:
        self.held_ms = 0.0
        self.peak_mb = 0.0

    async def run(self, index: WorkspaceIndex) -> None:
        looked = 0.0
        while True:
            began = time.thread_time()
            await asyncio.sleep(TICK_S)
            self.held_ms = max(self.held_ms, (time.thread_time() - began) * 1000.0)
            now = time.perf_counter()
            if now - looked > 0.1 and (pid := index.pid) is not None:
                looked = now
                try:
                    self.peak_mb = max(self.peak_mb, psutil.Process(pid).memory_info().rss / 1e6)
                except psutil.Error:
                    continue


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
