"""docs/editors.md names, for each cell of its tables, the test that shows it: that test must exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "editors.md").read_text(encoding="utf-8")
PYTHON = re.compile(r"`((?:[\w/]+/)?\w+\.py)::(\w+)(?:\[([\w-]+)\])?`")
NODE = re.compile(r"`(editors/[\w./-]+\.test\.[mc]?[jt]s): ([^`]+)`")
CELL = re.compile(r"^\| ([^|]+) \| (.*) \|$", re.MULTILINE)
FEATURES = [
    "install", "ghost text", "accept full", "accept word, line", "cycle", "toggle", "status", "why", "late upgrade",
    "cancel", "missing server", "missing model", "target down",
]  # fmt: skip


def file_of(name: str) -> Path:
    """A test file by its path from the root, or by its name alone in this folder."""
    return ROOT / name if "/" in name else Path(__file__).parent / name


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def sections() -> dict[str, str]:
    """The editors' sections by title: those with a table of all features."""
    parts = re.split(r"^## (.+)$", TEXT, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {title: text for title, text in found.items() if "| feature | shown by |" in text}


def test_every_test_that_is_named_exists() -> None:
    named = PYTHON.findall(TEXT)
    missing = [f"{file}::{name}" for file, name, _ in named if name not in functions(file_of(file))]
    missing += [f"{file}: {title}" for file, title in NODE.findall(TEXT) if not exists(ROOT / file, title)]

    assert len(named) > 50
    assert missing == []


def exists(path: Path, title: str) -> bool:
    """Is there a test of node's runner with this title?"""
    return path.is_file() and f'test("{title}"' in path.read_text(encoding="utf-8")


def test_every_recorded_session_that_is_named_exists() -> None:
    sessions = {case for file, _, case in PYTHON.findall(TEXT) if file == "test_copilot_clients.py" and case}

    assert sessions == {path.stem for path in (Path(__file__).parent / "sequences").glob("*.jsonl")}


@pytest.mark.parametrize("title", sections())
def test_every_cell_has_its_test_or_its_reason(title: str) -> None:
    rows = dict(CELL.findall(sections()[title]))

    assert [row for row in rows if row in FEATURES] == FEATURES
    for feature in FEATURES:
        cell = rows[feature]
        shown = PYTHON.search(cell) or NODE.search(cell)
        assert shown or cell.startswith("not possible in this editor: "), (title, feature)


def test_the_overview_says_what_the_sections_say() -> None:
    head, *rows = [line for line in TEXT.splitlines() if line.startswith("| ")][: len(FEATURES) + 1]
    editors = [cell.strip() for cell in head.strip("|").split("|")][1:]
    tables = [dict(CELL.findall(text)) for text in sections().values()]

    assert len(editors) == len(tables)
    for row in rows:
        feature, *cells = [cell.strip() for cell in row.strip("|").split("|")]
        for editor, cell, table in zip(editors, cells, tables, strict=True):
            impossible = table[feature].startswith("not possible")
            assert (cell == "no") == impossible, (editor, feature)


def test_every_section_counts_its_steps() -> None:
    for title, text in sections().items():
        assert re.search(r"First suggestion from a clean profile: \d+ \(", text), title
