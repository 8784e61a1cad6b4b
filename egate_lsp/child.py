"""A child process that is spoken to by JSON objects, one a line, over its standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

END_PATIENCE_S = 2.0
LINE_LIMIT = 1 << 20  # bytes of one message
STDERR_LINES = 10


class Child:
    """One process, from start to end.

    Attributes:
        events: its messages; None once it has ended, or sent what is none.
        complaints: the last lines of its standard error.
    """

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.complaints: deque[str] = deque(maxlen=STDERR_LINES)
        self._readers = (
            asyncio.create_task(self._read_messages(), name=f"egate {name} messages"),
            asyncio.create_task(self._read_complaints(), name=f"egate {name} stderr"),
        )

    @property
    def alive(self) -> bool:
        return self.process.returncode is None and not self._readers[0].done()

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    @property
    def last_words(self) -> str:
        return self.complaints[-1] if self.complaints else ""

    def take(self, message: dict[str, Any]) -> None:
        """A message has come. A KeyError or TypeError means that it is none."""
        self.events.put_nowait(message)

    def ended(self) -> None:
        """Its messages have ended."""

    def send(self, **message: Any) -> None:
        """Write a message, unless it is ending."""
        assert self.process.stdin is not None
        if not self.process.stdin.is_closing():
            self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def end(self, *, kill: bool) -> None:
        """Close the process and what belongs to it."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if kill and self.alive:
            # Not one that has ended: asyncio would then lose its exit code.
            self._kill()
        try:
            async with asyncio.timeout(END_PATIENCE_S):
                await self.process.wait()
        except TimeoutError:
            self._kill()
            await self.process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def _read_messages(self) -> None:
        assert self.process.stdout is not None
        # A line that is no message means that it is out of its mind: as good as dead.
        with contextlib.suppress(ConnectionError, ValueError, KeyError, TypeError):
            while line := await self.process.stdout.readline():
                self.take(json.loads(line))
        self.events.put_nowait(None)
        self.ended()

    async def _read_complaints(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(ConnectionError, ValueError):
            while line := await self.process.stderr.readline():
                self.complaints.append(line.decode("utf-8", "replace").strip())


async def spawn(command: Sequence[str]) -> asyncio.subprocess.Process:
    """Start a process, without numpy's BLAS keeping threads spinning in it.

    Raises:
        OSError: there is no such program.
    """
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        limit=LINE_LIMIT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
