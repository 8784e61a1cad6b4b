"""A target at an address draws several lines in one request; the one that goes best with the text below is shown."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from egate_lsp.accounted import AccountedModel
from egate_lsp.budget import Budget
from egate_lsp.draft import drawn_lines
from egate_lsp.errors import OverBudget, TargetReplyError
from egate_lsp.escalate import Tier, rewrite_line
from egate_lsp.evaluation import outcomes
from egate_lsp.evaluation.metered import BudgetSpent, MeteredModel, Prices
from egate_lsp.evaluation.recordings import RecordedModel
from egate_lsp.ledger_file import Caps
from egate_lsp.models import Limits
from egate_lsp.models.openai_target import DRAW_TEMPERATURE, OpenAITarget
from egate_lsp.models.scripted import Rule, ScriptedModel
from egate_lsp.prices import most
from egate_lsp.service import Service
from egate_lsp.values import FimContext, Shape, Token
from tests.test_accounted import PRICES
from tests.test_budget import Straight
from tests.test_ledger import Clock
from tests.test_openai_target import HANG, Play, refused, target
from tests.test_tiers import HOLE, complete, known, resolved, script, searching

if TYPE_CHECKING:
    from pathlib import Path

REST = FimContext("def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n", "a.py", "python", Shape.LINE)
WORD = FimContext("def add(a, b):\n    retu", "\n", "a.py", "python", Shape.LINE)


def choice(index: int, text: str, *, chat: bool = False, logprob: float | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"index": index, "finish_reason": "stop"}
    told |= {"delta": {"content": text}} if chat else {"text": text}
    if logprob is not None:
        told["logprobs"] = {"content": [{"token": text, "logprob": logprob, "top_logprobs": []}]}
    return told


def events(*objects: dict[str, Any]):
    chunks = [f"data: {json.dumps({'object': 'o', 'model': 'm', **one})}\n\n".encode() for one in objects]
    return 200, "text/event-stream", [*chunks, b"data: [DONE]\n\n"]


def answer(*texts: str, **more: Any):
    """Each draw in a chunk of its own, the last first."""
    numbered = list(enumerate(texts))[::-1]
    return events(*({"choices": [choice(index, text, **more)]} for index, text in numbered))


def native(*texts: str):
    """As llama-server's own forms tell it."""
    objects = [{"index": index, "content": text, "stop": True} for index, text in enumerate(texts)]
    return events(*objects)


async def lines_of(subject: OpenAITarget, hole: FimContext = REST, draws: int = 3) -> list[str]:
    found = [token.piece async for token in subject.generate(hole, Limits(40, 1, draws=draws))]
    return b"".join(found).decode().split("\n")[:-1]


# ── the request ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("api", "reply"),
    [
        ("suffix", answer("a + b", "a - b", "b")),
        ("fim", answer(" a + b\nprint(1)", " a - b", " b")),  # the space was taken back from the prompt
        ("chat", answer("```python\na + b\n```", "a - b", "b", chat=True)),
        ("infill", native("a + b", "a - b\n", "b")),
        ("completion", native(" a + b", " a - b", " b")),
    ],
)
async def test_each_form_that_can_asks_for_so_many_and_yields_the_line_of_each(api: str, reply) -> None:
    play = Play(reply)
    async with target(play, api=api) as subject:
        assert await lines_of(subject) == ["a + b", "a - b", "b"]

    (request,) = play.requests
    assert (request["n"], request["temperature"]) == (3, DRAW_TEMPERATURE)


@pytest.mark.parametrize(("api", "preset"), [("ollama", "ollama"), ("mistral", "mistral")])
async def test_a_form_that_cannot_writes_the_likeliest_line(api: str, preset: str) -> None:
    told = {"response": "a + b", "done": True} if api == "ollama" else {"choices": [choice(0, "a + b", chat=True)]}
    play = Play(events(told))
    async with target(play, api=api, preset=preset) as subject:
        assert await lines_of(subject) == ["a + b"]

    assert "n" not in play.requests[0]
    assert play.requests[0].get("temperature", 0.0) == 0.0


