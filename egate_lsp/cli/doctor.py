"""`egate-lsp doctor`: what works on this machine, what does not, and how to mend it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import click

from egate_lsp.cli import probe
from egate_lsp.cli.settings import load, problems_of_user_file, set_option
from egate_lsp.errors import EgateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.config import Settings
    from egate_lsp.models.engine_process import EngineProcess

Outcome = Literal["ok", "note", "broken"]
SLOW_DECODE = 8.0  # tokens a second; below, a line takes more than a second
PROMPT_LINES = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        outcome: "broken" makes the command end with 1.
        hint: how to mend it.
    """

    name: str
    outcome: Outcome
    detail: str
    hint: str = ""


@click.command(epilog="Exit codes: 0 all that is needed works, 1 something is broken, 2 wrong usage.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--target",
    "base_url",
    is_flag=False,
    flag_value="",
    metavar="[URL]",
    help="Find out how the target, or the server at URL, is asked best, and print the settings for it.",
)
@set_option
def doctor(*, as_json: bool, base_url: str | None, overrides: Sequence[str]) -> None:
    """Check models, engine speed, entropy, FIM, cancelling, the target, the configuration and the editors.

    Loads the draft model and runs it for a few seconds. If a target is configured, it is sent one small made-up
    completion request, none of your code; with --target several, to see in which form it is asked best.
    """
    settings = load(overrides)
    if base_url is not None:
        probe.run(settings, base_url, as_json=as_json)
        return
    findings = asyncio.run(_examine(settings))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            mark = {"ok": "ok    ", "note": "note  ", "broken": "BROKEN"}[finding.outcome]
            colour = {"ok": "green", "note": "yellow", "broken": "red"}[finding.outcome]
            click.echo(f"{click.style(mark, fg=colour)} {finding.name:14} {finding.detail}")
            if finding.hint:
                click.echo(f"       {'':14} {finding.hint}")
    if any(finding.outcome == "broken" for finding in findings):
        sys.exit(1)


async def _examine(settings: Settings) -> list[Finding]:
    return [*_configuration(), *_models(settings), *await _engine(settings), *await _target(settings), *_editors()]


def _configuration() -> list[Finding]:
    from egate_lsp.config import user_file

    problems = problems_of_user_file()
    if problems:
        hint = "Correct it there; until then the default is used."
        return [Finding("configuration", "broken", str(problem), hint) for problem in problems]
    path = user_file()
    return [Finding("configuration", "ok", str(path) if path.is_file() else f"all defaults ({path} is not there)")]


def _models(settings: Settings) -> list[Finding]:
    from egate_lsp.models import store

    here = [held.entry.name for held in store.held(settings.models) if held.path]
    detail = f"{', '.join(here) or 'none'} in {store.cache_dir(settings.models)}"
    return [Finding("models", "ok" if here else "note", detail)]


async def _engine(settings: Settings) -> list[Finding]:
    from egate_lsp.models.engine_process import EngineProcess
    from egate_lsp.service import open_draft

    try:
        engine = await open_draft(settings)
    except EgateError as error:
        return [Finding("draft model", "broken", str(error), error.hint)]
    if not isinstance(engine, EngineProcess):
        return [Finding("draft model", "note", "scripted: for tests")]
    try:
        return await _run_engine(engine)
    except EgateError as error:
        return [Finding("engine", "broken", str(error), error.hint)]
    finally:
        await engine.aclose()


