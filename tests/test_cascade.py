"""The cascade's promises, with scripted models; the stories are in tests/golden."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.cache import Place
from egate_lsp.cascade import Cascade, Policy, _InFlight
from egate_lsp.errors import EngineDied, TargetUnavailable
from egate_lsp.escalate import Tier
from egate_lsp.gate import Rule as GateRule
from egate_lsp.models.scripted import Rule, ScriptedModel
from egate_lsp.pace import Pace
from egate_lsp.values import Completion, Source
from tests.conftest import drawn

NEVER, ALWAYS = GateRule("max", math.inf), GateRule("max", 0.0)
SURE, UNSURE = 0.01, 3.0
SOME = GateRule("max", 0.2)
PATIENT = Policy(deadline_s=30.0)
DOCUMENT = "def f():\n    ║\n"


def drafting(*lines: tuple[str, float]) -> ScriptedModel:
    """A draft that writes these lines after whatever was written of them."""
    rules = []
    for start in range(len(lines), -1, -1):
        after = "".join(f"{text}\n" for text, _ in lines[:start])[-40:]
        rules.append(Rule(after, tuple((f"{text}\n", nats) for text, nats in lines[start:])))
    return ScriptedModel(rules, name="draft")


def answering(text: str, *, delay_s: float = 0.0, error: Exception | None = None) -> ScriptedModel:
    return ScriptedModel([Rule("", ((text, SURE),), delay_s, error)], name="target", remote=True)  # type: ignore[arg-type]


def cascade(
    draft: ScriptedModel, target: ScriptedModel | None, rule: GateRule = SOME, policy: Policy = PATIENT
) -> Cascade:
    return Cascade([Tier(draft, rule), *([Tier(target)] if target else [])], policy)


LINE = st.text(alphabet="abc=() ", min_size=1, max_size=12).map(lambda text: "    x" + text)
DRAFTS = st.lists(st.tuples(LINE, st.floats(0, 6)), min_size=1, max_size=6)


@given(DRAFTS)
def test_tau_infinite_without_triggers_gives_the_draft_and_no_request(lines) -> None:
    async def run() -> None:
        target = answering("    other")
        alone = await cascade(drafting(*lines), None).complete(drawn("def f():║\n"))
        gated = await cascade(drafting(*lines), target, NEVER).complete(drawn("def f():║\n"))

        assert gated.text == alone.text
        assert gated.requests == ()
        assert target.asked == []

    asyncio.run(run())


async def test_tau_zero_gives_the_targets_text_on_every_line() -> None:
    class Numbered(ScriptedModel):
        async def generate(self, context, limits):
            self.asked.append(context.prefix)
            async for token in ScriptedModel([Rule("", ((f"    t{len(self.asked)}", SURE),))]).generate(
                context, limits
            ):
                yield token

    target = Numbered([], name="target", remote=True)
    draft = ScriptedModel([Rule("", tuple((f"    d{n}\n", SURE) for n in range(4)))], name="draft")
    policy = Policy(deadline_s=30.0, max_deferrals=100, max_lines=5)

    completion = await cascade(draft, target, ALWAYS, policy).complete(drawn("def f():\n║\n"))

    assert [line.text for line in completion.lines] == [f"    t{n}" for n in range(1, 6)]
    assert all(line.source is Source.TARGET for line in completion.lines)


@given(DRAFTS, st.floats(0, 1), st.floats(0, 1))
def test_raising_tau_never_asks_more(lines, tau_a, tau_b) -> None:
    """Where the target agrees with the draft, so that the later lines are the same."""

    async def requests(tau: float) -> int:
        draft = drafting(*lines)
        policy = Policy(deadline_s=30.0, max_deferrals=100)
        target = drafting(*[(text, SURE) for text, _ in lines])
        completion = await cascade(draft, target, GateRule("max", tau), policy).complete(drawn("def f():\n║\n"))
        return len(completion.requests)

    low, high = sorted((tau_a, tau_b))
    assert asyncio.run(requests(high)) <= asyncio.run(requests(low))


async def test_a_hanging_target_never_delays_past_the_deadline_and_its_answer_is_kept() -> None:
    release = asyncio.Event()

    class Hanging(ScriptedModel):
        async def generate(self, context, limits):
            self.asked.append(context.prefix)
            await release.wait()
            async for token in answering("    better = 2").generate(context, limits):
                yield token

    target = Hanging([], name="target", remote=True)
    subject = cascade(drafting(("sure = 1", SURE), ("    unsure = 1", UNSURE)), target, policy=Policy(deadline_s=0.05))

    first = await subject.complete(drawn(DOCUMENT))
    assert first.text == "sure = 1"
    assert first.pending
    assert [request.outcome for request in first.requests] == ["late"]
    assert (subject.asked, subject.used) == (1, 0)

    release.set()
    await asyncio.gather(*(flight.task for flight in subject._in_flight))
    second = await subject.complete(drawn(DOCUMENT))
    assert [line.text for line in second.lines] == ["sure = 1", "    better = 2"]
    assert [request.outcome for request in second.requests] == ["cached"]
    assert len(target.asked) == 1
    await subject.complete(drawn(DOCUMENT))
    assert (subject.asked, subject.used) == (1, 1)


async def test_a_late_answer_serves_the_place_after_its_beginning_was_typed() -> None:
    subject = cascade(drafting(("guess", UNSURE)), answering("answer"))
    await subject.complete(drawn("x = ║\n"))

    completion = await subject.complete(drawn("x = ans║\n"))

    assert completion.text == "wer"


async def test_show_unsure_shows_the_drafts_line_when_the_target_is_late() -> None:
    slow = answering("    y", delay_s=60.0)
    policy = Policy(deadline_s=0.02, show_unsure="always")
    subject = cascade(drafting(("a = 1", UNSURE), ("    b = 2", SURE)), slow, policy=policy)

    assert (await subject.complete(drawn(DOCUMENT))).text == "a = 1\n    b = 2"
    await subject.aclose()


class Held(ScriptedModel):
    """A target that answers when it is let."""

    def __init__(self) -> None:
        super().__init__([Rule("", (("    y", SURE),))], name="target", remote=True)  # type: ignore[arg-type]
        self.let = asyncio.Event()

    async def generate(self, context, limits):
        await self.let.wait()
        async for token in super().generate(context, limits):
            yield token


async def late_twice(subject: Cascade, target: Held) -> None:
    """Two answers of the target come after the deadline."""
    for number in range(2):
        await subject.complete(drawn(f"def f_{number}():║\n"))
        target.let.set()
        await asyncio.gather(*(flight.task for flight in subject._in_flight))
        target.let.clear()


async def test_a_target_that_is_late_again_and_again_is_not_waited_for() -> None:
    target = Held()
    subject = cascade(drafting(("a = 1", UNSURE), ("    b = 2", SURE)), target, policy=Policy(deadline_s=0.02))
    await late_twice(subject, target)

    waited: list[bool] = []
    subject.on_waiting = waited.append
    shown = await subject.complete(drawn("def f_3():║\n"))
    assert shown.text == "a = 1\n    b = 2"
    assert not shown.pending
    assert "not waited for" in shown.lines[0].reasons[-1]
    assert (waited, len(target.asked), subject.asked) == ([], 2, 2)

    # What it wrote late is kept, and who asks by hand waits for it.
    kept = await subject.complete(drawn("def f_1():║\n"))
    assert kept.lines[0].source is Source.TARGET
    target.let.set()
    by_hand = await subject.complete(drawn("def f_3():║\n"), invoked=True)
    assert by_hand.lines[0].source is Source.TARGET


async def test_now_and_then_a_late_target_is_tried_and_waited_for_again_once_it_is_quick(monkeypatch) -> None:
    target = Held()
    subject = cascade(drafting(("a = 1", UNSURE)), target, policy=Policy(deadline_s=0.5))
    subject._punctuality.took(9.0, answered=True)
    subject._punctuality.took(9.0, answered=True)
    monkeypatch.setattr("egate_lsp.punctuality.PROBE_S", 0.0)

    tried = await subject.complete(drawn("def f_1():║\n"))
    assert (tried.text, len(subject._in_flight), subject.asked) == ("a = 1", 1, 1)
    again = await subject.complete(drawn("def f_1():║\n"))  # the same place: it is under way
    assert (again.text, subject.asked) == ("a = 1", 1)
    target.let.set()
    await asyncio.gather(*(flight.task for flight in subject._in_flight))

    assert (await subject.complete(drawn("def f_2():║\n"))).lines[0].source is Source.TARGET


async def test_an_answer_that_is_overdue_keeps_nobody_waiting_any_more() -> None:
    target = Held()
    subject = cascade(drafting(("a = 1", UNSURE), ("    b = 2", SURE)), target, policy=Policy(deadline_s=0.02))
    first = await subject.complete(drawn("def f_1():║\n"))
    assert (first.text, first.pending) == ("", True)

    waited: list[bool] = []
    subject.on_waiting = waited.append
    for place in ("def f_1():║\n", "def f_1(): ║\n"):
        shown = await subject.complete(drawn(place))
        assert (shown.text, shown.pending) == ("a = 1\n    b = 2", False)
        assert "longer than the deadline" in shown.lines[0].reasons[-1]
    assert (waited, subject.asked, len(subject._in_flight)) == ([], 1, 1)

    # Who asks by hand waits for the same answer.
    by_hand = asyncio.create_task(subject.complete(drawn("def f_1():║\n"), invoked=True))
    await asyncio.sleep(0)
    target.let.set()
    assert (await by_hand).lines[0].source is Source.TARGET
    assert subject.asked == 1


async def test_once_an_overdue_answer_has_come_the_target_is_waited_for_again() -> None:
    target = Held()
    subject = cascade(drafting(("a = 1", UNSURE)), target, policy=Policy(deadline_s=0.5))
    running = asyncio.create_task(asyncio.sleep(0))
    overdue = _InFlight(Place.of(drawn("def g():║\n")), "other.py", running, time.monotonic())  # type: ignore[arg-type]
    subject._in_flight.append(overdue)
    assert (await subject.complete(drawn("def f_1():║\n"))).text == "a = 1"

    subject._in_flight.remove(overdue)
    target.let.set()
    assert (await subject.complete(drawn("def f_2():║\n"))).lines[0].source is Source.TARGET


async def test_never_hides_the_line_however_late_the_target_is() -> None:
    target = Held()
    policy = Policy(deadline_s=0.02, show_unsure="never")
    subject = cascade(drafting(("a = 1", UNSURE)), target, policy=policy)
    await late_twice(subject, target)

    assert (await subject.complete(drawn("def f_3():║\n"))).text == ""
    await subject.aclose()


async def test_a_failing_target_costs_at_most_the_deferred_line() -> None:
    target = answering("", error=TargetUnavailable("connection refused"))
    completion = await cascade(drafting(("a = 1", UNSURE), ("    b = 2", SURE)), target).complete(drawn(DOCUMENT))

    assert completion.text == "a = 1\n    b = 2"
    assert completion.requests[0].outcome == "failed"
    assert "connection refused" in completion.lines[0].reasons[-1]


async def test_a_dead_target_is_left_alone_after_three_failures() -> None:
    target = answering("", error=TargetUnavailable("connection refused"))
    subject = cascade(drafting(("a = 1", UNSURE)), target)

    for _ in range(6):
        await subject.complete(drawn(DOCUMENT))

    assert len(target.asked) == 3


@pytest.mark.parametrize("lie", ["", "\n\n", "\x00\x01", "x" * 100_000, "\ud7ff\n", "    return total\n"])
async def test_a_lying_target_costs_at_most_the_deferred_line(lie: str) -> None:
    subject = cascade(drafting(("a = 1", SURE), ("    b = 2", UNSURE)), answering(lie))

    completion = await subject.complete(drawn("def f():\n    ║\n    return total\n"))

    assert completion.lines[0].text == "a = 1"
    assert len(completion.lines) <= 2


async def test_what_is_shown_of_a_draft_under_way_has_its_counters() -> None:
    parts: list[Completion] = []
    draft = drafting(("sure = 1", SURE), ("    also = 2", SURE))
    whole = await cascade(draft, None).complete(drawn(DOCUMENT), settled=parts.append)

    assert [len(part.lines) for part in parts] == [1, 2]
    assert 0 < parts[0].stats["generated_tokens"] <= parts[1].stats["generated_tokens"]
    assert parts[1].stats["generated_tokens"] <= whole.stats["generated_tokens"] == draft.usage()["generated_tokens"]


async def test_a_crashed_draft_raises() -> None:
    draft = ScriptedModel([Rule("", (), 0.0, EngineDied("killed"))])

    with pytest.raises(EngineDied):
        await cascade(draft, None).complete(drawn(DOCUMENT))


async def test_a_draft_that_crashes_after_a_line_keeps_that_line() -> None:
    draft = ScriptedModel([Rule("", (("a = 1\n", SURE),), 0.0, EngineDied("killed"))])

    completion = await cascade(draft, None).complete(drawn(DOCUMENT))

    assert completion.text == "a = 1"
    assert "killed" in completion.note


async def test_the_cap_on_deferrals() -> None:
    lines = [("a = 0", UNSURE), *((f"    a = {n}", UNSURE) for n in range(1, 5))]
    target = drafting(*[(text, SURE) for text, _ in lines])

    completion = await cascade(drafting(*lines), target, policy=Policy(deadline_s=30.0, max_deferrals=2)).complete(
        drawn(DOCUMENT)
    )

    assert [line.source for line in completion.lines] == [Source.TARGET] * 2 + [Source.DRAFT] * 3


async def test_a_middle_tier_answers_or_defers_in_turn() -> None:
    for nats, tier in ((SURE, "middle"), (UNSURE, "target")):
        middle = ScriptedModel([Rule("", (("m = 1", nats),))], name="middle")
        subject = Cascade(
            [Tier(drafting(("d = 1", UNSURE)), SOME), Tier(middle, SOME), Tier(answering("t = 1"))], PATIENT
        )

        completion = await subject.complete(drawn(DOCUMENT))

        assert completion.lines[0].tier == tier
        assert completion.text == ("m = 1" if tier == "middle" else "t = 1")


async def test_nothing_remote_when_told_so() -> None:
    target = answering("other")
    await cascade(drafting(("a = 1", UNSURE)), target, ALWAYS).complete(drawn(DOCUMENT), remote=False)

    assert target.asked == []


async def test_leaving_the_place_closes_the_request_under_way() -> None:
    target = answering("never", delay_s=3600.0)
    subject = cascade(drafting(("a = 1", UNSURE)), target, policy=Policy(deadline_s=0.01))
    await subject.complete(drawn(DOCUMENT))
    flight = subject._in_flight[0].task

    await subject.complete(drawn("other = ║\n"), remote=False)
    await asyncio.gather(flight, return_exceptions=True)

    assert flight.cancelled()
    assert subject._in_flight == []


async def test_typing_on_joins_the_request_under_way() -> None:
    release = asyncio.Event()

    class Hanging(ScriptedModel):
        async def generate(self, context, limits):
            self.asked.append(context.prefix)
            await release.wait()
            async for token in answering("answer").generate(context, limits):
                yield token

    target = Hanging([], name="target", remote=True)
    subject = cascade(drafting(("guess", UNSURE)), target, policy=Policy(deadline_s=0.01, invoked_deadline_s=30.0))
    await subject.complete(drawn("x = ║\n"))
    release.set()
    completion = await subject.complete(drawn("x = a║\n"), invoked=True)

    assert completion.text == "nswer"
    assert len(target.asked) == 1


async def test_cancelling_the_task_ends_the_draft() -> None:
    class Announcing(ScriptedModel):
        first_asked = asyncio.Event()

        async def generate(self, context, limits):
            self.first_asked.set()
            async for token in super().generate(context, limits):
                yield token

    draft = Announcing([Rule("", (("a = 1\n", SURE),) * 50, 3600.0)])
    subject = cascade(draft, None)
    task = asyncio.create_task(subject.complete(drawn(DOCUMENT)))
    await draft.first_asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [other for other in asyncio.all_tasks() if other.get_name().startswith("egate")]


async def test_lines_that_nobody_has_seen_count_for_the_rate_once_they_are_shown() -> None:
    model, target = drafting(("    sure", SURE), ("    unsure", UNSURE)), answering("    better")
    pace = Pace.start(0.2, ((0.0, 1.0), (0.2, 0.2), (1.0, 0.0)))
    two = Policy(deadline_s=30.0, max_lines=2)
    subject = Cascade([Tier(model, SOME), Tier(target)], two, pace=pace)

    unseen = await subject.complete(drawn("def f():║\n"), unseen=True)
    assert (len(target.asked), pace.lines) == (1, 0)

    subject.seen(unseen)
    after = pace.lines, pace.deferred
    seen = Pace.start(0.2, pace.points)
    await Cascade([Tier(model, SOME), Tier(answering("    better"))], two, pace=seen).complete(drawn("def f():║\n"))

    assert after == (seen.lines, seen.deferred) == (2, 1)


@pytest.mark.parametrize(("unseen", "reading_ms"), [(False, 600.0), (True, 0.0)])
async def test_where_nobody_waits_the_window_is_read_whole(*, unseen: bool, reading_ms: float) -> None:
    wanted = []

    class Listening(ScriptedModel):
        async def generate(self, context, limits):
            wanted.append(limits.reading_ms)
            async for token in super().generate(context, limits):
                yield token

    draft = Listening([Rule("", (("x\n", SURE),))])
    await cascade(draft, None, policy=Policy(reading_ms=600.0)).complete(drawn(DOCUMENT), unseen=unseen)

    assert wanted == [reading_ms]
