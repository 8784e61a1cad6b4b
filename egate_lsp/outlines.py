"""A document's outline by the best that is at hand: its syntax tree, or its lines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from egate_lsp import line_outline, tree_outline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.outline import Entry
    from egate_lsp.syntax import Checker

MAX_CHARS = 1_000_000  # of a document; a larger one has none


def entries(checker: Checker, text: str, language: str, row: int) -> Sequence[Entry]:
    """The outline for a cursor on a row, counted from 0. The tree is derived from the checker's last one of the
    document."""
    if len(text) > MAX_CHARS:
        return []
    root = checker.root(text, language)
    return line_outline.entries(text, language) if root is None else tree_outline.entries(root, language, row)
