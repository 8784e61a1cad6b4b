from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from egate_lsp import context as contexts
from egate_lsp.cache import NEAR_AFTER, NEAR_BEFORE, Continuations
from egate_lsp.cache import Place as _Place
from egate_lsp.values import FimContext


def Place(prefix: str, suffix: str) -> _Place:
    return _Place.of(FimContext(prefix, suffix))


@given(st.integers(0, 400), st.integers(0, 120), st.sampled_from([0, 17, 5_000]))
def test_a_place_is_the_same_whatever_window_is_cut_around_it(row: int, typed: int, above: int) -> None:
    """Also when the window's start moves on while text is accepted, or something is written far above."""
    lines = "".join(f"    value_{number} = compute({number})\n" for number in range(800))
    text = "".join(f"# {number}\n" for number in range(above)) + lines
    cursor = len(text) - len(lines) + row * 27
    accepted = "total = sum(values)\n    return total if total is not None else fallback(values, default=0.0)"[:typed]

    def place(document: str, offset: int) -> _Place:
        budget = contexts.Budget(NEAR_BEFORE * 2, NEAR_AFTER * 2)
        return _Place.of(contexts.build(document, offset, budget, language="python"))

    before = place(text, cursor)
    after = place(text[:cursor] + accepted + text[cursor:], cursor + len(accepted))
    shifted = place("import os\n" + text, cursor + 10)

    assert after.typed_since(before) == accepted
    if cursor > NEAR_BEFORE:
        assert shifted.typed_since(before) == ""
    if accepted:
        assert before.typed_since(after) is None


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.integers(0, 20))
def test_found_while_its_beginning_is_typed(prefix: str, suffix: str, text: str, typed: int) -> None:
    entries: Continuations[str] = Continuations()
    entries.put(Place(prefix, suffix), text, "value")

    found = entries.find(Place(prefix + text[:typed], suffix))

    assert found is not None
    assert text[:typed] + found.text == text


def test_not_found_after_other_typing_or_elsewhere() -> None:
    entries: Continuations[int] = Continuations()
    entries.put(Place("a = ", "\n"), "foo", 1)

    assert entries.find(Place("a = x", "\n")) is None
    assert entries.find(Place("a = ", "b\n")) is None
    assert entries.find(Place("b = ", "\n")) is None
    assert entries.find(Place("a = foot", "\n")) is None


def test_the_least_recently_used_gives_way() -> None:
    entries: Continuations[int] = Continuations(2)
    entries.put(Place("1", ""), "x", 1)
    entries.put(Place("2", ""), "x", 2)
    entries.find(Place("1", ""))
    entries.put(Place("3", ""), "x", 3)

    assert len(entries) == 2
    assert entries.find(Place("2", "")) is None
    assert entries.find(Place("1", "")) is not None
