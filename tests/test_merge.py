from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.merge import assemble, rest_of, without_overlap
from egate_lsp.values import CompletionLine, Source, Token
from tests.conftest import drawn


def lines(text: str) -> list[CompletionLine]:
    return [CompletionLine(part, Source.DRAFT) for part in text.split("\n")]


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("a, b)", ")", "a, b"),
        ("a, b);", ");", "a, b"),
        ("foo(a)", ")", "foo(a)"),
        ("foo(a))", ")", "foo(a)"),
        ('name"', '"', "name"),
        ('"name"', '"', '"name"'),
        ("x + 1", " + 1", "x"),
        ("a", "", "a"),
        ("items]", "]:", "items"),
        ("x)", "  # note", "x)"),
        ("total", "total = 1", ""),
    ],
)
def test_without_overlap(text: str, after: str, expected: str) -> None:
    assert without_overlap(text, after) == expected


@given(st.text(alphabet="ab()[]\"' ,;", max_size=20), st.text(alphabet="ab()[]\"' ,;", max_size=10))
def test_overlap_only_ever_shortens(text: str, after: str) -> None:
    assert text.startswith(without_overlap(text, after))


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("def f():\n    ║\n", "return 1\n\n", "return 1"),
        ("def f():║\n", "\n    return 1   ", "\n    return 1"),
        ("║\n", "a = '''x  \ny'''", "a = '''x  \ny'''"),
        ("║\n", "   \n  ", ""),
        ("f(║)\n", "a)", "a"),
    ],
)
def test_assemble(document: str, text: str, expected: str) -> None:
    assert "\n".join(line.text for line in assemble(lines(text), drawn(document))) == expected


@given(st.lists(st.text("ab 😀", max_size=6), min_size=1, max_size=4), st.integers(0, 30))
def test_the_rest_is_the_text_without_what_was_typed(texts, typed) -> None:
    lines = [CompletionLine(text, Source.DRAFT, tokens=(Token(text.encode()),)) for text in texts]
    whole = "\n".join(texts)
    rest = rest_of(lines, min(typed, len(whole)))

    assert "\n".join(line.text for line in rest) == whole[min(typed, len(whole)) :]
