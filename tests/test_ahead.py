from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from egate_lsp.ahead import Ahead, Written, following
from egate_lsp.config import Settings, resolve
from egate_lsp.service import Service
from egate_lsp.values import Completion, CompletionLine, Snapshot, Source
from tests.test_openai_target import Play, stream


def shown(text: str) -> Completion:
    return Completion(tuple(CompletionLine(line, Source.DRAFT) for line in text.split("\n")) if text else ())


def places(document: str, text: str = "", *, pending: bool = False) -> list[str]:
    """The document at each place that is drafted ahead, with a bar for the cursor."""
    offset = document.index("|")
    snapshot = Snapshot(document.replace("|", "", 1), offset)
    completion = shown(text)
    if pending:
        completion = Completion(completion.lines, pending=True)
    there = [written.snapshot for written in following(snapshot, completion)]
    return [f"{at.text[: at.offset]}|{at.text[at.offset :]}" for at in there]


def test_after_the_shown_text_and_on_a_new_line_after_it() -> None:
    assert places("x = |\nrest\n", "1") == ["x = 1|\nrest\n", "x = 1\n|\nrest\n"]


def test_on_a_new_line_where_nothing_is_shown_at_a_line_s_end() -> None:
    assert places("x = 1|\nrest\n") == ["x = 1\n|\nrest\n"]


@pytest.mark.parametrize(("document", "text"), [("x = |)\n", "1"), ("    |\n", ""), ("|", ""), ("x = 1\n|\n", "")])
def test_not_in_mid_line_and_not_after_a_blank_one(document: str, text: str) -> None:
    assert places(document, text) == []


def test_not_while_the_shown_text_is_still_awaited() -> None:
    assert places("x = |\n", "1", pending=True) == []


async def test_drafts_in_turn_until_there_is_text() -> None:
    asked = []

    async def draft(document: Snapshot) -> bool:
        asked.append(document.text)
        return document.text == "b"

    ahead = Ahead(draft, 0.0)
    ahead.plan([Written(Snapshot("", 0), text) for text in "abc"])
    await ahead.finished()

    assert asked == ["a", "b"]


async def test_the_same_plan_again_disturbs_nothing_and_another_ends_it() -> None:
    begun, ended = [], []
    started = asyncio.Event()

    async def draft(document: Snapshot) -> bool:
        begun.append(document.text)
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(document.text)
        return True

    ahead = Ahead(draft, 0.0)
    ahead.plan([Written(Snapshot("", 0), "a")])
    await started.wait()
    ahead.plan([Written(Snapshot("", 0), "a")])
    assert (begun, ended) == (["a"], [])

    await ahead.stop()
    assert (begun, ended) == (["a"], ["a"])
    await ahead.stop()  # nothing to end


SCRIPT = [
    {"after": "total = ", "tokens": [["sum(values)", 0.1], ["\n", 0.1]]},
    {"after": "total = sum(values)", "tokens": [["\n", 0.1]]},
    {"after": "sum(values)\n", "tokens": [["    return total", 0.1], ["\n", 0.1], ["x", 9.0]]},
]


def service(tmp_path: Path, script=SCRIPT, **tables) -> Service:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script))
    draft = {"model": f"scripted:{path}", "max_lines": 1} | tables.pop("draft", {})
    resolved, problems = resolve([("test", {"draft": draft, **tables})])
    assert problems == []
    assert isinstance(resolved, Settings)
    return Service(resolved)


def at(text: str) -> Snapshot:
    before, _, after = text.partition("|")
    return Snapshot(before + after, len(before), "/p/a.py", "python")


async def test_the_line_after_an_accepted_one_is_there_before_it_is_asked_for(tmp_path: Path) -> None:
    engine = service(tmp_path)
    try:
        first = await engine.complete(at("def f():\n    total = |\n"), invoked=False)
        await engine.idle()
        drafted = len(engine.tiers[0].model.asked)
        second = await engine.complete(at("def f():\n    total = sum(values)\n    |\n"), invoked=False)
        once = engine.stats()["ahead_used"]
        await engine.complete(at("def f():\n    total = sum(values)\n    ret|\n"), invoked=False)
        asked, stats = len(engine.tiers[0].model.asked), engine.stats()
    finally:
        await engine.aclose()

    assert (first.text, second.text) == ("sum(values)", "return total")
    assert "ahead" in second.note
    assert once == stats["ahead_used"] == 1  # typing it through is no second use
    assert stats["reused"] == 2
    assert drafted == asked == 3  # the line, the rest of it, the next one; and none for the second request


