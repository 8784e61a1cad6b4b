"""Acceptance: ten thousand random edits in each encoding, and two thousand malformed messages, on the real server."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from egate_lsp.framing import frame
from tests.e2e.wire import NEOVIM, URI, script, server
from tests.test_documents import reference_offset

EDITS = 10_000
CHECK_EVERY = 500
MALFORMED = 2_000
PIECES = [*"a \n\r\t\x0b\x0c\x85\u2028\u2029é😀", "bc", "\r\n", "\U0001d518", "e\u0301"]


def random_text(chance: random.Random, most: int) -> str:
    return "".join(chance.choices(PIECES, k=chance.randrange(most)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_ten_thousand_edits_leave_server_and_reference_identical(tmp_path: Path, encoding: str) -> None:
    chance = random.Random(f"edits {encoding}")
    reference = random_text(chance, 400)
    async with server(tmp_path) as wire:
        result = await wire.initialize({"general": {"positionEncodings": [encoding]}})
        assert result["capabilities"]["positionEncoding"] == encoding
        wire.open(reference)
        for version in range(1, EDITS + 1):
            text = random_text(chance, 12)
            if chance.random() < 0.002:
                reference, change = random_text(chance, 400), {}
                text = reference
            else:
                lines = reference.count("\n") + reference.count("\r") + 3
                start, end = sorted((chance.randrange(lines), chance.randrange(14)) for _ in range(2))
                if chance.random() < 0.7:  # most edits are small
                    end = (start[0], start[1] + chance.randrange(3))
                low = reference_offset(reference, *start, encoding)
                high = max(reference_offset(reference, *end, encoding), low)
                reference = reference[:low] + text + reference[high:]
                change = {
                    "range": {
                        "start": {"line": start[0], "character": start[1]},
                        "end": {"line": end[0], "character": end[1]},
                    }
                }
            wire.notify(
                "textDocument/didChange",
                {"textDocument": {"uri": URI, "version": version}, "contentChanges": [{**change, "text": text}]},
            )
            if version % CHECK_EVERY == 0:
                seen = await wire.call("egate/documentHash", {"textDocument": {"uri": URI}})
                expected = hashlib.sha256(reference.encode()).hexdigest()
                assert seen == {"version": version, "sha256": expected, "length": len(reference)}


def mutated(chance: random.Random, value: Any) -> Any:
    """A JSON value with something wrong in it."""
    junk = chance.choice([None, True, -1, 2**70, 1.5, "", "x" * 50, [], [[]], {}, {"a": {"b": []}}, "\ud800"])
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        kind = chance.randrange(4)
        if kind == 0:
            return {name: inner for name, inner in value.items() if name != key}
        if kind == 1:
            return {**value, chance.choice(["extra", "jsonrpc", "id", "method"]): junk}
        return {**value, key: mutated(chance, value[key]) if kind == 2 else junk}
    if isinstance(value, list) and value and chance.random() < 0.5:
        return [mutated(chance, value[0]), *value[1:]]
    return junk


def valid_messages(number: int) -> list[dict[str, Any]]:
    position = {"line": 1, "character": 4}
    inline = {"textDocument": {"uri": URI}, "position": position, "context": {"triggerKind": 1}}
    calls: list[tuple[str, Any]] = [
        ("textDocument/inlineCompletion", inline),
        ("textDocument/completion", {"textDocument": {"uri": URI}, "position": position}),
        ("workspace/executeCommand", {"command": "egate.stats", "arguments": []}),
        ("egate/explain", {"textDocument": {"uri": URI}}),
        ("egate/status", {}),
        ("egate/documentHash", {"textDocument": {"uri": URI}}),
        ("egate/explain", {"id": "1", "format": "html"}),
        ("egate/models", {}),
        ("egate/statistics", {}),
        ("workspace/executeCommand", {"command": "egate.partiallyAccepted", "arguments": ["1", 3]}),
        ("workspace/executeCommand", {"command": "egate.toggleLanguage", "arguments": ["lua", False]}),
        ("checkStatus", {"options": {"localChecksOnly": True}}),
        ("getCompletions", {"doc": {"uri": URI, "version": 0, "position": position}, "_": True}),
        ("getCompletionsCycling", {"textDocument": {"uri": URI}, "position": position}),
        ("getPanelCompletions", {"doc": {"uri": URI, "position": position}, "panelId": "p"}),
        ("notifyShown", {"uuid": "1"}),
        ("notifyAccepted", {"uuid": "1", "acceptedLength": 3}),
        ("notifyRejected", {"uuids": ["1", "2"]}),
        ("textDocument/copilotPanelCompletion", {**inline, "partialResultToken": "t"}),
        ("no/such/request", {"a": 1}),
    ]
    notes: list[tuple[str, Any]] = [
        (
            "textDocument/didChange",
            {"textDocument": {"uri": "file:///other", "version": 1}, "contentChanges": [{"text": ""}]},
        ),
        ("textDocument/didClose", {"textDocument": {"uri": "file:///other"}}),
        ("$/cancelRequest", {"id": 123456}),
        ("$/setTrace", {"value": "off"}),
        ("textDocument/didFocus", {"textDocument": {"uri": URI}}),
        ("textDocument/didShowCompletion", {"item": {"command": {"arguments": ["1"]}}}),
        (
            "textDocument/didPartiallyAcceptCompletion",
            {"item": {"insertText": "x", "command": {"command": "c", "arguments": ["1"]}}, "acceptedLength": 3},
        ),
        ("no/such/notification", {"a": [1]}),
        ("window/workDoneProgress/cancel", {"token": "t"}),
    ]
    return [
        *({"jsonrpc": "2.0", "id": f"f{number}", "method": method, "params": params} for method, params in calls),
        *({"jsonrpc": "2.0", "method": method, "params": params} for method, params in notes),
    ]


async def test_two_thousand_malformed_messages(tmp_path: Path) -> None:
    chance = random.Random("malformed")
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", [("return 42\n", 0.1)])))
        wire.open("def answer():\n    \n")
        await wire.inline(1, 4)
        requests: Counter[Any] = Counter()
        orphans = 0
        for number in range(MALFORMED):
            message = chance.choice(valid_messages(number))
            body = json.dumps(message).encode()
            kind = chance.randrange(10)
            if kind == 0:  # damaged bytes
                cut = chance.randrange(len(body))
                body = body[:cut] + bytes(chance.choices(range(256), k=2)) + body[cut + 2 :]
            elif kind == 1:  # cut off
                body = body[: chance.randrange(1, len(body))]
            elif kind == 2:
                body = json.dumps([message]).encode()
            else:
                damaged = mutated(chance, message)
                if isinstance(damaged, dict) and damaged.get("method") in ("shutdown", "exit"):
                    continue
                body = json.dumps(damaged).encode()
            wire.raw(frame(body))
            expected = expectation(body)
            if expected == "orphan":
                orphans += 1
            elif expected is not None:
                requests[expected] += 1
        await wire.until(
            lambda: len(wire.orphans) >= orphans and all(len(wire.replies.get(i, [])) >= n for i, n in requests.items())
        )

        assert len(wire.orphans) == orphans
        assert {message_id: len(wire.replies[message_id]) for message_id in requests} == dict(requests)
        assert [message for message in wire.messages() if "Error in server" in message] == []
        assert (await wire.inline(1, 4))[0]["insertText"] == "return 42"


def expectation(body: bytes) -> str | int | None:
    """What JSON-RPC asks of a server: the id to reply to, "orphan" for an error reply without one, None for silence."""
    try:
        message = json.loads(body)
    except ValueError:
        return "orphan"
    if not isinstance(message, dict):
        return "orphan"
    message_id = message.get("id")
    usable = isinstance(message_id, str | int) and not isinstance(message_id, bool)
    if "method" in message:
        return (message_id if usable else "orphan") if "id" in message else None
    if "id" in message and ("result" in message or "error" in message):
        return None
    return message_id if usable else "orphan"
