"""Repair before paying: other drafts of a faulty line, decoded together in one batch, and the likeliest sound one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from egate_lsp.draft import Admission, admission, line_of
from egate_lsp.models import Search
from egate_lsp.signals import line_logprob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.assess import Assessment
    from egate_lsp.models import Limits, Searcher
    from egate_lsp.values import DraftLine, FimContext

BRANCHES = 4  # drafts beside the greedy one; the batch of five takes about twice the time of one sequence


async def repaired(
    model: Searcher,
    hole: FimContext,
    written: Sequence[str],
    assess: Callable[[str], Assessment],
    limits: Limits,
    within_s: float | None = None,
) -> tuple[DraftLine, Assessment] | None:
    """The likeliest sound draft, by mean log-probability of its tokens, of the line after `written`; None if each has
    a fault, or would not belong there.

    Args:
        hole: the whole hole, before `written`.
        assess: of a text in the place of the line.
        limits: of the whole completion.
        within_s: then one of the drafts that are whole is taken; None: as long as it takes.

    Raises:
        DraftError: the engine could not search.
    """
    here = hole.extended("\n".join([*written, ""])) if written else hole
    found = await model.candidates(here, replace(limits, max_lines=1), Search(branches=BRANCHES), within_s=within_s)
    sound = []
    for tokens in found:
        line = line_of(tokens, own_line=here.prefix.endswith("\n"))
        if not line.text.strip() or admission(hole, written, line.text, limits.max_lines) is Admission.STOP:
            continue
        known = assess(line.text)
        if not known.faults:
            # A line that others must complete may be sound; one that is known to be is better.
            likely = line_logprob(line.tokens) / max(len(line.tokens), 1)
            sound.append(((known.name_fault is not None, likely), line, known))
    best = max(sound, key=lambda entry: entry[0], default=None)
    return None if best is None else best[1:]
