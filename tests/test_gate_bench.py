from __future__ import annotations

from egate_lsp.evaluation import gate_bench, rules
from egate_lsp.evaluation.gate_bench import Outcome
from egate_lsp.evaluation.gate_report import page
from egate_lsp.evaluation.problems import Problem
from egate_lsp.values import FimContext, Shape, Token


def outcome(number: int, entropy: float, *, draft: bool, target: bool, chosen: bool | None = None) -> Outcome:
    hole = FimContext("if a < b and '</script>':\n", "\n", "f.py", "python", Shape.LINE)
    problem = Problem(f"p{number}", f"g{number}", "set", hole, "right", hole.prefix, hole.suffix)
    tokens = (Token(b"a < b", entropy=2.0, vocabulary=1000),)
    found = {"entropy-max": entropy, "syntax": 0.0}
    right = target if chosen is None else chosen
    return Outcome(problem, found, "a < b", "t", "t", draft, target, right, 3, tokens)


FOUND = [
    outcome(0, 0.9, draft=False, target=True),
    outcome(1, 0.8, draft=True, target=False, chosen=True),
    outcome(2, 0.1, draft=True, target=True),
    outcome(3, 0.0, draft=True, target=True),
    outcome(4, 0.0, draft=False, target=False),
]


def rows() -> dict[str, dict]:
    return {row["name"]: row for row in gate_bench.table(FOUND, [*rules.rivals(), *rules.ours()], seed=1)}


def at(row: dict, share: float) -> float:
    return next(point["pass_at_1"] for point in row["curve"] if point["share"] == share)


def test_the_table_has_the_fixed_names_and_refusing_a_worse_line_pays() -> None:
    table = rows()

    assert {"never", "always", "random", "oracle", "default"} <= set(table)
    assert at(table["oracle"], 0.2) == 0.8
    assert at(table["default"], 0.4) == 0.8
    assert at(table["default, the target's line never refused"], 0.4) == 0.6


def test_the_report_escapes_code_and_shades_tokens() -> None:
    table = list(rows().values())
    result = {
        "n": 5, "groups": 5, "data": ["a<b"], "date": "2026-01-01", "models": {"m": "0" * 64}, "rules": table,
        "differences": {"random": []}, "scores": [{"score": 0.3, "right": True}],
    }  # fmt: skip
    text = page(result, FOUND)

    assert "</script>" not in text
    assert "a &lt; b" in text
    assert "rgba(214,60,40,0.7" in text


def test_half_of_the_problems_sets_tau_for_the_other_half() -> None:
    many = [outcome(number, number / 200, draft=True, target=True) for number in range(200)]
    default = next(rule for rule in rules.ours() if rule.name == "default")

    for row in gate_bench.realised(many, default):
        assert abs(row["realised"] - row["wanted"]) < 0.08
