"""Whether the tiers behind the draft are late of late."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.punctuality import LATE, PROBE_S, Punctuality

ENDINGS = st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=30)


@given(ENDINGS, st.floats(0.1, 4))
def test_late_after_so_many_late_answers_in_a_row(endings: list[tuple[float, bool]], deadline: float) -> None:
    subject = Punctuality(deadline)
    for seconds, answered in endings:
        subject.took(seconds, answered=answered)

    known = [seconds > deadline for seconds, answered in endings if seconds > deadline or answered]
    assert subject.late == (len(known) >= LATE and all(known[-LATE:]))


@given(st.lists(st.floats(0, 200), min_size=1, max_size=20))
def test_while_late_it_is_tried_no_more_than_once_in_a_while(times: list[float]) -> None:
    subject = Punctuality(1.0)
    asked = []
    for now in sorted(times):
        if subject.may_ask(now):
            subject.asked(now)
            asked.append(now)

    assert asked[0] == min(times)
    assert all(later - earlier >= PROBE_S for earlier, later in itertools.pairwise(asked))
