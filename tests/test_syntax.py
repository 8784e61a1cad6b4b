from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.syntax import Checker

PYTHON = "import os\n\n\ndef area(width, height):\n    ║\n    return size\n\n\nprint(area(1, 2))\n"
C = "int area(int w, int h) {\n    ║\n    return size;\n}\n"


def check(document: str, line: str, language: str, *, complete: bool = True) -> bool | None:
    before, _, after = document.partition("║")
    return Checker().adds_error(before, line, after, language, complete=complete)


@pytest.mark.parametrize(
    ("document", "line", "language", "expected"),
    [
        (PYTHON, "size = width * height", "python", False),
        (PYTHON, "size = (width * height", "python", True),
        (PYTHON, "size == = width", "python", True),
        (PYTHON, "    size = width", "python", True),  # too deep: tree-sitter alone does not see it
        (PYTHON, "if width:", "python", True),  # its body is missing
        ("def f():\n    a = 1\n║\n    return a\n", "    b = (a", "python", True),  # the hole is at its line's start
        ("def f():\n    a = 1\n║\n    return a\n", "b = a", "python", True),
        ("def f(a):\n    if a:\n        b = 1\n║\n        b = 2\n", "    elif (a:", "python", True),
        (C, "int size = w * h;", "c", False),
        (C, "int size = w * (h;", "c", True),
        ("const a = [1, ║];\n", "2, 3", "javascript", False),
        ("const a = [1, ║];\n", "2, 3)", "javascript", True),
        ("fn main() {\n    ║\n}\n", "let x: u8 = 1;", "rust", False),
        ("fn main() {\n    ║\n}\n", "let x: = 1;", "rust", True),
        ("package m\n║\n", "func f() {}", "go", False),
        ("package m\n║\n", "func f( {}", "go", True),
        ("package m\n\nfunc a() {}\n\n║\n\nfunc b() {}\n", "func f() } {", "go", True),
        ("x = ║\n", "1 +", "klingon", None),
    ],
)
def test_a_line_in_sound_code(document, line, language, expected) -> None:
    assert check(document, line, language) is expected


@pytest.mark.parametrize(
    ("document", "line", "language"),
    [
        (PYTHON.replace("return size", "return (size"), "size = width * height", "python"),
        (PYTHON.replace("(width, height)", "(width, height"), "size = width * height", "python"),
        (C.replace("size;", "(size;"), "int size = w * h;", "c"),
        ("int area(int w {\n    ║\n", "int size = w;", "c"),
        ("class A {\n  f() {\n    ║\n", "return 1;", "javascript"),
    ],
)
def test_a_right_line_in_broken_code_is_not_blamed(document, line, language) -> None:
    assert check(document, line, language) is False


def test_an_unfinished_line_of_a_block_is_no_error() -> None:
    assert check(PYTHON, "if width:", "python", complete=False) is False
    assert check(PYTHON, "size = max(width,", "python", complete=False) is False
    assert check(PYTHON, "size == = width", "python", complete=False) is True


def test_a_kept_tree_gives_the_same_answer_as_a_new_one() -> None:
    kept = Checker()
    before, _, after = C.partition("║")
    for line in ("int size = w;", "int size = (w;", "int size = w * h;", "}"):
        for typed in ("", "int a;\n    ", "int a;\n    int b;\n    "):
            fresh = Checker().adds_error(before + typed, line, after, "c")
            assert kept.adds_error(before + typed, line, after, "c") is fresh


TEXT = st.text(alphabet="ab=(){}[]:'\"\n\r\t \\#ü€\0;,.", max_size=60)


@given(TEXT, TEXT, TEXT, st.sampled_from(["python", "c", "javascript", "none"]), st.booleans())
def test_no_text_makes_it_fail(before, line, after, language, complete) -> None:
    assert Checker().adds_error(before, line, after, language, complete=complete) in {True, False, None}


def test_at_the_end_of_a_file_a_body_may_follow_unless_the_hole_is_said_to_be_filled() -> None:
    document = PYTHON.partition("\n    return")[0] + "\n"

    for line in ("if width:", "if width:  # wide", "@property"):
        assert check(document, line, "python", complete=False) is False
    assert check(document, "if width:", "python", complete=True) is True


def test_a_hole_may_be_wrong_by_staying_empty() -> None:
    document = "def f(a):\n    if a:\n        ║\n    return a\n"

    assert check(document, "", "python", complete=True) is True
    assert check(document, "", "python", complete=False) is False
    assert check(PYTHON, "", "python", complete=True) is False
