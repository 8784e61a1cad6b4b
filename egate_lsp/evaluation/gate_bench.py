"""Deferral rules compared on the same lines: each model writes every line once, then the rules are replayed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from egate_lsp import languages, merge, signals, triggers
from egate_lsp.draft import line_of
from egate_lsp.escalate import refusal
from egate_lsp.evaluation import curves, rules
from egate_lsp.gate import SYNTAX
from egate_lsp.models import Limits, Search
from egate_lsp.values import CompletionLine, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.evaluation.verdicts import Verdicts
    from egate_lsp.syntax import Checker
    from egate_lsp.values import DraftLine, FimContext, Token

ONE_LINE = Limits(96, 1)
DRAFT_SEARCH = Search(branches=4, top=40)
TARGET_SEARCH = Search(top=5)
TABLE_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both models wrote for a problem, and what is known of it.

    Attributes:
        signals: of the draft's line; see `signals` and `gate`.
        draft, target: the text that would be inserted.
        chosen: the text that is inserted when the line is deferred: the target's, unless it is refused.
        draft_right, target_right, chosen_right: by the problem's tests, or equal to the author's text without tests.
        target_tokens: that the target wrote.
    """

    problem: Problem
    signals: Mapping[str, float]
    draft: str
    target: str
    chosen: str
    draft_right: bool
    target_right: bool
    chosen_right: bool
    target_tokens: int
    tokens: tuple[Token, ...] = ()


async def outcomes(
    problems: Sequence[Problem],
    draft: RecordedModel,
    target: RecordedModel,
    checker: Checker,
    verdicts: Verdicts,
    progress: Callable[[str, int, int], None],
) -> list[Outcome]:
    """Draft each line, then have the target write each, then test. One model at a time: two at once would spoil each
    other's time. What is recorded already is not written again.

    Raises:
        EgateError: a model cannot be loaded.
    """
    drafts = [await _drafts(draft, problem, progress, index, len(problems)) for index, problem in enumerate(problems)]
    await draft.aclose()
    lines = []
    for index, problem in enumerate(problems):
        progress(f"{target.name} writes", index, len(problems))
        found = await target.candidates(problem.context, ONE_LINE, TARGET_SEARCH)
        lines.append(_line(problem.context, found[0]))
    await target.aclose()
    result = []
    for index, (problem, candidates, line) in enumerate(zip(problems, drafts, lines, strict=True)):
        progress("tests", index, len(problems))
        result.append(_outcome(problem, candidates, line, checker, verdicts))
    verdicts.save()
    return result


async def _drafts(
    draft: RecordedModel, problem: Problem, progress: Callable[[str, int, int], None], index: int, total: int
) -> list[DraftLine]:
    progress(f"{draft.name} drafts", index, total)
    found = await draft.candidates(problem.context, ONE_LINE, DRAFT_SEARCH)
    return [_line(problem.context, tokens) for tokens in found]


def _line(context: FimContext, tokens: Sequence[Token]) -> DraftLine:
    return line_of(tokens, own_line=context.prefix.endswith("\n"))


def _outcome(
    problem: Problem, candidates: Sequence[DraftLine], line: DraftLine, checker: Checker, verdicts: Verdicts
) -> Outcome:
    texts = [inserted(candidate.text, problem.context) for candidate in candidates]
    target = inserted(line.text, problem.context)
    broken = {text: adds_error(checker, problem, text) for text in (texts[0], target)}
    found = line_signals(problem, candidates, texts, broken=bool(broken[texts[0]]))
    refused = refusal(problem.context, texts[0], target, draft_broken=broken[texts[0]], line_broken=broken[target])
    chosen = texts[0] if refused else target
    right = {text: verdicts.right(problem, text) for text in {texts[0], target}}
    return Outcome(
        problem, found, texts[0], target, chosen, right[texts[0]], right[target], right[chosen], len(line.tokens),
        candidates[0].tokens,
    )  # fmt: skip


def line_signals(
    problem: Problem, candidates: Sequence[DraftLine], texts: Sequence[str], *, broken: bool
) -> dict[str, float]:
    """All that is known of a drafted line before a target is asked."""
    tokens = candidates[0].tokens
    found = signals.line_signals(tokens)
    whole = problem.context.prefix.rpartition("\n")[2] + texts[0]
    language = problem.context.language
    comment = languages.is_comment(whole, language) or languages.is_inside_string(problem.before, language)
    found[SYNTAX] = float(broken)
    found["comment"] = float(comment)
    found["disagreement"] = signals.disagreement(
        [(text, signals.line_logprob(line.tokens)) for text, line in zip(texts, candidates, strict=True)]
    )
    margins = [value for token in tokens if (value := signals.uncertainty(token, "margin")) is not None]
    found["margin-opening"] = margins[0] if margins else 0.0
    return found


def inserted(text: str, context: FimContext) -> str:
    """What a line becomes when it is inserted: `merge` cuts what stands after the cursor already."""
    lines = merge.assemble([CompletionLine(text, Source.DRAFT)], context)
    return lines[0].text if lines else ""


def adds_error(checker: Checker, problem: Problem, text: str) -> bool | None:
    """See `syntax.Checker.adds_error`."""
    return checker.adds_error(problem.before, text, problem.after, problem.context.language)


