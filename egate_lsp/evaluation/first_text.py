"""The first line at a place that is new to the model: the window read whole, or a short one first, side by side."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from egate_lsp.draft import one_line
from egate_lsp.evaluation.outcomes import ONE_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.models.engine_process import EngineProcess


@dataclass(frozen=True, slots=True)
class Way:
    """One way of reading, place by place.

    Attributes:
        ms: from the request to the whole line.
        read: prompt tokens that were evaluated.
        exact: the line is the author's.
    """

    ms: tuple[float, ...]
    read: tuple[float, ...]
    exact: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class FirstText:
    """The window read whole, a short one first, and the same line asked for again once the rest was read."""

    whole: Way
    short: Way
    after: Way

    @property
    def ratio(self) -> float:
        """Median over the places of the time with a short window to that with the whole."""
        return statistics.median(a / b for a, b in zip(self.short.ms, self.whole.ms, strict=True))


async def measure(
    whole: EngineProcess,
    short: EngineProcess,
    problems: Sequence[Problem],
    reading_ms: float,
    progress: Callable[[str, int, int], None],
) -> FirstText:
    """Draft the line at each place with both engines, one after the other; they are left open."""
    await one_line(whole, problems[0].context, ONE_LINE)  # load both before anything is timed
    await one_line(short, problems[0].context, ONE_LINE)
    hurried = replace(ONE_LINE, reading_ms=reading_ms)
    rows: dict[str, list[tuple[float, float, bool]]] = {"whole": [], "short": [], "after": []}

    async def timed(name: str, model: EngineProcess, problem: Problem) -> None:
        started = time.perf_counter()
        line = await one_line(model, problem.context, hurried if model is short else ONE_LINE)
        spent = (time.perf_counter() - started) * 1000.0
        rows[name].append((spent, model.usage().get("evaluated_tokens", 0.0), problem.is_exact(line.text)))

    for index, problem in enumerate(problems[1:]):
        progress("places", index, len(problems) - 1)
        await timed("whole", whole, problem)
        await timed("short", short, problem)
        await short.read_all()
        await timed("after", short, problem)
    ways = {name: Way(*zip(*found, strict=True)) for name, found in rows.items()}
    return FirstText(**ways)
