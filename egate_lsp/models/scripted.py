"""A model that replays a script: for tests of logic and of editors, where the text must be predictable.

It is a real `Model`: it streams, can be cancelled at every token and can be slow. A script is a list of rules; the
first whose `after` is the end of the prefix answers. Tokens are `(text, entropy in nats)`.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from egate_lsp.errors import ConfigError, EgateError
from egate_lsp.values import Token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from egate_lsp.models import Limits, Search
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
        others: further drafts, for a model that can search.
    """

    after: str
    tokens: tuple[tuple[str, float], ...] = ()
    delay_s: float = 0.0
    error: EgateError | None = None
    others: tuple[tuple[tuple[str, float], ...], ...] = ()


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
        rule = self._rule(context)
        for text, entropy in rule.tokens[: limits.max_tokens]:
            await asyncio.sleep(rule.delay_s)
            self._generated += 1
            yield _token(text, entropy)
        if rule.error is not None:
            raise rule.error

    def _rule(self, context: FimContext) -> Rule:
        return next((rule for rule in self._rules if context.prefix.endswith(rule.after)), Rule(""))

    def usage(self) -> dict[str, float]:
        return {"generated_tokens": self._generated}

    async def aclose(self) -> None:
        """Nothing to give back."""


class ScriptedSearcher(ScriptedModel):
    """One that can search too: it finds the rule's own text and then its others."""

    async def candidates(
        self, context: FimContext, limits: Limits, search: Search, *, within_s: float | None = None
    ) -> list[list[Token]]:
        del limits
        rule = self._rule(context)
        try:
            async with asyncio.timeout(within_s):
                await asyncio.sleep(rule.delay_s)
        except TimeoutError:
            return []
        found = (rule.tokens, *rule.others[: search.branches])
        self._generated = sum(map(len, found))
        return [[_token(text, entropy) for text, entropy in tokens] for tokens in found]


def _token(text: str, entropy: float) -> Token:
    return Token(text.encode(), logprob=-entropy, entropy=entropy, margin=0.0, vocabulary=VOCABULARY)


def read_script(path: Path, *, name: str = "scripted") -> ScriptedModel:
    """A model from a JSON file: `[{"after": str, "tokens": [[text, nats], ...], "delay_s": number}, ...]`; a rule may
    have "others", a list of lists like "tokens": then the model can search.

    Raises:
        ConfigError: the file cannot be read or has another form.
    """
    try:
        rules = [
            Rule(
                entry["after"],
                _pairs(entry["tokens"]),
                float(entry.get("delay_s", 0.0)),
                others=tuple(_pairs(tokens) for tokens in entry.get("others", ())),
            )
            for entry in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"The script {path} cannot be used: {error!r}.",
            hint='It must be a JSON list of {"after": text, "tokens": [[text, entropy], ...]}.',
        ) from error
    kind = ScriptedSearcher if any(rule.others for rule in rules) else ScriptedModel
    return kind(rules, name=name)


def _pairs(tokens: Iterable[Sequence[Any]]) -> tuple[tuple[str, float], ...]:
    return tuple((str(text), float(nats)) for text, nats in tokens)
