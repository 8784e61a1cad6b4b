"""Settings for the commands: the user's file, then `--set KEY=VALUE`."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import click

from egate_lsp.config import Problem, read_user_file, resolve, tiers_with, user_file
from egate_lsp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.config import Settings

F = TypeVar("F", bound="Callable[..., object]")


def set_option(command: F) -> F:
    """The `--set` option, given to the command as `overrides`."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set one setting for this run, e.g. --set gate.tau=0.1 or --set target.base_url=http://127.0.0.1:8080/v1.",
    )(command)


def load(overrides: Sequence[str] = (), defaults: dict[str, Any] | None = None) -> Settings:
    """The settings; problems of the user's file are shown and passed over. `defaults` are the command's own; those of
    [draft] and [target] hold for each of the user's [[tiers]] as well.

    Raises:
        ConfigError: an override is wrong.
    """
    own = defaults or {}
    table, problems = read_user_file()
    sources = [(f"user file {user_file()}", table), ("--set", table_of(overrides))]
    if any(isinstance(given.get("tiers"), list) for _, given in sources):
        sources = [(origin, tiers_with(own, given)) for origin, given in sources]
        own = {key: value for key, value in own.items() if key not in {"draft", "target"}}
    settings, found = resolve([("command", own), *sources])
    problems += found
    for problem in problems:
        if problem.origin == "--set":
            raise ConfigError(f"--set {problem.key}: {problem.message}.")
        click.echo(f"egate-lsp: {problem}; using the default", err=True)
    return settings


def problems_of_user_file() -> list[Problem]:
    """What is wrong in the user's file."""
    table, problems = read_user_file()
    return problems + resolve([(f"user file {user_file()}", table)])[1]


def table_of(overrides: Sequence[str]) -> dict[str, Any]:
    """The overrides as a settings table.

    Raises:
        ConfigError: one is not of the form KEY=VALUE, or would show a key.
    """
    result: dict[str, Any] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {override}: expects KEY=VALUE.")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value  # a bare word is text: --set gate.score=mean
        node = result
        *sections, name = key.strip().split(".")
        if name in {"api_key", "apiKey"}:
            raise ConfigError(
                f"--set {key.strip()} would show the key to everyone who lists this machine's processes.",
                hint="Use target.api_key_env or target.api_key_keyring.",
            )
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = parsed
    return result
