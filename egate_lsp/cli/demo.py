"""`egate-lsp demo`: the main job in one command, with two real models and real files."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from egate_lsp.client import Session
    from egate_lsp.places import Place

DRAFT = "qwen2.5-coder-0.5b"
TARGET = "qwen2.5-coder-1.5b"
PATIENCE_MS = 120_000.0  # the demo shows what the target writes however slow the machine; an editor would not wait
SEED = 7


@dataclass(slots=True)
class _Tally:
    """What the summary is made of."""

    places: int = 0
    exact: int = 0
    lines: int = 0
    deferred: int = 0
    changed: int = 0
    failed: int = 0
    draft_tokens: float = 0
    target_tokens: float = 0
    first_line_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)


@click.command(epilog="Exit codes: 0 done, 1 something is missing (the message says what), 130 interrupted.")
@click.option("--places", "count", default=12, show_default=True, type=click.IntRange(1, 200), help="Cursor positions.")
@click.option("--deferral-rate", default=0.2, show_default=True, type=click.FloatRange(0, 1), help="Share to escalate.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write what was shown to this file.")
def demo(count: int, deferral_rate: float, json_file: Path | None) -> None:
    """Show what an editor would show: drafts, unsure lines, what the target wrote, and the merged text.

    Fetches two models (1.6 GB, once), starts the 1.5B model as an OpenAI-compatible server on this machine's loopback
    address, starts egate-lsp as an editor does, and asks for completions in real files of several languages. No
    account, no key; nothing leaves this machine. No process stays behind.
    """
    from rich.console import Console

    # A file or a pipe gets plain text of a readable width.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    asyncio.run(_run(console, count, deferral_rate, json_file))


async def _run(console: Console, count: int, deferral_rate: float, json_file: Path | None) -> None:
    from egate_lsp import places, render
    from egate_lsp.cli.models import ensure
    from egate_lsp.cli.settings import load
    from egate_lsp.client import session
    from egate_lsp.models.local_server import LocalServer

    settings = load()
    started = time.monotonic()
    ensure(DRAFT, settings.models, console)
    target = ensure(TARGET, settings.models, console)
    files = places.source_files()
    share, extra = divmod(count, len(files))
    chosen = [
        place for index, source in enumerate(files) for place in places.choose(source, share + (index < extra), SEED)
    ]
    console.print(f"Starting the target, {TARGET}, on this machine...", style="dim")
    async with LocalServer(target) as server:
        console.print(f"  it answers at {server.base_url}; draft: {DRAFT}", style="dim")
        options = {
            # Each place is new to the draft, and nobody is typing: it reads all there is.
            "draft": {"model": DRAFT, "first_text_ms": 0, "read_ahead": False},
            "target": {
                "base_url": server.base_url, "model": TARGET, "api": "fim", "fim_model": TARGET,
                "timeout_s": PATIENCE_MS / 1000.0,
            },
            "gate": {"deferral_rate": deferral_rate, "adaptive": False},
            "cascade": {"deadline_ms": PATIENCE_MS},
            "models": settings.models.model_dump(mode="json"),
        }  # fmt: skip
        with tempfile.TemporaryDirectory() as empty:
            # The demo must not depend on what the user has configured, an API key least of all.
            os.environ["EGATE_LSP_CONFIG"] = str(Path(empty) / "config.toml")
            async with session(options, arguments=["--log-file", str(Path(empty) / "server.log")]) as editor:
                console.print(render.legend())
                tally, shown = _Tally(), []
                for number, place in enumerate(chosen, 1):
                    shown.append(await _show(console, editor, place, f"{number}/{len(chosen)}", tally))
    _summary(console, tally, len({source.language for source in files}), time.monotonic() - started)
    if json_file is not None:
        json_file.write_text(json.dumps({"places": shown}, ensure_ascii=False, indent=1), encoding="utf-8")


async def _show(console: Console, editor: Session, place: Place, title: str, tally: _Tally) -> dict[str, Any]:
    from rich.rule import Rule
    from rich.text import Text

    from egate_lsp import render

    name = place.source.path.name
    console.print(Rule(f"{title}  {name}:{place.line + 1}  {place.source.language}, {place.kind}", align="left"))
    lines = place.text.split("\n")
    for text in lines[max(place.line - 3, 0) : place.line]:
        console.print(Text(f" {'':12} {text.expandtabs(4)}", style="dim", no_wrap=True, overflow="ellipsis"))
    asked = time.monotonic()
    proposal = await editor.propose(name, place.source.language, place.text, place.line, place.character)
    elapsed_ms = (time.monotonic() - asked) * 1000.0
    explanation = proposal.explanation
    before = lines[place.line].encode("utf-16-le")[: 2 * place.character].decode("utf-16-le")
    console.print(render.completion(explanation, before=before.expandtabs(4), width=console.width))
    author = place.expected.split("\n")
    wanted = "\n".join(author[: len(explanation["lines"])])
    exact = bool(proposal.text) and proposal.text.rstrip() == wanted.rstrip()
    said = "the author wrote the same" if exact else f"the author wrote: {author[0].strip()}"
    console.print(Text(f" {elapsed_ms:.0f} ms; {said}", style="dim", no_wrap=True, overflow="ellipsis"))
    _count(tally, explanation, elapsed_ms, exact=exact)
    return {
        "file": name,
        "line": place.line,
        "kind": place.kind,
        "expected": place.expected,
        "ms": elapsed_ms,
        **explanation,
    }


def _count(tally: _Tally, explanation: dict[str, Any], elapsed_ms: float, *, exact: bool) -> None:
    tally.places += 1
    tally.exact += exact
    tally.lines += len(explanation["lines"])
    tally.draft_tokens += explanation["stats"].get("generated_tokens", 0)
    tally.total_ms.append(elapsed_ms)
    if (first := explanation["timing_ms"].get("draft_first_line")) is not None:
        tally.first_line_ms.append(first)
    for line in explanation["lines"]:
        tally.changed += line["source"] == "target" and line["draft"] != line["text"]
    for request in explanation["requests"]:
        tally.deferred += 1
        tally.failed += request["outcome"] != "answered"
        tally.target_tokens += request["completion_tokens"] or 0


def _summary(console: Console, tally: _Tally, languages: int, elapsed_s: float) -> None:
    from rich.table import Table

    # What the target would have written had every line been its own: the draft's tokens per line, for all lines.
    per_line = tally.draft_tokens / tally.lines if tally.lines else 0.0
    without = per_line * tally.lines
    saved = max(1.0 - tally.target_tokens / without, 0.0) if without else 0.0
    table = Table(title="Summary", title_justify="left", show_header=False, min_width=60)
    table.add_row("places", f"{tally.places} in {languages} languages")
    table.add_row("lines shown", str(tally.lines))
    table.add_row(
        "escalated to the target",
        f"{tally.deferred} requests ({tally.deferred / max(tally.lines, 1):.0%} of lines), {tally.failed} failed",
    )
    table.add_row("changed by the target", f"{tally.changed} lines")
    table.add_row(
        "tokens the target wrote", f"{tally.target_tokens:.0f}; {saved:.0%} fewer than if it wrote every line"
    )
    table.add_row("equal to the author's text", f"{tally.exact} of {tally.places}")
    table.add_row("draft's first line", f"median {statistics.median(tally.first_line_ms or [0]):.0f} ms (cold prompts)")
    table.add_row("merged completion", f"median {statistics.median(tally.total_ms or [0]):.0f} ms")
    table.add_row("left this machine", "nothing")
    table.add_row("whole demo", f"{elapsed_s:.0f} s")
    console.print(table)
