"""Other drafts of a line for whoever asks by hand and wants to choose: decoded in one batch, as for a repair."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from egate_lsp.draft import Admission, admission, line_of
from egate_lsp.models import Search
from egate_lsp.signals import line_logprob

if TYPE_CHECKING:
    from collections.abc import Callable

    from egate_lsp.assess import Assessment
    from egate_lsp.models import Limits, Searcher
    from egate_lsp.values import DraftLine, FimContext

SPARE = 2  # branches beyond the wanted count: some come out alike


async def alternatives(
    model: Searcher,
    hole: FimContext,
    shown: str,
    assess: Callable[[str], Assessment],
    limits: Limits,
    *,
    count: int,
) -> list[tuple[DraftLine, Assessment]]:
    """At most `count` drafts of the first line that differ from `shown`, which is there already, and from each other.

    Those without a fault come first, then the likelier ones by the mean log-probability of their tokens.

    Args:
        assess: of a text in the place of the line.
        limits: of the whole completion.

    Raises:
        DraftError: the engine could not search.
    """
    found = await model.candidates(hole, replace(limits, max_lines=1), Search(branches=count + SPARE))
    seen = {shown.strip()}
    ranked = []
    for tokens in found:
        line = line_of(tokens, own_line=hole.prefix.endswith("\n"))
        text = line.text.strip()
        if not text or text in seen or admission(hole, (), line.text, limits.max_lines) is Admission.STOP:
            continue
        seen.add(text)
        known = assess(line.text)
        ranked.append(((not known.faults, line_logprob(line.tokens) / max(len(line.tokens), 1)), line, known))
    ranked.sort(key=lambda entry: entry[0], reverse=True)
    return [(line, known) for _, line, known in ranked[:count]]
