"""What a user's own code says of the gate: which tau defers which share, and what that share is worth. numpy.

The learned score is fitted here, by scikit-learn if it is installed; what serves is a dozen numbers.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from egate_lsp.calibration import Calibration, points_of, tau_for
from egate_lsp.evaluation import curves
from egate_lsp.evaluation.outcomes import groups_of
from egate_lsp.evaluation.rules import NamedRule, gate_score
from egate_lsp.gate import NAMES, REPAIRED, SYNTAX, Rule
from egate_lsp.signals import AGGREGATES, MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from egate_lsp.calibration import Points
    from egate_lsp.evaluation.outcomes import Outcome

# What is told of each share, and how it is called; "right" where problems have tests.
COLUMNS = {
    "right": "passes its tests",
    "exact": "the author's line",
    "similarity": "edit similarity",
    "parses": "adds no syntax error",
}
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
FIT_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
# What the learned score is made of; docs/gate.md has what further signals added.
FEATURES = ("probability-max", "surprisal-sum", SYNTAX, NAMES, REPAIRED)
FOLDS = 5
LEAST_GAINS = 20  # lines on which only the target is right; with fewer a fit is chance
SURE = 0.9  # share of resamples in which a fit must beat the settings' rule
RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights of a learned score.

    Attributes:
        weights: signal -> weight, and "bias"; fitted on all lines.
        gain: right lines more than by the rule it is compared with, mean over 10 to 50 % deferred, each line scored by
            weights fitted without its file.
        sure: share of resamples in which that is above zero.
    """

    weights: Mapping[str, float]
    gain: float
    sure: float

    @property
    def wins(self) -> bool:
        return self.sure >= SURE


def measured(found: Sequence[Outcome], weights: Mapping[str, float], *, top_k: int = 5, window: int = 4) -> Calibration:
    """The taus of every rule, on the lines of these drafts."""
    rules = [
        Rule(how, measure=measure, lookahead_tokens=window, top_k=top_k) for measure in MEASURES for how in AGGREGATES
    ]
    if weights:
        rules.append(Rule("learned", weights=weights))
    lines = [line for outcome in found for line in outcome.shown.lines]
    taus = {}
    for rule in rules:
        score = gate_score(rule)
        taus[rule.name] = points_of([score(line) for line in lines])
    return Calibration(taus, weights)


def rows(found: Sequence[Outcome], rule: Rule, *, seed: int, shares: Sequence[float] = SHARES) -> list[dict[str, Any]]:
    """For each share of lines deferred: tau (None: never), and the values of `COLUMNS` as (value, low, high)."""
    scores, groups = _scores(found, rule), groups_of(found)
    weights = curves.resamples(groups, seed=seed, count=RESAMPLES)
    columns = {name: curves.Lines(*pair, groups) for name, pair in _metrics(found).items()}
    points = points_of(list(scores))
    table: list[dict[str, Any]] = [{"share": share, "tau": _tau(points, share)} for share in shares]
    for name, lines in columns.items():
        point = curves.quality(lines, scores, shares)
        sampled = np.array([curves.quality(lines, scores, shares, row) for row in weights])
        for index, row in enumerate(table):
            row[name] = (float(point[index]), *curves.interval(sampled[:, index]))
    return table


def share_for_quality(found: Sequence[Outcome], rule: Rule, wanted: float) -> float | None:
    """The least share of lines, in hundredths, from which on each reaches this part of always asking the target; None:
    the whole does not. The curve of a few lines goes up and down: a single share that reaches it may do so by chance,
    where none does from there on."""
    right = curves.Lines(*_metrics(found)["right"], groups_of(found))
    shares = [step / 100 for step in range(101)]
    reached = curves.quality(right, _scores(found, rule), shares)
    goal = wanted * float(np.mean([outcome.target_right for outcome in found]))
    least = None
    for share, value in zip(reversed(shares), reversed(reached), strict=True):
        if value < goal - 1e-9:
            break
        least = share
    return least


