"""`egate-lsp bench gate`: deferral rules compared on public problems or on any source tree."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import platformdirs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from egate_lsp.cli.settings import load, set_option
from egate_lsp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.config import Settings
    from egate_lsp.evaluation.gate_bench import Outcome
    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.models.catalogue import CatalogueEntry

AGAINST = (
    "random",
    "MCCom: mean probability of the first 3",
    "SynConfRoute: mean log-probability of the first 3, and parse",
    "first-token margin",
    "probability max",
    "entropy max",
    "entropy mean",
)


@click.command("gate")
@click.option(
    "--data",
    "data",
    multiple=True,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="JSON lines (may be .gz) of HumanEval-Infilling or SAFIM, or a folder of sources. May be given again.",
)
@click.option("--draft", default="qwen2.5-coder-0.5b", show_default=True, help="Catalogue name of the draft model.")
@click.option("--target", default="qwen2.5-coder-1.5b", show_default=True, help="Catalogue name of the target.")
@click.option("--limit", type=click.IntRange(4), help="Problems drawn at random of each file; default: all.")
@click.option("--seed", default=7, show_default=True, help="Of what is drawn, and of the intervals.")
@click.option(
    "--resume/--afresh",
    default=True,
    show_default=True,
    help="Use what the models wrote before for the same prompts, or have everything written anew.",
)
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write index.html to this folder.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures here.")
@click.option("--all-rules", is_flag=True, help="Show every measure and aggregate, not only the main rules.")
@set_option
def gate(
    *,
    data: Sequence[Path],
    draft: str,
    target: str,
    limit: int | None,
    seed: int,
    resume: bool,
    report: Path | None,
    json_file: Path | None,
    all_rules: bool,
    overrides: Sequence[str],
) -> None:
    """Compare deferral rules: whose lines, sent to the target, close most of the gap between draft and target?

    Each model writes each line once; what it wrote is kept in the cache directory, so that rules are compared on
    identical text and an interrupted run goes on. Generated code is run in a child process with limits on time,
    memory, files, processes and network.
    """
    from egate_lsp.evaluation import gate_bench, problems, rules

    settings = load(overrides)
    drawn = [
        problem
        for path in data
        for problem in (
            _cut(path, limit or 200, seed, settings) if path.is_dir() else problems.read(path, limit=limit, seed=seed)
        )
    ]
    if not drawn:
        raise ConfigError("There is no problem in that data.", hint="Is it a folder with source files?")
    console = Console(stderr=True)
    found = asyncio.run(_outcomes(settings, drawn, draft, target, console, resume=resume))
    compared = [*rules.rivals(), *rules.ours()]
    result: dict[str, Any] = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}",
        "models": {name: _entry(name, settings).sha256 for name in (draft, target)},
        "n": len(found),
        "groups": len({outcome.problem.group for outcome in found}),
        "seed": seed,
        "data": [path.name for path in data],
        "oracle_share": sum(outcome.target_right > outcome.draft_right for outcome in found) / len(found),
    }
    rows = gate_bench.table(found, compared, seed=seed)
    result["differences"] = gate_bench.differences(rows, AGAINST)
    default = next(rule for rule in compared if rule.name == "default")
    result["realised"] = gate_bench.realised(found, default, seed=seed)
    result["target_tokens"] = {str(share): gate_bench.target_tokens(found, default, share) for share in (0.2, 0.4, 1.0)}
    result["triggers"] = gate_bench.triggers_pay(found)
    for row in rows:
        row.pop("samples")
    result["rules"] = rows
    _show(result, all_rules=all_rules)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1), encoding="utf-8")
    if report is not None:
        from egate_lsp.evaluation.gate_report import page

        result["scores"] = [
            {"score": min(default.score(outcome.signals), 1.0), "right": outcome.draft_right} for outcome in found
        ]
        report.mkdir(parents=True, exist_ok=True)
        (report / "index.html").write_text(page(result, found), encoding="utf-8")
        click.echo(f"report: {report / 'index.html'}")


def _cut(folder: Path, count: int, seed: int, settings: Settings) -> list[Problem]:
    from egate_lsp import context
    from egate_lsp.evaluation import problems, sources

    budget = context.Budget(settings.context.prefix_chars, settings.context.suffix_chars)
    return problems.cut(sources.files(folder), root=folder, count=count, seed=seed, budget=budget)


def _entry(name: str, settings: Settings) -> CatalogueEntry:
    from egate_lsp.models import catalogue

    return catalogue.find(name, settings.models)


def recorded(name: str, settings: Settings, *, resume: bool) -> RecordedModel:
    """A model of the catalogue with its recordings in the user's cache directory."""
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.service import open_draft

    of_model = settings.model_copy(update={"draft": settings.draft.model_copy(update={"model": name})})
    path = cache_folder() / f"{name}-{_entry(name, settings).sha256[:12]}.jsonl"
    if not resume:
        path.unlink(missing_ok=True)
    return RecordedModel(name, path, lambda: open_draft(of_model))  # type: ignore[arg-type,return-value]