async def test_nothing_is_drafted_ahead_where_it_is_switched_off(tmp_path: Path) -> None:
    engine = service(tmp_path, draft={"ahead": False})
    try:
        await engine.complete(at("def f():\n    total = |\n"), invoked=False)
        await engine.idle()
        asked = engine.tiers[0].model.asked
    finally:
        await engine.aclose()

    assert len(asked) == 1


@pytest.mark.parametrize("asks", [False, True])
async def test_no_line_leaves_the_machine_before_it_is_wanted_unless_the_user_says_so(
    tmp_path: Path, *, asks: bool
) -> None:
    unsure = [
        *SCRIPT[:2],
        {"after": "sum(values)\n", "tokens": [["    return unsure", 9.0], ["\n", 0.1]]},
        {"after": "sum(values)\n    ", "tokens": [["return unsure", 9.0], ["\n", 0.1]]},
    ]
    play = Play(stream("    return total" if asks else "return total"))
    server = await asyncio.start_server(play.handle, "127.0.0.1", 0)
    target = {
        "base_url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1",
        "api": "suffix",
        "healing": False,
    }
    engine = service(tmp_path, unsure, target=target, gate={"tau": 0.5, "syntax": False}, cascade={"ahead_asks": asks})
    try:
        await engine.complete(at("def f():\n    total = |\n"), invoked=False)
        await engine.idle()
        before = len(play.requests)
        second = await engine.complete(at("def f():\n    total = sum(values)\n    |\n"), invoked=not asks)
    finally:
        await engine.aclose()
        server.close()
        await server.wait_closed()

    assert before == int(asks)
    assert second.text == "return total"


@pytest.mark.parametrize("show", ["auto", "never"])
async def test_an_unsure_line_is_drafted_ahead_too_while_the_target_is_not_waited_for(tmp_path: Path, show) -> None:
    unsure = [
        *SCRIPT[:2],
        {"after": "sum(values)\n", "tokens": [["    return unsure", 9.0], ["\n", 0.1]]},
        {"after": "sum(values)\n    ", "tokens": [["return unsure", 9.0], ["\n", 0.1]]},
    ]
    target = {"base_url": "http://127.0.0.1:9/v1", "api": "suffix", "healing": False}
    engine = service(tmp_path, unsure, target=target, gate={"tau": 0.5, "syntax": False}, cascade={"show_unsure": show})
    try:
        await engine.complete(at("def f():\n    total = |\n"), invoked=False)
        assert engine._cascade is not None
        for _ in range(2):
            engine._cascade._punctuality.took(1000.0, answered=True)
        await engine.idle()
        second = await engine.complete(at("def f():\n    total = sum(values)\n    |\n"), invoked=False)
    finally:
        await engine.aclose()

    assert engine.stats()["ahead_used"] == int(show == "auto")
    if show == "auto":
        assert second.text == "return unsure"


async def test_what_is_drafted_ahead_has_ended_before_the_model_is_asked_for_what_the_user_wants(
    tmp_path: Path,
) -> None:
    engine = service(tmp_path)
    order = []
    started = asyncio.Event()

    async def endless(_document: Snapshot) -> bool:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            order.append("ended")
        return True

    try:
        await engine.complete(at("y = |\n"), invoked=False)  # opens the models
        engine._ahead = Ahead(endless, 0.0)
        engine._ahead.plan([Written(at("elsewhere|"), "")])
        await started.wait()
        real = engine._cascade.complete

        async def watched(*args, **kwargs):
            order.append("asked")
            return await real(*args, **kwargs)

        engine._cascade.complete = watched
        await engine.complete(at("def f():\n    total = |\n"), invoked=False)
    finally:
        await engine.aclose()

    assert order[:2] == ["ended", "asked"]


async def test_only_an_automatic_request_that_needs_a_model_waits_for_the_next_key(tmp_path: Path) -> None:
    engine = service(tmp_path, draft={"ahead": False})
    place = at("def f():\n    total = |\n")
    try:
        await engine.complete(place, invoked=True)
        asked, waiting = engine.tiers[0].model.asked, asyncio.Event()
        first = len(asked)

        def wait() -> float:
            waiting.set()
            return 3600.0

        engine._debounce.wait = wait
        from_memory = await engine.complete(place, invoked=False)
        await engine.complete(at("other = |\n"), invoked=True)
        assert not waiting.is_set()
        by_hand = len(asked)

        overtaken = asyncio.create_task(engine.complete(at("another = |\n"), invoked=False))
        async with asyncio.timeout(10.0):
            await waiting.wait()
        overtaken.cancel()
        await asyncio.gather(overtaken, return_exceptions=True)
    finally:
        await engine.aclose()

    assert from_memory.text == "sum(values)"
    assert by_hand == first + 1
    assert len(asked) == by_hand  # the overtaken one was never drafted
