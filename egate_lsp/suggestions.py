"""The suggestions that an editor was given, and what became of each, by its own reports or read off the document. Pure.

Editors differ in what they report: some tell of acceptance only, some of nothing. So the edits that follow a suggestion
are compared with its text as they come. Each outcome is counted once, whoever tells it first.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.values import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.documents import Edit
    from egate_lsp.values import Completion, Snapshot

REMEMBERED = 64  # suggestions that can still be explained or accepted
LEAST_REMEMBERED = 8
MOST_CHARS = 32_000_000  # of the documents they were made for: each is kept with the whole text
WATCHED_EDITS = 64  # after its acceptance a suggestion is watched no longer than this
LEAST_TAKEN = 3  # characters at once that are an acceptance of a part, and not typing
_CLOSERS = frozenset(")]}\"'`>")


@dataclass(slots=True, eq=False)
class Suggestion:
    """One item that was sent.

    Attributes:
        key: the id that the editor names it by.
        insert: the item's text; it begins with what the item replaces.
        replaced: what of `insert` stood in the document already.
        start: `(row, column)` in code points where `insert` begins.
        outcome: None as long as nothing is known.
        taken: characters of `insert` that were accepted in part.
        siblings: all that were sent with it, itself among them.
    """

    key: str
    uri: str
    completion: Completion
    snapshot: Snapshot
    insert: str
    replaced: str
    start: tuple[int, int]
    outcome: Outcome | None = None
    taken: int = 0
    siblings: tuple[Suggestion, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something the user did with a suggestion; `instead_of` was told of it before, by mistake."""

    outcome: Outcome
    suggestion: Suggestion
    instead_of: Outcome | None = None


@dataclass(slots=True)
class _Watch:
    """The place of suggestions of which one is on the screen, and what stands there now.

    Attributes:
        typed: from `start` to where the cursor should be.
        inserted: characters by the last edit, if it was here.
        accepted: the one that was taken, once one was.
        landed: its whole text was seen in the document; an editor may report the acceptance before the edit.
    """

    suggestions: list[Suggestion]
    start: tuple[int, int]
    typed: str
    inserted: int = 0
    edits: int = 0
    accepted: Suggestion | None = None
    landed: bool = False

    def follow(self, edit: Edit) -> bool:
        """Take an edit into account. False: the place is lost, and nothing can be said any more."""
        self.edits += 1
        self.inserted = 0
        text = edit.text.replace("\r\n", "\n").replace("\r", "\n")
        start, end = self._offset(edit.start), self._offset(edit.end)
        if start is None:
            return True  # behind the place
        if start < 0:
            return self._move(edit, text, end)
        kept = self.typed[end:] if end is not None else ""
        self.typed = self.typed[:start] + text + kept
        self.inserted = len(text)
        return True

    def is_undone(self) -> bool:
        """The accepted text stood here, and now something else does."""
        if self.accepted is None or not self.landed:
            self.landed = self.accepted is not None and self.typed.startswith(self.accepted.insert)
            return False
        if len(self.typed) <= len(self.accepted.replaced):
            return True
        return not self.typed.startswith(self.accepted.insert[: len(self.typed)])

    def _move(self, edit: Edit, text: str, end: int | None) -> bool:
        """An edit that begins before the place."""
        if end is None or end >= 0:
            return False
        row, column = self.start
        if edit.end[0] == row:
            last = len(text.rpartition("\n")[2]) + (0 if "\n" in text else edit.start[1])
            column += last - edit.end[1]
        self.start = (row + text.count("\n") - (edit.end[0] - edit.start[0]), column)
        return True

    def _offset(self, place: tuple[int, int]) -> int | None:
        """Into what stands there; -1 before it, None behind it."""
        if place < self.start:
            return -1
        row, column = place[0] - self.start[0], place[1]
        if row == 0:
            column -= self.start[1]
        lines = self.typed.split("\n")
        if row >= len(lines) or column > len(lines[row]):
            return None
        return sum(len(line) + 1 for line in lines[:row]) + column