async def _run_engine(engine: EngineProcess) -> list[Finding]:
    from egate_lsp.models import Limits
    from egate_lsp.values import FimContext

    code = "".join(f"def function_{n}(a, b):\n    return a * {n} + b\n\n" for n in range(PROMPT_LINES))
    tokens = [token async for token in engine.generate(FimContext(code + "def func", ""), Limits(24, 50))]
    info, usage = engine.info, engine.usage()
    prompt_speed = usage["evaluated_tokens"] / max(usage["prompt_ms"], 1e-9) * 1000.0
    decode_speed = usage["generated_tokens"] / max(usage["decode_ms"], 1e-9) * 1000.0
    findings = [
        Finding(
            "draft model", "ok",
            f"{engine.name}, {info['vocabulary']} tokens, loaded in {info['load_ms'] / 1000:.1f} s, "
            f"{info['threads']} threads",
        ),
        Finding(
            "speed", "ok" if decode_speed >= SLOW_DECODE else "note",
            f"prompt {prompt_speed:.0f} tokens/s, decode {decode_speed:.0f} tokens/s",
            "" if decode_speed >= SLOW_DECODE else "A smaller draft.model, or draft.gpu_layers, makes it faster.",
        ),
        Finding("FIM", "ok", "yes") if info["fim"] else Finding(
            "FIM", "note", "no: the model does not see what follows the cursor", "Choose a model with FIM tokens."
        ),
    ]  # fmt: skip
    known = [token.entropy for token in tokens if token.entropy is not None]
    findings.append(
        Finding("entropy", "ok", f"known for {len(known)} of {len(tokens)} tokens, full vocabulary")
        if known
        else Finding("entropy", "broken", "the engine gives none", "Please report this with your model's name.")
    )
    findings.append(await _cancelling(engine, code))
    return findings


async def _cancelling(engine: EngineProcess, code: str) -> Finding:
    """How long the engine goes on after a request was cancelled in the middle of a long prompt."""
    from egate_lsp.models import Limits
    from egate_lsp.values import FimContext

    working = asyncio.Event()
    engine.on_progress = working.set

    async def consume() -> None:
        async for _ in engine.generate(FimContext("# another prompt\n" + code, "\n"), Limits(200, 200)):
            pass

    task = asyncio.create_task(consume())
    await working.wait()
    cancelled = time.monotonic()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    elapsed_ms = (time.monotonic() - cancelled) * 1000.0
    return Finding("cancelling", "ok", f"the engine stopped {elapsed_ms:.0f} ms after it was told")


async def _target(settings: Settings) -> list[Finding]:
    from egate_lsp.models import Limits
    from egate_lsp.service import open_target
    from egate_lsp.values import FimContext, Shape

    if not settings.target.base_url:
        return [Finding("target", "note", "none configured: nothing leaves this machine")]
    where = f"{settings.target.model} at {settings.target.base_url}, api {settings.target.api}"
    try:
        target = open_target(settings)
        started = time.monotonic()
        context = FimContext("def add(a, b):\n    return ", "\n", "example.py", "python", Shape.LINE)
        try:
            pieces = [token.piece async for token in target.generate(context, Limits(16, 1))]
        except EgateError as error:
            return [Finding("target", "broken", f"{where}: {error}", error.hint), *await _offered(settings)]
        finally:
            await target.aclose()
    except EgateError as error:
        return [Finding("target", "broken", f"{where}: {error}", error.hint)]
    answer = b"".join(pieces).decode("utf-8", "replace").strip()
    elapsed_ms = (time.monotonic() - started) * 1000.0
    detail = f"{where}: answered in {elapsed_ms:.0f} ms"
    if "a + b" not in answer.partition("\n")[0]:
        hint = "It does not fill a simple hole: `egate-lsp doctor --target` finds out how it is asked best."
        return [Finding("target", "note", f"{detail}, with {answer[:40]!r} for `a + b`", hint)]
    return [Finding("target", "ok", detail)]


async def _offered(settings: Settings) -> list[Finding]:
    from egate_lsp.service import open_target

    target = open_target(settings)
    try:
        names = await target.offered()
    finally:
        await target.aclose()
    return [Finding("target models", "note", "the server offers: " + ", ".join(names[:12]))] if names else []


def _editors() -> list[Finding]:
    found = {name: shutil.which(command) for name, command in
             (("VS Code", "code"), ("Neovim", "nvim"), ("Helix", "hx"))}  # fmt: skip
    here = [f"{name} ({path})" for name, path in found.items() if path]
    return [
        Finding("editors", "ok" if here else "note", ", ".join(here) or "none of VS Code, Neovim, Helix on the PATH")
    ]
