"""What the ledger's records add up to: the figures that `egate-lsp stats` shows. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from egate_lsp.records import percentile
from egate_lsp.values import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from egate_lsp.records import RequestRecord, SuggestionRecord

SHARES = (0.5, 0.9, 0.95, 0.99)
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
class Day:
    """One local day; `deferred` and `wanted` are shares of lines, None where there is none to tell."""

    day: str
    shown: Shown
    asked: Asked
    lines_judged: int
    deferred: float | None
    wanted: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it.

    Attributes:
        days: every day from the first to the last, without gaps.
        latency: milliseconds by share of the suggestions, for each source and "all".
    """

    first: str
    last: str
    total: Shown
    by_language: tuple[Shown, ...]
    by_source: tuple[Shown, ...]
    asked: Asked
    by_model: tuple[Asked, ...]
    days: tuple[Day, ...]
    lines_judged: int
    deferred: float | None
    wanted: float | None
    latency: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Only JSON types."""
        return asdict(self)


def figures(
    suggestions: Sequence[SuggestionRecord], requests: Sequence[RequestRecord], first: str, last: str
) -> Figures:
    """Of the records of the days from `first` to `last` (YYYY-MM-DD)."""
    shown = [each for each in suggestions if each.shown]
    deferred, wanted, judged = _deferred(suggestions)
    return Figures(
        first,
        last,
        _shown("all", shown),
        tuple(sorted(_grouped(shown, lambda each: each.language or "?", _shown), key=lambda row: -row.shown)),
        tuple(_shown(name, [each for each in shown if each.source == name]) for name in SOURCES),
        _asked("all", requests),
        tuple(
            sorted(
                _grouped(requests, lambda each: f"{each.model} at {each.server}", _asked), key=lambda row: -row.requests
            )
        ),
        tuple(_days(suggestions, requests, first, last)),
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


def _asked(name: str, records: Sequence[RequestRecord]) -> Asked:
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


def _days(
    suggestions: Sequence[SuggestionRecord], requests: Sequence[RequestRecord], first: str, last: str
) -> Iterable[Day]:
    made: dict[str, list[SuggestionRecord]] = defaultdict(list)
    asked: dict[str, list[RequestRecord]] = defaultdict(list)
    for suggestion in suggestions:
        made[suggestion.day].append(suggestion)
    for request in requests:
        asked[request.day].append(request)
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    while day <= end:
        name = day.isoformat()
        deferred, wanted, judged = _deferred(made[name])
        shown = _shown(name, [each for each in made[name] if each.shown])
        yield Day(name, shown, _asked(name, asked[name]), judged, deferred, wanted)
        day += timedelta(days=1)


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
