"""The replay as a whole: egate-lsp and its peer write the same files in turns, and what that comes to."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from egate_lsp.errors import EgateError
from egate_lsp.evaluation import llama_vim
from egate_lsp.evaluation.egate_tool import EgateTool
from egate_lsp.evaluation.latency_figures import Speed, Work, figures, ratios
from egate_lsp.evaluation.peer_tool import LlamaVim
from egate_lsp.evaluation.player import play
from egate_lsp.evaluation.raw_client import raw_client
from egate_lsp.models.engine_process import default_threads
from egate_lsp.models.local_server import LocalServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from egate_lsp.evaluation.player import Habits, Played, Task
    from egate_lsp.evaluation.tools import Tool

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
SPEED_PATIENCE_S = 600.0


@dataclass(slots=True)
class Replay:
    """All that was played.

    Attributes:
        played: by tool, file by file.
        speeds: of the bare engine, measured before the first file and after each: its speed varies during a run.
    """

    played: dict[str, list[Played]] = field(default_factory=dict)
    speeds: list[Speed] = field(default_factory=list)

    @property
    def speed(self) -> Speed | None:
        """The median of the measured ones; None where there is no engine to measure."""
        if not self.speeds:
            return None
        columns = zip(*(speed.batch_ms for speed in self.speeds), strict=True)
        return Speed(tuple((column[0][0], statistics.median(ms for _, ms in column)) for column in columns))

    def result(self) -> dict[str, Any]:
        """The figures of each tool, the ratios, the files one by one; JSON values."""
        found: dict[str, Any] = {name: self._of(rows) for name, rows in self.played.items()}
        if "egate" in found and "peer" in found:
            found["ratios"] = ratios(found["egate"], found["peer"])
        speed = self.speed
        found["bare_batch_ms"] = None if speed is None else [list(pair) for pair in speed.batch_ms]
        found["files"] = [self._file(index) for index in range(min(map(len, self.played.values()), default=0))]
        return found

    def _file(self, index: int) -> dict[str, Any]:
        rows = {name: played[index] for name, played in self.played.items()}
        task = next(iter(rows.values())).task
        told = {"name": task.name, "language": task.language, "lines": task.text.count("\n")}
        return told | {name: self._of([row], times=True) for name, row in rows.items()}

    def _of(self, rows: Sequence[Played], *, times: bool = False) -> dict[str, Any]:
        keys = [key for row in rows for key in row.keys]
        work = Work()
        for row in rows:
            work = work.plus(row.work)
        found = figures(keys, work, self.speed)
        if times:
            found["times"] = [[key.kind, round(key.ms, 2), key.answered, key.shown] for key in keys if key.asked]
        return found


async def run(
    tools: Sequence[Tool],
    tasks: Sequence[Task],
    replay: Replay,
    habits: Habits,
    *,
    progress: Callable[[str, int, int], None],
    after_file: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Let the tools write each file, one after the other; who begins alternates. `after_file` is awaited when all have
    written one."""
    totals = [sum(region.end - region.start for region in task.regions) for task in tasks]
    for index, task in enumerate(tasks):
        done, total = sum(totals[:index]), sum(totals)
        for tool in tools if index % 2 == 0 else list(reversed(tools)):

            def told(at: int, _of: int, name: str = tool.name, done: int = done, total: int = total) -> None:
                progress(name, done + at - 1, total)

            row = await play(tool, task, habits, told)
            replay.played.setdefault(tool.name, []).append(row)
        if after_file is not None:
            await after_file()


@asynccontextmanager
async def egate(options: dict[str, Any]) -> AsyncIterator[EgateTool]:
    """egate-lsp in a child process, its model loaded."""
    async with raw_client(options) as client:
        yield EgateTool(client)


@asynccontextmanager
async def peer(path: Path, *, threads: int | None, seed: int) -> AsyncIterator[LlamaVim]:
    """llama.cpp's server with the same weights, driven as llama.vim does.

    Raises:
        TargetUnavailable: it cannot be started.
    """
    # 0: the model's own context, as --fim-qwen-1.5b-default has it.
    async with LocalServer(path, context_tokens=0, threads=threads, options=llama_vim.SERVER_OPTIONS) as server:
        tool = LlamaVim(server.base_url, server.pid, seed=seed)
        try:
            yield tool
        finally:
            await tool.aclose()


@asynccontextmanager
async def peer_at(base_url: str, *, seed: int) -> AsyncIterator[LlamaVim]:
    """A server that runs already; its processes are not measured.

    Raises:
        EgateError: it does not answer.
    """
    tool = LlamaVim(base_url, None, seed=seed)
    try:
        await tool.check()
        yield tool
    finally:
        await tool.aclose()


async def bare_speed(path: Path, *, threads: int | None, context_tokens: int) -> Speed:
    """What the engine alone needs for a batch, in a process of its own that ends with it.

    Raises:
        EgateError: it could not be measured.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "egate_lsp.evaluation.bare_loop"),
        *(str(path), str(threads or default_threads()), str(context_tokens)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    sizes = [size for size in BATCH_SIZES if size <= context_tokens // 4]
    try:
        async with asyncio.timeout(SPEED_PATIENCE_S):
            output, _ = await process.communicate(json.dumps(sizes).encode() + b"\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if not output:
        raise EgateError("The bare engine ended without a figure.", hint="Is there enough memory for the model?")
    return Speed(tuple((int(size), float(ms)) for size, ms in json.loads(output)["batch_ms"]))