def cache_folder() -> Path:
    """Where recordings are kept."""
    return Path(platformdirs.user_cache_dir("egate-lsp", appauthor=False)) / "recordings"


async def _outcomes(
    settings: Settings, drawn: Sequence[Problem], draft: str, target: str, console: Console, *, resume: bool
) -> list[Outcome]:
    from egate_lsp.evaluation import gate_bench
    from egate_lsp.evaluation.verdicts import Verdicts
    from egate_lsp.syntax import Checker

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done + 1)

        return await gate_bench.outcomes(
            drawn,
            recorded(draft, settings, resume=resume),
            recorded(target, settings, resume=resume),
            Checker(),
            Verdicts(cache_folder() / "verdicts.json"),
            progress,
        )


MAIN = {
    "random",
    "oracle",
    "learned",
    "probability max, syntax first",
    *AGAINST,
    "entropy lookahead",
    "entropy top-k",
    "surprisal sum",
}


def _show(result: dict[str, Any], *, all_rules: bool) -> None:
    console = Console()
    rows = {row["name"]: row for row in result["rules"]}
    console.print(
        f"{result['n']} lines of {result['groups']} problems; "
        f"the draft alone {rows['never']['curve'][0]['pass_at_1']:.3f}, "
        f"always the target {rows['always']['curve'][0]['pass_at_1']:.3f}, "
        f"only the target is right on {result['oracle_share']:.1%}"
    )
    table = Table(title="share of the gap recovered (right lines) when this share of lines is deferred")
    for column in ("rule", "AUROC err", "gain", "10 %", "20 %", "30 %", "40 %", "50 %"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for row in result["rules"]:
        if len(row["curve"]) == 1 or not (all_rules or row["name"] in MAIN or row["name"].startswith("default")):
            continue
        cells = [
            "-" if point["recovered"] is None else f"{point['recovered']:.2f}"
            for point in row["curve"]
            if point["share"] >= 0.1
        ]
        aurocs = ["-" if row[key] is None else f"{row[key]:.3f}" for key in ("auroc_error", "auroc_gain")]
        table.add_row(row["name"], *aurocs, *cells)
    console.print(table)
    gaps = Table(title="right lines more than the rival's, points (95 % interval)")
    for column in ("rival", "20 %", "30 %", "40 %"):
        gaps.add_column(column)
    for name, points in result["differences"].items():
        shown = [point for point in points if point["share"] in {0.2, 0.3, 0.4}]
        gaps.add_row(
            name,
            *(f"{100 * p['difference']:+.1f} ({100 * p['low']:+.1f} to {100 * p['high']:+.1f})" for p in shown),
        )
    console.print(gaps)
    for row in result["realised"]:
        console.print(f"tau set on one half for {row['wanted']:.0%}: {row['realised']:.1%} deferred on the other")
    for name, row in result["triggers"].items():
        console.print(
            f"trigger {name}: {row['lines']} lines, draft right {row['draft']:.2f}, target right {row['target']:.2f}"
        )
