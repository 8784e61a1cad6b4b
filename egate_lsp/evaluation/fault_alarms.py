"""How often the fault checks blame an author's own line, in sound files and in broken ones, and how long they take.

Each line is judged in its file as it is, and in four broken states of it: the file cut off below the line, a bracket
taken out above it, one taken out below it, and the line above it missing. A state whose change made no difference (no
bracket near) is left out.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from egate_lsp import context as contexts
from egate_lsp import languages
from egate_lsp.assess import assess
from egate_lsp.syntax import Checker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

NEAR_CHARS = 1500  # a bracket is taken out within so many characters of the line
PER_FILE = 3
MIN_LINE_CHARS = 4


@dataclass(slots=True)
class Alarms:
    """Counts of one language.

    Attributes:
        judged: state -> lines judged in it.
        syntax, names: state -> the blamed lines, as "file:line text".
        fresh_ms: of judging a line in a file that was not seen before.
        typed_ms: of judging it again at each further character, as while typing; median of a line.
    """

    judged: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    syntax: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    fresh_ms: list[float] = field(default_factory=list)
    typed_ms: list[float] = field(default_factory=list)


def measure(
    files: Iterable[Path], limit: int, *, seed: int, progress: Callable[[str, int, int], None]
) -> dict[str, Alarms]:
    """Judge `limit` lines drawn from the files; by language."""
    chance = random.Random(seed)
    paths = sorted(files)
    chance.shuffle(paths)
    found: dict[str, Alarms] = defaultdict(Alarms)
    done = 0
    for path in paths:
        language = languages.by_path(path.name)
        try:
            text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError):
            continue
        lines = text.split("\n")
        usable = [
            number
            for number, line in enumerate(lines)
            if len(line.strip()) >= MIN_LINE_CHARS and not languages.is_comment(line, language)
        ]
        for number in chance.sample(usable, min(PER_FILE, len(usable), limit - done)):
            _judge(found[language], path.name, lines, number, language, chance)
            done += 1
            progress("lines", done - 1, limit)
        if done >= limit:
            break
    return dict(found)


def _judge(alarms: Alarms, name: str, lines: list[str], number: int, language: str, chance: random.Random) -> None:
    line = lines[number]
    indent = len(line) - len(line.lstrip())
    column = chance.choice((indent, chance.randrange(indent + 1, len(line))))
    start = sum(len(other) + 1 for other in lines[:number])
    text = "\n".join(lines)
    before, after = text[: start + column], text[start + len(line) :]
    for state, head, tail in _states(before, after, chance):
        hole = contexts.build(head + tail, len(head), contexts.Budget(3000, 1000), path=name, language=language)
        checker = Checker()
        started = time.perf_counter()
        known = assess(hole, line[column:], checker)
        if state == "sound":
            alarms.fresh_ms.append((time.perf_counter() - started) * 1000.0)
            alarms.typed_ms.append(_typed(hole.head + hole.prefix, line[column:], tail, language, checker))
        alarms.judged[state] += 1
        place = f"{name}:{number + 1} {line.strip()}"
        if known.broken:
            alarms.syntax[state].append(place)
        if known.name_fault:
            alarms.names[state].append(f"{place} ({known.name_fault})")


def _states(before: str, after: str, chance: random.Random) -> Iterator[tuple[str, str, str]]:
    yield "sound", before, after
    yield "cut off below", before, "\n"
    above = [at for at in range(max(len(before) - NEAR_CHARS, 0), len(before)) if before[at] in "()[]{}"]
    if above:
        at = chance.choice(above)
        yield "bracket missing above", before[:at] + before[at + 1 :], after
    below = [at for at in range(min(NEAR_CHARS, len(after))) if after[at] in "()[]{}"]
    if below:
        at = chance.choice(below)
        yield "bracket missing below", before, after[:at] + after[at + 1 :]
    rows = before.split("\n")
    if len(rows) > 1 and rows[-2].strip():
        yield "line missing above", "\n".join([*rows[:-2], rows[-1]]), after


def _typed(before: str, line: str, after: str, language: str, checker: Checker) -> float:
    """Milliseconds of a check at each of the line's characters, the tree being kept: their median."""
    times = []
    for typed in range(1, len(line)):
        started = time.perf_counter()
        checker.adds_error(before + line[:typed], line[typed:], after, language, complete=False)
        times.append((time.perf_counter() - started) * 1000.0)
    return sorted(times)[len(times) // 2] if times else 0.0
