from __future__ import annotations

from itertools import count

import pytest

from egate_lsp.chronicle import Chronicle
from egate_lsp.documents import Change, Document, PositionEncoding
from egate_lsp.suggestions import Suggestions
from egate_lsp.values import Completion, CompletionLine, Snapshot, Source, TierRequest, Verdict
from tests.test_ledger import NOON, Clock

URI = "file:///p/a.py"


class Written:
    """A ledger: the last state of each record."""

    def __init__(self) -> None:
        self.records: dict[int, object] = {}

    def put(self, record) -> None:
        self.records[record.id] = record

    amend = put

    def only(self):
        (record,) = self.records.values()
        return record


class Timers:
    """A loop's `call_later`, by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: dict[int, tuple[float, object]] = {}
        self._ids = count()

    def __call__(self, delay, callback):
        key = next(self._ids)
        self.waiting[key] = (self.now + delay, callback)

        class Handle:
            def cancel(_self) -> None:
                self.waiting.pop(key, None)

        return Handle()

    def pass_to(self, moment: float) -> None:
        for key, (due, callback) in sorted(self.waiting.items(), key=lambda item: item[1][0]):
            if due <= moment and key in self.waiting:
                self.now = due
                del self.waiting[key]
                callback()  # type: ignore[operator]
        self.now = moment


class Session:
    """A document, its suggestions and their chronicle, wired as the server does it."""

    def __init__(self, text: str) -> None:
        self.document = Document(URI, 1, "python", text)
        self.documents = {URI: self.document}
        self.ledger, self.timers, self.suggestions = Written(), Timers(), Suggestions()
        self.chronicle = Chronicle(lambda: self.ledger, self.documents.get, self.timers, Clock(NOON))  # type: ignore

    def show(self, text: str, row: int, column: int, wanted: float | None = 0.2, **fields):
        lines = tuple(CompletionLine(line, Source.DRAFT, "small") for line in text.split("\n")) if text else ()
        completion = Completion(lines, **{"timing_ms": {"total": 50.0}, **fields})
        offset = self.document.offset_at(row, column, PositionEncoding.UTF32)
        snapshot = Snapshot(self.document.text, offset, "/p/a.py", "python")
        made = self.suggestions.add(URI, completion, snapshot, start=(row, column), insert=completion.text)
        self.suggestions.show(URI, [made] if completion.text else [])
        self.chronicle.made([made], wanted)
        return made

    def edit(self, start, end, text: str) -> None:
        edits = [self.document.apply(Change(text, start, end), PositionEncoding.UTF32)]
        self.chronicle.edited(URI, edits)
        self.chronicle.happened(self.suggestions.edited(URI, edits))

    def accept(self, made) -> None:
        self.edit(made.start, made.start, made.insert)

    @property
    def record(self):
        return self.ledger.only()


def test_an_accepted_text_that_stands() -> None:
    session = Session("x = \ny = 1\n")
    session.accept(session.show("a + b", 0, 4))
    assert (session.record.outcome, session.record.chars, session.record.chars_taken) == ("accepted", 5, 5)
    assert session.record.kept_30 is None
    session.timers.pass_to(30)
    assert (session.record.kept_30, session.record.kept_300) == (1.0, None)
    session.timers.pass_to(300)

    assert session.record.kept_300 == 1.0
    assert session.timers.waiting == {}


def test_an_accepted_text_that_is_changed_piece_by_piece() -> None:
    session = Session("x = \ny = 1\n")
    session.accept(session.show("alpha(beta)", 0, 4))
    session.edit((0, 0), (0, 0), "# above\n")
    session.edit((1, 4), (1, 9), "gamma")
    session.timers.pass_to(30)
    session.edit((1, 0), (2, 0), "")
    session.timers.pass_to(300)

    assert session.record.kept_30 == pytest.approx(6 / 11, abs=1e-3)
    assert session.record.kept_300 == 0.0


def test_a_formatter_takes_nothing_away() -> None:
    session = Session("x = \n")
    session.accept(session.show("call(a,b)", 0, 4))
    session.edit(None, None, "x = call(a, b)\n")
    session.timers.pass_to(300)

    assert session.record.kept_300 == 1.0


def test_an_acceptance_reported_before_the_edit_is_watched_all_the_same() -> None:
    session = Session("x = \n")
    made = session.show("a + b", 0, 4)
    session.chronicle.happened(session.suggestions.accepted(made.key))
    session.edit((0, 4), (0, 4), "a + b")
    session.timers.pass_to(30)

    assert session.record.kept_30 == 1.0


def test_an_acceptance_that_is_never_seen_leaves_kept_unknown() -> None:
    session = Session("x = \n")
    made = session.show("a + b", 0, 4)
    session.chronicle.happened(session.suggestions.accepted(made.key))
    for _ in range(12):
        session.edit((1, 0), (1, 0), "z")
    session.timers.pass_to(300)

    assert (session.record.outcome, session.record.kept_30, session.record.kept_300) == ("accepted", None, None)
    assert session.timers.waiting == {}


def test_parts_and_then_the_rest() -> None:
    session = Session("x = \n")
    made = session.show("alpha + beta", 0, 4)
    session.edit((0, 4), (0, 4), "alpha ")
    assert (session.record.outcome, session.record.chars_taken) == ("accepted in part", 6)
    rest = session.show("+ beta", 0, 10)  # the editor asks again; the rest is the same suggestion
    session.accept(rest)
    session.timers.pass_to(30)

    assert len(session.ledger.records) == 1
    assert (session.record.outcome, session.record.chars, session.record.chars_taken) == ("accepted", 12, 12)
    assert session.record.kept_30 == 1.0
    assert made.key != rest.key


def test_a_suggestion_typed_along_is_one_suggestion() -> None:
    session = Session("x = \n")
    session.show("abc", 0, 4)
    session.edit((0, 4), (0, 4), "a")
    session.show("bc", 0, 5)
    session.edit((0, 5), (0, 5), "z")

    assert session.record.outcome == "typed past"
    session.show("other", 0, 6)
    assert len(session.ledger.records) == 2


def test_a_suggestion_that_grows_is_one_suggestion() -> None:
    session = Session("x = \n")
    session.show("abc", 0, 4, pending=True)
    first = session.record
    session.show("abc\ndef", 0, 4, pending=True)
    session.edit((0, 4), (0, 4), "a")
    made = session.show("bc\ndef\nghi", 0, 5)

    assert (first.chars, first.lines, first.lines_judged, first.lines_deferred) == (3, 1, 1, 0)
    record = session.record
    assert (record.id, record.chars, record.lines, record.lines_judged) == (first.id, 11, 3, 3)

    session.accept(made)
    assert (session.record.outcome, session.record.chars_taken) == ("accepted", 10)
    session.show("other", 2, 3)
    assert len(session.ledger.records) == 2  # what follows an accepted text is another


def test_what_was_taken_in_part_stays_so_when_the_rest_is_sent_away() -> None:
    session = Session("x = \n")
    made = session.show("alpha + beta", 0, 4)
    session.edit((0, 4), (0, 4), "alpha ")
    session.chronicle.happened(session.suggestions.dismissed(made.key))

    assert (session.record.outcome, session.record.chars_taken) == ("accepted in part", 6)


def test_an_undone_acceptance() -> None:
    session = Session("x = \n")
    session.accept(session.show("a + b", 0, 4))
    session.edit((0, 4), (0, 9), "")
    session.timers.pass_to(30)

    assert (session.record.outcome, session.record.kept_30) == ("undone", 0.0)


def test_closing_the_document_leaves_no_timer() -> None:
    session = Session("x = \n")
    session.accept(session.show("a + b", 0, 4))
    session.chronicle.closed(URI)
    assert session.timers.waiting == {}
    session.accept(session.show("a + b", 0, 4))
    session.chronicle.close()

    assert session.timers.waiting == {}


def test_a_completion_with_nothing_to_show_counts_for_the_share_only() -> None:
    session = Session("x = \n")
    session.show("", 0, 4)
    assert session.ledger.records == {}
    session.show("", 0, 4, pending=True, requests=(TierRequest("big", 0, "late", 1.0),))

    assert (session.record.shown, session.record.lines, session.record.lines_judged) == (False, 0, 1)
    assert session.record.lines_deferred == 1


def test_the_source_is_that_of_the_lines() -> None:
    session = Session("x = \n")
    lines = (
        CompletionLine("a", Source.DRAFT, "small", verdict=Verdict.KEEP),
        CompletionLine("b", Source.TARGET, "big", verdict=Verdict.DEFER),
        CompletionLine("c", Source.DRAFT, "small", verdict=Verdict.DEFER),
    )
    completion = Completion(lines, timing_ms={"total": 40.0, "context": 2.0})
    snapshot = Snapshot("x = \n", 4, "/p/a.py", "python")
    made = session.suggestions.add(URI, completion, snapshot, start=(0, 4), insert=completion.text)
    session.chronicle.made([made], 0.2)
    record = session.record

    assert (record.source, record.lines, record.lines_deferred, record.lines_target) == ("merged", 3, 2, 1)
    assert (record.latency_ms, record.wanted, record.chars) == (42.0, 0.2, 5)
