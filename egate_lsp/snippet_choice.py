"""Which of the parts of other files that were found are shown, and in which order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp import snippets as rendering
from egate_lsp.models.reply import SPECIAL
from egate_lsp.values import WindowPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from egate_lsp.values import FimContext, Snippet

MOST_LEFT_OUT = 8  # are told of


@dataclass(frozen=True, slots=True)
class Choice:
    """What is shown beside a hole.

    Attributes:
        left_out: what was found and is not, with the reason.
    """

    snippets: tuple[Snippet, ...] = ()
    left_out: tuple[WindowPart, ...] = ()

    def renewal(self, former: Choice) -> float:
        """The share of its characters that the former choice has not."""
        chars = sum(len(each.text) for each in self.snippets)
        fresh = sum(len(each.text) for each in self.snippets if each not in former.snippets)
        return fresh / chars if chars else float(bool(former.snippets))


def choose(found: Sequence[Sequence[Snippet]], hole: FimContext, chars: int, former: Choice | None = None) -> Choice:
    """Take the best of each list in turn as long as there is room.

    Args:
        found: lists of different origins, each with its best first; the list that changes least stands first, and so
            do its snippets in what is shown.
        chars: what all of it may cost as it is rendered.
        former: what is shown now. What is still wanted of it keeps its order and stands before what is new, so that
            the draft engine has as much as possible read already.
    """
    taken: list[tuple[int, int, Snippet]] = []
    left_out: list[WindowPart] = []
    spent = len(rendering.heading(hole.path, hole.language))
    for rank, (origin, snippet) in enumerate(_in_turn(found)):
        if _is_idle(snippet, hole, [each for *_, each in taken]):
            continue
        cost = len(rendering.part(snippet.path, snippet.text, hole.language))
        if spent + cost <= chars:
            taken.append((origin, rank, snippet))
            spent += cost
        else:
            left_out.append(left(snippet, hole, "no room (context.snippet_chars)"))
    known = {each: index for index, each in enumerate(former.snippets)} if former is not None else {}
    # Of what is new the best stands last, nearest to the text.
    taken.sort(key=lambda each: (each[0], known.get(each[2], len(known)), -each[1]))
    return Choice(tuple(each for *_, each in taken), tuple(left_out[:MOST_LEFT_OUT]))


def left(snippet: Snippet, hole: FimContext, reason: str) -> WindowPart:
    """A snippet that is not shown, for the explanation."""
    cost = len(rendering.part(snippet.path, snippet.text, hole.language))
    return WindowPart(f"{snippet.source}: {snippet.path}", cost, left_out=reason)


def _in_turn(found: Sequence[Sequence[Snippet]]) -> Iterator[tuple[int, Snippet]]:
    for rank in range(max(map(len, found), default=0)):
        for origin, ranked in enumerate(found):
            if rank < len(ranked):
                yield origin, ranked[rank]


def _is_idle(snippet: Snippet, hole: FimContext, taken: Sequence[Snippet]) -> bool:
    """It tells nothing new, or could be taken for a mark of the prompt."""
    text = snippet.text.strip()
    if not text or SPECIAL.search(snippet.text):
        return True
    if snippet.file == hole.file and (text in hole.prefix or text in hole.suffix):
        return True
    return any(text in each.text for each in taken)
