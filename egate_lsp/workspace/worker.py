"""The index's own process: `python -P -m egate_lsp.workspace.worker`.

One JSON object a line. In: open, changed, rescan, ask, stop. Out: found, state. It ends when its standard input closes,
so it never outlives the server. A file is read between two messages, so an answer waits for one file at most.
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

from egate_lsp.workspace.folder import Folder
from egate_lsp.workspace.questions import Question
from egate_lsp.workspace.scan import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

# While it reads a folder it rests after each file for half of the time that this took: the draft engine needs the
# processor. It has no lower priority, because an answer would then have to wait for the engine too.
REST = 0.5
LONGEST_REST_S = 0.1
RESCAN_S = 600.0  # between looks at the whole folder, for what nobody told


class Worker:
    """Answers questions, and reads files while there are none."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._folders: list[Folder] = []
        self._reading: list[tuple[Folder, Iterator[None]]] = []
        self._rest_s = 0.0
        self._number = 0  # of the last opening, by which what is told of it is known

    def run(self) -> None:
        """Serve until "stop" or the end of the input."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        while True:
            try:
                message = self._messages.get(timeout=self._rest_s if self._reading else RESCAN_S)
            except queue.Empty:
                if not self._reading:
                    self._rescan()
                began = time.perf_counter()
                self._read_on()
                self._rest_s = min(REST * (time.perf_counter() - began), LONGEST_REST_S)
                continue
            if message["op"] == "stop":
                return
            self._handle(message)

    def _read(self) -> None:
        for line in self._incoming:
            self._messages.put(json.loads(line))
        os._exit(0)  # the server is gone

    def _handle(self, message: dict[str, Any]) -> None:
        if message["op"] == "open":
            limits = Limits(**message["limits"])
            self._number = message["number"]
            self._folders = [Folder(root, message["never_send"], limits) for root in message["roots"]]
            self._rescan()
        elif message["op"] == "changed":
            path = os.path.join(os.path.realpath(os.path.dirname(message["path"])), os.path.basename(message["path"]))
            if os.path.basename(path) == ".gitignore":
                self._rescan()
            elif (found := self._home(path)) is not None:
                found[0].changed(found[1])
        elif message["op"] == "ask":
            self._send(event="found", id=message["id"], excerpts=self._answer(message))

    def _answer(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        home = self._home(os.path.realpath(message["path"])) if message["path"] else None
        if home is None:
            return []
        folder, name = home
        fields = {**message["question"], "sources": tuple(message["question"]["sources"])}
        found = folder.ask(Question(name=name, **fields))
        return [{**asdict(each), "file": os.path.join(folder.root, *each.name.split("/"))} for each in found]

    def _home(self, path: str) -> tuple[Folder, str] | None:
        """The innermost folder that holds a file, and the file's name in it."""
        for folder in sorted(self._folders, key=lambda folder: -len(folder.root)):
            if (name := folder.name_of(path)) is not None:
                return folder, name
        return None

    def _rescan(self) -> None:
        self._reading = [(folder, folder.reading()) for folder in self._folders]

    def _read_on(self) -> None:
        """The next file."""
        if not self._reading:
            return
        folder, files = self._reading[0]
        if next(files, self) is self:
            self._reading.pop(0)
            self._send(
                event="state",
                number=self._number,
                root=folder.root,
                files=len(folder),
                chunks=folder.chunks,
                read_s=round(folder.read_s, 3),
                done=not self._reading,
            )

    def _send(self, **message: Any) -> None:
        self._outgoing.write(json.dumps(message, ensure_ascii=True).encode() + b"\n")
        self._outgoing.flush()


def main() -> None:
    """Keep the real standard output for messages."""
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    Worker(sys.stdin.buffer, outgoing).run()
    outgoing.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
