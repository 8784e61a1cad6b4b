"""Whole sessions of editors that speak LSP 3.18's inline completion, each by its own capabilities and habits.

coc.nvim runs the item's command; LSP4IJ (JetBrains) always asks automatically and runs no command; lsp-mode declares
the feature with null and counts in UTF-32. Where no such client is to be had the server is driven as it would drive it:
these are the cells of docs/editors.md that are the same for all of them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.wire import URI, Wire, script, server
from tests.editors.playing import Waiting, nobody, playing
from tests.test_openai_target import stream

COC = {
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {"inlineCompletion": {"dynamicRegistration": True}, "completion": {"contextSupport": True}},
    "window": {"workDoneProgress": True},
}
LSP4IJ = {"textDocument": {"inlineCompletion": {"dynamicRegistration": True}, "completion": {}}}
LSP_MODE = {
    "general": {"positionEncodings": ["utf-32", "utf-16"]},
    "textDocument": {"inlineCompletion": None, "completion": {"contextSupport": True}},
    "experimental": {"egateStatus": True},
}
CLIENTS = [pytest.param(COC, id="coc"), pytest.param(LSP4IJ, id="lsp4ij"), pytest.param(LSP_MODE, id="lsp-mode")]
INVOKED, AUTOMATIC = 1, 2
SURE = [("rn 42", 0.1), ("\n", 0.1)]
UNSURE = [("rn unsure", 5.0), ("\n", 0.1)]
TEXT = "def answer():\n    retu\n"


def type_(wire: Wire, version: int, line: int, character: int, text: str, *, uri: str = URI) -> None:
    spot = {"line": line, "character": character}
    change = {"range": {"start": spot, "end": spot}, "text": text}
    wire.notify(
        "textDocument/didChange", {"textDocument": {"uri": uri, "version": version}, "contentChanges": [change]}
    )


async def command(wire: Wire, name: str, *arguments: Any) -> Any:
    return await wire.call("workspace/executeCommand", {"command": name, "arguments": list(arguments)})


@pytest.mark.parametrize("client", CLIENTS)
async def test_ghost_text_and_acceptance_read_off_the_document(tmp_path: Path, client: dict[str, Any]) -> None:
    async with server(tmp_path) as wire:
        capabilities = (await wire.initialize(client, script(tmp_path, ("    retu", SURE))))["capabilities"]
        wire.open(TEXT)
        (item,) = await wire.inline(1, 8, trigger=AUTOMATIC)
        type_(wire, 1, 1, 8, item["insertText"])

        assert capabilities["inlineCompletionProvider"] is not None
        assert "completionProvider" not in capabilities
        assert item["insertText"] == "rn 42"
        assert item["range"] == {"start": {"line": 1, "character": 8}, "end": {"line": 1, "character": 8}}
        assert (await command(wire, "egate.stats"))["accepted"] == 1


async def test_an_acceptance_that_is_reported_too_counts_once(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(COC, script(tmp_path, ("    retu", SURE)))
        wire.open(TEXT)
        (item,) = await wire.inline(1, 8, trigger=AUTOMATIC)
        type_(wire, 1, 1, 8, item["insertText"])
        await wire.call("workspace/executeCommand", item["command"])

        assert (await command(wire, "egate.stats"))["accepted"] == 1


async def test_an_editor_that_puts_the_label_in_first_and_then_the_text(tmp_path: Path) -> None:
    """Emacs' completion menus: the label, then the word again, then the edit, then the command."""
    async with server(tmp_path) as wire:
        await wire.initialize({"textDocument": {"completion": {}}}, script(tmp_path, ("    retu", SURE)))
        wire.open(TEXT)
        params = {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 8}}
        (item,) = (await wire.call("textDocument/completion", params))["items"]
        steps = ((4, 8, ""), (4, 4, "return 42"), (4, 13, ""), (4, 4, "retu"), (4, 8, "return 42"))
        for version, (start, end, text) in enumerate(steps, 1):
            spot = {"start": {"line": 1, "character": start}, "end": {"line": 1, "character": end}}
            wire.notify(
                "textDocument/didChange",
                {
                    "textDocument": {"uri": URI, "version": version},
                    "contentChanges": [{"range": spot, "rangeLength": end - start, "text": text}],
                },
            )
        await wire.call("workspace/executeCommand", item["command"])
        stats = await command(wire, "egate.stats")

        assert (stats["accepted"], stats["undone"]) == (1, 0)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_part_is_accepted(tmp_path: Path, client: dict[str, Any]) -> None:
    """Word by word: the rest is offered from memory."""
    async with server(tmp_path) as wire:
        await wire.initialize(client, script(tmp_path, ("x = ", [("alpha + beta\n", 0.1)])))
        wire.open("x = \n")
        await wire.inline(0, 4, trigger=AUTOMATIC)
        type_(wire, 1, 0, 4, "alpha")
        (rest,) = await wire.inline(0, 9, trigger=AUTOMATIC)

        assert rest["insertText"] == " + beta"
        assert (await command(wire, "egate.stats"))["accepted_partly"] == 1


