"""A file in short: its imports and the signatures of what it defines, and which of them are worth showing. Pure.

Where the entries come from is not known here: `tree_outline` reads them off a syntax tree, `line_outline` off the
indentation.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

Kind = Literal["import", "function", "scope", "value"]

MAX_SHORT_CHARS = 240  # of one entry; a longer signature is cut
WORDS = re.compile(r"[^\W\d]\w*")
# An import of a list of names: `from a import (b, c)`, `import { b, c } from 'a'`, `use a::{b, c};`.
_LISTED = re.compile(r"(?P<before>\s*from \S+ import \(?|[^{}]*\{ ?)(?P<names>[^{}()]*?)(?P<after>\)?| ?\}[^{}]*)")
# What stands in imports and is no name.
_GRAMMAR = frozenset(
    {"import", "from", "as", "use", "type", "typeof", "const", "let", "var", "require", "include", "local", "static",
     "package", "using", "mod", "pub", "crate", "self", "super", "with", "default"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """An import, or something that is defined.

    Attributes:
        names: what it binds.
        first, last: its rows, counted from 0, the body's and decorators' included.
        short: as it is shown when its body is not: one line, with its indentation.
        head: as it is shown when its body follows, in part; "" for what has no body.
        depth: in how many other entries it stands.
    """

    kind: Kind
    names: tuple[str, ...]
    first: int
    last: int
    short: str
    head: str = ""
    depth: int = 0

    def holds(self, row: int) -> bool:
        """Does the row stand inside, below the first?"""
        return self.first < row <= self.last


def entry(
    kind: Kind, names: Iterable[str], first: int, last: int, text: str, body: str | None, indent: str, depth: int
) -> Entry:
    """An entry from its text without the body; `body` is what stands for the body, None for what has none."""
    line = one_line(text)
    if body is None:
        return Entry(kind, tuple(names), first, last, indent + line, "", depth)
    head = f"{line} {{" if body.startswith("{") else line
    return Entry(kind, tuple(names), first, last, f"{indent}{line} {body}", indent + head, depth)


def one_line(text: str) -> str:
    """A signature or an import on one line."""
    line = text.strip()
    if "\n" in line:
        line = " ".join(line.split())
        for opening, closing in ("()", "[]"):
            line = line.replace(f"{opening} ", opening).replace(f", {closing}", closing).replace(f" {closing}", closing)
    if len(line) <= MAX_SHORT_CHARS:
        return line
    # Between words: half of a string could be half of a key, which nobody would know for one.
    return line[: line.rfind(" ", 0, MAX_SHORT_CHARS) + 1] + "..."


def only_used(line: str, used: Container[str]) -> str:
    """An import of several names without those that are not used; as it is where none of them is used."""
    match = _LISTED.fullmatch(line)
    if match is None:
        return line
    names = [name.strip() for name in match["names"].split(",") if name.strip()]
    kept = [name for name in names if any(word in used for word in WORDS.findall(name)[-1:])]
    return f"{match['before']}{', '.join(kept)}{match['after']}" if kept else line


def names_in(text: str) -> tuple[str, ...]:
    """The names that an import binds, as far as its words tell: not those of the module they come from."""
    line = one_line(text)
    if "__future__" in line:
        return ()
    listed = _LISTED.fullmatch(line)
    before = listed["before"] if listed else line
    # `import a from 'x'`, `const a = require('x')`: the module is behind; `from x import`, `use x::{`: before.
    before = re.split(r"\bfrom\b|=|['\"<]", before)[0]
    names = [] if before.lstrip().startswith(("use", "from")) and listed else _bound(before)
    names += [name for part in (listed["names"].split(",") if listed else ()) for name in _bound(part)]
    return tuple(dict.fromkeys(name for name in names if name not in _GRAMMAR))


def _bound(text: str) -> list[str]:
    """Of `a.b as c` c, else the last word of each of the parts between commas."""
    return [words[-1] for part in text.split(",") if (words := WORDS.findall(part))]


def enclosing(entries: Sequence[Entry], row: int) -> list[Entry]:
    """The entries around a row, the outermost first."""
    return [each for each in entries if each.kind in {"function", "scope"} and each.holds(row)]


def idle_names(entries: Iterable[Entry], text: str) -> frozenset[str]:
    """Names that a file imports and does not use yet: what is being written may be what they are for."""
    imported = {name for each in entries if each.kind == "import" for name in each.names}
    # The second of two finds mostly ends soon; counting would read the whole text for each name.
    return frozenset(name for name in imported if text.find(name, text.find(name) + len(name)) < 0)


def digest(
    entries: Sequence[Entry],
    near: str,
    shown: tuple[int, int],
    budget: int,
    *,
    cut_at: int,
    comment: str,
    idle: frozenset[str] = frozenset(),
) -> str:
    """What is worth knowing of the parts of a file that are not shown, within `budget` characters.

    First the headers of what the window's beginning was cut out of; then by use: imports of names that occur in
    `near`, signatures of what is used there, the signatures beside the cursor in its own class, further imports.
    They come in the file's order, so that it stays a file. What is not used near the cursor is not shown.

    Args:
        near: the text that is shown.
        shown: the first row that is shown and the one after the last.
        cut_at: the row at which the window begins.
        comment: the mark of a comment in the language.
        idle: names that count as used.

    Returns:
        Whole lines, or "".
    """
    used = Counter(WORDS.findall(near))
    used.update(idle)  # an idle name's import is worth its tokens
    left = budget
    headers: list[int] = []
    gap = ""
    around = enclosing(entries, cut_at)
    if around:
        goes_on = next((line for line in near.split("\n") if line.strip()), "")
        gap = f"{_indent(goes_on)}{comment} ...\n"
        cost = len(gap) + sum(len(each.head) + 1 for each in around)
        if cost <= left:
            left -= cost
            headers = [index for index, each in enumerate(entries) if any(each is outer for outer in around)]
    chosen = {index: entries[index].head for index in headers}
    for index in _ranked(entries, used, shown, _own_scope(entries, shown), idle):
        if index not in chosen:
            short = entries[index].short
            needed = {index: only_used(short, used) if entries[index].kind == "import" else short}
            needed |= _parents(entries, index, chosen)
            cost = sum(len(text) + 1 for text in needed.values())
            if cost <= left:
                chosen.update(needed)
                left -= cost
    lines = [chosen[index] for index in _in_order(entries, chosen, headers)]
    return "".join(f"{line}\n" for line in lines) + (gap if headers else "")


def _in_order(entries: Sequence[Entry], chosen: Iterable[int], headers: Sequence[int]) -> Iterator[int]:
    """By the file's order, but for what was cut: the window goes on from its innermost header, which comes last."""
    rest = sorted(set(chosen) - set(headers))
    level = {index: sum(entries[header].holds(entries[index].first) for header in headers) for index in rest}
    for depth in range(len(headers) + 1):
        if depth:
            yield headers[depth - 1]
        yield from (index for index in rest if level[index] == depth)


