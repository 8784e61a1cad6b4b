"""Replays what an editor's plug-in says to its server, step by step, and checks each reply.

A sequence is a file of JSON lines. The first has `about` (which plug-in), `source` (where its messages were read),
`draft` (rules of the scripted model: what stands before the cursor, then the tokens) and `delay_s`. Then, in order:

    {"send": MESSAGE}                            a notification, or a request if it has an id
    {"reply": ID, "result": PATTERN}             the one reply to a request
    {"reply": ID, "error": CODE}
    {"heard": METHOD, "params": PATTERN}         a notification of the server, since the start or the last one so heard
    {"counted": {NAME: NUMBER}}                  the server's own statistics

In a pattern an object must have the keys named (others may be there), `"$any"` fits everything but nothing, `"$text"` a
string that is not empty, `"$absent"` a key that is not there, and `"$=NAME"` keeps what it fits; `"$NAME.KEY.0"` in a
message is then a part of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.wire import Wire

FOLDER = Path(__file__).parent / "sequences"


def read(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and steps of a sequence."""
    header, *steps = [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines() if line]
    return header, steps


async def replay(wire: Wire, steps: list[dict[str, Any]]) -> None:
    """Send and check all steps."""
    kept: dict[str, Any] = {}
    heard = 0
    wire._next = 1000  # the ids of our own questions, beyond those of the sequence
    for step in steps:
        if "send" in step:
            message = {"jsonrpc": "2.0", **_filled(step["send"], kept)}
            if "id" in message:
                wire.sent_ids.append(message["id"])
            wire.send(message)
        elif "reply" in step:
            reply = await wire.reply(step["reply"])
            if "error" in step:
                assert reply.get("error", {}).get("code") == step["error"], (step, reply)
            else:
                assert "error" not in reply, (step, reply)
                _fit(step["result"], reply["result"], kept, f"reply {step['reply']}")
        elif "heard" in step:
            heard = await _hear(wire, step, heard, kept)
        elif "counted" in step:
            stats = await wire.call("workspace/executeCommand", {"command": "egate.stats"})
            assert {name: stats[name] for name in step["counted"]} == step["counted"]
        else:
            raise AssertionError(f"not a step: {step}")


async def _hear(wire: Wire, step: dict[str, Any], since: int, kept: dict[str, Any]) -> int:
    """Wait for a notification; the index behind it."""

    def found() -> int | None:
        for index in range(since, len(wire.notifications)):
            note = wire.notifications[index]
            if note["method"] == step["heard"] and _fits(step["params"], note.get("params"), {}):
                return index
        return None

    try:
        await wire.until(lambda: found() is not None)
    except TimeoutError:
        raise AssertionError(f"never heard {step}; heard: {wire.notifications[since:]}") from None
    index = found()
    assert index is not None
    _fit(step["params"], wire.notifications[index].get("params"), kept, step["heard"])
    return index + 1


def _fits(pattern: Any, value: Any, kept: dict[str, Any]) -> bool:
    try:
        _fit(pattern, value, kept, "")
    except AssertionError:
        return False
    return True


def _fit(pattern: Any, value: Any, kept: dict[str, Any], where: str) -> None:
    match pattern:
        case "$any":
            assert value is not None, where
        case "$text":
            assert isinstance(value, str), (where, value)
            assert value, where
        case str() if pattern.startswith("$="):
            assert value is not None, where
            kept[pattern[2:]] = value
        case dict():
            assert isinstance(value, dict), (where, value)
            for key, part in pattern.items():
                if part == "$absent":
                    assert key not in value, f"{where}.{key}"
                else:
                    assert key in value, (f"{where}.{key}", value)
                    _fit(part, value[key], kept, f"{where}.{key}")
        case list():
            assert isinstance(value, list), (where, value)
            assert len(value) == len(pattern), (where, value)
            for index, (part, each) in enumerate(zip(pattern, value, strict=True)):
                _fit(part, each, kept, f"{where}[{index}]")
        case _:
            assert value == pattern, (where, value)


def _filled(message: Any, kept: dict[str, Any]) -> Any:
    match message:
        case str() if message.startswith("$") and message[1:].partition(".")[0] in kept:
            name, *path = message[1:].split(".")
            value = kept[name]
            for key in path:
                value = value[int(key)] if isinstance(value, list) else value[key]
            return value
        case dict():
            return {key: _filled(value, kept) for key, value in message.items()}
        case list():
            return [_filled(value, kept) for value in message]
        case _:
            return message
