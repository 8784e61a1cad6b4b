"""What the server adds to a request apart from the models: a scripted draft that costs nothing, on a long file.

Measured from an edit and a request to the reply, through the real process and protocol; the model's own share is zero,
so all of it is ours: framing, documents, context, gate, merge, asyncio and the pipe.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from egate_lsp.client import session

LINES = 5_000
EDITS_BEFORE_TIMING = 20


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """Milliseconds per request, sorted."""

    values_ms: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """The value that this share of the requests does not exceed."""
        return self.values_ms[min(int(share * len(self.values_ms)), len(self.values_ms) - 1)]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values_ms)


async def measure(*, requests: int = 300) -> RequestTimes:
    """Type in the middle of a file of `LINES` lines and ask after each character."""
    text = "\n".join(f"value_{number} = compute({number}, {number + 1})  # line {number}" for number in range(LINES))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.json"
        script.write_text(json.dumps([{"after": "", "tokens": [["result", 0.1], [" = 1\n", 0.1]]}]))
        options = {"draft": {"model": f"scripted:{script}"}}
        async with session(options, arguments=["--log-file", str(Path(folder) / "server.log")]) as editor:
            document = editor.open("long.py", "python", text + "\n")
            times = []
            for number in range(requests + EDITS_BEFORE_TIMING):
                started = time.perf_counter()
                document.insert(LINES // 2, number % 40, "x")
                await document.propose(LINES // 2, number % 40 + 1, explain=False)
                if number >= EDITS_BEFORE_TIMING:
                    times.append((time.perf_counter() - started) * 1000.0)
    return RequestTimes(tuple(sorted(times)))
