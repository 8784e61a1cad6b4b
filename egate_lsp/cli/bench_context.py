"""`egate-lsp bench context`: what a model should be shown beside the text at the cursor."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from egate_lsp.cli.bench_gate import bars, cache_folder, drafting_with, weights_hash
from egate_lsp.cli.settings import load, set_option
from egate_lsp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.config import Settings
    from egate_lsp.evaluation.asked import Asked
    from egate_lsp.evaluation.crossfile import Hole
    from egate_lsp.syntax import Checker

TARGET = "qwen2.5-coder-1.5b"
DEFAULT_BUDGETS = (700,)


@click.command("context")
@click.option(
    "--repo",
    "repos",
    multiple=True,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with the sources of one package. May be given again.",
)
@click.option("--limit", default=60, show_default=True, type=click.IntRange(1), help="Holes that use other files.")
@click.option("--control", type=click.IntRange(0), help="Holes that need nothing from outside; default: as --limit.")
@click.option(
    "--ablate",
    type=click.IntRange(0),
    help="On how many of those each source of other files' code is tried alone and left out; default: all. 0: on none.",
)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    default=DEFAULT_BUDGETS,
    show_default=True,
    type=click.IntRange(50, 32_000),
    help="Tokens of a whole prompt. May be given again.",
)
@click.option("--draft", help="Catalogue name of the draft model; default: as set.")
@click.option(
    "--target",
    is_flag=False,
    flag_value=TARGET,
    metavar="[NAME]",
    help=f"Ask this local model too, by its catalogue name; without a name {TARGET}.",
)
@click.option("--seed", default=7, show_default=True, help="Of what is hidden, and of the intervals.")
@click.option(
    "--resume/--afresh",
    default=True,
    show_default=True,
    help="Use what the models wrote before for the same prompts, or have all of it written anew.",
)
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write index.html to this folder.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures here.")
@set_option
def context(
    *,
    repos: Sequence[Path],
    limit: int,
    control: int | None,
    ablate: int | None,
    budgets: Sequence[int],
    draft: str | None,
    target: str | None,
    seed: int,
    resume: bool,
    report: Path | None,
    json_file: Path | None,
    overrides: Sequence[str],
) -> None:
    """Compare ways to spend a prompt's tokens: on the file alone, or on code from elsewhere in its workspace too.

    Lines and blocks of the packages are hidden: some use names that other files define, the others need nothing from
    outside. Each way gets the same number of tokens. What a model wrote is kept in the cache directory, so that an
    interrupted run goes on where it was. How to get packages: docs/context.md.
    """
    from egate_lsp import outlines
    from egate_lsp.evaluation.context_bench import Bench
    from egate_lsp.evaluation.packages import Packages
    from egate_lsp.syntax import Checker

    settings = load(overrides)
    checker = Checker()
    console = Console(stderr=True)
    with bars(console) as progress:
        cross, controls = _holes(repos, limit, limit if control is None else control, seed, checker, progress)
    if not cross:
        raise ConfigError(
            "There is no line in these folders that uses what another file of its folder defines.",
            hint="Give the folder of a whole package with several source files.",
        )
    models = [asked(draft or settings.draft.model, settings)]
    if target:
        models.append(asked(target, settings))
    if not resume:
        for model in models:
            model.forget()
    outliner = functools.partial(outlines.entries, checker)
    elsewhere = Packages()

    async def run() -> list[dict[str, Any]]:
        found = []
        for model in models:
            bench = Bench(model, outliner, elsewhere)
            try:
                with bars(console) as bar:
                    found += [
                        await bench.compare(cross, controls, tokens, ablate=ablate, seed=seed, progress=bar)
                        for tokens in budgets
                    ]
            finally:
                await model.aclose()
        return found

    result: dict[str, Any] = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}",
        "models": {model.name: weights_hash(model.name, settings) for model in models},
        "packages": [repo.resolve().name for repo in repos],
        "seed": seed,
        "n": len(cross) + len(controls),
        "budgets": asyncio.run(run()),
    }
    show(result)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1), encoding="utf-8")
    if report is not None:
        from egate_lsp.evaluation.context_report import page

        report.mkdir(parents=True, exist_ok=True)
        (report / "index.html").write_text(page(result), encoding="utf-8")
        click.echo(f"report: {report / 'index.html'}")


def _holes(
    repos: Sequence[Path],
    limit: int,
    control: int,
    seed: int,
    checker: Checker,
    progress: Callable[[str, int, int], None],
) -> tuple[list[Hole], list[Hole]]:
    """Of each package its share, taken in turn, so that a part of the list is of all packages too."""
    from egate_lsp.evaluation import crossfile

    roots = [repo.resolve() for repo in repos]
    if len({root.name for root in roots}) < len(roots):
        raise ConfigError("Two of the folders have the same name.", hint="Packages are told apart by their names.")
    found = [crossfile.holes(root, max(limit, control), seed, checker, progress) for root in roots]
    return _in_turn([cross for cross, _ in found], limit), _in_turn([controls for _, controls in found], control)


def _in_turn(lists: Sequence[Sequence[Hole]], count: int) -> list[Hole]:
    longest = max(map(len, lists), default=0)
    return [holes[index] for index in range(longest) for holes in lists if index < len(holes)][:count]


def asked(name: str, settings: Settings) -> Asked:
    """A model on this machine, by its catalogue name, path or script, with its answers in the user's cache."""
    from egate_lsp.evaluation.asked import Asked
    from egate_lsp.service import open_draft

    of_model = drafting_with(name, settings)
    draft = of_model.draft
    stem = Path(name).stem if "/" in name else name
    path = cache_folder() / f"context-{stem}-{weights_hash(name, settings)[:12]}.jsonl"
    depends = json.dumps([draft.fim_order, draft.context_tokens, draft.kv_type])
    return Asked(name, path, depends, lambda: open_draft(of_model))


def show(result: dict[str, Any]) -> None:
    """The tables in the terminal."""
    console = Console()
    for found in result["budgets"]:
        for title, part in (("use other files", found), ("need nothing from outside", found["control"])):
            if not part["n"]:
                continue
            of = f"{found['model']}, {found['tokens']} tokens"
            table = Table(title=f"{of}: {part['n']} holes of {part['files']} files that {title}")
            for column in (
                "way",
                "n",
                "exact",
                "against file by lines",
                "similar",
                "names",
                "prompt",
                "read cold / warm",
            ):
                table.add_column(column, justify="left" if column == "way" else "right")
            for row in part["ways"]:
                gap = row["difference"]
                table.add_row(
                    row["name"],
                    str(row["n"]),
                    f"{row['exact']:.3f}",
                    f"{100 * gap['exact']:+.1f} ({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f})",
                    f"{row['similarity']:.3f}",
                    f"{row['identifiers']:.3f}",
                    f"{row['prompt_tokens']:.0f}",
                    f"{row['evaluated_tokens']:.0f} / {row['warm_tokens']:.0f}",
                )
            console.print(table)
            base = next(iter(part["ways"]), None)
            if base is not None and base["cold_ms"]:
                console.print(
                    "median ms, cold / warm: "
                    + "; ".join(f"{row['name']} {row['cold_ms']:.0f} / {row['warm_ms']:.0f}" for row in part["ways"])
                )
