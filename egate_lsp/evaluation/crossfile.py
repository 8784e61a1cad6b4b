"""Holes in real packages: lines and blocks that use what other files define, and lines that need nothing from outside.

A name counts as another file's if this one imports it and another defines it, or if it is used as a member and at most
`MAX_DEFINED_IN` other files define such a member, and not this one; members only with names that are seldom chance
(`read_all`, `readAll`). Imports are not hidden: what they name is often told by nothing above them.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp import languages, outlines
from egate_lsp.evaluation import sources
from egate_lsp.outline import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from egate_lsp.outline import Entry
    from egate_lsp.syntax import Checker

MAX_DEFINED_IN = 3  # files; a name that more of them define is everybody's, such as `run` or `close`
MIN_NAME_CHARS = 4
_DISTINCT = re.compile(r"[a-z0-9]_[a-z0-9]|[a-z][A-Z]")
MIN_LINE_CHARS = 12
MAX_LINE_CHARS = 120
MIN_FILE_LINES = 40
BLOCK_SHARE = 0.2  # of the holes
MAX_BLOCK_LINES = 4
PER_FILE = 3  # holes of a kind in one file, at most
_TESTS = ("test_", "tests", "__tests__", ".test.", ".spec.", "_test.", "locales")


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a file of a package with what its author wrote there.

    Attributes:
        package: the package's name.
        root, path: its folder, and the file.
        before, after: the file around the hole.
        expected: one line or several; the first goes on from the end of `before`.
        foreign: names in `expected` that other files of the package define; empty for a control.
    """

    package: str
    root: Path
    path: Path
    language: str
    before: str
    after: str
    expected: str
    foreign: tuple[str, ...]

    @property
    def name(self) -> str:
        """Unique within its package."""
        row = self.before.count("\n") + 1
        return f"{self.group}:{row}:{len(self.before) - self.before.rfind(chr(10)) - 1}"

    @property
    def group(self) -> str:
        """Its file; intervals are taken over files."""
        return f"{self.package}/{self.path.relative_to(self.root).as_posix()}"

    @property
    def lines(self) -> int:
        return self.expected.count("\n") + 1


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    language: str
    text: str
    entries: Sequence[Entry]


def holes(
    root: Path, count: int, seed: int, checker: Checker, progress: Callable[[str, int, int], None]
) -> tuple[list[Hole], list[Hole]]:
    """`count` holes that use names of other files, and as many controls; fewer if the package has no more.

    The order is random, so that the beginning of a list is a sample too.
    """
    files = _read(root, checker, progress)
    top: dict[str, set[Path]] = defaultdict(set)
    members: dict[str, set[Path]] = defaultdict(set)
    for file in files:
        for each in file.entries:
            for name in each.names if each.kind != "import" else ():
                (members if each.depth else top)[name].add(file.path)
    chance = random.Random(f"{seed} {root.name}")
    chance.shuffle(files)
    cross: list[Hole] = []
    control: list[Hole] = []
    for file in files:
        imported = {name for each in file.entries if each.kind == "import" for name in each.names}
        outside = _Outside(
            frozenset(name for name in imported if top.get(name, set()) - {file.path}),
            frozenset(
                name
                for name, places in members.items()
                if _DISTINCT.search(name) and file.path not in places | top.get(name, set())
                and len(places) <= MAX_DEFINED_IN
            ),
            frozenset(name for known in (top, members) for name, places in known.items() if places - {file.path}),
        )  # fmt: skip
        some, others = _of_file(root, file, outside, chance)
        cross += some
        control += others
    chance.shuffle(cross)
    chance.shuffle(control)
    return cross[:count], control[:count]


@dataclass(frozen=True, slots=True)
class _Outside:
    """Names of other files: imported here; of members; and all that could be one."""

    imported: frozenset[str]
    members: frozenset[str]
    known: frozenset[str]

    def used_in(self, text: str) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(
                match[0]
                for match in WORDS.finditer(text)
                if match[0] in self.imported or (match[0] in self.members and text[: match.start()].endswith("."))
            )
        )


