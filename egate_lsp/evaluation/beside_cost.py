"""What code of other files beside the file costs: the first line at a new place, and the line at each key after it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from egate_lsp.draft import one_line
from egate_lsp.evaluation.outcomes import ONE_LINE
from egate_lsp.values import Snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.models import Limits
    from egate_lsp.models.engine_process import EngineProcess
    from egate_lsp.values import FimContext

PARTS = 2  # of other files, as the index usually finds


@dataclass(slots=True)
class Way:
    """With or without code of other files, place by place.

    Attributes:
        first_ms: of the first line at the place, with a short window where the whole cannot be read in time.
        key_ms: of the lines at the keys after it, once all was read; summed over the keys of a place.
        key_tokens: evaluated and decoded for these, summed likewise.
        evaluated: prompt tokens evaluated for each key.
    """

    first_ms: list[float] = field(default_factory=list)
    key_ms: list[float] = field(default_factory=list)
    key_tokens: list[float] = field(default_factory=list)
    evaluated: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BesideCost:
    """Both ways at the same places, and how many keys each place had."""

    alone: Way
    beside: Way
    keys: int

    @property
    def warm_ratio(self) -> float:
        """Median over the places of the time for all keys, beside to alone."""
        pairs = zip(self.beside.key_ms, self.alone.key_ms, strict=True)
        return statistics.median(a / b for a, b in pairs)

    @property
    def token_ratio(self) -> float:
        """The same of the time for a token: the two write different lines."""
        times = zip(self.beside.key_ms, self.beside.key_tokens, self.alone.key_ms, self.alone.key_tokens, strict=True)
        return statistics.median((a / a_tokens) / (b / b_tokens) for a, a_tokens, b, b_tokens in times)


async def measure(
    alone: EngineProcess,
    beside: EngineProcess,
    problems: Sequence[Problem],
    *,
    chars: int,
    keys: int,
    reading_ms: float,
    progress: Callable[[str, int, int], None],
) -> BesideCost:
    """At each place both engines draft the line in turns, at first and after each of `keys` keys of the author's line,
    which must be longer; `beside` is shown `chars` characters of other files. The engines are left open."""
    hurried = replace(ONE_LINE, reading_ms=reading_ms)
    found = BesideCost(Way(), Way(), keys)
    await one_line(alone, problems[0].context, ONE_LINE)  # load both before anything is timed
    await one_line(beside, problems[0].context, ONE_LINE)
    for index, problem in enumerate(problems[1:]):
        progress("places", index, len(problems) - 1)
        others = [other for other in problems if other.group != problem.group][index % 7 :][:PARTS]
        shown = replace(problem.context, snippets=_parts(others, chars))
        turns = [(found.alone, alone, problem.context), (found.beside, beside, shown)]
        for way, model, context in turns:
            way.first_ms.append((await _timed(model, context, hurried))[0])
            await model.read_all()
            await _timed(model, context, ONE_LINE)
            way.key_ms.append(0.0)
            way.key_tokens.append(0.0)
        for key in range(1, keys + 1):
            for way, model, context in turns if key % 2 else reversed(turns):
                ms, usage = await _timed(model, context.extended(problem.expected[:key]), ONE_LINE)
                way.key_ms[-1] += ms
                way.evaluated.append(usage.get("evaluated_tokens", 0.0))
                decoded = usage.get("generated_tokens", 0.0) - usage.get("known_tokens", 0.0)
                way.key_tokens[-1] += usage.get("evaluated_tokens", 0.0) + decoded
    return found


async def _timed(model: EngineProcess, context: FimContext, limits: Limits) -> tuple[float, dict[str, float]]:
    started = time.perf_counter()
    await one_line(model, context, limits)
    return (time.perf_counter() - started) * 1000.0, model.usage()


def _parts(others: Sequence[Problem], chars: int) -> tuple[Snippet, ...]:
    """Whole lines from around the holes of other files, together at most so many characters."""
    size = chars // max(len(others), 1)
    parts = []
    for other in others:
        text = f"{other.before[-size // 2 :].partition(chr(10))[2]}{other.expected}{other.after[: size // 2]}"
        parts.append(Snippet(other.context.path, text[:size].rpartition("\n")[0] + "\n", "similar code"))
    return tuple(parts)
