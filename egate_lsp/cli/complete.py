"""`egate-lsp complete`: one completion of a file, explained."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egate_lsp.cli.settings import load, set_option
from egate_lsp.documents import Document, PositionEncoding
from egate_lsp.errors import ConfigError
from egate_lsp.explain_view import Gate, Place, view
from egate_lsp.explanation import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.config import Settings
    from egate_lsp.explain_view import View
    from egate_lsp.values import Completion


INDEX_PATIENCE_S = 30.0


def _file_and_place(
    _context: click.Context, _parameter: click.Parameter, value: str
) -> tuple[Path, int | None, int | None]:
    """A file, or FILE:LINE:COLUMN where no file has that very name."""
    found = None if Path(value).is_file() else re.fullmatch(r"(.+):([0-9]{1,9}):([0-9]{1,9})", value, re.DOTALL)
    path = Path(found[1] if found else value)
    if not path.is_file():
        raise click.BadParameter(f"File '{path}' does not exist.")
    if found is None:
        return path, None, None
    if int(found[2]) < 1:
        raise click.BadParameter("Lines are counted from 1.")
    return path, int(found[2]), int(found[3])


@click.command(
    epilog="Exit codes: 0 done (also if there is nothing to propose), 1 could not complete, 2 wrong usage.",
)
@click.argument("spot", metavar="FILE[:LINE:COLUMN]", callback=_file_and_place)
@click.option("--line", type=click.IntRange(1), help="The cursor's line, from 1.")
@click.option("--column", type=click.IntRange(0), help="The cursor's column, from 0, in UTF-16 units as in LSP.")
@click.option(
    "--json", "as_json_", is_flag=True, help="Print JSON: text, range (as in LSP), lines, requests, timing_ms."
)
@click.option("--explain", is_flag=True, help="Print everything known of it: tokens, verdicts, reasons, requests.")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write what --explain tells as one HTML file that needs no network.",
)
@click.option(
    "--by-hand",
    is_flag=True,
    help="As when asked for by hand, not while typing: an unsure rest of a line is chosen from several drafts.",
)
@click.option("--language", default="", help="LSP language identifier; default: by the file's name.")
@set_option
def complete(
    *,
    spot: tuple[Path, int | None, int | None],
    line: int | None,
    column: int | None,
    as_json_: bool,
    explain: bool,
    page: Path | None,
    by_hand: bool,
    language: str,
    overrides: Sequence[str],
) -> None:
    """Print the completion at a place of FILE, line by line with its source, its score and the reasons.

    Lines are counted from 1 and columns from 0, in both ways to give them.

    Examples:

    \b
      egate-lsp complete app.py --line 120 --column 8
      egate-lsp complete app.py:120:8 --explain
      egate-lsp complete app.py:120:8 --html why.html
      egate-lsp complete app.py --line 120 --column 8 --json | jq .text
      egate-lsp complete app.py --line 120 --column 8 --set gate.deferral_rate=0.5
    """
    if as_json_ and explain:
        raise click.UsageError("--json and --explain exclude each other.")
    file, line, column = _spot(spot, line, column)
    # Nobody is typing: the answer may take its time.
    patient = {
        "cascade": {"deadline_ms": 120_000, "invoked_deadline_ms": 120_000},
        "target": {"timeout_s": 60},
        "draft": {"first_text_ms": 0, "read_ahead": False},
    }
    settings = load(overrides, patient)
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text: {error}.") from error
    document = Document(file.as_uri() if file.is_absolute() else file.resolve().as_uri(), 0, language, text)
    offset = document.offset_at(line - 1, column, PositionEncoding.UTF16)
    completion, gate = asyncio.run(_complete(settings, text, offset, str(file.absolute()), language, by_hand=by_hand))
    if page is not None:
        _write(page, view(completion, Place(str(file), text, offset), gate))
    if as_json_:
        click.echo(json.dumps(_report(completion, document, offset), ensure_ascii=False, indent=2))
    elif explain:
        _explain(view(completion, Place(str(file), text, offset), gate))
    elif page is None:
        _draw(completion, text, offset)


def _spot(spot: tuple[Path, int | None, int | None], line: int | None, column: int | None) -> tuple[Path, int, int]:
    """File, line and column, from whichever way they were given."""
    file, spot_line, spot_column = spot
    if spot_line is not None and (line is not None or column is not None):
        raise click.UsageError("The place is given twice: FILE:LINE:COLUMN and --line or --column.")
    line, column = (line, column) if spot_line is None else (spot_line, spot_column)
    if line is None or column is None:
        raise click.UsageError("Missing the place: FILE:LINE:COLUMN, or both --line and --column.")
    return file, line, column


async def _complete(
    settings: Settings, text: str, offset: int, path: str, language: str, *, by_hand: bool
) -> tuple[Completion, Gate | None]:
    from egate_lsp.ledger_file import default_path
    from egate_lsp.service import Service  # here, so that --help stays quick
    from egate_lsp.values import Snapshot

    service = Service(settings, ledger_path=default_path())
    service.work_in([_workspace(path)])
    try:
        await service.indexed(INDEX_PATIENCE_S)
        completion = await service.complete(Snapshot(text, offset, path, language), invoked=by_hand)
        rule = service.tiers[0].rule if service.tiers else None
        return completion, Gate(rule.name, rule.tau) if rule else None
    finally:
        await service.aclose()


def _workspace(path: str) -> str:
    """The folder that an editor would have open for a file: that of its repository or of its note, or its own."""
    folders = Path(path).parents
    marked = (folder for folder in folders if any((folder / name).exists() for name in (".git", ".egate")))
    return str(next(marked, folders[0]))


def _report(completion: Completion, document: Document, offset: int) -> dict[str, Any]:
    line, character = document.position_at(offset, PositionEncoding.UTF16)
    position = {"line": line, "character": character}
    explanation = as_json(completion)
    return {"text": explanation.pop("text"), "range": {"start": position, "end": position}, **explanation}


def _write(page: Path, facts: View) -> None:
    from egate_lsp import explain_html

    try:
        page.write_text(explain_html.page(facts), encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"{page} cannot be written: {error.strerror}.") from error
    click.echo(f"wrote {page}", err=True)


def _explain(facts: View) -> None:
    from rich.console import Console

    from egate_lsp import explain_terminal

    Console(file=sys.stdout, highlight=False).print(explain_terminal.drawing(facts))


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
