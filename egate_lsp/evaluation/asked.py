"""What a model wrote at a place, first cold and then after one more keystroke, kept on disk so that a run can go on.

An answer is added to a `journal` when it is whole. Its key is all that the model is shown and how much it may write;
each model has a file of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from egate_lsp.evaluation.journal import Journal
from egate_lsp.models import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from egate_lsp.models import Model
    from egate_lsp.values import FimContext


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote.

    Attributes:
        text: the lines that were asked for, at most; blank ones before them left out where the cursor begins a line.
        prompt_tokens: of the whole prompt, by the model's own tokens; 0 if it does not tell.
        cold_ms, warm_ms: to the whole answer, and to that after one more character was typed; 0.0: not asked.
        cold_tokens, warm_tokens: evaluated for them.
    """

    text: str
    prompt_tokens: int = 0
    cold_tokens: int = 0
    warm_tokens: int = 0
    cold_ms: float = 0.0
    warm_ms: float = 0.0


class Asked:
    """A model that is asked each question once. It is opened when an answer is missing.

    Attributes:
        name: the model's.
        asked: questions that it was asked in this run.
    """

    def __init__(self, name: str, path: Path, settings: str, open_model: Callable[[], Awaitable[Model]]) -> None:
        """`settings`: what else an answer depends on, as text."""
        self.name = name
        self._journal = Journal(path)
        self._settings = settings
        self._open_model = open_model
        self._model: Model | None = None
        self._kept = _answers(self._journal)
        self.asked = 0

    def knows(self, context: FimContext, lines: int) -> bool:
        """Was this question answered before?"""
        return self._key(context, lines) in self._kept

    async def ask(self, context: FimContext, lines: int, typed: str = "") -> Answer:
        """The first `lines` lines at the hole. `typed`: the character that is typed for the warm measurement."""
        key = self._key(context, lines)
        if (known := self._kept.get(key)) is not None:
            return known
        if self._model is None:
            self._model = await self._open_model()
            await self._write(context, lines, 1)  # loads it: nothing of that is timed
        self.asked += 1
        text, cold_ms, usage = await self._write(context, lines)
        warm_ms, warm = 0.0, 0
        if typed:
            _, warm_ms, after = await self._write(context.extended(typed), lines)
            warm = int(after.get("evaluated_tokens", 0))
        prompt, evaluated = (int(usage.get(name, 0)) for name in ("prompt_tokens", "evaluated_tokens"))
        answer = Answer(text, prompt, evaluated, warm, round(cold_ms, 1), round(warm_ms, 1))
        self._kept[key] = answer
        self._journal.add({"key": key, **asdict(answer)})
        return answer

    def forget(self) -> None:
        """Delete what is kept."""
        self._journal.delete()
        self._kept = {}

    async def aclose(self) -> None:
        """Close the model, if it was opened."""
        if self._model is not None:
            model, self._model = self._model, None
            await model.aclose()

    async def _write(self, context: FimContext, lines: int, tokens: int = 0) -> tuple[str, float, dict[str, float]]:
        assert self._model is not None
        started = time.perf_counter()
        pieces = b""
        stream = self._model.generate(context, Limits(tokens or tokens_for(lines), lines))
        try:
            async for token in stream:
                pieces += token.piece
                if _is_whole(pieces, context, lines):
                    break
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
        spent = (time.perf_counter() - started) * 1000.0
        return _first(pieces.decode("utf-8", "replace"), context, lines), spent, self._model.usage()

    def _key(self, context: FimContext, lines: int) -> str:
        shown = [context.shown, context.suffix, context.path, context.language, lines, self._settings]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:32]


def tokens_for(lines: int) -> int:
    """How many tokens so many lines may take."""
    return 24 + 24 * lines


def _is_whole(pieces: bytes, context: FimContext, lines: int) -> bool:
    written = pieces.lstrip(b"\n") if context.prefix.endswith("\n") else pieces
    return written.count(b"\n") >= lines


def _first(text: str, context: FimContext, lines: int) -> str:
    if context.prefix.endswith("\n"):
        text = text.lstrip("\n")
    return "\n".join(text.split("\n")[:lines])


def _answers(journal: Journal) -> dict[str, Answer]:
    kept = {}
    for record in journal.records():
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            key = record.pop("key")
            kept[key] = Answer(**record)
    return kept
