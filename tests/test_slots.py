from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.models.slots import Slots, longest_common_prefix

TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=30)


def put(slots: Slots, prompt: list[int]) -> int:
    """As the engine does, in a cache without end; the sequence used."""
    choice = slots.choose(prompt)
    held = slots[choice.slot]
    held[:] = slots[choice.source][: choice.common] + prompt[choice.common :]
    slots.use(choice.slot)
    return choice.slot


@given(st.lists(TOKENS, max_size=12), TOKENS)
def test_what_need_not_be_evaluated_is_really_there_and_the_longest_such(former, prompt) -> None:
    slots = Slots(4)
    for other in former:
        put(slots, other)
    choice = slots.choose(prompt)

    assert slots[choice.source][: choice.common] == prompt[: choice.common]
    longest = max(longest_common_prefix(slots[slot], prompt) for slot in range(4))
    assert choice.common == min(longest, len(prompt) - 1)
    put(slots, prompt)
    assert slots[choice.slot] == prompt


@given(st.lists(TOKENS, max_size=12), TOKENS, st.integers(0, 100), st.integers(0, 100))
def test_room_is_made_by_the_least_recently_used(former, prompt, needed, capacity) -> None:
    slots = Slots(4)
    for other in former:
        put(slots, other)
    own = put(slots, prompt)
    gone = slots.in_the_way(own, needed, capacity)
    left = [slot for slot in range(4) if slot != own and slot not in gone]

    assert own not in gone
    assert needed + sum(len(slots[slot]) for slot in left) <= capacity or not any(slots[slot] for slot in left)
    if gone:
        last = gone[-1]
        assert needed + sum(len(slots[slot]) for slot in (*left, last)) > capacity


def test_typing_goes_on_in_one_sequence_and_another_document_gets_its_own() -> None:
    slots = Slots(4)
    first = put(slots, [9, 9, *range(10, 40)])
    assert put(slots, [9, 9, *range(10, 40), 77]) == first
    second = put(slots, [9, 9, *range(50, 90)])

    assert second != first
    assert slots.choose([9, 9, *range(10, 40), 77, 78]).common == 33


def test_a_short_window_and_the_whole_one_stand_beside_each_other() -> None:
    """They share their beginning; reading the whole leaves the short one as it was."""
    slots = Slots(4)
    short = put(slots, [1, 2, *range(100, 110), 3, *range(200, 230)])
    whole = put(slots, [1, 2, *range(100, 180), 3, *range(150, 230)])

    assert whole != short
    assert len(slots[short]) == 43
    assert slots.choose([1, 2, *range(100, 110), 3, *range(200, 230), 5]).common == 43


def test_with_one_sequence_there_is_no_choice() -> None:
    slots = Slots(1)
    put(slots, [1, 2, 3])

    assert put(slots, [7, 8]) == 0
    assert slots[0] == [7, 8]
    assert slots.in_the_way(0, 100, 10) == []
