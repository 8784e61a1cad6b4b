"""A faulty line is drafted anew before the target is asked, with a scripted model that can search."""

from __future__ import annotations

import asyncio
import math

import pytest

from egate_lsp.cascade import Cascade, Policy
from egate_lsp.errors import EngineDied
from egate_lsp.escalate import Tier
from egate_lsp.gate import Rule as GateRule
from egate_lsp.models import Limits, Search
from egate_lsp.models.scripted import Rule, ScriptedModel
from egate_lsp.repair import repaired
from egate_lsp.syntax import Checker
from egate_lsp.values import FimContext, Source, Token, Verdict
from tests.conftest import drawn

DOCUMENT = "def f(values):\n    total = su║\n    return total\n"
BLOCK = "def f(values):\n    ║\n    return total\n"
NEVER, ALWAYS = GateRule("max", math.inf), GateRule("max", 0.0)


def tokens(text: str, logprob: float = -0.1) -> list[Token]:
    return [Token(text.encode(), logprob, 0.1, 0.9, 1000), Token(b"\n", logprob, 0.1, 0.9, 1000)]


class Searching(ScriptedModel):
    """Drafts by its script, and finds these texts when it searches."""

    def __init__(
        self, rules: list[Rule], found: list[list[Token]], error: Exception | None = None, *, name: str = "draft"
    ) -> None:
        super().__init__(rules, name=name)
        self.found, self.error = found, error
        self.searched: list[str] = []

    async def candidates(
        self, context: FimContext, limits: Limits, search: Search, *, within_s: float | None = None
    ) -> list[list[Token]]:
        assert limits.max_lines == 1
        self.searched.append(context.prefix)
        if self.error is not None:
            raise self.error
        return self.found


def draft(text: str, *found: list[Token], error: Exception | None = None) -> Searching:
    rules = [Rule("total = sum(values)\n", (("    total += 1\n", 0.1), ("    return", 0.1), (" total\n", 0.1)))]
    return Searching([*rules, Rule("", ((text, 0.1), ("\n", 0.1)))], list(found), error)


async def complete(model: Searching, document: str = DOCUMENT, *, rule: GateRule = NEVER, policy: Policy | None = None):
    target = ScriptedModel([Rule("", (("m(target)", 0.1), ("\n", 0.1)))], name="target")
    cascade = Cascade([Tier(model, rule), Tier(target)], policy or Policy(deadline_s=30.0), Checker())
    try:
        return await cascade.complete(drawn(document))
    finally:
        await cascade.aclose()


async def test_the_likeliest_sound_draft_takes_the_place_of_a_faulty_line() -> None:
    model = draft("m(valeus)", tokens("m(valeus)"), tokens("m(values[1:])", -0.7), tokens("m(values)", -0.4))
    completion = await complete(model)
    line = completion.lines[0]

    assert completion.text == "m(values)"
    assert line.source is Source.DRAFT
    assert line.reasons[0] == "drafted anew, because of the first draft: it uses valeus, which nothing defines"
    assert line.signals["repaired"] == 1.0
    assert line.verdict is Verdict.KEEP
    assert completion.requests == ()


class Counting(Searching):
    """One that counts the tokens of its searches as engines do."""

    async def candidates(self, *asked, **more) -> list[list[Token]]:
        self._generated = 40
        return await super().candidates(*asked, **more)


@pytest.mark.parametrize("document", [DOCUMENT, BLOCK])
async def test_a_repair_and_the_draft_before_it_are_both_counted(document: str) -> None:
    """Once each, also where the fault is found when the draft has ended."""
    first = Rule("", (("m(", 0.1), ("valeus)", 0.1), ("\n", 0.1)))
    block = Rule("    ", (("total = ", 0.1), ("valeus", 0.1), ("\n", 0.1)))
    model = Counting(
        [block if document == BLOCK else first], [tokens("total = values" if document == BLOCK else "m(values)")]
    )
    completion = await complete(model, document)

    assert completion.lines[0].signals["repaired"] == 1.0
    assert completion.stats["generated_tokens"] == 3 + 40


