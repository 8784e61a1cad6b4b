"""What the ledger's records add up to: the figures that `egate-lsp stats` shows. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from egate_lsp.records import percentile
from egate_lsp.values import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from egate_lsp.records import RequestRecord, SuggestionRecord

SHARES = (0.5, 0.9, 0.95, 0.99)
_UNITS = {"day": 86_400.0, "hour": 3600.0, "5 minutes": 300.0}
SOURCES = ("draft", "target", "merged")


@dataclass(frozen=True, slots=True)
class Kept:
    """How much of what was accepted still stood later.

    Attributes:
        known: accepted suggestions of which it was seen.
        share: of their accepted text, by characters, 0 to 1; None if known is 0.
    """

    known: int = 0
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """Suggestions and their fates.

    Attributes:
        refused: dismissed, or something else was typed.
        typed: all of it was typed by hand.
        undone: accepted and taken away again.
        chars, chars_taken: shown and accepted; the latter are key strokes saved.
        lines, lines_target: shown, and those of them that a target wrote.
    """

    name: str
    shown: int = 0
    accepted: int = 0
    partly: int = 0
    typed: int = 0
    refused: int = 0
    undone: int = 0
    chars: int = 0
    chars_taken: int = 0
    lines: int = 0
    lines_target: int = 0
    kept_30: Kept = Kept()
    kept_300: Kept = Kept()

    @property
    def rate(self) -> float | None:
        """The share that was accepted, wholly or in part."""
        return (self.accepted + self.partly) / self.shown if self.shown else None


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests to targets; `cost` in USD, None where no price is known; `estimated` requests told no usage."""

    name: str
    requests: int = 0
    answered: int = 0
    failed: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: float | None = None
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of time; `deferred` and `wanted` are shares of lines, None where there is none to tell.

    Attributes:
        label: its beginning in local time: "2026-11-25", "11-25 14:00" or "11-25 14:05".
    """

    label: str
    shown: Shown
    asked: Asked
    lines_judged: int
    deferred: float | None
    wanted: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it.

    Attributes:
        first, last: in local time, "2026-11-25 14:05".
        unit: "day", "hour" or "5 minutes": how long each of the steps is, which have no gaps.
        latency: milliseconds by share of the suggestions, for each source and "all".
    """

    first: str
    last: str
    total: Shown
    by_language: tuple[Shown, ...]
    by_source: tuple[Shown, ...]
    asked: Asked
    by_model: tuple[Asked, ...]
    unit: str
    steps: tuple[Step, ...]
    lines_judged: int
    deferred: float | None
    wanted: float | None
    latency: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Only JSON types."""
        return asdict(self)


def figures(
    suggestions: Sequence[SuggestionRecord], requests: Sequence[RequestRecord], since: float, until: float
) -> Figures:
    """Of the records made from `since` to `until`, in seconds since 1970; steps begin with the first of them."""
    moments = [each.shown_at for each in suggestions] + [each.started for each in requests]
    since = max(since, min(moments, default=until))
    until = max([until, *moments])
    unit = _unit(until - since)
    shown = [each for each in suggestions if each.shown]
    deferred, wanted, judged = _deferred(suggestions)
    return Figures(
        _local(since, "%Y-%m-%d %H:%M"),
        _local(until, "%Y-%m-%d %H:%M"),
        _shown("all", shown),
        tuple(sorted(_grouped(shown, lambda each: each.language or "?", _shown), key=lambda row: -row.shown)),
        tuple(_shown(name, [each for each in shown if each.source == name]) for name in SOURCES),
        asked("all", requests),
        tuple(
            sorted(
                _grouped(requests, lambda each: f"{each.model} at {each.server}", asked), key=lambda row: -row.requests
            )
        ),
        unit,
        tuple(_steps(suggestions, requests, since, until, unit)),
        judged,
        deferred,
        wanted,
        _latency(shown),
    )


def _grouped(records: Iterable[Any], key: Callable[[Any], str], summed: Callable[[str, list[Any]], Any]) -> list[Any]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return [summed(name, group) for name, group in groups.items()]


def _shown(name: str, records: Sequence[SuggestionRecord]) -> Shown:
    fates = [each.outcome for each in records]
    return Shown(
        name,
        shown=len(records),
        accepted=fates.count(Outcome.ACCEPTED),
        partly=fates.count(Outcome.PARTLY),
        typed=fates.count(Outcome.TYPED_THROUGH),
        refused=fates.count(Outcome.TYPED_PAST) + fates.count(Outcome.DISMISSED),
        undone=fates.count(Outcome.UNDONE),
        chars=sum(each.chars for each in records),
        chars_taken=sum(each.chars_taken for each in records if each.outcome != Outcome.UNDONE),
        lines=sum(each.lines for each in records),
        lines_target=sum(each.lines_target for each in records),
        kept_30=_kept([(each.chars_taken, each.kept_30) for each in records]),
        kept_300=_kept([(each.chars_taken, each.kept_300) for each in records]),
    )


def _kept(taken: Sequence[tuple[int, float | None]]) -> Kept:
    known = [(chars, share) for chars, share in taken if share is not None]
    chars = sum(size for size, _ in known)
    return Kept(len(known), sum(size * share for size, share in known) / chars if chars else None)


def asked(name: str, records: Sequence[RequestRecord]) -> Asked:
    """The sums of these requests."""
    costs = [each.cost for each in records if each.cost is not None]
    return Asked(
        name,
        requests=len(records),
        answered=sum(each.outcome == "answered" for each in records),
        failed=sum(each.outcome in {"failed", "late"} for each in records),
        bytes_out=sum(each.bytes_out for each in records),
        bytes_in=sum(each.bytes_in for each in records),
        tokens_in=sum(each.tokens_in for each in records),
        tokens_out=sum(each.tokens_out for each in records),
        tokens_cached=sum(each.tokens_cached for each in records),
        cost=sum(costs) if costs else None,
        estimated=sum(each.estimated for each in records),
    )


def _steps(
    suggestions: Sequence[SuggestionRecord], requests: Sequence[RequestRecord], since: float, until: float, unit: str
) -> Iterable[Step]:
    made: dict[str, list[SuggestionRecord]] = defaultdict(list)
    sent: dict[str, list[RequestRecord]] = defaultdict(list)
    for suggestion in suggestions:
        made[_label(suggestion.shown_at, unit)].append(suggestion)
    for request in requests:
        sent[_label(request.started, unit)].append(request)
    # By steps shorter than the unit, so that no change of the clocks skips one.
    stride = _UNITS[unit] / 2
    moments = (since + stride * at for at in range(int((until - since) / stride) + 1))
    for label in dict.fromkeys([*(_label(moment, unit) for moment in moments), _label(until, unit)]):
        deferred, wanted, judged = _deferred(made[label])
        shown = _shown(label, [each for each in made[label] if each.shown])
        yield Step(label, shown, asked(label, sent[label]), judged, deferred, wanted)


def _unit(span: float) -> str:
    """The longest that gives a fair number of steps."""
    return "day" if span > 3 * _UNITS["day"] else "hour" if span > 6 * _UNITS["hour"] else "5 minutes"


def _label(moment: float, unit: str) -> str:
    if unit == "5 minutes":
        moment -= moment % _UNITS[unit]
    return _local(moment, {"day": "%Y-%m-%d", "hour": "%m-%d %H:00"}.get(unit, "%m-%d %H:%M"))


def _local(moment: float, form: str) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime(form)


def _deferred(records: Sequence[SuggestionRecord]) -> tuple[float | None, float | None, int]:
    """Of the completions that had a wanted share: the share deferred, the share wanted, the lines judged."""
    judged = [each for each in records if each.wanted is not None and each.lines_judged]
    lines = sum(each.lines_judged for each in judged)
    if not lines:
        return None, None, 0
    wanted = sum((each.wanted or 0.0) * each.lines_judged for each in judged) / lines
    return sum(each.lines_deferred for each in judged) / lines, wanted, lines


def _latency(records: Sequence[SuggestionRecord]) -> dict[str, dict[str, float]]:
    found = {}
    for name in ("all", *SOURCES):
        values = [each.latency_ms for each in records if name in {"all", each.source}]
        if values:
            found[name] = {f"p{share * 100:g}": percentile(values, share) or 0.0 for share in SHARES}
    return found
