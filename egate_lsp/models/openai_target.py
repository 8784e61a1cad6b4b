"""A model behind an HTTP address, asked in the form that its server knows (`dialects`)."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from egate_lsp.errors import (
    ConfigError,
    TargetAuthError,
    TargetChanged,
    TargetError,
    TargetMisfit,
    TargetReplyError,
    TargetUnavailable,
)
from egate_lsp.models import fim, healing, logprobs, reply
from egate_lsp.models.connection import Connection
from egate_lsp.models.dialects import Ask, Dialect, Piece, Usage, dialect
from egate_lsp.models.frames import Frames
from egate_lsp.models.keys import key_of
from egate_lsp.models.logprobs import Alignment, Seen
from egate_lsp.models.presets import PRESETS, RENDERED
from egate_lsp.values import Shape, Token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from egate_lsp.config import Target
    from egate_lsp.models import Limits
    from egate_lsp.models.fim import FimMarks, FimOrder
    from egate_lsp.values import FimContext

log = logging.getLogger(__name__)

MAX_REPLY_CHARS = 20_000
CHARS_PER_TOKEN = 3.3  # of code, by Qwen's tokenizer: for what a server does not count
VOCABULARY = 128_000  # where nobody tells: uncertainty goes by its logarithm, so half or double is 6 %
# Fields that some servers refuse; one that a 400 names is left out from then on.
OPTIONAL_FIELDS = ("stream_options", "stop", "temperature", "top_logprobs", "logprobs", "n_probs", "thinking", "n")
DRAW_TEMPERATURE = 0.6  # several answers that are to differ; docs/gate.md
_ONE_CHOICE = re.compile(r"\bchoices?\b")  # "Only one completion choice is allowed"
_CHANGES_BY_DESIGN = re.compile(r"\bauto\b|router")


class OpenAITarget:
    """One model of one server. Requests are streamed, so that closing the stream closes the socket."""

    def __init__(self, target: Target, *, marks: FimMarks | None, order: FimOrder, vocabulary: int = 0) -> None:
        """`marks` and `order` render the prompt of forms that take it so; `vocabulary` is the |V| of that model.

        Raises:
            ConfigError: FIM is wanted of a model without marks.
        """
        self._target = target
        self._marks = marks
        self._order = order
        self._vocabulary = target.vocabulary or vocabulary or VOCABULARY
        self._dialect: Dialect = dialect(PRESETS[target.preset], target.preset, target.api)
        self._top = self._dialect.top(target.probabilities)
        self._connection: Connection | None = None
        self._refused: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._usage: dict[str, float] = {}
        self._answering = ""
        if target.api in RENDERED and marks is None:
            raise ConfigError(
                f"target.fim_model = {target.fim_model!r} has no FIM marks.",
                hint='Name a model of the catalogue that has, or set target.api to "suffix" or "chat".',
            )

    @property
    def name(self) -> str:
        return self._target.model

    @property
    def remote(self) -> bool:
        return True

    def usage(self) -> dict[str, float]:
        """Of the request that ended last: prompt_tokens, generated_tokens; bytes_out and bytes_in, the bodies'
        sizes; cached_tokens and cost (US dollars) where the server tells; `estimated` is 1 where it did not count, or
        was not listened to until it had."""
        return self._usage

    async def generate(self, context: FimContext, limits: Limits) -> AsyncGenerator[Token, None]:
        """Stream the middle; see `Model`. A conversation's answer comes at its end, because it is cleaned as a whole.

        Raises:
            TargetError: one of its kinds, with a hint.
        """
        ask, forced = self._ask(context, limits)
        if limits.draws > 1:
            for line in await self._drawn(ask, forced, context, limits.hint):
                for drawn in line:
                    yield drawn
                yield Token(b"\n")
            return
        async with aclosing(self._seen(ask)) as stream:
            if self._dialect.whole:
                for token in self._cleaned([token async for token in stream], context, limits.hint):
                    yield token.token(self._vocabulary)
                return
            async with aclosing(_healed(stream, forced.encode("utf-8", "replace"))) as healed:
                async for token in healed:
                    if (mark := reply.SPECIAL_BYTES.search(token.piece)) is None:
                        yield token.token(self._vocabulary)
                        continue
                    if mark.start():
                        yield Token(token.piece[: mark.start()])
                    return

    async def _drawn(self, ask: Ask, forced: str, context: FimContext, hint: str) -> list[list[Token]]:
        """The tokens of the line of each answer. One that does not continue the word before the cursor is left out.

        Raises:
            TargetError: as for `generate`; TargetMisfit if no answer continues the word.
        """
        found: list[list[Token]] = []
        misfit: TargetMisfit | None = None
        own_line = context.prefix.endswith("\n")
        for answer in await self._answers(ask, own_line=own_line):
            if self._dialect.whole:
                seen = self._cleaned(answer, context, hint)
            else:
                try:
                    seen = [token async for token in _healed(_each(answer), forced.encode("utf-8", "replace"))]
                except TargetMisfit as error:
                    misfit = error
                    continue
            found.append([token.token(self._vocabulary) for token in _first_line(seen, own_line=own_line)])
        if not found and misfit is not None:
            raise misfit
        return found

    @staticmethod
    def _cleaned(seen: Sequence[Seen], context: FimContext, hint: str) -> list[Seen]:
        """What is code in a conversation's answer."""
        text = b"".join(token.piece for token in seen).decode("utf-8", "replace")
        return logprobs.within(seen, reply.clean(text, context, hint).encode("utf-8", "replace"))

    async def _answers(self, ask: Ask, *, own_line: bool) -> list[list[Seen]]:
        """The tokens of each answer, in the order of their numbers. When each has written its line, the stream is
        closed."""
        usage = self._estimate(ask)
        found: dict[int, _Answer] = {}
        try:
            async with aclosing(self._counted(ask, usage)) as pieces:
                async for piece in pieces:
                    answer = found.setdefault(piece.index, _Answer())
                    answer.seen += answer.alignment.feed(piece.text, piece.seen)
                    answer.text += piece.text
                    ended = not self._dialect.whole and all(one.has_line(own_line=own_line) for one in found.values())
                    if ended and len(found) == ask.draws:
                        break
        finally:
            self._usage = usage
        whole = [answer.seen + answer.alignment.end() for _, answer in sorted(found.items())]
        # Some servers count one answer's tokens for all.
        usage["generated_tokens"] = max(usage["generated_tokens"], float(sum(map(len, whole))))
        return whole

    async def offered(self) -> list[str]:
        """Names of the models that the server offers; empty if it does not tell."""
        try:
            return [name for name, _ in await (await self.connection()).models()]
        except TargetError:
            return []

    async def aclose(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.aclose()

    def _ask(self, context: FimContext, limits: Limits) -> tuple[Ask, str]:
        """The request, and the text that the answer must begin with: the partial word taken back from the prefix."""
        target, context = self._target, context.joined
        whole = self._dialect.whole
        cut = healing.span(context.prefix) if target.healing and not whole else 0
        prefix = context.prefix[: len(context.prefix) - cut]
        rendered = target.api in RENDERED
        stop: tuple[str, ...] = ()
        if limits.max_lines == 1 and context.shape is Shape.LINE and not context.prefix.endswith("\n") and not whole:
            stop = ("\n",)
        if rendered and self._marks is not None:
            stop += self._marks.stop
        draws = limits.draws if self._dialect.draws and "n" not in self._refused else 1
        ask = Ask(
            target.model,
            context.prefix if whole else prefix,
            context.suffix,
            fim.render(self._marks, self._order, prefix, context.suffix) if rendered else "",
            reply.chat_messages(context) if target.api == "chat" else (),
            context.path,
            context.language,
            min(limits.max_tokens, target.max_tokens),
            target.temperature if draws == 1 else max(target.temperature, DRAW_TEMPERATURE),
            stop,
            self._top if draws == 1 else self._dialect.top(max(target.probabilities, 1)),
            draws,
        )
        return ask, context.prefix[len(prefix) :]

    async def _seen(self, ask: Ask) -> AsyncGenerator[Seen, None]:
        """The reply's text as it comes, as tokens where the server tells them."""
        usage = self._estimate(ask)
        alignment = Alignment()
        try:
            async with aclosing(self._counted(ask, usage)) as pieces:
                async for piece in pieces:
                    for token in alignment.feed(piece.text, piece.seen):
                        yield token
            for token in alignment.end():
                yield token
        finally:
            self._usage = usage

    @staticmethod
    def _estimate(ask: Ask) -> dict[str, float]:
        """What is known before the reply, of this request alone: others may be under way."""
        read_chars = len(ask.prompt) or len(ask.prefix) + len(ask.suffix)
        return {"prompt_tokens": _tokens(read_chars), "generated_tokens": 0.0, "estimated": 1.0}

    async def _counted(self, ask: Ask, usage: dict[str, float]) -> AsyncGenerator[Piece, None]:
        """What the reply's objects say, its tokens and its length counted."""
        total = 0
        async with aclosing(self._pieces(ask, usage)) as pieces:
            async for piece in pieces:
                _count(piece.usage, usage)
                total += len(piece.text)
                if total > MAX_REPLY_CHARS:
                    raise TargetReplyError("The target's answer does not end.", hint="Lower target.max_tokens.")
                if piece.text and usage.get("estimated"):
                    # Until the server tells: a chunk is a token. A stream that is closed after the line it was asked
                    # for never tells.
                    usage["generated_tokens"] += float(max(len(piece.seen), 1))
                yield piece

    async def _pieces(self, ask: Ask, usage: dict[str, float]) -> AsyncGenerator[Piece, None]:
        """What the reply's objects say.

        Raises:
            TargetError: also when the reply breaks off, tells of an error, or says nothing but thoughts.
        """
        frames = Frames()
        sound = finished = spoken = thought = False
        connection = await self.connection()
        async with aclosing(self._events(connection, ask, frames, usage)) as events:
            async for event in events:
                for piece in self._dialect.read(event, ask.top):
                    if piece.error:
                        raise connection.by_status(piece.code or 500, piece.error)
                    self._check_model(piece.model)
                    sound = sound or piece.sound
                    finished = finished or bool(piece.finish)
                    spoken = spoken or bool(piece.text.strip())
                    thought = thought or bool(piece.thought)
                    yield piece
        if not sound:
            raise TargetReplyError(
                f"The target's answer is not that of the API {self._target.api!r}.",
                hint="Does target.base_url end in /v1, and does the server speak this API (target.api)?",
            )
        if not finished and not frames.done:
            raise TargetUnavailable("The target's answer was cut off.", hint="See the server's log.")
        if thought and not spoken:
            raise TargetReplyError(
                "The target thought until its tokens were spent, and gave no answer.",
                hint="Choose a model that does not think, or turn it off in target.extra_body.",
            )

    async def _events(
        self, connection: Connection, ask: Ask, frames: Frames, usage: dict[str, float]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Send it; a field that the server refuses by name is left out, now and later."""
        url = self._dialect.url(self._target.base_url or "")
        while True:
            body = {
                self._renamed.get(key, key): value
                for key, value in (self._dialect.body(ask) | self._target.extra_body).items()
                if key not in self._refused
            }
            size = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
            usage["bytes_out"] = usage.get("bytes_out", 0.0) + size
            try:
                async with aclosing(connection.post(url, body, frames)) as events:
                    async for event in events:
                        yield event
                return
            except TargetReplyError as error:
                if error.status not in {400, 422} or not self._learn(str(error), body):
                    raise
            finally:
                usage["bytes_in"] = float(frames.received)

    def _learn(self, message: str, body: dict[str, Any]) -> bool:
        """Do without a field that the server's message names. False: there is none."""
        if "max_completion_tokens" in message and "max_tokens" in body:
            self._renamed["max_tokens"] = "max_completion_tokens"
            return True
        named = next((key for key in OPTIONAL_FIELDS if key in body and re.search(rf"\b{key}\b", message)), None)
        if named is None and "n" in body and _ONE_CHOICE.search(message):
            named = "n"
        if named is None:
            return False
        if named == "n":
            log.warning("%s writes one line and no more: its server refuses the field n (target.candidates)", self.name)
        # One of the two is worth nothing without the other.
        self._refused |= {"logprobs", "top_logprobs"} if named in {"logprobs", "top_logprobs"} else {named}
        return True

    def _check_model(self, model: str) -> None:
        if not model or model == self._answering or _CHANGES_BY_DESIGN.search(self._target.model):
            return
        former, self._answering = self._answering, model
        if former:
            raise TargetChanged(
                f"The target now answers as {model[:80]!r}; until now it was {former[:80]!r}.",
                hint="Is target.model still right? A target of another kind may need another target.api.",
            )

    async def connection(self) -> Connection:
        """The way to the server, for questions about it.

        Raises:
            TargetAuthError: the key is not where the settings say.
        """
        if self._connection is None:
            try:
                # A keyring may ask the user, or another process.
                key = await asyncio.to_thread(key_of, self._target)
            except ConfigError as error:
                raise TargetAuthError(str(error), hint=error.hint) from None
            self._connection = Connection(self._target.base_url or "", key, self._target.timeout_s)
        return self._connection


@dataclass(slots=True)
class _Answer:
    """One of several answers, as far as it has come."""

    alignment: Alignment = field(default_factory=Alignment)
    seen: list[Seen] = field(default_factory=list)
    text: str = ""

    def has_line(self, *, own_line: bool) -> bool:
        """Its first line is whole; blank lines before one that has the line to itself are none."""
        return "\n" in (self.text.lstrip() if own_line else self.text)


def _count(told: Usage | None, usage: dict[str, float]) -> None:
    """Take over what the server counted."""
    if told is None or told.read is None or told.written is None:
        return
    usage.pop("estimated", None)
    usage |= {"prompt_tokens": float(told.read), "generated_tokens": float(told.written)}
    if told.cached is not None:
        usage["cached_tokens"] = float(told.cached)
    if told.cost is not None:
        usage["cost"] = told.cost


async def _healed(stream: AsyncIterator[Seen], forced: bytes) -> AsyncGenerator[Seen, None]:
    """The stream without the `forced` beginning.

    Raises:
        TargetMisfit: it begins with something else, so it does not fit what the user has typed.
    """
    # White space before the cursor is there already, whether the model spells it again or not.
    optional = not forced.strip()
    async for token in stream:
        if not forced:
            yield token
        elif forced.startswith(token.piece):
            forced = forced[len(token.piece) :]
        elif token.piece.startswith(forced):
            yield token.beyond(forced)
            forced = b""
        elif optional:
            yield token
            forced = b""
        else:
            raise TargetMisfit("The target's line does not continue the word before the cursor.")
    if forced and not optional:
        raise TargetMisfit("The target's line ends before the word at the cursor does.")


async def _each(seen: Sequence[Seen]) -> AsyncIterator[Seen]:
    for token in seen:
        yield token


def _first_line(seen: Sequence[Seen], *, own_line: bool) -> list[Seen]:
    """The tokens of the first line, to the model's end mark at most; blank lines before one that has the line to itself
    are skipped."""
    line: list[Seen] = []
    for token in seen:
        mark = reply.SPECIAL_BYTES.search(token.piece)
        first, *further = (token.piece if mark is None else token.piece[: mark.start()]).split(b"\n")
        line.append(replace(token, piece=first))
        for segment in further:
            if not own_line or any(each.piece.strip() for each in line):
                return line
            line = [replace(token, piece=segment)]
        if mark is not None:
            break
    return line


def _tokens(chars: int) -> float:
    return float(round(chars / CHARS_PER_TOKEN))
