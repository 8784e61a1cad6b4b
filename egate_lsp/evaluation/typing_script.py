"""The writing of a file as a sequence of keys: parts of it are taken out, and typed again as a person would.

The keys lead to the file's own text whatever a tool shows meanwhile and however often it is accepted (a property test).
Chance is drawn once for each character of the file by the seed, so two tools that show different texts see the same
gaps, slips and pauses at the characters that are typed with both.

How fast people type: 52 words a minute is the average of 168,000 volunteers who copied sentences (V. Dhakal,
A. M. Feit, P. O. Kristensson, A. Oulasvirta: Observations on Typing from 136 Million Keystrokes, CHI 2018), and a word
counts as five characters, which makes 231 ms a key. All else here is an assumption: the shape of the distribution
(log-normal), the share of slips, when somebody stops to look, and for how long.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from egate_lsp import languages

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP_MS = 60_000.0 / (52 * 5)  # mean, between keys of a burst
GAP_SPREAD = 0.5  # standard deviation of the gap's logarithm
SHORTEST_GAP_MS = 30.0
LOOK_MS = 900.0  # median of a pause in which somebody looks at what is shown, if it is there at once
JUMP_MS = 2000.0  # median of the time between the last key at a place and the first request at the next
SLIPS = 0.02  # share of letters that are typed wrong first, and taken back
LOOKS = 0.12  # share of word ends at which somebody stops to look; at a new line always
LONGEST_LINE = 160  # characters of a line that are taken out as a whole
NEIGHBOURS = "etaoinshrdlucmfwypvbgk"
_WORD_END = re.compile(r"\w(?=\W)|[(\[{.,=](?=\s?\w)")
_INDENT = re.compile(r"[ \t]*")
_WORD = re.compile(r"\s*(?:\w+|[^\w\s]+)")  # what the keys that accept the next word take
_AUTOMATIC = re.compile(r"(?<=\n)[ \t]+")  # indentation that comes with the line break before it

Kind = Literal["jump", "key", "slip", "backspace", "accept"]


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the file that is taken out and written again: `text[start:end]`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the typist does.

    Attributes:
        offset: of the cursor before it, in the document as it stands then.
        removed: characters before `offset` that go.
        inserted: text that comes instead; the cursor is behind it then.
        gap_ms: time since the step before.
        looks: the typist stops after it until the tool has answered.
        saved: keys that need not be pressed, of a text that is accepted.
    """

    kind: Kind
    offset: int
    removed: int
    inserted: str
    gap_ms: float
    looks: bool = False
    saved: int = 0

    def apply(self, text: str) -> str:
        """The document after it."""
        return text[: self.offset - self.removed] + self.inserted + text[self.offset :]

    @property
    def cursor(self) -> int:
        """Where the cursor is after it."""
        return self.offset - self.removed + len(self.inserted)


@dataclass(frozen=True, slots=True)
class _Char:
    """What chance says of one character of the file."""

    gap_ms: float
    slip: str
    looks: bool


