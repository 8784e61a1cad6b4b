from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.kept import Standing, after, share_kept


class Edit:
    """As `documents.Edit`."""

    def __init__(self, start, end, text) -> None:
        self.start, self.end, self.text = start, end, text


@pytest.mark.parametrize(
    ("now", "share"),
    [
        ("return a + b", 1.0),
        ("return  (a+b)", 1.0),
        ("return a - b", 8 / 9),
        ("", 0.0),
        ("something else entirely", 0.0),
    ],
)
def test_the_share_is_of_words_and_signs(now: str, share: float) -> None:
    assert share_kept("return a + b", now) == pytest.approx(share)


def test_a_text_of_white_space_is_kept() -> None:
    assert share_kept("  \n", "") == 1.0


def place(text: str, offset: int):
    before = text[:offset]
    return before.count("\n"), offset - (before.rfind("\n") + 1)


@given(
    before=st.text("ab\n", max_size=12),
    text=st.text("xy\n", min_size=1, max_size=12),
    behind=st.text("cd\n", max_size=12),
    data=st.data(),
)
def test_edits_beside_it_leave_it_all_standing(before: str, text: str, behind: str, data) -> None:
    standing = Standing.at(text, place(before + text, len(before)))
    document = before + text + behind
    for _ in range(data.draw(st.integers(0, 6))):
        start_of = document.index(text, len(before)) if text in document else 0
        if data.draw(st.booleans()):
            first = data.draw(st.integers(0, len(before)))
            last = data.draw(st.integers(first, len(before)))
        else:
            low = len(before) + len(text)
            first = data.draw(st.integers(low, len(document)))
            last = data.draw(st.integers(first, len(document)))
        new = data.draw(st.text("ef\n", max_size=5))
        standing.follow(Edit(place(document, first), place(document, last), new))  # type: ignore[arg-type]
        if last <= len(before):
            before = before[:first] + new + before[last:]
        document = document[:first] + new + document[last:]
        del start_of

    assert standing.start == place(document, len(before))
    assert standing.end == place(document, len(before) + len(text))


def test_what_replaces_it_is_taken_for_its_successor() -> None:
    standing = Standing.at("a + b", (3, 4))
    standing.follow(Edit((3, 0), (3, 12), "    (a +\n     b)"))  # type: ignore[arg-type]

    assert (standing.start, standing.end) == ((3, 0), (4, 7))


def test_what_is_deleted_leaves_nothing() -> None:
    standing = Standing.at("a\nb", (3, 4))
    standing.follow(Edit((2, 0), (5, 0), ""))  # type: ignore[arg-type]

    assert standing.start == standing.end == (2, 0)
    assert after((2, 3), "x\nyz") == (3, 2)
