"""Texts known to follow a place, found again while the user types them. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A hole: the text on both sides of it, as the models are shown it."""

    prefix: str
    suffix: str

    def typed_since(self, earlier: Place) -> str | None:
        """What was typed at `earlier` to come here; None if this place did not come from it by typing."""
        if self.suffix != earlier.suffix or not self.prefix.startswith(earlier.prefix):
            return None
        return self.prefix[len(earlier.prefix) :]


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
        self._entries[place] = (text, value)
        self._entries.move_to_end(place)
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
