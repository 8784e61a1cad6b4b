"""A line that the draft is unsure of and keeps is chosen from several by the text below, for whoever asks by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from egate_lsp.assess import Assessment
from egate_lsp.cascade import CHOICE_REASON, Cascade, Policy
from egate_lsp.config import Settings
from egate_lsp.errors import EngineDied
from egate_lsp.escalate import Tier
from egate_lsp.gate import Rule as GateRule
from egate_lsp.models.scripted import VOCABULARY, Rule, ScriptedModel
from egate_lsp.repair import is_followed, likeliest, reviewed
from egate_lsp.service import choice_tau, draft_rule
from egate_lsp.syntax import Checker
from egate_lsp.values import Completion, DraftLine, Shape, Source, Verdict
from tests.conftest import drawn
from tests.test_repair import Searching, tokens

if TYPE_CHECKING:
    from egate_lsp.values import FimContext

DOCUMENT = "def f(values):\n    total = su║\n    return total\n"
NOTHING_BELOW = "def f(values):\n    total = su║\n"
BLOCK = "def f(values):\n    ║\n    return values\n"
FIRST = tokens("m(values[0])")
BETTER = tokens("m(values)", -0.4)
NATS = 2.0  # the entropy of the first line's unsurest token
UNSURE = NATS / math.log(VOCABULARY)  # the line's score


class Reviewing(Searching):
    """One that finds `m(values)` to go best with the text below."""

    def __init__(self, *args: object, review_fails: bool = False, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.review_fails = review_fails
        self.read: list[str] = []

    async def review(self, context: FimContext, lines: list[str], *, within_s: float | None = None) -> list[float]:
        if self.review_fails:
            raise EngineDied("it died")
        self.read += lines
        return [0.0 if line == "m(values)" else -5.0 for line in lines]


def drafting(first: str = "m(values[0])", *, review_fails: bool = False, found: tuple = (FIRST, BETTER)) -> Reviewing:
    return Reviewing([Rule("", ((first, NATS), ("\n", 0.0)))], list(found), review_fails=review_fails)


async def complete(
    model: ScriptedModel,
    document: str = DOCUMENT,
    *,
    invoked: bool = True,
    tau: float = math.inf,
    at: float = UNSURE - 0.1,
    target: bool = True,
    unease: float = 0.0,
) -> Completion:
    behind = [Tier(ScriptedModel([Rule("", (("m(values, 1)", 0.1), ("\n", 0.1)))], name="target"))] if target else []
    cascade = Cascade([Tier(model, GateRule("max", tau)), *behind], Policy(choose_at=at), Checker())
    try:
        return await cascade.complete(drawn(document), invoked=invoked, unease=unease)
    finally:
        await cascade.aclose()


async def test_an_unsure_line_gives_way_to_the_one_that_goes_best_with_the_text_below() -> None:
    model = drafting()
    completion = await complete(model)
    (line,) = completion.lines

    assert completion.text == "m(values)"
    assert (line.source, line.verdict) == (Source.DRAFT, Verdict.KEEP)
    assert line.draft == "m(values[0])"
    assert line.reasons[-1] == CHOICE_REASON
    assert line.signals["chosen"] == 1.0
    assert line.weighed == pytest.approx(UNSURE)  # of the first: what tau was compared with
    assert sorted(model.read) == ["m(values)", "m(values[0])"]
    assert completion.timing_ms["choice"] >= 0.0


async def test_the_first_line_stays_where_it_goes_best() -> None:
    completion = await complete(drafting("m(values)", found=(BETTER, FIRST)))

    assert completion.text == "m(values)"
    assert completion.lines[0].draft is None
    assert "chosen" not in completion.lines[0].signals


async def test_without_a_target_a_line_that_would_be_deferred_is_chosen() -> None:
    completion = await complete(drafting(), tau=0.0, target=False)

    assert completion.text == "m(values)"
    assert completion.lines[0].verdict is Verdict.DEFER


async def test_a_deferred_line_is_the_targets() -> None:
    model = drafting()

    assert (await complete(model, tau=0.0)).text == "m(values, 1)"
    assert model.searched == []


@pytest.mark.parametrize(
    ("document", "changes"),
    [
        (DOCUMENT, {"invoked": False}),
        (DOCUMENT, {"at": UNSURE + 0.1}),
        (DOCUMENT, {"at": UNSURE + 0.1, "unease": 1.0}),
        (DOCUMENT, {"at": math.inf}),
        (NOTHING_BELOW, {}),
        (BLOCK, {}),
    ],
    ids=["while typing", "a sure line", "a sure line, uneasy", "turned off", "nothing below", "a block"],
)
async def test_nothing_is_searched_where_it_would_not_pay(document: str, changes: dict[str, object]) -> None:
    first = "print(values[0])" if document == BLOCK else "m(values[0])"
    model = drafting(first)
    completion = await complete(model, document, **changes)  # type: ignore[arg-type]

    assert completion.lines[0].text == first
    assert model.searched == []


async def test_a_faulty_line_is_repaired_and_not_chosen_once_more() -> None:
    model = drafting("m(valeus)")
    completion = await complete(model)

    assert len(model.searched) == 1
    assert completion.lines[0].signals["repaired"] == 1.0
    assert "chosen" not in completion.lines[0].signals


async def test_a_faulty_line_without_a_repair_is_not_searched_for_again() -> None:
    model = drafting("m(valeus)", found=(tokens("m(valeus)"),))

    assert (await complete(model)).text == "m(valeus)"
    assert len(model.searched) == 1


async def test_a_search_or_a_review_that_fails_costs_only_the_choice() -> None:
    failing = drafting()
    failing.error = EngineDied("it died")

    assert (await complete(failing)).text == "m(values[0])"
    assert (await complete(drafting(review_fails=True))).text == "m(values[0])"


async def test_a_model_that_cannot_review_keeps_its_first_line() -> None:
    model = Searching([Rule("", (("m(values[0])", NATS), ("\n", 0.0)))], [FIRST, BETTER])

    assert (await complete(model)).text == "m(values[0])"
    assert model.searched == []


def test_the_text_below_weighs_a_quarter() -> None:
    """It has many more tokens: weighed like the line, it would make a line the likeliest that is so to nobody else."""
    likely, other = (DraftLine("a", tokens("a", -0.5)), DraftLine("b", tokens("b", -1.5)))  # -1 and -3, with the break
    lines = [(each, Assessment()) for each in (likely, other)]

    assert likeliest(lines, {"a": -10.0, "b": -4.0}) == lines[0]  # -1 - 2.5 and -3 - 1
    assert likeliest(lines, {"a": -10.0, "b": -1.0}) == lines[1]


async def test_a_line_that_stands_below_gets_no_credit_for_making_itself_likelier() -> None:
    hole = drawn("def f(values):\n    total = su║\n    count = 1\n    # the rest\n    return total\n")

    class Repeating(Reviewing):
        async def review(self, context, lines, *, within_s=None):
            return [-1.0 if line == "# the rest" else -5.0 - len(line) for line in lines]

    lines = [DraftLine(text) for text in ("m(values)", "m(v)", "# the rest")]

    assert await reviewed(Repeating([], []), hole, lines) == {"m(values)": -14.0, "m(v)": -9.0, "# the rest": -14.0}


def test_the_share_that_is_chosen_is_set_in_lines() -> None:
    """Its threshold comes from the calibration of the rule that the gate goes by."""
    half, all_of_them, none = (Settings(gate={"choice_rate": rate}) for rate in (0.5, 1.0, 0.0))
    tenth = Settings(gate={"choice_rate": 0.5, "deferral_rate": 0.5})

    assert choice_tau(half) == draft_rule(tenth).tau
    assert choice_tau(all_of_them) == 0.0
    assert choice_tau(none) == math.inf


def test_a_document_here_is_the_rest_of_a_line() -> None:
    assert drawn(DOCUMENT).shape is Shape.LINE
    assert drawn(BLOCK).shape is Shape.BLOCK


@pytest.mark.parametrize(
    ("below", "followed"),
    [
        ("    return total\n", True),
        ("return 1\n", True),  # whatever it is, it stands on the next line
        ("\n    return total\n", False),  # more may be missing
        ("\n", False),
        ("", False),
    ],
)
def test_the_text_below_tells_of_a_line_where_it_goes_on_at_once(below: str, followed: bool) -> None:
    assert is_followed(drawn(f"def f(values):\n    total = su║)\n{below}")) is followed
