"""`egate-lsp bench`: measure this machine and this program."""

from __future__ import annotations

import asyncio
import os
import statistics
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from egate_lsp.cli import bench_context
from egate_lsp.cli.bench_gate import gate
from egate_lsp.cli.bench_latency import latency
from egate_lsp.cli.bench_served import served
from egate_lsp.cli.settings import load, set_option
from egate_lsp.errors import ConfigError
from egate_lsp.values import Shape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from egate_lsp.config import Settings
    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.models.engine_process import EngineProcess

_TOO_FEW, _FOLDERS = "There are too few lines in those files.", "Name folders with source files."


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


@bench.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines (may be .gz) of HumanEval-Infilling or SAFIM.",
)
@click.option("--limit", default=40, show_default=True, type=click.IntRange(5), help="How many lines, at random.")
@click.option("--share", default=0.11, show_default=True, type=click.FloatRange(0, 1), help="Of lines with a fault.")
@set_option
def repair(*, data: Path, limit: int, share: float, overrides: Sequence[str]) -> None:
    """What drafting a faulty line anew costs beside drafting it. Goal: at most half of the draft's time on average."""
    from egate_lsp.cli.bench_gate import bars
    from egate_lsp.evaluation import problems
    from egate_lsp.evaluation.repair_cost import Cost, measure
    from egate_lsp.models.engine_process import EngineProcess
    from egate_lsp.service import open_draft

    drawn = [one for one in problems.read(data, limit=limit) if one.context.shape is Shape.LINE]
    if not drawn:
        raise ConfigError(f"{data} has no single-line problems.", hint="Give a single-line set.")

    async def run() -> Cost:
        model = await open_draft(load(overrides))
        if not isinstance(model, EngineProcess):
            raise ConfigError("A script cannot be measured.", hint="Set draft.model to a real one.")
        try:
            with bars(Console(stderr=True)) as progress:
                return await measure(model, drawn, progress)
        finally:
            await model.aclose()

    found = asyncio.run(run())
    for name, times in (("new prompt", found.cold_ms), ("cached prompt", found.warm_ms), ("search", found.search_ms)):
        click.echo(f"{name:14} median {statistics.median(times):7.0f} ms a line")
    click.echo(f"a search takes {found.to_warm:.2f} times the same line on a cached prompt (median of {len(drawn)})")
    click.echo(f"if {share:.0%} of lines are searched for, a draft takes {found.of_draft(share):.3f} times as long")


@bench.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--limit", default=300, show_default=True, type=click.IntRange(10), help="How many lines, at random.")
@click.option("--seed", default=7, show_default=True, help="Of which lines.")
@click.option("--show", is_flag=True, help="Print the blamed lines.")
def faults(*, paths: Sequence[Path], limit: int, seed: int, show: bool) -> None:
    """How often the fault checks blame a line that its author wrote, and how long they take.

    Each line is judged in its file as it is and in four broken states of it, because code that is being typed is often
    broken. Goal: none in sound files; 2 ms at p95.
    """
    from egate_lsp.cli.bench_gate import bars
    from egate_lsp.evaluation import fault_alarms, sources

    files = [file for path in paths for file in sources.files(path.resolve())]
    with bars(Console(stderr=True)) as progress:
        found = fault_alarms.measure(files, limit, seed=seed, progress=progress)
    for language, alarms in sorted(found.items()):
        for state, judged in alarms.judged.items():
            syntax, names = alarms.syntax[state], alarms.names[state]
            click.echo(f"{language:11} {state:22} {judged:4} lines, blamed: syntax {len(syntax)}, names {len(names)}")
            for place in (*syntax, *names) if show else ():
                click.echo(f"              {place}")
        for name, times in (("a new file", alarms.fresh_ms), ("while typing", alarms.typed_ms)):
            ordered = sorted(times)
            p50, p95 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
            click.echo(f"{language:11} {name:22} p50 {p50:.2f} ms, p95 {p95:.2f} ms")


@bench.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--limit", default=30, show_default=True, type=click.IntRange(5), help="How many places, at random.")
@click.option("--seed", default=7, show_default=True, help="Of which places.")
@set_option
def first(*, paths: Sequence[Path], limit: int, seed: int, overrides: Sequence[str]) -> None:
    """The first line at a place that is new to the model, with the setting draft.first_text_ms and without.

    Two engines take turns at each place. Goal: the first line within a second, and no other line once all is read.
    """
    from egate_lsp.cli.bench_gate import bars
    from egate_lsp.evaluation.first_text import FirstText, measure

    settings = load(overrides)
    drawn = _drawn(paths, settings, limit + 1, seed)
    if len(drawn) < 2:
        raise ConfigError(_TOO_FEW, hint=_FOLDERS)

    async def run() -> FirstText:
        async with _two_engines(settings) as (whole, short):
            with bars(Console(stderr=True)) as progress:
                return await measure(whole, short, drawn, settings.draft.first_text_ms, progress)

    found = asyncio.run(run())
    for name, way in (("whole window", found.whole), ("short first", found.short), ("when all is read", found.after)):
        times = sorted(way.ms)
        click.echo(
            f"{name:17} median {statistics.median(times):6.0f} ms, p95 {times[int(len(times) * 0.95)]:6.0f} ms, "
            f"{statistics.median(way.read):5.0f} tokens read, {statistics.fmean(way.exact):.2f} the author's line"
        )
    click.echo(f"ratio of short to whole: {found.ratio:.2f} (median of {len(found.short.ms)} places)")


