from __future__ import annotations

import pytest

from egate_lsp.names import name_fault

AREA = """import math


def area(width, height):
    ║
    return size * scale_of(width)


def scale_of(width):
    return math.sqrt(width)
"""


def fault(document: str, line: str, language: str = "python", *, complete: bool = True) -> str | None:
    before, _, after = document.partition("║")
    return name_fault(before, line, after, language, complete=complete)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("size = width * height", ""),
        ("size = math.hypot(width, height)", ""),
        ("area = width * height", "size, which the code below uses, stays undefined"),
        ("size = width * heigth", "it uses heigth, which nothing defines"),
        ("size = total = width", "total stays unused"),
        ("size = width * (", None),  # a syntax error: not ours to tell
    ],
)
def test_a_line_in_sound_code(line, expected) -> None:
    assert fault(AREA, line) == expected


def test_lines_still_to_come_may_bind_and_use() -> None:
    assert fault(AREA, "other = width", complete=False) == ""
    assert fault(AREA, "other = heigth", complete=False) == "it uses heigth, which nothing defines"


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ("from math import *\n\n\ndef f(x):\n    ║\n    return y\n", "y = sqrt(x)"),
        ("def f(x):\n    ║\n", "y = helper(x)\n\n\ndef helper(x): ..."),
        ("def f(x):\n    z = missing\n    ║\n", "return x"),  # undefined above: not this line's fault
        ("def f(x):\n    ║\n", "y = x"),  # it may be used further down, where nothing is yet
        ("def f(x):\n    ║\n    print(x)\n\n\nCONFIG = 1\n", "print(CONFIG)"),
        ("class A:\n    def f(self):\n        ║\n        return self.x\n", "self.y = 1"),
        ("def f():\n    ║\n    return [locals()]\n", "pass"),
    ],
)
def test_what_the_text_around_explains_is_no_fault(document, line) -> None:
    assert fault(document, line) == ""


@pytest.mark.parametrize("language", ["javascript", "", "rust"])
def test_other_languages_are_not_known(language) -> None:
    assert fault(AREA, "area = 1", language) is None


def test_a_hole_in_mid_line() -> None:
    document = "def f(values):\n    total = sum(║)\n    return total\n"

    assert fault(document, "values") == ""
    assert fault(document, "value") == "it uses value, which nothing defines"


def test_nonsense_is_not_known_and_never_raises() -> None:
    for line in ("\0", "(" * 5000, "if" * 2000, "\ud800", "x = 1" * 3000):
        assert fault(AREA, line) in {None, ""} or "defines" in str(fault(AREA, line))


def test_a_short_file_is_looked_at_whole() -> None:
    document = "n = int(input())\n║\nfor i in range(n):\n    print(values[i])\n"

    assert fault(document, "numbers = input().split()") == "values, which the code below uses, stays undefined"
    assert fault(document, "values = input().split()") == ""
    assert fault(document + "# values" + "x = 1\n" * 2000, "numbers = input().split()") == ""
