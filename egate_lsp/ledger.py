"""The ledger as a server uses it: records are handed to a thread of its own and never block a completion.

Whatever happens to the file costs statistics only: what cannot be written is tried again, at last dropped, and the
user is told once. Only a cap in money needs the file (`budget`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.errors import LedgerUnavailable
from egate_lsp.ledger_file import MIB, LedgerFile, Totals
from egate_lsp.records import SuggestionRecord, day_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from egate_lsp.ledger_file import Caps, Record
    from egate_lsp.records import RequestRecord

log = logging.getLogger(__name__)

RETRY_S = 5.0
MOST_WAITING = 5000  # records, while the file cannot be written
CLOSE_S = 3.0
ROTATE_EVERY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class _Write:
    record: Record
    amended: bool = False


@dataclass(frozen=True, slots=True)
class _Call:
    """Work on the file of which somebody awaits the result."""

    run: Callable[[LedgerFile], object]
    done: concurrent.futures.Future[object]


class Ledger:
    """One server's access to the user's ledger. `close` it.

    Attributes:
        on_trouble: told in words, once for each cause, that the file cannot be used; from the thread.
        on_totals: called after `totals` has changed; from the thread.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        keep_days: int = 180,
        max_mb: float = 64.0,
        clock: Callable[[], float] = time.time,
        open_file: Callable[[], LedgerFile] | None = None,
    ) -> None:
        """`path` None: in memory, for this server alone. `open_file` replaces the file, for tests."""
        self._open_file = open_file or (lambda: LedgerFile(path, clock=clock))
        self._clock = clock
        self._keep_days = keep_days
        self._max_bytes = int(max_mb * MIB)
        self._items: queue.SimpleQueue[_Write | _Call | None] = queue.SimpleQueue()
        self._waiting: deque[_Write] = deque(maxlen=MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._closed = False
        self._told: set[str] = set()
        self._rotated: float | None = None
        self._written: list[int] = []  # since the last look
        self._lock = threading.Lock()  # of the two that follow
        self._totals = Totals(day_of(clock()))
        self._fresh: dict[int, SuggestionRecord] = {}  # not among the totals yet
        self.on_trouble: Callable[[str], None] = lambda _text: None
        self.on_totals: Callable[[], None] = lambda: None

    @property
    def totals(self) -> Totals:
        """Of the day of the last write or look, all servers together; read from memory."""
        with self._lock:
            fresh = [each for each in self._fresh.values() if each.day == self._totals.day]
            return dataclasses.replace(
                self._totals,
                lines=self._totals.lines + sum(each.lines for each in fresh),
                lines_target=self._totals.lines_target + sum(each.lines_target for each in fresh),
            )

    @property
    def is_closed(self) -> bool:
        """Nothing is taken any more."""
        return self._closed

    def start(self) -> None:
        """Open the file in the background and read the totals. Idempotent."""
        if self._thread is None and not self._closed:
            # A daemon: a locked file must not keep the server from ending.
            self._thread = threading.Thread(target=self._run, name="egate ledger", daemon=True)
            self._thread.start()

    def put(self, record: Record) -> None:
        """Write it soon."""
        if isinstance(record, SuggestionRecord) and not self._closed:
            with self._lock:
                self._fresh[record.id] = record
                if len(self._fresh) > MOST_WAITING:
                    del self._fresh[next(iter(self._fresh))]
        self._hand(_Write(record))

    def amend(self, record: SuggestionRecord) -> None:
        """Write what has become of a suggestion; nothing if its record was purged meanwhile."""
        self._hand(_Write(record, amended=True))

    def forget(self, record: RequestRecord) -> None:
        """Take back a request that was not sent after all."""
        self._hand(_Call(lambda file: file.forget(record), concurrent.futures.Future()))

    async def reserve(self, record: RequestRecord, caps: Caps) -> str:
        """See `LedgerFile.reserve`. Cancelling does not take the record back.

        Raises:
            LedgerUnavailable: nothing was written.
        """
        done: concurrent.futures.Future[object] = concurrent.futures.Future()
        self._hand(_Call(lambda file: file.reserve(record, caps), done))
        # Shielded: the thread goes on to work for a caller who has gone.
        return str(await asyncio.shield(asyncio.wrap_future(done)))

    def close(self) -> None:
        """Write what is waiting and end; after 3 s without it. Blocks; idempotent."""
        self._closed = True
        if self._thread is not None:
            self._items.put(None)
            self._thread.join(CLOSE_S)
            self._thread = None

    def _hand(self, item: _Write | _Call) -> None:
        if self._closed:
            if isinstance(item, _Call):
                item.done.set_exception(LedgerUnavailable("The ledger is closed."))
            return
        self.start()
        self._items.put(item)

    # ── in the thread ───────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        file = self._open_file()
        try:
            self._try(file, lambda: self._look(file))
            while self._step(file):
                pass
        finally:
            file.close()

    def _step(self, file: LedgerFile) -> bool:
        """Do what has come in. False: it was the last."""
        items, last = self._taken()
        for item in items:
            if isinstance(item, _Write):
                self._waiting.append(item)
                continue
            self._flush(file)  # in order
            self._answer(file, item)
        self._flush(file)
        if items:
            self._try(file, lambda: self._look(file))
        return not last

    def _taken(self) -> tuple[list[_Write | _Call], bool]:
        """All that has come in, and whether the ledger is to end; waits for something."""
        items: list[_Write | _Call] = []
        try:
            item = self._items.get(timeout=RETRY_S if self._waiting else None)
            while item is not None:
                items.append(item)
                item = self._items.get_nowait()
        except queue.Empty:
            return items, False
        return items, True

    def _flush(self, file: LedgerFile) -> None:
        if not self._waiting:
            return
        added = [item.record for item in self._waiting if not item.amended]
        amended = [item.record for item in self._waiting if item.amended and isinstance(item.record, SuggestionRecord)]
        try:
            if self._try(file, lambda: file.write(added, amended)):
                self._written += [record.id for record in added]
                self._waiting.clear()
        except Exception:  # a record that cannot be written must not hold up all others
            log.exception("%d records of the ledger are lost", len(self._waiting))
            self._waiting.clear()

    def _answer(self, file: LedgerFile, call: _Call) -> None:
        try:
            result = call.run(file)
        except BaseException as error:
            if isinstance(error, LedgerUnavailable):
                self._tell(error.explanation)
            call.done.set_exception(error)
        else:
            call.done.set_result(result)

    def _look(self, file: LedgerFile) -> None:
        if self._rotated is None or time.monotonic() - self._rotated > ROTATE_EVERY_S:
            self._rotated = time.monotonic()
            file.rotate(self._keep_days, self._max_bytes)
        totals = file.totals(self._clock())
        with self._lock:
            self._totals = totals
            for key in self._written:
                self._fresh.pop(key, None)
        self._written.clear()
        self.on_totals()

    def _try(self, file: LedgerFile, work: Callable[[], object]) -> bool:
        try:
            work()
        except LedgerUnavailable as error:
            self._tell(error.explanation)
            return False
        finally:
            if file.set_aside is not None:
                aside, file.set_aside = file.set_aside, None
                self._tell(f"The ledger was corrupt. It is kept as {aside}, and a new one was begun.")
        return True

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            log.warning("%s", text)
            self.on_trouble(f"{text} Statistics may have gaps; completions go on.")
