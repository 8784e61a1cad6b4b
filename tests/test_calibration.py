from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.calibration import RATES, Calibration, points_of, share_for, shipped, tau_for
from egate_lsp.config import resolve
from egate_lsp.service import calibration_of, draft_rule

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)
SHIPPED = shipped("qwen2.5-coder-0.5b")


@given(SCORES, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_never_has_a_higher_tau(scores, rate_a, rate_b) -> None:
    low, high = sorted((rate_a, rate_b))

    assert tau_for(points_of(scores), high) <= tau_for(points_of(scores), low)


@given(SCORES, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_is_never_the_more_common(scores, score_a, score_b) -> None:
    low, high = sorted((score_a, score_b))
    points = points_of(scores)

    assert 0.0 <= share_for(points, high) <= share_for(points, low) <= 1.0


@given(st.floats(0.02, 1))
def test_share_and_tau_are_inverse(rate) -> None:
    points = points_of([number / 500 for number in range(500)])

    assert share_for(points, tau_for(points, rate)) == pytest.approx(rate, abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=200, max_size=300, unique=True), st.sampled_from(RATES))
def test_the_lines_it_was_made_of_have_the_wanted_rate(scores, rate) -> None:
    tau = tau_for(points_of(scores), rate)

    assert sum(score >= tau for score in scores) / len(scores) == pytest.approx(rate, abs=0.03) or tau < 2e-4


def test_the_ends_of_the_rate() -> None:
    assert tau_for(points_of([0.5]), 0.0) == math.inf
    assert tau_for(points_of([0.5]), 1.0) == 0.0
    assert tau_for((), 0.2) == pytest.approx(0.8)


def test_what_is_shipped_has_the_rules_of_the_settings_and_says_where_it_is_from() -> None:
    assert SHIPPED is not None
    assert "egate-lsp" in SHIPPED.note
    assert {"max entropy", "sum surprisal", "learned"} <= set(SHIPPED.taus)
    assert "bias" in SHIPPED.weights


def test_the_users_own_measurement_wins_and_the_rest_stays() -> None:
    own = {"qwen2.5-coder-0.5b": {"taus": {"max entropy": [[0.2, 0.33]]}}}
    settings, problems = resolve([("user", {"gate": {"score": "max", "measure": "entropy", "calibrations": own}})])
    known = calibration_of(settings)

    assert problems == []
    assert draft_rule(settings).tau == pytest.approx(0.33)
    assert SHIPPED is not None
    assert known.taus["mean entropy"] == SHIPPED.taus["mean entropy"]


def test_weights_of_ones_own_leave_no_foreign_taus_of_the_learned_score() -> None:
    base = Calibration({"learned": ((0.2, 0.5),), "max entropy": ((0.2, 0.1),)}, {"bias": 1.0})
    own = Calibration({}, {"bias": 2.0})

    assert set(own.over(base).taus) == {"max entropy"}


def test_an_unknown_draft_is_gated_by_the_default_models_calibration() -> None:
    settings, _ = resolve([("user", {"draft": {"model": "/somewhere/model.gguf"}})])

    assert 0.0 < draft_rule(settings).tau < 1.0
