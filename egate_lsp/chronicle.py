"""Writes down what suggestions were shown and what became of them, until five minutes after they were accepted.

What the user did is found out by `suggestions`; here it is recorded, and an accepted text is watched through the edits
of its document. To be used within one event loop.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from egate_lsp.kept import MOST_AWAITED, Standing, share_kept
from egate_lsp.records import extended, suggested
from egate_lsp.values import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.documents import Document, Edit
    from egate_lsp.ledger import Ledger
    from egate_lsp.records import SuggestionRecord
    from egate_lsp.suggestions import Event, Suggestion

LOOKS_S = {"kept_30": 30.0, "kept_300": 300.0}
REMEMBERED = 64  # suggestions whose fate may still be told


class Timer(Protocol):
    """What `Schedule` gives: as `loop.call_later`."""

    def cancel(self) -> object: ...


class Schedule(Protocol):
    """As `loop.call_later`."""

    def __call__(self, delay: float, callback: Callable[[], object], /) -> Timer: ...


@dataclass(slots=True, eq=False)
class _Told:
    """One record and the suggestions that belong to it: alternatives, and its own rests while it is typed.

    Attributes:
        made: the last of them that was shown.
        taken: characters of the former ones that were accepted.
        awaited: edits still to come until the accepted text must have been seen in the document.
    """

    record: SuggestionRecord
    uri: str
    made: Suggestion
    taken: int = 0
    standing: Standing | None = None
    awaited: int = 0
    timers: list[Timer] = field(default_factory=list)


class Chronicle:
    """Of one client. `close` it, so that no timer stays."""

    def __init__(
        self,
        ledger: Callable[[], Ledger | None],
        document: Callable[[str], Document | None],
        schedule: Schedule,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`ledger` and `document` (by URI) are those of the moment; None where there is none."""
        self._ledger = ledger
        self._document = document
        self._schedule = schedule
        self._clock = clock
        self._by_key: dict[str, _Told] = {}
        self._last: dict[str, _Told] = {}
        self._watched: dict[str, list[_Told]] = {}

    def made(self, suggestions: Sequence[Suggestion], wanted: float | None) -> None:
        """These were made for one place, the one to be on the screen first. `wanted`: the share of lines to defer."""
        first = suggestions[0]
        if not first.insert[len(first.replaced) :]:
            if first.completion.lines or first.completion.requests:
                self._put(self._record(first, wanted))
            return
        told = self._last.get(first.uri)
        if told is not None and (typed := _goes_on(told.made, first)) is not None:
            growth = len(typed) + len(first.completion.text) - len(told.made.completion.text)
            told.taken += _taken(told.made)
            told.made = first
            if growth:
                told.record = extended(told.record, self._record(first, wanted), typed, growth)
                self._amend(told)
        else:
            told = self._last[first.uri] = _Told(self._record(first, wanted), first.uri, first)
            self._put(told.record)
        for made in suggestions:
            self._by_key[made.key] = told
        while len(self._by_key) > REMEMBERED:
            del self._by_key[next(iter(self._by_key))]

    def happened(self, events: Sequence[Event]) -> None:
        """The user did this."""
        for event in events:
            told = self._by_key.get(event.suggestion.key)
            if told is not None:
                self._happened(told, event.suggestion, event.outcome)

    def edited(self, uri: str, edits: Sequence[Edit]) -> None:
        """The document was edited."""
        for told in self._watched.get(uri, ()):
            assert told.standing is not None
            for edit in edits:
                if not told.awaited:
                    told.standing.follow(edit)
            if told.awaited:
                told.awaited = 0 if self._stands(told) else told.awaited - 1
                if not told.awaited and not self._stands(told):
                    self._unwatch(told)  # it was never seen

    def closed(self, uri: str) -> None:
        """The document was closed: what has not been seen by now is not known."""
        for told in list(self._watched.get(uri, ())):
            self._unwatch(told)
        self._last.pop(uri, None)

    def close(self) -> None:
        """Cancel all that is still to come."""
        for uri in list(self._watched):
            self.closed(uri)

    # ── one suggestion's fate ───────────────────────────────────────────────────────────────────────────────

    def _happened(self, told: _Told, made: Suggestion, outcome: Outcome) -> None:
        changes: dict[str, object] = {"outcome": outcome.value}
        if outcome is Outcome.ACCEPTED:
            text = made.insert[len(made.replaced) :]
            changes["chars_taken"] = told.taken + len(text)
            changes["chars"] = max(told.record.chars, told.taken + len(text))
            self._watch(told, made, text)
        elif outcome is Outcome.PARTLY:
            changes["chars_taken"] = told.taken + _taken(made)
            self._watch(told, made, made.insert[len(made.replaced) : made.taken])
        elif told.record.chars_taken and outcome is not Outcome.UNDONE:
            return  # a part of it was taken, and that is its fate
        self._amend(told, **changes)

    def _watch(self, told: _Told, made: Suggestion, text: str) -> None:
        """Look after a while how much of the accepted text stands."""
        former = told.standing
        self._unwatch(told)
        row, column = made.start
        start = (row, column + len(made.replaced))
        if former is not None and former.end == start:
            text, start = former.text + text, former.start
        told.standing = Standing.at(text, start)
        told.awaited = 0 if self._stands(told) else MOST_AWAITED
        self._watched.setdefault(told.uri, []).append(told)
        for name, delay in LOOKS_S.items():
            told.timers.append(self._schedule(delay, lambda name=name: self._look(told, name)))  # type: ignore[misc]

    def _look(self, told: _Told, name: str) -> None:
        document = self._document(told.uri)
        if document is None or told.standing is None or told.awaited:
            return
        now = document.between(told.standing.start, told.standing.end)
        self._amend(told, **{name: round(share_kept(told.standing.text, now), 4)})
        if name == max(LOOKS_S, key=LOOKS_S.__getitem__):
            self._unwatch(told)

    def _stands(self, told: _Told) -> bool:
        document = self._document(told.uri)
        if document is None or told.standing is None:
            return False
        now = document.between(told.standing.start, told.standing.end)
        return now.replace("\r\n", "\n").replace("\r", "\n") == told.standing.text

    def _unwatch(self, told: _Told) -> None:
        for timer in told.timers:
            timer.cancel()
        told.timers.clear()
        told.standing = None
        watched = self._watched.get(told.uri, [])
        if told in watched:
            watched.remove(told)
        if not watched:
            self._watched.pop(told.uri, None)

    def _record(self, made: Suggestion, wanted: float | None) -> SuggestionRecord:
        snapshot = made.snapshot
        return suggested(made.completion, self._clock(), snapshot.path, snapshot.language, wanted)

    def _put(self, record: SuggestionRecord) -> None:
        if (ledger := self._ledger()) is not None:
            ledger.put(record)

    def _amend(self, told: _Told, **changes: object) -> None:
        told.record = dataclasses.replace(told.record, **changes)  # type: ignore[arg-type]
        if (ledger := self._ledger()) is not None:
            ledger.amend(told.record)


def _taken(made: Suggestion) -> int:
    """Characters of it that were accepted in part."""
    return max(made.taken - len(made.replaced), 0)


def _goes_on(former: Suggestion, made: Suggestion) -> str | None:
    """What was typed of the former one, if this is the rest of it, perhaps with more after it; else None."""
    start, here = former.snapshot.offset, made.snapshot.offset
    typed = former.completion.text[: here - start] if here >= start else ""
    goes_on = (
        start <= here < start + len(former.completion.text)
        and former.snapshot.text[start - 80 if start > 80 else 0 : start]
        == made.snapshot.text[start - 80 if start > 80 else 0 : start]
        and made.snapshot.text[start:here] == typed
        and (typed + made.completion.text).startswith(former.completion.text)
    )
    return typed if goes_on else None