async def test_a_reply_in_one_piece_is_read_too() -> None:
    whole = {"object": "o", "model": "m", "choices": [choice(0, "a + b"), choice(1, "a - b")]}
    async with target(Play((200, "application/json", [json.dumps(whole).encode()]))) as subject:
        assert await lines_of(subject) == ["a + b", "a - b"]


async def test_the_warmer_temperature_of_the_user_stays() -> None:
    play = Play(answer("a", "b", "c"))
    async with target(play, temperature=1.2) as subject:
        await lines_of(subject)

    assert play.requests[0]["temperature"] == 1.2


async def test_the_probabilities_come_with_the_draws() -> None:
    play = Play(answer("a + b", "a - b", logprob=-0.5))
    async with target(play) as subject:
        found = [token async for token in subject.generate(REST, Limits(40, 1, draws=2))]
        usage = subject.usage()

    assert [token.logprob for token in found] == [-0.5, None, -0.5, None]
    assert play.requests[0]["logprobs"] == 1
    assert usage["generated_tokens"] == 2.0


async def test_where_a_server_counts_one_answer_alone_all_that_came_are_counted() -> None:
    told = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    chunks = answer("a", "b", "c", logprob=-0.5)[2][:-1]
    last = f"data: {json.dumps({'object': 'o', 'model': 'm', 'choices': [], 'usage': told})}\n\n".encode()
    async with target(Play((200, "text/event-stream", [*chunks, last, b"data: [DONE]\n\n"]))) as subject:
        await lines_of(subject)

        assert subject.usage()["prompt_tokens"] == 9.0
        assert subject.usage()["generated_tokens"] == 3.0


@pytest.mark.parametrize(
    "message",
    ["Field 'n': Value must be between 1 <= value <= 1, but got 3", "Only one completion choice is allowed"],
)
async def test_a_server_that_refuses_it_is_asked_for_one_line_from_then_on(message: str, caplog) -> None:
    play = Play(refused(400, message), answer("a + b"), answer("a - b"))
    async with target(play) as subject:
        with caplog.at_level(logging.WARNING):
            assert await lines_of(subject) == ["a + b"]
        assert await lines_of(subject) == ["a - b"]

    assert [request.get("n") for request in play.requests] == [3, None, None]
    assert play.requests[2]["temperature"] == 0.0
    assert [record.getMessage() for record in caplog.records] == [
        "m writes one line and no more: its server refuses the field n (target.candidates)"
    ]


async def test_another_error_is_not_taken_for_a_refusal_of_it() -> None:
    async with target(Play(refused(400, "the prompt is too long"))) as subject:
        with pytest.raises(TargetReplyError, match="too long"):
            await lines_of(subject)


async def test_a_draw_that_does_not_continue_the_word_is_left_out() -> None:
    async with target(Play(answer(" return a", " yield a", " return b")), api="fim") as subject:
        assert await lines_of(subject, WORD) == ["rn a", "rn b"]
    async with target(Play(answer(" yield a", " print(a)")), api="fim") as subject:
        with pytest.raises(TargetReplyError, match="does not continue"):
            await lines_of(subject, WORD)


async def test_the_stream_is_closed_when_each_draw_has_its_line() -> None:
    own_line = replace(REST, prefix="def add(a, b):\n")
    parts = [("\n    return a", 0), ("    return b\n    x", 1), ("\n    y", 0)]
    chunks = events(*({"choices": [choice(index, text)]} for text, index in parts))[2][:-1]
    play = Play((200, "text/event-stream", [*chunks, HANG]))
    async with target(play, api="fim") as subject:
        assert await lines_of(subject, own_line, 2) == ["    return a", "    return b"]
        async with asyncio.timeout(30):
            await play.gone.wait()


async def test_a_mark_of_the_model_ends_a_draw_and_blank_lines_begin_none() -> None:
    own_line = replace(REST, prefix="def add(a, b):\n")
    async with target(Play(answer("\n\n    return a\n    more", "    return b<|endoftext|>x")), api="fim") as subject:
        assert await lines_of(subject, own_line, 2) == ["    return a", "    return b"]


