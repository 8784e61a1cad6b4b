"""`egate-lsp ledger`: what left this machine."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import datetime
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import click

from egate_lsp.cli.spans import Moment
from egate_lsp.records import other_files

if TYPE_CHECKING:
    from egate_lsp.ledger_file import LedgerFile
    from egate_lsp.records import RequestRecord


@click.command(epilog="Exit codes: 0 done, 1 the ledger cannot be used or nothing was purged, 2 wrong usage.")
@click.option("--since", type=Moment(), default="7d", show_default=True, help="30m, 12h, 7d, 4w, a date, or all.")
@click.option("--file", "pattern", metavar="GLOB", help="Only requests with text of files whose path or name matches.")
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="The newest so many; 0: all.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON, with the text where it was kept.")
@click.option("--purge", is_flag=True, help="Delete all records, or those before a date; suggestions too.")
@click.option("--before", type=Moment(), help="With --purge: a date, or how long ago.")
@click.option("--yes", is_flag=True, help="With --purge: do not ask.")
def ledger(
    *,
    since: float,
    pattern: str | None,
    limit: int,
    as_json: bool,
    purge: bool,
    before: float | None,
    yes: bool,
) -> None:
    """List the requests that went to a target: when, where to, for which file, why, how much, at what cost.

    Requests to a server on this machine are listed too, in a dim colour. Nothing else that egate-lsp does while you
    edit uses the network.

    Examples:

    \b
      egate-lsp ledger --since 1d
      egate-lsp ledger --file '*.py' --json
      egate-lsp ledger --purge --before 2026-11-01
    """
    if (before is not None or yes) and not purge:
        raise click.UsageError("--before and --yes belong to --purge.")
    from egate_lsp.ledger_file import LedgerFile, default_path

    path = default_path()
    if not path.exists():
        click.echo(json.dumps({"requests": [], "total": None}) if as_json else f"Nothing is recorded yet ({path}).")
        return
    file = LedgerFile(path)
    try:
        if purge:
            _purge(file, before, ask=not yes)
            return
        records = [each for each in file.requests(since) if _fits(each, pattern)]
    finally:
        file.close()
    _list(records, limit, as_json=as_json)


def _fits(record: RequestRecord, pattern: str | None) -> bool:
    files = [record.file, *other_files(record)]
    return pattern is None or any(fnmatch(name, pattern) for path in files for name in (path, os.path.basename(path)))


def _list(records: list[RequestRecord], limit: int, *, as_json: bool) -> None:
    from rich.console import Console

    from egate_lsp import stats_terminal
    from egate_lsp.figures import asked

    total = asked("all", records)
    if as_json:
        requests = [asdict(each) | {"others": other_files(each)} for each in records]
        click.echo(json.dumps({"requests": requests, "total": asdict(total)}, indent=1))
        return
    if not records:
        click.echo("No request in this time.")
        return
    shown = records[-limit:] if limit else records
    console = Console()
    console.print(stats_terminal.ledger(shown, total, console.width, hidden=len(records) - len(shown)))


def _purge(file: LedgerFile, before: float | None, *, ask: bool) -> None:
    requests, suggestions = len(file.requests(0.0, before)), len(file.suggestions(0.0, before))
    if not requests and not suggestions:
        click.echo("There is nothing to delete.")
        return
    when = "" if before is None else f" from before {datetime.fromtimestamp(before).astimezone():%Y-%m-%d %H:%M}"
    if ask:
        click.confirm(f"Delete {requests} requests and {suggestions} suggestions{when}?", abort=True)
    file.purge(before)
    click.echo(f"Deleted {requests} requests and {suggestions} suggestions{when}.")
    click.echo("What was spent this month is kept, as one sum for each day, so that the caps of [budget] hold.")
