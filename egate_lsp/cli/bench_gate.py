"""`egate-lsp bench gate`: deferral rules compared on public problems or on any source tree."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import platformdirs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from egate_lsp import triggers
from egate_lsp.cli import bench_tiers
from egate_lsp.cli.settings import load, set_option
from egate_lsp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from egate_lsp.config import Settings
    from egate_lsp.evaluation.outcomes import Outcome
    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.models.catalogue import CatalogueEntry

AGAINST = (
    "random",
    "MCCom: mean probability of the first 3",
    "SynConfRoute: mean log-probability of the first 3, and parse",
    "first-token margin",
    "probability max",
    "surprisal sum",
    "entropy max",
    "entropy mean",
    "entropy lookahead",
    "always",
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
@click.option(
    "--tiers",
    metavar="A,B,C",
    help="Compare a cascade of these models, the draft first, with one of the last two alone, instead of rules.",
)
@click.option("--only-recorded", is_flag=True, help="Only lines that all the models have written before.")
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
@click.option("--trigger", type=click.Choice(triggers.NAMES), help="Of a folder, only lines on which this one fires.")
@click.option("--live/--replay", default=True, show_default=True, help="Run the cascade itself too.")
@click.option(
    "--live-rate",
    "rates",
    multiple=True,
    default=(0.1, 0.2, 0.3, 0.4),
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of lines to defer when it runs itself. May be given again.",
)
@click.option(
    "--branches",
    default=0,
    show_default=True,
    type=click.IntRange(0, 8),
    help="Drafts beside the greedy one, for the rule of their disagreement; they double the draft's time.",
)
@click.option("--all-rules", is_flag=True, help="Show every measure and aggregate, not only the main rules.")
@set_option
def gate(
    *,
    data: Sequence[Path],
    draft: str,
    target: str,
    tiers: str | None,
    only_recorded: bool,
    limit: int | None,
    seed: int,
    resume: bool,
    report: Path | None,
    json_file: Path | None,
    trigger: str | None,
    live: bool,
    rates: Sequence[float],
    branches: int,
    all_rules: bool,
    overrides: Sequence[str],
) -> None:
    """Compare deferral rules: whose lines, sent to the target, close most of the gap between draft and target?

    Each model writes each line once; what it wrote is kept in the cache directory, so that rules are compared on
    identical text and an interrupted run goes on. Generated code is run in a child process with limits on time,
    memory, files, processes and network.
    """
    from egate_lsp.evaluation import problems

    settings = load(overrides)
    drawn: list[Problem] = []
    for path in data:
        if path.is_dir():
            drawn += cut(path, limit or 200, seed, settings, trigger)
        else:
            drawn += problems.read(path, limit=limit, seed=seed)
    if not drawn:
        raise ConfigError("There is no problem in that data.", hint="Is it a folder with source files?")
    console = Console(stderr=True)
    names = [name.strip() for name in tiers.split(",")] if tiers else [draft, target]
    if only_recorded:
        models = [recorded(name, settings) for name in names]
        drawn = [one for one in drawn if all(model.holds_line(one.context) for model in models)]
        if not drawn:
            raise ConfigError("No line of that data was written by all these models before.")
    if not resume:
        for name in names:
            recorded(name, settings).forget()
    if tiers:
        bench_tiers.run(
            drawn, [recorded(name, settings) for name in names], settings, cache_folder() / "verdicts.json",
            bars(console), json_file=json_file, seed=seed, live=live,
        )  # fmt: skip
        return
    run = _Run(settings, draft, target, seed, branches, console)
    result: dict[str, Any] = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}",
        "models": {name: _entry(name, settings).sha256 for name in (draft, target)},
        "seed": seed,
        "data": [path.name for path in data],
    }
    found, main = asyncio.run(run.measured(drawn, rates=rates if live else ()))
    result |= main
    show(result, all_rules=all_rules)
    if lines := problems.by_line(drawn):
        _, result["by_line"] = asyncio.run(run.measured(lines, rates=()))
        click.echo("\nThe several-line holes line by line, each after the author's lines; right is the author's text:")
        show(result["by_line"], all_rules=all_rules)
    if json_file is not None:
        json_file.write_text(
            json.dumps({key: result[key] for key in result if key != "scores"}, indent=1), encoding="utf-8"
        )
    if report is not None:
        from egate_lsp.evaluation.gate_report import page

        report.mkdir(parents=True, exist_ok=True)
        (report / "index.html").write_text(page(result, found), encoding="utf-8")
        click.echo(f"report: {report / 'index.html'}")


class _Run:
    """What stays the same for all the holes of a run."""

    def __init__(self, settings: Settings, draft: str, target: str, seed: int, branches: int, console: Console) -> None:
        self.settings, self.draft, self.target = settings, draft, target
        self.seed, self.branches, self.console = seed, branches, console

    async def measured(
        self, drawn: Sequence[Problem], *, rates: Sequence[float]
    ) -> tuple[list[Outcome], dict[str, Any]]:
        """Both models' texts for the holes, and all that is told of them."""
        from egate_lsp.evaluation import gate_bench, outcomes, rules
        from egate_lsp.evaluation.verdicts import Verdicts
        from egate_lsp.service import calibration_of, choice_tau, draft_rule
        from egate_lsp.syntax import Checker

        of_draft = drafting_with(self.draft, self.settings)
        rule, choose_at = draft_rule(of_draft), choice_tau(of_draft)
        compared = [*rules.rivals(), *rules.ours(rule, calibration_of(of_draft).weights)]
        if not self.branches:
            compared = [each for each in compared if not each.name.startswith("disagreement")]
        default = rules.named(compared, "default")
        draft, target = recorded(self.draft, self.settings), recorded(self.target, self.settings)
        checker, verdicts = Checker(), Verdicts(cache_folder() / "verdicts.json")
        try:
            with bars(self.console) as progress:
                found = await outcomes.collect(
                    drawn, draft, target, checker, verdicts, progress, branches=self.branches, choose_at=choose_at
                )
                rows = gate_bench.table(found, compared, seed=self.seed)
                result: dict[str, Any] = {
                    "n": len(found),
                    "groups": len({outcome.problem.group for outcome in found}),
                    "default": rule.name,
                    "oracle_share": sum(outcome.target_right > outcome.plain.right for outcome in found) / len(found),
                    "differences": gate_bench.differences(rows, AGAINST),
                    "realised": gate_bench.realised(found, default, seed=self.seed),
                    "triggers": gate_bench.triggers_pay(found),
                    "scores": [
                        {"score": min(default.of(outcome), 1.0), "right": outcome.shown.right} for outcome in found
                    ],
                }
                if rates:
                    result["live"] = await gate_bench.live(
                        found,
                        draft,
                        target,
                        rule,
                        default,
                        checker,
                        verdicts,
                        progress,
                        seed=self.seed,
                        rates=rates,
                        choose_at=choose_at,
                    )
        finally:
            await draft.aclose()
            await target.aclose()
        for row in rows:
            row.pop("samples")
        result["rules"] = rows
        return found, result


