"""`egate-lsp bench latency`: from keystroke to text, beside llama.cpp's server driven as llama.vim drives it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import platform
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psutil
from rich.console import Console
from rich.table import Table

from egate_lsp import __version__, languages, places
from egate_lsp.cli import latency_others
from egate_lsp.cli.bench_gate import bars, weights_hash
from egate_lsp.cli.settings import load, set_option, table_of
from egate_lsp.errors import ConfigError
from egate_lsp.evaluation.player import PATIENCE_S, Habits
from egate_lsp.evaluation.typing_script import GAP_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.config import Settings
    from egate_lsp.evaluation.latency_bench import Replay
    from egate_lsp.evaluation.player import Task

SCRIPTED = "scripted:"
BUSY = 0.5  # load of the machine before the run, above which its times say little
STORM = 10_000
TARGET = "qwen2.5-coder-0.5b"
PACKAGES = ("llama-cpp-python", "xllamacpp", "numpy", "pygls")


@click.command("latency")
@click.option(
    "--replay",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write this file again; may be given again. Without it: six files of three languages that are here anyway.",
)
@click.option("--against", metavar="URL", help="A llama-server that runs already, in place of one that is started.")
@click.option("--no-peer", is_flag=True, help="egate-lsp alone.")
@click.option("--limit", default=240, show_default=True, type=click.IntRange(8), help="Characters typed in each file.")
@click.option("--seed", default=7, show_default=True, help="Of what is typed, and how.")
@click.option(
    "--gap-ms", default=round(GAP_MS), show_default=True, type=click.FloatRange(20, 5000),
    help="Mean time between the keys of a burst; 231: 52 words a minute (Dhakal et al., CHI 2018).",
)  # fmt: skip
@click.option(
    "--patience", default=PATIENCE_S, show_default=True, type=click.FloatRange(1, 600), metavar="SECONDS",
    help="How long the typist waits for a reply where they stop to look; 10: as long as attention lasts (Miller 1968).",
)  # fmt: skip
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write index.html to this folder.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures here.")
@click.option(
    "--storm",
    is_flag=False,
    flag_value=STORM,
    type=click.IntRange(30),
    metavar="[N]",
    help=f"Instead: N requests, {STORM} without a number, 50 a second over three documents; exit code 1 if one of them "
    "is not answered once, memory grows, or work is left.",
)
@click.option(
    "--target-delay",
    type=click.FloatRange(0.1, 60),
    metavar="SECONDS",
    help="Instead: egate-lsp without a target and with one that answers so late, in turns.",
)
@click.option(
    "--target-model", default=TARGET, show_default=True, help="With --target-delay: catalogue name of the target."
)
@click.option(
    "--ablations", is_flag=True, help="Instead: egate-lsp as it is, and with parts of it turned off, in turns."
)
@set_option
def latency(
    *,
    files: Sequence[Path],
    against: str | None,
    no_peer: bool,
    limit: int,
    seed: int,
    gap_ms: float,
    patience: float,
    report: Path | None,
    json_file: Path | None,
    storm: int | None,
    target_delay: float | None,
    target_model: str,
    ablations: bool,
    overrides: Sequence[str],
) -> None:
    """Replay the writing of real files key by key, and time each reply: egate-lsp as an editor drives it, and beside
    it, in turns, llama.cpp's server on the same weights as llama.vim asks it.

    Parts of each file are taken out and typed again in real time, with slips, jumps, and pauses in which what is shown
    is accepted if the file says the same. docs/latency.md tells how, and what each figure means.
    """
    from egate_lsp.evaluation import latency_report

    settings = load(overrides)
    out = Console(width=None if sys.stdout.isatty() else 120)
    if sum([storm is not None, target_delay is not None, ablations]) > 1:
        raise ConfigError("--storm, --target-delay and --ablations are runs of their own.", hint="Give one of them.")
    if storm is not None:
        latency_others.storm(table_of(overrides), storm, json_file, out)
        return
    tasks, habits = _tasks(files, limit, seed), Habits(seed, gap_ms, patience)
    played = latency_others.Played(tasks, habits, json_file, out)
    if target_delay is not None:
        latency_others.target_delay(settings, table_of(overrides), target_delay, target_model, played)
        return
    if ablations:
        latency_others.ablations(table_of(overrides), played)
        return
    if no_peer and against:
        raise ConfigError("--against and --no-peer contradict each other.", hint="Leave one out.")
    scripted = settings.draft.model.startswith(SCRIPTED)
    if scripted and not no_peer and not against:
        raise ConfigError("A script is no model that a server could run.", hint="Give --no-peer or --against URL.")
    frame = _frame(settings, habits, limit)
    console = Console(stderr=True)
    if frame["load_before"] > BUSY:
        console.print(f"This machine is busy (load {frame['load_before']:.1f}): its times say little.", style="yellow")

    def keep(replay: Replay) -> None:
        if json_file is not None:
            json_file.write_text(json.dumps(frame | replay.result(), indent=1), encoding="utf-8")

    with bars(console) as progress:
        replay = asyncio.run(
            _replay(settings, overrides, tasks, habits, against=against, peer=not no_peer, scripted=scripted,
                    progress=progress, keep=keep)
        )  # fmt: skip
    keep(replay)
    result = frame | replay.result()
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
        (report / "index.html").write_text(latency_report.page(result), encoding="utf-8")
    _show(result, out)


async def _replay(
    settings: Settings,
    overrides: Sequence[str],
    tasks: Sequence[Task],
    habits: Habits,
    *,
    against: str | None,
    peer: bool,
    scripted: bool,
    progress: Callable[[str, int, int], None],
    keep: Callable[[Replay], None],
) -> Replay:
    from egate_lsp.evaluation import latency_bench as bench
    from egate_lsp.evaluation.latency_bench import Replay
    from egate_lsp.models import store

    replay, draft = Replay(), settings.draft
    path = None if scripted else store.locate(draft.model, settings.models)

    async def measure() -> None:
        if path is not None:
            speed = await bench.bare_speed(path, threads=draft.threads, context_tokens=draft.context_tokens)
            replay.speeds.append(speed)

    async def after_file() -> None:
        await measure()
        keep(replay)

    await measure()
    async with AsyncExitStack() as stack:
        tools: list[Any] = [await stack.enter_async_context(bench.egate(table_of(overrides)))]
        if against:
            tools.append(await stack.enter_async_context(bench.peer_at(against, seed=habits.seed)))
        elif peer and path is not None:
            tools.append(await stack.enter_async_context(bench.peer(path, threads=draft.threads, seed=habits.seed)))
        await bench.run(tools, tasks, replay, habits, progress=progress, after_file=after_file)
    return replay


def _tasks(files: Sequence[Path], limit: int, seed: int) -> list[Task]:
    from egate_lsp.evaluation import player, typing_script

    named = [(path, languages.by_path(path.name)) for path in files]
    if not files:
        named = [(source.path, source.language) for source in places.replay_files()]
    texts = []
    for path, language in named:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}.", hint="Name text files in UTF-8.") from error
        texts.append((path.name, language, text.replace("\r\n", "\n")))

    found = player.tasks(texts, lambda text, language: typing_script.choose(text, language, limit, seed=seed))
    if not found:
        raise ConfigError("There is nothing to write in those files.", hint="Name source files with some code.")
    return found


def _frame(settings: Settings, habits: Habits, limit: int) -> dict[str, Any]:
    """What the figures were taken on."""
    model = settings.draft.model
    return {
        "date": dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cpu": _cpu(),
            "cores": psutil.cpu_count(logical=False),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        },
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        "versions": {"egate-lsp": __version__, "python": platform.python_version()} | _versions(),
        "model": model,
        "model_sha256": None if model.startswith(SCRIPTED) else weights_hash(model, settings),
        "threads": settings.draft.threads,
        "limit": limit,
    } | asdict(habits)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    """The processor's name, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _show(result: dict[str, Any], console: Console) -> None:
    from egate_lsp.evaluation import latency_report

    tools = latency_report.tools_of(result)
    table = Table(title=f"{len(result['files'])} files, model {result['model']}, {result['machine']['cpu']}")
    table.add_column("")
    for name in tools:
        table.add_column(latency_report.NAMES[name], justify="right")
    if len(tools) == 2:
        table.add_column("ratio", justify="right")
    for row in latency_report.rows(result):
        table.add_row(*row)
    console.print(table)
