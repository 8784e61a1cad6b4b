from __future__ import annotations

import math

import numpy as np
import pytest

from egate_lsp.assess import Assessment
from egate_lsp.evaluation.problems import Problem
from egate_lsp.evaluation.server_gate import Pair, compare, cut_to
from egate_lsp.evaluation.tier_bench import Said, replayed, row_of, taus_for
from egate_lsp.values import DraftLine, FimContext, Shape, Token

SOUND, BROKEN = Assessment(broken=False), Assessment(broken=True)


class Verdicts:
    """Right is the author's text."""

    def right(self, problem: Problem, text: str) -> bool:
        return text == problem.expected

    def save(self) -> None:
        pass


def problems(count: int) -> list[Problem]:
    hole = FimContext("x = ", "\n", "a.py", "python", Shape.LINE)
    return [Problem(str(n), str(n), "set", hole, "right", "", "") for n in range(count)]


def said(*lines: tuple[str, float], known: Assessment = SOUND) -> list[Said]:
    return [Said(text, score, known, 3) for text, score in lines]


def test_each_tier_keeps_or_leaves_to_the_next() -> None:
    half = np.array([False, False, False])
    tally = replayed(
        problems(3),
        ["a", "b", "c"],
        [said(("right", 0.1), ("wrong", 0.9), ("wrong", 0.9)), said(("wrong", 0.1), ("right", 0.1), ("wrong", 0.9)),
         said(("wrong", 0.0), ("wrong", 0.0), ("right", 0.0))],
        [(0.5, 0.5), (0.5, 0.5)],
        half,
        Verdicts(),
    )  # fmt: skip

    assert tally.right == [1.0, 1.0, 1.0]
    assert (tally.asked, tally.shown) == ({"a": 3, "b": 2, "c": 1}, {"a": 1, "b": 1, "c": 1})
    assert tally.tokens == {"a": 9, "b": 6, "c": 3}
    row = row_of(tally, ["a", "b", "c"], np.ones((1, 3)))
    assert row["asked"] == {"a": 1.0, "b": pytest.approx(2 / 3), "c": pytest.approx(1 / 3)}


def test_a_worse_line_of_a_later_tier_is_refused() -> None:
    lines = [said(("right", 0.9)), said(("wrong", 0.0), known=BROKEN)]
    tally = replayed(problems(1), ["a", "b"], lines, [(0.5, 0.5)], np.array([False]), Verdicts())

    assert (tally.right, tally.shown, tally.asked["b"]) == ([1.0], {"a": 1}, 1)


def test_tau_of_a_middle_tier_is_set_on_the_lines_that_reach_it() -> None:
    half = np.array([False, True] * 4)
    first = said(*[("", 0.9 if n < 4 else 0.1) for n in range(8)])
    # Only the first four lines reach the second tier; among them half score 0.8.
    second = said(*[("", 0.8 if n < 2 else 0.2 if n < 4 else 1.0) for n in range(8)])
    (low, _), (middle, other) = taus_for([first, second, first], (0.5, 0.5), half)

    assert 0.1 < low < 0.9
    assert 0.2 < middle < 0.8
    assert 0.2 < other < 0.8


def line(text: str, p: float) -> DraftLine:
    rest = (1.0 - p) / 9
    top = (p, *(rest for _ in range(9)))
    nats = -sum(x * math.log(x) for x in top)
    return DraftLine(text, (Token(text.encode(), math.log(p), nats, p - rest, 1000, top),))


def test_both_gates_on_the_same_lines() -> None:
    lines = [("right", 0.99), ("right", 0.9), ("wrong", 0.3), ("wrong", 0.2)]
    pairs = [
        Pair(problem, line(text, p), cut_to(line(text, p), 10), line("right", 1.0 - 1e-9))
        for problem, (text, p) in zip(problems(4), lines, strict=True)
    ]
    result = compare(pairs, Verdicts(), counts=(1, 10), rates=(0.5,))

    assert result["same_text"] == 1.0
    assert result["right"] == {"own": 0.5, "served": 0.5, "target": 1.0}
    row = next(row for row in result["rows"] if row["k"] == 10 and row["rule"] == "max entropy")
    assert (row["agree"], row["right_full"], row["right_top"]) == (1.0, 1.0, 1.0)
    assert row["error"] < 1e-6  # ten probabilities are all there are
    by_one = next(row for row in result["rows"] if row["k"] == 1 and row["rule"] == "max entropy")
    assert by_one["error"] > row["error"]


def test_a_line_as_a_server_tells_it_has_no_entropy_of_its_own() -> None:
    cut = cut_to(line("right", 0.9), 3)

    assert cut.tokens[0].entropy is None
    assert len(cut.tokens[0].top) == 3
