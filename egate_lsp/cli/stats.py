"""`egate-lsp stats`: what suggestions were worth, and what they cost."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from egate_lsp.cli.spans import Moment


@click.command(epilog="Exit codes: 0 done, 1 the ledger or the file cannot be used, 2 wrong usage.")
@click.option("--since", type=Moment(), default="30d", show_default=True, help="12h, 30d, 8w, a date, or all.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with plots.")
def stats(*, since: float, as_json: bool, page: Path | None) -> None:
    """Suggestions shown, accepted, kept; by language and by source; time, requests, tokens, cost.

    All of it was counted on this machine, and is nowhere else.

    Examples:

    \b
      egate-lsp stats
      egate-lsp stats --since 8w --html stats.html
    """
    from egate_lsp import files
    from egate_lsp.errors import ConfigError
    from egate_lsp.figures import figures
    from egate_lsp.ledger_file import LedgerFile, default_path

    path = default_path()
    if not path.exists():
        click.echo(json.dumps(None) if as_json else f"Nothing is recorded yet ({path}).")
        return
    file = LedgerFile(path)
    try:
        suggestions, requests = file.suggestions(since), file.requests(since)
    finally:
        file.close()
    found = figures(suggestions, requests, since, time.time())
    if page is not None:
        from egate_lsp import stats_html

        try:
            files.replace(page, stats_html.page(found))
        except OSError as error:
            raise ConfigError(f"{page} cannot be written: {error.strerror or error}.") from None
        click.echo(f"{page} is written.", err=as_json)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=1))
    elif page is None:
        from rich.console import Console

        from egate_lsp import stats_terminal

        Console().print(stats_terminal.statistics(found))
