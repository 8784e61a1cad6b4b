"""From the start of the server's process to its reply to `initialize`, before any model is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from egate_lsp.framing import Framer, frame

_INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"processId": None, "capabilities": {}}}


def measure(*, starts: int = 10) -> list[float]:
    """Seconds, sorted, one for each start."""
    return sorted(_once() for _ in range(starts))


def _once() -> float:
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "egate_lsp", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(frame(json.dumps(_INITIALIZE).encode()))
        framer = Framer()
        while not framer.feed(server.stdout.read(65536) or b""):
            if server.poll() is not None:
                raise RuntimeError("the server ended before it answered")
        elapsed = time.perf_counter() - started
        server.kill()
    return elapsed
