"""Answers that come late: the editor hears of them, and what it then asks for begins with what it shows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.wire import NEOVIM, URI, script, server
from tests.test_openai_target import Play, stream

SURE, UNSURE = 0.01, 5.0
DOCUMENT = "def f():\n    \n"
UPGRADING = {**NEOVIM, "experimental": {"egateStatus": True, "egateUpgrade": True}}
DRAFT = [
    ("better = 2\n", []),
    ("sure = 1\n", [("    unsure = 1\n", UNSURE)]),
    ("    ", [("sure = 1\n", SURE), ("    unsure = 1\n", UNSURE)]),
    ("    s", [("ure = 1\n", SURE), ("    unsure = 1\n", UNSURE)]),
]


class Held(Play):
    """Answers when it is let."""

    def __init__(self, *answers) -> None:
        super().__init__(*answers)
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def answer(self, reader, writer, answer) -> None:
        self.asked.set()
        await self.let.wait()
        await super().answer(reader, writer, answer)


@asynccontextmanager
async def late_target(text: str):
    """A target that holds its answer back, and settings with it."""
    play = Held(stream(text))
    listener = await asyncio.start_server(play.handle, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    options = {
        "target": {"base_url": f"http://127.0.0.1:{port}/v1", "api": "suffix", "timeout_s": 60},
        "gate": {"tau": 0.3, "syntax": False},
        "cascade": {"deadline_ms": 300},  # less, and on a busy machine the draft itself is late
    }
    try:
        yield play, options
    finally:
        play.let.set()
        listener.close()
        await listener.wait_closed()


def upgrades(wire) -> list[dict]:
    return [note["params"] for note in wire.notifications if note["method"] == "egate/upgraded"]


async def test_a_late_answer_is_told_and_extends_what_is_shown(tmp_path: Path) -> None:
    async with late_target("    better = 2") as (play, options), server(tmp_path) as wire:
        await wire.initialize(UPGRADING, {**script(tmp_path, *DRAFT), **options})
        wire.open(DOCUMENT)
        (item,) = await wire.inline(1, 4, trigger=2)
        assert item["insertText"] == "sure = 1"
        assert upgrades(wire) == []

        play.let.set()
        await wire.until(lambda: upgrades(wire))
        (told,) = upgrades(wire)
        assert told == {
            "textDocument": {"uri": URI},
            "position": {"line": 1, "character": 4},
            "id": item["command"]["arguments"][0],
        }
        (item,) = await wire.inline(1, 4, trigger=2)
        assert item["insertText"] == "sure = 1\n    better = 2"
        assert len(play.requests) == 1


async def test_lines_that_are_still_being_written_follow_when_they_are(tmp_path: Path) -> None:
    rules = [("    ", [(text, SURE) for text in ("a = 1\n", "    b = 2\n", "    c = 3\n")])]
    options = script(tmp_path, *rules, delay_s=0.05)
    options["draft"]["answer_ms"] = 1
    async with server(tmp_path) as wire:
        await wire.initialize(UPGRADING, options)
        wire.open(DOCUMENT)
        (item,) = await wire.inline(1, 4, trigger=2)
        await wire.until(lambda: upgrades(wire))
        (told,) = upgrades(wire)
        (whole,) = await wire.inline(1, 4, trigger=2)

    assert item["insertText"] == "a = 1"
    assert told["id"] == item["command"]["arguments"][0]
    assert whole["insertText"] == "a = 1\n    b = 2\n    c = 3"


async def test_it_is_told_where_nothing_was_shown_before(tmp_path: Path) -> None:
    async with late_target("better = 2") as (play, options), server(tmp_path) as wire:
        draft = script(tmp_path, ("better = 2\n", []), ("", [("unsure = 1\n", UNSURE)]))
        await wire.initialize(UPGRADING, {**draft, **options})
        wire.open(DOCUMENT)
        assert await wire.inline(1, 4, trigger=2) == []

        play.let.set()
        await wire.until(lambda: upgrades(wire))
        assert [item["insertText"] for item in await wire.inline(1, 4, trigger=2)] == ["better = 2"]


PATIENT = {"cascade": {"deadline_ms": 60_000}}


def unsure_draft(tmp_path: Path) -> dict:
    options = script(tmp_path, ("better = 2\n", []), ("", [("better = 1\n", UNSURE)]))
    options["draft"] |= {"answer_ms": 1, "ahead": False}
    return options


async def test_that_there_is_nothing_yet_is_told_at_once_and_the_text_when_it_is_there(tmp_path: Path) -> None:
    async with late_target("better = 2") as (play, options), server(tmp_path) as wire:
        await wire.initialize(UPGRADING, {**unsure_draft(tmp_path), **options, **PATIENT})
        wire.open(DOCUMENT)
        assert await wire.inline(1, 4, trigger=2) == []

        play.let.set()
        await wire.until(lambda: upgrades(wire))
        assert [item["insertText"] for item in await wire.inline(1, 4, trigger=2)] == ["better = 2"]
        assert len(play.requests) == 1


async def test_a_line_that_is_drafted_anew_is_told_when_it_is_there(tmp_path: Path) -> None:
    options = script(tmp_path, ("return ", [("a +\n", SURE)]), delay_s=0.3, others=[[("a + 1\n", SURE)]])
    options["draft"] |= {"answer_ms": 1, "ahead": False}
    async with server(tmp_path) as wire:
        await wire.initialize(UPGRADING, options)
        wire.open("def f(a):\n    return \n")
        assert await wire.inline(1, 11, trigger=2) == []

        await wire.until(lambda: upgrades(wire))
        assert [item["insertText"] for item in await wire.inline(1, 11, trigger=2)] == ["a + 1"]


async def test_who_types_what_the_draft_has_meanwhile_waits_for_the_same_answer(tmp_path: Path) -> None:
    async with late_target("better = 2") as (play, options), server(tmp_path) as wire:
        await wire.initialize(UPGRADING, {**unsure_draft(tmp_path), **options, **PATIENT})
        wire.open(DOCUMENT)
        await wire.inline(1, 4, trigger=2)
        spot = {"line": 1, "character": 4}
        change = {"range": {"start": spot, "end": spot}, "text": "be"}
        wire.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 1}, "contentChanges": [change]})
        assert await wire.inline(1, 6, trigger=2) == []

        play.let.set()
        await wire.until(lambda: upgrades(wire))
        assert upgrades(wire)[-1]["position"] == {"line": 1, "character": 6}
        assert [item["insertText"] for item in await wire.inline(1, 6, trigger=2)] == ["tter = 2"]
        assert len(play.requests) == 1


async def test_who_cannot_be_told_later_gets_the_text_itself(tmp_path: Path) -> None:
    async with late_target("better = 2") as (play, options), server(tmp_path) as wire:
        await wire.initialize(NEOVIM, {**unsure_draft(tmp_path), **options, **PATIENT})
        wire.open(DOCUMENT)
        request = asyncio.create_task(wire.inline(1, 4, trigger=2))
        await play.asked.wait()
        play.let.set()

        assert [item["insertText"] for item in await request] == ["better = 2"]


async def test_typing_along_keeps_it(tmp_path: Path) -> None:
    async with late_target("    better = 2") as (play, options), server(tmp_path) as wire:
        await wire.initialize(UPGRADING, {**script(tmp_path, *DRAFT), **options})
        wire.open(DOCUMENT)
        await wire.inline(1, 4, trigger=2)
        spot = {"line": 1, "character": 4}
        change = {"range": {"start": spot, "end": spot}, "text": "s"}
        wire.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 1}, "contentChanges": [change]})
        play.let.set()
        await wire.until(lambda: upgrades(wire))

        (item,) = await wire.inline(1, 5, trigger=2)
        assert item["insertText"] == "ure = 1\n    better = 2"


async def test_who_did_not_ask_for_it_is_not_told(tmp_path: Path) -> None:
    async with late_target("    better = 2") as (play, options), server(tmp_path) as wire:
        await wire.initialize(NEOVIM, {**script(tmp_path, *DRAFT), **options})
        wire.open(DOCUMENT)
        await wire.inline(1, 4, trigger=2)
        play.let.set()
        async with asyncio.timeout(30):
            while (await wire.inline(1, 4, trigger=2))[0]["insertText"] != "sure = 1\n    better = 2":
                pass

        assert upgrades(wire) == []


async def test_pausing_the_target_closes_what_is_under_way_to_it(tmp_path: Path) -> None:
    async with late_target("    better = 2") as (play, options), server(tmp_path) as wire:
        patient = script(tmp_path, *DRAFT)
        patient["draft"]["answer_ms"] = 0
        await wire.initialize(UPGRADING, {**patient, **options, "cascade": {"deadline_ms": 60_000}})
        wire.open(DOCUMENT)
        waiting = wire.ask_inline(1, 4, trigger=2)
        await play.asked.wait()
        await wire.call("workspace/executeCommand", {"command": "egate.pauseTarget", "arguments": [True]})

        assert (await wire.reply(waiting))["result"] == {"items": []}
        (item,) = await wire.inline(1, 4, trigger=2)
        assert item["insertText"].startswith("sure = 1\n    unsure = 1")
        play.let.set()
        await play.gone.wait()
        assert len(play.requests) == 1
        assert upgrades(wire) == []
