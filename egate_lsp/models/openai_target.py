"""A target behind an OpenAI-compatible API. The only importer of openai, which it imports when first asked."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from egate_lsp.errors import (
    ConfigError,
    TargetAuthError,
    TargetError,
    TargetRateLimited,
    TargetReplyError,
    TargetTimeout,
    TargetUnavailable,
)
from egate_lsp.models import fim, healing, reply
from egate_lsp.values import Shape, Token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from egate_lsp.config import Target
    from egate_lsp.models import Limits
    from egate_lsp.models.fim import FimMarks, FimOrder
    from egate_lsp.values import FimContext

MAX_REPLY_CHARS = 20_000
# Fields that some servers refuse; one that a 400 names is left out from then on.
OPTIONAL_FIELDS = ("stream_options", "stop", "temperature")


class OpenAITarget:
    """One model of one server. Requests are streamed, so that closing the stream closes the socket."""

    def __init__(self, target: Target, *, marks: FimMarks | None, order: FimOrder) -> None:
        """`marks` and `order` render the prompt of `api = "fim"`.

        Raises:
            ConfigError: the key's environment variable is not set, or FIM is wanted of a model without marks.
        """
        self._target = target
        self._marks = marks
        self._order = order
        self._key = _key(target)
        self._client: Any = None
        self._refused: set[str] = set()
        self._usage: dict[str, float] = {}
        if target.api == "fim" and marks is None:
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
        return self._usage

    async def generate(self, context: FimContext, limits: Limits) -> AsyncIterator[Token]:
        """Stream the middle; see `Model`. A chat reply comes as one piece, because it is cleaned as a whole.

        Raises:
            TargetError: one of its kinds, with a hint.
        """
        self._usage = {}
        if self._target.api == "chat":
            pieces = [piece async for piece in self._stream(self._chat_request(context, limits))]
            text = reply.clean("".join(pieces), context, limits.hint)
            yield Token(text.encode("utf-8", "replace"))
            return
        request, forced = self._completion_request(context, limits)
        stream = self._stream(request)
        try:
            async for piece in _healed(stream, forced):
                yield Token(piece.encode("utf-8", "replace"))
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    async def offered(self) -> list[str]:
        """Names of the models that the server offers; empty if it does not tell."""
        openai = await _import_openai()
        try:
            page = await self._open(openai).models.list()
            return [model.id for model in page.data]
        except (openai.OpenAIError, AttributeError, TypeError, ValueError):
            return []

    async def aclose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def _chat_request(self, context: FimContext, limits: Limits) -> dict[str, Any]:
        return {"messages": reply.chat_messages(context), **self._common(limits)}

    def _completion_request(self, context: FimContext, limits: Limits) -> tuple[dict[str, Any], str]:
        """The request, and the text that the answer must begin with: the partial word taken back from the prefix."""
        cut = healing.span(context.prefix) if self._target.api == "fim" else 0
        prefix = context.prefix[: len(context.prefix) - cut]
        forced = context.prefix[len(prefix) :]
        common = self._common(limits)
        if limits.max_lines == 1 and context.shape is Shape.LINE and not context.prefix.endswith("\n"):
            common["stop"] = ["\n"]
        if self._target.api == "fim":
            return {"prompt": fim.render(self._marks, self._order, prefix, context.suffix), **common}, forced
        return {"prompt": context.prefix, "suffix": context.suffix, **common}, ""

    def _common(self, limits: Limits) -> dict[str, Any]:
        return {
            "model": self._target.model,
            "max_tokens": min(limits.max_tokens, self._target.max_tokens),
            "temperature": self._target.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    async def _stream(self, request: dict[str, Any]) -> AsyncIterator[str]:
        """The reply's text as it comes, and its usage."""
        openai = await _import_openai()
        client = self._open(openai)
        endpoint = client.chat.completions if "messages" in request else client.completions
        total, is_completion = 0, False
        try:
            async with asyncio.timeout(self._target.timeout_s):
                stream = await self._create(openai, endpoint, request)
                try:
                    async for chunk in stream:
                        self._count(chunk)
                        is_completion = is_completion or isinstance(chunk.choices, list)
                        piece = _text(chunk)
                        total += len(piece)
                        if total > MAX_REPLY_CHARS:
                            raise TargetReplyError("The target's answer does not end.", hint="Lower target.max_tokens.")
                        if piece:
                            # Until the server tells: a chunk is a token. A stream that is closed after the line it
                            # was asked for never tells.
                            self._usage["generated_tokens"] = self._usage.get("generated_tokens", 0.0) + 1.0
                            yield piece
                finally:
                    await stream.close()
            if not is_completion:
                raise TypeError
        except TimeoutError:
            raise TargetTimeout(
                f"The target did not answer within {self._target.timeout_s:.0f} s.", hint="See target.timeout_s."
            ) from None
        except TargetError:
            raise
        except openai.OpenAIError as error:
            raise self._translated(openai, error) from None
        except (ValueError, TypeError, AttributeError, KeyError):
            raise TargetReplyError(
                "The target's answer is not that of an OpenAI-compatible API.",
                hint="Does target.base_url end in /v1, and does the server speak this API?",
            ) from None
        except Exception as error:
            if type(error).__module__.startswith(("httpx2", "httpcore2")):
                raise TargetUnavailable(f"The connection to the target broke: {type(error).__name__}.") from None
            raise

    async def _create(self, openai: Any, endpoint: Any, request: dict[str, Any]) -> Any:
        """Send it; a field that the server refuses by name is left out, now and later."""
        while True:
            fields = {key: value for key, value in request.items() if key not in self._refused}
            try:
                return await endpoint.create(**fields, extra_body=self._target.extra_body or None)
            except openai.BadRequestError as error:
                named = next((field for field in OPTIONAL_FIELDS if field in fields and field in str(error)), None)
                if named is None:
                    raise
                self._refused.add(named)

    def _open(self, openai: Any) -> Any:
        if self._client is None:
            self._client = openai.AsyncOpenAI(
                # A server without keys gets one all the same: the client refuses to start without.
                api_key=self._key or "none",
                base_url=self._target.base_url,
                timeout=self._target.timeout_s,
                max_retries=0,
            )
        return self._client

    def _count(self, chunk: Any) -> None:
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self._usage = {
                "prompt_tokens": float(usage.prompt_tokens or 0),
                "generated_tokens": float(usage.completion_tokens or 0),
            }

    def _translated(self, openai: Any, error: Any) -> TargetError:
        """Our error for one of the client's. Never with its text, which may quote the prompt; a 4xx reply's own
        message is kept, shortened, because it names the cause."""
        where = self._target.base_url
        if isinstance(error, openai.APITimeoutError):
            return TargetTimeout("The target did not answer in time.", hint="See target.timeout_s.")
        if isinstance(error, openai.APIConnectionError):
            hint = "Does it run? Is target.base_url right?"
            return TargetUnavailable(f"Nothing answers at {where}.", hint=hint)
        if isinstance(error, openai.APIStatusError):
            return self._by_status(error.status_code, _message(error))
        return TargetReplyError(f"The target's answer cannot be read ({type(error).__name__}).")

    def _by_status(self, status: int, message: str) -> TargetError:
        if status in {401, 403}:
            return TargetAuthError(f"The target refused the key ({status}).", hint="See target.api_key_env.")
        if status == 404:
            return TargetReplyError(
                f"The target has no model {self._target.model!r}, or no such address (404).",
                hint="See target.model and target.base_url; `egate-lsp doctor` lists the models that it offers.",
            )
        if status == 429:
            return TargetRateLimited("The target asks to slow down (429).", hint="It is asked again after a pause.")
        if status >= 500:
            return TargetUnavailable(
                f"The target reports an error of its own ({status}).", hint="See the server's log."
            )
        hint = 'Set target.api to "fim" or "chat".' if "suffix" in message else "See target.api and target.extra_body."
        return TargetReplyError(f"The target refused the request ({status}): {message}", hint=hint)


