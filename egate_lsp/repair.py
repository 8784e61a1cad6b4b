"""The best line without a fault of several that a model wrote for one place: repair of a draft before a target is paid,
the choice where a draft is unsure and nobody else is asked, and the answer of a tier that can search."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from egate_lsp.draft import Admission, admission, line_of, repeats_suffix
from egate_lsp.errors import DraftError
from egate_lsp.merge import without_overlap
from egate_lsp.models import Reviewer, Search
from egate_lsp.signals import line_logprob
from egate_lsp.values import Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from egate_lsp.assess import Assessment
    from egate_lsp.models import Limits, Model, Searcher
    from egate_lsp.values import DraftLine, FimContext, Token

    Sound = tuple[DraftLine, Assessment]

BELOW_WEIGHT = 0.25  # from 0.2 to 0.3 all is the same within a line or two of some 900; 1 is worse (docs/gate.md)
COPIED_LINES = 5  # below the hole, where a copy is looked for; a review reads four of them
BRANCHES = 4  # drafts beside the greedy one; the batch of five takes about twice the time of one sequence


async def repaired(
    model: Searcher,
    hole: FimContext,
    written: Sequence[str],
    assess: Callable[[str], Assessment],
    limits: Limits,
    within_s: float | None = None,
) -> Sound | None:
    """The likeliest sound draft of the line after `written`; None if each has a fault, or would not belong there.

    Args:
        hole: the whole hole, before `written`.
        assess: of a text in the place of the line.
        limits: of the whole completion.
        within_s: then one of the drafts that are whole is taken; None: as long as it takes.

    Raises:
        DraftError: the engine could not search.
    """
    return likeliest(*await _searched(model, hole, written, assess, limits, within_s))


async def preferred(
    model: Searcher,
    hole: FimContext,
    first: str,
    assess: Callable[[str], Assessment],
    limits: Limits,
    within_s: float | None = None,
) -> Sound | None:
    """The sound draft of the line that goes better with the text below than the `first` one; None: the first does best.
    Arguments and errors as for `repaired`, of the first line."""
    return better(first, *await _searched(model, hole, (), assess, limits, within_s))


async def _searched(
    model: Searcher,
    hole: FimContext,
    written: Sequence[str],
    assess: Callable[[str], Assessment],
    limits: Limits,
    within_s: float | None,
) -> tuple[list[Sound], dict[str, float] | None]:
    """The sound drafts of a line, and what a review says of them."""
    started = time.monotonic()
    here = hole.extended("\n".join([*written, ""])) if written else hole
    found = await model.candidates(here, replace(limits, max_lines=1), Search(branches=BRANCHES), within_s=within_s)
    belonging = [
        line
        for line in lines_of(found, here)
        if admission(hole, written, line.text, limits.max_lines) is not Admission.STOP
    ]
    lines = sound(belonging, here, assess)
    left_s = None if within_s is None else within_s - (time.monotonic() - started)
    return lines, await reviewed(model, here, [line for line, _ in lines], left_s)


def lines_of(found: Iterable[Sequence[Token]], hole: FimContext) -> list[DraftLine]:
    """The first line of each of a search's drafts."""
    return [line_of(tokens, own_line=hole.prefix.endswith("\n")) for tokens in found]


def sound(lines: Iterable[DraftLine], hole: FimContext, assess: Callable[[str], Assessment]) -> list[Sound]:
    """Those that are not blank, do not repeat the line below the hole, and have no fault; of several with the same text
    the first. Pure."""
    found: dict[str, Sound] = {}
    for line in lines:
        if line.text in found or not line.text.strip() or repeats_suffix(hole, line.text):
            continue
        known = assess(line.text)
        if not known.faults:
            found[line.text] = line, known
    return list(found.values())


def likeliest(lines: Sequence[Sound], below: Mapping[str, float] | None = None) -> Sound | None:
    """The best of some lines that are sound; None if there is none. Pure.

    With a review it is the line for which ln p(line | text above and below) + ln p(text below | text above and line)
    / 4 is highest: the model's opinion of the line, and what the line makes of what follows (Coder-Reviewer reranking,
    Zhang et al. 2022, arXiv 2211.16490, with the text below in place of an instruction, and weighed, because it has
    many more tokens than the line). Without, that with the highest mean log-probability of its tokens.

    Args:
        below: of each line's text; None, or empty: there was no review.
    """

    def rank(line: DraftLine, known: Assessment) -> tuple[bool, float]:
        logprob = line_logprob(line.tokens)
        likely = logprob + BELOW_WEIGHT * below[line.text] if below else logprob / max(len(line.tokens), 1)
        # A line that others must complete may be sound; one that is known to be is better.
        return known.name_fault is not None, likely

    return max(lines, key=lambda each: rank(*each), default=None)


def better(first: str, lines: Sequence[Sound], below: Mapping[str, float] | None) -> Sound | None:
    """What takes the place of the `first` line of several, by a review, or without one where the first is not sound;
    None: it stays. The likeliest line without a review is right no more often than the first (docs/gate.md). Pure."""
    if not below and any(line.text == first for line, _ in lines):
        return None
    best = likeliest(lines, below)
    return None if best is None or best[0].text == first else best


def is_followed(hole: FimContext) -> bool:
    """Whether the text below goes on where one line fills the hole: below a blank line, and in a block, more may be
    missing, so that it says little of the line. Pure."""
    return hole.shape is Shape.LINE and bool(hole.suffix.partition("\n")[2].partition("\n")[0].strip())


async def reviewed(
    model: Model | Searcher, hole: FimContext, lines: Sequence[DraftLine], within_s: float | None = None
) -> dict[str, float] | None:
    """The log-probability in nats of the text below the hole after each line, by the line's text; empty if there is
    nothing to choose from or no review to be had, None if it would take longer than so many seconds.

    A line that stands below already makes the text there likelier by being a copy of it, whatever its sense: it is
    told what the least likely one is."""
    if len(lines) < 2 or not isinstance(model, Reviewer) or not is_followed(hole):
        return {}
    if within_s is not None and within_s <= 0.0:
        return None
    rest = hole.suffix.partition("\n")[0]
    texts = [without_overlap(line.text, rest) for line in lines]
    if not all(texts):
        return {}
    try:
        found = await model.review(hole, texts, within_s=within_s)
    except DraftError:
        return {}  # what there is already is no worse for it
    if not found:
        return None
    there = {line.strip() for line in hole.suffix.split("\n")[1 : 1 + COPIED_LINES]}
    return {
        line.text: min(found) if line.text.strip() in there else told for line, told in zip(lines, found, strict=True)
    }
