"""`egate-lsp doctor --target`: asks a server what it is, tries each way of asking it, prints the settings to use."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from egate_lsp.errors import ConfigError, EgateError

if TYPE_CHECKING:
    from egate_lsp.config import Settings, Target
    from egate_lsp.models.openai_target import OpenAITarget
    from egate_lsp.models.probing import Server, Trial

SHOWN_MODELS = 12


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        model: the one that was tried.
        settings: the section for the configuration file; "" if no way of asking works.
    """

    where: str
    server: Server
    model: str
    trials: tuple[Trial, ...]
    settings: str


def run(settings: Settings, base_url: str, *, as_json: bool) -> None:
    """Probe, print, and end the process: 0 if some way of asking fills a hole, else 1.

    Raises:
        ConfigError: no address is known.
    """
    target = settings.target if base_url == "" else settings.target.model_copy(update={"base_url": base_url})
    if not target.base_url:
        raise ConfigError(
            "No target is configured.", hint="Name its address: egate-lsp doctor --target http://127.0.0.1:8080"
        )
    try:
        report = asyncio.run(probe(settings, target))
    except EgateError as error:
        if as_json:
            click.echo(json.dumps({"error": str(error), "hint": error.hint}, ensure_ascii=False, indent=2))
        else:
            click.echo(f"{click.style('BROKEN', fg='red')} {error}")
            click.echo(f"       {error.hint}")
        sys.exit(1)
    click.echo(json.dumps(_as_json(report), ensure_ascii=False, indent=2) if as_json else _as_text(report))
    if not any(trial.fills for trial in report.trials):
        sys.exit(1)


async def probe(settings: Settings, target: Target) -> Report:
    """Recognise the server and try each form that it knows, none of the user's code in it.

    Raises:
        TargetError: nothing answers there, or it wants a key.
        ConfigError: the key is not where the settings say.
    """
    from egate_lsp.models import probing
    from egate_lsp.models.connection import shown
    from egate_lsp.models.presets import PRESETS
    from egate_lsp.service import open_target

    def opened(wanted: Target) -> OpenAITarget:
        return open_target(settings.model_copy(update={"target": wanted}))

    first = opened(target.model_copy(update={"api": "chat"}))
    try:
        server = await probing.recognise(await first.connection(), target)
    finally:
        await first.aclose()
    model = probing.choose_model(server, target.model)
    trials = []
    for api in PRESETS[server.preset].apis:
        wanted = target.model_copy(update={"preset": server.preset, "api": api, "model": model})
        trials.append(await probing.trial(wanted, opened, watch=server.preset == "llama-server"))
    best = max(trials, key=probing.rank)
    base_url = target.base_url or ""
    toml = probing.settings_for(server, base_url, model, best, target) if best.answer is not None else ""
    return Report(shown(base_url), server, model, tuple(trials), toml)


def _as_text(report: Report) -> str:
    from egate_lsp.models.presets import PRESETS

    server = report.server
    lines = [
        f"server   {PRESETS[server.preset].title} at {report.where}, recognised by {server.how}",
        f"models   {', '.join(server.models[:SHOWN_MODELS]) or 'it does not tell'}"
        + (f" and {len(server.models) - SHOWN_MODELS} more" if len(server.models) > SHOWN_MODELS else ""),
        f"tried    {report.model}, with a made-up hole",
        "",
        f"{'api':12}{'answer':28}{'probabilities':16}{'tokens':12}cancel",
    ]
    for trial in report.trials:
        if trial.error is not None:
            lines.append(f"{trial.api:12}{click.style('fails', fg='red')}: {trial.error}")
            lines += [f"{'':12}{trial.error.hint}"] if trial.error.hint else []
            continue
        answer = repr((trial.answer or "")[:24])
        mark = click.style(f"{answer:28}", fg="green" if trial.fills else "yellow")
        top = f"of {trial.top}" if trial.top else "none"
        lines.append(f"{trial.api:12}{mark}{top:16}{trial.usage:12}{trial.cancel}")
    if report.settings:
        lines += ["", "For your configuration file:", "", report.settings]
    if not any(trial.fills for trial in report.trials):
        lines += ["", "No way of asking fills the hole `a + b`. Is the model one for code?"]
    return "\n".join(lines)


def _as_json(report: Report) -> dict[str, Any]:
    def plain(trial: Trial) -> dict[str, Any]:
        error = trial.error
        return asdict(replace(trial, error=None)) | {"error": error.explanation if error is not None else None}

    return {
        "server": asdict(report.server),
        "where": report.where,
        "model": report.model,
        "trials": [plain(trial) for trial in report.trials],
        "settings": report.settings,
    }
