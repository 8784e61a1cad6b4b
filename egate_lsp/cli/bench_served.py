"""`egate-lsp bench served`: the gate on a llama-server's probabilities against the gate on the whole vocabulary."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from egate_lsp.cli.bench_gate import bars, cache_folder, recorded
from egate_lsp.cli.settings import load, set_option
from egate_lsp.errors import ConfigError
from egate_lsp.values import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.config import Settings
    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.models import Model


@click.command("served")
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines (may be .gz) of HumanEval-Infilling or SAFIM.",
)
@click.option("--draft", default="qwen2.5-coder-0.5b", show_default=True, help="Catalogue name of the draft model.")
@click.option("--target", default="qwen2.5-coder-1.5b", show_default=True, help="Catalogue name of the target.")
@click.option("--limit", default=120, show_default=True, type=click.IntRange(4), help="Single-line problems at most.")
@click.option(
    "--k", "counts", multiple=True, default=(5, 10, 20, 40), show_default=True, type=click.IntRange(1, 40),
    help="Likeliest tokens whose probabilities the gate sees. May be given again.",
)  # fmt: skip
@click.option("--only-recorded", is_flag=True, help="Only lines that draft and target have written before.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures here.")
@set_option
def served(
    *,
    data: Path,
    draft: str,
    target: str,
    limit: int,
    counts: Sequence[int],
    only_recorded: bool,
    json_file: Path | None,
    overrides: Sequence[str],
) -> None:
    """How often does a gate that sees k probabilities from a real llama-server decide as one that sees all?

    The server is xllamacpp's, with the draft's own model file.
    """
    from egate_lsp.evaluation import problems
    from egate_lsp.evaluation.server_gate import compare
    from egate_lsp.evaluation.verdicts import Verdicts

    settings = load(overrides)
    drawn = [one for one in problems.read(data) if one.context.shape is Shape.LINE]
    if only_recorded:
        models = [recorded(name, settings) for name in (draft, target)]
        drawn = [one for one in drawn if all(model.holds_line(one.context) for model in models)]
    if not drawn:
        raise ConfigError(f"{data} has no such single-line problems.", hint="Give a single-line set.")
    pairs = asyncio.run(_pairs(drawn[:limit], draft, target, settings))
    result = compare(pairs, Verdicts(cache_folder() / "verdicts.json"), counts=counts, rates=(0.1, 0.2, 0.3, 0.4))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1), encoding="utf-8")
    _show(result)


async def _pairs(drawn: Sequence[Problem], draft: str, target: str, settings: Settings) -> list[Any]:
    from egate_lsp.evaluation.outcomes import written
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.evaluation.server_gate import MOST, Pair, ServedModel
    from egate_lsp.models import catalogue, store

    entry = catalogue.find(draft, settings.models)

    async def serve() -> Model:
        return await ServedModel.start(entry, store.locate(draft, settings.models))

    path = cache_folder() / f"{entry.name}-{entry.sha256[:12]}-llama-server-{MOST}.jsonl"
    models = [recorded(draft, settings), RecordedModel(draft, path, serve), recorded(target, settings)]
    lines: list[list[Any]] = []
    with bars(Console(stderr=True)) as progress:
        for model, role in zip(models, ("in the engine", "in llama-server", "as the target"), strict=True):
            try:
                found = []
                for index, problem in enumerate(drawn):
                    progress(f"{model.name} {role}", index, len(drawn))
                    found += await written(model, problem.context)
                lines.append(found)
            finally:
                await model.aclose()
    return [Pair(*each) for each in zip(drawn, *lines, strict=True)]


def _show(result: dict[str, Any]) -> None:
    console = Console()
    right = result["right"]
    console.print(
        f"{result['lines']} lines; the same text in {result['same_text']:.1%}; right: "
        f"in the engine {right['own']:.3f}, in llama-server {right['served']:.3f}, the target {right['target']:.3f}"
    )
    table = Table(title="one tau for both gates, set on the whole vocabulary")
    for column in ("rule", "k", "wanted", "alike", "deferred, all", "deferred, k", "right, all", "right, k"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for row in result["rows"]:
        table.add_row(
            row["rule"], str(row["k"]), f"{row['rate']:.0%}", f"{row['agree']:.1%}", f"{row['deferred_full']:.1%}",
            f"{row['deferred_top']:.1%}", f"{row['right_full']:.3f}", f"{row['right_top']:.3f}",
        )  # fmt: skip
    console.print(table)
