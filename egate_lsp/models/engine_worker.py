"""The engine's own process: `python -m egate_lsp.models.engine_worker`.

One JSON object per line. In: load, generate, review, cancel, stop. Out: loaded, progress, token, reviewed, done,
error. Bytes travel as Latin-1 text. It ends when its standard input closes, so it never outlives the server.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egate_lsp.models.llamacpp import LlamaCppEngine

HELD_BACK_S = 0.05  # for so long tokens of a line that goes on are not sent


class Worker:
    """Runs jobs one after the other; a reader thread sees cancellations while llama.cpp computes."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._engine: LlamaCppEngine | None = None
        self._current = -1
        self._cancelled_up_to = -1

    def run(self) -> None:
        """Serve until "stop" or the end of the input."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        while (message := self._messages.get())["op"] != "stop":
            if message["op"] == "load":
                self._load(message)
            elif message["op"] in {"generate", "review"}:
                self._work(message)

    def _read(self) -> None:
        for line in self._incoming:
            message = json.loads(line)
            if message["op"] == "cancel":
                with self._lock:
                    self._cancelled_up_to = max(self._cancelled_up_to, message["job"])
                    if self._engine is not None and self._current == message["job"]:
                        self._engine.cancel()
            else:
                self._messages.put(message)
        # The server is gone. The main thread may be deep in llama.cpp: nothing is worth waiting for.
        os._exit(0)

    def _send(self, *, at_once: bool = True, **message: Any) -> None:
        self._outgoing.write(json.dumps(message, ensure_ascii=True).encode() + b"\n")
        if at_once:
            self._outgoing.flush()

    def _load(self, message: dict[str, Any]) -> None:
        # Here, not at the top: the process must read its first message before the slow import.
        from egate_lsp.errors import EgateError
        from egate_lsp.models.fim import FimMarks, FimOrder
        from egate_lsp.models.llamacpp import EngineSettings, LlamaCppEngine

        started = time.perf_counter()
        fields = message["settings"]
        marks = fields.pop("marks")
        settings = EngineSettings(
            marks=FimMarks(**{**marks, "stop": tuple(marks["stop"])}) if marks else None,
            order=FimOrder(fields.pop("order")),
            **fields,
        )
        try:
            engine = LlamaCppEngine(settings)
            engine.warm_up()
        except EgateError as error:
            self._send(event="error", job=-1, message=str(error), hint=error.hint)
            return
        with self._lock:
            self._engine = engine
        self._send(
            event="loaded",
            vocabulary=engine.vocabulary,
            fim=engine.has_fim,
            trained_context=engine.trained_context,
            threads=settings.threads,
            load_ms=(time.perf_counter() - started) * 1000.0,
        )

    def _work(self, message: dict[str, Any]) -> None:
        from egate_lsp.errors import EgateError
        from egate_lsp.models.llamacpp import CancelledJob

        engine, job = self._engine, message["job"]
        if engine is None:
            self._send(event="error", job=job, message="No model is loaded.", hint="")
            return
        with self._lock:
            self._current = job
            engine.clear_cancel()
            cancelled = self._cancelled_up_to >= job
        try:
            if cancelled:
                raise CancelledJob
            wanted = {key: value for key, value in message.items() if key not in {"op", "job"}}
            if message["op"] == "review":
                self._send(event="reviewed", job=job, logprobs=engine.review(**wanted))
            else:
                self._generate(engine, job, wanted)
        except CancelledJob:
            engine.usage.stop = "cancelled"
        except EgateError as error:
            self._send(event="error", job=job, message=str(error), hint=error.hint)
            return
        self._send(event="done", job=job, usage=asdict(engine.usage))

    def _generate(self, engine: LlamaCppEngine, job: int, wanted: dict[str, Any]) -> None:
        from egate_lsp.models.llamacpp import Job

        first, sent = True, 0.0
        for token in engine.generate(
            Job(**wanted), lambda done, total: self._send(event="progress", job=job, done=done, total=total)
        ):
            # The server reads on one of the cores that the next token is computed on: it is not woken for each.
            now = time.monotonic()
            at_once = b"\n" in token.piece or now - sent >= HELD_BACK_S
            sent = now if at_once else sent
            self._send(
                at_once=at_once,
                event="token",
                job=job,
                piece=token.piece.decode("latin-1"),
                entropy=token.entropy,
                logprob=token.logprob,
                margin=token.margin,
                **({"branch": token.branch} if token.branch else {}),
                **({"top": token.top} if token.top else {}),
                **({"usage": engine.usage.of_prompt()} if first else {}),  # for whoever is shown a part
            )
            first = False


def main() -> None:
    """Keep the real standard output for messages: whatever C code prints goes to standard error."""
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    Worker(sys.stdin.buffer, outgoing).run()
    outgoing.flush()
    os._exit(0)  # llama.cpp's threads and destructors have nothing to add


if __name__ == "__main__":
    main()
