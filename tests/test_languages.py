"""Facts of languages that are read off the text."""

from __future__ import annotations

import pytest

from egate_lsp.languages import COUNTED_CHARS, is_inside_string

LONG = "def f():\n    x = 1\n\n\n" * (COUNTED_CHARS // 10)


@pytest.mark.parametrize(
    ("prefix", "inside"),
    [
        ('"""A docstring', True),
        ('"""A docstring."""\nx', False),
        ("'''One of the other kind, \"", True),
        (f'"""\nA docstring.\n\nclassic words\n"""\n{LONG}x', False),
        (f'"""\nA docstring.\n"""\n{LONG}def g():\n    """Begun', True),
        (f"text = '''\n{'words ' * (COUNTED_CHARS // 4)}", True),
    ],
)
def test_inside_a_string_of_several_lines(prefix: str, inside: bool) -> None:
    assert is_inside_string(prefix, "python") is inside
