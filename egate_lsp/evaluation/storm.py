"""A storm of requests: many a second over several documents, most of them overtaken by the next, as an editor does
while somebody types without pause. Each must be answered once, and nothing of it may stay."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from egate_lsp.evaluation.process_load import Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from egate_lsp.evaluation.raw_client import RawClient

PER_SECOND = 50.0
DOCUMENTS = 3
LINES = 300
SETTLED_SHARE = 0.2  # of the storm, after which memory is compared: caches are full then, or as good as
MEMORY_MB = 48.0  # bound of what may be added after that: texts that are remembered, and the allocator's slack
IDLE_S = 1.0  # after the last reply
LONGEST_IDLE_S = 60.0
LAST_PATIENCE_S = 120.0
CANCELLED = -32800
_WORDS = ("value", "total", "index", "result", "= first + second", "return", "if", "for each in", "print(", ")")


@dataclass(slots=True)
class Storm:
    """What became of it.

    Attributes:
        answered_twice, unanswered: requests with more than one reply, and with none.
        failed: replies that are errors other than "cancelled", by message.
        last_answered: of the documents, those whose last request got a result.
        grown_mb: resident memory at the end less that after the first part.
        idle_after_s: from the last reply until the processes did nothing; None: not within a minute.
    """

    requests: int
    answered_twice: int = 0
    unanswered: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    last_answered: int = 0
    grown_mb: float = 0.0
    peak_rss_mb: float = 0.0
    idle_after_s: float | None = 0.0

    @property
    def violations(self) -> list[str]:
        """What should not be, each a sentence."""
        found = []
        if self.answered_twice:
            found.append(f"{self.answered_twice} requests got more than one reply.")
        if self.unanswered:
            found.append(f"{self.unanswered} requests got no reply.")
        found += [f"{count} requests failed: {message}." for message, count in self.failed.items()]
        if self.last_answered < DOCUMENTS:
            found.append(f"The last request of {DOCUMENTS - self.last_answered} documents got no result.")
        if self.grown_mb > MEMORY_MB:
            found.append(f"Memory grew by {self.grown_mb:.0f} MB; {MEMORY_MB:.0f} MB are what caches may take.")
        if self.idle_after_s is None:
            found.append(f"The processes were still busy {LONGEST_IDLE_S:.0f} s after the last reply.")
        elif self.idle_after_s > IDLE_S:
            found.append(f"The processes were busy for {self.idle_after_s:.1f} s after the last reply.")
        return found


async def run(
    client: RawClient, requests: int, *, per_second: float = PER_SECOND, progress: Callable[[int, int], None]
) -> Storm:
    """Type into the documents in turns, a request for each key. Every second request is cancelled when the next of its
    document is sent, the others are left to the server, as VS Code and Neovim do."""
    load, storm = Load(client.pid), Storm(requests)
    replies: dict[int, dict[str, Any]] = {}
    changed = asyncio.Event()
    uris = [f"file:///egate-storm/{number}.py" for number in range(DOCUMENTS)]
    text = "\n".join(f"def task_{number}(first, second):\n    return first + {number}" for number in range(LINES))
    for uri in uris:
        item = {"uri": uri, "languageId": "python", "version": 0, "text": text + "\n"}
        client.notify("textDocument/didOpen", {"textDocument": item})
    rows, columns = [2 * LINES] * DOCUMENTS, [0] * DOCUMENTS
    last: dict[int, int] = {}
    keys = itertools.cycle(" ".join(_WORDS))
    loop = asyncio.get_running_loop()
    started, settled_mb, first = loop.time(), 0.0, 0

    def replied(message: dict[str, Any]) -> None:
        replies[message["id"]] = message
        changed.set()

    for number in range(requests):
        which = number % DOCUMENTS
        key = next(keys) if columns[which] < 60 else "\n"
        spot = {"line": rows[which], "character": columns[which]}
        change = {"range": {"start": spot, "end": spot}, "text": key}
        document = {"uri": uris[which], "version": number + 1}
        client.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})
        if key == "\n":
            rows[which], columns[which] = rows[which] + 1, 0
        else:
            columns[which] += 1
        if which in last and number // DOCUMENTS % 2:
            client.cancel(last[which])
        request = client.ask(
            "textDocument/inlineCompletion",
            {
                "textDocument": {"uri": uris[which]},
                "position": {"line": rows[which], "character": columns[which]},
                "context": {"triggerKind": 2},
            },
            replied,
        )
        last[which] = request
        first = first or request
        progress(number, requests)
        if number == int(SETTLED_SHARE * requests):
            settled_mb = load.rss_mb()
        await asyncio.sleep(max(started + (number + 1) / per_second - loop.time(), 0.0))
    with contextlib.suppress(TimeoutError):  # then it is told as unanswered
        async with asyncio.timeout(LAST_PATIENCE_S):
            while any(request not in replies for request in last.values()):
                changed.clear()
                await changed.wait()
    storm.idle_after_s = await load.settle(LONGEST_IDLE_S)
    ids = range(first, first + requests)  # nothing else was asked meanwhile
    counts = [client.replies.get(request, 0) for request in ids]
    storm.answered_twice = sum(count > 1 for count in counts)
    storm.unanswered = sum(count == 0 for count in counts)
    for request in ids:
        error = replies.get(request, {}).get("error")
        if error is not None and error["code"] != CANCELLED:
            storm.failed[error["message"]] = storm.failed.get(error["message"], 0) + 1
    storm.last_answered = sum("result" in replies.get(request, {}) for request in last.values())
    storm.grown_mb, storm.peak_rss_mb = load.rss_mb() - settled_mb, load.peak_rss_mb
    return storm