@pytest.mark.parametrize("client", CLIENTS)
async def test_cancelled_requests_have_one_reply_each(tmp_path: Path, client: dict[str, Any]) -> None:
    slow = script(tmp_path, ("slow = ", [("x", 0.1)] * 10_000), ("    retu", SURE), delay_s=0.01)
    async with server(tmp_path) as wire:
        await wire.initialize(client, slow)
        wire.open("slow = \n" + TEXT)
        cancelled = [wire.ask_inline(0, 7, trigger=AUTOMATIC) for _ in range(3)]
        for request in cancelled:
            wire.notify("$/cancelRequest", {"id": request})
        replies = [await wire.reply(request) for request in cancelled]
        (item,) = await wire.inline(2, 8, trigger=AUTOMATIC)

        assert all(
            reply.get("error", {}).get("code") == -32800 or reply["result"] == {"items": []} for reply in replies
        )
        assert item["insertText"] == "rn 42"


async def test_cancelling_a_request_that_was_answered_does_nothing(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(COC, script(tmp_path, ("    retu", SURE)))
        wire.open(TEXT)
        request = wire.ask_inline(1, 8)
        await wire.reply(request)
        wire.notify("$/cancelRequest", {"id": request})
        wire.notify("$/cancelRequest", {"id": "never"})
        assert len(await wire.inline(1, 8)) == 1

        assert len(wire.replies[request]) == 1
        assert wire.messages() == []


@pytest.mark.parametrize("client", CLIENTS)
async def test_the_model_is_missing(tmp_path: Path, client: dict[str, Any]) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(client, {"models": {"cache_dir": str(tmp_path / "empty")}})
        wire.open(TEXT)
        for trigger in (AUTOMATIC, INVOKED):
            assert await wire.inline(1, 8, trigger=trigger) == []
        status = await wire.call("egate/status", {})
        (message,) = wire.messages()

        assert status["state"] == "error"
        assert "egate-lsp models pull qwen2.5-coder-0.5b" in status["hint"]
        assert "egate-lsp models pull qwen2.5-coder-0.5b" in message


@pytest.mark.parametrize("client", CLIENTS)
async def test_the_target_is_down(tmp_path: Path, client: dict[str, Any]) -> None:
    """The draft's own line is shown; nobody waits for the deadline."""
    settings = {
        **script(tmp_path, ("    retu", UNSURE)),
        "target": nobody(),
        "gate": {"tau": 0.1},
        "cascade": {"deadline_ms": 60_000},
    }
    async with server(tmp_path) as wire:
        await wire.initialize(client, settings)
        wire.open(TEXT)
        (item,) = await wire.inline(1, 8, trigger=AUTOMATIC)
        stats = await command(wire, "egate.stats")
        why = await wire.call("egate/explain", {"textDocument": {"uri": URI}})

        assert item["insertText"] == "rn unsure"
        assert stats["requests_failed"] == 1
        assert why["requests"][0]["outcome"] == "failed"
        assert why["requests"][0]["detail"]


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_late_answer_is_there_for_the_next_request(tmp_path: Path, client: dict[str, Any]) -> None:
    """Whoever declares `egateUpgrade` is told of it; it goes on from what was shown."""
    play = Waiting(stream("    b = 3\n"))
    async with playing(play) as target:
        settings = {
            **script(tmp_path, ("    ", [("a = 1\n", 0.1), ("    b = 2\n", 5.0)])),
            "target": target,
            "gate": {"tau": 0.1},
            "cascade": {"deadline_ms": 50},
        }
        told = {**client, "experimental": {**client.get("experimental", {}), "egateUpgrade": True}}
        async with server(tmp_path) as wire:
            await wire.initialize(told, settings)
            wire.open("def f():\n    \n")
            (early,) = await wire.inline(1, 4, trigger=AUTOMATIC)
            play.release.set()
            await wire.until(lambda: any(note["method"] == "egate/upgraded" for note in wire.notifications))
            (late,) = await wire.inline(1, 4, trigger=AUTOMATIC)

            assert early["insertText"] == "a = 1"
            assert late["insertText"].startswith("a = 1\n    b = 3")
            assert play.requests != []


@pytest.mark.parametrize("client", CLIENTS)
async def test_toggle_pause_status_and_why(tmp_path: Path, client: dict[str, Any]) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(client, script(tmp_path, ("    retu", SURE)))
        wire.open(TEXT)
        assert await command(wire, "egate.toggle") is False
        assert await wire.inline(1, 8) == []
        assert (await wire.call("egate/status", {}))["enabled"] is False
        assert await command(wire, "egate.toggle") is True
        assert await command(wire, "egate.toggleLanguage", "python") is False
        assert await wire.inline(1, 8) == []
        assert await command(wire, "egate.toggleLanguage", "python") is True
        assert await command(wire, "egate.pauseTarget") is True
        assert len(await wire.inline(1, 8)) == 1

        assert (await wire.call("egate/status", {}))["targetPaused"] is True
        why = await wire.call("egate/explain", {"textDocument": {"uri": URI}, "format": "text"})
        assert "draft" in why["text"]


async def test_by_hand_there_may_be_alternatives_to_go_through(tmp_path: Path) -> None:
    """A scripted model has one answer; what an editor can rely on is their shape: distinct, each with its own id."""
    async with server(tmp_path) as wire:
        await wire.initialize(COC, script(tmp_path, ("    retu", SURE)))
        wire.open(TEXT)
        items = await wire.inline(1, 8, trigger=INVOKED)
        keys = [item["command"]["arguments"][0] for item in items]

        assert 1 <= len(items) <= 3
        assert len({item["insertText"] for item in items}) == len(items)
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("client", CLIENTS)
async def test_several_documents_at_once(tmp_path: Path, client: dict[str, Any]) -> None:
    count = 5
    rules = [(f"d{index} = ", [(f"{index}00\n", 0.1)]) for index in range(count)]
    async with server(tmp_path) as wire:
        await wire.initialize(client, script(tmp_path, *rules, delay_s=0.02))
        uris = [f"file:///tmp/egate/d{index}.py" for index in range(count)]
        for index, uri in enumerate(uris):
            wire.open(f"d{index} = \n", uri=uri)
        asked = [wire.ask_inline(0, 5, uri=uri, trigger=AUTOMATIC) for uri in uris]
        replies = await asyncio.gather(*(wire.reply(request) for request in asked))

        assert [reply["result"]["items"][0]["insertText"] for reply in replies] == ["000", "100", "200", "300", "400"]


async def test_positions_of_each_client_fit_its_encoding(tmp_path: Path) -> None:
    """The same place in a line with an emoji, as UTF-16, UTF-16 and UTF-32 count it."""
    for client, character in ((COC, 9), (LSP4IJ, 9), (LSP_MODE, 8)):
        async with server(tmp_path) as wire:
            await wire.initialize(client, script(tmp_path, ("x = '😀' ", [("+ y\n", 0.1)])))
            wire.open("x = '😀' \n")
            (item,) = await wire.inline(0, character, trigger=AUTOMATIC)

            assert item["insertText"] == "+ y"
