"""The draft's scores on infilling problems: which tau defers which share of lines."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from egate_lsp.config import Score
from egate_lsp.draft import one_line
from egate_lsp.gate import Rule, line_score
from egate_lsp.models import Limits
from egate_lsp.values import FimContext, Shape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from egate_lsp.models import Model

RATES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SEED = 7


@dataclass(frozen=True, slots=True)
class Problem:
    """A hole with what its author wrote."""

    context: FimContext
    expected: str
    mid_line: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The draft's line for a problem.

    Attributes:
        scores: by the name of the score.
        exact: the line is the author's.
    """

    scores: dict[str, float]
    exact: bool
    mid_line: bool


def read_problems(path: Path, limit: int) -> list[Problem]:
    """Problems of HumanEval-Infilling's form (`prompt`, `suffix`, `canonical_solution`), drawn with a fixed seed.

    Every other one is cut in the middle of its line, because that is where people type.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    chance = random.Random(SEED)
    chance.shuffle(rows)
    problems = []
    for number, row in enumerate(rows[:limit]):
        line = row["canonical_solution"].rstrip("\n")
        prefix, suffix = row["prompt"], "\n" + row["suffix"].removeprefix("\n")
        code = len(line) - len(line.lstrip())
        mid_line = number % 2 == 1 and len(line) - code > 4
        cut = chance.randrange(code + 1, len(line) - 1) if mid_line else 0
        context = FimContext(prefix + line[:cut], suffix, "problem.py", "python", Shape.LINE)
        problems.append(Problem(context, line[cut:], mid_line))
    return problems


async def outcomes(model: Model, problems: Sequence[Problem]) -> AsyncIterator[Outcome]:
    """Draft each problem's line and score it."""
    for problem in problems:
        line = await one_line(model, problem.context, Limits(96, 1))
        scores = {name: line_score(line.tokens, Rule(name)) for name in get_args(Score)}
        exact = line.text.rstrip() == problem.expected.rstrip()
        yield Outcome({name: value or 0.0 for name, value in scores.items()}, exact, problem.mid_line)


def quantiles(found: Sequence[Outcome]) -> dict[str, list[tuple[float, float]]]:
    """For each score, `(rate, tau)`: the share `rate` of the lines scores at least tau."""
    result = {}
    for name in get_args(Score):
        values = sorted((outcome.scores[name] for outcome in found), reverse=True)
        result[name] = [(rate, round(values[min(int(rate * len(values)), len(values) - 1)], 4)) for rate in RATES]
    return result
