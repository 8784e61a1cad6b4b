"""Stage 4 of 5: a deferred line is asked of the tiers behind the draft, one after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from egate_lsp.draft import one_line, repeats_suffix
from egate_lsp.errors import DraftError, EgateError, TargetError, TargetReplyError, TargetTimeout, Withheld
from egate_lsp.gate import Rule, judge
from egate_lsp.models import Limits
from egate_lsp.values import DraftLine, TierRequest, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.assess import Assessment
    from egate_lsp.models import Model
    from egate_lsp.values import FimContext

FAILURES_BEFORE_PAUSE = 3
FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 300.0


@dataclass(slots=True)
class Tier:
    """A model with its place in the cascade.

    Attributes:
        rule: defers this tier's own line to the next tier; tau = inf for the last.
        max_tokens: cap for one line.
        failures: failed requests in a row.
        paused_until: by the clock; no request before.
    """

    model: Model
    rule: Rule = field(default_factory=Rule)
    max_tokens: int = 256
    failures: int = 0
    paused_until: float = 0.0
    last_error: str = ""

    def is_paused(self, now: float) -> bool:
        """After three failures in a row the tier is left alone for 30 s, doubling up to 5 min, so that a dead
        server costs the user neither time nor suggestions."""
        return now < self.paused_until

    def succeeded(self) -> None:
        self.failures, self.paused_until, self.last_error = 0, 0.0, ""

    def failed(self, error: EgateError, now: float) -> None:
        self.failures += 1
        self.last_error = error.explanation
        if self.failures >= FAILURES_BEFORE_PAUSE or not error.retryable:
            exponent = max(self.failures - FAILURES_BEFORE_PAUSE, 0)
            self.paused_until = now + min(FIRST_PAUSE_S * 2.0**exponent, LONGEST_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Answer:
    """A line from a tier behind the draft; `line` is None if none could give one, and `reason` says why."""

    line: DraftLine | None
    tier: str
    reason: str
    requests: tuple[TierRequest, ...]


async def rewrite_line(
    tiers: Sequence[Tier],
    context: FimContext,
    index: int,
    *,
    hint: str = "",
    reasons: tuple[str, ...] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Ask the tiers for the line directly after `context.prefix`; a tier that is itself unsure defers to the next.
    `reasons` are why the draft's line, `hint`, was deferred.

    Never raises but for cancellation: a tier that fails is passed over.
    """
    requests: list[TierRequest] = []
    best: tuple[DraftLine, str] | None = None
    reason = "no tier to ask"
    for tier in tiers:
        if tier.is_paused(clock()):
            reason = f"{tier.model.name} is paused: {tier.last_error}"
            continue
        started = clock()
        request = TierRequest(tier.model.name, index, "answered", 0.0, tier.model.remote)
        try:
            line = await one_line(tier.model, context, Limits(tier.max_tokens, 1, hint, reasons))
        except Withheld as error:
            reason = f"{tier.model.name}: {error}"
            requests.append(
                replace(request, outcome="withheld", latency_ms=_ms(started, clock), remote=False, detail=str(error))
            )
            continue
        except (TargetError, DraftError) as error:
            tier.failed(error, clock())
            reason = f"{tier.model.name}: {error}"
            outcome = "late" if isinstance(error, TargetTimeout) else "failed"
            requests.append(replace(request, outcome=outcome, latency_ms=_ms(started, clock), detail=str(error)))
            continue
        usage = tier.model.usage()
        requests.append(
            replace(
                request,
                latency_ms=_ms(started, clock),
                prompt_tokens=_count(usage, "prompt_tokens"),
                completion_tokens=_count(usage, "generated_tokens"),
            )
        )
        tier.succeeded()
        if not line.complete and not line.text.strip():
            reason = f"{tier.model.name}: {TargetReplyError('an empty line')}"
            continue
        best = (line, tier.model.name)
        if judge(line, tier.rule).verdict is Verdict.KEEP:
            break
    if best is None:
        return Answer(None, "", reason, tuple(requests))
    return Answer(best[0], best[1], f"written by {best[1]}", tuple(requests))


def refusal(context: FimContext, draft: str, line: str, of_draft: Assessment, of_line: Assessment) -> str:
    """Why the draft's line is better than a target's `line` for the hole; "" if it is not. Pure."""
    if not line.strip() and draft.strip():
        return "gave an empty line"
    if of_line.broken and of_draft.broken is False:
        return "gave a line that adds a syntax error"
    if of_line.name_fault and not of_draft.faults:
        return f"gave a line with a fault: {of_line.name_fault}"
    if repeats_suffix(context, line) and not repeats_suffix(context, draft):
        return "repeated the line below"
    return ""


def _ms(started: float, clock: Callable[[], float]) -> float:
    return (clock() - started) * 1000.0


def _count(usage: dict[str, float], key: str) -> int | None:
    return int(usage[key]) if key in usage else None