@contextlib.contextmanager
def bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars, one for each stage by its name."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done + 1)

        yield progress


def cut(folder: Path, count: int, seed: int, settings: Settings, trigger: str | None = None) -> list[Problem]:
    """Lines hidden at random in the folder's sources; only those on which a pattern trigger fires, if one is named."""
    from egate_lsp import context
    from egate_lsp.evaluation import problems, sources

    budget = context.Budget(settings.context.prefix_chars, settings.context.suffix_chars)
    root = folder if folder.is_dir() else folder.parent
    files = sources.files(folder, settings.privacy.never_send)

    def wanted(line: str, language: str) -> bool:
        return trigger is None or bool(triggers.fired((trigger,), "", [], line, language))

    return problems.cut(files, root=root, count=count, seed=seed, budget=budget, wanted=wanted)


def _entry(name: str, settings: Settings) -> CatalogueEntry:
    from egate_lsp.models import catalogue

    return catalogue.find(name, settings.models)


def drafting_with(name: str, settings: Settings) -> Settings:
    """The settings with this draft model."""
    return settings.model_copy(update={"draft": settings.draft.model_copy(update={"model": name})})


def recorded(name: str, settings: Settings) -> RecordedModel:
    """A local model, by its catalogue name or path, with its recordings in the user's cache directory."""
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.models import catalogue
    from egate_lsp.service import open_draft

    of_model = drafting_with(name, settings)
    entry = catalogue.known(settings.models).get(name)
    path = cache_folder() / f"{entry.name if entry else Path(name).stem}-{weights_hash(name, settings)[:12]}.jsonl"
    return RecordedModel(name, path, lambda: open_draft(of_model))


def weights_hash(name: str, settings: Settings) -> str:
    """The SHA-256 of a model's weights, or of its path where the catalogue does not know it."""
    from egate_lsp.models import catalogue

    entry = catalogue.known(settings.models).get(name)
    return entry.sha256 if entry and entry.sha256 else hashlib.sha256(str(Path(name).resolve()).encode()).hexdigest()


def cache_folder() -> Path:
    """Where recordings are kept."""
    return Path(platformdirs.user_cache_dir("egate-lsp", appauthor=False)) / "recordings"


MAIN = {
    "random",
    "oracle",
    "learned",
    *AGAINST,
    "entropy top-k",
}


def show(result: dict[str, Any], *, all_rules: bool) -> None:
    """The comparison in the terminal."""
    from egate_lsp.evaluation.gate_report import fixed_rules

    console = Console()
    rows, right = {row["name"]: row for row in result["rules"]}, fixed_rules(result["rules"])
    console.print(
        f"{result['n']} lines of {result['groups']} problems; "
        f"the draft alone {right['never']:.3f}, "
        f"with faulty lines drafted anew {right['never, faulty lines drafted anew']:.3f}, "
        f"always the target {right['always']:.3f}, "
        f"only the target is right on {result['oracle_share']:.1%}; default: {result['default']}"
    )
    table = Table(title="share of the gap recovered (right lines) when this share of lines is deferred")
    for column in ("rule", "AUROC err", "gain", "5 %", "10 %", "20 %", "30 %", "40 %", "50 %"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for row in result["rules"]:
        if len(row["curve"]) == 1 or not (all_rules or row["name"] in MAIN or row["name"].startswith("default")):
            continue
        cells = ["-" if point["recovered"] is None else f"{point['recovered']:.2f}" for point in row["curve"]]
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
    spent = {point["share"]: point["target_tokens"] for point in rows["default"]["curve"]}
    console.print(
        f"tokens that the target writes for the default: {spent[0.2]} at 20 %, {spent[0.4]} at 40 %; "
        f"{rows['always']['curve'][0]['target_tokens']} always"
    )
    for row in result["realised"]:
        console.print(
            f"tau set on one half for {row['wanted']:.0%}: {row['realised']:.1%} deferred on the other, "
            f"{row['adaptive']:.1%} while it adapts"
        )
    for row in result.get("live", ()):
        console.print(
            f"live, {row['wanted']:.0%} wanted: {row['share']:.1%} of {row['lines']} lines deferred, "
            f"{row['pass_at_1']:.3f} right ({row['low']:.3f} to {row['high']:.3f})"
        )
    for name, row in result["triggers"].items():
        console.print(
            f"trigger {name}: {row['lines']} lines, draft right {row['draft']:.2f}, target right {row['target']:.2f}"
        )