async def _healed(stream: AsyncIterator[str], forced: str) -> AsyncIterator[str]:
    """The stream without the `forced` beginning.

    Raises:
        TargetReplyError: it begins with something else, so it does not fit what the user has typed.
    """
    seen = ""
    async for piece in stream:
        if not forced:
            yield piece
            continue
        seen += piece
        if seen.startswith(forced):
            rest, forced = seen[len(forced) :], ""
            if rest:
                yield rest
        elif not forced.startswith(seen):
            raise TargetReplyError("The target's line does not continue the word before the cursor.")
    if forced:
        raise TargetReplyError("The target's line ends before the word at the cursor does.")


async def _import_openai() -> Any:
    """The package, imported outside of the event loop: it takes half a second the first time."""

    def load() -> Any:
        import openai

        return openai

    return await asyncio.to_thread(load)


def _key(target: Target) -> str | None:
    if target.api_key_env and not os.environ.get(target.api_key_env):
        raise ConfigError(
            f"target.api_key_env names {target.api_key_env}, which is not set in the server's environment.",
            hint="Set it where the editor is started, or use target.api_key.",
        )
    return os.environ.get(target.api_key_env) if target.api_key_env else target.api_key


def _text(chunk: Any) -> str:
    """The text in a chunk of either API; "" for one without (usage, role, finish)."""
    if not chunk.choices or not isinstance(chunk.choices, list):
        return ""
    choice = chunk.choices[0]
    delta = getattr(choice, "delta", None)
    text = delta.content if delta is not None else getattr(choice, "text", "")
    return text if isinstance(text, str) else ""


def _message(error: Any) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return str(message)[:200] if message else "no reason given"
