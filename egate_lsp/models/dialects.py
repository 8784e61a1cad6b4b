"""The forms in which servers are asked for the text in a hole, and how their replies are read. Pure.

    form        path                  the hole is told by          probabilities
    chat        chat/completions      a conversation (`reply`)     logprobs, top_logprobs -> content[]
    suffix      completions           prompt, suffix               logprobs: int -> arrays or content[]
    fim         completions           a prompt rendered here       the same
    infill      /infill               input_prefix, input_suffix   n_probs -> completion_probabilities
    completion  /completion           a prompt rendered here       the same
    ollama      /api/generate         prompt, suffix               logprobs, top_logprobs -> a bare list
    mistral     fim/completions       prompt, suffix               none
    codegeex    chat/completions      extra.target                 none

A path that begins with a slash counts from the server's root, the others from `base_url`. All forms are streamed;
a server that answers in one piece is read as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from egate_lsp.models import logprobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from egate_lsp.models.logprobs import Seen
    from egate_lsp.models.presets import Api, Preset, PresetName


@dataclass(frozen=True, slots=True)
class Ask:
    """What is wanted of a server.

    Attributes:
        prefix, suffix: the text around the hole.
        prompt: the two with the model's marks, for forms that take it so.
        messages: the conversation, for chat.
        max_tokens, temperature, stop: limits, as the user and the cascade want them.
        top: probabilities of so many likeliest tokens are wanted with each token; 0: none.
        draws: this many answers are wanted.
    """

    model: str
    prefix: str = ""
    suffix: str = ""
    prompt: str = ""
    messages: Sequence[Mapping[str, str]] = ()
    path: str = ""
    language: str = ""
    max_tokens: int = 96
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    top: int = 0
    draws: int = 1


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; None where it did not say. `cached`: of those read, not computed anew;
    `cost`: in US dollars, where the server charges by itself."""

    read: int | None = None
    written: int | None = None
    cached: int | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What one object of a reply says.

    Attributes:
        text: of the answer.
        thought: of what the model thinks aloud, kept apart by the server.
        seen: the tokens of the text, where it tells them.
        finish: why the answer ends here, "" while it goes on.
        model: which model answers, "" if it does not say.
        error, code: what went wrong in the middle of the reply, and its HTTP status, 0 if none is told.
        sound: it is an object of this form.
        index: of the answer it belongs to, where several are wanted.
    """

    text: str = ""
    thought: str = ""
    seen: tuple[Seen, ...] = ()
    usage: Usage | None = None
    finish: str = ""
    model: str = ""
    error: str = ""
    code: int = 0
    sound: bool = True
    index: int = 0


@dataclass(frozen=True, slots=True)
class Dialect:
    """A form with the limits of one kind of server.

    Attributes:
        path: where requests go.
        whole: the answer is a conversation's, and is cleaned as a whole.
    """

    api: Api
    preset: Preset
    path: str
    whole: bool
    _body: Callable[[Ask, Preset], dict[str, Any]] = field(repr=False)
    _read: Callable[[dict[str, Any], int], Piece] = field(repr=False)

    def url(self, base_url: str) -> str:
        """The address for requests."""
        return address(base_url, self.path, bare_means_v1=self.preset.base_url.startswith("http://"))

    def top(self, wanted: int) -> int:
        """How many likeliest tokens can be asked for."""
        return min(wanted, self.preset.top(self.api))

    def body(self, ask: Ask) -> dict[str, Any]:
        """The request, within the server's limits."""
        return self._body(ask, self.preset) | dict(self.preset.extra)

    @property
    def draws(self) -> bool:
        """Several answers to one request can be had, from servers that know how."""
        return self.api in _DRAWING

    def read(self, event: dict[str, Any], top: int = 0) -> list[Piece]:
        """What an object of the reply says of each answer that it tells of; never raises."""
        error, choices = event.get("error"), event.get("choices")
        if error and not choices:
            return [_failed(error, event)]
        if not isinstance(choices, list) or len(choices) < 2:
            return [self._read(event, top)]
        return [self._read(event | {"choices": [choice]}, top) for choice in choices]


def dialect(preset: Preset, name: PresetName, api: Api) -> Dialect:
    """The form `api` as this kind of server speaks it."""
    if name == "ollama" and api == "fim":
        return Dialect(api, preset, "/api/generate", False, _ollama_raw, _read_ollama)
    path, whole, body, read = _FORMS[api]
    return Dialect(api, preset, path, whole, body, read)