def table(found: Sequence[Outcome], compared: Sequence[rules.NamedRule], *, seed: int) -> list[dict[str, Any]]:
    """For each rule: AUROC for "the draft is wrong" and for gain, and the curve with intervals."""
    groups = _groups(found)
    kept = np.array([float(outcome.draft_right) for outcome in found])
    target = np.array([float(outcome.target_right) for outcome in found])
    chosen = np.array([float(outcome.chosen_right) for outcome in found])
    weights = curves.resamples(groups, seed=seed)
    total = weights.sum(axis=1)
    never, always = kept.mean(), target.mean()
    sampled_never, sampled_always = weights @ kept / total, weights @ target / total
    fixed = [
        _fixed("never", float(never), 0.0, sampled_never),
        _fixed("always", float(always), 1.0, sampled_always),
    ]
    rows = []
    oracle = rules.NamedRule("oracle", lambda _signals: 0.0)
    for rule in (*compared, oracle):
        lines = curves.Lines(kept, chosen if rule.ours else target, groups)
        scores = np.array([rule.score(outcome.signals) for outcome in found])
        if rule is oracle:
            scores = target - kept
        point = curves.quality(lines, scores, TABLE_SHARES)
        sampled = np.array([curves.quality(lines, scores, TABLE_SHARES, row) for row in weights])
        shares = curves.recovered(point, never, always)
        shares_sampled = curves.recovered(sampled, sampled_never[:, None], sampled_always[:, None])
        rows.append(
            {
                "name": rule.name,
                "auroc_error": _number(curves.auroc(scores, kept < 0.5)),
                "auroc_gain": _number(curves.auroc(scores, (target > kept))),
                "curve": [
                    {
                        "share": share,
                        "pass_at_1": float(point[index]),
                        "recovered": _number(shares[index]),
                        "low": curves.interval(sampled[:, index])[0],
                        "high": curves.interval(sampled[:, index])[1],
                        "recovered_low": _number(curves.interval(shares_sampled[:, index])[0]),
                        "recovered_high": _number(curves.interval(shares_sampled[:, index])[1]),
                    }
                    for index, share in enumerate(TABLE_SHARES)
                ],
                "samples": sampled,
            }
        )
    return [*fixed, *rows]


def differences(rows: Sequence[dict[str, Any]], against: Sequence[str], *, ours: str = "default") -> dict[str, Any]:
    """Quality of ours less that of each rival at each share, with the interval of the difference."""
    by_name = {row["name"]: row for row in rows}
    mine = by_name[ours]
    result = {}
    for name in against:
        rival = by_name[name]
        gap = mine["samples"] - rival["samples"]
        result[name] = [
            {
                "share": share,
                "difference": mine["curve"][index]["pass_at_1"] - rival["curve"][index]["pass_at_1"],
                "low": curves.interval(gap[:, index])[0],
                "high": curves.interval(gap[:, index])[1],
            }
            for index, share in enumerate(TABLE_SHARES)
        ]
    return result


def realised(
    found: Sequence[Outcome], rule: rules.NamedRule, *, rates: Sequence[float] = (0.1, 0.2, 0.4), seed: int = 7
) -> list[dict[str, float]]:
    """Deferral rate on the half of the problems that tau was not set on, in both directions, averaged."""
    groups = _groups(found)
    chance = np.random.default_rng(seed)
    half = chance.permutation(int(groups.max()) + 1) < (groups.max() + 1) // 2
    first = half[groups]
    scores = np.array([rule.score(outcome.signals) for outcome in found])
    rows = []
    for rate in rates:
        shares = [float((scores[~part] >= curves.tau_at(scores[part], rate)).mean()) for part in (first, ~first)]
        rows.append({"wanted": rate, "realised": sum(shares) / 2.0, "first": shares[0], "second": shares[1]})
    return rows


def target_tokens(found: Sequence[Outcome], rule: rules.NamedRule, share: float) -> int:
    """Tokens that the target writes when this share of lines is deferred."""
    ranked = sorted(found, key=lambda outcome: rule.score(outcome.signals), reverse=True)
    return sum(outcome.target_tokens for outcome in ranked[: round(share * len(ranked))])


def triggers_pay(found: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """For each pattern trigger: on how many lines it fires, and how often draft and target are right there."""
    result = {}
    for name in triggers.NAMES:
        fired = [
            outcome
            for outcome in found
            if triggers.fired((name,), (hole := outcome.problem.context).prefix, [], outcome.draft, hole.language)
        ]
        if fired:
            result[name] = {
                "lines": len(fired),
                "draft": sum(outcome.draft_right for outcome in fired) / len(fired),
                "target": sum(outcome.target_right for outcome in fired) / len(fired),
            }
    return result


def _groups(found: Sequence[Outcome]) -> Any:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(outcome.problem.group, len(numbers)) for outcome in found])


def _fixed(name: str, value: float, share: float, sampled: Any) -> dict[str, Any]:
    low, high = curves.interval(sampled)
    point = {"share": share, "pass_at_1": value, "recovered": share, "low": low, "high": high}
    return {"name": name, "auroc_error": None, "auroc_gain": None, "curve": [point], "samples": None}


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
