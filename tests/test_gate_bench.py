from __future__ import annotations

from dataclasses import replace

import pytest

from egate_lsp.calibration import shipped
from egate_lsp.evaluation import gate_bench, outcomes, problems, rules
from egate_lsp.evaluation.gate_report import page
from egate_lsp.evaluation.outcomes import Outcome, Version
from egate_lsp.evaluation.problems import Problem
from egate_lsp.evaluation.recordings import RecordedModel
from egate_lsp.evaluation.verdicts import Verdicts
from egate_lsp.gate import Rule
from egate_lsp.models import scripted
from egate_lsp.models.scripted import ScriptedModel
from egate_lsp.syntax import Checker
from egate_lsp.values import FimContext, Shape, Token

RULE = Rule("max")


def hole(shape: Shape = Shape.LINE) -> FimContext:
    return FimContext("if a < b and '</script>':\n", "\n", "f.py", "python", shape)


def outcome(
    number: int, entropy: float, *, draft: bool, target: bool, chosen: bool | None = None, best: bool | None = None
) -> Outcome:
    problem = Problem(f"p{number}", f"g{number}", "set", hole(), "right", hole().prefix, hole().suffix)
    tokens = (Token(b"a < b", entropy=2.0, vocabulary=1000),)
    found = {"entropy-max": entropy, "tokens": 1.0, "syntax": 0.0}
    first = target if chosen is None else chosen
    version = Version("a < b", (found,), draft, "t", first if best is None else best, first)
    return Outcome(
        problem, version, version, version, found, tokens, "t", target, target if best is None else best, 3, 11
    )


CALIBRATION = shipped("qwen2.5-coder-0.5b")
assert CALIBRATION is not None
WEIGHTS = CALIBRATION.weights
FOUND = [
    outcome(0, 0.9, draft=False, target=True),
    outcome(1, 0.8, draft=True, target=False, chosen=True),
    outcome(2, 0.1, draft=True, target=True),
    outcome(3, 0.0, draft=True, target=True),
    outcome(4, 0.0, draft=False, target=False),
]


def rows() -> dict[str, dict]:
    return {row["name"]: row for row in gate_bench.table(FOUND, [*rules.rivals(), *rules.ours(RULE, WEIGHTS)], seed=1)}


def at(row: dict, share: float) -> float:
    return next(point["pass_at_1"] for point in row["curve"] if point["share"] == share)


def test_the_table_has_the_fixed_names_and_refusing_a_worse_line_pays() -> None:
    table = rows()

    assert {"never", "always", "random", "oracle", "default"} <= set(table)
    assert at(table["oracle"], 0.2) == 0.8
    assert at(table["default"], 0.4) == 0.8
    assert at(table["default, the target's line never refused"], 0.4) == 0.6


def test_the_likeliest_sound_line_of_the_target_is_a_part_of_the_default_and_its_tokens_count() -> None:
    found = [outcome(5, 0.95, draft=False, target=False, best=True), *FOUND[:4]]
    table = {row["name"]: row for row in gate_bench.table(found, rules.ours(RULE, WEIGHTS), seed=1)}
    one = table["default, one line of the target"]

    assert (at(table["default"], 0.2), at(one, 0.2)) == (0.8, 0.6)
    assert (table["default"]["curve"][2]["target_tokens"], one["curve"][2]["target_tokens"]) == (11, 3)
    assert at(table["default, the target's line never refused"], 0.2) == 0.8
    assert at(table["always, the likeliest of its lines, refused where it is worse"], 1.0) == 1.0
    assert at(table["always, the target's line refused where it is worse"], 1.0) == 0.8
    assert at(table["always"], 1.0) == 0.6


def test_the_report_escapes_code_and_shades_tokens() -> None:
    table = list(rows().values())
    result = {
        "default": "max entropy",
        "n": 5, "groups": 5, "data": ["a<b"], "date": "2026-01-01", "models": {"m": "0" * 64}, "rules": table,
        "differences": {"random": []}, "scores": [{"score": 0.3, "right": True}],
    }  # fmt: skip
    text = page(result, FOUND)

    assert "</script>" not in text
    assert "a &lt; b" in text
    assert "rgba(214,60,40,0.7" in text


def test_half_of_the_problems_sets_tau_for_the_other_half() -> None:
    many = [outcome(number, number / 200, draft=True, target=True) for number in range(200)]
    default = next(rule for rule in rules.ours(RULE, WEIGHTS) if rule.name == "default")

    for row in gate_bench.realised(many, default):
        assert abs(row["realised"] - row["wanted"]) < 0.08


BLOCK = FimContext("def f(a):\n", "\n\nprint(f(1))\n", "f.py", "python", Shape.BLOCK)
AUTHOR = "    b = a + 1\n    return b"
CHECK = ("call", "assert f(1) == 2")


def model(name: str, tokens: list[tuple[str, float]], folder) -> RecordedModel:
    async def opened() -> ScriptedModel:
        return ScriptedModel([scripted.Rule("", tuple(tokens))], name=name)

    return RecordedModel(name, folder / f"{name}.jsonl", opened)


async def written(folder, draft: str, target: str) -> tuple[list[Outcome], RecordedModel, RecordedModel]:
    found = [
        Problem(f"p{number}", f"g{number}", "set", BLOCK, AUTHOR, BLOCK.prefix, BLOCK.suffix, CHECK)
        for number in range(4)
    ]
    models = model("draft", [(draft, 3.0)], folder), model("target", [(target, 0.1)], folder)
    verdicts = Verdicts(folder / "verdicts.json")
    collected = await outcomes.collect(found, *models, Checker(), verdicts, lambda *_: None)
    return collected, *models


