"""Cascades of any number of tiers on the same lines, replayed and live: what is right, who wrote it, what was spent."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from egate_lsp import triggers
from egate_lsp.assess import assess
from egate_lsp.calibration import tau_at
from egate_lsp.cascade import Cascade
from egate_lsp.escalate import Tier, refusal
from egate_lsp.evaluation import curves
from egate_lsp.evaluation.outcomes import ONE_LINE, answer_all, draft_all, inserted, policy, review_all
from egate_lsp.evaluation.rules import gate_score
from egate_lsp.gate import REPAIRED, Rule
from egate_lsp.signals import line_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.assess import Assessment
    from egate_lsp.evaluation.outcomes import Progress
    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.evaluation.verdicts import Verdicts
    from egate_lsp.syntax import Checker


@dataclass(frozen=True, slots=True)
class Said:
    """A model's line for a problem: its text, its score by the gate's rule, what is known of it, and its tokens."""

    text: str
    score: float
    known: Assessment
    tokens: int


@dataclass(slots=True)
class Tally:
    """What a cascade did.

    Attributes:
        right: for each problem 1.0 or 0.0.
        shown: lines that each model wrote of those that are shown.
        asked: lines that each model was asked for.
        tokens: that each model wrote.
    """

    right: list[float] = field(default_factory=list)
    shown: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)


async def lines_of(
    model: RecordedModel,
    problems: Sequence[Problem],
    rule: Rule,
    checker: Checker,
    progress: Progress,
    *,
    before: RecordedModel | None,
) -> list[Said]:
    """What a model writes for each hole. The first of a cascade has its faulty lines drafted anew; those of another are
    reviewed by the one before it. Closes the models."""
    score = gate_score(rule)

    def assessor(problem: Problem) -> Callable[[str], Assessment]:
        return lambda text: assess(problem.context, text, checker, enabled=triggers.NAMES, complete=problem.complete)

    found = []
    if before is None:
        drafted = await draft_all(problems, model, checker, progress)
        texts = ["\n".join(line.text for line in each.shown) for each in drafted]
        tokens = [tuple(token for line in each.shown for token in line.tokens) for each in drafted]
        marked = [any(line.signals.get(REPAIRED) for line in each.shown) for each in drafted]
        anew = [{REPAIRED: 1.0} if mark else {} for mark in marked]
        counts = list(map(len, tokens))
    else:
        answers = await review_all(problems, await answer_all(problems, model, progress), before, progress)
        chosen = [
            each.best(problem.context, assessor(problem)) for each, problem in zip(answers, problems, strict=True)
        ]
        texts = [inserted(lines, problem.context) for lines, problem in zip(chosen, problems, strict=True)]
        tokens = [tuple(token for line in lines for token in line.tokens) for lines in chosen]
        anew = [{} for _ in answers]
        counts = [each.tokens for each in answers]
    for problem, text, written, extra, count in zip(problems, texts, tokens, anew, counts, strict=True):
        known = assessor(problem)(text)
        found.append(Said(text, score(line_signals(written) | known.signals | extra), known, count))
    return found


def taus_for(said: Sequence[Sequence[Said]], rates: Sequence[float], half: Any) -> list[tuple[float, float]]:
    """For each tier but the last the tau that defers its rate of the lines that reach it: for the problems of the one
    half set on the other, `(for half == False, for half == True)`."""
    taus = []
    reach = np.ones(len(half), dtype=bool)
    for lines, rate in zip(said, rates, strict=False):
        scores = np.array([line.score for line in lines])
        pair = tuple(tau_at(list(scores[reach & (half != part)]), rate) for part in (False, True))
        taus.append((pair[0], pair[1]))
        reach &= scores >= np.where(half, pair[1], pair[0])
    return taus


def replayed(
    problems: Sequence[Problem],
    names: Sequence[str],
    said: Sequence[Sequence[Said]],
    taus: Sequence[tuple[float, float]],
    half: Any,
    verdicts: Verdicts,
) -> Tally:
    """The cascade on what the models have written: each tier's line is kept or left to the next."""
    tally = Tally()
    for index, problem in enumerate(problems):
        best, writer = said[0][index], names[0]
        draft = best
        for tier, name in enumerate(names):
            line = said[tier][index]
            tally.asked[name] += 1
            tally.tokens[name] += line.tokens
            if tier == 0 or not refusal(problem.context, best.text, line.text, best.known, line.known):
                best, writer = line, name
            if tier == len(taus) or line.score < taus[tier][int(half[index])]:
                break
        if writer != names[0] and refusal(problem.context, draft.text, best.text, draft.known, best.known):
            best, writer = draft, names[0]
        tally.shown[writer] += 1
        tally.right.append(float(verdicts.right(problem, best.text)))
    return tally


