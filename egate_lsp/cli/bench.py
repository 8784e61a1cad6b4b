"""`egate-lsp bench`: measure this machine and this program."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egate_lsp.cli.settings import load, set_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.config import Settings


@click.group()
def bench() -> None:
    """Measure. Run these with the machine otherwise idle; ratios are taken side by side in one run."""


@bench.command()
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="JSON lines (may be .gz) with prompt, suffix and canonical_solution, as HumanEval-Infilling has them.",
)
@click.option("--limit", default=300, show_default=True, type=click.IntRange(10), help="How many problems.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the table to this file.")
@set_option
def scores(*, data: Path, limit: int, json_file: Path | None, overrides: Sequence[str]) -> None:
    """Which tau defers which share of lines, for each score of the gate, with the draft model that is set."""
    result = asyncio.run(_scores(load(overrides), data, limit))
    for name, curve in result["quantiles"].items():
        click.echo(f"{name:10} " + "  ".join(f"{rate:.0%}:{tau:.3f}" for rate, tau in curve))
    click.echo(f"lines {result['lines']}; exact at a line's start {result['exact_start']:.3f}, in mid-line "
               f"{result['exact_mid']:.3f}")  # fmt: skip
    if json_file is not None:
        json_file.write_text(json.dumps(result), encoding="utf-8")


async def _scores(settings: Settings, data: Path, limit: int) -> dict[str, Any]:
    from egate_lsp.evaluation.calibration import outcomes, quantiles, read_problems
    from egate_lsp.service import open_draft

    model = await open_draft(settings)
    found = []
    try:
        problems = read_problems(data, limit)
        async for outcome in outcomes(model, problems):
            found.append(outcome)
            if len(found) % 25 == 0:
                click.echo(f"{len(found)}/{len(problems)}", err=True)
    finally:
        await model.aclose()
    by_kind = {kind: [outcome.exact for outcome in found if outcome.mid_line == kind] for kind in (False, True)}
    share = {kind: sum(values) / len(values) if values else 0.0 for kind, values in by_kind.items()}
    return {"lines": len(found), "quantiles": quantiles(found), "exact_start": share[False], "exact_mid": share[True]}
