"""Does a line add a syntax error to a document? By tree-sitter, incrementally; for Python by its own parser too. Pure.

Code that is being typed is often broken. So an error counts only if the text around the hole does not explain it: the
same parse without the line is looked at beside it, and a file that is broken there already is given the benefit of the
doubt. tree-sitter's Python grammar accepts much that Python does not (indentation above all), so there the block of
top-level code around the hole is parsed by `ast` first: alone it is small, and its errors are exact.
"""

from __future__ import annotations

import ast
import importlib
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tree_sitter

from egate_lsp import languages, tree_triggers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_BYTES = 1_000_000  # of a document; a larger one is not checked
MAX_BLOCK_CHARS = 6000  # of Python's top-level block; parsing a larger one would take too long at each line
KEPT_TREES = 4
# LSP identifier -> module and function, where they do not follow from it.
_GRAMMARS = {
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "typescriptreact": ("tree_sitter_typescript", "language_tsx"),
    "javascriptreact": ("tree_sitter_javascript", "language"),
    "shellscript": ("tree_sitter_bash", "language"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "php": ("tree_sitter_php", "language_php"),
}
NEARBY_BYTES = 2000  # an error so near above the line may reach into it
# What may stand in a hole: if the code parses with one of them, its surroundings are sound. On a line of its own
# nothing that closes a bracket: that may be one which is open by mistake.
_OWN_LINE = ("", "pass", "if 0:", "else:", "elif 0:", "try:", "0,")
_MID_LINE = ("", "0", "0:", "0)", "0]", "0}", "0):", "a", "a:", "()", "():", "0,")


@dataclass(frozen=True, slots=True)
class _Parsed:
    text: bytes
    tree: tree_sitter.Tree


_Line = tuple[str, bytes, bytes, bytes]  # language, the document before the line, the line, the document after it


@dataclass(frozen=True, slots=True, order=True)
class _Fault:
    """An ERROR or MISSING node, by bytes."""

    start: int
    end: int
    missing: str


class Checker:
    """Keeps the trees of the documents it saw last, so that a check parses only what has changed."""

    def __init__(self) -> None:
        self._parsers: dict[str, tree_sitter.Parser | None] = {}
        self._kept: OrderedDict[str, _Parsed] = OrderedDict()
        self._last: tuple[_Line, tuple[_Parsed, tree_sitter.Tree, list[tuple[int, int]]]] | None = None

    def adds_error(self, before: str, line: str, after: str, language: str, *, complete: bool = True) -> bool | None:
        """Does the document have a syntax error with `line` between `before` and `after` that is the line's own?

        Args:
            before, after: the whole document before and after the cursor; `after` begins with the rest of its line.
            complete: False if more lines will follow `line`: then a missing body or an open bracket is no error. A text
                that fills the hole may be wrong by being empty.

        Returns:
            None where no grammar is installed for the language, or the document is too large.
        """
        if len(before) + len(after) > MAX_BYTES or not (line.strip() or (complete and language == "python")):
            return None if self._parser(language) is None else False
        if not complete and _goes_on(before, line, language):
            return False
        if language == "python":
            verdict = _python_adds_error(before, line, after)
            if verdict is not None:
                return verdict
        parser = self._parser(language)
        return None if parser is None else self._tree_adds_error(parser, language, before, line, after)

    def patterns(self, before: str, line: str, after: str, language: str) -> frozenset[str] | None:
        """Names of the pattern triggers that the line matches, as the whole line of the document that it will become;
        None where the tree does not tell: no grammar, a large document, or a line that does not parse."""
        size = len(before) + len(line) + len(after)
        if language == "python" and size > MAX_BLOCK_CHARS:  # its blocks can be told apart without parsing the file
            before, after = python_block(before, after)
            size = len(before) + len(line) + len(after)
        parser = self._parser(language) if size <= (MAX_BLOCK_CHARS if language == "python" else MAX_BYTES) else None
        if parser is None:
            return None
        head, middle, tail = (text.encode("utf-8", "replace") for text in (before, line, after))
        if language == "python":
            tree = parser.parse(head + middle + tail)
        else:
            _, tree, _ = self._with_line(parser, language, head, middle, tail)
        start, end = head.rfind(b"\n") + 1, len(head) + len(middle)
        if any(_faults(tree.root_node, [(start, end)])):
            return None
        return tree_triggers.found(tree.root_node, start, end)

    def root(self, text: str, language: str) -> tree_sitter.Node | None:
        """The document's syntax tree, derived from the one it had before; None without a grammar, or if it is too
        large."""
        parser = self._parser(language) if len(text) <= MAX_BYTES else None
        return None if parser is None else self._base(parser, language, text.encode("utf-8", "replace")).tree.root_node

    def _tree_adds_error(self, parser: tree_sitter.Parser, language: str, before: str, line: str, after: str) -> bool:
        head, middle, tail = (text.encode("utf-8", "replace") for text in (before, line, after))
        base, tree, changed = self._with_line(parser, language, head, middle, tail)
        if not tree.root_node.has_error:
            return False
        start, end = len(head), len(head) + len(middle)
        # What differs lies where the trees do; the rest of the file need not be looked at.
        ranges = [*changed, (start, end)]
        found = set(_faults(tree.root_node, ranges))
        known = {
            _Fault(
                fault.start + (len(middle) if fault.start >= start else 0),
                fault.end + (len(middle) if fault.end > start else 0),
                fault.missing,
            )
            for fault in _faults(base.tree.root_node, [_without(each, start, end) for each in ranges])
        }
        own = found - known
        if not own:
            return False
        if not base.tree.root_node.has_error:
            return True
        # The file is broken: only errors that touch the line count, and only if there are more of them than before
        # and the text was whole where the line stands.
        touching = [fault for fault in own if fault.start <= end and fault.end >= start]
        around = any(_faults(base.tree.root_node, [(start - NEARBY_BYTES, start)]))
        return bool(touching) and not around and len(found) > len(known)

    def _with_line(
        self, parser: tree_sitter.Parser, language: str, head: bytes, middle: bytes, tail: bytes
    ) -> tuple[_Parsed, tree_sitter.Tree, list[tuple[int, int]]]:
        """The document without the line, its tree with it, and where these differ; kept for the next question about
        the same line."""
        key = (language, head, middle, tail)
        if self._last is None or self._last[0] != key:
            base = self._base(parser, language, head + tail)
            self._last = (key, (base, *_reparsed(parser, base, head + middle + tail)))
        return self._last[1]

    def _base(self, parser: tree_sitter.Parser, language: str, text: bytes) -> _Parsed:
        """The tree of the document without the line, made from the tree most like it."""
        for key, parsed in reversed(self._kept.items()):
            if key.startswith(f"{language} ") and _alike(parsed.text, text):
                del self._kept[key]
                base = parsed if parsed.text == text else _Parsed(text, _reparsed(parser, parsed, text)[0])
                break
        else:
            base = _Parsed(text, parser.parse(text))
        self._kept[f"{language} {hash(text)}"] = base
        while len(self._kept) > KEPT_TREES:
            self._kept.popitem(last=False)
        return base

    def _parser(self, language: str) -> tree_sitter.Parser | None:
        if language not in self._parsers:
            self._parsers[language] = _open(language)
        return self._parsers[language]


def _open(language: str) -> tree_sitter.Parser | None:
    if not language.isidentifier():
        return None
    module, function = _GRAMMARS.get(language, (f"tree_sitter_{language}", "language"))
    try:
        grammar = getattr(importlib.import_module(module), function)()
        return tree_sitter.Parser(tree_sitter.Language(grammar))
    except (ImportError, AttributeError, ValueError, TypeError):
        return None


def _alike(first: bytes, second: bytes) -> bool:
    """Is it worth deriving the one's tree from the other's?"""
    start, old_end, new_end = _difference(first, second)
    return max(old_end, new_end) - start < max(len(second) // 2, 200)


def _reparsed(parser: tree_sitter.Parser, base: _Parsed, text: bytes) -> tuple[tree_sitter.Tree, list[tuple[int, int]]]:
    """The text's tree, and the bytes `(start, end)` of it at which its structure is another than the base's."""
    start, old_end, new_end = _difference(base.text, text)
    tree = base.tree.copy()
    tree.edit(
        start_byte=start,
        old_end_byte=old_end,
        new_end_byte=new_end,
        start_point=_point(base.text, start),
        old_end_point=_point(base.text, old_end),
        new_end_point=_point(text, new_end),
    )
    parsed = parser.parse(text, tree)
    return parsed, [(each.start_byte, each.end_byte) for each in tree.changed_ranges(parsed)]


def _without(span: tuple[int, int], start: int, end: int) -> tuple[int, int]:
    """Where the bytes stand once those from `start` to `end` are taken out."""
    first, last = (byte if byte <= start else max(byte - (end - start), start) for byte in span)
    return first, last


def _difference(old: bytes, new: bytes) -> tuple[int, int, int]:
    """`(start, old end, new end)` of the one piece by which the texts differ."""
    start = _common(old, new)
    most = min(len(old), len(new)) - start
    tail = _common(old[len(old) - most :][::-1], new[len(new) - most :][::-1])
    return start, len(old) - tail, len(new) - tail


def _common(first: bytes, second: bytes) -> int:
    """Length of the common beginning, by halving: comparing slices is much faster than bytes one by one."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _point(text: bytes, offset: int) -> tuple[int, int]:
    row = text.count(b"\n", 0, offset)
    return row, offset - (text.rfind(b"\n", 0, offset) + 1)


def _faults(root: tree_sitter.Node, ranges: Sequence[tuple[int, int]]) -> Iterator[_Fault]:
    """Those that touch one of the ranges of bytes. A node without an error inside is not entered."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        touched = [span for span in ranges if node.start_byte <= span[1] and node.end_byte >= span[0]]
        if not touched:
            continue
        if node.is_error or node.is_missing:
            yield _Fault(node.start_byte, node.end_byte, node.type if node.is_missing else "")
        if node.has_error:
            waiting.extend(
                tree_triggers.children(node, min(first for first, _ in touched), max(last for _, last in touched))
            )


def _goes_on(before: str, line: str, language: str) -> bool:
    """The line's statement is not finished: it opens a block, a bracket or a string that later lines close."""
    whole = before.rpartition("\n")[2] + line
    for mark in languages.facts(language).line_comments:
        whole = whole.partition(f"  {mark}")[0]
    if languages.opens_block(whole, language) or whole.rstrip().endswith(("\\", ",")):
        return True
    if languages.is_inside_string(before + line, language):
        return True
    if language == "python" and whole.lstrip().startswith("@"):  # what it decorates follows
        return True
    return sum(whole.count(mark) for mark in "([{") != sum(whole.count(mark) for mark in ")]}")


def _python_adds_error(before: str, line: str, after: str) -> bool | None:
    """By Python's own parser, on the top-level block around the hole; None if that cannot tell."""
    head, tail = python_block(before, after)
    if len(head) + len(line) + len(tail) > MAX_BLOCK_CHARS:
        return None
    if _parses(head + line + tail):
        return False
    return True if any(_parses(head + text + tail) for text in _fillings(before, after)) else None


def _fillings(before: str, after: str) -> Iterator[str]:
    """What may stand in the hole; on a line of its own with the indentation of the lines around it, or one more."""
    start = before.rpartition("\n")[2]
    if start.strip():
        yield from _MID_LINE
        return
    above = next((text for text in reversed(before.split("\n")[:-1]) if text.strip()), "")
    below = next((text for text in after.split("\n")[1:] if text.strip()), "")
    indents = {text[: len(text) - len(text.lstrip())] for text in (above, below)}
    for indent in ("", *sorted(indents | {f"{indent}    " for indent in indents})):
        if indent.startswith(start):
            yield from (indent[len(start) :] + text for text in _OWN_LINE)


def python_block(before: str, after: str) -> tuple[str, str]:
    """Of Python: the part of the text from the last top-level statement that begins before the cursor's line to the
    next one after it."""
    line_start = before.rfind("\n") + 1
    start = line_start
    while start > 0 and not _begins_statement(before, start):
        start = before.rfind("\n", 0, start - 1) + 1
    if start == line_start and start > 0:
        # The hole's own line is at the top level: its body or its decorators may be what counts.
        start = before.rfind("\n", 0, start - 1) + 1
        while start > 0 and not _begins_statement(before, start):
            start = before.rfind("\n", 0, start - 1) + 1
    end = after.find("\n") + 1 or len(after)
    while 0 < end < len(after) and not _begins_statement(after, end):
        end = after.find("\n", end) + 1 or len(after)
    return before[start:], after[:end]


def _begins_statement(text: str, position: int) -> bool:
    """A statement of its own begins here, at the top level: not a blank line, a comment, or what belongs to the
    statement above."""
    rest = text[position : position + 8]
    return bool(rest) and rest[0] not in " \t\n\r#)]}\"'" and not rest.startswith(_CONTINUED)


_CONTINUED = ("else:", "elif ", "except", "finally", "else :")


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True
