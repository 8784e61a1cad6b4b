"""Drafts that go on while the user types what they write."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp import service as service_module
from egate_lsp.cache import Place
from egate_lsp.config import resolve
from egate_lsp.errors import DraftError
from egate_lsp.models.scripted import Rule, ScriptedModel
from egate_lsp.service import Service
from egate_lsp.underway import Underway
from egate_lsp.values import Outcome, Snapshot

SURE = 0.01


class Metered(ScriptedModel):
    """Writes a token for each that is granted; `closed` has the prefixes of the drafts that were ended early."""

    def __init__(self, *rules: Rule) -> None:
        super().__init__(rules, name="draft")
        self.granted = asyncio.Semaphore(0)
        self.begun = asyncio.Event()
        self.written = asyncio.Event()
        self.closed: list[str] = []

    def grant(self, tokens: int) -> None:
        for _ in range(tokens):
            self.granted.release()

    async def generate(self, context, limits):
        whole = False
        self.begun.set()
        try:
            async for token in super().generate(context, limits):
                await self.granted.acquire()
                yield token
                self.written.set()  # when the next one is asked for, this one was taken
            whole = True
        finally:
            if not whole:
                self.closed.append(context.prefix)


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch, *rules: Rule, **draft):
    model = Metered(*rules)

    async def open_draft(*_settings, **_more):
        return model

    monkeypatch.setattr(service_module, "open_local", open_draft)
    settings, problems = resolve([("test", {"gate": {"syntax": False}, "draft": {"ahead": False, **draft}})])
    assert problems == []
    service = Service(settings)
    try:
        yield service, model
    finally:
        await service.aclose()


def at(line: str, path: str = "/p/a.py") -> Snapshot:
    return Snapshot(f"def f():\n    {line}\n", 13 + len(line), path, "python")


def words(*texts: str) -> tuple[tuple[str, float], ...]:
    return tuple((text, SURE) for text in texts)


async def overtaken(service: Service, model: Metered, document: Snapshot, tokens: int) -> None:
    """An automatic request that is cancelled after so many tokens."""
    model.begun.clear()
    request = asyncio.create_task(service.complete(document, invoked=False))
    await model.begun.wait()
    model.written.clear()
    model.grant(tokens)
    if tokens:
        await model.written.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def rested(service: Service) -> None:
    """Wait until nothing is drafted any more."""
    ready = asyncio.Event()
    service._on_status = lambda status: ready.set() if status.state == "ready" else None
    if service.status.state != "ready":
        async with asyncio.timeout(5):
            await ready.wait()


TOTAL = Rule("    ", words("tot", "al", " = ", "1", "\n"))


async def test_who_types_what_is_drafted_is_answered_by_the_draft_under_way(monkeypatch) -> None:
    async with serving(monkeypatch, TOTAL) as (service, model):
        await overtaken(service, model, at(""), 1)
        model.grant(9)
        answer = await service.complete(at("to"), invoked=False)
        more = await service.complete(at("tota"), invoked=False)
        stats = service.stats()

    assert (answer.text, more.text) == ("tal = 1", "l = 1")
    assert model.asked == ["def f():\n    "]
    assert model.closed == []
    assert (stats["joined"], stats["reused"]) == (1, 1)
    assert answer.timing_ms["head_start"] > 0


async def test_a_draft_that_has_ended_answers_the_next_key_without_a_model(monkeypatch) -> None:
    async with serving(monkeypatch, TOTAL) as (service, model):
        await overtaken(service, model, at(""), 1)
        model.grant(9)
        draft = service._drafts.of(at("").path)
        assert draft is not None
        await draft.whole()
        lasted = draft.age_ms
        answer = await service.complete(at("to"), invoked=False)

    assert answer.text == "tal = 1"
    assert answer.timing_ms["head_start"] == lasted
    assert answer.timing_ms.keys().isdisjoint({"draft", "draft_first_line"})


async def test_typed_further_than_it_is_drafted(monkeypatch) -> None:
    async with serving(monkeypatch, TOTAL) as (service, model):
        await overtaken(service, model, at(""), 0)
        model.grant(9)
        answer = await service.complete(at("total"), invoked=False)

    assert answer.text == " = 1"
    assert len(model.asked) == 1


async def test_something_else_was_typed_than_is_drafted(monkeypatch) -> None:
    async with serving(monkeypatch, Rule("sum", words("(x)", "\n")), TOTAL) as (service, model):
        await overtaken(service, model, at(""), 1)
        model.grant(9)
        answer = await service.complete(at("sum"), invoked=False)

    assert answer.text == "(x)"
    assert model.asked == ["def f():\n    ", "def f():\n    sum"]
    assert model.closed[0] == "def f():\n    "


async def test_a_draft_that_turns_out_to_be_another_ends_at_that_token(monkeypatch) -> None:
    async with serving(monkeypatch, Rule("total +", words("= 1", "\n")), TOTAL) as (service, model):
        await overtaken(service, model, at(""), 0)
        model.grant(5)  # "tot", "al", " = ", and two for the draft that is begun anew
        answer = await service.complete(at("total +"), invoked=False)

    assert answer.text == "= 1"
    assert model.closed[0] == "def f():\n    "


async def test_all_that_was_drafted_is_typed_so_it_is_drafted_on(monkeypatch) -> None:
    async with serving(monkeypatch, Rule("total = 1", words("0", "\n")), TOTAL, max_lines=1) as (service, model):
        await overtaken(service, model, at(""), 0)
        model.grant(9)
        answer = await service.complete(at("total = 1"), invoked=False)

    assert answer.text == "0"


async def test_a_request_in_another_document_ends_what_nobody_waits_for(monkeypatch) -> None:
    async with serving(monkeypatch, TOTAL) as (service, model):
        await overtaken(service, model, at(""), 1)
        model.grant(9)
        await service.complete(at("", "/p/b.py"), invoked=False)

        assert model.closed == ["def f():\n    "]


async def test_nobody_asks_again_so_it_ends(monkeypatch) -> None:
    monkeypatch.setattr(service_module, "GRACE_S", 0.0)
    async with serving(monkeypatch, TOTAL) as (service, model):
        await overtaken(service, model, at(""), 1)
        await rested(service)

        assert model.closed == ["def f():\n    "]


@pytest.mark.parametrize("end", ["close", "pause", "by hand"])
async def test_ended_at_once(monkeypatch, end: str) -> None:
    async with serving(monkeypatch, TOTAL) as (service, model):
        await overtaken(service, model, at(""), 1)
        model.grant(9)
        match end:
            case "close":
                service.closed("/p/a.py")
            case "pause":
                service.pause_target(True)
        answer = await service.complete(at(""), invoked=end == "by hand")

        assert answer.text == "total = 1"
        assert model.closed == ["def f():\n    "]
        assert len(model.asked) == 2


async def test_what_was_refused_is_drafted_anew(monkeypatch) -> None:
    async with serving(monkeypatch, TOTAL) as (service, model):
        model.grant(99)
        await service.complete(at(""), invoked=False)
        service.happened(Outcome.DISMISSED, "/p/a.py")
        await service.complete(at(""), invoked=False)

    assert len(model.asked) == 2


async def test_what_was_finished_while_nobody_waited_is_there(monkeypatch) -> None:
    async with serving(monkeypatch, TOTAL) as (service, model):
        await overtaken(service, model, at(""), 0)
        model.grant(99)
        await rested(service)
        answer = await service.complete(at("to"), invoked=False)

    assert answer.text == "tal = 1"
    assert len(model.asked) == 1


async def test_a_draft_that_failed_is_tried_anew(monkeypatch) -> None:
    failing = Rule("    ", error=DraftError("it died"))
    async with serving(monkeypatch, Rule("to", words("tal", "\n")), failing) as (service, model):
        await overtaken(service, model, at(""), 0)
        model.grant(9)
        answer = await service.complete(at("to"), invoked=False)

    assert answer.text == "tal"


TWO = Rule("    ", words("a = 1", "\n", "    b", " = 2", "\n"))


async def first_line(service: Service, model: Metered):
    """The answer to an automatic request when the first line is there."""
    model.grant(2)
    return await service.complete(at(""), invoked=False)


async def test_what_is_there_is_shown_and_the_rest_when_it_is_written(monkeypatch) -> None:
    async with serving(monkeypatch, TWO, answer_ms=0.001) as (service, model):
        shown = await first_line(service, model)
        waiting = asyncio.create_task(service.landed("/p/a.py", shown))
        model.grant(9)
        more = await waiting
        whole = await service.complete(at(""), invoked=False)
        again = await service.complete(at("a"), invoked=False)

    assert (shown.text, shown.pending) == ("a = 1", True)
    assert more
    assert (whole.text, whole.pending) == ("a = 1\n    b = 2", False)
    assert again.text == " = 1\n    b = 2"
    assert len(model.asked) == 1


async def test_nothing_more_is_told_where_the_draft_ends_there(monkeypatch) -> None:
    async with serving(monkeypatch, Rule("    ", words("a = 1", "\n", "x = 2", "\n")), answer_ms=0.001) as (
        service,
        model,
    ):
        shown = await first_line(service, model)
        waiting = asyncio.create_task(service.landed("/p/a.py", shown))
        model.grant(9)

        assert shown.text == "a = 1"
        assert not await waiting


async def test_who_types_what_is_there_sees_the_rest_of_it_at_once(monkeypatch) -> None:
    async with serving(monkeypatch, TWO, answer_ms=0.001) as (service, model):
        await first_line(service, model)
        typed = await service.complete(at("a ="), invoked=False)
        model.grant(9)
        taken = await service.complete(at("a = 1"), invoked=False)

    assert (typed.text, typed.pending) == (" 1", True)
    assert taken.text == "\n    b = 2"
    assert len(model.asked) == 1


async def test_the_rest_of_what_was_sent_away_is_not_awaited(monkeypatch) -> None:
    async with serving(monkeypatch, TWO, answer_ms=0.001) as (service, model):
        shown = await first_line(service, model)
        waiting = asyncio.create_task(service.landed("/p/a.py", shown))
        await asyncio.sleep(0)
        service.happened(Outcome.DISMISSED, "/p/a.py")

        assert not await waiting
        assert model.closed == ["def f():\n    "]


async def test_something_else_is_typed_than_is_there(monkeypatch) -> None:
    async with serving(monkeypatch, Rule("b", words("(x)", "\n")), TWO, answer_ms=0.001) as (service, model):
        shown = await first_line(service, model)
        waiting = asyncio.create_task(service.landed("/p/a.py", shown))
        model.grant(9)
        other = await service.complete(at("b"), invoked=False)

        assert other.text == "(x)"
        assert not await waiting


@pytest.mark.parametrize(("answer_ms", "invoked"), [(0.001, True), (0, False), (60_000, False)])
async def test_the_whole_is_waited_for(monkeypatch, answer_ms: float, invoked: bool) -> None:
    async with serving(monkeypatch, TWO, answer_ms=answer_ms) as (service, model):
        model.grant(9)
        answer = await service.complete(at(""), invoked=invoked)

    assert (answer.text, answer.pending) == ("a = 1\n    b = 2", False)


async def test_ended_twice_it_ends_in_order() -> None:
    """A second cancellation must not break off what the first has begun: closing the model's job."""
    begun, closing, closed = asyncio.Event(), asyncio.Event(), []

    async def draft(_under_way: Underway[str]) -> str:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            closing.set()
            await asyncio.sleep(0)
            closed.append(True)
        return ""

    under_way = Underway(Place("x", "", 1), draft)
    await begun.wait()
    under_way.end()
    await closing.wait()
    await under_way.ended()

    assert closed == [True]


