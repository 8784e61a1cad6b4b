"""Clients of GitHub Copilot's language server against ours, through the real protocol."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.e2e.wire import NEOVIM, URI, script, server

ANSWER = [("return", 0.1), (" 42", 0.1), ("\n", 0.1)]
DOCUMENT = "def answer():\n    \n"
EDITOR = {
    "editorInfo": {"name": "Neovim", "version": "0.12.0"},
    "editorPluginInfo": {"name": "Neovim", "version": "0.12.0"},
}
NAMED = {"textDocument": {"uri": URI, "version": 0}}
AT = {"position": {"line": 1, "character": 4}}


def editor(settings: dict) -> dict:
    return {**EDITOR, "egate": settings}


async def stats(wire) -> dict:
    return await wire.call("workspace/executeCommand", {"command": "egate.stats"})


async def test_inline_completion_in_the_dialect(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        result = await wire.initialize(
            {"workspace": {"workspaceFolders": True}}, editor(script(tmp_path, ("", ANSWER)))
        )
        assert result["capabilities"]["inlineCompletionProvider"] is not None
        commands = result["capabilities"]["executeCommandProvider"]["commands"]
        assert "github.copilot.didAcceptCompletionItem" in commands
        settings = {"telemetry": {"telemetryLevel": "all"}, "github-enterprise": {"uri": ""}, "http": {"proxy": None}}
        wire.notify("workspace/didChangeConfiguration", {"settings": settings})
        wire.open(DOCUMENT)
        wire.notify("textDocument/didFocus", {"textDocument": {"uri": URI}})
        params = {
            **NAMED, **AT,
            "context": {"triggerKind": 2},
            "formattingOptions": {"tabSize": 4, "insertSpaces": True},
        }  # fmt: skip
        (item,) = (await wire.call("textDocument/inlineCompletion", params))["items"]

        assert item["insertText"] == "return 42"
        assert item["command"]["command"] == "github.copilot.didAcceptCompletionItem"
        wire.notify("textDocument/didShowCompletion", {"item": item})
        wire.notify("textDocument/didPartiallyAcceptCompletion", {"item": item, "acceptedLength": 6})
        wire.notify(
            "textDocument/didPartiallyAcceptCompletion", {"item": {"command": item["command"]}, "acceptedLength": 7}
        )
        await wire.call("workspace/executeCommand", item["command"])
        counted = await stats(wire)
        assert (counted["accepted"], counted["accepted_partly"]) == (1, 1)
        assert wire.messages() == []


async def test_the_status_in_the_dialect(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, editor(script(tmp_path, ("", ANSWER))))
        wire.open(DOCUMENT)
        await wire.inline(1, 4)
        told = [note["params"] for note in wire.notifications if note["method"] == "didChangeStatus"]

        assert told[-1] == {"busy": False, "message": "", "kind": "Normal"}
        assert {"busy": True, "message": "", "kind": "Normal"} in told
        assert all(one != next_one for one, next_one in itertools.pairwise(told))
        await wire.call("workspace/executeCommand", {"command": "egate.toggle"})
        assert wire.notifications[-1]["params"]["kind"] == "Inactive"


async def test_an_error_in_the_dialect(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, editor({"models": {"cache_dir": str(tmp_path / "empty")}}))
        wire.open(DOCUMENT)
        assert await wire.inline(1, 4) == []
        told = [note["params"] for note in wire.notifications if note["method"] == "didChangeStatus"]

        assert (told[-1]["kind"], told[-1]["busy"]) == ("Error", False)
        assert "egate-lsp models pull" in told[-1]["message"]


async def test_no_account_is_needed(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        assert (await wire.inline(1, 4))[0]["command"]["command"] == "egate.accepted"

        assert await wire.call("checkStatus", {"options": {"localChecksOnly": True}}) == {
            "status": "OK",
            "user": "local",
        }
        assert await wire.call("signIn", {}) == {"status": "AlreadySignedIn", "user": "local"}
        assert await wire.call("signOut", {}) == {"status": "NotSignedIn"}
        assert await wire.call("checkStatus", {}) == {"status": "OK", "user": "local"}
        assert await wire.call("setEditorInfo", EDITOR) == "OK"
        assert (await wire.call("getVersion", {}))["version"]
        assert (await wire.inline(1, 4))[0]["command"]["command"] == "github.copilot.didAcceptCompletionItem"


async def test_the_former_generation(tmp_path: Path) -> None:
    document = {"uri": URI, "version": 0, "position": AT["position"], "insertSpaces": True, "tabSize": 4}
    params = {"doc": document, **NAMED, **AT, "_": True}
    async with server(tmp_path) as wire:
        await wire.initialize({}, editor(script(tmp_path, ("", ANSWER))))
        assert await wire.call("checkStatus", {"_": True}) == {"status": "OK", "user": "local"}
        wire.open(DOCUMENT)
        (found,) = (await wire.call("getCompletions", params))["completions"]

        assert found["text"] == "    return 42"
        assert found["displayText"] == "return 42"
        assert found["range"] == {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 4}}
        assert found["position"] == AT["position"]
        uuid = found["uuid"]
        assert await wire.call("notifyShown", {"uuid": uuid, "_": True}) == "OK"
        assert await wire.call("notifyAccepted", {"uuid": uuid, "acceptedLength": 10, "_": True}) == "OK"
        assert (await stats(wire))["accepted_partly"] == 1
        assert await wire.call("notifyAccepted", {"uuid": uuid, "acceptedLength": 13, "_": True}) == "OK"
        assert (await stats(wire))["accepted"] == 1
        cycled = (await wire.call("getCompletionsCycling", params))["completions"]
        assert cycled[0]["text"] == "    return 42"
        await wire.call("notifyRejected", {"uuids": [each["uuid"] for each in cycled], "_": True})
        assert (await stats(wire))["dismissed"] == 1
        kinds = [note["params"]["status"] for note in wire.notifications if note["method"] == "statusNotification"]
        assert kinds[-1] == "Normal"


async def test_a_panel_of_suggestions(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize({}, editor(script(tmp_path, ("", ANSWER))))
        wire.open(DOCUMENT)
        whole = await wire.call("textDocument/copilotPanelCompletion", {**NAMED, **AT})
        assert [item["insertText"] for item in whole["items"]] == ["return 42"]

        token = {"partialResultToken": "t1"}
        assert await wire.call("textDocument/copilotPanelCompletion", {**NAMED, **AT, **token}) == {"items": []}
        streamed = [note["params"] for note in wire.notifications if note["method"] == "$/progress"]
        assert [each["value"]["items"][0]["insertText"] for each in streamed if each["token"] == "t1"] == ["return 42"]

        answer = await wire.call("getPanelCompletions", {"doc": {**NAMED["textDocument"], **AT}, "panelId": "p"})
        assert answer == {"solutionCountTarget": 1}
        await wire.until(lambda: any(note["method"] == "PanelSolutionsDone" for note in wire.notifications))
        (solution,) = [note["params"] for note in wire.notifications if note["method"] == "PanelSolution"]
        assert (solution["panelId"], solution["completionText"]) == ("p", "return 42")
        assert solution["displayText"] == "    return 42"


async def test_leaving_a_document_ends_what_is_under_way_for_it(tmp_path: Path) -> None:
    other = "file:///tmp/egate/other.py"
    async with server(tmp_path) as wire:
        slow = script(tmp_path, ("slow = ", [("x", 0.1)] * 10_000), delay_s=0.01)
        await wire.initialize(NEOVIM, editor(slow))
        wire.open("slow = \n")
        wire.open("", uri=other)
        request = wire.ask_inline(0, 7)
        wire.notify("textDocument/didFocus", {"textDocument": {"uri": other}})

        assert (await wire.reply(request))["result"] == {"items": []}


async def test_a_panel_and_cycling_with_a_choice(tmp_path: Path) -> None:
    others = [[("return 43\n", 0.2)], [("return 44\n", 0.3)], [("return 45\n", 0.4)]]
    texts = ["return 42", "return 43", "return 44", "return 45"]
    async with server(tmp_path) as wire:
        await wire.initialize({}, editor(script(tmp_path, ("", ANSWER), others=others)))
        wire.open(DOCUMENT)
        whole = await wire.call("textDocument/copilotPanelCompletion", {**NAMED, **AT})
        assert [item["insertText"] for item in whole["items"]] == texts
        await wire.call("textDocument/copilotPanelCompletion", {**NAMED, **AT, "partialResultToken": 7})
        parts = [note["params"]["value"]["items"] for note in wire.notifications if note["method"] == "$/progress"]
        assert [[item["insertText"] for item in part] for part in parts] == [texts[:1], texts[1:]]
        cycled = (await wire.call("getCompletionsCycling", {"doc": {**NAMED["textDocument"], **AT}}))["completions"]
        assert [each["displayText"] for each in cycled] == texts[:3]
