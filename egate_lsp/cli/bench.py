"""`egate-lsp bench`: measure this machine and this program."""

from __future__ import annotations

import asyncio
import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egate_lsp.cli.bench_gate import gate
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


@bench.command()
@click.option("--tokens", default=64, show_default=True, type=click.IntRange(8, 512), help="Per round.")
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(3, 200), help="Of each loop, in turn.")
@set_option
def engine(*, tokens: int, rounds: int, overrides: Sequence[str]) -> None:
    """What egate-lsp adds to a bare llama.cpp loop on the same tokens. Goal: at most 5 %."""
    from egate_lsp.evaluation.engine_overhead import measure
    from egate_lsp.models import store

    settings = load(overrides)
    path = store.locate(settings.draft.model, settings.models)
    found = asyncio.run(measure(path, settings.draft, tokens=tokens, rounds=rounds))
    ratios = found.ratios
    bare, ours = statistics.median(found.bare_ms), statistics.median(found.ours_ms)
    click.echo(f"bare loop   {bare:6.2f} ms a token (median of {rounds} rounds of {tokens} tokens)")
    click.echo(f"egate-lsp   {ours:6.2f} ms a token, with entropy, in its own process")
    click.echo(f"ratio       {found.median:.3f} median, quartiles {ratios[len(ratios) // 4]:.3f} and "
               f"{ratios[3 * len(ratios) // 4]:.3f}, extremes {ratios[0]:.3f} and {ratios[-1]:.3f}")  # fmt: skip
    click.echo(f"same text   {'yes' if found.same_tokens else 'NO: the loops did different work'}")


@bench.command()
@click.option("--requests", default=300, show_default=True, type=click.IntRange(20), help="How many.")
def server(*, requests: int) -> None:
    """What the server adds to a request on a 5,000-line file, the models' time apart. Goal: at most 10 ms at p95.

    And how long it takes from the start of its process to its reply to `initialize`. Goal: under half a second.
    """
    from egate_lsp.evaluation import startup
    from egate_lsp.evaluation.server_overhead import measure

    starts = startup.measure()
    click.echo(f"start to initialize: median {statistics.median(starts) * 1000:.0f} ms of {len(starts)} starts")
    times = asyncio.run(measure(requests=requests))
    click.echo(f"{requests} edits and requests on a 5,000-line file, client's share included:")
    click.echo(f"p50 {times.median:.2f} ms   p95 {times.quantile(0.95):.2f} ms   p99 {times.quantile(0.99):.2f} ms")


bench.add_command(gate)


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