def address(base_url: str, path: str, *, bare_means_v1: bool = False) -> str:
    """Where `path` is: from the server's root if it begins with a slash, else from `base_url`.

    `bare_means_v1`: a base_url without a path stands for its /v1.
    """
    parts = urlsplit(base_url)
    base = parts.path.rstrip("/")
    if path.startswith("/"):
        base = base.removesuffix("/v1")
    elif not base and bare_means_v1:
        base = "/v1"
    return urlunsplit((parts.scheme, parts.netloc, f"{base}/{path.lstrip('/')}", "", ""))


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────


def _common(ask: Ask, preset: Preset) -> dict[str, Any]:
    low, high = preset.temperature
    body: dict[str, Any] = {
        "model": ask.model,
        "max_tokens": ask.max_tokens,
        "temperature": min(max(ask.temperature, low), high),
        "stream": True,
    }
    if preset.stream_usage:
        body["stream_options"] = {"include_usage": True}
    if ask.stop:
        body["stop"] = list(ask.stop[: preset.max_stops])
    return body | _drawn(ask)


def _drawn(ask: Ask) -> dict[str, Any]:
    return {"n": ask.draws} if ask.draws > 1 else {}


def _chat(ask: Ask, preset: Preset) -> dict[str, Any]:
    body = {"messages": list(ask.messages), **_common(ask, preset)}
    return body | {"logprobs": True, "top_logprobs": ask.top} if ask.top else body


def _suffix(ask: Ask, preset: Preset) -> dict[str, Any]:
    body = {"prompt": ask.prefix, "suffix": ask.suffix, **_common(ask, preset)}
    return body | {"logprobs": ask.top} if ask.top else body


def _fim(ask: Ask, preset: Preset) -> dict[str, Any]:
    body = {"prompt": ask.prompt, **_common(ask, preset)}
    return body | {"logprobs": ask.top} if ask.top else body


def _mistral(ask: Ask, preset: Preset) -> dict[str, Any]:
    return {"prompt": ask.prefix, "suffix": ask.suffix, **_common(ask, preset)}


def _codegeex(ask: Ask, preset: Preset) -> dict[str, Any]:
    target = {"path": ask.path, "language": ask.language, "code_prefix": ask.prefix, "code_suffix": ask.suffix}
    return {**_common(ask, preset), "messages": [], "extra": {"target": target, "contexts": []}}


def _llama(ask: Ask, preset: Preset) -> dict[str, Any]:
    body: dict[str, Any] = {
        "n_predict": ask.max_tokens,
        "temperature": ask.temperature,
        "stream": True,
        "cache_prompt": True,
    }
    if ask.stop:
        body["stop"] = list(ask.stop[: preset.max_stops])
    if ask.top:
        body["n_probs"] = ask.top
    return body | _drawn(ask)


def _infill(ask: Ask, preset: Preset) -> dict[str, Any]:
    return {"input_prefix": ask.prefix, "input_suffix": ask.suffix, "input_extra": [], **_llama(ask, preset)}


def _completion(ask: Ask, preset: Preset) -> dict[str, Any]:
    return {"prompt": ask.prompt, **_llama(ask, preset)}


def _ollama_common(ask: Ask, preset: Preset) -> dict[str, Any]:
    options: dict[str, Any] = {"num_predict": ask.max_tokens, "temperature": ask.temperature}
    if ask.stop:
        options["stop"] = list(ask.stop[: preset.max_stops])
    body: dict[str, Any] = {"model": ask.model, "stream": True, "options": options}
    return body | {"logprobs": True, "top_logprobs": ask.top} if ask.top else body


def _ollama(ask: Ask, preset: Preset) -> dict[str, Any]:
    # An empty suffix is none to Ollama: the prompt would be put into the chat template.
    return {"prompt": ask.prefix, "suffix": ask.suffix or "\n", **_ollama_common(ask, preset)}


def _ollama_raw(ask: Ask, preset: Preset) -> dict[str, Any]:
    """Its /v1/completions puts the prompt into the model's template, marks and all; `raw` does not."""
    return {"prompt": ask.prompt, "raw": True, **_ollama_common(ask, preset)}


