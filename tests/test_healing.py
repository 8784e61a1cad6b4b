from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.models.healing import MAX_SPAN, VocabularyIndex, span


@pytest.mark.parametrize(
    ("prefix", "cut"),
    [
        ("    retu", " retu"),
        ("x = fo", " fo"),
        ("x = ", " "),
        ("foo(", "("),
        ("foo.", "."),
        ("foo.ba", ".ba"),
        ("x = foo(", "("),
        ("x ==", " =="),
        ("    ", " "),
        ("\t", "\t"),
        ("\n", ""),
        ("\nx", "x"),
        ("", ""),
        ("\tname", "\tname"),
        ("naïve", "naïve"),
    ],
)
def test_span(prefix: str, cut: str) -> None:
    assert prefix[len(prefix) - span(prefix) :] == cut


@given(st.text(max_size=200))
def test_the_span_is_a_bounded_part_of_the_last_line(prefix: str) -> None:
    length = span(prefix)

    assert 0 <= length <= min(len(prefix), MAX_SPAN)
    assert "\n" not in prefix[len(prefix) - length :]


@given(st.lists(st.binary(max_size=4), max_size=40), st.binary(min_size=1, max_size=5))
def test_candidates_are_those_that_can_spell_the_text(pieces: list[bytes], forced: bytes) -> None:
    found = set(VocabularyIndex(pieces).candidates(forced).tolist())

    assert found == {
        token for token, piece in enumerate(pieces) if piece and (forced.startswith(piece) or piece.startswith(forced))
    }
