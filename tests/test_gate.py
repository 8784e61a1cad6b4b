from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.gate import Rule, judge
from egate_lsp.gate import line_score as score_of_signals
from egate_lsp.signals import line_signals
from egate_lsp.values import DraftLine, Token, Verdict

V = 1000
SCORES = ["max", "mean", "lookahead", "top-k"]


def line(*shares: float, piece: bytes = b"x") -> DraftLine:
    """A line whose tokens have these normalised entropies."""
    return DraftLine("text", tuple(Token(piece, entropy=share * math.log(V), vocabulary=V) for share in shares))


def line_score(tokens, rule):
    return score_of_signals(line_signals(tokens, window=rule.lookahead_tokens, top_k=rule.top_k), rule)


@pytest.mark.parametrize(
    ("score", "expected"),
    [("max", 0.8), ("mean", 0.34), ("lookahead", (0.8 + 0.2 + 0.1) / 3), ("top-k", (0.8 + 0.4) / 2)],
)
def test_each_score(score, expected) -> None:
    rule = Rule(score, lookahead_tokens=3, top_k=2)

    assert line_score(line(0.4, 0.2, 0.2, 0.8, 0.1).tokens, rule) == pytest.approx(
        {"lookahead": max((0.4 + 0.2 + 0.2) / 3, (0.2 + 0.2 + 0.8) / 3, (0.2 + 0.8 + 0.1) / 3)}.get(score, expected)
    )


@given(st.lists(st.floats(0, 1), max_size=20), st.sampled_from(SCORES), st.floats(0, 1), st.floats(0, 1))
def test_raising_tau_never_defers_more(shares, score, tau_a, tau_b) -> None:
    low, high = sorted((tau_a, tau_b))
    deferred_high = judge(line(*shares), Rule(score, high)).verdict is Verdict.DEFER
    deferred_low = judge(line(*shares), Rule(score, low)).verdict is Verdict.DEFER

    assert deferred_low or not deferred_high


@given(st.lists(st.floats(0, 1), max_size=20), st.sampled_from(SCORES), st.booleans())
def test_tau_zero_defers_all_and_infinity_none(shares, score, comment) -> None:
    assert judge(line(*shares), Rule(score, 0.0), comment=comment).verdict is Verdict.DEFER
    assert judge(line(*shares), Rule(score, math.inf), comment=comment).verdict is Verdict.KEEP


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.sampled_from(SCORES))
def test_a_score_lies_between_the_lowest_and_the_highest_token(shares, score) -> None:
    value = line_score(line(*shares).tokens, Rule(score))

    assert value is not None
    assert min(shares) - 1e-9 <= value <= max(shares) + 1e-9


def test_forced_tokens_and_indentation_do_not_vote() -> None:
    tokens = (Token(b"ret"), Token(b"    ", entropy=5.0, vocabulary=V), Token(b"urn", entropy=0.0, vocabulary=V))

    assert line_score(tokens, Rule("max")) == 0.0
    assert line_score(tokens[:2], Rule("max")) is None


def test_a_trigger_defers_a_certain_line_and_is_named() -> None:
    gated = judge(line(0.0), Rule("max", math.inf), ["signature"])

    assert gated.verdict is Verdict.DEFER
    assert gated.reasons == ("pattern: signature",)


def test_a_comment_is_not_judged_by_entropy() -> None:
    gated = judge(line(1.0), Rule("max", 0.1), comment=True)

    assert gated.verdict is Verdict.KEEP
    assert gated.score is None


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["syntax", "names"]))
def test_a_fault_raises_the_score_and_keeps_the_order_of_faulty_lines(first, second, fault) -> None:
    low, high = sorted((first, second))
    sound = judge(line(low), Rule("max", low + (1 - low) / 4 + 1e-6), extra={fault: 0.0})
    faulty = judge(line(low), Rule("max", low + (1 - low) / 4), extra={fault: 1.0}, faults=("it is odd",))
    surer = judge(line(high), Rule("max", low + (1 - low) / 4), extra={fault: 1.0})

    assert sound.verdict is Verdict.KEEP
    assert faulty.verdict is surer.verdict is Verdict.DEFER
    assert "it is odd" in faulty.reasons


def test_a_fault_alone_never_defers_where_the_user_wants_none_deferred() -> None:
    assert judge(line(1.0), Rule("max", math.inf), extra={"syntax": 1.0}).verdict is Verdict.KEEP


@given(st.floats(0, 1), st.floats(0.01, 1))
def test_a_line_drafted_anew_needs_a_higher_score_to_be_deferred(share, tau) -> None:
    plain = judge(line(share), Rule("max", tau))
    anew = judge(line(share), Rule("max", tau), extra={"repaired": 1.0})

    assert anew.weighed == pytest.approx(plain.weighed / 2)
    assert anew.verdict is Verdict.KEEP or plain.verdict is Verdict.DEFER
