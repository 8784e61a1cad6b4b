"""Status, switches, "why", models and statistics through the real protocol."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.wire import HELIX, NEOVIM, URI, VSCODE, script, server

ANSWER = [("return", 0.1), (" 42", 0.1), ("\n", 0.1)]
DOCUMENT = "def answer():\n    \n"
STATUS_KEYS = {
    "state", "reason", "hint", "model", "target", "progress", "enabled", "targetPaused", "languagesOff", "logFile",
    "today", "targetState", "targetReason",
}  # fmt: skip


async def command(wire, name: str, *arguments):
    return await wire.call("workspace/executeCommand", {"command": name, "arguments": list(arguments)})


def told(wire) -> list[dict]:
    return [note["params"] for note in wire.notifications if note["method"] == "egate/statusChanged"]


async def test_the_version_and_all_commands_are_advertised(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        capabilities = (await wire.initialize(VSCODE))["capabilities"]

        assert capabilities["experimental"]["egate"] == {"version": 1}
        assert set(capabilities["executeCommandProvider"]["commands"]) == {
            "egate.accepted", "egate.partiallyAccepted", "egate.dismissed", "egate.explain", "egate.toggle",
            "egate.toggleLanguage", "egate.pauseTarget", "egate.restart", "egate.stats", "egate.setModel",
        }  # fmt: skip


async def test_the_status_tells_everything_and_every_switch_is_told(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        await wire.inline(1, 4)
        status = await wire.call("egate/status", {})

        assert set(status) == STATUS_KEYS
        assert (status["state"], status["enabled"], status["targetPaused"]) == ("ready", True, False)
        assert status["logFile"] == str(tmp_path / "server.log")
        assert status["today"]["lines"] == 1
        assert {"linesTarget", "tokensIn", "tokensOut", "cost", "cap", "currency", "warning"} <= set(status["today"])
        assert told(wire)[-1] == status

        assert await command(wire, "egate.toggle") is False
        assert told(wire)[-1]["state"] == "off"
        assert told(wire)[-1]["enabled"] is False
        assert await command(wire, "egate.toggle", True) is True
        assert await command(wire, "egate.toggleLanguage", "python") is False
        assert told(wire)[-1]["languagesOff"] == ["python"]
        assert await wire.inline(1, 4) == []
        assert await command(wire, "egate.toggleLanguage", "python", True) is True
        assert await command(wire, "egate.pauseTarget") is True
        assert (told(wire)[-1]["state"], told(wire)[-1]["targetPaused"]) == ("paused", True)
        assert len(await wire.inline(1, 4)) == 1
        assert await command(wire, "egate.pauseTarget", False) is False
        assert told(wire)[-1]["state"] == "ready"
        before = len(told(wire))
        await command(wire, "egate.pauseTarget", False)
        assert len(told(wire)) == before  # nothing new


async def test_who_did_not_ask_for_the_status_is_not_told(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(VSCODE, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        await wire.inline(1, 4)

        assert told(wire) == []


async def test_an_error_has_its_reason_and_what_mends_it(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, {"models": {"cache_dir": str(tmp_path / "empty")}})
        wire.open(DOCUMENT)
        await wire.inline(1, 4)
        await command(wire, "egate.pauseTarget")
        status = await wire.call("egate/status", {})

        assert status["state"] == "error"
        assert status["reason"] == "qwen2.5-coder-0.5b has not been fetched."
        assert status["hint"] == "Run: egate-lsp models pull qwen2.5-coder-0.5b"
        assert told(wire)[-1] == status


async def test_why_as_data_page_and_text(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        assert await wire.call("egate/explain", {"textDocument": {"uri": URI}}) is None
        (item,) = await wire.inline(1, 4, trigger=2)
        (key,) = item["command"]["arguments"]

        data = await wire.call("egate/explain", {"id": key})
        assert [token["entropy"] for token in data["lines"][0]["tokens"]] == [0.1, 0.1, 0.1]
        page = (await wire.call("egate/explain", {"textDocument": {"uri": URI}, "format": "html"}))["html"]
        assert page.startswith("<!DOCTYPE html>")
        assert "return 42" in (await wire.call("egate/explain", {"format": "text"}))["text"]
        assert "entropy 0.100 nats" in (await wire.call("egate/explain", {"format": "text"}))["text"]
        assert await command(wire, "egate.explain", key) == data
        assert await command(wire, "egate.explain") == data
        assert await wire.call("egate/explain", {"id": "no such"}) is None


async def test_models_and_the_choice_of_one(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    second = script(other, ("", [("return 43\n", 0.1)]))["draft"]["model"]
    async with server(tmp_path) as wire:
        await wire.initialize(
            NEOVIM, {**script(tmp_path, ("", ANSWER)), "models": {"cacheDir": str(tmp_path / "none")}}
        )
        wire.open(DOCUMENT)
        await wire.inline(1, 4)
        models = {model["name"]: model for model in await wire.call("egate/models", {})}

        assert models["qwen2.5-coder-0.5b"] == {
            "name": "qwen2.5-coder-0.5b", "installed": False, "active": False, "bytes": 491400064,
            "license": "Apache-2.0",
        }  # fmt: skip
        assert [name for name, model in models.items() if model["active"]] == [f"scripted:{tmp_path / 'script.json'}"]
        assert await command(wire, "egate.setModel", "qwen2.5-coder-0.5b") is False
        assert "egate-lsp models pull qwen2.5-coder-0.5b" in wire.messages()[-1]
        assert (await wire.inline(1, 4))[0]["insertText"] == "return 42"
        assert await command(wire, "egate.setModel", second) is True
        assert (await wire.inline(1, 4))[0]["insertText"] == "return 43"
        assert (await wire.call("egate/status", {}))["model"] == second


async def test_the_pause_outlives_a_change_of_settings(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        await command(wire, "egate.pauseTarget", True)
        changed = {**script(tmp_path, ("", ANSWER)), "gate": {"tau": 0.5}}
        wire.notify("workspace/didChangeConfiguration", {"settings": {"egate": changed}})
        await wire.inline(1, 4)

        assert (await wire.call("egate/status", {}))["targetPaused"] is True
        assert (await wire.call("egate/status", {}))["state"] == "paused"


async def test_statistics(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        (item,) = await wire.inline(1, 4)
        (key,) = item["command"]["arguments"]
        await command(wire, "egate.partiallyAccepted", key, 6)
        await command(wire, "egate.accepted", key)
        await command(wire, "egate.accepted", key)
        statistics = await wire.call("egate/statistics", {})

        assert statistics["session"] == await command(wire, "egate.stats")
        session = statistics["session"]
        assert (session["completions"], session["accepted"], session["accepted_partly"]) == (1, 1, 1)
        assert statistics["today"]["lines"] == 1


async def test_odd_arguments_are_survived(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        await wire.inline(1, 4)
        for name in ("accepted", "partiallyAccepted", "dismissed", "explain", "toggleLanguage", "setModel"):
            for arguments in ([], [None], [17, "x"], [{}], [[1]], ["1", None], ["1", -5]):
                await command(wire, f"egate.{name}", *arguments)
        for params in ({"id": 3}, {"textDocument": 7}, {"format": 9}, {"textDocument": {"uri": None}}):
            await wire.call("egate/explain", params)

        assert len(await wire.inline(1, 4)) == 1


async def test_what_is_for_others_makes_no_noise(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(HELIX, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        named = {"textDocument": {"uri": URI}}
        folder = {"uri": "file:///tmp/egate", "name": "egate"}
        wire.notify("$/setTrace", {"value": "verbose"})
        wire.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [folder], "removed": []}})
        wire.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [folder, folder]}})
        wire.notify("textDocument/willSave", {**named, "reason": 1})
        wire.notify("textDocument/didSave", {**named, "text": DOCUMENT})
        wire.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": URI, "type": 2}]})
        wire.notify("workspace/didRenameFiles", {"files": []})
        wire.notify("window/workDoneProgress/cancel", {"token": "none"})
        wire.notify("workspace/didChangeConfiguration", {"settings": {"python": {"x": 1}, "[rust]": {}}})
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        wire.notify("workspace/didChangeConfiguration", {"settings": {}})
        wire.notify("$/progress", {"token": "none", "value": {}})
        wire.notify("$/unheardOf", {"x": 1})
        wire.notify("no/such/notification", None)
        result = await wire.call("textDocument/completion", {**named, "position": {"line": 1, "character": 4}})

        assert len(result["items"]) == 1
        assert wire.orphans == []
        assert [note["method"] for note in wire.notifications] == []


async def test_by_hand_there_is_a_choice(tmp_path: Path) -> None:
    others = [[("return 43\n", 0.2)], [("return 44\n", 0.3)], [("return 45\n", 0.4)]]
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER), others=others))
        wire.open(DOCUMENT)
        assert [item["insertText"] for item in await wire.inline(1, 4, trigger=2)] == ["return 42"]

        items = await wire.inline(1, 4, trigger=1)
        assert [item["insertText"] for item in items] == ["return 42", "return 43", "return 44"]
        keys = [item["command"]["arguments"][0] for item in items]
        assert len(set(keys)) == 3
        newest = await wire.call("egate/explain", {"textDocument": {"uri": URI}})
        assert newest["text"] == "return 42"
        third = await wire.call("egate/explain", {"id": keys[2]})
        assert third["text"] == "return 44"
        assert "another draft of the line, to choose from" in third["lines"][0]["reasons"]
        spot = {"line": 1, "character": 4}
        change = {"range": {"start": spot, "end": spot}, "text": "return 44"}
        wire.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 1}, "contentChanges": [change]})
        await command(wire, "egate.accepted", keys[2])
        assert (await command(wire, "egate.stats"))["accepted"] == 1


async def test_a_completion_menu_gets_one(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(HELIX, script(tmp_path, ("", ANSWER), others=[[("return 43\n", 0.2)]]))
        wire.open(DOCUMENT)
        params = {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 4}, "context": {"triggerKind": 1}}

        assert len((await wire.call("textDocument/completion", params))["items"]) == 1


async def test_a_restart_finds_what_was_missing(tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, {"draft": {"model": f"scripted:{later / 'script.json'}"}})
        wire.open(DOCUMENT)
        assert await wire.inline(1, 4) == []
        assert (await wire.call("egate/status", {}))["state"] == "error"
        await command(wire, "egate.restart")
        assert await wire.inline(1, 4) == []
        assert len(wire.messages()) == 2  # told again: it was tried again
        script(later, ("", ANSWER))
        await command(wire, "egate.restart")

        assert len(await wire.inline(1, 4)) == 1
        assert told(wire)[-1]["state"] == "ready"
