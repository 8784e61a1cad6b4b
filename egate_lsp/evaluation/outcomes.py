"""What two models write for the same holes, whether it is right, and what is known of it before a target is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from egate_lsp import merge, signals, triggers
from egate_lsp.assess import assess
from egate_lsp.draft import draft_lines, line_of, one_line
from egate_lsp.errors import EgateError
from egate_lsp.escalate import refusal
from egate_lsp.evaluation.metered import BudgetSpent
from egate_lsp.models import Limits, Search
from egate_lsp.values import CompletionLine, Shape, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from egate_lsp.assess import Assessment
    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.evaluation.verdicts import Verdicts
    from egate_lsp.models import Model
    from egate_lsp.syntax import Checker
    from egate_lsp.values import DraftLine, FimContext, Token

    Progress = Callable[[str, int, int], None]

ONE_LINE = Limits(96, 1)
BLOCK = Limits(192, 16)
PAUSES_S = (2.0, 8.0, 30.0)  # before a failed request is tried again
COMMENT = "comment"  # the signal of a line that the gate does not judge
DISAGREEMENT = "disagreement"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both models wrote for a problem, and what is known of it.

    Attributes:
        lines: signals of each line of the draft, as the gate sees them; one for a hole in a line.
        signals: of the draft as a whole, as published rules see it.
        draft, target: the text that would be inserted.
        chosen: the text that is inserted when the draft is deferred: the target's, unless it is refused.
        draft_right, target_right, chosen_right: by the problem's tests, or equal to the author's text without tests.
        parses: whether draft, target and chosen add no syntax error; None: not known.
        target_tokens: that the target wrote.
        tokens: that the draft wrote.
    """

    problem: Problem
    lines: tuple[Mapping[str, float], ...]
    signals: Mapping[str, float]
    draft: str
    target: str
    chosen: str
    draft_right: bool
    target_right: bool
    chosen_right: bool
    parses: tuple[bool | None, bool | None, bool | None] = (None, None, None)
    target_tokens: int = 0
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Drafted:
    """What the draft wrote for a hole; `disagreement` of its candidates, if there were any; `usage` of the engine."""

    lines: Sequence[DraftLine]
    disagreement: float | None
    usage: Mapping[str, float]


async def collect(
    problems: Sequence[Problem],
    draft: RecordedModel,
    target: RecordedModel,
    checker: Checker,
    verdicts: Verdicts,
    progress: Progress,
    *,
    branches: int = 0,
) -> list[Outcome]:
    """Draft each problem, then have the target write each, then test. One model at a time: two at once would spoil each
    other's time. What is recorded already is not written again.

    Args:
        branches: drafts beside the greedy one, for their disagreement.

    Raises:
        EgateError: a model cannot be loaded, or a target cannot answer.
    """
    drafts = await draft_all(problems, draft, progress, branches=branches)
    answers = await answer_all(problems, target, progress)
    return judge_all(problems, drafts, answers, checker, verdicts, progress)


async def draft_all(
    problems: Sequence[Problem], draft: RecordedModel, progress: Progress, *, branches: int = 0
) -> list[Drafted]:
    """The draft's text for each problem; closes the model."""
    found = []
    try:
        for index, problem in enumerate(problems):
            progress(f"{draft.name} drafts", index, len(problems))
            found.append(await _drafted(draft, problem.context, branches))
    finally:
        await draft.aclose()
    return found


async def answer_all(
    problems: Sequence[Problem], target: RecordedModel, progress: Progress
) -> list[Sequence[DraftLine]]:
    """The target's text for each problem, as far as its budget goes; closes the model."""
    found: list[Sequence[DraftLine]] = []
    try:
        for index, problem in enumerate(problems):
            progress(f"{target.name} writes", index, len(problems))
            found.append(await _patiently(target, problem.context))
    except BudgetSpent:
        pass
    finally:
        await target.aclose()
    return found


