"""What a model wrote, kept on disk: rules are compared on identical text, and an interrupted run goes on.

A recording is added to a `journal` when a generation ends. Each model with its settings has a file of its own, so
recordings of other weights or prompts are never mixed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from egate_lsp.evaluation.journal import Journal
from egate_lsp.models import Limits, Reviewer, Search, Searcher
from egate_lsp.values import Token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from egate_lsp.models import Model
    from egate_lsp.values import FimContext

TOPS = (5, 20, 40)  # with how many probabilities searches may have been recorded
ROUND = 6  # decimals: a recording is read by people too


class RecordedModel:
    """A model that answers from its recordings, and asks the real one for what they do not hold.

    The real model is opened when it is first needed: two engines at once would spoil each other's time.

    Attributes:
        generated: generations and reviews that the real model was asked for.
        searches: the real model is a `Searcher`.
        draws: lines that the real model, at an address, draws for a deferred one.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        open_model: Callable[[], Awaitable[Model]],
        *,
        searches: bool = True,
        draws: int = 1,
    ) -> None:
        self._name = name
        self.searches = searches
        self.draws = draws
        self._journal = Journal(path)
        self._open_model = open_model
        self._model: Model | None = None
        self._kept = _indexed(self._journal)
        self._usage: dict[str, float] = {}
        self.generated = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def remote(self) -> bool:
        return False

    def usage(self) -> dict[str, float]:
        """Tokens of the last generation, also of one from a recording; empty if they were not recorded."""
        return self._usage

    async def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        """Stream the middle; see `Model`."""
        key = _key(context, limits, Search())
        single = limits.max_lines == 1 and limits.draws == 1
        record = self._kept.get(key) or (self._searched(context, limits) if single else None)
        most = limits.most_tokens + (0 if limits.draws == 1 else limits.draws)  # and a line break after each draw
        yielded = 0
        if record is not None:
            self._usage = record.get("usage", {})
            for token in record["branches"][0][:most]:
                yielded += 1
                yield _token(token)
            if record["ended"] or yielded >= most:
                return
        model = await self._real()
        tokens: list[Token] = []
        ended = False
        started = time.perf_counter()
        stream = model.generate(context, limits)
        try:
            async for token in stream:
                tokens.append(token)
                if len(tokens) > yielded:
                    yield token
            ended = len(tokens) < most
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
            if len(tokens) > yielded or record is None:
                self._keep(key, [tokens], ended=ended, started=started)

    async def candidates(
        self, context: FimContext, limits: Limits, search: Search, *, within_s: float | None = None
    ) -> list[list[Token]]:
        """Several drafts of a line; see `Searcher`. What is recorded is whole, however long it takes."""
        del within_s
        if not self.searches:
            return [[token async for token in self.generate(context, limits)]]
        record = self._kept.get(_key(context, limits, search)) or self._wider(context, limits, search)
        if record is None:
            model = await self._real()
            if not isinstance(model, Searcher):
                return [[token async for token in self.generate(context, limits)]]
            started = time.perf_counter()
            found = await model.candidates(context, limits, search)
            record = self._keep(
                _key(context, limits, search), found, ended=len(found[0]) < limits.max_tokens, started=started
            )
        self._usage = record.get("usage", {})
        return [[_token(token) for token in branch] for branch in record["branches"]]

    async def review(self, context: FimContext, lines: Sequence[str], *, within_s: float | None = None) -> list[float]:
        """How well the text below follows each line; see `Reviewer`. What is recorded is whole, however long it
        takes."""
        del within_s
        place = _digest([context.prefix, context.suffix])
        keys = {line: f"review:{place}:{_digest([line])}" for line in lines}
        if new := [line for line, key in keys.items() if key not in self._kept]:
            model = await self._opened()
            found = await model.review(context, new) if isinstance(model, Reviewer) else []
            if not found:
                return []
            self.generated += 1
            for line, logprob in zip(new, found, strict=True):
                self._kept[keys[line]] = {"key": keys[line], "logprob": round(logprob, ROUND)}
                self._journal.add(self._kept[keys[line]])
        return [self._kept[keys[line]]["logprob"] for line in lines]

    def _wider(self, context: FimContext, limits: Limits, search: Search) -> dict[str, Any] | None:
        """The same search recorded with more probabilities of each token than are wanted."""
        for top in TOPS:
            if top >= search.top and (found := self._kept.get(_key(context, limits, replace(search, top=top)))):
                return found
        return None

    def holds_line(self, context: FimContext, draws: int = 1) -> bool:
        """Is a line at this hole recorded, or so many draws of it?"""
        limits = Limits(max_lines=1, draws=draws)
        return ("line:" + _hole(context) if draws == 1 else _key(context, limits, Search())) in self._kept

    def forget(self) -> None:
        """Delete the recordings."""
        self._journal.delete()
        self._kept = {}

    async def aclose(self) -> None:
        if self._model is not None:
            model, self._model = self._model, None
            await model.aclose()

    def _searched(self, context: FimContext, limits: Limits) -> dict[str, Any] | None:
        """The greedy draft of a search at the same hole, if one was recorded."""
        return self._kept.get("line:" + _hole(context))

    async def _real(self) -> Model:
        self.generated += 1
        return await self._opened()

    async def _opened(self) -> Model:
        if self._model is None:
            self._model = await self._open_model()
        return self._model

    def _keep(self, key: str, branches: list[list[Token]], *, ended: bool, started: float) -> dict[str, Any]:
        told = self._model.usage() if self._model is not None else {}
        self._usage = {name: told[name] for name in ("prompt_tokens", "generated_tokens") if name in told}
        record = {
            "key": key,
            "ended": ended,
            "usage": self._usage,
            "ms": round((time.perf_counter() - started) * 1000.0, 1),
            "branches": [[_plain(token) for token in branch] for branch in branches],
        }
        _index(self._kept, record)
        self._journal.add(record)
        return record


def _hole(context: FimContext) -> str:
    return _digest([context.shown, context.suffix])


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:32]


def _key(context: FimContext, limits: Limits, search: Search) -> str:
    wanted = [limits.max_lines, *asdict(search).values(), *([limits.draws] if limits.draws > 1 else [])]
    return f"{_hole(context)} {json.dumps(wanted)}"


def _index(kept: dict[str, dict[str, Any]], record: dict[str, Any]) -> None:
    kept[record["key"]] = record
    if "logprob" in record:
        return  # of a review
    hole, _, wanted = record["key"].partition(" ")
    max_lines, _, documented, _, *draws = json.loads(wanted)
    if max_lines == 1 and not documented and not draws:
        kept["line:" + hole] = record


def _indexed(journal: Journal) -> dict[str, dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = {}
    for record in journal.records():
        with contextlib.suppress(ValueError, KeyError, IndexError):
            _index(kept, record)
    return kept


def _plain(token: Token) -> list[Any]:
    numbers = [None if x is None else round(x, ROUND) for x in (token.logprob, token.entropy, token.margin)]
    return [token.piece.decode("latin-1"), *numbers, token.vocabulary, [round(p, ROUND) for p in token.top]]


def _token(plain: list[Any]) -> Token:
    piece, logprob, entropy, margin, vocabulary, top = plain
    return Token(piece.encode("latin-1"), logprob, entropy, margin, vocabulary, tuple(top))
