"""What is known of a line apart from its tokens: faults, patterns, whether it is code at all. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp import languages, triggers
from egate_lsp.gate import COMMENT, NAMES, SYNTAX
from egate_lsp.merge import without_overlap
from egate_lsp.names import name_fault
from egate_lsp.values import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from egate_lsp.syntax import Checker
    from egate_lsp.triggers import Pattern
    from egate_lsp.values import FimContext


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is known of a line.

    Attributes:
        comment: it is a comment with more to come, or part of a docstring.
        triggers: names of the patterns that it matches.
        broken: it adds a syntax error; None: not known.
        name_fault: what is wrong with names in words, "" if nothing is; None: not known.
    """

    comment: bool = False
    triggers: tuple[str, ...] = ()
    broken: bool | None = None
    name_fault: str | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """In words."""
        return (("it adds a syntax error",) if self.broken else ()) + ((self.name_fault,) if self.name_fault else ())

    @property
    def signals(self) -> dict[str, float]:
        """For the gate; what is not known is left out."""
        found = {f"trigger-{name}": 1.0 for name in self.triggers}
        if self.comment:
            found[COMMENT] = 1.0
        if self.broken is not None:
            found[SYNTAX] = float(self.broken)
        if self.name_fault is not None:
            found[NAMES] = float(bool(self.name_fault))
        return found


def assess(
    hole: FimContext,
    text: str,
    checker: Checker | None,
    *,
    enabled: Iterable[str] = (),
    patterns: Iterable[Pattern] = (),
    complete: bool | None = None,
) -> Assessment:
    """What is known of `text`, written at the hole.

    Args:
        checker: looks for faults; None: nothing is known of them.
        enabled: names of the triggers to look for; `patterns` are the user's own.
        complete: whether the text fills the hole, so that nothing is written after it; None: by the hole's shape (a
            block is not, nor is a line at whose end people type: its body may follow).
    """
    if hole.shape is Shape.LINE:
        text = without_overlap(text, hole.suffix.partition("\n")[0])
    start = hole.prefix.rpartition("\n")[2]
    before, after = hole.head + hole.prefix, hole.suffix + hole.tail
    filled = complete
    if complete is None:
        filled = hole.shape is Shape.LINE and (not start.strip() or bool(hole.suffix.partition("\n")[0].strip()))
    # Where code is missing, a comment alone is an answer like any other.
    comment = not filled and languages.is_comment(start + text, hole.language)
    comment = comment or languages.is_inside_string(before, hole.language)
    wanted = tuple(enabled)
    told = checker.patterns(before, text, after, hole.language) if checker is not None and wanted else None
    fired = triggers.fired(wanted, hole.prefix, [], text, hole.language, patterns, told)
    if checker is None:
        return Assessment(comment, fired)
    broken = checker.adds_error(before, text, after, hole.language, complete=bool(filled))
    return Assessment(comment, fired, broken, name_fault(before, text, after, hole.language, complete=bool(filled)))
