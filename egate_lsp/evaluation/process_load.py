"""CPU time and memory of a process with all its children."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import psutil

IDLE_SHARE = 0.05  # of one core
IDLE_LOOK_S = 0.3


@dataclass(slots=True)
class Load:
    """Of one tree of processes.

    Attributes:
        pid: of its root.
        peak_rss_mb: the highest sum of resident memory at a `look`.
    """

    pid: int
    peak_rss_mb: float = 0.0

    def look(self) -> float:
        """CPU seconds so far, user and system; children that have ended count where their parent waited for them."""
        seconds, resident = 0.0, 0
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                seconds += times.user + times.system
                seconds += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
                resident += process.memory_info().rss
        self.peak_rss_mb = max(self.peak_rss_mb, resident / 2**20)
        return seconds

    def rss_mb(self) -> float:
        """Resident memory now."""
        resident = 0
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                resident += process.memory_info().rss
        return resident / 2**20

    async def settle(self, longest_s: float) -> float | None:
        """Wait until the tree is idle; the seconds that it took, None if it is not idle by then."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        before, at = self.look(), loop.time()
        while True:
            await asyncio.sleep(IDLE_LOOK_S)
            now, here = self.look(), loop.time()
            if now - before <= IDLE_SHARE * (here - at):
                return max(at - started, 0.0)
            if here - started > longest_s:
                return None
            before, at = now, here

    def _tree(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        return []