@bench.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--limit", default=30, show_default=True, type=click.IntRange(5), help="How many places, at random.")
@click.option("--keys", default=8, show_default=True, type=click.IntRange(1), help="Pressed at each place.")
@click.option("--seed", default=7, show_default=True, help="Of which places.")
@set_option
def beside(*, paths: Sequence[Path], limit: int, keys: int, seed: int, overrides: Sequence[str]) -> None:
    """What code of other files beside the file costs, of as many characters as context.snippet_chars.

    Two engines take turns at each place and key. Goals: the time at a key within 1.1 of that without, and the first
    line within a second.
    """
    from egate_lsp.cli.bench_gate import bars
    from egate_lsp.evaluation.beside_cost import BesideCost, measure
    from egate_lsp.records import percentile

    settings = load(overrides)
    drawn = _drawn(paths, settings, limit + 1, seed)
    drawn = [drawn[0], *(each for each in drawn[1:] if len(each.expected.partition("\n")[0]) > keys)] if drawn else []
    if len({each.group for each in drawn}) < 3:
        raise ConfigError(_TOO_FEW, hint=_FOLDERS)

    async def run() -> BesideCost:
        async with _two_engines(settings) as (alone, other):
            with bars(Console(stderr=True)) as progress:
                return await measure(
                    alone,
                    other,
                    drawn,
                    chars=settings.context.snippet_chars,
                    keys=keys,
                    reading_ms=settings.draft.first_text_ms,
                    progress=progress,
                )

    found = asyncio.run(run())
    for name, way in (("the file alone", found.alone), ("code beside it", found.beside)):
        first, key_ms = way.first_ms, [ms / found.keys for ms in way.key_ms]
        click.echo(
            f"{name}: first line median {percentile(first, 0.5):.0f} ms, p95 {percentile(first, 0.95):.0f}; "
            f"at a key median {percentile(key_ms, 0.5):.0f} ms, {statistics.fmean(way.evaluated):.1f} tokens read"
        )
    click.echo(
        f"at a key, beside to alone: {found.warm_ratio:.3f}, for each token {found.token_ratio:.3f} "
        f"(medians of {len(found.alone.key_ms)} places)"
    )


@bench.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--places", default=200, show_default=True, type=click.IntRange(1), help="Where it is asked.")
@click.option("--seed", default=7, show_default=True)
def index(*, folder: Path, places: int, seed: int) -> None:
    """What the index of a workspace FOLDER costs.

    Goals for 5,000 files: read in under a minute, 200 MB, a saved file taken in within a second, the event loop never
    held up for more than 5 ms.
    """
    from egate_lsp.evaluation.index_load import measure
    from egate_lsp.records import percentile

    def told(ms: Sequence[float]) -> str:
        return f"{percentile(ms, 0.5):.1f} ms (p95 {percentile(ms, 0.95):.1f})" if ms else "none"

    found = asyncio.run(measure(folder, places, seed))
    click.echo(f"files       {found.files}, in {found.chunks} chunks")
    click.echo(f"read        in {found.built_s:.1f} s, with {found.read_s:.1f} s of processor time")
    click.echo(f"memory      {found.peak_mb:.0f} MB at most")
    click.echo(f"answer      {told(found.answer_ms)}, {found.answered} of {len(found.answer_ms)} with code")
    click.echo(f"saved file  {told(found.saved_ms)}, an answer included")
    holds = found.holds
    click.echo(f"event loop  longest callback {holds.callback_ms:.1f} ms ({holds.callback})")
    click.echo(
        f"            between two ticks {holds.tick_ms:.1f} ms at most; a loop that does nothing, beside it: "
        f"{found.idle_ms:.1f} ms"
    )


bench.add_command(bench_context.context)
bench.add_command(gate)
bench.add_command(latency)
bench.add_command(served)


def _drawn(paths: Sequence[Path], settings: Settings, count: int, seed: int) -> list[Problem]:
    """Lines hidden at random in the source files of these paths."""
    from egate_lsp import context
    from egate_lsp.evaluation import problems, sources

    budget = context.Budget(settings.context.prefix_chars, settings.context.suffix_chars)
    files = [file for path in paths for file in sources.files(path.resolve())]
    root = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    return problems.cut(files, root=root, count=count, seed=seed, budget=budget)


@asynccontextmanager
async def _two_engines(settings: Settings) -> AsyncIterator[tuple[EngineProcess, EngineProcess]]:
    """The draft twice, each in a process of its own, so that one does not warm the other's cache."""
    from egate_lsp.models.engine_process import EngineProcess
    from egate_lsp.service import open_draft

    one, other = await open_draft(settings), await open_draft(settings)
    if not isinstance(one, EngineProcess) or not isinstance(other, EngineProcess):
        raise ConfigError("Only a local model can be measured.", hint="Set draft.model to one.")
    try:
        yield one, other
    finally:
        await one.aclose()
        await other.aclose()