@given(st.text("ab\n", max_size=6), st.lists(st.text("ab\n", min_size=1, max_size=3), max_size=4))
def test_joined_only_by_who_types_its_text(typed: str, parts: list[str]) -> None:
    """Whatever is typed, whenever: a draft that is not ended has written the beginning of it, or it of the draft's."""

    async def run() -> None:
        steps: asyncio.Queue[str | None] = asyncio.Queue()
        taken = asyncio.Event()
        written = []

        async def draft(under_way: Underway[str]) -> str:
            while (part := await steps.get()) is not None:
                written.append(part)
                taken.set()
                under_way.wrote("".join(written))
                await asyncio.sleep(0)
            return "".join(written)

        under_way = Underway(Place("x", "", 1), draft)
        here = Place("x" + typed, "", 1 + len(typed))
        assert under_way.typed(here) == typed
        waiting = asyncio.create_task(under_way.result(typed))
        await asyncio.sleep(0)
        for part in [*parts, None]:
            steps.put_nowait(part)
        result = await waiting
        text = "".join(parts)
        if text.startswith(typed) or typed.startswith(text):
            assert result == text
        else:
            assert result is None
            so_far = "".join(written)
            assert not so_far.startswith(typed)
            assert not typed.startswith(so_far)
            before = "".join(written[:-1])
            assert before.startswith(typed) or typed.startswith(before)  # ended no later than that
            assert under_way.typed(here) is None

    asyncio.run(run())
