"""What two models write for the same holes, whether it is right, and what is known of it before a target is asked."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from egate_lsp import merge, signals, triggers
from egate_lsp.assess import assess
from egate_lsp.cascade import Cascade, Policy
from egate_lsp.draft import draft_lines, drawn_lines, line_of, one_line
from egate_lsp.errors import EgateError
from egate_lsp.escalate import Tier, refusal
from egate_lsp.evaluation import curves
from egate_lsp.evaluation.metered import BudgetSpent
from egate_lsp.gate import CHOSEN, REPAIRED
from egate_lsp.models import Limits, Search
from egate_lsp.repair import BRANCHES, better, is_followed, lines_of, reviewed, sound
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
PATIENCE_S = 600.0
DISAGREEMENT = "disagreement"


@dataclass(frozen=True, slots=True)
class Version:
    """A draft, and what becomes of it when it is deferred.

    Attributes:
        text: that would be inserted.
        lines: signals of each line, as the gate sees them, before one is chosen; one for a hole in a line.
        right: by the problem's tests, or equal to the author's text without tests.
        parses: it adds no syntax error; None: not known.
        chosen, chosen_right, chosen_parses: the text inserted when the draft is deferred: the likeliest sound one of
            the target's lines, unless it is refused.
        first_right: the same if the target writes one line only.
    """

    text: str
    lines: tuple[Mapping[str, float], ...]
    right: bool
    chosen: str
    chosen_right: bool
    first_right: bool
    parses: bool | None = None
    chosen_parses: bool | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both models wrote for a problem, and what is known of it.

    Attributes:
        plain: the draft model's own text.
        repaired: the same with faulty lines drafted anew.
        shown: the same with unsure lines chosen from several drafts too, as the cascade does where nobody else is
            asked. The gate judges the line before it is chosen, and what is deferred is that one.
        signals: of the plain draft as a whole, as published rules see it.
        tokens: of the plain draft.
        target, target_right, target_tokens: the target's own text, whether it is right, and how much it wrote.
        best_right, best_tokens: of the likeliest sound one of several lines, all of which count as written.
    """

    problem: Problem
    plain: Version
    repaired: Version
    shown: Version
    signals: Mapping[str, float]
    tokens: tuple[Token, ...]
    target: str
    target_right: bool
    best_right: bool
    target_tokens: int = 0
    best_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Drafted:
    """What the draft wrote for a hole.

    Attributes:
        plain: its own lines.
        shown: those of the cascade without a target.
        disagreement: of several candidates, if they were asked for.
        usage: of the engine, for the plain lines.
    """

    plain: Sequence[DraftLine]
    shown: Sequence[CompletionLine]
    disagreement: float | None
    usage: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Written:
    """What a target wrote for a hole.

    Attributes:
        lines: its own text.
        candidates: the line of each draft of a search, as a tier writes them for a deferred line, that of its own text
            first, or those that it draws, the likeliest first; empty where a tier writes one.
        below: what a review says of each of these, by its text.
        tokens: written in all.
    """

    lines: Sequence[DraftLine]
    candidates: Sequence[DraftLine] = ()
    below: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0

    def best(self, hole: FimContext, assessed: Callable[[str], Assessment]) -> Sequence[DraftLine]:
        """The answer of a tier: the best candidate without a fault, or its own lines."""
        if not self.candidates or not self.candidates[0].text.strip():
            return self.lines
        found = better(self.candidates[0].text, sound(self.candidates, hole, assessed), self.below)
        return self.lines if found is None else [found[0]]


async def collect(
    problems: Sequence[Problem],
    draft: RecordedModel,
    target: RecordedModel,
    checker: Checker,
    verdicts: Verdicts,
    progress: Progress,
    *,
    branches: int = 0,
    choose_at: float = math.inf,
) -> list[Outcome]:
    """Draft each problem, have the target write each and the draft review what it wrote, then test. One model at a
    time: two at once would spoil each other's time. What is recorded already is not written again.

    Args:
        branches: drafts beside the greedy one, for their disagreement.
        choose_at: the score from which a line of the draft's is chosen from several.

    Raises:
        EgateError: a model cannot be loaded, or a target cannot answer.
    """
    drafts = await draft_all(problems, draft, checker, progress, branches=branches, choose_at=choose_at)
    answers = await review_all(problems, await answer_all(problems, target, progress), draft, progress)
    return judge_all(problems, drafts, answers, checker, verdicts, progress)


