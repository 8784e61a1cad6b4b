"""Every request to a model that is asked over a network protocol: granted by the budget, written down in the ledger
before it leaves, and once more when it has ended."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

from egate_lsp import prices
from egate_lsp.errors import EgateError, TargetTimeout
from egate_lsp.models.wrapped import WrappedModel
from egate_lsp.records import RequestRecord, day_of, is_loopback, new_id, told, where

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from egate_lsp.budget import Budget
    from egate_lsp.config import Price
    from egate_lsp.models import Limits, Model
    from egate_lsp.values import FimContext, Token


class AccountedModel(WrappedModel):
    """A model at an address."""

    def __init__(
        self,
        model: Model,
        url: str,
        budget: Budget,
        table: Mapping[str, Price],
        *,
        keep_text: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`table`: of prices, see `prices.price_of`."""
        super().__init__(model)
        self._server = where(url)
        self._local = is_loopback(url)
        self._budget = budget
        self._price = prices.price_of(model.name, self._server, table)
        self._keep_text = keep_text
        self._clock = clock

    async def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        """Stream the middle; see `Model`.

        Raises:
            OverBudget: nothing was sent.
            TargetError: as the model raises it.
        """
        record = self._begun(context, limits)
        await self._budget.admit(record)
        started = time.monotonic()
        received: list[bytes] = []
        outcome, detail = "cancelled", ""
        stream = self.inner.generate(context, limits)
        try:
            async for token in stream:
                received.append(token.piece)
                yield token
            outcome = "answered"
        except GeneratorExit:
            # The reader has what it wanted, most often a line, or it never began to read.
            outcome = "answered" if received else "cancelled"
            raise
        except EgateError as error:
            outcome = "late" if isinstance(error, TargetTimeout) else "failed"
            detail = type(error).__name__  # never its text, which may quote the prompt
            raise
        finally:
            try:
                await stream.aclose()  # type: ignore[attr-defined]
            finally:
                ended = dataclasses.replace(
                    record, outcome=outcome, detail=detail, latency_ms=(time.monotonic() - started) * 1000.0
                )
                self._budget.settle(self._reckoned(ended, b"".join(received), self.inner.usage()))

    def _begun(self, context: FimContext, limits: Limits) -> RequestRecord:
        """As long as nothing is known of the reply: the bytes that leave, and the most that they can cost."""
        moment = self._clock()
        size = _size(context.shown) + _size(context.suffix) + _size(context.path) + _size(limits.hint)
        text = None
        if self._keep_text:
            text = json.dumps({"path": context.path, "prefix": context.shown, "suffix": context.suffix})
        return RequestRecord(
            new_id(),
            moment,
            day_of(moment),
            self._server,
            self.name,
            self._local,
            file=context.file or context.path,
            others="\n".join(dict.fromkeys(_on_a_line(each.file) for each in context.snippets)),
            language=context.language,
            bytes_out=size,
            tokens_in=prices.tokens(size),
            cost=None if self._price is None else prices.most(self._price, size, limits.most_tokens),
            reason=told(limits.reasons),
            text_out=text,
        )

    def _reckoned(self, record: RequestRecord, received: bytes, usage: Mapping[str, float]) -> RequestRecord:
        """With what the reply told of itself, or an estimate."""
        measured = "prompt_tokens" in usage and not usage.get("estimated")
        size = int(usage.get("bytes_out", record.bytes_out))
        tokens_in = int(usage["prompt_tokens"]) if measured else prices.tokens(record.bytes_out)
        tokens_out = int(usage.get("generated_tokens", prices.tokens(len(received))))
        if record.outcome == "failed" and not received and not measured and not usage.get("bytes_in"):
            tokens_in = tokens_out = 0  # nobody charges for an error; an answer that is of no use costs like any other
        cached = int(usage.get("cached_tokens", 0))
        cost = usage.get("cost")
        if cost is None and self._price is not None:
            cost = prices.cost(self._price, tokens_in, tokens_out, cached)
        return dataclasses.replace(
            record,
            bytes_out=size,
            bytes_in=int(usage.get("bytes_in", len(received))),
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            tokens_cached=cached,
            cost=cost,
            estimated=not measured,
            text_in=received.decode("utf-8", "replace") if self._keep_text else None,
        )


def _on_a_line(path: str) -> str:
    return path.replace("\n", "\ufffd")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
