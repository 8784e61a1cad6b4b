"""What a drafted line tells of its own uncertainty: per token, per line, and against its rivals. Pure.

Each token is measured in one of four ways, all in [0, 1], 0 for a certain token:

    entropy      H(p) / ln|V| with H(p) = -sum p_i ln p_i in nats
    probability  1 - p of the chosen token
    margin       1 - (p of the likeliest - p of the second)
    surprisal    -ln p of the chosen token / ln|V|, at most 1

and a line's score aggregates its tokens. Where an engine tells the k likeliest probabilities only, the entropy is
estimated from them (`entropy_from_top`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from egate_lsp.values import Token

Measure = Literal["entropy", "probability", "margin", "surprisal"]
Aggregate = Literal["max", "mean", "sum", "top-k", "quantile", "lookahead", "first", "opening"]

MEASURES: tuple[Measure, ...] = ("entropy", "probability", "margin", "surprisal")
AGGREGATES: tuple[Aggregate, ...] = ("max", "mean", "sum", "top-k", "quantile", "lookahead", "first", "opening")
QUANTILE = 0.75
# How far up its bounds the entropy is put where only the k likeliest probabilities are known. Fitted on the tokens of
# the development half of HumanEval-Infilling; docs/gate.md has the error for each k.
TAIL_WEIGHT = 0.25
TAIL_WEIGHT_OF_ONE = 0.1


def votes(token: Token) -> bool:
    """False for indentation, which says nothing about the code; a line break votes: whether the line ends here is a
    question worth being unsure of."""
    return not token.piece or bool(token.piece.strip(b" \t"))


def uncertainty(token: Token, measure: Measure) -> float | None:
    """One token's uncertainty; None where the engine did not tell what it takes, or the token was forced."""
    if not votes(token):
        return None
    match measure:
        case "entropy":
            nats = entropy(token)
            return None if nats is None else _unit(nats / math.log(token.vocabulary))
        case "probability":
            return None if token.logprob is None else _unit(1.0 - math.exp(token.logprob))
        case "margin":
            gap = token.margin if token.margin is not None else top_margin(token)
            return None if gap is None else _unit(1.0 - gap)
        case "surprisal":
            known = token.logprob is not None and token.vocabulary > 1
            return _unit(-token.logprob / math.log(token.vocabulary)) if known else None  # type: ignore[operator]


def entropy(token: Token) -> float | None:
    """The token's entropy in nats: as told, or estimated from its likeliest probabilities."""
    if token.vocabulary < 2:
        return None
    if token.entropy is not None:
        return token.entropy
    return entropy_from_top(token.top, token.vocabulary) if token.top else None


def top_margin(token: Token) -> float | None:
    """The margin, from the likeliest probabilities."""
    return token.top[0] - token.top[1] if len(token.top) > 1 else None


def entropy_bounds(top: Sequence[float], vocabulary: int) -> tuple[float, float]:
    """The least and the greatest entropy in nats that a distribution with these k likeliest probabilities can have.

    The missing mass m = 1 - sum(top) belongs to |V| - k tokens of at most the k-th probability each. The entropy is
    least when as few tokens as possible share it, each with the k-th probability, and greatest when all do evenly.
    """
    known = -sum(p * math.log(p) for p in top if p > 0.0)
    missing = 1.0 - sum(top)
    others = vocabulary - len(top)
    if missing <= 1e-9 or others <= 0 or not top:
        return max(known, 0.0), max(known, 0.0)
    cap = min(top[-1], missing) if top[-1] > 0.0 else missing / others
    full, rest = divmod(missing, cap)
    low = -full * cap * math.log(cap) - (rest * math.log(rest) if rest > 1e-12 else 0.0)
    high = -missing * math.log(missing / others)
    return max(known + min(low, high), 0.0), max(known + high, 0.0)


def entropy_from_top(top: Sequence[float], vocabulary: int) -> float:
    """The entropy in nats estimated from the k likeliest probabilities: `TAIL_WEIGHT` of the way up its bounds."""
    low, high = entropy_bounds(top, vocabulary)
    return low + (TAIL_WEIGHT if len(top) > 1 else TAIL_WEIGHT_OF_ONE) * (high - low)


def aggregate(values: Sequence[float], how: Aggregate, *, window: int = 4, top_k: int = 5) -> float | None:
    """A line's score from its tokens' uncertainties; None if there are none.

    "sum" is 1 - prod(1 - x): a sum that stays in [0, 1]; for "probability" one less the line's own probability.
    "lookahead" is the highest mean over `window` tokens in a row, "first" the mean of the first three, "opening" the
    first alone, "quantile" the third quartile.
    """
    if not values:
        return None
    match how:
        case "max":
            return max(values)
        case "mean":
            return _mean(values)
        case "sum":
            return 1.0 - math.prod(1.0 - min(value, 1.0) for value in values)
        case "top-k":
            return _mean(sorted(values, reverse=True)[:top_k])
        case "quantile":
            return sorted(values)[min(int(QUANTILE * len(values)), len(values) - 1)]
        case "lookahead":
            return highest_window(values, window)
        case "first":
            return _mean(values[:3])
        case "opening":
            return values[0]


def highest_window(values: Sequence[float], width: int) -> float:
    """The highest mean over `width` values in a row; over all of them if they are fewer."""
    if len(values) <= width:
        return _mean(values)
    return max(_mean(values[start : start + width]) for start in range(len(values) - width + 1))


def line_signals(tokens: Sequence[Token], *, window: int = 4, top_k: int = 5) -> dict[str, float]:
    """Every measure by every aggregate, as "entropy-max"; those that the engine tells."""
    found = {}
    for measure in MEASURES:
        values = [value for token in tokens if (value := uncertainty(token, measure)) is not None]
        for how in AGGREGATES:
            score = aggregate(values, how, window=window, top_k=top_k)
            if score is not None:
                found[f"{measure}-{how}"] = score
        if values:
            found["tokens"] = float(len(values))
    return found


def disagreement(candidates: Sequence[tuple[str, float]]) -> float:
    """Share of the candidates' probability on texts other than the first one's, in [0, 1].

    `candidates` are `(text, natural log of its probability)`, the greedy draft first. Texts that differ in white space
    alone are the same.
    """
    if len(candidates) < 2:
        return 0.0
    highest = max(logprob for _, logprob in candidates)
    weights = [math.exp(logprob - highest) for _, logprob in candidates]
    first = "".join(candidates[0][0].split())
    same = sum(weight for (text, _), weight in zip(candidates, weights, strict=True) if "".join(text.split()) == first)
    return 1.0 - same / sum(weights)


def line_logprob(tokens: Sequence[Token]) -> float:
    """Natural log of the line's probability, as far as it is known."""
    return sum(token.logprob for token in tokens if token.logprob is not None)


def combine(signals: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Logistic combination: 1 / (1 + exp(-(bias + sum of weight * signal))); a missing signal counts as 0."""
    total = weights.get("bias", 0.0) + sum(
        weight * signals.get(name, 0.0) for name, weight in weights.items() if name != "bias"
    )
    return 1.0 / (1.0 + math.exp(-min(max(total, -60.0), 60.0)))


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
