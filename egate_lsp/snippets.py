"""How models are shown code of other files: a comment that names the file, then its text. Pure.

In order, the most lasting first, before the text of the file at hand; a last comment names that file, so that nothing
seems to go on from one to the other.

    # pkg/store.py
    def open_store(path: str) -> Store: ...

    # user.py
    from pkg.store import open_store

Comments and not the marks of files that some models know (`<|file_sep|>`): in an exploration with the 0.5B draft, its
prompt in suffix-first order, these were followed by the author's text less often (docs/context.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egate_lsp import languages

if TYPE_CHECKING:
    from collections.abc import Iterable


def part(path: str, text: str, language: str) -> str:
    """One of them, with the empty line that ends it; `language` is that of the file at hand."""
    body = text.strip("\n")
    return f"{heading(path, language)}{body}\n\n"


def rendered(parts: Iterable[tuple[str, str]], path: str, language: str) -> str:
    """What stands before the file at hand, whole lines; "" for no parts.

    Args:
        parts: path and text of each; line breaks as LF.
        path, language: of the file at hand.
    """
    text = "".join(part(name, body, language) for name, body in parts)
    return text + heading(path, language) if text else ""


def heading(path: str, language: str) -> str:
    """The line that names a file; "" for one without a name."""
    return languages.comment(" ".join(path.splitlines()), language) + "\n" if path else ""
