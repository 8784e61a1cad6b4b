from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.feedback import Feedback


def test_typing_what_is_shown_says_nothing_and_typing_past_it_raises_unease() -> None:
    subject = Feedback()
    subject.shown("a.py", "x = ", "value + 1")

    subject.seen("a.py", "x = val")
    assert subject.unease("a.py", "x = val") == 0.0

    subject.seen("a.py", "x = van")
    assert subject.unease("a.py", "x = van") > 0.0
    assert subject.unease("b.py", "x = van") == 0.0
    assert subject.unease("a.py", "x = van\n") == 0.0  # another line


def test_accepting_lowers_and_deleting_what_was_accepted_raises_unease() -> None:
    subject = Feedback()
    subject.shown("a.py", "x = ", "value")
    subject.accepted("a.py")
    calm = subject.unease("a.py", "x = ")
    assert calm < 0.0

    subject.seen("a.py", "x = value")
    assert subject.unease("a.py", "x = ") == calm

    subject.seen("a.py", "x = oth")
    assert subject.unease("a.py", "x = ") > calm


def test_acceptance_is_read_off_the_document_where_the_editor_says_nothing() -> None:
    subject = Feedback()
    subject.shown("a.py", "x = ", "value")

    subject.seen("a.py", "x = value\n")

    assert subject.unease("a.py", "x = ") < 0.0


def test_dismissing_and_asking_by_hand_raise_unease() -> None:
    subject = Feedback()
    subject.shown("a.py", "\nx = ", "value")
    subject.dismissed("a.py")
    dismissed = subject.unease("a.py", "\nx = ")
    subject.asked("a.py", "\nx = ")

    assert 0.0 < dismissed < subject.unease("a.py", "\nx = ")


def test_moving_the_cursor_away_says_nothing() -> None:
    subject = Feedback()
    subject.shown("a.py", "x = ", "value")
    subject.seen("a.py", "")
    subject.seen("a.py", "x = no")

    assert subject.unease("a.py", "x = ") == 0.0


TEXT = st.text(alphabet="ab\n", max_size=6)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["shown", "seen", "asked", "accepted", "dismissed"]), st.sampled_from("pq"), TEXT, TEXT),
    max_size=60,
)


@given(EVENTS)
def test_unease_stays_in_its_bounds_whatever_happens(events) -> None:
    subject = Feedback()
    for kind, path, before, text in events:
        arguments = {"shown": (path, before, text), "seen": (path, before), "asked": (path, before)}
        getattr(subject, kind)(*arguments.get(kind, (path,)))
        assert -1.0 <= subject.unease(path, before) <= 1.0
