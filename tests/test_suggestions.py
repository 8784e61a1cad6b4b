"""What became of a suggestion: by the editor's reports, by the document, and counted once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.documents import Change, Document, Edit, PositionEncoding
from egate_lsp.suggestions import Suggestions
from egate_lsp.values import Completion, CompletionLine, Outcome, Snapshot, Source

URI = "file:///a.py"
TEXT = "value_of(key)\n    return key"


class Screen:
    """A document in which a suggestion is on the screen at a place, and an editor that changes it."""

    def __init__(self, before: str = "x = ", after: str = "\n", text: str = TEXT, *more: str, lead: str = "") -> None:
        self.document = Document(URI, 0, "python", before + after)
        row = before.count("\n")
        column = len(before.rpartition("\n")[2])
        self.subject = Suggestions()
        snapshot = Snapshot(before + after, len(before), "/a.py", "python")
        self.made = [
            self.subject.add(
                URI, self.completion(each), snapshot, start=(row, column - len(lead)), insert=lead + each, replaced=lead
            )
            for each in (text, *more)
        ]
        self.subject.show(URI, self.made)
        self.cursor = (row, column)
        self.seen: list[Outcome] = []

    @staticmethod
    def completion(text: str) -> Completion:
        return Completion(tuple(CompletionLine(line, Source.DRAFT) for line in text.split("\n")))

    def insert(self, text: str, *, at: tuple[int, int] | None = None, over: int = 0) -> list[Outcome]:
        """Type at the cursor (or elsewhere), replacing characters before it."""
        row, column = at or self.cursor
        change = Change(text, (row, column - over), (row, column))
        events = self.subject.edited(URI, [self.document.apply(change, PositionEncoding.UTF32)])
        if at is None:
            lines = text.split("\n")
            first = column - over if len(lines) == 1 else 0
            self.cursor = (row + len(lines) - 1, first + len(lines[-1]))
        self.seen += [event.outcome for event in events]
        return [event.outcome for event in events]

    def ask(self) -> list[Outcome]:
        """The next request at the cursor."""
        place = self.subject.place(URI)
        if place is None:
            return []
        events = self.subject.looked(URI, self.cursor, self.document.between(place, self.cursor))
        return [event.outcome for event in events]


def test_the_whole_at_once_is_an_acceptance_and_counted_once() -> None:
    screen = Screen()

    assert screen.insert(TEXT) == [Outcome.ACCEPTED]
    assert screen.subject.accepted(screen.made[0].key) == []


def test_the_editors_report_may_come_before_the_edit() -> None:
    screen = Screen()
    (event,) = screen.subject.accepted(screen.made[0].key)

    assert event.outcome is Outcome.ACCEPTED
    assert screen.insert(TEXT) == []
    assert screen.insert(" + 1") == []


def test_typing_all_of_it_by_hand_is_no_acceptance() -> None:
    screen = Screen(text="key")
    assert [screen.insert(character) for character in "key"] == [[], [], [Outcome.TYPED_THROUGH]]


def test_a_single_character_that_the_editor_reports_was_accepted() -> None:
    screen = Screen(text=")")
    assert screen.insert(")") == [Outcome.TYPED_THROUGH]
    (event,) = screen.subject.accepted(screen.made[0].key)

    assert (event.outcome, event.instead_of) == (Outcome.ACCEPTED, Outcome.TYPED_THROUGH)


def test_a_word_at_once_is_a_partial_acceptance() -> None:
    screen = Screen()

    assert screen.insert("value_of") == [Outcome.PARTLY]
    assert screen.insert("(key") == []  # of the same suggestion once
    assert screen.insert(TEXT.removeprefix("value_of(key")) == [Outcome.ACCEPTED]


@pytest.mark.parametrize("piece", ["v", "va", "value"])
def test_what_does_not_end_a_word_was_typed(piece: str) -> None:
    screen = Screen()

    assert screen.insert(piece) == []
    assert screen.ask() == []


def test_parts_that_the_editor_reports_are_counted_once() -> None:
    screen = Screen(text="😀 = key")
    key = screen.made[0].key

    assert [event.outcome for event in screen.subject.partly(key, 2)] == [Outcome.PARTLY]
    assert screen.made[0].taken == 1  # one character of two units
    assert screen.subject.partly(key, 4) == []
    assert [event.outcome for event in screen.subject.partly(key, 8)] == [Outcome.ACCEPTED]
    assert screen.subject.partly(key, 5) == []


def test_typing_something_else_is_a_refusal() -> None:
    screen = Screen()
    screen.insert("v")

    assert screen.insert("x") == [Outcome.TYPED_PAST]
    assert screen.insert("y") == []
    assert screen.ask() == []


def test_a_closed_bracket_behind_the_cursor_is_not_yet_a_refusal() -> None:
    screen = Screen(text="f(key)")
    screen.insert("f")

    assert screen.insert("()") == []
    screen.cursor = (0, 6)
    assert screen.ask() == []
    assert screen.insert("other") == [Outcome.TYPED_PAST]


def test_what_a_closed_bracket_left_open_is_told_by_the_next_request() -> None:
    screen = Screen(text="f(key)")
    screen.insert("f")

    assert screen.insert(")") == []
    assert screen.ask() == [Outcome.TYPED_PAST]


def test_going_elsewhere_says_nothing() -> None:
    screen = Screen(before="a = 1\nx = ")
    screen.cursor = (0, 5)
    assert screen.ask() == []
    assert screen.insert("0") == []

    below = Screen(after="\ny = 2\n")
    below.cursor = (1, 5)
    assert below.ask() == []
    assert below.insert("0") == []


def test_edits_elsewhere_do_not_lose_the_place() -> None:
    screen = Screen(before="import a\n    x = ", after="\nend\n")
    screen.insert("import b\n", at=(0, 0))
    screen.insert("y", at=(3, 3))
    screen.insert("  ", at=(2, 2))
    screen.cursor = (2, 10)

    assert screen.insert(TEXT) == [Outcome.ACCEPTED]


def test_taking_an_acceptance_back_is_noticed() -> None:
    screen = Screen()
    screen.insert(TEXT)
    change = Change("", (0, 4), (1, 14))
    events = screen.subject.edited(URI, [screen.document.apply(change, PositionEncoding.UTF32)])

    assert [event.outcome for event in events] == [Outcome.UNDONE]


def test_an_item_that_replaces_the_word_before_it() -> None:
    screen = Screen(before="retu", text="rn 42", lead="retu")

    assert screen.insert("return 42", over=4) == [Outcome.ACCEPTED]


def test_any_of_several_can_be_taken() -> None:
    screen = Screen("x = ", "\n", "first()", "second()", "third()")

    assert screen.insert("second()") == [Outcome.ACCEPTED]
    assert screen.made[1].outcome is Outcome.ACCEPTED
    assert screen.made[0].outcome is None


def test_several_are_dismissed_as_one() -> None:
    screen = Screen("x = ", "\n", "first()", "second()")
    outcomes = [event.outcome for made in screen.made for event in screen.subject.dismissed(made.key)]

    assert outcomes == [Outcome.DISMISSED]
    assert screen.insert("other") == []


def test_the_one_on_the_screen_is_the_one_that_is_refused() -> None:
    screen = Screen("x = ", "\n", "first()", "second()")
    screen.subject.shown(screen.made[1].key)
    screen.insert("z")

    assert screen.made[1].outcome is Outcome.TYPED_PAST


def test_old_ones_are_forgotten_and_strangers_ignored() -> None:
    subject = Suggestions()
    snapshot = Snapshot("", 0)
    keys = [subject.add(URI, Screen.completion("a"), snapshot, start=(0, 0), insert="a").key for _ in range(100)]

    assert subject.get(keys[0]) is None
    assert subject.get(keys[-1]) is not None
    assert subject.accepted(keys[0]) == subject.partly("none", 3) == subject.dismissed("none") == []
    newest = subject.newest(URI)
    assert newest is not None
    assert newest.key == keys[-1]
    assert subject.newest("file:///other") is None


def test_few_are_remembered_of_huge_documents() -> None:
    subject = Suggestions()
    huge = Snapshot(" " * 6_000_000, 0)
    keys = [subject.add(URI, Screen.completion("a"), huge, start=(0, 0), insert="a").key for _ in range(20)]
    small = [subject.add(URI, Screen.completion("a"), Snapshot("", 0), start=(0, 0), insert="a").key for _ in range(40)]

    assert [key for key in keys if subject.get(key) is not None] == keys[-5:]
    assert len([key for key in small if subject.get(key) is not None]) == 40


EDITS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 8), st.integers(0, 3), st.integers(0, 8), st.text("ab(\n\r", max_size=4)
    ),
    max_size=20,
)


@given(EDITS, st.booleans())
def test_whatever_is_edited_the_place_holds_what_is_said_to_stand_there(edits, whole) -> None:
    """As long as a suggestion is watched, the document has at its place what the watch believes."""
    screen = Screen(before="aa\nb", after="\nab\n", text="ab(a)b\nbb")
    for row, column, last, until, text in edits:
        start, end = sorted([(row, column), (last, until)])
        if whole:
            copy = Document(URI, 0, "python", screen.document.text)
            copy.apply(Change(text, start, end), PositionEncoding.UTF32)
            change = Change(copy.text)
        else:
            change = Change(text, start, end)
        screen.subject.edited(URI, [screen.document.apply(change, PositionEncoding.UTF32)])
        watch = screen.subject._watches.get(URI)
        if watch is not None and "\r" not in screen.document.text:
            lines = watch.typed.split("\n")
            first = watch.start[1] if len(lines) == 1 else 0
            end = (watch.start[0] + len(lines) - 1, first + len(lines[-1]))
            assert screen.document.between(watch.start, end) == watch.typed


@given(st.text("ab\r\n", max_size=12), st.text("ab\r\n", max_size=12))
def test_a_whole_text_is_understood_as_the_edit_it_is(old: str, new: str) -> None:
    document = Document(URI, 0, "python", old)
    edit = document.apply(Change(new), PositionEncoding.UTF32)
    before = Document(URI, 0, "python", old)

    assert isinstance(edit, Edit)
    rebuilt = before.between((0, 0), edit.start) + edit.text + before.between(edit.end, (99, 0))
    assert rebuilt == new
