"""A raw JSON-RPC client of the real server process: it sends what it is told, well-formed or not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from egate_lsp.framing import Framer, frame

PATIENCE_S = 60.0  # only a server that is stuck takes so long

NEOVIM = {
    "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
    "textDocument": {"inlineCompletion": {"dynamicRegistration": False}},
    "window": {"workDoneProgress": True},
    "experimental": {"egateStatus": True},
}
VSCODE = {
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {"inlineCompletion": {"dynamicRegistration": True}, "completion": {"contextSupport": True}},
    "window": {"workDoneProgress": True},
}
HELIX = {
    "general": {"positionEncodings": ["utf-8", "utf-32", "utf-16"]},
    "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}},
}
URI = "file:///tmp/egate/sample.py"


class Wire:
    """One connection. Counts the replies to each request."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.replies: dict[Any, list[dict[str, Any]]] = {}
        self.sent_ids: list[Any] = []
        self.notifications: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []  # from the server
        self.answers: dict[str, Any] = {}  # to them, by method; otherwise null
        self.orphans: list[dict[str, Any]] = []  # error replies without an id
        self._changed = asyncio.Condition()
        self._next = 0
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        framer = Framer()
        while data := await self.process.stdout.read(65536):
            for body in framer.feed(data):
                message = json.loads(body)  # nothing but frames on standard output
                async with self._changed:
                    self._take(message)
                    self._changed.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message and "id" in message:
            self.requests.append(message)
            self.send({"jsonrpc": "2.0", "id": message["id"], "result": self.answers.get(message["method"])})
        elif "method" in message:
            self.notifications.append(message)
        elif message["id"] is None:
            self.orphans.append(message)
        else:
            self.replies.setdefault(message["id"], []).append(message)

    def raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def send(self, message: Any) -> None:
        self.raw(frame(json.dumps(message).encode()))

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method: str, params: Any = None) -> int:
        """Send a request; its id."""
        self._next += 1
        self.sent_ids.append(self._next)
        self.send({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params})
        return self._next

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(condition)

    async def reply(self, message_id: Any) -> dict[str, Any]:
        await self.until(lambda: message_id in self.replies)
        return self.replies[message_id][0]

    async def call(self, method: str, params: Any = None) -> Any:
        """The result of a request; an error fails the test."""
        reply = await self.reply(self.ask(method, params))
        assert "error" not in reply, reply
        return reply["result"]

    async def initialize(
        self, capabilities: dict[str, Any], options: dict[str, Any] | None = None, *, root: Path | None = None
    ) -> Any:
        result = await self.call(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": None,
                "workspaceFolders": [{"uri": root.as_uri(), "name": root.name}] if root else None,
                "capabilities": capabilities,
                "initializationOptions": options,
            },
        )
        self.notify("initialized", {})
        return result

    def open(self, text: str, *, uri: str = URI, language: str = "python") -> None:
        item = {"uri": uri, "languageId": language, "version": 0, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def ask_inline(self, line: int, character: int, *, uri: str = URI, trigger: int = 1) -> int:
        return self.ask(
            "textDocument/inlineCompletion",
            {
                "textDocument": {"uri": uri},
                "position": {"line": line, "character": character},
                "context": {"triggerKind": trigger},
            },
        )

    async def inline(self, line: int, character: int, **more: Any) -> list[dict[str, Any]]:
        reply = await self.reply(self.ask_inline(line, character, **more))
        assert "error" not in reply, reply
        return reply["result"]["items"]

    def messages(self) -> list[str]:
        return [note["params"]["message"] for note in self.notifications if note["method"] == "window/showMessage"]


@asynccontextmanager
async def server(tmp_path: Path, *arguments: str, shut_down: bool = True, cwd: Path | None = None):
    """The real server over stdio. At the end: every request had exactly one reply, no process stays, exit code 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "egate_lsp", "serve",
        "--log-file", str(tmp_path / "server.log"), "--log-level", "debug", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=cwd,
    )  # fmt: skip
    wire = Wire(process)
    children: list[psutil.Process] = []
    try:
        yield wire
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children(recursive=True)
        if shut_down:
            await wire.call("shutdown")
            wire.notify("exit")
            async with asyncio.timeout(PATIENCE_S):
                assert await process.wait() == 0
        counts = {message_id: len(wire.replies.get(message_id, [])) for message_id in wire.sent_ids}
        assert set(counts.values()) <= {1}, counts
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.gather(wire._reader, return_exceptions=True)
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
        assert alive == []


def script(
    tmp_path: Path,
    *rules: tuple[str, list[tuple[str, float]]],
    delay_s: float = 0.0,
    others: list[list[tuple[str, float]]] = [],  # noqa: B006  # never changed
) -> dict[str, Any]:
    """Settings with a draft that follows a script; with `others` it can search, and finds these."""
    path = tmp_path / "script.json"
    path.write_text(
        json.dumps(
            [{"after": after, "tokens": tokens, "delay_s": delay_s, "others": others} for after, tokens in rules]
        ),
        encoding="utf-8",
    )
    return {"draft": {"model": f"scripted:{path}"}}