def _read(root: Path, checker: Checker, progress: Callable[[str, int, int], None]) -> list[_File]:
    found = []
    paths = sources.files(root)
    for index, path in enumerate(paths):
        progress(f"reading {root.name}", index, len(paths))
        try:
            text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError):
            continue
        language = languages.by_path(path.name)
        found.append(_File(path, language, text, outlines.entries(checker, text, language, -1)))
    return found


def _of_file(root: Path, file: _File, outside: _Outside, chance: random.Random) -> tuple[list[Hole], list[Hole]]:
    relative = file.path.relative_to(root).as_posix()
    lines = file.text.split("\n")
    if len(lines) < MIN_FILE_LINES or any(mark in relative for mark in _TESTS):
        return [], []
    skipped = _rows_of(each for each in file.entries if each.kind == "import") | _strings(lines, file.language)
    rows = [row for row, line in enumerate(lines) if row not in skipped and _is_code(line, file.language)]
    chance.shuffle(rows)
    cross: list[Hole] = []
    control: list[Hole] = []
    for row in rows:
        found = _hole(root, file, lines, row, outside, chance)
        if found is None:
            continue
        if found.foreign and len(cross) < PER_FILE:
            cross.append(found)
        elif not found.foreign and len(control) < PER_FILE and not outside.known & set(WORDS.findall(found.expected)):
            control.append(found)
        if len(cross) == len(control) == PER_FILE:
            break
    return cross, control


def _hole(
    root: Path, file: _File, lines: Sequence[str], row: int, outside: _Outside, chance: random.Random
) -> Hole | None:
    line = lines[row]
    indent = len(line) - len(line.lstrip())
    last, column = row, indent
    if chance.random() < BLOCK_SHARE:
        last = _block_end(lines, row)
    elif chance.random() < 0.5:  # half of them in mid-line
        column = _mid_line(line, indent, outside.used_in(line))
    expected = "\n".join([line[column:], *lines[row + 1 : last + 1]])
    hole = Hole(
        root.name,
        root,
        file.path,
        file.language,
        "\n".join([*lines[:row], line[:column]]),
        "\n".join(["", *lines[last + 1 :]]),
        expected,
        outside.used_in(line[:column][-1:] + expected),
    )
    return hole if len(expected.strip()) >= MIN_NAME_CHARS else None


def _mid_line(line: str, indent: int, foreign: Collection[str]) -> int:
    """Before the first name of another file that does not begin the line, or before the line's second half."""
    words = [match for match in WORDS.finditer(line) if match.start() > indent]
    at = next((match.start() for match in words if match[0] in foreign), None)
    if at is None:
        later = [match.start() for match in words if match.start() >= indent + (len(line) - indent) // 2]
        at = later[0] if later else indent
    return at


def _block_end(lines: Sequence[str], row: int) -> int:
    """The last of the lines that belong with this one: as deep or deeper, without a gap."""
    indent = len(lines[row]) - len(lines[row].lstrip())
    last = row
    while last + 1 < len(lines) and last - row + 1 < MAX_BLOCK_LINES:
        following = lines[last + 1]
        if not following.strip() or len(following) - len(following.lstrip()) < indent:
            break
        last += 1
    return last


def _is_code(line: str, language: str) -> bool:
    text = line.strip()
    return (
        len(text) >= MIN_LINE_CHARS
        and len(line) <= MAX_LINE_CHARS
        and not languages.is_comment(line, language)
        and not text.startswith(("*", "/*", "'", '"', "`", "export *", "export {"))
    )


def _rows_of(entries: Iterable[Entry]) -> set[int]:
    return {row for each in entries for row in range(each.first, each.last + 1)}


def _strings(lines: Sequence[str], language: str) -> set[int]:
    """Rows in docstrings and comments of several lines, as far as counting their marks tells."""
    quotes = [quote for quote in languages.facts(language).raw_quotes if len(quote) > 1]
    rows, inside = set(), ""
    for row, line in enumerate(lines):
        if inside:
            rows.add(row)
            if inside in line:
                inside = ""
        elif language != "python" and "/*" in line and "*/" not in line:
            rows.add(row)
            inside = "*/"
        else:
            for quote in quotes:
                if quote in line:
                    rows.add(row)
                    inside = quote if line.count(quote) % 2 else ""
    return rows
