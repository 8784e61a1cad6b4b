"""Texts known to follow a place, found again while the user types them. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from egate_lsp.values import FimContext

T = TypeVar("T")

# What a place is known by: so much text around it, whatever window the models were shown. A window is cut elsewhere
# once the user has typed, accepted or moved far enough; the place is the same.
NEAR_BEFORE = 1_000  # characters
NEAR_AFTER = 400


@dataclass(frozen=True, slots=True)
class Place:
    """A hole, by the text near it on both sides.

    What else the models were shown (an outline, code of other files) does not tell places apart: an answer stays good
    when more is known since, and the user who types through a suggestion must not lose it because a file was indexed.

    Attributes:
        offset: of the hole in its document; tells only how much was typed between two places.
    """

    before: str
    after: str
    offset: int = field(default=0, compare=False)

    @classmethod
    def of(cls, hole: FimContext) -> Self:
        """Of what the models are shown."""
        offset = len(hole.head) + len(hole.prefix)
        return cls(hole.prefix[-NEAR_BEFORE:], hole.suffix[:NEAR_AFTER], offset)

    def typed_since(self, earlier: Place) -> str | None:
        """What was typed at `earlier` to come here; None if this place did not come from it by typing."""
        if self.after != earlier.after:
            return None
        if self.before == earlier.before:
            return ""  # also where something was changed far above
        length = self.offset - earlier.offset
        if not 0 < length <= min(len(self.before), NEAR_BEFORE // 2):
            return None
        typed = self.before[-length:]
        there = earlier.before + typed
        return typed if there.endswith(self.before) or self.before.endswith(there) else None


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """An entry that fits: what is left of its text after what was typed, and what was stored with it."""

    text: str
    value: T


class Continuations(Generic[T]):
    """The most recently used texts by place. An entry fits a place if all that was typed since is its beginning."""

    def __init__(self, capacity: int = 128) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Place, tuple[str, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, place: Place, text: str, value: T) -> None:
        """Store; the least recently used entry gives way."""
        self._entries.pop(place, None)  # with the offset it had
        self._entries[place] = (text, value)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def forget(self, place: Place) -> None:
        """Take out what is stored for this very place."""
        self._entries.pop(place, None)

    def find(self, place: Place) -> Found[T] | None:
        """The newest entry that fits."""
        for stored in reversed(self._entries):
            typed = place.typed_since(stored)
            if typed is None:
                continue
            text, value = self._entries[stored]
            if text.startswith(typed):
                self._entries.move_to_end(stored)
                return Found(text[len(typed) :], value)
        return None
