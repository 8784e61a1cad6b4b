"""What the keys of a replay add up to: percentiles by kind, characters saved, work done and work wasted. Pure.

A request that the next key overtook has no time of its own: it would have taken longer than it was given. Percentiles
over the answered ones alone flatter a slow tool, because its slow requests are those that are overtaken. So next to
them stand the percentiles of the Kaplan-Meier estimator (E. L. Kaplan and P. Meier: Nonparametric Estimation from
Incomplete Observations, JASA 1958), which counts an overtaken request as "at least so long".
"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["cold", "jump", "fresh", "type-through"]
KINDS: tuple[Kind, ...] = ("type-through", "fresh", "jump", "cold")
SHARES = (0.5, 0.9, 0.95, 0.99)
IN_TIME_MS = 1000.0  # a text that comes later than this finds nobody waiting


@dataclass(frozen=True, slots=True)
class Key:
    """One step of the typist after which the tool was asked.

    Attributes:
        place: "cold": the first in a file that the tool never saw; "jump": the first at a new place; "typed".
        ms: from the key to the reply; or to the next key, where that came first.
        answered: a reply came in time. False: overtaken.
        asked: False: the tool does not complete at such a place.
        reused: it was answered without waiting for a model.
        shown: characters of the text on the screen before the next key.
        text_ms: from the key to that text; None if there was none. Later than the reply where that had nothing yet.
        evaluated: prompt tokens evaluated for this reply.
        decoded: tokens that were decoded one by one for the text of this reply.
        head_start_ms: for how long the draft had been under way when this reply was asked for; its tokens are all
            counted here.
        typed: characters that this step put in by typing.
        accepted: characters that this step put in by accepting.
        saved: keys that need not be pressed for them.
        waited_ms: for an accepted text: how long it had taken to come.
    """

    place: Literal["cold", "jump", "typed"]
    ms: float
    answered: bool
    asked: bool = True
    reused: bool = False
    shown: int = 0
    text_ms: float | None = None
    evaluated: float = 0.0
    decoded: float = 0.0
    head_start_ms: float = 0.0
    typed: int = 0
    accepted: int = 0
    saved: int = 0
    waited_ms: float = 0.0

    @property
    def kind(self) -> Kind:
        """By what the reply needed. An overtaken one after a key needed a model, or it would have been there."""
        if self.place != "typed":
            return self.place
        return "type-through" if self.answered and self.reused else "fresh"


@dataclass(frozen=True, slots=True)
class Work:
    """What a tool computed in all, whether it was shown or not.

    Attributes:
        prompt_tokens: evaluated, by requests that were overtaken and in idle time too.
        decoded_tokens: decoded one by one, likewise.
        shown_tokens: of texts that came on the screen.
        cpu_s: user and system time of all its processes; None: they run elsewhere.
        peak_rss_mb: the highest sum of their resident memory that was seen.
        target_requests, target_tokens: to a model behind the draft; tokens read and written.
        target_wasted: those of these requests whose answer was never used: late, or given up.
    """

    prompt_tokens: float = 0.0
    decoded_tokens: float = 0.0
    shown_tokens: float = 0.0
    cpu_s: float | None = 0.0
    peak_rss_mb: float | None = 0.0
    target_requests: float = 0.0
    target_tokens: float = 0.0
    target_wasted: float = 0.0

    def plus(self, other: Work) -> Work:
        """Of both together; the memory is the higher of the two."""
        sums: dict[str, Any] = {}
        for name, value in asdict(self).items():
            more = getattr(other, name)
            if value is None or more is None:
                sums[name] = None
            else:
                sums[name] = max(value, more) if name == "peak_rss_mb" else value + more
        return Work(**sums)


@dataclass(frozen=True, slots=True)
class Speed:
    """The bare engine: milliseconds for one batch of so many tokens, in rising order of tokens; the first is of one."""

    batch_ms: tuple[tuple[int, float], ...]

    def evaluating(self, tokens: float) -> float:
        """Milliseconds for reading so many tokens at once: linear between measured sizes, beyond them as the last."""
        if tokens <= 0:
            return 0.0
        below, below_ms = 0.0, 0.0
        for size, ms in self.batch_ms:
            if tokens <= size:
                if not below:
                    return ms  # fewer than one token take as long as one
                return below_ms + (ms - below_ms) * (tokens - below) / (size - below)
            below, below_ms = size, ms
        return below_ms * tokens / below

    def floor(self, key: Key) -> float:
        """Milliseconds that the engine alone needs for what this reply needed: its new prompt tokens, which give the
        first token; then one token after the other, the last of which shows that the text has ended."""
        return self.evaluating(key.evaluated) + key.decoded * self.batch_ms[0][1]


def figures(keys: Sequence[Key], work: Work, speed: Speed | None = None) -> dict[str, Any]:
    """All of one tool. Times in milliseconds; None where there is nothing to take it from."""
    asked = [key for key in keys if key.asked]
    of_all = _of_kind(asked)
    by_kind = {kind: _of_kind([key for key in asked if key.kind == kind]) for kind in KINDS}
    written = sum(key.typed + key.accepted for key in keys)
    saved = sum(key.saved for key in keys)
    thousand = written / 1000.0
    presses = max(len(keys), 1)
    found: dict[str, Any] = {
        **{f"{name}_ms": _overtaken_too(of_all, name) for name in ("p50", "p95")},
        **{f"fresh_{name}_ms": _overtaken_too(by_kind["fresh"], name) for name in ("p50", "p95")},
        **{
            f"text_{name}_ms": quantile([key.text_ms for key in asked if key.text_ms is not None], share)
            for name, share in (("p50", 0.5), ("p95", 0.95))
        },
        "cold_ms": _overtaken_too(by_kind["cold"], "p50"),
        "chars_saved": saved,
        "cpu_s": work.cpu_s,
        "prompt_tokens": work.prompt_tokens,
        "all": of_all,
        "kinds": by_kind,
        "keys": len(keys),
        "unasked": len(keys) - len(asked),
        "share_with_text": sum(key.shown > 0 for key in keys) / presses,
        "chars_written": written,
        "chars_saved_in_time": sum(key.saved for key in keys if key.waited_ms <= IN_TIME_MS),
        "prompt_tokens_per_key": work.prompt_tokens / presses,
        "decoded_tokens": work.decoded_tokens,
        "decoded_tokens_per_key": work.decoded_tokens / presses,
        "decoded_never_shown": max(work.decoded_tokens - work.shown_tokens, 0.0),
        "target_requests_per_1000_chars": work.target_requests / thousand if thousand else 0.0,
        "target_tokens_per_1000_chars": work.target_tokens / thousand if thousand else 0.0,
        "target_requests": work.target_requests,
        "target_requests_wasted": work.target_wasted,
        "peak_rss_mb": work.peak_rss_mb,
    }
    if speed is not None:
        found |= _floor([key for key in asked if key.kind == "fresh" and key.answered and key.decoded], speed)
    return found


def ratios(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> dict[str, float | None]:
    """Ours over the peer's, of the figures of issue and README; see `ratio`."""
    names = ("p50_ms", "p95_ms", "fresh_p50_ms", "fresh_p95_ms", "cold_ms", "chars_saved", "cpu_s", "prompt_tokens")
    return {name: ratio(ours, peer, name) for name in names}