# ── the lines ───────────────────────────────────────────────────────────────────────────────────────────────


class Drawing(ScriptedModel):
    """One at an address, which keeps what it was asked for."""

    def __init__(self, *lines: str, nats: tuple[float, ...] = (), tells: bool = True) -> None:
        found: list[tuple[str, float]] = []
        for number, line in enumerate(lines):
            found += [(line, nats[number] if nats else 1.0), ("\n", 0.0)]
        super().__init__([Rule("", tuple(found))], name="far", remote=True)
        self.tells = tells
        self.limits: list[Limits] = []

    async def generate(self, context: FimContext, limits: Limits):
        self.limits.append(limits)
        count = 2 * limits.draws
        async for token in super().generate(context, replace(limits, max_tokens=count)):
            yield token if self.tells and token.piece != b"\n" else Token(token.piece)


async def test_lines_come_likeliest_first() -> None:
    far = Drawing("a", "b", "", "c", nats=(2.0, 0.5, 0.0, 1.0))
    found = await drawn_lines(far, HOLE, Limits(40, 1, draws=4))

    assert [line.text for line in found] == ["b", "c", "a"]
    assert [token.logprob for token in found[0].tokens] == [-0.5]


async def test_their_share_stands_for_a_probability_that_is_not_told() -> None:
    found = await drawn_lines(Drawing("a", "b", "b", tells=False), HOLE, Limits(40, 1, draws=3))

    assert [line.text for line in found] == ["b", "b", "a"]
    assert found[0].tokens[0].logprob == pytest.approx(math.log(2 / 3))
    assert found[2].tokens[0].logprob == pytest.approx(math.log(1 / 3))


# ── the answer ──────────────────────────────────────────────────────────────────────────────────────────────

DRAWN = ("    a = 1", "    a = 2", "    a = 3")
FITTING = "written by far: of its 3 lines the one that goes best with the text below"


def reviewer(*below: float):
    return searching("", below=dict(zip(DRAWN, below, strict=True)))


async def test_the_draw_that_goes_best_with_the_text_below_is_the_answer() -> None:
    far = Drawing(*DRAWN)
    answer = await rewrite_line(
        [Tier(far, draws=3)], HOLE, 0, hint="h", reasons=("r",), assess=known, before=reviewer(-9.0, 0.0, -9.0)
    )

    assert (answer.line.text, answer.reason) == ("    a = 2", FITTING)
    assert far.limits == [Limits(256, 1, "h", ("r",), draws=3)]
    assert [request.outcome for request in answer.requests] == ["answered"]


async def test_without_a_review_it_is_the_likeliest_without_a_fault() -> None:
    far = Drawing("    a = 1 2", "    a = 2", "    a = 3", nats=(0.1, 2.0, 1.0))
    silent = await rewrite_line([Tier(far, draws=3)], HOLE, 0, assess=known)
    late = await rewrite_line(
        [Tier(far, draws=3, choosing_s=2.0)], HOLE, 0, assess=known, before=reviewer(0, 0, 0),
        deadline=101.0, clock=lambda: 100.0,
    )  # fmt: skip

    assert silent.line.text == late.line.text == "    a = 3"
    assert silent.reason == "written by far: of its 3 lines the one that has no fault"


@pytest.mark.parametrize(
    ("hole", "draws"),
    [(HOLE, 1), (replace(HOLE, suffix="\n\n    print(a)\n"), 3), (replace(HOLE, shape=Shape.BLOCK), 3)],
)
async def test_one_line_is_asked_for_where_there_is_nothing_to_choose_by(hole: FimContext, draws: int) -> None:
    far = Drawing(*DRAWN)
    answer = await rewrite_line([Tier(far, draws=draws)], hole, 0, assess=known, before=reviewer(-9.0, 0.0, -9.0))

    assert (answer.line.text, answer.reason) == ("    a = 1", "written by far")
    assert [limits.draws for limits in far.limits] == [1]


