"""Stage 3 of 5: keep a drafted line, or defer it. Pure; calibration and the benches run this very function.

A line's score is an aggregate of its tokens' uncertainties (`signals`), moved by the faults that are found in it, or a
logistic combination of several signals whose weights were fitted for *gain*: target right and draft wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from egate_lsp.signals import Measure, combine, line_signals
from egate_lsp.values import GatedLine, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from egate_lsp.values import DraftLine

Score = Literal["max", "mean", "sum", "top-k", "quantile", "lookahead", "first", "opening", "learned"]

SYNTAX = "syntax"  # the signal of a line that adds a syntax error: 1, else 0
NAMES = "names"  # the signal of a line that leaves a name undefined or unused: 1, else 0; see `names`
COMMENT = "comment"  # the signal of a line that is not judged by its tokens: 1
REPAIRED = "repaired"  # the signal of a line that was drafted anew because of a fault: 1; see `repair`
CHOSEN = "chosen"  # the signal of a line that was chosen from several drafts after its first was judged: 1
UNEASE = "unease"  # the signal of what the user did here, in [-1, 1]; see `feedback`
SWAY = 0.5  # how far a fault or unease moves a score: half of the way to 1, or to 0


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
        """Of calibrations and reasons: "max entropy", "learned"."""
        return "learned" if self.score == "learned" else f"{self.score} {self.measure}"


def judge(
    line: DraftLine,
    rule: Rule,
    triggers: Sequence[str] = (),
    *,
    comment: bool = False,
    extra: Mapping[str, float] | None = None,
    faults: Sequence[str] = (),
) -> GatedLine:
    """The verdict on a line. `triggers` are names of patterns that it or the text before it matches; `extra` are
    signals that its tokens do not tell, such as "syntax"; `faults` say in words what those found wrong.

    A comment is not judged by its entropy: there the score says less than chance about errors (AUROC 0.38 against
    0.72 in code, arXiv 2606.09577). With tau = 0 every line is deferred; raising tau never defers more.
    """
    signals = line_signals(line.tokens, window=rule.lookahead_tokens, top_k=rule.top_k) | dict(extra or {})
    score = None if comment else line_score(signals, rule)
    known = 0.0 if comment else faulted(score or 0.0, signals, rule)
    weighed = swayed(known, signals.get(UNEASE, 0.0))
    reasons = [f"pattern: {name}" for name in triggers]
    if weighed >= rule.tau:
        told = f"{rule.name} {score or 0.0:.3f}"
        if known != (score or 0.0):
            told += f", {known:.3f} {'for its faults' if known > (score or 0.0) else 'as it was drafted anew'}"
        if weighed != known:
            told += f", {weighed:.3f} after what you did here"
        reasons += () if comment else faults
        reasons.append(f"{told} >= {rule.tau:.3f}{_because(rule, signals)}")
    verdict = Verdict.DEFER if reasons else Verdict.KEEP
    scored = weighed if score is not None else None
    if not reasons:
        reasons.append("a comment" if comment else _certain(scored, rule))
    return GatedLine(line, verdict, score, tuple(reasons), signals, scored)


def line_score(signals: Mapping[str, float], rule: Rule) -> float | None:
    """The score that the line's signals have by the rule, in [0, 1], its faults apart; None if no token votes."""
    if rule.score != "learned":
        return signals.get(f"{rule.measure}-{rule.score}")
    return combine(signals, rule.weights) if "tokens" in signals else None


def faulted(score: float, signals: Mapping[str, float], rule: Rule) -> float:
    """The score after what is known of the line's faults, in [0, 1]: half of the way to 1 for one, so that it tells and
    yet one tau holds the rate of all that is deferred; half of the way to 0 for a line drafted anew, whose tokens are
    unsure by the very search that found it sound. A learned score weighs these by itself."""
    if rule.score == "learned":
        return score
    if signals.get(SYNTAX) or signals.get(NAMES):
        return swayed(score, 1.0)
    return swayed(score, -1.0) if signals.get(REPAIRED) else score


def swayed(score: float, unease: float) -> float:
    """The score after what the user did at this place; stays in [0, 1], and the order of scores stays as it is."""
    return score + SWAY * unease * ((1.0 - score) if unease > 0.0 else score)


def _because(rule: Rule, signals: Mapping[str, float]) -> str:
    """The two signals that raised a learned score most."""
    if rule.score != "learned":
        return ""
    parts = {name: weight * signals.get(name, 0.0) for name, weight in rule.weights.items() if name != "bias"}
    raised = sorted((name for name, part in parts.items() if part > 0), key=parts.__getitem__, reverse=True)[:2]
    told = [f"{name} {signals[name]:.2f}" for name in raised]
    return f" ({', '.join(told)})" if told else ""


def _certain(score: float | None, rule: Rule) -> str:
    if score is None:
        return "no entropy known"
    return f"{rule.name} {score:.3f} < {'inf' if math.isinf(rule.tau) else f'{rule.tau:.3f}'}"
