"""The protocol every tier's model speaks: an async stream of tokens for a hole in a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from egate_lsp.values import FimContext, Token


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a model may write.

    Attributes:
        max_tokens: the cap on tokens.
        max_lines: the model may stop by itself after this many line breaks; the caller cuts there in any case.
        hint: text that an earlier tier proposed at this place; a model may use it or not.
        reasons: why that tier deferred it, for the record; no model is told.
        reading_ms: a local model that would take longer to read the window may read a shorter one; 0: it reads all.
        draws: a model at an address draws this many lines in one request; what it yields are these, one after the
            other, each ended by a line break. Others write the one.
    """

    max_tokens: int = 256
    max_lines: int = 12
    hint: str = ""
    reasons: tuple[str, ...] = ()
    reading_ms: float = 0.0
    draws: int = 1

    @property
    def most_tokens(self) -> int:
        """The cap on what is written in all."""
        return self.max_tokens * self.draws


@dataclass(frozen=True, slots=True)
class Search:
    """How other drafts of the line at the cursor are looked for.

    Attributes:
        branches: this many drafts that leave the greedy one at its least certain tokens, each at another place or by
            another token, and go on greedily from there; decoded together in one batch.
        documented: draft in the order of FIM marks that the model's authors document, not the usual one.
        top: probabilities of this many of the likeliest tokens with each token of the greedy draft.
    """

    branches: int = 0
    documented: bool = False
    top: int = 0


@runtime_checkable
class Searcher(Protocol):
    """A model that can give several drafts of a line."""

    async def candidates(
        self, context: FimContext, limits: Limits, search: Search, *, within_s: float | None = None
    ) -> list[list[Token]]:
        """The greedy draft's tokens first, then the branches' by falling probability of the token that leaves it.
        `within_s`: after so many seconds it ends, with the drafts whose line is whole by then; None: it takes as long
        as it takes."""
        ...


@runtime_checkable
class Reviewer(Protocol):
    """A model that can tell how well the text below follows a line."""

    async def review(self, context: FimContext, lines: Sequence[str], *, within_s: float | None = None) -> list[float]:
        """For each of the lines, none of them empty, the log-probability in nats of the next lines of
        `context.suffix` behind `context.prefix` and it, read from left to right. [] if there are none, or if it is not
        done within so many seconds; None: as long as it takes."""
        ...


@runtime_checkable
class Reader(Protocol):
    """A model that reads on in a window while nobody waits for it."""

    async def read_all(self) -> None:
        """Wait until the window of the last generation is read whole, or the reading was broken off."""
        ...


@runtime_checkable
class Model(Protocol):
    """A tier's model.

    `generate` yields the text that belongs directly after `context.prefix`. Closing the iterator (`aclose`)
    or cancelling the task that reads it ends the work: for a local engine within one decode step, for a remote
    one by closing the socket. Errors: a local engine raises `DraftError`, a remote one `TargetError`.
    """

    @property
    def name(self) -> str:
        """Short name for explanations, e.g. "qwen2.5-coder-0.5b"."""
        ...

    @property
    def remote(self) -> bool:
        """True if text sent to this model leaves the machine's own process tree by a network protocol."""
        ...

    def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        """Stream the middle. Must be used as an async generator: call `aclose` when done early."""
        ...

    def usage(self) -> dict[str, float]:
        """Counters of the last generation, e.g. prompt_tokens, evaluated_tokens, generated_tokens, known_tokens,
        prompt_ms, decode_ms; empty if unknown. While it runs, a local model may tell those of its prompt."""
        ...

    async def aclose(self) -> None:
        """Give back processes, sockets and memory. Idempotent."""
        ...
