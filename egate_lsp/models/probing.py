"""What is this server, and which way of asking it fills a hole? Found out by asking."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from egate_lsp.errors import ConfigError, TargetError
from egate_lsp.models import Limits
from egate_lsp.models.dialects import address
from egate_lsp.models.presets import PRESETS, RENDERED, Api, PresetName
from egate_lsp.values import FimContext, Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from egate_lsp.config import Target
    from egate_lsp.models.connection import Connection
    from egate_lsp.models.openai_target import OpenAITarget

# None of the user's code: a hole that any model of code fills in the same way.
HOLE = FimContext("def add(a, b):\n    return ", "\n\n\nprint(add(1, 2))\n", "example.py", "python", Shape.LINE)
EXPECTED = "a + b"
LONG = FimContext("# The numbers from 1 to 500, one a line:\n", "\n", "example.py", "python", Shape.BLOCK)
TOP = 5
_HOSTS: dict[str, PresetName] = {
    "api.openai.com": "openai",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral",
    "codestral.mistral.ai": "mistral",
    "open.bigmodel.cn": "zhipu",
    "api.z.ai": "zhipu",
    "openrouter.ai": "openrouter",
    "dashscope.aliyuncs.com": "dashscope",
    "dashscope-intl.aliyuncs.com": "dashscope",
}
_OWNERS: dict[str, PresetName] = {"llamacpp": "llama-server", "vllm": "vllm", "organization_owner": "lm-studio"}
CANCEL_POLLS, CANCEL_POLL_S = 100, 0.1
NO_MODELS_FOR_CODE = ("embed", "rerank", "whisper", "tts", "moderation", "clip")


@dataclass(frozen=True, slots=True)
class Server:
    """What a server tells of itself.

    Attributes:
        models: names that it offers; empty if it does not tell.
        vocabulary: |V| by model, where it tells.
        how: what it was recognised by.
    """

    preset: PresetName
    models: tuple[str, ...] = ()
    vocabulary: dict[str, int] = field(default_factory=dict)
    how: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One way of asking, tried.

    Attributes:
        answer: the line that came; None if none did, and then `error` says why.
        fills: it is the line that belongs there.
        top: how many likeliest tokens came with their probabilities.
        usage: "counted" by the server, or "estimated" here.
        cancel: does the server stop when the connection is closed? "unseen": it does not show.
    """

    api: Api
    answer: str | None = None
    fills: bool = False
    top: int = 0
    usage: str = ""
    cancel: Literal["noticed", "not noticed", "unseen"] = "unseen"
    error: TargetError | ConfigError | None = None


async def recognise(connection: Connection, target: Target) -> Server:
    """Which of the presets the server is.

    Raises:
        TargetError: nothing answers there, or it wants a key.
    """
    base_url = target.base_url or ""
    listed = await connection.models()
    names = tuple(name for name, _ in listed)
    vocabulary = {name: size for name, entry in listed if (size := _vocabulary(entry))}
    if (known := _HOSTS.get(urlsplit(base_url).hostname or "")) is not None:
        return Server(known, names, vocabulary, "its host name")
    for name, entry in listed:
        if (known := _OWNERS.get(str(entry.get("owned_by", "")))) is not None:
            return Server(known, names, vocabulary, f'"owned_by" of {name}')
    for path, key, preset in (("/api/version", "version", "ollama"), ("/props", "default_generation_settings", None)):
        found = await _quietly(connection, address(base_url, path))
        if key in found:
            return Server(preset or "llama-server", names, vocabulary, f"its {path}")  # type: ignore[arg-type]
    if not listed:
        await connection.get(address(base_url, "models", bare_means_v1=True))  # raises what is wrong
    return Server("compatible", names, vocabulary, "nothing in particular")


def choose_model(server: Server, wanted: str) -> str:
    """The model to try: the one that is set, if the server has it or does not tell what it has."""
    if not server.models or wanted in server.models:
        return wanted
    tagged = [name for name in server.models if name.partition(":")[0] == wanted]
    usable = [name for name in server.models if not any(word in name.lower() for word in NO_MODELS_FOR_CODE)]
    coders = [name for name in usable if "code" in name.lower() or "codestral" in name.lower()]
    return (tagged or coders or usable or [wanted])[0]