async def test_a_sound_line_is_not_searched_for_and_a_hopeless_one_stays() -> None:
    sound, hopeless = draft("m(values)"), draft("m(valeus)", tokens("m(valeus)"), tokens("m(vlaues)"))

    assert (await complete(sound)).text == "m(values)"
    assert sound.searched == []
    assert (await complete(hopeless)).text == "m(valeus)"
    assert len(hopeless.searched) == 1


async def test_a_line_drafted_anew_is_judged_like_any_other() -> None:
    model = draft("m(valeus)", tokens("m(values)"))
    completion = await complete(model, rule=ALWAYS)

    assert completion.lines[0].verdict is Verdict.DEFER
    assert "a fault: it uses target" in completion.lines[0].reasons[-1]
    assert completion.text == "m(values)"


async def test_the_draft_goes_on_from_the_line_that_was_drafted_anew() -> None:
    model = draft("total = (values", tokens("total = (values"), tokens("total = sum(values)"))
    model._rules = (model._rules[0], Rule("", (("total = = values\n", 0.1), ("    junk\n", 0.1))))
    completion = await complete(model, BLOCK)

    assert [line.text for line in completion.lines] == ["total = sum(values)", "    total += 1"]


async def test_an_engine_that_cannot_search_costs_nothing_but_the_repair() -> None:
    assert (await complete(draft("m(valeus)", error=EngineDied("it died")))).text == "m(valeus)"


async def test_searching_can_be_turned_off_and_ends_at_the_deadline() -> None:
    class Slow(Searching):
        async def candidates(self, context, limits, search, *, within_s=None):
            await asyncio.sleep(within_s)
            return self.found[:1]

    off = draft("m(valeus)", tokens("m(values)"))
    slow = Slow(list(off._rules), [])
    in_time = Slow(list(off._rules), [tokens("m(values)"), tokens("m(other)", -0.01)])

    assert (await complete(off, policy=Policy(repairs=0))).text == "m(valeus)"
    assert off.searched == []
    assert (await complete(slow, policy=Policy(deadline_s=0.01))).text == "m(valeus)"
    assert (await complete(in_time, policy=Policy(deadline_s=0.01))).text == "m(values)"


async def test_what_does_not_belong_there_is_no_repair() -> None:
    hole = drawn("def f(values):\n    ║\n    return total\n")
    checker = Checker()
    from egate_lsp.assess import assess

    model = draft("", tokens("return total"), tokens("   "), tokens("total = values"))
    found = await repaired(model, hole, [], lambda text: assess(hole, text, checker), Limits(50, 5))

    assert found is not None
    assert found[0].text == "total = values"


async def test_what_a_block_leaves_undone_shows_when_it_ends() -> None:
    model = Searching([Rule("", (("size = sum(values)\n", 0.1),))], [tokens("total = sum(values)")])
    completion = await complete(model, BLOCK)

    assert completion.text == "total = sum(values)"
    assert "total, which the code below uses, stays undefined" in completion.lines[0].reasons[0]


async def test_a_block_that_cannot_be_repaired_goes_to_the_target_with_its_last_line() -> None:
    model = Searching([Rule("", (("one = 1\n", 0.1), ("    size = sum(values)\n", 0.1)))], [])
    target = ScriptedModel([Rule("", (("    total = one\n", 0.1),))], name="target")
    rule = GateRule("max", 0.4)  # a fault alone moves a certain line above it
    completion = await Cascade([Tier(model, rule), Tier(target)], Policy(deadline_s=30.0), Checker()).complete(
        drawn(BLOCK)
    )

    assert [line.text for line in completion.lines] == ["one = 1", "    total = one"]
    assert len(target.asked) == 1
