"""Deferral rules compared on the same lines, replayed and live."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from egate_lsp import triggers
from egate_lsp.calibration import points_of, tau_at, tau_for
from egate_lsp.cascade import Cascade
from egate_lsp.escalate import Tier
from egate_lsp.evaluation import curves
from egate_lsp.evaluation.outcomes import ONE_LINE, groups_of, policy
from egate_lsp.evaluation.rules import NamedRule
from egate_lsp.gate import Rule
from egate_lsp.pace import Pace
from egate_lsp.values import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.calibration import Points
    from egate_lsp.evaluation.outcomes import Outcome, Progress
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.evaluation.verdicts import Verdicts
    from egate_lsp.syntax import Checker

TABLE_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


def table(found: Sequence[Outcome], compared: Sequence[NamedRule], *, seed: int) -> list[dict[str, Any]]:
    """For each rule: AUROC for "the draft is wrong" and for gain, and the curve with intervals."""
    groups = groups_of(found)
    kept = np.array([float(outcome.plain.right) for outcome in found])
    target = np.array([float(outcome.target_right) for outcome in found])
    repaired = np.array([float(outcome.repaired.right) for outcome in found])
    picked = np.array([float(outcome.shown.right) for outcome in found])
    first = np.array([float(outcome.shown.first_right) for outcome in found])
    chosen = np.array([float(outcome.shown.chosen_right) for outcome in found])
    tokens = np.array([float(outcome.target_tokens) for outcome in found])
    best_tokens = np.array([float(outcome.best_tokens) for outcome in found])
    weights = curves.resamples(groups, seed=seed)
    total = weights.sum(axis=1)
    never, always = kept.mean(), target.mean()
    sampled_never, sampled_always = weights @ kept / total, weights @ target / total
    rows = [
        _fixed("never", float(never), 0.0, sampled_never, 0.0),
        _fixed("always", float(always), 1.0, sampled_always, float(tokens.sum())),
        _fixed("never, faulty lines drafted anew", float(repaired.mean()), 0.0, weights @ repaired / total, 0.0),
        _fixed("never, and unsure lines chosen from several drafts", float(picked.mean()), 0.0,
               weights @ picked / total, 0.0),
        _fixed("always, the target's line refused where it is worse", float(first.mean()), 1.0,
               weights @ first / total, float(tokens.sum())),
        _fixed("always, the likeliest of its lines, refused where it is worse", float(chosen.mean()), 1.0,
               weights @ chosen / total, float(best_tokens.sum())),
    ]  # fmt: skip
    oracle = NamedRule("oracle", lambda _signals: 0.0)
    for rule in (*compared, oracle):
        right = np.array([rule.right(outcome) for outcome in found], dtype=float)
        lines = curves.Lines(right[:, 0], right[:, 1], groups)
        scores = target - kept if rule is oracle else np.array([rule.of(outcome) for outcome in found])
        point = curves.quality(lines, scores, TABLE_SHARES)
        sampled = np.array([curves.quality(lines, scores, TABLE_SHARES, row) for row in weights])
        shares = curves.recovered(point, never, always)
        shares_sampled = curves.recovered(sampled, sampled_never[:, None], sampled_always[:, None])
        paid = np.array([float(rule.tokens(outcome)) for outcome in found])
        spent = curves.quality(curves.Lines(np.zeros(len(found)), paid, groups), scores, TABLE_SHARES) * len(found)
        rows.append(
            {
                "name": rule.name,
                "auroc_error": _number(curves.auroc(scores, lines.kept < 0.5)),
                "auroc_gain": _number(curves.auroc(scores, lines.deferred > lines.kept)),
                "none_deferred": float(lines.kept.mean()),
                "curve": [
                    {
                        "share": share,
                        "pass_at_1": float(point[index]),
                        "recovered": _number(shares[index]),
                        "low": curves.interval(sampled[:, index])[0],
                        "high": curves.interval(sampled[:, index])[1],
                        "recovered_low": _number(curves.interval(shares_sampled[:, index])[0]),
                        "recovered_high": _number(curves.interval(shares_sampled[:, index])[1]),
                        "target_tokens": round(float(spent[index])),
                    }
                    for index, share in enumerate(TABLE_SHARES)
                ],
                "samples": sampled,
            }
        )
    return rows


def differences(rows: Sequence[dict[str, Any]], against: Sequence[str], *, ours: str = "default") -> dict[str, Any]:
    """Quality of ours less that of each rival at each share, with the interval of the difference."""
    by_name = {row["name"]: row for row in rows}
    mine = by_name[ours]
    result = {}
    for name in against:
        rival = by_name[name]
        fixed = len(rival["curve"]) == 1
        gap = mine["samples"] - rival["samples"]
        result[name] = [
            {
                "share": share,
                "difference": point["pass_at_1"] - rival["curve"][0 if fixed else index]["pass_at_1"],
                "low": curves.interval(gap[:, index])[0],
                "high": curves.interval(gap[:, index])[1],
            }
            for index, (share, point) in enumerate(zip(TABLE_SHARES, mine["curve"], strict=True))
        ]
    return result


def realised(
    found: Sequence[Outcome], rule: NamedRule, *, rates: Sequence[float] = (0.1, 0.2, 0.4), seed: int = 7
) -> list[dict[str, float]]:
    """Deferral rate on the half of the problems that tau was not set on, in both directions, averaged; with that tau
    and, as "adaptive", with the controller that begins there and sees the lines one by one, as when serving."""
    first = _half(found, seed)
    scores = np.array([rule.of(outcome) for outcome in found])
    rows = []
    for rate in rates:
        halves = (first, ~first)
        shares = [float((scores[~part] >= tau_at(scores[part], rate)).mean()) for part in halves]
        adaptive = [_paced(scores[~part], points_of(list(scores[part])), rate) for part in halves]
        rows.append(
            {
                "wanted": rate,
                "realised": sum(shares) / 2.0,
                "first": shares[0],
                "second": shares[1],
                "adaptive": sum(adaptive) / 2.0,
            }
        )
    return rows


def _paced(scores: Any, points: Points, rate: float) -> float:
    """The share of these lines that is deferred while the controller follows them."""
    pace = Pace.start(rate, points)
    for score in scores:
        pace.saw(float(score), deferred=bool(score >= pace.tau))
    return pace.deferred / max(pace.lines, 1)


async def live(
    found: Sequence[Outcome],
    draft: RecordedModel,
    target: RecordedModel,
    rule: Rule,
    named: NamedRule,
    checker: Checker,
    verdicts: Verdicts,
    progress: Progress,
    *,
    seed: int = 7,
    rates: Sequence[float],
    choose_at: float = math.inf,
) -> list[dict[str, Any]]:
    """The cascade itself on each problem: drafting, judging, asking, refusing, drafting on, merging.

    Tau for one half of the problems is set on the other; pattern triggers are off, so that the share is the rule's.
    """
    first = _half(found, seed)
    weights = curves.resamples(groups_of(found), seed=seed)
    rows = []
    for rate in rates:
        right, lines, deferred = [], 0, 0
        taus = {
            part: tau_for(
                points_of([named.of(outcome) for outcome, half in zip(found, first, strict=True) if half != part]), rate
            )
            for part in (False, True)
        }
        for index, outcome in enumerate(found):
            progress(f"live at {rate:.0%}", index, len(found))
            tiers = [
                Tier(draft, replace(rule, tau=taus[bool(first[index])])),
                Tier(target, Rule(), ONE_LINE.max_tokens),
            ]
            hole = outcome.problem.context
            completion = await Cascade(tiers, policy(hole, choose_at), checker).complete(hole, invoked=True)
            lines += len(completion.lines)
            deferred += sum(line.verdict is Verdict.DEFER for line in completion.lines)
            right.append(float(verdicts.right(outcome.problem, completion.text)))
        verdicts.save()
        values = np.array(right)
        low, high = curves.interval(weights @ values / weights.sum(axis=1))
        rows.append(
            {
                "wanted": rate,
                "share": deferred / max(lines, 1),
                "lines": lines,
                "pass_at_1": float(values.mean()),
                "low": low,
                "high": high,
            }
        )
    return rows


def triggers_pay(found: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """For each pattern trigger: on how many drafts it fires, and how often draft and target are right there."""
    result = {}
    for name in triggers.NAMES:
        fired = [outcome for outcome in found if any(f"trigger-{name}" in line for line in outcome.shown.lines)]
        if fired:
            result[name] = {
                "lines": len(fired),
                "draft": sum(outcome.shown.right for outcome in fired) / len(fired),
                "target": sum(outcome.shown.chosen_right for outcome in fired) / len(fired),
            }
    return result


def _half(found: Sequence[Outcome], seed: int) -> Any:
    """True for the lines of a half of the problems."""
    groups = groups_of(found)
    chance = np.random.default_rng(seed)
    half = chance.permutation(int(groups.max()) + 1) < (groups.max() + 1) // 2
    return half[groups]


def _fixed(name: str, value: float, share: float, sampled: Any, tokens: float) -> dict[str, Any]:
    low, high = curves.interval(sampled)
    point = {
        "share": share, "pass_at_1": value, "recovered": share, "low": low, "high": high, "target_tokens": round(tokens)
    }  # fmt: skip
    return {
        "name": name,
        "auroc_error": None,
        "auroc_gain": None,
        "curve": [point],
        "samples": np.repeat(np.asarray(sampled)[:, None], len(TABLE_SHARES), axis=1),
    }


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
