from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.debounce import LEAST_KNOWN, THRIFT, Debounce

LONGEST_S = 0.15
gaps_of_typing = st.lists(st.floats(0.001, 5.0), min_size=LEAST_KNOWN, max_size=60)


def after(gaps: list[float], draft_s: float, longest_s: float = LONGEST_S) -> Debounce:
    debounce = Debounce(longest_s)
    now = 100.0
    debounce.key(now)
    for gap in gaps:
        now += gap
        debounce.key(now)
    debounce.drafted(draft_s)
    return debounce


def test_nobody_waits_as_long_as_little_is_known() -> None:
    assert after([0.03] * (LEAST_KNOWN - 1), 0.3).wait() == 0.0
    assert Debounce(LONGEST_S).wait() == 0.0


def test_a_key_held_down_waits_for_its_end() -> None:
    wait = after([0.5, *[0.03] * 31], 0.3).wait()

    assert 0.03 < wait < 0.04


def test_who_types_a_word_at_a_time_does_not_wait() -> None:
    assert after([0.12, 0.15, 0.11, 0.9] * 8, 0.3).wait() == 0.0


def test_nothing_waits_where_the_draft_is_there_before_the_next_key() -> None:
    assert after([0.2] * 32, 0.05).wait() == 0.0


@given(gaps_of_typing, st.floats(0.001, 10.0), st.sampled_from([0.0, 0.05, 0.15, 1.0]))
def test_the_wait_is_bounded(gaps: list[float], draft_s: float, longest_s: float) -> None:
    assert 0.0 <= after(gaps, draft_s, longest_s).wait() <= longest_s


@given(gaps_of_typing, st.floats(0.001, 10.0))
def test_no_wait_is_dearer_than_none(gaps: list[float], draft_s: float) -> None:
    """By the costs that the module's docstring states, over the remembered gaps."""
    debounce = after(gaps, draft_s)
    known = [min(gap, 2.0) for gap in gaps][-32:]

    def cost(wait: float) -> float:
        late = [wait for gap in known if gap >= wait + draft_s]
        vain = [THRIFT * (gap - wait) for gap in known if wait < gap < wait + draft_s]
        return sum(late) + sum(vain)

    assert cost(debounce.wait()) <= cost(0.0) + 1e-6
