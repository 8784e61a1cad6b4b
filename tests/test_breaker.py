"""When a tier is asked, left alone and tried again. The clock is the test's own."""

from __future__ import annotations

import asyncio

import pytest

from egate_lsp.errors import (
    EngineDied,
    OverBudget,
    TargetAuthError,
    TargetMisfit,
    TargetRateLimited,
    TargetUnavailable,
)
from egate_lsp.escalate import LIMITED_PAUSE_S, Tier, rewrite_line
from egate_lsp.models.scripted import Rule, ScriptedModel
from egate_lsp.values import FimContext

HOLE = FimContext("x = ", "\n")
DOWN = TargetUnavailable("nobody")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def tier(error=None, **fields) -> Tier:
    rules = [Rule("", () if error else (("1", 0.1), ("\n", 0.1)), error=error)]
    return Tier(ScriptedModel(rules, name="t", remote=True), **fields)


async def ask(subject: Tier, clock: Clock):
    return await rewrite_line([subject], HOLE, 0, clock=clock)


async def test_three_failures_in_a_row_pause_and_the_pauses_grow() -> None:
    subject, clock = tier(DOWN), Clock()
    for _ in range(5):
        await ask(subject, clock)
    assert len(subject.model.asked) == 3
    pauses = []
    for _ in range(7):
        pauses.append(subject.paused_until - clock.now)
        clock.now = subject.paused_until
        await ask(subject, clock)
    assert pauses == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0, 300.0]
    assert len(subject.model.asked) == 10  # one after each pause


async def test_what_does_not_pass_by_itself_pauses_at_once() -> None:
    subject, clock = tier(TargetAuthError("no", hint="Key?")), Clock()
    await ask(subject, clock)
    answer = await ask(subject, clock)

    assert len(subject.model.asked) == 1
    assert answer.reason == "t is paused: no Key?"
    assert subject.state == "refused"


@pytest.mark.parametrize(("told", "pause"), [(42.0, 42.0), (0.0, 1.0), (7200.0, 7200.0), (None, LIMITED_PAUSE_S)])
async def test_a_server_that_asks_to_slow_down_is_obeyed_at_once(told, pause) -> None:
    subject, clock = tier(TargetRateLimited("slow", retry_after_s=told)), Clock()
    await ask(subject, clock)

    assert subject.paused_until == clock.now + pause
    clock.now += pause - 0.001
    await ask(subject, clock)
    assert len(subject.model.asked) == 1
    clock.now += 0.001
    await ask(subject, clock)
    assert len(subject.model.asked) == 2


async def test_after_a_pause_one_request_tries_and_the_others_wait_for_its_end() -> None:
    subject, clock = tier(DOWN), Clock()
    for _ in range(3):
        await ask(subject, clock)
    clock.now = subject.paused_until
    subject.model = ScriptedModel([Rule("", (("1", 0.1), ("\n", 0.1)), delay_s=0.01)], name="t", remote=True)
    answers = await asyncio.gather(*(ask(subject, clock) for _ in range(4)))

    assert [answer.line is not None for answer in answers] == [True, False, False, False]
    assert (subject.state, subject.last_error, subject.failures) == ("ok", "", 0)
    assert (await ask(subject, clock)).line is not None


async def test_a_try_that_was_cancelled_leaves_room_for_the_next() -> None:
    subject, clock = tier(DOWN), Clock()
    for _ in range(3):
        await ask(subject, clock)
    clock.now = subject.paused_until
    asked = asyncio.Event()

    class Stuck(ScriptedModel):
        async def generate(self, context, limits):
            asked.set()
            await asyncio.Event().wait()
            yield

    subject.model = Stuck([], name="t", remote=True)
    trying = asyncio.create_task(ask(subject, clock))
    await asked.wait()
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    subject.model = tier().model

    assert (await ask(subject, clock)).line is not None


@pytest.mark.parametrize("error", [TargetMisfit("other word"), OverBudget("cap")])
async def test_what_is_no_fault_of_the_server_pauses_nothing(error) -> None:
    subject, clock = tier(error), Clock()
    for _ in range(5):
        await ask(subject, clock)

    assert len(subject.model.asked) == 5
    assert subject.state == "ok"


async def test_the_state_is_told_when_it_changes_and_only_then() -> None:
    told = []
    subject, clock = tier(DOWN, on_state=lambda changed: told.append((changed.state, changed.last_error))), Clock()
    await ask(subject, clock)
    await ask(subject, clock)
    subject.model = tier().model
    await ask(subject, clock)
    subject.model = tier(EngineDied("gone")).model
    await ask(subject, clock)

    assert told == [("unreachable", "nobody"), ("ok", ""), ("failing", "gone")]


async def test_what_the_server_counted_is_in_the_request() -> None:
    class Counting(ScriptedModel):
        def usage(self):
            return {"prompt_tokens": 9.0, "generated_tokens": 2.0, "cached_tokens": 4.0, "estimated": 1.0}

    subject = Tier(Counting([Rule("", (("1", 0.1), ("\n", 0.1)))], name="t", remote=True))
    (request,) = (await ask(subject, Clock())).requests

    assert (request.prompt_tokens, request.completion_tokens, request.cached_tokens) == (9, 2, 4)
    assert request.estimated
