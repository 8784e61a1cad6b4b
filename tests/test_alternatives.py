"""Other drafts to choose from."""

from __future__ import annotations

from egate_lsp.cascade import Cascade, Policy
from egate_lsp.errors import EngineDied
from egate_lsp.escalate import Tier
from egate_lsp.models.scripted import Rule, ScriptedModel, ScriptedSearcher
from egate_lsp.syntax import Checker
from egate_lsp.values import Completion, CompletionLine, Source
from tests.conftest import drawn

DOCUMENT = "def f(values):\n    total = ║\n    return total\n"
SHOWN = Completion((CompletionLine("sum(values)", Source.DRAFT),))


def line(text: str, nats: float = 0.1) -> tuple[tuple[str, float], ...]:
    return ((text, nats), ("\n", nats))


async def found(*others, shown: Completion = SHOWN, count: int = 2, document: str = DOCUMENT, model=None):
    draft = model or ScriptedSearcher([Rule("", line("sum(values)"), others=others)], name="draft")
    cascade = Cascade([Tier(draft)], Policy(), Checker())
    try:
        return await cascade.alternatives(drawn(document), shown, count)
    finally:
        await cascade.aclose()


async def test_they_differ_and_the_sound_come_first_then_the_likelier() -> None:
    made = await found(
        line("valeus[0]"), line("len(values)", 2.0), line(" sum(values)"), line("max(values)", 0.5), count=3
    )

    assert [each.text for each in made] == ["max(values)", "len(values)", "valeus[0]"]
    assert made[0].lines[0].reasons[0] == "another draft of the line, to choose from"
    assert made[0].lines[0].score is not None
    assert made[0].lines[0].tokens
    assert any("valeus" in reason for reason in made[2].lines[0].reasons)


async def test_the_drafts_own_line_is_one_where_another_is_shown() -> None:
    shown = Completion((CompletionLine("min(values)", Source.TARGET),))

    assert [each.text for each in await found(line("min(values)"), shown=shown)] == ["sum(values)"]


async def test_no_more_than_are_wanted() -> None:
    assert len(await found(*(line(f"values[{n}]") for n in range(9)), count=2)) == 2


async def test_blank_ones_and_what_stands_below_already_are_none() -> None:
    document = "def f(values):\n    total = 0\n    ║\n    return total\n"

    assert await found(line("  "), line("return total"), document=document, model=None, shown=SHOWN) == []


async def test_none_without_a_search() -> None:
    class Dying(ScriptedSearcher):
        async def candidates(self, context, limits, search, *, within_s=None):
            raise EngineDied("killed")

    assert await found(model=ScriptedModel([Rule("", line("other"))])) == []
    assert await found(model=Dying([Rule("", line("other"))])) == []
    assert await found(line("other"), shown=Completion()) == []
