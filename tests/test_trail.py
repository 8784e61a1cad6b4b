"""The logits kept along a draft: what is given back is what was put there, of the sequence at hand, and still true."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.models.trail import MOST, Trail

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 60)),
        st.tuples(st.just("begin"), st.integers(0, 2), st.integers(0, 60), st.integers(0, 60)),
        st.tuples(st.just("forget"), st.integers(0, 2)),
    ),
    max_size=120,
)


@given(steps)
def test_it_gives_back_what_holds_still_and_nothing_else(steps) -> None:
    trail, model = Trail(4), {}
    sequence, count = 0, 0
    trail.begin(0, 0, 1000)
    for step in steps:
        match step:
            case ("put", held):
                count += 1
                trail.put(held, np.full(4, count, np.float32))
                if held in model or len(model) < MOST:
                    model[held] = count
            case ("begin", other, least, most):
                model = {held: value for held, value in model.items() if other == sequence and least <= held <= most}
                sequence = other
                trail.begin(other, least, most)
            case ("forget", other):
                if other == sequence:
                    model = {}
                trail.forget(other)
        for held in range(61):
            found = trail.get(sequence, held)
            assert (None if found is None else found.tolist()) == ([model[held]] * 4 if held in model else None)
            assert trail.get(sequence + 1, held) is None


def test_what_is_put_is_copied() -> None:
    trail, logits = Trail(3), np.zeros(3, np.float32)
    trail.begin(1, 0, 10)
    trail.put(5, logits)
    logits[0] = 9.0

    assert trail.get(1, 5).tolist() == [0.0, 0.0, 0.0]
