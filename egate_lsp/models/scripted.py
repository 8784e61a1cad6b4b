"""A model that replays a script: for tests of logic and of editors, where the text must be predictable.

It is a real `Model`: it streams, can be cancelled at every token and can be slow. A script is a list of rules; the
first whose `after` is the end of the prefix answers. Tokens are `(text, entropy in nats)`.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.errors import ConfigError, EgateError
from egate_lsp.values import Token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from egate_lsp.models import Limits
    from egate_lsp.values import FimContext

VOCABULARY = 1000


@dataclass(frozen=True, slots=True)
class Rule:
    """One scripted answer.

    Attributes:
        after: the prefix must end with this; empty matches everything.
        tokens: `(text, entropy in nats)`, in order.
        delay_s: waited before each token.
        error: raised after the tokens, if given.
    """

    after: str
    tokens: tuple[tuple[str, float], ...] = ()
    delay_s: float = 0.0
    error: EgateError | None = None


class ScriptedModel:
    """Replays rules. `asked` lists the prefixes it was shown, oldest first."""

    def __init__(self, rules: Sequence[Rule], *, name: str = "scripted", remote: bool = False) -> None:
        self._rules = tuple(rules)
        self._name = name
        self._remote = remote
        self._generated = 0
        self.asked: list[str] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def remote(self) -> bool:
        return self._remote

    async def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        self.asked.append(context.prefix)
        self._generated = 0
        rule = next((rule for rule in self._rules if context.prefix.endswith(rule.after)), Rule(""))
        for text, entropy in rule.tokens[: limits.max_tokens]:
            await asyncio.sleep(rule.delay_s)
            self._generated += 1
            yield Token(text.encode(), logprob=-entropy, entropy=entropy, margin=0.0, vocabulary=VOCABULARY)
        if rule.error is not None:
            raise rule.error

    def usage(self) -> dict[str, float]:
        return {"generated_tokens": self._generated}

    async def aclose(self) -> None:
        """Nothing to give back."""


def read_script(path: Path, *, name: str = "scripted") -> ScriptedModel:
    """A model from a JSON file: `[{"after": str, "tokens": [[text, nats], ...], "delay_s": number}, ...]`.

    Raises:
        ConfigError: the file cannot be read or has another form.
    """
    try:
        rules = [
            Rule(
                entry["after"],
                tuple((str(text), float(nats)) for text, nats in entry["tokens"]),
                float(entry.get("delay_s", 0.0)),
            )
            for entry in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"The script {path} cannot be used: {error!r}.",
            hint='It must be a JSON list of {"after": text, "tokens": [[text, entropy], ...]}.',
        ) from error
    return ScriptedModel(rules, name=name)
