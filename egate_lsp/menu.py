"""A completion as an entry of a completion menu, for editors without inline completion. Pure."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.values import Source

if TYPE_CHECKING:
    from egate_lsp.values import Completion, CompletionLine

LABEL_CHARS = 40


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """What a menu shows and inserts.

    Attributes:
        label: the first line that is not blank, shortened.
        detail: who wrote it, in a few words.
        documentation: Markdown: the whole text, then the source of each line.
        filter_text: what is typed must match this for the entry to stay. It begins with the word before the cursor and
            goes on as the suggestion does, so that the entry stays while its text is being typed.
        new_text: replaces the word before the cursor; line ends are the document's.
    """

    label: str
    detail: str
    documentation: str
    filter_text: str
    new_text: str


def menu_entry(completion: Completion, *, word: str, language: str, line_break: str) -> MenuEntry:
    """The entry for a completion with text; `word` stands before the cursor."""
    text = word + completion.text
    first = next((line.strip() for line in text.split("\n") if line.strip()), text)
    sources = {line.source for line in completion.lines if line.text.strip()}
    return MenuEntry(
        label=first if len(first) <= LABEL_CHARS else first[: LABEL_CHARS - 1] + "…",
        detail=f"egate-lsp: {' + '.join(source.value for source in Source if source in sources)}",
        documentation="\n".join([_fenced(text, language), "", *_provenance(completion)]),
        filter_text=first,
        new_text=text if line_break == "\n" else text.replace("\n", line_break),
    )


def _fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _provenance(completion: Completion) -> list[str]:
    """One line of Markdown for each run of lines by the same writer."""
    rows = []
    numbered = enumerate(completion.lines, 1)
    for (source, tier), run in itertools.groupby(numbered, key=lambda pair: (pair[1].source, pair[1].tier)):
        lines = list(run)
        first, last = lines[0][0], lines[-1][0]
        where = f"line {first}" if first == last else f"lines {first}-{last}"
        writer = source.value if not tier else f"{source.value} ({tier})"
        rows.append(f"- {where}: {writer}{_scores([line for _, line in lines])}")
    if completion.pending:
        rows.append("- more has not come yet: the draft goes on, or a target is awaited")
    return rows


def _scores(lines: list[CompletionLine]) -> str:
    scores = [line.score for line in lines if line.score is not None]
    return f", uncertainty {max(scores):.2f}" if scores else ""
