"""The real server process through the real protocol, with a scripted draft."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from egate_lsp.framing import frame
from tests.e2e.wire import HELIX, NEOVIM, PATIENCE_S, URI, VSCODE, script, server

ANSWER = [("return", 0.1), (" 42", 0.1), ("\n", 0.1)]
DOCUMENT = "def answer():\n    \n"


@pytest.mark.parametrize(
    ("client", "encoding"), [(NEOVIM, "utf-8"), (VSCODE, "utf-16"), (HELIX, "utf-8"), ({}, "utf-16")]
)
async def test_what_is_advertised(tmp_path: Path, client, encoding) -> None:
    async with server(tmp_path) as wire:
        capabilities = (await wire.initialize(client))["capabilities"]

        inline = "inlineCompletion" in client.get("textDocument", {})
        assert ("inlineCompletionProvider" in capabilities) == inline
        assert ("completionProvider" in capabilities) != inline
        assert capabilities["positionEncoding"] == encoding
        assert capabilities["textDocumentSync"]["change"] == 2
        assert "egate.accepted" in capabilities["executeCommandProvider"]["commands"]


async def test_a_completion_its_explanation_and_its_acceptance(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        (item,) = await wire.inline(1, 4)

        assert item["insertText"] == "return 42"
        assert item["range"] == {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 4}}
        assert item["command"]["command"] == "egate.accepted"
        await wire.call("workspace/executeCommand", item["command"])
        assert (await wire.call("workspace/executeCommand", {"command": "egate.stats"}))["accepted"] == 1
        explained = await wire.call("egate/explain", {"textDocument": {"uri": URI}})
        assert explained["lines"][0]["source"] == "draft"
        assert [token["text"] for token in explained["lines"][0]["tokens"]] == ["return", " 42", "\n"]


async def test_a_dismissal_makes_the_gate_more_eager_at_that_place(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        (item,) = await wire.inline(1, 4, trigger=2)
        before = await wire.call("egate/explain", {"textDocument": {"uri": URI}})
        key = item["command"]["arguments"]
        await wire.call("workspace/executeCommand", {"command": "egate.dismissed", "arguments": key})
        await wire.inline(1, 4, trigger=2)
        after = await wire.call("egate/explain", {"textDocument": {"uri": URI}})
        await wire.call("workspace/executeCommand", {"command": "egate.dismissed", "arguments": ["no such"]})

        assert "unease" not in before["lines"][0]["signals"]
        assert after["lines"][0]["signals"]["unease"] > 0.3


@pytest.mark.parametrize("client", [NEOVIM, VSCODE], ids=["utf-8", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
async def test_applying_the_item_gives_prefix_completion_suffix(tmp_path: Path, client, end) -> None:
    encoding = client["general"]["positionEncodings"][0]
    text = f"😀 = 'é'; def f():{end}    x = 1  # 😀{end}"
    before = f"😀 = 'é'; def f():{end}    x = 1  # 😀{end}    "
    units = {"utf-8": len, "utf-16": lambda raw: len(raw.decode().encode("utf-16-le")) // 2}[encoding]
    async with server(tmp_path) as wire:
        await wire.initialize(client, script(tmp_path, ("", [("y = 2\n    return '😀'\n", 0.1)])))
        wire.open(text + f"    {end}tail{end}")
        (item,) = await wire.inline(2, units(b"    "))

        assert item["range"]["start"] == item["range"]["end"] == {"line": 2, "character": 4}
        # An editor's own line ends apply to what is inserted, as to all that is typed.
        applied = (before + item["insertText"] + f"{end}tail{end}").replace("\r\n", "\n").replace("\n", end)
        assert applied == f"{before}y = 2{end}    return '😀'{end}tail{end}"


async def test_in_the_middle_of_a_line_with_astral_text(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(VSCODE, script(tmp_path, ("'😀', ", [("two)", 0.1)]), ("", [("wrong", 0.1)])))
        wire.open("call('😀', )\n")
        (item,) = await wire.inline(0, 11)

        assert item["insertText"] == "two"


async def test_a_client_without_inline_completion_gets_a_menu_item(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(HELIX, script(tmp_path, ("    retu", [("rn 42", 0.1), ("\n", 0.1)])))
        wire.open("def answer():\n    retu\n")
        result = await wire.call(
            "textDocument/completion", {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 8}}
        )

        (item,) = result["items"]
        assert result["isIncomplete"] is True
        assert item["textEdit"]["newText"] == "return 42"
        assert item["textEdit"]["range"]["start"] == {"line": 1, "character": 4}
        assert item["filterText"] == "return 42"
        assert item["preselect"] is True


async def test_the_selected_menu_entry_is_built_upon(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(VSCODE, script(tmp_path, ("x.append", [("(1)", 0.1)]), ("", [("wrong", 0.1)])))
        wire.open("x.app\n")
        spot = {"start": {"line": 0, "character": 2}, "end": {"line": 0, "character": 5}}
        params = {
            "textDocument": {"uri": URI},
            "position": {"line": 0, "character": 5},
            "context": {"triggerKind": 2, "selectedCompletionInfo": {"range": spot, "text": "append"}},
        }
        (item,) = (await wire.call("textDocument/inlineCompletion", params))["items"]

        assert item["insertText"] == "append(1)"
        assert item["range"] == spot


async def test_the_newest_request_wins_and_the_older_gets_an_empty_list(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        slow = script(tmp_path, ("slow = ", [("x", 0.1)] * 10_000), ("fast = ", [("1", 0.1)]), delay_s=0.01)
        await wire.initialize(NEOVIM, slow)
        wire.open("slow = \nfast = \n")
        older, newer = wire.ask_inline(0, 7), wire.ask_inline(1, 7)

        assert (await wire.reply(older))["result"] == {"items": []}
        assert (await wire.reply(newer))["result"]["items"][0]["insertText"] == "1"


async def test_cancelling(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("slow = ", [("x", 0.1)] * 10_000), delay_s=0.01))
        wire.open("slow = \n")
        request = wire.ask_inline(0, 7)
        wire.notify("$/cancelRequest", {"id": request})

        assert (await wire.reply(request))["error"]["code"] == -32800


async def test_a_request_sees_the_document_as_it_was_when_it_came(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("old = ", [("1", 0.1)]), ("new = ", [("2", 0.1)])))
        wire.open("old = \n")
        request = wire.ask_inline(0, 6)
        wire.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": URI, "version": 1}, "contentChanges": [{"text": "new = \n"}]},
        )

        assert (await wire.reply(request))["result"]["items"][0]["insertText"] == "1"


async def test_unopened_and_closed_documents_get_an_empty_list(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        assert await wire.inline(0, 0) == []
        wire.open(DOCUMENT)
        wire.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert await wire.inline(1, 4) == []


async def test_a_wrong_setting_is_named_once_and_the_rest_is_used(tmp_path: Path) -> None:
    options = {**script(tmp_path, ("", ANSWER)), "gate": {"tau": "high"}}
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, options)
        wire.open(DOCUMENT)
        assert (await wire.inline(1, 4))[0]["insertText"] == "return 42"
        assert (await wire.inline(1, 4))[0]["insertText"] == "return 42"

        (message,) = wire.messages()
        assert "gate.tau" in message
        assert "number" in message


async def test_changed_settings_take_effect(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        await wire.inline(1, 4)
        other = tmp_path / "other"
        other.mkdir()
        changed = script(other, ("", [("return 43\n", 0.1)]))
        wire.notify("workspace/didChangeConfiguration", {"settings": {"egate": changed}})

        assert (await wire.inline(1, 4))[0]["insertText"] == "return 43"


async def test_a_missing_model_is_told_once_with_what_to_do(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, {"models": {"cache_dir": str(tmp_path / "empty")}})
        wire.open(DOCUMENT)
        for _ in range(3):
            assert await wire.inline(1, 4) == []

        (message,) = wire.messages()
        assert "egate-lsp models pull qwen2.5-coder-0.5b" in message
        status = await wire.call("egate/status", {})
        assert status["state"] == "error"


async def test_toggle(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        assert await wire.call("workspace/executeCommand", {"command": "egate.toggle"}) is False
        assert await wire.inline(1, 4) == []
        assert await wire.call("workspace/executeCommand", {"command": "egate.toggle", "arguments": [True]}) is True
        assert len(await wire.inline(1, 4)) == 1


async def test_no_text_of_a_document_reaches_the_log(tmp_path: Path) -> None:
    secret, written = "hunter2_in_the_document", "hunter3_in_the_completion"
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", [(f"{written}\n", 0.1)])))
        wire.open(f"{secret} = \n")
        await wire.inline(0, len(secret) + 3)
        wire.send({"jsonrpc": "2.0", "id": "x", "method": "textDocument/inlineCompletion", "params": {"a": secret}})
        wire.send({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {"text": secret}})
        await wire.reply("x")
        await wire.call("workspace/executeCommand", {"command": "egate.explain"})
    log = "".join(path.read_text() for path in tmp_path.glob("server.log*"))

    assert log
    assert secret not in log
    assert written not in log


async def test_the_life_cycle(tmp_path: Path) -> None:
    async with server(tmp_path, shut_down=False) as wire:
        early = wire.ask("textDocument/inlineCompletion", {})
        assert (await wire.reply(early))["error"]["code"] == -32002
        await wire.initialize(NEOVIM)
        again = wire.ask("initialize", {"capabilities": {}})
        assert (await wire.reply(again))["error"]["code"] == -32600
        await wire.call("shutdown")
        late = wire.ask_inline(0, 0)
        assert (await wire.reply(late))["error"]["code"] == -32600
        wire.notify("exit")
        async with asyncio.timeout(PATIENCE_S):
            assert await wire.process.wait() == 0


@pytest.mark.parametrize("farewell", ["exit", "eof"])
async def test_leaving_without_shutdown(tmp_path: Path, farewell: str) -> None:
    async with server(tmp_path, shut_down=False) as wire:
        await wire.initialize(NEOVIM)
        if farewell == "exit":
            wire.notify("exit")
        else:
            assert wire.process.stdin is not None
            wire.process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await wire.process.wait() == 1


async def test_the_server_ends_with_the_process_that_it_was_told_to_watch(tmp_path: Path) -> None:
    editor = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    async with server(tmp_path, shut_down=False) as wire:
        await wire.call("initialize", {"processId": editor.pid, "capabilities": {}})
        assert editor.stdin is not None
        editor.stdin.close()
        await editor.wait()
        async with asyncio.timeout(PATIENCE_S):
            assert await wire.process.wait() == 1


async def test_broken_headers_are_survived(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)))
        wire.open(DOCUMENT)
        for junk in (
            b"\r\n\r\n",
            b"Content-Length: x\r\n\r\n",
            b"Content-Length: 99999999999\r\n\r\n",
            b"\x00\xff\r\n\r\n",
        ):
            wire.raw(junk)
        wire.raw(b'Content-Length: nonsense\r\n\r\n{"lost": "message"}')

        assert (await wire.inline(1, 4))[0]["insertText"] == "return 42"


async def test_over_tcp_and_websocket(tmp_path: Path) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}
    for kind in ("--tcp", "--ws"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "egate_lsp", "serve", kind, "--token", "t0k3n", "--log-file", str(tmp_path / "log"),
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        address = (await process.stderr.readline()).decode().split()[-1]
        try:
            if kind == "--ws":
                with pytest.raises(InvalidStatus):
                    await connect(address.replace("t0k3n", "wrong"))
                async with connect(address) as socket:
                    await socket.send(json.dumps(initialize))
                    reply = json.loads(await socket.recv())
            else:
                host, port = address.removeprefix("tcp://").rstrip("/").split(":")
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(frame(json.dumps(initialize).encode()))
                header = await reader.readuntil(b"\r\n\r\n")
                reply = json.loads(await reader.readexactly(int(header.split()[1])))
                writer.close()
                await writer.wait_closed()
            assert "capabilities" in reply["result"]
        finally:
            process.kill()
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined]  # else its pipe is reported as leaked


@asynccontextmanager
async def websocket_server(tmp_path: Path, *arguments: str):
    """The server on a free port; its address with the token."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "egate_lsp", "serve", "--ws", "--token", "t0k3n", "--log-file", str(tmp_path / "log"),
        *arguments, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        yield (await process.stderr.readline()).decode().split()[-1]
    finally:
        process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # else its pipe is reported as leaked


