"""Helix as the server sees it: its capabilities, its positions in UTF-8, its order of messages.

Read from its source (`clients/helix.json` names the files). What matters here: after `initialized` it sends its
configuration once more, it never cancels a request, `shutdown` and `exit` have no params, and what a menu entry's
`command` says is not carried out: a chosen entry is nothing but an edit.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e.wire import PATIENCE_S, Wire, server

CLIENT = json.loads((Path(__file__).parent / "clients" / "helix.json").read_text(encoding="utf-8"))
INVOKED, INCOMPLETE = 1, 3  # CompletionTriggerKind


class Helix:
    """One document being edited; `text` and `cursor` (an offset in code points) are the editor's own."""

    def __init__(self, wire: Wire, path: Path, text: str, language: str) -> None:
        self.wire = wire
        self.uri = path.as_uri()
        self.text = text
        self.cursor = 0
        self.version = 0
        item = {"uri": self.uri, "languageId": language, "version": 0, "text": text}
        wire.notify("textDocument/didOpen", {"textDocument": item})

    def go(self, after: str) -> None:
        """The cursor behind the first occurrence of a text."""
        self.cursor = self.text.index(after) + len(after)

    def position(self, offset: int) -> dict[str, int]:
        before = self.text[:offset]
        return {"line": before.count("\n"), "character": len(before[before.rfind("\n") + 1 :].encode())}

    def offset(self, position: dict[str, int]) -> int:
        lines = self.text.split("\n")
        row = lines[position["line"]].encode()[: position["character"]].decode()
        return sum(len(line) + 1 for line in lines[: position["line"]]) + len(row)

    def edit(self, start: int, end: int, new: str) -> None:
        """Change the text and tell the server, as one change with a range."""
        change = {"range": {"start": self.position(start), "end": self.position(end)}, "text": new}
        self.text = self.text[:start] + new + self.text[end:]
        self.cursor = start + len(new)
        self.version += 1
        document = {"uri": self.uri, "version": self.version}
        self.wire.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})

    def type(self, text: str) -> None:
        for character in text:
            self.edit(self.cursor, self.cursor, character)

    def ask(self, kind: int = INVOKED) -> int:
        """Ask for completions at the cursor; the request's id."""
        return self.wire.ask(
            "textDocument/completion",
            {
                "textDocument": {"uri": self.uri},
                "position": self.position(self.cursor),
                "context": {"triggerKind": kind},
            },
        )

    async def complete(self, kind: int = INVOKED) -> dict[str, Any]:
        reply = await self.wire.reply(self.ask(kind))
        assert "error" not in reply, reply
        return reply["result"]

    def choose(self, item: dict[str, Any]) -> None:
        """Take an entry of the menu."""
        spot = item["textEdit"]["range"]
        self.edit(self.offset(spot["start"]), self.offset(spot["end"]), item["textEdit"]["newText"])

    async def command(self, name: str, *arguments: Any) -> Any:
        """`:lsp-workspace-command NAME`."""
        return await self.wire.call("workspace/executeCommand", {"command": name, "arguments": list(arguments)})


@asynccontextmanager
async def helix(
    tmp_path: Path, text: str, config: dict[str, Any], *, name: str = "sample.py", language: str = "python"
):
    """Helix with one document open; at the end it leaves as Helix does, and every request has had one reply."""
    async with server(tmp_path, shut_down=False) as wire:
        folder = tmp_path.as_uri()
        await wire.call(
            "initialize",
            {
                "processId": os.getpid(),
                "rootPath": str(tmp_path),
                "rootUri": folder,
                "workspaceFolders": [{"name": tmp_path.name, "uri": folder}],
                "initializationOptions": config,
                "capabilities": CLIENT["capabilities"],
                "clientInfo": CLIENT["clientInfo"],
            },
        )
        wire.notify("initialized", {})
        wire.notify("workspace/didChangeConfiguration", {"settings": config})
        yield Helix(wire, tmp_path / name, text, language)
        wire.sent_ids.append("last")
        wire.send({"jsonrpc": "2.0", "id": "last", "method": "shutdown"})
        assert (await wire.reply("last"))["result"] is None
        wire.send({"jsonrpc": "2.0", "method": "exit"})
        async with asyncio.timeout(PATIENCE_S):
            assert await wire.process.wait() == 0
