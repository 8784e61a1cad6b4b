from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.context import Budget, build, nearest, recut
from egate_lsp.values import Shape
from tests.conftest import drawn

TEXT = st.text(alphabet="ab \n\r\t😀é\x0c\u2028", max_size=300)


@given(TEXT, st.integers(0, 300))
def test_prefix_and_suffix_rejoin_the_document_up_to_line_breaks(text: str, offset: int) -> None:
    hole = build(text, offset, Budget(10_000, 10_000))
    cut = min(offset, len(text))
    between_cr_lf = text[cut - 1 : cut + 1] == "\r\n" and cut > 0
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    if not between_cr_lf:
        assert hole.prefix + hole.suffix == expected


@given(TEXT, st.integers(0, 300), st.integers(1, 80), st.integers(0, 80))
def test_the_window_keeps_the_budget_and_touches_the_cursor(text, offset, prefix_chars, suffix_chars) -> None:
    text = text.replace("\r", "")
    offset = min(offset, len(text))
    hole = build(text, offset, Budget(prefix_chars, suffix_chars))
    assert len(hole.prefix) <= prefix_chars
    assert len(hole.suffix) <= suffix_chars
    assert text[:offset].endswith(hole.prefix)
    assert text[offset:].startswith(hole.suffix)


@given(TEXT, st.integers(0, 300), st.integers(1, 80), st.integers(0, 80), st.integers(1, 80), st.integers(0, 80))
def test_cut_anew_it_is_as_if_it_had_been_cut_so_at_first(
    text, offset, before, after, other_before, other_after
) -> None:
    text = text.replace("\r", "")
    offset = min(offset, len(text))
    first, other = Budget(before, after), Budget(other_before, other_after)
    hole, wanted = recut(build(text, offset, first), other), build(text, offset, other)
    assert (hole.head, hole.prefix, hole.suffix, hole.tail) == (wanted.head, wanted.prefix, wanted.suffix, wanted.tail)
    assert hole.shape is build(text, offset, first).shape  # how much is wanted does not depend on who is asked


def test_typing_moves_the_window_rarely() -> None:
    """A moved window makes the draft engine read everything anew, so typing a long line must not move it each time."""
    text = "".join(f"line number {n}\n" for n in range(1000))
    budget = Budget(2000, 500)
    starts = set()
    for typed in range(100):
        document = text + "x" * typed + "\n" + text
        hole = build(document, len(text) + typed, budget)
        starts.add(len(text) + typed - len(hole.prefix))
    assert len(starts) <= 2


def test_window_starts_at_a_line() -> None:
    text = "".join(f"line number {n}\n" for n in range(1000))
    assert build(text, len(text), Budget(2000, 0)).prefix.startswith("line number")


@given(TEXT, TEXT, st.integers(1, 120))
def test_what_is_nearest_touches_the_cursor_and_is_short(prefix: str, suffix: str, chars: int) -> None:
    before, after = nearest(prefix, suffix, chars)

    assert prefix.endswith(before)
    assert suffix.startswith(after)
    assert len(before) <= chars
    assert len(before) + len(after) <= chars + max(chars // 4, 1)


def test_nearest_are_the_lines_above_and_the_rest_of_the_line() -> None:
    lines = "".join(f"line number {n}\n" for n in range(100))

    before, after = nearest(lines + "call(", ")\n" + lines, 200)

    assert before.startswith("line number")
    assert before.endswith("call(")
    assert 100 < len(before) <= 200
    assert after == ")"
    assert len(nearest(lines, "x" * 1000, 200)[1]) == 50  # of a line without end a part


def test_where_little_stands_above_lines_below_are_shown_and_typing_moves_them_rarely() -> None:
    below = "\n" + "".join(f"line number {n}\n" for n in range(100))

    suffixes = {nearest("import os\n" + "x" * typed, below, 200)[1] for typed in range(100)}

    assert all(suffix.startswith("\nline number 0\n") for suffix in suffixes)
    assert 1 < len(suffixes) <= 4


@pytest.mark.parametrize(
    ("text", "language", "shape"),
    [
        ("x = ║\n", "python", Shape.LINE),
        ("foo(║)", "python", Shape.LINE),
        ("    ║\n", "python", Shape.BLOCK),
        ("║", "python", Shape.BLOCK),
        ("def f():║\n", "python", Shape.BLOCK),
        ("# note:║\n", "python", Shape.LINE),
        ("if (x) {║\n}", "javascript", Shape.BLOCK),
        ("const f = () =>║\n", "typescript", Shape.BLOCK),
        ("if x then║\n", "lua", Shape.BLOCK),
        ("local strengthen║\n", "lua", Shape.LINE),
        ("    ║ }", "c", Shape.LINE),
        ("    ║  \n}", "c", Shape.BLOCK),
    ],
)
def test_shape(text: str, language: str, shape: Shape) -> None:
    assert drawn(text, language).shape is shape
