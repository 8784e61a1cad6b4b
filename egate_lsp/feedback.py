"""What the user's own actions say of a place: typing past a suggestion, dismissing it, deleting what was accepted or
asking by hand make the gate more eager there; accepting makes it less so. Pure.

A place is a line of a document. Its unease lies in [-1, 1] and is halved by every `HALF_LIFE` further events of the
document, so that it is forgotten while the user works on.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

ASKED, TYPED_PAST, DISMISSED, DELETED, ACCEPTED = 0.5, 0.5, 0.7, 0.8, -0.5
HALF_LIFE = 8.0  # events
CAPACITY = 64  # documents


@dataclass(frozen=True, slots=True)
class Shown:
    """A suggestion on the screen.

    Attributes:
        line: of the cursor, from 0.
        before: the document's text before the cursor.
        text: what was suggested.
        accepted: the user took it.
    """

    line: int
    before: str
    text: str
    accepted: bool = False


class Feedback:
    """Remembers what was shown in each document and what became of it."""

    def __init__(self) -> None:
        self._shown: OrderedDict[str, Shown] = OrderedDict()
        self._unease: dict[str, dict[int, float]] = {}

    def shown(self, path: str, before: str, text: str) -> None:
        """A suggestion was sent; an empty one takes the former away without a judgement."""
        if not text:
            self._shown.pop(path, None)
            return
        self._shown[path] = Shown(before.count("\n"), before, text)
        self._shown.move_to_end(path)
        while len(self._shown) > CAPACITY:
            old, _ = self._shown.popitem(last=False)
            self._unease.pop(old, None)

    def accepted(self, path: str) -> None:
        """The editor reports that the last suggestion was taken."""
        if (last := self._shown.get(path)) is not None and not last.accepted:
            self._shown[path] = Shown(last.line, last.before, last.text, accepted=True)
            self._add(path, last.line, ACCEPTED)

    def typed_past(self, path: str) -> None:
        """The user typed something else than the last suggestion."""
        if (last := self._shown.pop(path, None)) is not None:
            self._add(path, last.line, TYPED_PAST)

    def undone(self, path: str) -> None:
        """The user took the last suggestion and then took it away again."""
        if (last := self._shown.get(path)) is not None and last.accepted:
            self._add(path, last.line, DELETED)
            del self._shown[path]

    def dismissed(self, path: str) -> None:
        """The editor reports that the last suggestion was sent away."""
        if (last := self._shown.pop(path, None)) is not None:
            self._add(path, last.line, DISMISSED)

    def seen(self, path: str, before: str) -> bool:
        """The document as it is at the next request: what happened to the last suggestion is read off it, also where
        the editor does not report it. True if it was refused: typed past, or deleted after it was accepted."""
        last = self._shown.get(path)
        if last is None:
            return False
        typed = before[len(last.before) :] if before.startswith(last.before) else None
        if last.accepted:
            if typed is not None and not typed.startswith(last.text[: max(len(typed), 1)]):
                self._add(path, last.line, DELETED)
                del self._shown[path]
                return True
        elif typed is None:
            del self._shown[path]  # the cursor is elsewhere; nothing was said of the suggestion
        elif typed.startswith(last.text):
            self.accepted(path)
        elif not last.text.startswith(typed):
            self._add(path, last.line, TYPED_PAST)
            del self._shown[path]
            return True
        return False

    def asked(self, path: str, before: str) -> None:
        """The user asked for a suggestion by hand."""
        self._add(path, before.count("\n"), ASKED)

    def unease(self, path: str, before: str) -> float:
        """Of the cursor's line, in [-1, 1]; 0 where nothing happened."""
        return self._unease.get(path, {}).get(before.count("\n"), 0.0)

    def _add(self, path: str, line: int, amount: float) -> None:
        faded = {
            other: value * 0.5 ** (1.0 / HALF_LIFE)
            for other, value in self._unease.get(path, {}).items()
            if abs(value) > 0.05
        }
        faded[line] = min(max(faded.get(line, 0.0) + amount, -1.0), 1.0)
        self._unease[path] = faded
