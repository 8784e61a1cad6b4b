"""`egate-lsp complete`: one completion of a file, explained."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egate_lsp.cli.settings import load, set_option
from egate_lsp.documents import Document, PositionEncoding
from egate_lsp.errors import ConfigError
from egate_lsp.explanation import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.config import Settings
    from egate_lsp.values import Completion


@click.command(
    epilog="Exit codes: 0 done (also if there is nothing to propose), 1 could not complete, 2 wrong usage.",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--line", type=click.IntRange(1), required=True, help="The cursor's line, from 1.")
@click.option(
    "--column", type=click.IntRange(0), required=True, help="The cursor's column, from 0, in UTF-16 units as in LSP."
)
@click.option(
    "--json", "as_json_", is_flag=True, help="Print JSON: text, range (as in LSP), lines, requests, timing_ms."
)
@click.option("--language", default="", help="LSP language identifier; default: by the file's name.")
@set_option
def complete(*, file: Path, line: int, column: int, as_json_: bool, language: str, overrides: Sequence[str]) -> None:
    """Print the completion at a place of FILE, line by line with its source, its score and the reasons.

    Examples:

    \b
      egate-lsp complete app.py --line 120 --column 8
      egate-lsp complete app.py --line 120 --column 8 --json | jq .text
      egate-lsp complete app.py --line 120 --column 8 --set gate.deferral_rate=0.5
    """
    # Nobody is typing: the answer may take its time.
    settings = load(overrides, {"cascade": {"invoked_deadline_ms": 120_000}, "target": {"timeout_s": 60}})
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text: {error}.") from error
    document = Document(file.as_uri() if file.is_absolute() else file.resolve().as_uri(), 0, language, text)
    offset = document.offset_at(line - 1, column, PositionEncoding.UTF16)
    completion = asyncio.run(_complete(settings, text, offset, str(file), language))
    if as_json_:
        click.echo(json.dumps(_report(completion, document, offset), ensure_ascii=False, indent=2))
    else:
        _draw(completion, text, offset)


async def _complete(settings: Settings, text: str, offset: int, path: str, language: str) -> Completion:
    from egate_lsp.service import Service, Snapshot  # here, so that --help stays quick

    service = Service(settings)
    try:
        return await service.complete(Snapshot(text, offset, path, language), invoked=True)
    finally:
        await service.aclose()


def _report(completion: Completion, document: Document, offset: int) -> dict[str, Any]:
    line, character = document.position_at(offset, PositionEncoding.UTF16)
    position = {"line": line, "character": character}
    explanation = as_json(completion)
    return {"text": explanation.pop("text"), "range": {"start": position, "end": position}, **explanation}


def _draw(completion: Completion, text: str, offset: int) -> None:
    from rich.console import Console

    from egate_lsp import render

    console = Console(file=sys.stdout, highlight=False)
    explanation = as_json(completion)
    before = text[:offset].rpartition("\n")[2]
    after = text[offset:].partition("\n")[0].rstrip("\r")
    console.print(render.completion(explanation, before=before, after=after, width=console.width))
    console.print(render.times(explanation))
    console.print(render.legend())
    if completion.note:
        console.print(completion.note, style="yellow")
