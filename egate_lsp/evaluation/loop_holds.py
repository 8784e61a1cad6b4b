"""For how long an event loop is held up, by which callback, and how much of that is the machine's own unrest.

All times are processor time of the loop's thread, so that what other processes take of the machine is not in them.
What the hypervisor or an interrupt takes is charged to the thread that is running, though: a callback that does nothing
is charged milliseconds now and then. So a loop that does nothing runs beside it, in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from asyncio import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TICK_S = 0.001
IDLE_LOOP = (sys.executable, "-P", "-m", "egate_lsp.evaluation.loop_holds")


class Holds:
    """Of one loop.

    Attributes:
        callback_ms, callback: the longest single callback and what it was; only within `timed_callbacks`.
        tick_ms: the most between two ticks, so with all callbacks between them and the loop's own work.
    """

    def __init__(self) -> None:
        self.callback_ms, self.callback = 0.0, "none"
        self.tick_ms = 0.0

    async def tick(self) -> None:
        """Tick until cancelled."""
        while True:
            began = time.thread_time()
            await asyncio.sleep(TICK_S)
            self.tick_ms = max(self.tick_ms, (time.thread_time() - began) * 1000.0)

    @contextlib.contextmanager
    def timed_callbacks(self) -> Iterator[None]:
        """Time each callback of this process's loops. asyncio offers no hook but the wall time of its debug mode."""
        handle: Any = asyncio.Handle
        run = handle._run

        def timed(self_: Any) -> None:
            began = time.thread_time()
            run(self_)
            took = (time.thread_time() - began) * 1000.0
            if took > self.callback_ms:
                self.callback_ms, self.callback = took, _name(self_._callback)

        handle._run = timed
        try:
            yield
        finally:
            handle._run = run


@contextlib.asynccontextmanager
async def idle_loop() -> AsyncIterator[Holds]:
    """A loop that only ticks, in a process beside this one; its longest hold is known at the end."""
    holds = Holds()
    process = await asyncio.create_subprocess_exec(*IDLE_LOOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        await process.stdout.readline()  # it has begun
        yield holds
        told, _ = await process.communicate(b"")  # which closes its input
        holds.tick_ms = json.loads(told)["tick_ms"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _name(callback: Any) -> str:
    """The task's name if it is a step of one, else the function's."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return owner.get_name()
    return getattr(callback, "__qualname__", None) or repr(callback)


async def _until_closed() -> None:
    """What the process of `idle_loop` runs: tick until standard input is closed, then tell."""
    holds = Holds()
    ticking = asyncio.create_task(holds.tick())
    await asyncio.sleep(10 * TICK_S)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    ticking.cancel()
    sys.stdout.write(json.dumps({"tick_ms": holds.tick_ms}))


if __name__ == "__main__":
    asyncio.run(_until_closed())
