"""What a late answer may change: it adds to what is shown, or nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from egate_lsp import service as service_module
from egate_lsp.config import resolve
from egate_lsp.models.scripted import Rule, ScriptedModel
from egate_lsp.service import Service
from egate_lsp.values import Outcome, Snapshot

SURE, UNSURE = 0.01, 5.0
HERE = Snapshot("def f():\n    \n", 13, "/p/main.py", "python")
LATER = Snapshot("def f():\n    s\n", 14, "/p/main.py", "python")


def lines(*pairs: tuple[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple((f"{text}\n", nats) for text, nats in pairs)


class Late(ScriptedModel):
    """A target that holds its answer back."""

    def __init__(self, text: str) -> None:
        super().__init__([Rule("", ((text, SURE),))], name="target", remote=True)
        self.let = asyncio.Event()

    async def generate(self, context, limits):
        await self.let.wait()
        async for token in super().generate(context, limits):
            yield token


class Fickle(ScriptedModel):
    """A draft that writes what its present script says."""

    def write(self, *rules: Rule) -> None:
        self._rules = rules


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch, answer: str, **cascade):
    draft = Fickle([], name="draft")
    draft.write(
        Rule("better = 2\n"),
        Rule("sure = 1\n", lines(("    unsure = 1", UNSURE))),
        Rule("    s", lines(("ure = 1", SURE), ("    unsure = 1", UNSURE))),
        Rule("    ", lines(("sure = 1", SURE), ("    unsure = 1", UNSURE))),
    )
    target = Late(answer)

    async def open_draft(*_settings, **_more):
        return draft

    monkeypatch.setattr(service_module, "open_local", open_draft)
    monkeypatch.setattr(service_module, "open_address", lambda *_: target)
    settings, problems = resolve(
        [
            (
                "test",
                {
                    "target": {"base_url": "http://127.0.0.1:9/v1"},
                    "gate": {"tau": 0.3, "syntax": False},
                    "cascade": {"deadline_ms": 5, **cascade},
                },
            )
        ]
    )
    assert problems == []
    service = Service(settings)
    try:
        yield service, draft, target
    finally:
        await service.aclose()


async def test_the_next_answer_extends_what_was_shown(monkeypatch) -> None:
    async with serving(monkeypatch, "    better = 2") as (service, _, target):
        first = await service.complete(HERE, invoked=False)
        target.let.set()

        assert (first.text, first.pending) == ("sure = 1", True)
        assert await service.landed(HERE.path, first)
        second = await service.complete(HERE, invoked=False)
        assert second.text == "sure = 1\n    better = 2"
        assert (await service.complete(LATER, invoked=False)).text == "ure = 1\n    better = 2"


async def test_where_the_draft_has_changed_its_mind_what_was_shown_stays(monkeypatch) -> None:
    async with serving(monkeypatch, "    better = 2") as (service, draft, target):
        first = await service.complete(HERE, invoked=False)
        target.let.set()
        await service.landed(HERE.path, first)
        draft.write(Rule("", lines(("other = 7", SURE))))

        for place, text in ((HERE, "sure = 1"), (LATER, "ure = 1")):
            again = await service.complete(place, invoked=False)
            assert again.text == text
            assert again.note == "what was shown before stays"
        assert (await service.complete(HERE, invoked=True)).text == "other = 7"  # asked for by hand: anew


async def test_an_answer_that_contradicts_what_is_shown_is_not_told(monkeypatch) -> None:
    async with serving(monkeypatch, "    better = 2", show_unsure="always") as (service, _, target):
        first = await service.complete(HERE, invoked=False)
        target.let.set()

        assert first.text == "sure = 1\n    unsure = 1"
        assert not await service.landed(HERE.path, first)
        assert (await service.complete(HERE, invoked=False)).text == first.text


async def test_nothing_is_told_of_what_the_user_has_refused(monkeypatch) -> None:
    async with serving(monkeypatch, "    better = 2") as (service, _, target):
        first = await service.complete(HERE, invoked=False)
        waiting = asyncio.create_task(service.landed(HERE.path, first))
        await asyncio.sleep(0)
        service.happened(Outcome.TYPED_PAST, HERE.path)
        target.let.set()

        assert not await waiting
        assert not await service.landed(HERE.path, first)


async def test_a_target_that_fails_late_is_not_told(monkeypatch) -> None:
    from egate_lsp.errors import TargetUnavailable

    async with serving(monkeypatch, "") as (service, _, target):
        target._rules = (Rule("", (), 0.0, TargetUnavailable("gone")),)
        first = await service.complete(HERE, invoked=False)
        target.let.set()

        assert first.pending
        assert not await service.landed(HERE.path, first)


async def test_only_the_last_completion_of_a_document_is_waited_for(monkeypatch) -> None:
    async with serving(monkeypatch, "    better = 2") as (service, _, target):
        first = await service.complete(HERE, invoked=False)
        second = await service.complete(LATER, invoked=False)
        target.let.set()

        assert second.text == "ure = 1"
        assert not await service.landed(HERE.path, first)
        assert await service.landed(HERE.path, second)