def judge_all(
    problems: Sequence[Problem],
    drafts: Sequence[Drafted],
    answers: Sequence[Sequence[DraftLine]] | None,
    checker: Checker,
    verdicts: Verdicts,
    progress: Progress,
) -> list[Outcome]:
    """What became of the problems that have an answer. Without answers nothing is known of a target: the draft's text
    stands for it."""
    result = []
    count = len(drafts) if answers is None else len(answers)
    for index in range(count):
        progress("tests", index, count)
        drafted = drafts[index]
        answer = drafted.lines if answers is None else answers[index]
        found = outcome(problems[index], drafted.lines, answer, checker, verdicts)
        if drafted.disagreement is not None:
            extra = {DISAGREEMENT: drafted.disagreement}
            lines = tuple({**line, **extra} for line in found.lines)
            found = replace(found, lines=lines, signals={**found.signals, **extra})
        result.append(found)
    verdicts.save()
    return result


async def _drafted(model: RecordedModel, hole: FimContext, branches: int) -> Drafted:
    if not branches or hole.shape is Shape.BLOCK:
        lines = await written(model, hole)
        return Drafted(lines, None, model.usage())
    found = await model.candidates(hole, ONE_LINE, Search(branches=branches, top=40))
    lines = [line_of(tokens, own_line=hole.prefix.endswith("\n")) for tokens in found]
    texts = [(line.text, signals.line_logprob(line.tokens)) for line in lines]
    return Drafted(lines[:1], signals.disagreement(texts), model.usage())


async def _patiently(model: Model, hole: FimContext) -> list[DraftLine]:
    """`written`, tried again after errors that may pass by themselves, with growing pauses."""
    for pause in PAUSES_S:
        try:
            return await written(model, hole)
        except EgateError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(pause)
    return await written(model, hole)


async def written(model: Model, hole: FimContext) -> list[DraftLine]:
    """What a model writes into the hole: one line, or the lines of a block."""
    if hole.shape is Shape.LINE:
        return [await one_line(model, hole, ONE_LINE)]
    return [line async for line in draft_lines(model, hole, [], BLOCK)]


def outcome(
    problem: Problem, drafted: Sequence[DraftLine], answer: Sequence[DraftLine], checker: Checker, verdicts: Verdicts
) -> Outcome:
    """Both texts tested and weighed."""
    hole = problem.context
    draft, target = inserted(drafted, hole), inserted(answer, hole)
    known = {text: assess(hole, text, checker, complete=problem.complete) for text in {draft, target}}
    refused = refusal(hole, draft, target, known[draft], known[target])
    chosen = draft if refused else target
    right = {text: verdicts.right(problem, text) for text in {draft, target}}
    tokens = tuple(token for line in drafted for token in line.tokens)
    return Outcome(
        problem,
        _lines(problem, drafted, checker),
        signals.line_signals(tokens) | _signals(known[draft]),
        draft,
        target,
        chosen,
        right[draft],
        right[target],
        right[chosen],
        (_parses(known[draft]), _parses(known[target]), _parses(known[chosen])),
        sum(len(line.tokens) for line in answer),
        tokens,
    )


def _lines(problem: Problem, drafted: Sequence[DraftLine], checker: Checker) -> tuple[Mapping[str, float], ...]:
    """Each line's signals, as the cascade has them when it judges the line."""
    hole = problem.context
    complete = None if problem.complete else False
    found, texts = [], [line.text for line in drafted]
    for index, line in enumerate(drafted):
        here = hole.extended("\n".join([*texts[:index], ""])) if index else hole
        known = assess(here, line.text, checker, enabled=triggers.NAMES, complete=complete)
        found.append(signals.line_signals(line.tokens) | _signals(known))
    return tuple(found)


def _signals(known: Assessment) -> dict[str, float]:
    return known.signals | ({COMMENT: 1.0} if known.comment else {})


def _parses(known: Assessment) -> bool | None:
    return None if known.broken is None else not known.broken


def inserted(lines: Sequence[DraftLine], hole: FimContext) -> str:
    """What the lines become when they are inserted: `merge` cuts what stands after the cursor already."""
    merged = merge.assemble([CompletionLine(line.text, Source.DRAFT) for line in lines], hole)
    return "\n".join(line.text for line in merged)
