"""What a search for other drafts of a line costs beside drafting it, side by side in one run."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.draft import one_line
from egate_lsp.evaluation.outcomes import ONE_LINE
from egate_lsp.models import Search
from egate_lsp.repair import BRANCHES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.models.engine_process import EngineProcess


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of each problem, in turn: the line after a prompt that was new, the same line with its prompt in the
    KV cache, and the search with its prompt in the cache."""

    cold_ms: tuple[float, ...]
    warm_ms: tuple[float, ...]
    search_ms: tuple[float, ...]

    @property
    def to_warm(self) -> float:
        """Median ratio of a search to the same line drafted on a cached prompt."""
        return statistics.median(a / b for a, b in zip(self.search_ms, self.warm_ms, strict=True))

    def of_draft(self, share: float) -> float:
        """Mean time of a draft whose lines are searched for in this share of cases, to one without."""
        return 1.0 + share * statistics.fmean(self.search_ms) / statistics.fmean(self.cold_ms)


async def measure(model: EngineProcess, problems: Sequence[Problem], progress: Callable[[str, int, int], None]) -> Cost:
    """Draft each line twice, then search; the model is left open."""
    cold: list[float] = []
    warm: list[float] = []
    search: list[float] = []
    for index, problem in enumerate(problems):
        progress("lines", index, len(problems))
        for times in (cold, warm):
            started = time.perf_counter()
            await one_line(model, problem.context, ONE_LINE)
            times.append((time.perf_counter() - started) * 1000.0)
        started = time.perf_counter()
        await model.candidates(problem.context, ONE_LINE, Search(branches=BRANCHES))
        search.append((time.perf_counter() - started) * 1000.0)
    return Cost(tuple(cold), tuple(warm), tuple(search))
