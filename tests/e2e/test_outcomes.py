"""What the user does with a suggestion is read off the document, also where the editor reports nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.wire import HELIX, NEOVIM, URI, VSCODE, script, server

ANSWER = [("value = '😀'", 0.1), ("\n    return value\n", 0.1)]
TEXT = "value = '😀'\n    return value"
DOCUMENT = "def answer():\n    \n"


class Editor:
    """Sends changes as they are made."""

    def __init__(self, wire) -> None:
        self.wire = wire
        self.version = 0

    def change(self, text: str, start: tuple[int, int] | None = None, end: tuple[int, int] | None = None) -> None:
        self.version += 1
        change: dict = {"text": text}
        if start is not None:
            spots = [{"line": line, "character": character} for line, character in (start, end or start)]
            change["range"] = {"start": spots[0], "end": spots[1]}
        document = {"uri": URI, "version": self.version}
        self.wire.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})

    async def counted(self) -> dict[str, int]:
        session = (await self.wire.call("egate/statistics", {}))["session"]
        names = ("accepted", "accepted_partly", "typed_through", "typed_past", "dismissed", "undone")
        return {name: session[name] for name in names if session[name]}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("whole", [False, True], ids=["by ranges", "whole texts"])
async def test_an_acceptance_that_is_reported_too_counts_once(tmp_path: Path, end: str, whole: bool) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(VSCODE, script(tmp_path, ("", ANSWER)))
        editor = Editor(wire)
        wire.open(DOCUMENT.replace("\n", end))
        (item,) = await wire.inline(1, 4, trigger=2)
        if whole:
            editor.change(f"def answer():\n    {TEXT}\n".replace("\n", end))
        else:
            editor.change(item["insertText"].replace("\n", end), (1, 4))

        assert await editor.counted() == {"accepted": 1}
        await wire.call("workspace/executeCommand", item["command"])
        assert await editor.counted() == {"accepted": 1}
        editor.change("", (1, 4), (2, 16))
        assert await editor.counted() == {"accepted": 1, "undone": 1}


async def test_a_word_a_line_and_the_rest(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        editor = Editor(wire)
        wire.open(DOCUMENT)
        (item,) = await wire.inline(1, 4, trigger=2)
        (key,) = item["command"]["arguments"]
        editor.change("value", (1, 4))
        assert await editor.counted() == {"accepted_partly": 1}
        arguments = {"command": "egate.partiallyAccepted", "arguments": [key, 5]}
        await wire.call("workspace/executeCommand", arguments)
        assert await editor.counted() == {"accepted_partly": 1}

        (rest,) = await wire.inline(1, 9, trigger=2)
        assert rest["insertText"] == TEXT.removeprefix("value")
        editor.change(rest["insertText"], (1, 9))
        assert await editor.counted() == {"accepted_partly": 1, "accepted": 1}


async def test_typing_past_is_known_without_another_request(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        editor = Editor(wire)
        wire.open(DOCUMENT)
        await wire.inline(1, 4, trigger=2)
        editor.change("v", (1, 4))
        assert await editor.counted() == {}
        editor.change("x", (1, 5))
        assert await editor.counted() == {"typed_past": 1}
        editor.change("", (1, 4), (1, 6))
        await wire.inline(1, 4, trigger=2)

        explained = await wire.call("egate/explain", {"textDocument": {"uri": URI}})
        assert explained["lines"][0]["signals"]["unease"] > 0.3  # the gate has heard of it


async def test_a_dismissal_is_counted_once(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        editor = Editor(wire)
        wire.open(DOCUMENT)
        await wire.inline(1, 4, trigger=2)
        for _ in range(2):
            await wire.call("workspace/executeCommand", {"command": "egate.dismissed"})
        editor.change("x", (1, 4))

        assert await editor.counted() == {"dismissed": 1}


async def test_a_menu_entry_that_is_taken(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(HELIX, script(tmp_path, ("    retu", [("rn 42\n", 0.1)])))
        editor = Editor(wire)
        wire.open("def answer():\n    retu\n")
        params = {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 8}}
        (item,) = (await wire.call("textDocument/completion", params))["items"]
        editor.change(item["textEdit"]["newText"], (1, 4), (1, 8))

        assert await editor.counted() == {"accepted": 1}


async def test_an_entry_of_the_editors_own_menu_and_what_was_built_on_it(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(VSCODE, script(tmp_path, ("x.append", [("(1)\n", 0.1)])))
        editor = Editor(wire)
        wire.open("x.app\n")
        spot = {"start": {"line": 0, "character": 2}, "end": {"line": 0, "character": 5}}
        params = {
            "textDocument": {"uri": URI},
            "position": {"line": 0, "character": 5},
            "context": {"triggerKind": 2, "selectedCompletionInfo": {"range": spot, "text": "append"}},
        }
        (item,) = (await wire.call("textDocument/inlineCompletion", params))["items"]
        editor.change(item["insertText"], (0, 2), (0, 5))

        assert await editor.counted() == {"accepted": 1}
