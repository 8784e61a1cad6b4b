"""`egate-lsp serve`: what editors start."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import sys
from pathlib import Path

import click

from egate_lsp.errors import ConfigError


@click.command(epilog="Exit codes: 0 after LSP's shutdown and exit, 1 otherwise, 2 wrong usage.")
@click.option("--stdio", is_flag=True, help="Standard input and output. The default.")
@click.option("--tcp", is_flag=True, help="A TCP port.")
@click.option("--ws", is_flag=True, help="WebSocket, for editors in a browser; clients need the token.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --tcp or --ws.")
@click.option(
    "--port", default=0, type=click.IntRange(0, 65535), help="With --tcp or --ws; 0, the default: a free one."
)
@click.option("--token", help="With --ws: what clients must send; made up and printed if not given.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help="With --ws: web pages from other origins may not connect, e.g. http://localhost:3000; repeatable. "
    "Default: any that knows the token.",
)
@click.option("--allow-remote", is_flag=True, help="Allow a --host that is not this machine's loopback address.")
@click.option("--log-file", type=click.Path(path_type=Path), help="Default: server.log in the user's log directory.")
@click.option(
    "--log-level", type=click.Choice(["error", "warning", "info", "debug"]), help="Default: the setting log_level."
)
def serve(
    *,
    stdio: bool,
    tcp: bool,
    ws: bool,
    host: str,
    port: int,
    token: str | None,
    origins: tuple[str, ...],
    allow_remote: bool,
    log_file: Path | None,
    log_level: str | None,
) -> None:
    """Run the language server. Editors start it themselves; see the README for each.

    Examples:

    \b
      egate-lsp serve
      egate-lsp serve --ws --port 9257 --token "$TOKEN"
    """
    if stdio + tcp + ws > 1:
        raise click.UsageError("--stdio, --tcp and --ws exclude each other.")
    if (tcp or ws) and not allow_remote and not _is_loopback(host):
        raise ConfigError(
            f"{host} is reachable from other machines, and this protocol has no password.",
            hint="Use 127.0.0.1, or --allow-remote if you know who can reach it.",
        )
    from egate_lsp import logs, transport
    from egate_lsp.server import EgateServer

    logs.start(log_file, log_level)
    if not (tcp or ws):
        sys.exit(transport.serve_stdio(EgateServer))
    token = token or secrets.token_urlsafe(16)
    shown = f"?token={token}" if ws else ""

    def ready(bound: int) -> None:
        click.echo(f"egate-lsp listens at {'ws' if ws else 'tcp'}://{host}:{bound}/{shown}", err=True)

    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        if ws:
            asyncio.run(transport.serve_ws(EgateServer, host, port, token, ready, origins))
        else:
            asyncio.run(transport.serve_tcp(EgateServer, host, port, ready))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
