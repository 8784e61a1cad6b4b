"""Servers by name: where they listen, which form of request they know, and their limits. Facts, no code.

Each number has its source in docs/targets.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

# The forms of a request; what each sends and reads is in `dialects`.
Api = Literal["chat", "suffix", "fim", "infill", "completion", "ollama", "mistral", "codegeex"]
PresetName = Literal[
    "compatible",
    "openai",
    "llama-server",
    "vllm",
    "ollama",
    "lm-studio",
    "deepseek",
    "mistral",
    "zhipu",
    "openrouter",
    "dashscope",
]
APIS: tuple[Api, ...] = get_args(Api)
# Forms whose prompt is rendered here, with the marks of `target.fim_model`.
RENDERED: tuple[Api, ...] = ("fim", "completion")


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of server.

    Attributes:
        title: its name for people.
        apis: the forms it knows, the best for holes in code first.
        base_url: where it listens unless told otherwise; "" for one without a usual place.
        needs_key: it refuses requests without a key.
        max_stops: stop texts in one request.
        temperature: the lowest and the highest it takes.
        max_top: the most likeliest tokens per position whose probabilities it tells, by form; a form that is not here
            tells none.
        stream_usage: it takes `stream_options`; the others tell usage at the end without being asked, or refuse it.
        extra: fields of each request.
    """

    title: str
    apis: tuple[Api, ...]
    base_url: str = ""
    needs_key: bool = False
    max_stops: int = 4
    temperature: tuple[float, float] = (0.0, 2.0)
    max_top: tuple[tuple[Api, int], ...] = ()
    stream_usage: bool = True
    extra: tuple[tuple[str, object], ...] = ()

    def top(self, api: Api) -> int:
        """The most likeliest tokens that this form tells."""
        return dict(self.max_top).get(api, 0)


PRESETS: dict[PresetName, Preset] = {
    "compatible": Preset(
        "any OpenAI-compatible server",
        ("chat", "suffix", "fim"),
        max_top=(("chat", 20), ("suffix", 20), ("fim", 20)),
    ),
    "openai": Preset(
        "OpenAI",
        ("chat", "suffix"),
        "https://api.openai.com/v1",
        needs_key=True,
        max_top=(("chat", 20), ("suffix", 5)),
    ),
    "llama-server": Preset(
        "llama-server (llama.cpp)",
        ("infill", "completion", "fim", "chat"),
        "http://127.0.0.1:8080",
        max_stops=16,
        max_top=(("infill", 64), ("completion", 64), ("fim", 64), ("chat", 64)),
    ),
    "vllm": Preset(
        "vLLM",
        ("fim", "chat"),
        "http://127.0.0.1:8000/v1",
        max_top=(("fim", 20), ("chat", 20)),
        # Otherwise a mark that is not the model's own end is hidden, matches no stop text, and the model writes on.
        extra=(("skip_special_tokens", False),),
    ),
    "ollama": Preset(
        "Ollama",
        ("ollama", "suffix", "fim", "chat"),
        "http://127.0.0.1:11434",
        max_stops=16,
        max_top=(("ollama", 20), ("suffix", 20), ("fim", 20), ("chat", 20)),
    ),
    "lm-studio": Preset("LM Studio", ("fim", "chat"), "http://127.0.0.1:1234/v1"),
    "deepseek": Preset(
        "DeepSeek (beta)",
        ("suffix", "chat"),
        "https://api.deepseek.com/beta",
        needs_key=True,
        max_stops=16,
        max_top=(("suffix", 20), ("chat", 20)),
    ),
    "mistral": Preset(
        "Mistral",
        ("mistral", "chat"),
        "https://api.mistral.ai/v1",
        needs_key=True,
        temperature=(0.0, 1.5),
        stream_usage=False,
    ),
    "zhipu": Preset(
        "Zhipu GLM",
        ("chat", "codegeex"),
        "https://open.bigmodel.cn/api/paas/v4",
        needs_key=True,
        max_stops=1,
        temperature=(0.01, 0.99),
        stream_usage=False,
        # A line is wanted within a second: nothing to think about.
        extra=(("thinking", {"type": "disabled"}),),
    ),
    "openrouter": Preset(
        "OpenRouter",
        ("chat", "fim"),
        "https://openrouter.ai/api/v1",
        needs_key=True,
        max_top=(("chat", 20),),
    ),
    "dashscope": Preset(
        "Alibaba Model Studio",
        ("fim", "chat"),
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        needs_key=True,
    ),
}