def rate_interval(found: Sequence[Outcome], rule: Rule, rate: float, *, seed: int) -> tuple[float, float]:
    """Where the share of deferred lines lies with 95 % on another such sample: tau is set on one resample of the files
    and used on another."""
    scores, groups = _scores(found, rule), groups_of(found)
    pairs = curves.resamples(groups, seed=seed, count=2 * RESAMPLES)
    order = np.argsort(-scores, kind="stable")
    shares = []
    for fit, test in zip(pairs[:RESAMPLES], pairs[RESAMPLES:], strict=True):
        above = np.cumsum(fit[order])
        tau = scores[order[min(int(np.searchsorted(above, rate * above[-1])), len(order) - 1)]]
        shares.append(float(test[scores >= tau].sum() / max(test.sum(), 1.0)))
    return curves.interval(np.array(shares))


def can_fit() -> bool:
    """Is scikit-learn installed?"""
    return importlib.util.find_spec("sklearn") is not None


def fitted(found: Sequence[Outcome], rule: Rule, *, seed: int, features: Sequence[str] = FEATURES) -> Fit | None:
    """A logistic regression for gain, compared with `rule` by cross-validation over files; None without scikit-learn
    or with too few lines to fit on."""
    gains = np.array([outcome.shown.chosen_right and not outcome.shown.right for outcome in found])
    groups = groups_of(found)
    if gains.sum() < LEAST_GAINS or groups.max() + 1 < FOLDS or not can_fit():
        return None
    from sklearn.model_selection import GroupKFold

    table = np.array([[unsurest(outcome, name) for name in features] for outcome in found])
    out_of_fold = np.zeros(len(found))
    for fit, test in GroupKFold(FOLDS, shuffle=True, random_state=seed).split(table, groups=groups):
        weights = _regress(table[fit], gains[fit], features)
        out_of_fold[test] = weights["bias"] + table[test] @ np.array([weights[name] for name in features])
    right = curves.Lines(*_metrics(found)["right"], groups)
    theirs = _scores(found, rule)

    def gap(row: Any = None) -> float:
        fit, other = (curves.quality(right, scores, FIT_SHARES, row) for scores in (out_of_fold, theirs))
        return float((fit - other).mean())

    gaps = [gap(row) for row in curves.resamples(groups, seed=seed, count=RESAMPLES)]
    return Fit(_regress(table, gains, features), gap(), float(np.mean(np.array(gaps) > 0.0)))


def _regress(table: Any, gains: Any, features: Sequence[str]) -> dict[str, float]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, max_iter=1000).fit(table, gains)
    weights = {name: round(float(weight), 4) for name, weight in zip(features, model.coef_[0], strict=True)}
    return {"bias": round(float(model.intercept_[0]), 4), **weights}


def unsurest(outcome: Outcome, name: str) -> float:
    """A signal's highest value among the lines of a draft."""
    return max((line.get(name, 0.0) for line in outcome.shown.lines), default=0.0)


def _metrics(found: Sequence[Outcome]) -> dict[str, tuple[Any, Any]]:
    """By name: values of the draft's text, and of the text shown when it is deferred."""

    def exact(outcome: Outcome, text: str) -> float:
        return float(outcome.problem.is_exact(text))

    def similar(outcome: Outcome, text: str) -> float:
        return Levenshtein.normalized_similarity(text.strip(), outcome.problem.expected.strip())

    shown = [(one, one.shown) for one in found]
    pairs = {
        "right": [(float(draft.right), float(draft.chosen_right)) for _, draft in shown],
        "exact": [(exact(one, draft.text), exact(one, draft.chosen)) for one, draft in shown],
        "similarity": [(similar(one, draft.text), similar(one, draft.chosen)) for one, draft in shown],
        "parses": [(float(draft.parses is not False), float(draft.chosen_parses is not False)) for _, draft in shown],
    }
    return {name: (np.array(values)[:, 0], np.array(values)[:, 1]) for name, values in pairs.items()}


def _scores(found: Sequence[Outcome], rule: Rule) -> Any:
    named = NamedRule(rule.name, gate_score(rule), ours=True)
    return np.array([named.of(outcome) for outcome in found])


def _tau(points: Points, share: float) -> float | None:
    """As the settings will have it; None: nothing is deferred."""
    if share <= 0.0:
        return None
    return 0.0 if share >= 1.0 else tau_for(points, share)