async def over(socket, method: str, params=None, message_id: int | None = None):
    """Send; the result of a request."""
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    await socket.send(json.dumps(message | ({"id": message_id} if message_id is not None else {})))
    while message_id is not None:
        reply = json.loads(await socket.recv())
        if reply.get("id") == message_id:
            return reply["result"]
    return None


async def test_several_windows_over_websocket_do_not_disturb_each_other(tmp_path: Path) -> None:
    from websockets.asyncio.client import connect

    async with websocket_server(tmp_path) as address, connect(address) as one, connect(address) as two:
        for number, socket in enumerate((one, two)):
            folder = tmp_path / str(number)
            folder.mkdir()
            options = script(folder, ("", [(f"return {number}\n", 0.1)]))
            await over(socket, "initialize", {"capabilities": VSCODE, "initializationOptions": options}, 1)
            await over(socket, "initialized", {})
            item = {"uri": URI, "languageId": "python", "version": 0, "text": DOCUMENT}
            await over(socket, "textDocument/didOpen", {"textDocument": item})
        ask = {
            "textDocument": {"uri": URI},
            "position": {"line": 1, "character": 4},
            "context": {"triggerKind": 2},
        }
        for number, socket in ((0, one), (1, two)):
            (item,) = (await over(socket, "textDocument/inlineCompletion", ask, 2))["items"]
            assert item["insertText"] == f"return {number}"
        await over(one, "shutdown", None, 3)
        await over(one, "exit")
        await one.wait_closed()
        assert len((await over(two, "textDocument/inlineCompletion", ask, 4))["items"]) == 1


