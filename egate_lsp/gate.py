"""Stage 3 of 5: keep a drafted line, or defer it. Pure; calibration and the benches run this very function.

The entropy of a token is H(p) = -sum p_i ln p_i in nats; divided by ln|V| it lies in [0, 1] and can be compared
across vocabularies. A line's score is an aggregate of its tokens' normalised entropies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from egate_lsp.values import GatedLine, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.values import DraftLine, Token


@dataclass(frozen=True, slots=True)
class Rule:
    """How lines are judged.

    Attributes:
        tau: a line whose score is at least this is deferred; in [0, 1], or inf for never.
        lookahead_tokens: window of the score "lookahead".
        top_k: number of tokens in the score "top-k".
    """

    score: Literal["max", "mean", "lookahead", "top-k"] = "max"
    tau: float = math.inf
    lookahead_tokens: int = 4
    top_k: int = 5


def judge(line: DraftLine, rule: Rule, triggers: Sequence[str] = (), *, comment: bool = False) -> GatedLine:
    """The verdict on a line. `triggers` are names of patterns that it or the text before it matches.

    A comment is not judged by its entropy: there the score says less than chance about errors (AUROC 0.38 against
    0.72 in code, arXiv 2606.09577). With tau = 0 every line is deferred; raising tau never defers more.
    """
    score = None if comment else line_score(line.tokens, rule)
    reasons = [f"pattern: {name}" for name in triggers]
    if (score or 0.0) >= rule.tau:
        reasons.append(f"{rule.score} entropy {score or 0.0:.3f} >= {rule.tau:.3f}")
    verdict = Verdict.DEFER if reasons else Verdict.KEEP
    if not reasons:
        reasons.append("a comment" if comment else _certain(score, rule))
    return GatedLine(line, verdict, score, tuple(reasons))


def _certain(score: float | None, rule: Rule) -> str:
    if score is None:
        return "no entropy known"
    return f"{rule.score} entropy {score:.3f} < {'inf' if math.isinf(rule.tau) else f'{rule.tau:.3f}'}"


def line_score(tokens: Sequence[Token], rule: Rule) -> float | None:
    """Aggregate of the normalised entropies of the tokens that vote; None if none does."""
    values = [value for token in tokens if (value := vote(token)) is not None]
    if not values:
        return None
    match rule.score:
        case "max":
            return max(values)
        case "mean":
            return _mean(values)
        case "top-k":
            return _mean(sorted(values, reverse=True)[: rule.top_k])
        case "lookahead":
            return highest_window(values, rule.lookahead_tokens)


def vote(token: Token) -> float | None:
    """The token's normalised entropy; None for a token without one and for indentation, which says nothing about the
    code (but a line break votes: whether the line ends here is a question worth being unsure of)."""
    if token.entropy is None or token.vocabulary < 2 or (token.piece and not token.piece.strip(b" \t")):
        return None
    return min(max(token.entropy / math.log(token.vocabulary), 0.0), 1.0)


def highest_window(values: Sequence[float], width: int) -> float:
    """The highest mean over `width` values in a row; over all of them if they are fewer."""
    if len(values) <= width:
        return _mean(values)
    return max(_mean(values[start : start + width]) for start in range(len(values) - width + 1))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