def choose(text: str, language: str, chars: int, *, seed: int, count: int = 4) -> list[Region]:
    """`count` regions of `chars` characters together, in the order in which they are written: the body of a block, some
    lines in the middle, the rest of a line with what follows, and the end of the file. Fewer where the file has no
    such places; none in an empty file."""
    lines = _lines(text)
    if not lines:
        return []
    chance = random.Random(f"{seed} regions")
    size = max(chars // count, 1)
    found: list[Region] = []

    def take(start: int, *, whole: bool = True) -> bool:
        end = _end_of(text, start, size, whole=whole)
        near = any(start <= other.end + size and other.start <= end + size for other in found)
        if near or not text[start:end].strip():
            return False
        found.append(Region(start, end))
        return True

    code = [
        (start, end)
        for start, end in lines[len(lines) // 5 :]
        if text[start:end].strip() and not languages.is_comment(text[start:end], language)
    ]
    last = len(text.rstrip())
    tail = max(last - size, 0)
    take(text.rfind("\n", 0, tail) if text.rfind("\n", 0, tail) >= 0 else tail, whole=False)
    chance.shuffle(code)
    openers = [span for span in code if languages.opens_block(text[slice(*span)], language)]
    places = [[end for _, end in openers], [end for _, end in code], [_middle(text, span) for span in code]]
    at = 0
    while len(found) < count and any(places):
        queue = places[at % len(places)]
        at += 1
        while queue and not take(queue.pop()):
            pass
    chance.shuffle(found)
    return found


class Typist:
    """Writes the regions one after the other.

    Attributes:
        text: the document as it stands.
        cursor: where the next character goes.
        accepted: characters that were accepted.
        typed: characters of the file that were typed.
    """

    def __init__(self, text: str, regions: Sequence[Region], *, seed: int, gap_ms: float = GAP_MS) -> None:
        self._whole = text
        self._regions = tuple(regions)
        self._chance = {
            at: char
            for region in regions
            for at, char in _chances(text, region, random.Random(f"{seed} {region.start}"), gap_ms)
        }
        jumps = random.Random(f"{seed} jumps")
        self._jump_ms = [jumps.lognormvariate(math.log(JUMP_MS * gap_ms / GAP_MS), 0.3) for _ in regions]
        self._at = 0  # which region
        self._done = 0  # characters of it that stand in the document
        self._jumped = False
        self._slipped = ""
        self._looking = False
        self.text = _without(text, regions)
        self.cursor = 0
        self.accepted = 0
        self.typed = 0

    @property
    def left(self) -> int:
        """Characters that are still to be written."""
        return sum(region.end - region.start for region in self._regions[self._at :]) - self._done

    @property
    def will_jump(self) -> bool:
        """The next step is a jump: the typist leaves the place now."""
        return self._at < len(self._regions) and not self._jumped

    def next(self, shown: str = "") -> Step | None:
        """What is done next, seeing this text at the cursor; None at the end."""
        step = self._next(shown)
        if step is None:
            return None
        self.text, self.cursor, self._looking = step.apply(self.text), step.cursor, step.looks
        if not self._slipped and self._rest() == "":
            self._at, self._done, self._jumped = self._at + 1, 0, False
        return step

    def _next(self, shown: str) -> Step | None:
        if self._at >= len(self._regions):
            return None
        if not self._jumped:
            self._jumped = True
            return Step("jump", self._start(), 0, "", self._jump_ms[self._at], looks=True)
        if self._slipped:
            gone, self._slipped = self._slipped, ""
            return Step("backspace", self.cursor, len(gone), "", self._char().gap_ms)
        if self._looking and (taken := acceptable(shown, self._rest())):
            gap_ms = self._char().gap_ms * taken.keys
            self._done += len(taken.text)
            self.accepted += len(taken.text)
            return Step("accept", self.cursor, 0, taken.text, gap_ms, looks=True, saved=taken.saved)
        char, slip = self._char(), self._char().slip
        if slip and not self._slipped_before():
            self._slipped = slip
            return Step("slip", self.cursor, 0, slip, char.gap_ms)
        key = _key(self._rest())
        looks = self._chance[self._file_offset() + len(key) - 1].looks
        self._done += len(key)
        self.typed += len(key)
        return Step("key", self.cursor, 0, key, char.gap_ms, looks)

    def _slipped_before(self) -> bool:
        """This character was typed wrong already."""
        at = self._file_offset()
        before = self._chance[at]
        self._chance[at] = _Char(before.gap_ms, "", before.looks)
        return not before.slip

    def _char(self) -> _Char:
        return self._chance[self._file_offset()]

    def _file_offset(self) -> int:
        return self._regions[self._at].start + self._done

    def _rest(self) -> str:
        return self._whole[self._file_offset() : self._regions[self._at].end] if self._at < len(self._regions) else ""

    def _start(self) -> int:
        """Where the region to be written begins, in the document as it stands."""
        here = self._regions[self._at].start
        missing = sum(other.end - other.start for other in self._regions[self._at + 1 :] if other.start < here)
        return here - missing


@dataclass(frozen=True, slots=True)
class Taken:
    """The beginning of a shown text that is accepted.

    Attributes:
        keys: to press for it.
    """

    text: str
    keys: int

    @property
    def saved(self) -> int:
        """Keys that it would have taken to type it, less those that accepted it."""
        return len(_AUTOMATIC.sub("", self.text)) - self.keys


def acceptable(shown: str, rest: str) -> Taken | None:
    """What is taken of the shown text where the file goes on with `rest`: the whole by one key, or as much as is right,
    line by line and then word by word, as editors accept parts; whatever saves most keys. None if nothing saves any."""
    taken = [Taken(shown, 1)] if rest.startswith(shown) else []
    start = lines = 0
    while (end := shown.find("\n", start + 1)) > 0 and rest.startswith(shown[:end]):
        start, lines = end, lines + 1
        taken.append(Taken(shown[:end], lines))
    for words, match in enumerate(_WORD.finditer(shown, start), 1):
        if not rest.startswith(shown[: match.end()]):
            break
        taken.append(Taken(shown[: match.end()], lines + words))
    best = max(taken, key=lambda each: each.saved, default=None)
    return best if best is not None and best.saved > 0 else None


def _without(text: str, regions: Sequence[Region]) -> str:
    for region in sorted(regions, key=lambda region: -region.start):
        text = text[: region.start] + text[region.end :]
    return text


def _key(rest: str) -> str:
    """What one key puts in: after a line break the editor indents by itself."""
    if rest[0] != "\n":
        return rest[0]
    indent = _INDENT.match(rest, 1)
    assert indent is not None
    return "\n" + indent.group()


def _chances(text: str, region: Region, chance: random.Random, gap_ms: float) -> list[tuple[int, _Char]]:
    """One for each character of the region."""
    ends = {match.end() - 1 for match in _WORD_END.finditer(text, region.start, region.end + 1)}
    median = math.log(gap_ms) - GAP_SPREAD**2 / 2.0  # of a log-normal distribution with this mean
    found = []
    after_break = False
    for at in range(region.start, region.end):
        char = text[at]
        gap = max(chance.lognormvariate(median, GAP_SPREAD), SHORTEST_GAP_MS)
        slips, looks = chance.random() < SLIPS, chance.random() < LOOKS
        wrong = chance.choice(NEIGHBOURS)
        slip = wrong if slips and char.isalpha() and wrong != char else ""
        # A line break with its indentation is one key: somebody looks after the last character of it.
        after_break = char == "\n" or (after_break and char in " \t")
        follows = text[at + 1 : at + 2]
        starts_line = after_break and follows not in {" ", "\t"}
        found.append((at, _Char(gap, slip, starts_line or (looks and at in ends))))
    return found


def look_ms(seed: int, number: int, gap_ms: float = GAP_MS) -> float:
    """How long the typist's look number `number` takes at least; who types faster looks more shortly."""
    return random.Random(f"{seed} look {number}").lognormvariate(math.log(LOOK_MS * gap_ms / GAP_MS), 0.4)


def _lines(text: str) -> list[tuple[int, int]]:
    """Start and end of each line, the break not counted."""
    found, start = [], 0
    for line in text.split("\n"):
        found.append((start, start + len(line)))
        start += len(line) + 1
    return found if text.strip() else []


def _end_of(text: str, start: int, size: int, *, whole: bool) -> int:
    """Where a region of about this size ends: at the end of a line, or with `whole` unset of the file's text. Only of a
    very long line a rest is left behind the region."""
    last = len(text.rstrip())
    if not whole:
        return last
    cut = text.rfind("\n", start + 1, start + size + 1)
    if cut > start:
        return cut
    cut = text.find("\n", start + 1)
    return min(cut if cut > start else len(text), start + max(size, LONGEST_LINE))


def _middle(text: str, span: tuple[int, int]) -> int:
    """A place within a line, after its indentation."""
    start, end = span
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    return first + (end - first) // 2