async def draft_all(
    problems: Sequence[Problem],
    draft: RecordedModel,
    checker: Checker,
    progress: Progress,
    *,
    branches: int = 0,
    choose_at: float = math.inf,
) -> list[Drafted]:
    """The draft's text for each problem; closes the model."""
    found = []
    try:
        for index, problem in enumerate(problems):
            progress(f"{draft.name} drafts", index, len(problems))
            found.append(await _drafted(draft, problem, checker, branches, choose_at))
    finally:
        await draft.aclose()
    return found


async def answer_all(problems: Sequence[Problem], target: RecordedModel, progress: Progress) -> list[Written]:
    """The target's text for each problem, as far as its budget goes; closes the model."""
    found: list[Written] = []
    try:
        for index, problem in enumerate(problems):
            progress(f"{target.name} writes", index, len(problems))
            found.append(await _patiently(target, problem.context))
    except BudgetSpent:
        pass
    finally:
        await target.aclose()
    return found


async def review_all(
    problems: Sequence[Problem], answers: Sequence[Written], reviewer: RecordedModel, progress: Progress
) -> list[Written]:
    """The same with what a model thinks of the text below each of their candidates; closes the model."""
    found = []
    try:
        for index, (problem, answer) in enumerate(zip(problems, answers, strict=False)):
            progress(f"{reviewer.name} reviews", index, len(answers))
            distinct = {line.text: line for line in answer.candidates if line.text.strip()}
            below = await reviewed(reviewer, problem.context, list(distinct.values()))
            found.append(replace(answer, below=below or {}))
    finally:
        await reviewer.aclose()
    return found