@pytest.mark.parametrize(
    ("draft", "target", "expected"),
    [
        ("    b = a - 1\n    return b", "    b = a + 1\n    return b", (False, True, True)),
        ("    b = a + 1\n    return b", "    b = a + 1\n    return (b", (True, False, True)),  # refused: it breaks
        ("    b = a + 1\n    return b", "    b = a + 1\n    return c", (True, False, True)),  # refused: no such name
    ],
)
async def test_a_block_is_tested_as_a_whole_and_judged_line_by_line(tmp_path, draft, target, expected) -> None:
    found, _, _ = await written(tmp_path, draft, target)
    first = found[0]

    assert (first.plain.right, first.target_right, first.plain.chosen_right) == expected
    assert len(first.plain.lines) == 2
    assert first.plain.lines[0]["entropy-max"] > 0.4
    assert first.plain.lines[1].get("names", 0.0) == 0.0


async def test_a_target_that_can_search_answers_with_its_best_sound_line(tmp_path) -> None:
    hole = replace(BLOCK, prefix="def f(a):\n    b = a + 1\n", suffix="\nprint(f(1))\n", shape=Shape.LINE)
    problem = Problem("p", "g", "set", hole, "    return b", hole.prefix, hole.suffix, CHECK)
    others = (("    return c", 0.2),), (("    return b", 0.3),), (("    return a", 0.4),)
    rule = scripted.Rule("", (("    return b +", 0.1),), others=others)

    async def opened() -> ScriptedModel:
        return scripted.ScriptedSearcher([rule], name="target")

    draft = model("draft", [("    return a - 1", 3.0)], tmp_path)
    target = RecordedModel("target", tmp_path / "target.jsonl", opened)
    checker, verdicts = Checker(), Verdicts(tmp_path / "verdicts.json")
    (found,) = await outcomes.collect([problem], draft, target, checker, verdicts, lambda *_: None)

    assert (found.target, found.target_right) == ("    return b +", False)
    assert (found.shown.chosen, found.shown.chosen_right, found.shown.first_right) == ("    return b", True, False)
    assert (found.target_tokens, found.best_tokens) == (1, 4)
    default = rules.named(rules.ours(RULE, WEIGHTS), "default")
    (live,) = await gate_bench.live(
        [found], draft, target, RULE, default, checker, verdicts, lambda *_: None, rates=(1.0,)
    )
    assert live["pass_at_1"] == 1.0
    assert target.generated == 1  # once for all of this


class Reviewing(scripted.ScriptedSearcher):
    """A searcher that finds one line to go best with the text below."""

    async def review(self, context: FimContext, lines, *, within_s: float | None = None) -> list[float]:
        return [0.0 if line == "    return a + 1" else -9.0 for line in lines]


async def test_a_line_that_is_chosen_counts_where_it_is_kept_and_is_judged_by_the_first(tmp_path) -> None:
    hole = replace(BLOCK, suffix="\nprint(f(1))\n", shape=Shape.LINE)
    problem = Problem("p", "g", "set", hole, "    return a + 1", hole.prefix, hole.suffix, CHECK)
    others = (("    return a - 1", 3.0),), (("    return a + 1", 3.5),)

    async def opened() -> ScriptedModel:
        return Reviewing([scripted.Rule("", (("    return a - 1", 3.0),), others=others)], name="draft")

    draft = RecordedModel("draft", tmp_path / "draft.jsonl", opened)
    target = model("target", [("    return a", 0.1)], tmp_path)
    checker, verdicts = Checker(), Verdicts(tmp_path / "verdicts.json")
    (found,) = await outcomes.collect([problem], draft, target, checker, verdicts, lambda *_: None, choose_at=0.1)
    default, first = (rules.named(rules.ours(RULE, WEIGHTS), name) for name in ("default", "default without choice"))

    assert (found.plain.text, found.repaired.text, found.shown.text) == (
        "    return a - 1",
        "    return a - 1",
        "    return a + 1",
    )
    assert default.right(found) == (True, False)
    assert first.right(found) == (False, False)
    assert default.of(found) == first.of(found) == found.plain.lines[0]["entropy-max"]
    (kept,) = await gate_bench.live(
        [found], draft, target, RULE, default, checker, verdicts, lambda *_: None, rates=(0.0,), choose_at=0.1
    )
    assert kept["pass_at_1"] == 1.0


async def test_the_live_cascade_asks_the_target_where_the_replay_defers(tmp_path) -> None:
    found, draft, target = await written(tmp_path, "    return a", "    return a + 1")
    default = rules.named(rules.ours(RULE, WEIGHTS), "default")
    verdicts = Verdicts(tmp_path / "verdicts.json")
    live = await gate_bench.live(
        found, draft, target, RULE, default, Checker(), verdicts, lambda *_: None, rates=(0.0, 1.0)
    )

    assert [row["pass_at_1"] for row in live] == [0.0, 1.0]
    assert [row["share"] for row in live] == [0.0, 1.0]


def test_each_line_of_a_block_becomes_a_hole_after_the_authors_lines() -> None:
    first, second = problems.by_line(
        [Problem("p", "g", "set", BLOCK, AUTHOR, BLOCK.prefix, BLOCK.suffix, CHECK), FOUND[0].problem]
    )

    assert (first.expected, first.complete, first.tests) == ("    b = a + 1", False, None)
    assert second.context.prefix == "def f(a):\n    b = a + 1\n"
    assert second.program(second.expected) == BLOCK.prefix + AUTHOR + BLOCK.suffix
    assert second.complete