def _own_scope(entries: Sequence[Entry], shown: tuple[int, int]) -> Entry | None:
    """The class or the like in whose middle the shown rows end."""
    return next((each for each in reversed(enclosing(entries, shown[1])) if each.kind == "scope"), None)


def _ranked(
    entries: Sequence[Entry], used: Counter[str], shown: tuple[int, int], innermost: Entry | None, idle: frozenset[str]
) -> Iterator[int]:
    """Indices of entries that are out of sight, by their worth."""
    ranks = []
    for index, each in enumerate(entries):
        if each.last >= shown[0] and each.first < shown[1]:
            continue
        uses = sum(used[name] for name in each.names)
        waits = any(name in idle for name in each.names)
        beside = innermost is not None and each.depth == innermost.depth + 1 and innermost.holds(each.first)
        if each.kind == "import":
            order = 0 if waits else 1 if uses else 4
        elif uses:
            order = 2
        elif beside:
            order = 3
        else:
            continue
        distance = min(abs(each.first - shown[0]), abs(each.first - shown[1]))
        ranks.append((order, -uses if order == 2 else 0, distance, index))
    return (index for *_, index in sorted(ranks))


def _parents(entries: Sequence[Entry], index: int, chosen: Mapping[int, str]) -> dict[int, str]:
    """The headers without which an entry would stand in nothing."""
    inner = entries[index]
    found: dict[int, str] = {}
    for other in range(index - 1, -1, -1):
        outer = entries[other]
        if outer.depth < inner.depth and outer.holds(inner.first):
            if chosen.get(other) != outer.head:
                found[other] = outer.head
            inner = outer
        if not inner.depth:
            break
    return found


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
