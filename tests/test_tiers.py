"""More than two tiers, tiers of either kind, and a draft that is not on this machine."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from egate_lsp.assess import Assessment, assess
from egate_lsp.config import Settings, resolve
from egate_lsp.errors import EngineDied, TargetUnavailable
from egate_lsp.escalate import Tier, rewrite_line
from egate_lsp.gate import Rule
from egate_lsp.models.scripted import Rule as Said
from egate_lsp.models.scripted import ScriptedModel
from egate_lsp.pace import Pace
from egate_lsp.service import Service, Snapshot
from egate_lsp.syntax import Checker
from egate_lsp.values import FimContext, Shape
from tests.test_openai_target import HANG, Play
from tests.test_repair import Searching, tokens

HOLE = FimContext("def add(a, b):\n", "\n    print(a)\n", "a.py", "python", Shape.LINE)
CHECKER = Checker()


def resolved(**tables) -> Settings:
    settings, problems = resolve([("test", tables)])
    assert problems == []
    return settings


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────


def test_draft_and_target_are_the_two_tiers() -> None:
    settings = resolved(draft={"model": "a"}, target={"base_url": "http://x/v1", "model": "b"}, gate={"tau": 0.3})

    assert [(rung.name, rung.target is not None) for rung in settings.rungs()] == [("a", False), ("b", True)]
    assert settings.rungs()[0].gate.tau == 0.3
    assert [rung.name for rung in resolved().rungs()] == ["qwen2.5-coder-0.5b"]


def test_tiers_of_either_kind_with_gates_of_their_own() -> None:
    settings = resolved(
        gate={"tau": 0.5, "score": "max"},
        tiers=[
            {"model": "small", "deferralRate": 0.4, "maxLines": 3, "threads": 2},
            {"model": "middle", "score": "mean", "measure": "entropy"},
            {"model": "big", "base_url": "http://x:1/v1", "api": "suffix"},
        ],
    )
    small, middle, big = settings.rungs()

    assert (small.gate.tau, small.gate.deferral_rate, small.gate.score) == (None, 0.4, "max")
    assert (middle.gate.tau, middle.gate.score, middle.gate.measure) == (0.5, "mean", "entropy")
    assert small.draft is not None
    assert (small.draft.max_lines, small.draft.threads) == (3, 2)
    assert big.target is not None
    assert big.target.probabilities == 0
    assert settings.draft == small.draft
    assert settings.target == big.target
    assert settings.addresses() == ["http://x:1/v1"]


def test_a_draft_at_an_address_tells_its_probabilities_and_goes_on() -> None:
    settings = resolved(tiers=[{"model": "d", "base_url": "http://x/v1", "max_lines": 4}, {"model": "t"}])
    target = settings.rungs()[0].target

    assert target is not None
    assert (target.api, target.max_tokens, target.probabilities) == ("fim", 256, 10)
    assert settings.draft.max_lines == 4
    assert settings.target.base_url is None


@pytest.mark.parametrize(
    ("tiers", "key", "words"),
    [
        ([{"model": "a"}, {"model": "b", "tau": "high"}], "tiers.1.tau", "number"),
        ([{"model": "a", "colour": 1}], "tiers.0.colour", "is not a setting"),
        ([{"tau": 0.1}], "tiers.0", "model is missing"),
        ([{"model": "a", "api": "fim"}], "tiers.0", "api is of no use"),
        ([{"model": "a", "base_url": "http://x/v1", "threads": 2}], "tiers.0", "threads is of no use"),
        ([{"model": "a"}, 7], "tiers.1", "dictionary"),
        ("a, b", "tiers", "tuple"),
    ],
)
def test_a_wrong_key_of_a_tier_is_named(tiers, key: str, words: str) -> None:
    settings, problems = resolve([("editor", {"tiers": tiers, "log_level": "debug"})])

    assert [problem.key for problem in problems] == [key]
    assert words in str(problems[0])
    assert settings.log_level == "debug"
    assert len(settings.tiers) == (len(tiers) if key.count(".") == 2 else 0)


def test_tiers_beside_draft_and_target_are_a_problem() -> None:
    settings, problems = resolve([("user file", {"draft": {"model": "x"}}), ("editor", {"tiers": [{"model": "a"}]})])

    assert [str(problem) for problem in problems] == ["settings: tiers: stands in place of [draft], which is not used"]
    assert settings.draft.model == "a"


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────


def model(name: str, text: str, nats: float, **more) -> ScriptedModel:
    return ScriptedModel([Said("", ((text, nats), ("\n", 0.0)), **more)], name=name)


class Reviewing(Searching):
    """One that has an opinion of the text below each line."""

    below: dict[str, float]

    async def review(self, context: FimContext, lines, *, within_s: float | None = None) -> list[float]:
        return [self.below[line] for line in lines] if self.below else []


def searching(*lines: str, error: Exception | None = None, below: dict[str, float] | None = None) -> Reviewing:
    """Writes the first line, and finds all of them, one likelier than the next."""
    drafts = [tokens(line, -0.1 * (number + 1)) for number, line in enumerate(lines)]
    found = Reviewing([Said("", ((lines[0], 0.1), ("\n", 0.1)))], drafts, error, name="big")
    found.below = below or {}
    return found


def known(text: str) -> Assessment:
    return assess(HOLE, text, CHECKER, enabled=(), patterns=())


async def asked(*tiers: Tier, assess=None):
    return await rewrite_line(tiers, HOLE, 0, assess=assess)


async def test_a_sure_middle_tier_answers_and_an_unsure_one_defers() -> None:
    rule = Rule("max", 0.5)
    last = model("last", "    return a + b", 0.0)
    sure = await asked(Tier(model("middle", "    return a", 0.1), rule), Tier(last))
    assert (sure.tier, sure.line.text, last.asked) == ("middle", "    return a", [])

    unsure = await asked(Tier(model("middle", "    return a", 5.0), rule), Tier(last))
    assert (unsure.tier, unsure.line.text) == ("last", "    return a + b")
    assert [request.tier for request in unsure.requests] == ["middle", "last"]


async def test_the_middle_tiers_line_stays_where_the_last_fails() -> None:
    failing = model("last", "", 0.0, error=TargetUnavailable("gone"))
    answer = await asked(Tier(model("middle", "    return a", 5.0), Rule("max", 0.5)), Tier(failing))

    assert (answer.tier, answer.line.text) == ("middle", "    return a")
    assert answer.reason == "written by middle; last: gone"


async def test_faults_count_and_a_worse_line_of_the_last_is_refused() -> None:
    rule = Rule("max", 0.4)
    faulty = Tier(model("middle", "    return a b", 0.1), rule)  # sure of a line that does not parse
    answer = await asked(faulty, Tier(model("last", "    return a + b", 0.0)), assess=known)
    assert answer.tier == "last"

    unsure = Tier(model("middle", "    return a + b", 6.0), rule)
    answer = await asked(unsure, Tier(model("last", "    return a b", 0.0)), assess=known)
    assert (answer.tier, answer.line.text) == ("middle", "    return a + b")
    assert "last gave a line that adds a syntax error" in answer.reason


SOUND = "written by big: of its 3 lines the one that has no fault"
FITTING = "written by big: of its 3 lines the one that goes best with the text below"


@pytest.mark.parametrize(
    ("found", "below", "line", "reason"),
    [
        (("    a = 1", "    a = 2", "    a = 3"), (-9.0, -2.0, -9.0), "    a = 2", FITTING),
        (("    a = 1", "    a = 2", "    a = 3"), (-2.0, -2.1, -2.2), "    a = 1", "written by big"),
        (("    a = 1", "    a = 2", "    a = 3"), (-2.3, -2.2, -2.1), "    a = 1", "written by big"),  # the likelier
        (("    a = 1 2", "    a = 2", "    a = 3"), (0.0, -2.0, -9.0), "    a = 2", FITTING),
        (("    a = 1", "    a = 2", "    a = 3"), (), "    a = 1", "written by big"),  # no time for a review
        (("    a = 1 2", "    a = 2", "    a = 3"), (), "    a = 2", SOUND),
        (("    a = 1 2", "    a = 2 3", "    a = 3 4"), (), "    a = 1 2", "written by big"),  # none is sound
        (("    a = 1 2", "    print(a)", "    a = 3"), (), "    a = 3", SOUND),  # one stands there already
        (("", "    a = 2", "    a = 3"), (-9.0, -2.0, -9.0), "", "written by big"),  # nothing belongs there
    ],
)
async def test_a_tier_that_can_search_gives_the_line_that_goes_best_with_the_text_below(
    found, below, line, reason
) -> None:
    big = searching(*found, below=dict(zip(found, below, strict=False)))
    answer = await asked(Tier(big), assess=known)

    assert (answer.line.text, answer.reason) == (line, reason)
    assert len(big.searched) == (found[0] != "")


async def test_the_model_before_it_reviews_what_a_tier_writes() -> None:
    big = searching(
        "    a = 1", "    a = 2", "    a = 3", below={"    a = 1": -9.0, "    a = 2": 0.0, "    a = 3": -9.0}
    )
    draft = searching("", below={"    a = 1": -9.0, "    a = 2": -9.0, "    a = 3": 0.0})
    by_the_draft = await rewrite_line([Tier(big)], HOLE, 0, assess=known, before=draft)
    silent = await rewrite_line([Tier(big)], HOLE, 0, assess=known, before=model("draft", "    a = 1", 5.0))
    first = Tier(draft, Rule("max", 0.0))  # it writes nothing, but is the one before
    by_the_first = await rewrite_line([first, Tier(big)], HOLE, 0, assess=known)

    assert by_the_draft.line.text == by_the_first.line.text == "    a = 3"
    assert silent.line.text == "    a = 2"  # as none before it can, it does so itself


@pytest.mark.parametrize(
    ("hole", "candidates"),
    [
        (HOLE, 1),
        (replace(HOLE, suffix="\n\n    print(a)\n"), 5),  # more may be missing there
        (replace(HOLE, shape=Shape.BLOCK), 5),
        (replace(HOLE, suffix=""), 5),
    ],
)
async def test_one_line_is_written_where_the_text_below_tells_nothing(hole: FimContext, candidates: int) -> None:
    big = searching("    a = 1", "    a = 2", below={"    a = 1": -9.0, "    a = 2": 0.0})
    answer = await rewrite_line([Tier(big, candidates=candidates)], hole, 0, assess=known)

    assert (answer.line.text, big.searched) == ("    a = 1", [])


@pytest.mark.parametrize("left_s", [-1.0, 0.2])
async def test_no_time_is_spent_on_other_lines_at_the_deadline(left_s: float) -> None:
    big = searching("    a = 1 2", "    a = 1")
    answer = await rewrite_line([Tier(big)], HOLE, 0, assess=known, deadline=100.0 + left_s, clock=lambda: 100.0)

    assert (answer.line.text, big.searched) == ("    a = 1 2", [])


async def test_a_sound_line_gets_no_others_beside_it_where_they_took_too_long_to_review() -> None:
    now = [100.0]
    big = searching("    a = 1", "    a = 2", below={"    a = 1": -9.0, "    a = 2": 0.0})
    tier = Tier(big)

    async def answer(left_s: float) -> str:
        found = await rewrite_line([tier], HOLE, 0, assess=known, deadline=now[0] + left_s, clock=lambda: now[0])
        return found.line.text

    big.below, late = {}, big.below
    assert await answer(1.5) == "    a = 1"  # the review comes to nothing
    big.below = late
    assert await answer(1.5) == "    a = 1"
    assert len(big.searched) == 1
    assert await answer(8.0) == "    a = 2"
    assert await answer(1.5) == "    a = 2"  # as the one before took no time at all
    assert len(big.searched) == 3


async def test_the_first_line_stays_where_the_search_fails() -> None:
    big = searching("    return a b", error=EngineDied("gone"))
    tier = Tier(big)
    answer = await asked(tier, assess=known)

    assert (answer.line.text, answer.reason, tier.failures) == ("    return a b", "written by big", 0)
    assert len(big.searched) == 1


async def test_a_tiers_own_rate_is_held() -> None:
    pace = Pace.start(0.2, (), {}, days=0.0)
    tier = Tier(model("middle", "    return a", 5.0), Rule("max", math.inf), pace=pace)
    for _ in range(4):
        await asked(tier, Tier(model("last", "x", 0.0)))

    assert pace.lines == 4


# ── the service ─────────────────────────────────────────────────────────────────────────────────────────────


def script(tmp_path: Path, name: str, text: str, nats: float) -> str:
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps([{"after": "", "tokens": [[text, nats], ["\n", 0.1]]}]))
    return f"scripted:{path}"


def told(*tokens: tuple[str, float]):
    """A reply of /v1/completions with probabilities, as llama-server shapes them."""
    chunks = []
    for text, p in tokens:
        top = [{"token": text, "logprob": math.log(p)}, {"token": "?", "logprob": math.log((1 - p) / 2)}]
        entry = {"token": text, "logprob": math.log(p), "bytes": list(text.encode()), "top_logprobs": top}
        choice = {"index": 0, "text": text, "finish_reason": None, "logprobs": {"content": [entry]}}
        chunks.append(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
    chunks.append(b'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    return 200, "text/event-stream", chunks


@asynccontextmanager
async def serving(tmp_path: Path, play: Play, *further: dict, **first):
    server = await asyncio.start_server(play.handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    draft = {"model": "shared", "base_url": url, "timeout_s": 60, "tau": 0.3, "score": "max", "measure": "entropy"}
    settings = resolved(tiers=[{**draft, **first}, *further], cascade={"invoked_deadline_ms": 60_000})
    service = Service(settings)
    try:
        yield service
    finally:
        await service.aclose()
        server.close()
        await server.wait_closed()


async def complete(service: Service, path: str = "/p/main.py"):
    return await service.complete(Snapshot("x = \ny = x\n", 4, path, "python"), invoked=True)


@pytest.mark.parametrize(("p", "text"), [(0.999, "1"), (0.3, "22")])
async def test_a_draft_at_an_address_is_gated_by_the_probabilities_it_tells(
    tmp_path: Path, p: float, text: str
) -> None:
    play = Play(told(("1", p), ("\n", 0.999)))
    async with serving(tmp_path, play, {"model": script(tmp_path, "t", "22", 0.1)}) as service:
        completion = await complete(service)

    assert completion.text == text
    (request,) = play.requests
    assert request["logprobs"] == 10
    assert request["prompt"].endswith("x =")  # rendered and healed here
    assert "<|fim_suffix|>" in request["prompt"]


async def test_nothing_of_a_private_file_is_drafted_elsewhere(tmp_path: Path) -> None:
    play = Play(told(("1", 0.9)))
    async with serving(tmp_path, play, {"model": script(tmp_path, "t", "here", 0.1)}) as service:
        completion = await complete(service, "/p/.env")

    assert (completion.text, play.requests) == ("", [])
    assert (
        completion.note == "no completion: this file matches privacy.never_send, and the draft is not on this machine"
    )


async def test_a_secret_leaves_no_draft_either(tmp_path: Path) -> None:
    play = Play(told(("1", 0.9)))
    async with serving(tmp_path, play) as service:
        text = 'key = "AKIAIOSFODNN7EXAMPLE"\nx = \n'
        completion = await service.complete(Snapshot(text, len(text) - 1, "/p/main.py", "python"), invoked=True)

    assert (completion.text, play.requests) == ("", [])
    assert "AWS Access Key" in completion.note


async def test_a_cancelled_draft_closes_its_socket(tmp_path: Path) -> None:
    play = Play(HANG)
    async with serving(tmp_path, play) as service:
        work = asyncio.create_task(complete(service))
        await play.asked.wait()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        async with asyncio.timeout(60):
            await play.gone.wait()


async def test_a_private_file_may_use_a_second_model_of_this_machine(tmp_path: Path) -> None:
    settings = resolved(
        tiers=[
            {"model": script(tmp_path, "d", "unsure", 5.0), "tau": 0.1},
            {"model": script(tmp_path, "t", "better", 5.0), "tau": 0.1},
            {"model": "never", "base_url": "http://127.0.0.1:9/v1"},
        ]
    )
    service = Service(settings)
    try:
        completion = await complete(service, "/p/.env")
    finally:
        await service.aclose()

    assert completion.text == "better"
    assert [request.remote for request in completion.requests] == [False]


@pytest.mark.parametrize(("candidates", "text"), [(5, "[1]"), (1, "zzz")])
async def test_a_second_model_of_this_machine_writes_several_lines(tmp_path: Path, candidates: int, text: str) -> None:
    path = tmp_path / "t.json"
    line, others = [["zzz", 0.1], ["\n", 0.1]], [[["[1]", 0.2], ["\n", 0.1]]]
    path.write_text(json.dumps([{"after": "", "tokens": line, "others": others}]))
    settings = resolved(
        cascade={"candidates": candidates},
        tiers=[{"model": script(tmp_path, "d", "unsure", 5.0), "tau": 0.1}, {"model": f"scripted:{path}"}],
    )
    service = Service(settings)
    try:
        completion = await complete(service)
    finally:
        await service.aclose()

    assert completion.text == text


async def test_a_second_tier_without_its_file_costs_only_itself(tmp_path: Path) -> None:
    states = []
    settings = resolved(
        models={"cache_dir": str(tmp_path)},
        tiers=[{"model": script(tmp_path, "d", "unsure", 5.0), "tau": 0.1}, {"model": "qwen2.5-coder-1.5b"}],
    )
    service = Service(settings, on_status=states.append)
    try:
        completion = await complete(service)
    finally:
        await service.aclose()

    assert completion.text == "unsure"
    assert any("models pull qwen2.5-coder-1.5b" in status.hint for status in states)
