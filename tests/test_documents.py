from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egate_lsp.documents import Change, Document, PositionEncoding, word_before

TEXT = st.text(alphabet="ab\n\r\t😀é\x0b\x0c\x85\u2028\u2029", max_size=40)
POSITION = st.tuples(st.integers(0, 12), st.integers(0, 12))
ENCODINGS = list(PositionEncoding)


def reference_offset(text: str, line: int, character: int, encoding: PositionEncoding) -> int:
    """By the protocol's words, on a plain string: find the line, then walk its units."""
    starts = [0, *(match.end() for match in re.finditer(r"\r\n|\n|\r", text))]
    if line >= len(starts):
        return len(text)
    start = starts[line]
    content = re.match(r"[^\r\n]*", text[start:])
    assert content is not None
    offset = start
    used = 0
    for one in content.group():
        used += {"utf-8": len(one.encode()), "utf-16": len(one.encode("utf-16-le")) // 2, "utf-32": 1}[encoding]
        if used > character:
            break
        offset += 1
    return offset


@given(TEXT, POSITION, st.sampled_from(ENCODINGS))
def test_offset_of_a_position(text, position, encoding) -> None:
    assert Document("", 0, "", text).offset_at(*position, encoding) == reference_offset(text, *position, encoding)


@given(TEXT, st.integers(0, 40), st.sampled_from(ENCODINGS))
def test_position_and_back(text, offset, encoding) -> None:
    offset = min(offset, len(text))
    document = Document("", 0, "", text)
    back = document.offset_at(*document.position_at(offset, encoding), encoding)

    between_cr_and_lf = text[max(offset - 1, 0) : offset + 1] == "\r\n"
    assert back == offset - between_cr_and_lf


@settings(max_examples=400)
@given(TEXT, st.lists(st.tuples(POSITION, POSITION, TEXT), max_size=8), st.sampled_from(ENCODINGS))
def test_edits_keep_the_document_what_the_reference_is(text, edits, encoding) -> None:
    document, reference = Document("", 0, "", text), text
    for start, end, new in edits:
        low, high = sorted((reference_offset(reference, *start, encoding), reference_offset(reference, *end, encoding)))
        reference = reference[:low] + new + reference[high:]
        document.apply(Change(new, start, end), encoding)

        assert document.text == reference
        assert document.offset_at(3, 2, encoding) == reference_offset(reference, 3, 2, encoding)


def test_a_whole_replacement() -> None:
    document = Document("", 0, "", "a\nb")
    document.apply(Change("c"), PositionEncoding.UTF16)

    assert document.text == "c"


@pytest.mark.parametrize(
    ("text", "end"), [("a\r\nb\n", "\r\n"), ("a\nb\r\n", "\n"), ("a\rb", "\r"), ("a", "\n"), ("", "\n")]
)
def test_line_break(text: str, end: str) -> None:
    assert Document("", 0, "", text).line_break == end


@pytest.mark.parametrize(("text", "word"), [("x = fo_1", "fo_1"), ("x.", ""), ("", ""), ("naïve", "naïve")])
def test_word_before(text: str, word: str) -> None:
    assert word_before(text) == word
