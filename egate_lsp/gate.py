"""Stage 3 of 5: keep a drafted line, or defer it. Pure; calibration and the benches run this very function.

A line's score is an aggregate of its tokens' uncertainties (`signals`), or a logistic combination of several signals
whose weights were fitted for *gain*: target right and draft wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from egate_lsp.signals import Measure, aggregate, combine, line_signals, uncertainty
from egate_lsp.values import GatedLine, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from egate_lsp.values import DraftLine, Token

Score = Literal["max", "mean", "sum", "top-k", "quantile", "lookahead", "first", "learned"]

SYNTAX = "syntax"  # the signal of a line that adds a syntax error: 1, else 0
UNEASE = "unease"  # the signal of what the user did here, in [-1, 1]; see `feedback`
SWAY = 0.5  # how far unease moves a score: half of the way to 1, or to 0


# Fitted for gain (target right, draft wrong) by logistic regression on the lines that docs/gate.md names, with the
# default pair. Further signals did not help: cross-validated by problem, seven other sets recovered no more.
DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType({"bias": -2.77, "probability-max": 2.4, SYNTAX: 1.09})


@dataclass(frozen=True, slots=True)
class Rule:
    """How lines are judged.

    Attributes:
        score: how a line's tokens become one score; "learned" combines signals by `weights`.
        tau: a line whose score is at least this is deferred; in [0, 1], or inf for never.
        lookahead_tokens: window of the score "lookahead".
        top_k: number of tokens in the score "top-k".
        measure: what is aggregated; not used by "learned".
        weights: signal -> weight, and "bias"; used by "learned".
    """

    score: Score = "max"
    tau: float = math.inf
    lookahead_tokens: int = 4
    top_k: int = 5
    measure: Measure = "entropy"
    weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """For reasons: "max entropy", "learned score"."""
        return "learned score" if self.score == "learned" else f"{self.score} {self.measure}"


def judge(
    line: DraftLine,
    rule: Rule,
    triggers: Sequence[str] = (),
    *,
    comment: bool = False,
    extra: Mapping[str, float] | None = None,
) -> GatedLine:
    """The verdict on a line. `triggers` are names of patterns that it or the text before it matches; `extra` are
    signals that its tokens do not tell, such as "syntax".

    A comment is not judged by its entropy: there the score says less than chance about errors (AUROC 0.38 against
    0.72 in code, arXiv 2606.09577). With tau = 0 every line is deferred; raising tau never defers more.
    """
    signals = line_signals(line.tokens, window=rule.lookahead_tokens, top_k=rule.top_k) | dict(extra or {})
    score = None if comment else line_score(line.tokens, rule, signals)
    broken = bool(signals.get(SYNTAX)) and rule.score != "learned" and math.isfinite(rule.tau)
    reasons = [f"pattern: {name}" for name in triggers]
    if broken and not comment:
        reasons.append("it adds a syntax error")
    weighed = swayed(score or 0.0, signals.get(UNEASE, 0.0))
    if weighed >= rule.tau:
        told = f"{rule.name} {score or 0.0:.3f}" + (
            f", {weighed:.3f} after what you did here" if weighed != score else ""
        )
        reasons.append(f"{told} >= {rule.tau:.3f}{_because(rule, signals)}")
    verdict = Verdict.DEFER if reasons else Verdict.KEEP
    if not reasons:
        reasons.append("a comment" if comment else _certain(score, rule))
    return GatedLine(line, verdict, score, tuple(reasons), signals)


def line_score(tokens: Sequence[Token], rule: Rule, signals: Mapping[str, float] | None = None) -> float | None:
    """The line's score by the rule, in [0, 1]; None if no token votes."""
    values = [value for token in tokens if (value := uncertainty(token, rule.measure)) is not None]
    if not values:
        return None
    if rule.score != "learned":
        return aggregate(values, rule.score, window=rule.lookahead_tokens, top_k=rule.top_k)
    known = line_signals(tokens, window=rule.lookahead_tokens, top_k=rule.top_k) if signals is None else signals
    return combine(known, rule.weights)


def swayed(score: float, unease: float) -> float:
    """The score after what the user did at this place; stays in [0, 1], and the order of scores stays as it is."""
    return score + SWAY * unease * ((1.0 - score) if unease > 0.0 else score)


def _because(rule: Rule, signals: Mapping[str, float]) -> str:
    """The two signals that raised a learned score most."""
    if rule.score != "learned":
        return ""
    parts = {name: weight * signals.get(name, 0.0) for name, weight in rule.weights.items() if name != "bias"}
    raised = sorted((name for name, part in parts.items() if part > 0), key=parts.__getitem__, reverse=True)[:2]
    told = ["it adds a syntax error" if name == SYNTAX else f"{name} {signals[name]:.2f}" for name in raised]
    return f" ({', '.join(told)})" if told else ""


def _certain(score: float | None, rule: Rule) -> str:
    if score is None:
        return "no entropy known"
    return f"{rule.name} {score:.3f} < {'inf' if math.isinf(rule.tau) else f'{rule.tau:.3f}'}"
