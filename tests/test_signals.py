from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp import signals
from egate_lsp.gate import Rule, judge
from egate_lsp.values import DraftLine, Token, Verdict

V = 1000


@st.composite
def distributions(draw):
    weights = draw(st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=60))
    total = sum(weights)
    return sorted((weight / total for weight in weights), reverse=True)


@given(distributions(), st.integers(1, 60))
def test_the_entropy_lies_between_its_bounds_from_the_likeliest_tokens(distribution, k) -> None:
    exact = -sum(p * math.log(p) for p in distribution)
    low, high = signals.entropy_bounds(distribution[:k], len(distribution))

    assert low - 1e-6 <= exact <= high + 1e-6
    assert low <= signals.entropy_from_top(distribution[:k], len(distribution)) <= high
    if k >= len(distribution):
        assert low == pytest.approx(exact, abs=1e-6)


@given(distributions())
def test_more_of_the_likeliest_tokens_narrow_the_bounds(distribution) -> None:
    gaps = []
    for k in range(1, len(distribution) + 1):
        low, high = signals.entropy_bounds(distribution[:k], len(distribution))
        gaps.append(high - low)

    assert all(later <= earlier + 1e-6 for earlier, later in itertools.pairwise(gaps))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.sampled_from(signals.AGGREGATES))
def test_every_aggregate_stays_in_the_unit_interval_and_grows_with_its_tokens(values, how) -> None:
    score = signals.aggregate(values, how)
    higher = signals.aggregate([min(value + 0.1, 1.0) for value in values], how)

    assert score is not None
    assert -1e-9 <= score <= 1.0 + 1e-9
    assert higher >= score - 1e-9


def test_an_engine_that_tells_only_top_probabilities_can_be_gated() -> None:
    sure = DraftLine("x", (Token(b"x", vocabulary=V, top=(0.99, 0.005)),))
    unsure = DraftLine("x", (Token(b"x", vocabulary=V, top=(0.3, 0.25)),))
    rule = Rule("max", 0.2)

    assert judge(sure, rule).verdict is Verdict.KEEP
    assert judge(unsure, rule).verdict is Verdict.DEFER
    assert signals.uncertainty(unsure.tokens[0], "margin") == pytest.approx(0.95)


def test_candidates_that_differ_in_white_space_agree() -> None:
    assert signals.disagreement([("a = 1", -0.1), ("a=1", -2.0)]) == pytest.approx(0.0)
    assert signals.disagreement([("a = 1", -1.0), ("b", -1.0)]) == pytest.approx(0.5)
    assert signals.disagreement([("a = 1", -1.0)]) == 0.0


def test_a_learned_score_names_what_raised_it() -> None:
    line = DraftLine("x", (Token(b"x", logprob=-3.0, entropy=3.0, vocabulary=V),))
    weights = {"bias": -2.8, "probability-max": 2.4, "syntax": 1.1}
    extra, faults = {"syntax": 1.0}, ("it adds a syntax error",)
    gated = judge(line, Rule("learned", 0.2, weights=weights), extra=extra, faults=faults)

    assert gated.verdict is Verdict.DEFER
    assert gated.reasons[0] == "it adds a syntax error"
    assert "probability-max 0.95, syntax 1.00" in gated.reasons[1]


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1))
def test_unease_keeps_the_order_of_scores(first, second, unease) -> None:
    from egate_lsp.gate import swayed

    low, high = sorted((first, second))
    assert 0.0 <= swayed(low, unease) <= swayed(high, unease) + 1e-12 <= 1.0 + 1e-9
