"""What the ledger holds: one record for each request that left for a target, one for each completion. Pure.

No text of a document is in them, but for a request's where the user has asked for that (`ledger.keep_text`).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from egate_lsp.values import Source, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from egate_lsp.values import Completion

OPEN = "open"  # the outcome of a request that is under way
_FAULTS = ("it adds a syntax error",)
_SCORE = re.compile(
    r"[a-z0-9-]+(?: [a-z0-9-]+)* \d\.\d+"
    r"(?:, \d\.\d+ (?:for its faults|as it was drafted anew|after what you did here))*"
    r" >= (?:inf|\d\.\d+)(?: \([a-z0-9 .,-]+\))?"
)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request to a model that is asked over a network protocol, loopback included.

    Attributes:
        id: random; the same in the record made before it left and in the one made after the reply.
        started: seconds since 1970 by this machine's clock.
        day: YYYY-MM-DD of `started` in local time: the day whose budget it is charged to.
        server: host and port, e.g. "api.example.com:443".
        local: the server's address is this machine's loopback.
        file: the document's path as the editor named it; "" if it has none.
        others: paths of the other files of which parts left with it, one a line.
        bytes_out, bytes_in: UTF-8 bytes of text sent and received.
        tokens_in, tokens_out, tokens_cached: `tokens_cached` of `tokens_in` were read from the server's cache.
        cost: in USD; None where no price is known. Of an open request: the most that it can cost.
        estimated: tokens and cost are reckoned from bytes, because the reply told no usage.
        reason: why the line was deferred, in words without text of the document.
        outcome: "open", "answered", "late", "failed" or "cancelled".
        detail: for a failure its kind, e.g. "TargetRateLimited".
        text_out, text_in: what was sent and received; None unless the user wants it kept.
    """

    id: int
    started: float
    day: str
    server: str
    model: str
    local: bool
    file: str = ""
    language: str = ""
    bytes_out: int = 0
    bytes_in: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: float | None = None
    estimated: bool = True
    reason: str = ""
    outcome: str = OPEN
    detail: str = ""
    latency_ms: float = 0.0
    text_out: str | None = None
    text_in: str | None = None
    others: str = ""


@dataclass(frozen=True, slots=True)
class SuggestionRecord:
    """A completion that was made for an editor, and what became of it.

    Attributes:
        shown: there was text to show.
        source: "draft", "target" or "merged" (lines of both); "" where nothing was shown.
        chars: of the text shown; `chars_taken` of them the user took.
        lines: shown; `lines_judged` also counts one that was hidden because its answer was late.
        lines_deferred: of those judged; `lines_target`: of those shown, that a target wrote.
        wanted: the share of lines that the settings want deferred; None if they set tau itself, or there is no target.
        latency_ms: from the request to the reply.
        outcome: "" as long as nothing is known, else one of `values.Outcome`.
        kept_30, kept_300: the share of the accepted text that still stood after 30 s and 5 min, 0 to 1; None: not
            known (yet), for example because the document was closed before.
    """

    id: int
    shown_at: float
    day: str
    shown: bool
    file: str = ""
    language: str = ""
    model: str = ""
    source: str = ""
    chars: int = 0
    lines: int = 0
    lines_judged: int = 0
    lines_deferred: int = 0
    lines_target: int = 0
    wanted: float | None = None
    latency_ms: float = 0.0
    outcome: str = ""
    chars_taken: int = 0
    kept_30: float | None = None
    kept_300: float | None = None


def other_files(record: RequestRecord) -> list[str]:
    """Paths of the other files of which parts left with a request."""
    return record.others.split("\n") if record.others else []


def new_id() -> int:
    """Random, so that several servers need not agree on it."""
    return secrets.randbits(62)


def day_of(moment: float) -> str:
    """YYYY-MM-DD in local time."""
    return datetime.fromtimestamp(moment).astimezone().date().isoformat()


def suggested(
    completion: Completion, moment: float, file: str, language: str, wanted: float | None
) -> SuggestionRecord:
    """The record of a completion just made."""
    sources = {line.source for line in completion.lines}
    deferred = sum(line.verdict is Verdict.DEFER or line.source is Source.TARGET for line in completion.lines)
    # A late line that is shown all the same has the verdict itself.
    late = any(request.outcome == "late" for request in completion.requests)
    hidden = int(
        completion.pending
        and late
        and not any("late" in reason for line in completion.lines for reason in line.reasons)
    )
    return SuggestionRecord(
        new_id(),
        moment,
        day_of(moment),
        shown=bool(completion.text),
        file=file,
        language=language,
        model=completion.lines[0].tier if completion.lines else "",
        source="merged" if len(sources) > 1 else next(iter(sources)).value if sources and completion.text else "",
        chars=len(completion.text),
        lines=len(completion.lines),
        lines_judged=len(completion.lines) + hidden,
        lines_deferred=deferred + hidden,
        lines_target=sum(line.source is Source.TARGET for line in completion.lines),
        wanted=wanted,
        latency_ms=completion.timing_ms.get("total", 0.0) + completion.timing_ms.get("context", 0.0),
    )


def extended(record: SuggestionRecord, whole: SuggestionRecord, typed: str, growth: int) -> SuggestionRecord:
    """The record of a suggestion that has grown on the screen by `growth` characters. `whole`: that of what is shown
    now, after `typed` of it was typed."""
    lines = typed.count("\n")
    return dataclasses.replace(
        record,
        source=whole.source if whole.source == record.source else "merged",
        chars=record.chars + growth,
        lines=whole.lines + lines,
        lines_judged=whole.lines_judged + lines,
        lines_deferred=whole.lines_deferred,
        lines_target=whole.lines_target,
    )


def told(reasons: Iterable[str]) -> str:
    """The gate's reasons without the names that a fault quotes from the document."""
    return "; ".join(dict.fromkeys(_told(reason) for reason in reasons))


def _told(reason: str) -> str:
    if reason.startswith("pattern: ") or reason in _FAULTS or _SCORE.fullmatch(reason):
        return reason
    if reason.startswith("drafted anew"):
        return "drafted anew"
    return "unsure" if ">=" in reason else "a fault with names"


def where(url: str) -> str:
    """Host and port of an address; never its user, password, path or query."""
    parts = urlsplit(url)
    host = parts.hostname or "?"
    try:
        port = parts.port
    except ValueError:
        port = None
    return f"{f'[{host}]' if ':' in host else host}:{port or (443 if parts.scheme == 'https' else 80)}"


def is_loopback(url: str) -> bool:
    """True if the address is this machine by its form; a name is not looked up."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def percentile(values: Sequence[float], share: float) -> float | None:
    """Linear between the two nearest; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