async def trial(target: Target, open_target: Callable[[Target], OpenAITarget], *, watch: bool) -> Trial:
    """Fill the example's hole in the target's own way. `watch`: also look whether the server notices a cancel."""
    try:
        subject = open_target(target.model_copy(update={"probabilities": TOP}))
    except ConfigError as error:
        return Trial(target.api, error=error)
    try:
        tokens = [token async for token in subject.generate(HOLE, Limits(24, 1))]
        answer = b"".join(token.piece for token in tokens).decode("utf-8", "replace").partition("\n")[0]
        usage = "estimated" if subject.usage().get("estimated") else "counted"
        result = Trial(
            target.api,
            answer,
            answer.strip() == EXPECTED,
            max((len(token.top) for token in tokens), default=0),
            usage,
        )
        return replace(result, cancel=await _cancelled(subject, target)) if watch else result
    except TargetError as error:
        return Trial(target.api, error=error)
    finally:
        await subject.aclose()


def rank(tried: Trial) -> tuple[bool, bool, bool]:
    """The better way of asking has the greater rank: it fills the hole, answers at all, tells probabilities."""
    return tried.fills, tried.answer is not None, tried.top > 0


def settings_for(server: Server, base_url: str, model: str, best: Trial, target: Target) -> str:
    """The section for the user's configuration file, in TOML."""
    preset = PRESETS[server.preset]
    rows: list[tuple[str, object]] = [("preset", server.preset)]
    if base_url.rstrip("/") != preset.base_url:
        rows.append(("base_url", base_url))
    rows.append(("model", model))
    if best.api != preset.apis[0]:
        rows.append(("api", best.api))
    if best.api in RENDERED:
        rows.append(("fim_model", target.fim_model))
    rows += [(key, value) for key in ("api_key_env", "api_key_keyring") if (value := getattr(target, key))]
    if (size := server.vocabulary.get(model)) is not None:
        rows.append(("vocabulary", size))
    return "\n".join(["[target]", *(f"{key} = {_toml(value)}" for key, value in rows)])


def _toml(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _vocabulary(entry: dict[str, Any]) -> int:
    """llama-server tells it among its model's facts."""
    meta = entry.get("meta")
    size = meta.get("n_vocab") if isinstance(meta, dict) else None
    return size if isinstance(size, int) and size > 1 else 0


async def _quietly(connection: Connection, url: str) -> dict[str, Any]:
    try:
        return await connection.get(url)
    except TargetError:
        return {}


async def _cancelled(subject: OpenAITarget, target: Target) -> Literal["noticed", "not noticed", "unseen"]:
    """Close a long answer after its first token, and see in llama-server's slots whether the work stops."""
    connection = await subject.connection()
    slots = address(target.base_url or "", "/slots")
    if not await _busy(connection, slots, True):
        return "unseen"
    try:
        async with aclosing(subject.generate(LONG, Limits(target.max_tokens, 500))) as stream:
            await anext(stream, None)
            if not await _busy(connection, slots, False):
                return "unseen"  # it had finished already
    except TargetError:
        return "unseen"
    for _ in range(CANCEL_POLLS):
        if await _busy(connection, slots, None) == "idle":
            return "noticed"
        await asyncio.sleep(CANCEL_POLL_S)
    return "not noticed"


async def _busy(connection: Connection, slots: str, wanted: bool | None) -> str:  # noqa: FBT001
    """ "idle" or "busy" by the server's slots; "" if it does not show them, or it is not the `wanted` idle state."""
    told = (await _quietly(connection, slots)).get("data")
    if not isinstance(told, list) or not all(isinstance(slot, dict) for slot in told):
        return ""
    state = "busy" if any(slot.get("is_processing") for slot in told) else "idle"
    return state if wanted is None or (state == "idle") == wanted else ""
