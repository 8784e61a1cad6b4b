"""The other runs of `egate-lsp bench latency`: the storm, the late target, the ablations. Each is egate-lsp alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from egate_lsp.cli.bench_gate import bars
from egate_lsp.errors import EgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from egate_lsp.config import Settings
    from egate_lsp.evaluation.player import Habits, Task
    from egate_lsp.evaluation.storm import Storm

# Switches, each turned the other way, by table and key; and the window of the peer.
ABLATIONS: tuple[tuple[str, dict[str, dict[str, Any]]], ...] = (
    ("as it is", {}),
    ("documented order of FIM marks", {"draft": {"fim_order": "documented"}}),
    ("no healing", {"draft": {"healing": False}}),
    ("nothing read is kept", {"draft": {"reuse": False}}),
    ("no prompt lookup", {"draft": {"lookup": False}}),
    ("nothing drafted ahead", {"draft": {"ahead": False}}),
    ("no waiting for the next key", {"draft": {"debounce_ms": 0}}),
    ("no short window first", {"draft": {"first_text_ms": 0}}),
    ("the whole or nothing", {"draft": {"answer_ms": 0}}),
    ("no repairs", {"draft": {"repairs": 0}}),
    ("a window three times as long", {"context": {"prefix_chars": 9000, "suffix_chars": 3000}}),
)
_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("p50 ms", "p50_ms", ".0f"),
    ("p95 ms", "p95_ms", ".0f"),
    ("fresh p50", "fresh_p50_ms", ".0f"),
    ("fresh p95", "fresh_p95_ms", ".0f"),
    ("text p50", "text_p50_ms", ".0f"),
    ("text p95", "text_p95_ms", ".0f"),
    ("cold", "cold_ms", ".0f"),
    ("with text", "share_with_text", ".0%"),
    ("saved", "chars_saved", ".0f"),
    ("prompt tokens", "prompt_tokens", ".0f"),
    ("decoded", "decoded_tokens", ".0f"),
    ("CPU s", "cpu_s", ".1f"),
)
WITHOUT, WITH = "no target", "a late target"


@dataclass(frozen=True, slots=True)
class Played:
    """What is played, and where it is told."""

    tasks: Sequence[Task]
    habits: Habits
    json_file: Path | None
    out: Console


def storm(options: dict[str, Any], requests: int, json_file: Path | None, out: Console) -> None:
    """Raise a storm and tell what became of it.

    Raises:
        EgateError: something is not as it should be; the message says what.
    """
    from egate_lsp.evaluation import storm as storms
    from egate_lsp.evaluation.raw_client import raw_client

    # What is drafted or read ahead of the next request is meant to go on; here it would hide what a storm leaves.
    quiet = options | {"draft": {"ahead": False, "read_ahead": False} | options.get("draft", {})}

    async def run(progress: Callable[[str, int, int], None]) -> Storm:
        async with raw_client(quiet) as client:
            return await storms.run(client, requests, progress=lambda done, of: progress("requests", done, of))

    with bars(Console(stderr=True)) as progress:
        found = asyncio.run(run(progress))
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(found) | {"violations": found.violations}, indent=1), encoding="utf-8")
    idle = "never" if found.idle_after_s is None else f"after {found.idle_after_s:.1f} s"
    out.print(
        f"{found.requests} requests over {storms.DOCUMENTS} documents: {found.unanswered} without a reply, "
        f"{found.answered_twice} with two; the last one answered in {found.last_answered} documents; memory "
        f"{found.grown_mb:+.0f} MB since a fifth of them, at most {found.peak_rss_mb:.0f} MB; idle {idle}."
    )
    if found.violations:
        raise EgateError(" ".join(found.violations))


def target_delay(settings: Settings, options: dict[str, Any], seconds: float, model: str, played: Played) -> None:
    """The same keys without a target and with a real one that is held back."""
    from egate_lsp.evaluation.delaying_proxy import DelayingProxy
    from egate_lsp.evaluation.latency_figures import ratio
    from egate_lsp.models import store
    from egate_lsp.models.local_server import LocalServer

    path = store.locate(model, settings.models)

    async def run(progress: Callable[[str, int, int], None]) -> dict[str, Any]:
        async with LocalServer(path, threads=settings.draft.threads, yielding=True) as server:
            address = urlsplit(server.base_url)
            assert address.hostname is not None
            assert address.port is not None
            async with DelayingProxy(address.hostname, address.port, seconds) as proxy:
                target = {"preset": "llama-server", "base_url": f"http://127.0.0.1:{proxy.port}/v1"}
                # The files of a replay lie in no workspace.
                late = options | {"target": target, "privacy": {"outside_workspace": "send"}}
                return await _in_turns([(WITHOUT, options), (WITH, late)], played, progress, one_start=True)

    with bars(Console(stderr=True)) as progress:
        result = asyncio.run(run(progress))
    one, other = result["variants"][WITHOUT], result["variants"][WITH]
    ratios = {f"{name}_ratio": ratio(other, one, f"{name}_ms") for name in ("p95", "text_p95")}
    result |= {"delay_s": seconds, "target": model, **ratios}
    _tell(result, played, f"a target {seconds:g} s late")
    told = ["-" if each is None else f"{each:.2f}" for each in ratios.values()]
    played.out.print("p95 with the late target over p95 without: {} of all replies, {} of the texts".format(*told))
    asked, wasted = other["target_requests"], other["target_requests_wasted"]
    played.out.print(
        f"requests to the target: {asked:.0f}; answers used: {asked - wasted:.0f}, never used: {wasted:.0f}; "
        f"{other['target_requests_per_1000_chars']:.1f} requests per 1,000 characters"
    )


def ablations(options: dict[str, Any], played: Played) -> None:
    """The same keys with parts turned off, one server after the other for each file."""
    variants = [
        (name, options | {table: options.get(table, {}) | changed for table, changed in tables.items()})
        for name, tables in ABLATIONS
    ]

    with bars(Console(stderr=True)) as progress:
        result = asyncio.run(_in_turns(variants, played, progress, one_start=False))
    _tell(result, played, "with parts turned off")


async def _in_turns(
    variants: Sequence[tuple[str, dict[str, Any]]],
    played: Played,
    progress: Callable[[str, int, int], None],
    *,
    one_start: bool,
) -> dict[str, Any]:
    """Each file with each variant. `one_start`: all servers run from the first file on; else each is started anew for
    each file, so that only one is in memory."""
    from contextlib import AsyncExitStack

    from egate_lsp.evaluation.latency_bench import Replay, egate, run

    replay = Replay()

    async def play(tools: Sequence[Any], tasks: Sequence[Task]) -> None:
        await run(tools, tasks, replay, played.habits, progress=progress)

    async with AsyncExitStack() as stack:
        if one_start:
            tools = []
            for name, options in variants:
                tool = await stack.enter_async_context(egate(options))
                tool.name = name
                tools.append(tool)
            await play(tools, played.tasks)
        else:
            for index, task in enumerate(played.tasks):
                for name, options in variants if index % 2 == 0 else list(reversed(variants)):
                    async with egate(options) as tool:
                        tool.name = name
                        await play([tool], [task])
    result = replay.result()
    return {
        "variants": {name: result[name] for name, _ in variants},
        "files": result["files"],
    } | asdict(played.habits)


def _tell(result: dict[str, Any], played: Played, title: str) -> None:
    if played.json_file is not None:
        played.json_file.write_text(json.dumps(result, indent=1), encoding="utf-8")
    table = Table(title=f"{len(played.tasks)} files, {title}")
    table.add_column("")
    for head, _, _ in _COLUMNS:
        table.add_column(head, justify="right")
    for name, found in result["variants"].items():
        cells = [(found[key], form) for _, key, form in _COLUMNS]
        table.add_row(name, *("-" if value is None else format(value, form) for value, form in cells))
    played.out.print(table)
