"""The command line. Each command's module is imported only when it runs, so that the server starts fast."""

from __future__ import annotations

import importlib
import sys

import click

from egate_lsp import __version__
from egate_lsp.errors import EgateError

# name -> module that holds a click command of the same name (dashes as underscores)
_COMMANDS = {
    "serve": "egate_lsp.cli.serve",
    "complete": "egate_lsp.cli.complete",
    "demo": "egate_lsp.cli.demo",
    "models": "egate_lsp.cli.models",
    "doctor": "egate_lsp.cli.doctor",
    "calibrate": "egate_lsp.cli.calibrate",
    "stats": "egate_lsp.cli.stats",
    "ledger": "egate_lsp.cli.ledger",
    "bench": "egate_lsp.cli.bench",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(130)
        except EgateError as error:
            click.echo(f"egate-lsp: {error}", err=True)
            if error.hint:
                click.echo(error.hint, err=True)
            sys.exit(1)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 could not be done (the message says why), 2 wrong usage, 130 interrupted.",
)
@click.version_option(__version__, prog_name="egate-lsp")
def main() -> None:
    """Local-first code completion for your editor.

    A small model on this machine drafts, the entropy of its tokens tells which lines are unsure, and only those go
    to a larger model, if you have configured one. Without one, nothing leaves this machine.

    Start with:  egate-lsp demo   (fetches two models, 1.6 GB, and shows what an editor would show)
    """