class Suggestions:
    """All that one client was given of late, by key."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, Suggestion] = OrderedDict()
        self._watches: dict[str, _Watch] = {}
        self._taken: dict[str, _Watch] = {}  # of accepted ones
        self._keys = itertools.count(1)
        self._chars = 0

    def add(
        self,
        uri: str,
        completion: Completion,
        snapshot: Snapshot,
        *,
        start: tuple[int, int],
        insert: str,
        replaced: str = "",
    ) -> Suggestion:
        """Remember a completion that is sent now; the oldest gives way."""
        key = str(next(self._keys))
        made = Suggestion(key, uri, completion, snapshot, insert, replaced, start)
        self._made[key] = made
        self._chars += len(snapshot.text)
        while len(self._made) > (REMEMBERED if self._chars <= MOST_CHARS else LEAST_REMEMBERED):
            _, gone = self._made.popitem(last=False)
            self._chars -= len(gone.snapshot.text)
        return made

    def show(self, uri: str, suggestions: Sequence[Suggestion]) -> None:
        """These are on the screen from now on, or can be chosen there; none: nothing is."""
        if suggestions:
            first = suggestions[0]
            for made in suggestions:
                made.siblings = tuple(suggestions)
            self._watches[uri] = _Watch(list(suggestions), first.start, first.replaced)
        else:
            self._watches.pop(uri, None)

    def get(self, key: str) -> Suggestion | None:
        """By its id."""
        return self._made.get(key)

    def newest(self, uri: str = "") -> Suggestion | None:
        """The last one made, of this document if one is named."""
        return next((made for made in reversed(self._made.values()) if not uri or made.uri == uri), None)

    def close(self, uri: str) -> None:
        """The document is closed: nothing more can happen to its suggestions."""
        self._watches.pop(uri, None)
        self._taken.pop(uri, None)

    def edited(self, uri: str, edits: Sequence[Edit]) -> list[Event]:
        """What these edits of the document say."""
        events: list[Event] = []
        if (taken := self._taken.get(uri)) is not None:
            lost = not all(taken.follow(edit) for edit in edits) or taken.edits > WATCHED_EDITS
            if not lost and taken.is_undone() and taken.accepted is not None:
                events += _happened(Outcome.UNDONE, taken.accepted)
                lost = True
            if lost:
                del self._taken[uri]
        if (watch := self._watches.get(uri)) is not None:
            if all(watch.follow(edit) for edit in edits):
                events += self._judged(uri, watch, final=False)
            else:
                del self._watches[uri]
        return events

    def looked(self, uri: str, cursor: tuple[int, int], typed: str) -> list[Event]:
        """What the document says at the next request: `typed` stands between the watched place and the cursor."""
        watch = self._watches.get(uri)
        if watch is None:
            return []
        typed = typed.replace("\r\n", "\n").replace("\r", "\n")
        beyond = len(typed) > len(watch.typed) and typed.startswith(watch.typed)
        if cursor < watch.start or (beyond and not any(made.insert.startswith(typed) for made in watch.suggestions)):
            del self._watches[uri]  # the cursor is elsewhere: nothing was said of the suggestion
            return []
        watch.typed, watch.inserted = typed, 0
        return self._judged(uri, watch, final=True)

    def shown(self, key: str) -> None:
        """The editor reports that it is this one of its siblings that is on the screen."""
        made = self._made.get(key)
        watch = self._watches.get(made.uri) if made is not None else None
        if made is not None and watch is not None and made in watch.suggestions:
            watch.suggestions.sort(key=lambda other: other is not made)

    def place(self, uri: str) -> tuple[int, int] | None:
        """Where the watched suggestion of this document begins now."""
        watch = self._watches.get(uri)
        return watch.start if watch is not None else None

    def accepted(self, key: str) -> list[Event]:
        """The editor reports that it was taken."""
        made = self._made.get(key)
        if made is None or made.outcome is Outcome.ACCEPTED:
            return []
        watch = self._watches.get(made.uri)
        if watch is not None and made in watch.suggestions:
            self._take(made.uri, watch, made)
        return _happened(Outcome.ACCEPTED, made)

    def partly(self, key: str, length: int) -> list[Event]:
        """The editor reports that the first `length` UTF-16 units were taken, counted from the start of `insert`."""
        made = self._made.get(key)
        if made is None or length <= 0:
            return []
        characters = _code_points(made.insert, length)
        if characters >= len(made.insert):
            return self.accepted(key)
        if characters <= max(made.taken, len(made.replaced)) or made.outcome is Outcome.ACCEPTED:
            return []
        made.taken = characters
        return _happened(Outcome.PARTLY, made)

    def dismissed(self, key: str = "") -> list[Event]:
        """The editor reports that it was sent away; without a key, the newest."""
        made = self._made.get(key) if key else self.newest()
        if made is None or made.outcome not in {None, Outcome.PARTLY}:
            return []
        self._watches.pop(made.uri, None)
        for other in made.siblings:
            if other is not made and other.outcome is None:
                other.outcome = Outcome.DISMISSED  # sent away together, counted once
        return _happened(Outcome.DISMISSED, made)

    def _judged(self, uri: str, watch: _Watch, *, final: bool) -> list[Event]:
        typed = watch.typed
        by_length = sorted(watch.suggestions, key=lambda made: -len(made.insert))
        if (whole := next((made for made in by_length if typed.startswith(made.insert)), None)) is not None:
            self._take(uri, watch, whole)
            at_once = watch.inserted > 1
            return _happened(Outcome.ACCEPTED if at_once else Outcome.TYPED_THROUGH, whole)
        if (along := next((made for made in watch.suggestions if made.insert.startswith(typed)), None)) is not None:
            if watch.inserted >= LEAST_TAKEN and len(typed) > along.taken and _ends_word(along.insert, len(typed)):
                along.taken = len(typed)
                return _happened(Outcome.PARTLY, along)
            return []
        if not final and any(_may_be_paired(typed, made.insert) for made in watch.suggestions):
            return []  # the editor may have closed a bracket behind the cursor
        del self._watches[uri]
        return _happened(Outcome.TYPED_PAST, watch.suggestions[0])

    def _take(self, uri: str, watch: _Watch, made: Suggestion) -> None:
        """Watch it from now on as an accepted one."""
        self._watches.pop(uri, None)
        watch.accepted, watch.edits = made, 0
        watch.landed = watch.typed.startswith(made.insert)
        self._taken[uri] = watch


def _happened(outcome: Outcome, made: Suggestion) -> list[Event]:
    """The event, if it is news: outcomes exclude each other, but for a part that was taken before."""
    former = made.outcome
    if former is outcome or (former is Outcome.ACCEPTED and outcome is not Outcome.UNDONE):
        return []
    made.outcome = outcome
    # Where the editor reports an acceptance, what looked like typing was the acceptance of a single character, and what
    # looked like undoing was an editor that puts the entry's label in, and then the text in its place (Emacs).
    mistaken = former if former in {Outcome.TYPED_THROUGH, Outcome.UNDONE} and outcome is Outcome.ACCEPTED else None
    return [Event(outcome, made, mistaken)]


def _ends_word(text: str, length: int) -> bool:
    return not (_is_word(text[length - 1 : length]) and _is_word(text[length : length + 1]))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _may_be_paired(typed: str, text: str) -> bool:
    """Is `typed` the beginning of the text, but for closers at its end?"""
    common = next((i for i, (a, b) in enumerate(zip(typed, text, strict=False)) if a != b), min(len(typed), len(text)))
    return common > 0 and all(character in _CLOSERS for character in typed[common:])


def _code_points(text: str, units: int) -> int:
    """Characters within so many UTF-16 units."""
    for index, character in enumerate(text):
        units -= 2 if ord(character) > 0xFFFF else 1
        if units < 0:
            return index
    return len(text)
