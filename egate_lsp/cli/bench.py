"""`egate-lsp bench`: measure this machine and this program."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING

import click

from egate_lsp.cli.bench_gate import gate
from egate_lsp.cli.settings import load, set_option

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group()
def bench() -> None:
    """Measure. Run these with the machine otherwise idle; ratios are taken side by side in one run."""


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