def judge_all(
    problems: Sequence[Problem],
    drafts: Sequence[Drafted],
    answers: Sequence[Written] | None,
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
        answer = None if answers is None else answers[index]
        result.append(outcome(problems[index], drafts[index], answer, checker, verdicts))
    verdicts.save()
    return result


async def _drafted(
    model: RecordedModel, problem: Problem, checker: Checker, branches: int, choose_at: float
) -> Drafted:
    hole = problem.context
    disagreement = None
    if branches and hole.shape is Shape.LINE:
        found = await model.candidates(hole, ONE_LINE, Search(branches=branches, top=40))
        lines = [line_of(tokens, own_line=hole.prefix.endswith("\n")) for tokens in found]
        disagreement = signals.disagreement([(line.text, signals.line_logprob(line.tokens)) for line in lines])
    plain = await written(model, hole)
    usage = model.usage()
    # Where more is missing below the hole than its own text, only a hole in a block is judged so.
    if problem.complete:
        cascade = Cascade([Tier(model)], policy(hole, choose_at), checker)
        shown: Sequence[CompletionLine] = (await cascade.complete(hole, invoked=True)).lines
    else:
        shown = [CompletionLine(line.text, Source.DRAFT, tokens=line.tokens) for line in plain]
    return Drafted(plain, shown, disagreement, usage)


def policy(hole: FimContext, choose_at: float = math.inf) -> Policy:
    """Of a cascade that is measured: nothing but the text ends it, and pattern triggers are off."""
    limits = ONE_LINE if hole.shape is Shape.LINE else BLOCK
    lines = BLOCK.max_lines
    return Policy(
        limits.max_tokens,
        lines,
        max_deferrals=lines,
        repairs=lines,
        choose_at=choose_at,
        deadline_s=PATIENCE_S,
        invoked_deadline_s=PATIENCE_S,
    )


async def _patiently(model: RecordedModel, hole: FimContext) -> Written:
    """`_answered`, tried again after errors that may pass by themselves, with growing pauses."""
    for pause in PAUSES_S:
        try:
            return await _answered(model, hole)
        except EgateError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(pause)
    return await _answered(model, hole)


def asking(model: RecordedModel, hole: FimContext) -> Limits:
    """How a target is asked for a line here, as by the cascade: for several draws where one may be chosen."""
    return replace(ONE_LINE, draws=model.draws) if is_followed(hole) else ONE_LINE


async def _answered(model: RecordedModel, hole: FimContext) -> Written:
    limits = asking(model, hole)
    if limits.draws > 1:
        drawn = await drawn_lines(model, hole, limits)
        tokens = int(model.usage().get("generated_tokens", sum(len(line.tokens) for line in drawn)))
        return Written(drawn[:1], drawn, tokens=tokens)
    if not is_followed(hole) or not model.searches:
        lines = await written(model, hole)
        return Written(lines, tokens=sum(len(line.tokens) for line in lines))
    # The search first: its first draft is the model's own text, which need not be written twice.
    found = await model.candidates(hole, ONE_LINE, Search(branches=BRANCHES))
    tokens = int(model.usage().get("generated_tokens", sum(map(len, found))))
    return Written(await written(model, hole), lines_of(found, hole), tokens=tokens)


async def written(model: Model, hole: FimContext) -> list[DraftLine]:
    """What a model writes into the hole: one line, or the lines of a block."""
    if hole.shape is Shape.LINE:
        return [await one_line(model, hole, ONE_LINE)]
    return [line async for line in draft_lines(model, hole, [], BLOCK)]


def outcome(
    problem: Problem, drafted: Drafted, answer: Written | None, checker: Checker, verdicts: Verdicts
) -> Outcome:
    """All texts tested and weighed."""
    hole = problem.context
    plain = inserted(drafted.plain, hole)
    shown = "\n".join(line.text for line in drafted.shown)
    # Only the one line of a hole in a line is ever chosen, and only where it had no fault.
    repaired = plain if any(line.signals.get(CHOSEN) for line in drafted.shown) else shown
    target = plain if answer is None else inserted(answer.lines, hole)
    known: dict[str, Assessment] = {}
    right: dict[str, bool] = {}

    def assessed(text: str) -> Assessment:
        if text not in known:
            known[text] = assess(hole, text, checker, enabled=triggers.NAMES, complete=problem.complete)
        return known[text]

    best = plain if answer is None else inserted(answer.best(hole, assessed), hole)
    for text in (plain, repaired, shown, target, best):
        assessed(text)
        right.setdefault(text, verdicts.right(problem, text))

    def deferred(text: str, theirs: str) -> str:
        refused = answer is None or refusal(hole, text, theirs, known[text], known[theirs])
        return text if refused else theirs

    def version(text: str, lines: tuple[Mapping[str, float], ...], judged: str) -> Version:
        chosen, first = deferred(judged, best), deferred(judged, target)
        return Version(
            text, lines, right[text], chosen, right[chosen], right[first], _parses(known[text]), _parses(known[chosen])
        )

    tokens = tuple(token for line in drafted.plain for token in line.tokens)
    extra = {} if drafted.disagreement is None else {DISAGREEMENT: drafted.disagreement}
    plain_lines = _lines(problem, [(line.text, line.tokens) for line in drafted.plain], checker, extra)
    repaired_lines = plain_lines
    if repaired != plain:
        repaired_lines = _lines(problem, [(line.text, line.tokens) for line in drafted.shown], checker, extra)
        marks = (line.signals.get(REPAIRED, 0.0) for line in drafted.shown)
        repaired_lines = tuple(
            {**line, REPAIRED: anew} if anew else line for line, anew in zip(repaired_lines, marks, strict=True)
        )
    return Outcome(
        problem,
        version(plain, plain_lines, plain),
        version(repaired, repaired_lines, repaired),
        version(shown, repaired_lines, repaired),
        signals.line_signals(tokens) | known[plain].signals | extra,
        tokens,
        target,
        right[target],
        right[best],
        0 if answer is None else sum(len(line.tokens) for line in answer.lines),
        0 if answer is None else answer.tokens,
    )


def _lines(
    problem: Problem, drafted: Sequence[tuple[str, Sequence[Token]]], checker: Checker, extra: dict[str, float]
) -> tuple[Mapping[str, float], ...]:
    """Each line's signals, as the cascade has them when it judges the line."""
    hole = problem.context
    found, texts = [], [text for text, _ in drafted]
    for index, (text, tokens) in enumerate(drafted):
        here = hole.extended("\n".join([*texts[:index], ""])) if index else hole
        ends_block = hole.shape is Shape.BLOCK and index == len(drafted) - 1
        complete = (True if ends_block else None) if problem.complete else False
        known = assess(here, text, checker, enabled=triggers.NAMES, complete=complete)
        found.append(signals.line_signals(tokens) | known.signals | extra)
    return tuple(found)


def groups_of(found: Sequence[Outcome]) -> Any:
    """The number of each outcome's problem or file, shape (n,); intervals are taken over them."""
    return curves.grouped([outcome.problem.group for outcome in found])


def _parses(known: Assessment) -> bool | None:
    return None if known.broken is None else not known.broken


def inserted(lines: Sequence[DraftLine], hole: FimContext) -> str:
    """What the lines become when they are inserted: `merge` cuts what stands after the cursor already."""
    merged = merge.assemble([CompletionLine(line.text, Source.DRAFT) for line in lines], hole)
    return "\n".join(line.text for line in merged)
