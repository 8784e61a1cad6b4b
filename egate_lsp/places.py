"""Real source files found on this machine, and places in them to complete: for the demo and the benches.

The files come with what is installed anyway: Python's standard library, numpy's C sources, this project's Neovim
plug-in. The places are drawn at random with a fixed seed, so nobody picked those that look well.
"""

from __future__ import annotations

import random
import sysconfig
import tokenize
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from egate_lsp.languages import opens_block

MIN_LINES = 200
MIN_CODE_CHARS = 12


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file and its LSP language identifier."""

    path: Path
    language: str


@dataclass(frozen=True, slots=True)
class Place:
    """A file from which something was cut out.

    Attributes:
        text: the file without it.
        line, character: of the hole, 0-based, UTF-16.
        expected: what the author wrote there.
        kind: "rest of a line" or "empty line" or "block".
    """

    source: SourceFile
    text: str
    line: int
    character: int
    expected: str
    kind: str


def replay_files() -> list[SourceFile]:
    """Two files each of Python, C and Lua, those of them that are here."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    numpy = _package("numpy")
    lua = [root / "editors" / "nvim" / "lua" / "egate" for root in _homes()]
    candidates = [
        SourceFile(stdlib / "textwrap.py", "python"),
        SourceFile(numpy / "f2py" / "src" / "fortranobject.c", "c"),
        *(SourceFile(folder / "init.lua", "lua") for folder in lua),
        SourceFile(stdlib / "fractions.py", "python"),
        SourceFile(numpy / "_core" / "include" / "numpy" / "random" / "libdivide.h", "c"),
        *(SourceFile(folder / "ghost" / "own.lua", "lua") for folder in lua),
    ]
    return [candidate for candidate in candidates if candidate.path.is_file()]


def source_files() -> list[SourceFile]:
    """One file each of Python, C and Lua, those of them that are here."""
    found: dict[str, SourceFile] = {}
    for candidate in replay_files():
        found.setdefault(candidate.language, candidate)
    return list(found.values())


def choose(source: SourceFile, count: int, seed: int) -> list[Place]:
    """`count` places in the file, of the three kinds in turn."""
    lines = source.path.read_text(encoding="utf-8").split("\n")
    prose = _string_rows(source)
    chance = random.Random(f"{seed} {source.path.name}")  # a repeatable choice, no secret
    rows = [
        row
        for row in range(len(lines) // 4, len(lines) - 5)
        if row not in prose and _is_code(lines[row], source.language)
    ]
    chance.shuffle(rows)
    places: list[Place] = []
    makers = [_rest_of_line, _empty_line, _block]
    for row in rows:
        if len(places) == count:
            break
        place = makers[len(places) % len(makers)](source, lines, row, chance)
        if place is not None:
            places.append(place)
    return places


def _rest_of_line(source: SourceFile, lines: list[str], row: int, chance: random.Random) -> Place | None:
    text = lines[row]
    start = len(text) - len(text.lstrip())
    column = chance.randrange(start + 4, len(text) - 4)
    kept = [*lines[:row], text[:column], *lines[row + 1 :]]
    return Place(source, "\n".join(kept), row, _utf16(text[:column]), text[column:], "rest of a line")


def _empty_line(source: SourceFile, lines: list[str], row: int, _chance: random.Random) -> Place | None:
    text = lines[row]
    indentation = text[: len(text) - len(text.lstrip())]
    kept = [*lines[:row], indentation, *lines[row + 1 :]]
    return Place(source, "\n".join(kept), row, len(indentation), text.lstrip(), "empty line")


def _block(source: SourceFile, lines: list[str], row: int, _chance: random.Random) -> Place | None:
    """The block that a line opens, if it has two to eight lines."""
    if not opens_block(lines[row], source.language) or lines[row].rstrip().endswith(("(", "[", ",")):
        return None
    indent = _indent(lines[row])
    end = row + 1
    while end < len(lines) and lines[end].strip() and _indent(lines[end]) > indent:
        end += 1
    if not 2 <= end - row - 1 <= 8:
        return None
    body = lines[row + 1 : end]
    indentation = body[0][: len(body[0]) - len(body[0].lstrip())]
    kept = [*lines[: row + 1], indentation, *lines[end:]]
    return Place(source, "\n".join(kept), row + 1, len(indentation), "\n".join(body).lstrip(), "block")


def _string_rows(source: SourceFile) -> set[int]:
    """Rows of docstrings and other strings of several lines in a Python file: prose is no place to complete code."""
    if source.language != "python":
        return set()
    with source.path.open("rb") as file:
        strings = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.STRING]
    return {
        row for token in strings if token.end[0] > token.start[0] for row in range(token.start[0] - 1, token.end[0])
    }


def _is_code(line: str, language: str) -> bool:
    text = line.strip()
    comment = {"python": ("#",), "lua": ("--",), "c": ("/*", "*", "//", "#")}[language]
    return len(text) >= MIN_CODE_CHARS and text.isascii() and not text.startswith(comment)


def _indent(line: str) -> int:
    expanded = line.expandtabs(8)
    return len(expanded) - len(expanded.lstrip(" "))


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _homes() -> list[Path]:
    """Where this project's plug-ins may be: in the installed package, or beside it in a checkout."""
    return [_package("egate_lsp"), _package("egate_lsp").parent]


def _package(name: str) -> Path:
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")
