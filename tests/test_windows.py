from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egate_lsp import context, outlines
from egate_lsp.context import Budget
from egate_lsp.outline import names_in, only_used
from egate_lsp.syntax import Checker
from egate_lsp.windows import KEPT_WINDOWS, Window, Windows, cut

CHECKER = Checker()
by_checker = functools.partial(outlines.entries, CHECKER)


def method(number: int) -> str:
    return (
        f"    def method_{number}(self, value: int) -> int:\n        total = value * {number}\n        return total\n\n"
    )


PYTHON = (
    "from other import alpha, beta\nimport os\n\nLIMIT = 10\n\n\n"
    "def helper(a: int,\n           b: str = '') -> str:\n    return b * a\n\n\n"
    "def unused(a):\n    return a\n\n\n"
    "class Base:\n    def shared(self, name):\n        return name\n\n\n"
    "class Big(Base):\n    def __init__(self, size):\n        self.size = size\n\n"
    + "".join(method(number) for number in range(40))
    + "\n\ndef below(argument):\n    return argument\n\n\n"
    + "".join(f"VALUE_{number} = {number}\n" for number in range(100))
)


def at(text: str, mark: str) -> int:
    return text.index(mark)


def cut_at(text: str, mark: str, prefix: int, suffix: int, language: str = "python") -> Window:
    return cut(text, at(text, mark), Budget(prefix, suffix), language, by_checker)


def test_a_file_that_fits_is_shown_whole() -> None:
    window = Windows(by_checker).at("a.py", PYTHON, 300, Budget(100_000, 100_000), "python")
    assert window == Window(0, len(PYTHON))


def test_what_is_cut_off_is_told_by_headers_imports_and_signatures_that_are_used() -> None:
    text = PYTHON.replace("total = value * 30", "total = helper(value, alpha)")  # of beta and os nothing is used yet
    window = cut_at(text, "total = helper", 900, 100)
    lines = window.outline.split("\n")
    assert "from other import alpha, beta" in lines
    assert "def helper(a: int, b: str = '') -> str: ..." in lines
    assert not any("unused" in line for line in lines)
    assert "class Big(Base):" in lines
    assert text[window.start :].startswith("    def method_")


def test_a_definition_that_fits_is_whole() -> None:
    window = cut_at(PYTHON, "return total\n\n    def method_21", 700, 200)
    prefix = PYTHON[window.start : at(PYTHON, "return total\n\n    def method_21")]
    assert prefix.startswith("    def method_")
    assert "    def method_20(self" in prefix
    suffix = PYTHON[at(PYTHON, "return total\n\n    def method_21") : window.end]
    assert suffix.endswith("return total\n")


def test_a_body_that_is_cut_keeps_its_header() -> None:
    body = "".join(f"    step_{number} = first + {number}\n" for number in range(100))
    text = f"import os\n\n\ndef long(first,\n         second):\n{body}"
    window = cut_at(text, "    step_99", 600, 100)
    assert window.outline.endswith("def long(first, second):\n    # ...\n")


def test_typescript() -> None:
    members = "".join(f"  m{n}(x: number): number {{\n    return x + {n}\n  }}\n\n" for n in range(40))
    text = (
        "import { Alpha, beta } from './alpha'\nimport fs from 'fs'\n\n"
        "export const make = (size: number): Big => {\n  return new Big(size)\n}\n\n"
        f"export class Big extends Alpha {{\n{members}}}\n"
    ).replace("return x + 35", "return make(beta(x))")
    window = cut_at(text, "return make", 600, 100, "typescript")
    lines = window.outline.split("\n")
    assert "import { beta } from './alpha'" in lines
    assert "export const make = (size: number): Big => { ... }" in lines
    assert "export class Big extends Alpha {" in lines


def test_by_indentation_where_no_grammar_is_installed() -> None:
    body = "".join(f"  local step_{n} = helper({n})\n" for n in range(60))
    text = (
        "local util = require('util')\n\nlocal function helper(a, b)\n  return a + b\nend\n\n"
        f"local function other(a)\n  return a\nend\n\nfunction M.long(first)\n{body}end\n"
    )
    window = cut_at(text, "  local step_59", 500, 100, "lua")
    lines = window.outline.split("\n")
    assert "local function helper(a, b) ..." in lines
    assert not any("other" in line for line in lines)
    assert lines[-3:] == ["function M.long(first)", "  -- ...", ""]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(PYTHON)), st.integers(200, 3000), st.integers(0, 1000))
def test_the_window_keeps_the_budget_and_holds_the_cursor(offset: int, prefix: int, suffix: int) -> None:
    window = cut(PYTHON, offset, Budget(prefix, suffix), "python", by_checker)
    assert window.start <= offset <= window.end
    assert offset - window.start + len(window.outline) <= prefix
    assert window.end - offset <= suffix
    assert not window.outline or window.outline.endswith("\n")


BROKEN = st.text(alphabet="ab(){}[]:\"'\n\r\t #=😀", max_size=40)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 300), BROKEN, st.sampled_from(["python", "typescript", "lua", "haskell", "", "nonsense"]))
def test_no_text_is_too_broken(offset: int, broken: str, language: str) -> None:
    text = PYTHON[:offset] + broken + PYTHON[offset : offset + 600]
    window = cut(text, offset, Budget(200, 50), language, by_checker)
    assert window.start <= offset <= window.end
    hole = context.build(text, offset, Budget(200, 50), span=(window.start, window.end), outline=window.outline)
    assert hole.head + hole.prefix + hole.suffix + hole.tail == text.replace("\r\n", "\n").replace("\r", "\n") or (
        "\r" in text
    )


