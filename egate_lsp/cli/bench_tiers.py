"""`egate-lsp bench gate --tiers A,B,C`: what a tier between draft and target buys."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from egate_lsp.errors import ConfigError
from egate_lsp.values import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from egate_lsp.config import Settings
    from egate_lsp.evaluation.outcomes import Progress
    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.evaluation.recordings import RecordedModel

# For each run what each tier defers of the lines that reach it: 10, 20, 30 and 40 % of all reach the last of three.
RATES = ((0.4, 0.25), (0.5, 0.4), (0.6, 0.5), (0.8, 0.5))


def run(
    drawn: Sequence[Problem],
    models: Sequence[RecordedModel],
    settings: Settings,
    verdicts: Path,
    progress: AbstractContextManager[Progress],
    *,
    json_file: Path | None,
    seed: int,
    live: bool,
) -> None:
    """Measure and show. `verdicts`: the file of what was tested before.

    Raises:
        ConfigError: there are not three tiers or more, or no single-line holes.
    """
    from egate_lsp.evaluation import tier_bench
    from egate_lsp.evaluation.verdicts import Verdicts
    from egate_lsp.service import draft_rule
    from egate_lsp.syntax import Checker

    lines = [problem for problem in drawn if problem.context.shape is Shape.LINE]
    if len(models) < 3 or len({model.name for model in models}) < len(models):
        raise ConfigError("--tiers expects three models or more, each once.", hint="For two: --draft and --target.")
    if not lines:
        raise ConfigError("There is no single-line hole in that data.")
    rates = [_stretched(pair, len(models) - 1) for pair in RATES]
    rule = dataclasses.replace(draft_rule(settings), tau=math.inf)

    async def measured() -> dict[str, Any]:
        try:
            with progress as bar:
                return await tier_bench.compare(
                    lines, models, rates, rule, Checker(), Verdicts(verdicts), bar, seed=seed, alive=live
                )
        finally:
            for model in models:
                await model.aclose()

    result = asyncio.run(measured())
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1), encoding="utf-8")
    _show(result)


def _stretched(pair: Sequence[float], count: int) -> tuple[float, ...]:
    """The pair for two deferring tiers; where there are more, the second's rate is shared by those after the first."""
    return (pair[0], *(pair[1] ** (1.0 / (count - 1)) for _ in range(count - 1)))


def _show(result: dict[str, Any]) -> None:
    console = Console()
    alone = ", ".join(f"{name} {right:.3f}" for name, right in result["alone"].items())
    click.echo(f"{result['lines']} lines of {result['groups']} problems; right, each alone: {alone}")
    for how in ("replayed", "live"):
        if how not in result["rows"][0]:
            continue
        table = Table(title=how)
        for column in ("tiers", "defer", "right (95 %)", "lines shown, by tier", "asked, by tier", "tokens, by tier"):
            table.add_column(column, overflow="fold")
        for row in result["rows"]:
            figures = row[how]
            table.add_row(
                " > ".join(_short(name) for name in row["tiers"]),
                ", ".join(f"{rate:.0%}" for rate in row["rates"]),
                f"{figures['right']:.3f} ({figures['low']:.3f} to {figures['high']:.3f})",
                " / ".join(f"{figures['shown'][name]:.0%}" for name in row["tiers"]),
                " / ".join(f"{figures['asked'][name]:.0%}" for name in row["tiers"]),
                " / ".join(str(figures["tokens"][name]) for name in row["tiers"]),
            )
        console.print(table)


def _short(name: str) -> str:
    """Of a model's name what tells its size."""
    return name.rpartition("-")[2] or name
