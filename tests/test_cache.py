from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.cache import Continuations, Place


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