TYPED = st.text(alphabet="abc (){}=.'", min_size=1, max_size=80)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, PYTHON.count("\n") - 1), TYPED, st.integers(400, 2500), st.integers(0, 800))
def test_typing_on_a_line_moves_nothing_before_it_and_nothing_behind(
    row: int, typed: str, prefix: int, suffix: int
) -> None:
    """Between two cuts, of which there are few, all that comes before the cursor's line and after the cursor stays."""
    lines = PYTHON.split("\n")
    before, after = "\n".join([*lines[:row], ""]), "\n" + "\n".join(lines[row:])
    windows = Windows(by_checker)
    shown: dict[int, set[tuple[str, str, str]]] = {}
    for count in range(len(typed) + 1):
        text = before + typed[:count] + after
        offset = len(before) + count
        window = windows.at("a.py", text, offset, Budget(prefix, suffix), "python")
        stable = text[window.start : len(before)] if window.start <= len(before) else ""
        shown.setdefault(windows.cuts, set()).add((window.outline, stable, text[offset : window.end]))
    assert all(len(same) == 1 for same in shown.values())
    assert windows.cuts <= 2


def test_the_same_place_has_the_same_window() -> None:
    windows = Windows(by_checker)
    first, again = (windows.at("a.py", PYTHON, 2000, Budget(800, 200), "python") for _ in range(2))
    assert first == again
    assert windows.cuts == 1


@pytest.mark.parametrize("change", ["above", "below", "far away", "budget"])
def test_the_window_is_cut_anew_when_it_no_longer_fits(change: str) -> None:
    windows = Windows(by_checker)
    offset, budget, text = 2000, Budget(800, 200), PYTHON
    windows.at("a.py", text, offset, budget, "python")
    match change:
        case "above":
            text, offset = "import new\n" + text, offset + 11
        case "below":
            text += "x = 1\n"
        case "far away":
            offset = 4000
        case "budget":
            budget = Budget(900, 200)
    window = windows.at("a.py", text, offset, budget, "python")
    assert windows.cuts == 2
    assert window.start <= offset <= window.end


def test_few_documents_are_remembered() -> None:
    windows = Windows(by_checker)
    for number in range(KEPT_WINDOWS + 1):
        windows.at(f"{number}.py", PYTHON, 2000, Budget(800, 200), "python")
    windows.at(f"{KEPT_WINDOWS}.py", PYTHON, 2000, Budget(800, 200), "python")
    assert windows.cuts == KEPT_WINDOWS + 1
    windows.at("0.py", PYTHON, 2000, Budget(800, 200), "python")
    assert windows.cuts == KEPT_WINDOWS + 2


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("from a import used, other", "from a import used"),
        ("from a import (other, thing as used)", "from a import (thing as used)"),
        ("    from a import other, used", "    from a import used"),
        ("import { used, type Other } from './a'", "import { used } from './a'"),
        ("import type {Other, used} from './a'", "import type {used} from './a'"),
        ("use a::{used, other};", "use a::{used};"),
        ("import used, other", "import used, other"),
        ("from a import other, another", "from a import other, another"),
    ],
)
def test_of_an_import_what_is_used(line: str, shown: str) -> None:
    assert only_used(line, {"used"}) == shown


def test_no_half_of_a_long_value_is_shown() -> None:
    key = "k" * 150
    text = f"TOKEN = '{key}'\n\n\ndef call(argument={'a' * 200!r}, token='{key}'):\n    return 1\n\n\n" + PYTHON
    text = text.replace("total = value * 30", "total = call(TOKEN)")
    window = cut_at(text, "total = call", 900, 100)
    assert "TOKEN = ..." in window.outline
    assert "kkk" not in window.outline


def test_tabs_stay_tabs() -> None:
    body = "".join(f"\tstep{number} := helper({number})\n" for number in range(60))
    text = (
        'package main\n\nimport "fmt"\n\nfunc helper(a int) int {\n\treturn a\n}\n\n'
        f"func (b *Big) long(first int) {{\n{body}}}\n"
    )
    window = cut_at(text, "\tstep59", 500, 100, "go")
    assert "func helper(a int) int { ... }" in window.outline.split("\n")
    assert window.outline.endswith("func (b *Big) long(first int) {\n\t// ...\n")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from a.b import c, d as e", ("c", "e")),
        ("from a.b import (\n    c,\n    d,\n)", ("c", "d")),
        ("import os.path as p, sys", ("p", "sys")),
        ("import { a, type B, c as d } from './x/y.js'", ("a", "B", "d")),
        ("import fs from 'fs'", ("fs",)),
        ("import type X, { y } from 'z'", ("X", "y")),
        ("import * as all from 'x'", ("all",)),
        ("import java.util.List;", ("List",)),
        ("use std::{io, fmt};", ("io", "fmt")),
        ("use std::io::Read;", ("Read",)),
        ("const a = require('b')", ("a",)),
        ("local util = require('util')", ("util",)),
    ],
)
def test_names_that_an_import_binds(line: str, names: tuple[str, ...]) -> None:
    assert names_in(line) == names