async def test_nothing_but_empty_draws_is_no_answer() -> None:
    answer = await rewrite_line([Tier(Drawing(), draws=3)], HOLE, 0, assess=known)

    assert (answer.line.text, answer.reason) == ("", "written by far")


def test_it_is_what_the_settings_say() -> None:
    settings = resolved(target={"base_url": "http://127.0.0.1:9/v1", "candidates": 4})

    assert settings.rungs()[1].target.candidates == 4
    assert resolved(target={"base_url": "http://127.0.0.1:9/v1"}).target.candidates == 1


@pytest.mark.parametrize(("candidates", "text"), [(3, "second"), (1, "first")])
async def test_the_service_asks_for_as_many_as_are_set(tmp_path: Path, candidates: int, text: str) -> None:
    drawn = [choice(0, "first", logprob=-2.0), choice(1, "second", logprob=-1.0), choice(2, "third", logprob=-3.0)]
    play = Play(events({"choices": drawn[:candidates]}))
    server = await asyncio.start_server(play.handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    settings = resolved(
        draft={"model": script(tmp_path, "d", "unsure", 5.0)},
        gate={"tau": 0.1},
        target={"base_url": url, "api": "suffix", "candidates": candidates},
    )
    service = Service(settings)
    try:
        completion = await complete(service)
    finally:
        await service.aclose()
        server.close()
        await server.wait_closed()

    assert completion.text == text
    assert play.requests[0].get("n", 1) == candidates


# ── what it costs ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cap_is_held_as_if_every_draw_were_as_long_as_it_may_be() -> None:
    hole = FimContext("x = ", "\n", "main.py", "python", file="/home/me/p/main.py")
    size = len(hole.prefix + hole.suffix + hole.path)
    ledger = Straight()
    far = Drawing("a", "b")
    far._name = "big"  # has a price
    enough = most(PRICES["big"], size, 3 * 8)
    budget = Budget(ledger, Caps(per_day=enough * 0.99), clock=Clock(0.0))
    model = AccountedModel(far, "https://x/v1", budget, PRICES)

    assert [token async for token in model.generate(hole, Limits(8, 1, draws=2))]
    with pytest.raises(OverBudget, match="day"):
        [token async for token in model.generate(hole, Limits(8, 1, draws=3))]
    assert len(far.limits) == 1


async def test_a_meter_reckons_with_every_draw() -> None:
    far = Drawing("a", "b")
    model = MeteredModel(far, Prices(0.0, 1e6), 15.0)
    with pytest.raises(BudgetSpent):
        [token async for token in model.generate(HOLE, Limits(8, 1, draws=2))]

    assert [token async for token in model.generate(HOLE, Limits(8, 1))]


# ── measuring it ────────────────────────────────────────────────────────────────────────────────────────────


async def test_draws_are_recorded_beside_the_line_and_played_back(tmp_path: Path) -> None:
    far = Drawing(*DRAWN, nats=(2.0, 1.0, 3.0))

    async def opened() -> Drawing:
        return far

    async def closed() -> Drawing:
        raise AssertionError

    path = tmp_path / "far.jsonl"
    subject = RecordedModel("far", path, opened, searches=False, draws=3)
    written = await outcomes._answered(subject, HOLE)
    single = await outcomes._answered(subject, replace(HOLE, suffix=""))
    again = RecordedModel("far", path, closed, searches=False, draws=3)
    played = await outcomes._answered(again, HOLE)

    assert [line.text for line in written.candidates] == ["    a = 2", "    a = 1", "    a = 3"]
    assert [line.text for line in written.lines] == ["    a = 2"]
    assert [line.text for line in played.candidates] == [line.text for line in written.candidates]
    assert (single.lines[0].text, single.candidates) == ("    a = 1", ())
    assert again.holds_line(HOLE, 3)
    assert not again.holds_line(HOLE)
    assert not again.holds_line(HOLE, 2)