def ratio(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> float | None:
    """A figure of one over that of another; None where one of the two is missing, or the other's is nought."""
    above, below = one[name], other[name]
    return above / below if above is not None and below else None


def quantile(values: Sequence[float], share: float) -> float | None:
    """The least value that this share of the values does not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def answered_by(answered: Sequence[float], overtaken: Sequence[float]) -> list[tuple[float, float]]:
    """`(ms, share)` in rising order: the Kaplan-Meier estimate of the share of all requests that would be answered by
    then, had none been overtaken; one pair for each answer."""
    events = sorted([(ms, False) for ms in answered] + [(ms, True) for ms in overtaken])
    found, waiting = [], 1.0
    for index, (ms, was_overtaken) in enumerate(events):  # at equal times an answer counts before what was overtaken
        if not was_overtaken:
            waiting *= 1.0 - 1.0 / (len(events) - index)
            found.append((ms, 1.0 - waiting))
    return found


def censored_quantile(answered: Sequence[float], overtaken: Sequence[float], share: float) -> float | None:
    """The time by which this share of all requests would be answered, as `answered_by` estimates it; None where the
    slowest known ones are overtaken before that share is reached."""
    return next((ms for ms, reached in answered_by(answered, overtaken) if reached >= share - 1e-12), None)


def _overtaken_too(kind: Mapping[str, Any], name: str) -> float | None:
    """A percentile over all requests of a kind, those that were overtaken included; where too many were overtaken to
    tell, the longest that any was waited for, which the true figure is not below."""
    estimate: float | None = kind[f"{name}_all_ms"]
    longest: float | None = kind["longest_ms"]
    return longest if estimate is None else estimate


def _of_kind(keys: Sequence[Key]) -> dict[str, Any]:
    answered = [key.ms for key in keys if key.answered]
    overtaken = [key.ms for key in keys if not key.answered]
    found: dict[str, Any] = {"n": len(keys), "answered": len(answered), "superseded": len(overtaken)}
    for share in SHARES:
        name = f"p{share * 100:.0f}"
        found[f"{name}_ms"] = quantile(answered, share)
        found[f"{name}_all_ms"] = censored_quantile(answered, overtaken, share)
    found["longest_ms"] = max((key.ms for key in keys), default=None)
    found["share_with_text"] = sum(key.shown > 0 for key in keys) / len(keys) if keys else None
    return found


def _floor(keys: Sequence[Key], speed: Speed) -> dict[str, Any]:
    """Fresh replies against the physical floor, each from when its draft was first asked for."""
    pairs = [(key.ms + key.head_start_ms, speed.floor(key)) for key in keys]
    per_key = [ms / floor for ms, floor in pairs if floor > 0]
    floors = sum(floor for _, floor in pairs)
    return {
        "floor_ratio": statistics.median(per_key) if per_key else None,
        "floor_ratio_of_sums": sum(ms for ms, _ in pairs) / floors if floors else None,
        "floor_p50_ms": quantile([floor for _, floor in pairs], 0.5),
        "floor_n": len(per_key),
        "floor_joined": sum(key.head_start_ms > 0 for key in keys),
        "evaluated_tokens_p50": quantile([key.evaluated for key in keys], 0.5),
        "decoded_tokens_p50": quantile([key.decoded for key in keys], 0.5),
    }