async def live(
    problems: Sequence[Problem],
    models: Sequence[RecordedModel],
    taus: Sequence[tuple[float, float]],
    rule: Rule,
    half: Any,
    checker: Checker,
    verdicts: Verdicts,
    progress: Callable[[int], None],
) -> Tally:
    """The cascade itself on each problem; pattern triggers are off, so that the shares are the rule's."""
    tally = Tally()
    for index, problem in enumerate(problems):
        progress(index)
        tiers = [
            Tier(
                model,
                replace(rule, tau=taus[tier][int(half[index])]) if tier < len(taus) else Rule(),
                ONE_LINE.max_tokens,
            )
            for tier, model in enumerate(models)
        ]
        completion = await Cascade(tiers, policy(problem.context), checker).complete(problem.context, invoked=True)
        tally.right.append(float(verdicts.right(problem, completion.text)))
        tally.asked[models[0].name] += 1
        tally.tokens[models[0].name] += int(completion.stats.get("generated_tokens", 0))
        for line in completion.lines:
            tally.shown[line.tier] += 1
        for request in completion.requests:
            tally.asked[request.tier] += 1
            tally.tokens[request.tier] += request.completion_tokens or 0
    return tally


def row_of(tally: Tally, names: Sequence[str], weights: Any) -> dict[str, Any]:
    """Figures of a cascade, with the interval over problems."""
    right = np.array(tally.right)
    low, high = curves.interval(weights @ right / weights.sum(axis=1))
    lines = max(sum(tally.shown.values()), 1)
    return {
        "right": float(right.mean()),
        "low": low,
        "high": high,
        "shown": {name: tally.shown[name] / lines for name in names},
        "asked": {name: tally.asked[name] / max(len(right), 1) for name in names},
        "tokens": {name: tally.tokens[name] for name in names},
    }


async def compare(
    problems: Sequence[Problem],
    models: Sequence[RecordedModel],
    rates: Sequence[Sequence[float]],
    rule: Rule,
    checker: Checker,
    verdicts: Verdicts,
    progress: Progress,
    *,
    seed: int = 7,
    alive: bool = True,
) -> dict[str, Any]:
    """All tiers, the first and the last alone, and the last two alone, on the same lines. In the replays the lines of
    the last are those which the one before it among all chose.

    Args:
        rates: for each run the share that each tier defers of the lines that reach it. Of the first and the last alone
            the draft defers as much as with the others between them; of the last two alone as many lines reach the
            last one.
    """
    names = [model.name for model in models]
    said = [
        await lines_of(model, problems, rule, checker, progress, before=before)
        for model, before in zip(models, (None, *models), strict=False)
    ]
    as_draft = await lines_of(models[-2], problems, rule, checker, progress, before=None)
    groups = curves.grouped([problem.group for problem in problems])
    weights = curves.resamples(groups, seed=seed)
    chance = np.random.default_rng(seed)
    half = (chance.permutation(int(groups.max()) + 1) < (groups.max() + 1) // 2)[groups]
    rows = []
    for chosen in rates:
        for tiers, texts, wanted in (
            (models, said, tuple(chosen)),
            ([models[0], models[-1]], [said[0], said[-1]], (chosen[0],)),
            (models[-2:], [as_draft, said[-1]], (float(np.prod(chosen)),)),
        ):
            own = [model.name for model in tiers]
            taus = taus_for(texts, wanted, half)
            row: dict[str, Any] = {"tiers": own, "rates": list(wanted)}
            row["replayed"] = row_of(replayed(problems, own, texts, taus, half, verdicts), own, weights)
            if alive:
                stage = f"live: {', '.join(own)} at {', '.join(f'{rate:.0%}' for rate in wanted)}"
                seen = functools.partial(_progressed, progress, stage, len(problems))
                row["live"] = row_of(
                    await live(problems, tiers, taus, rule, half, checker, verdicts, seen), own, weights
                )
            rows.append(row)
    alone = {
        name: float(
            np.mean([verdicts.right(problem, line.text) for problem, line in zip(problems, lines, strict=True)])
        )
        for name, lines in zip((f"{names[0]}, drafted anew", *names[1:]), said, strict=True)
    }
    verdicts.save()
    return {"lines": len(problems), "groups": int(groups.max()) + 1, "alone": alone, "rows": rows}


def _progressed(progress: Progress, stage: str, total: int, done: int) -> None:
    progress(stage, done, total)