@pytest.mark.parametrize(
    ("arguments", "query", "origin", "words"),
    [
        ([], "", None, "token"),
        ([], "?token=wrong", "http://localhost:3000", "token"),
        ([], "?token=t0k3n%00", None, "token"),
        ([], "?token=%ff%fe", None, "token"),
        (["--origin", "http://localhost:3000"], "", "http://localhost:3000", "token"),
        (["--origin", "http://localhost:3000"], "?token=t0k3n", "https://evil.example", "origin"),
        (["--origin", "http://localhost:3000"], "?token=t0k3n", "null", "origin"),
    ],
)
async def test_who_may_not_connect_is_told_why(tmp_path: Path, arguments, query, origin, words) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    async with websocket_server(tmp_path, *arguments) as address:
        with pytest.raises(InvalidStatus) as caught:
            await connect(address.partition("?")[0] + query, origin=origin)

    assert caught.value.response.status_code == 403
    assert words in caught.value.response.body.decode()


@pytest.mark.parametrize(
    ("arguments", "origin"),
    [
        ([], "https://somewhere.example"),
        (["--origin", "http://localhost:3000", "--origin", "http://b"], "http://b"),
        (["--origin", "http://localhost:3000"], None),
    ],
)
async def test_who_has_the_token_and_the_origin_may_connect(tmp_path: Path, arguments, origin) -> None:
    from websockets.asyncio.client import connect

    async with websocket_server(tmp_path, *arguments) as address, connect(address, origin=origin) as socket:
        assert "capabilities" in await over(socket, "initialize", {"capabilities": {}}, 1)


async def test_it_refuses_to_listen_to_other_machines(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "egate_lsp", "serve", "--tcp", "--host", "0.0.0.0", stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()

    assert process.returncode == 1
    assert b"--allow-remote" in errors


async def test_a_menu_item_has_the_documents_line_ends(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(HELIX, script(tmp_path, ("    ", [("a = 1\n    b = 2\n", 0.1)])))
        wire.open("def f():\r\n    \r\n")
        result = await wire.call(
            "textDocument/completion", {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 4}}
        )

        assert result["items"][0]["textEdit"]["newText"] == "a = 1\r\n    b = 2"