# ── replies ─────────────────────────────────────────────────────────────────────────────────────────────────


def _failed(error: Any, event: dict[str, Any]) -> Piece:
    """An error told in the middle of a stream, or in a reply with status 200."""
    told = error if isinstance(error, dict) else {"message": error}
    code = told.get("code", event.get("code"))
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    status = code if isinstance(code, int) and 400 <= code < 600 else 0
    return Piece(error=str(told.get("message") or "no reason given"), code=status)


def _read_openai(event: dict[str, Any], top: int) -> Piece:
    usage = _openai_usage(event.get("usage"))
    model = _text(event.get("model"))
    choices = event.get("choices")
    if not isinstance(choices, list):
        # A last chunk with usage alone; some gateways send other bookkeeping too.
        return Piece(usage=usage, model=model, sound=usage is not None or "object" in event)
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    message = next((choice[key] for key in ("delta", "message") if isinstance(choice.get(key), dict)), None)
    holder = message if message is not None else choice
    text = _text(holder.get("content")) if message is not None else _text(choice.get("text"))
    thought = _text(holder.get("reasoning_content")) or _text(holder.get("reasoning"))
    error = choice.get("error") or event.get("error")
    if error:
        return _failed(error, event)
    return Piece(
        text,
        thought,
        tuple(logprobs.read(choice.get("logprobs"), top)),
        usage,
        _text(choice.get("finish_reason")),
        model,
        index=_count(choice.get("index")) or 0,
    )


def _openai_usage(told: Any) -> Usage | None:
    if not isinstance(told, dict):
        return None
    details = told.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    if cached is None:
        cached = _count(told.get("prompt_cache_hit_tokens"))
    cost = told.get("cost")
    dollars = float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) and cost >= 0 else None
    return Usage(_count(told.get("prompt_tokens")), _count(told.get("completion_tokens")), cached, dollars)


def _read_llama(event: dict[str, Any], top: int) -> Piece:
    if not isinstance(event.get("content"), str):
        return Piece(sound=False)
    told = event.get("completion_probabilities") or event.get("probs")
    finish = ""
    usage = None
    if event.get("stop") is True:
        finish = _text(event.get("stop_type")) or "stop"
        timings = event.get("timings")
        cached = _count(timings.get("cache_n")) if isinstance(timings, dict) else None
        usage = Usage(_count(event.get("tokens_evaluated")), _count(event.get("tokens_predicted")), cached)
    seen = tuple(logprobs.read(told, top))
    index = _count(event.get("index")) or 0
    return Piece(event["content"], "", seen, usage, finish, _text(event.get("model")), index=index)


def _read_ollama(event: dict[str, Any], top: int) -> Piece:
    if not isinstance(event.get("response"), str):
        return Piece(sound=False)
    finish = ""
    usage = None
    if event.get("done") is True:
        finish = _text(event.get("done_reason")) or "stop"
        usage = Usage(_count(event.get("prompt_eval_count")), _count(event.get("eval_count")))
    seen = tuple(logprobs.read(event.get("logprobs"), top))
    return Piece(event["response"], _text(event.get("thinking")), seen, usage, finish, _text(event.get("model")))


def _text(value: Any) -> str:
    """Text, or the text parts of a list of parts (Mistral); "" for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [part.get("text") for part in value if isinstance(part, dict) and part.get("type", "text") == "text"]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _count(value: Any) -> int | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        return None
    return int(value)


# Forms with a field for it: OpenAI's `n`, which llama-server takes in each of its own too.
_DRAWING: tuple[Api, ...] = ("chat", "suffix", "fim", "infill", "completion")
_FORMS: dict[
    Api, tuple[str, bool, Callable[[Ask, Preset], dict[str, Any]], Callable[[dict[str, Any], int], Piece]]
] = {
    "chat": ("chat/completions", True, _chat, _read_openai),
    "suffix": ("completions", False, _suffix, _read_openai),
    "fim": ("completions", False, _fim, _read_openai),
    "infill": ("/infill", False, _infill, _read_llama),
    "completion": ("/completion", False, _completion, _read_llama),
    "ollama": ("/api/generate", False, _ollama, _read_ollama),
    "mistral": ("fim/completions", False, _mistral, _read_openai),
    "codegeex": ("chat/completions", True, _codegeex, _read_openai),
}  # fmt: skip
