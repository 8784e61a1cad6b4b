"""Stage 4 of 5: a deferred line is asked of the tiers behind the draft, one after the other."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from egate_lsp.draft import drawn_lines, one_line, repeats_suffix
from egate_lsp.errors import (
    DraftError,
    EgateError,
    TargetError,
    TargetRateLimited,
    TargetReplyError,
    TargetTimeout,
    Withheld,
)
from egate_lsp.gate import Rule, judge
from egate_lsp.models import Limits, Reviewer, Search, Searcher
from egate_lsp.repair import BRANCHES, better, is_followed, lines_of, reviewed, sound
from egate_lsp.values import DraftLine, TierRequest, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.assess import Assessment
    from egate_lsp.models import Model
    from egate_lsp.pace import Pace
    from egate_lsp.values import FimContext

FAILURES_BEFORE_PAUSE = 3
FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 300.0
MIN_SEARCH_S = 0.1  # worth beginning a search for other lines
SEARCH_END_S = 0.15  # before the deadline: an engine ends within a decode step
LIMITED_PAUSE_S = 10.0  # the first one where a server asks to slow down and does not say for how long


@dataclass(slots=True)
class Tier:
    """A model with its place in the cascade, and a breaker that leaves it alone while it does not work.

    After three failures in a row, at once after one that will not pass by itself, and for as long as the server asks
    (Retry-After), no request is made: a dead server must cost neither time nor suggestions. After the pause one
    request goes out; if it fails, the next pause is twice as long, up to 5 min, and if it is answered all is well.

    Attributes:
        rule: defers this tier's own line to the next tier; tau = inf for the last.
        pace: sets tau for this tier's lines behind the draft; None: the rule has the one that holds.
        max_tokens: cap for one line.
        candidates: lines that a model which can search writes for one place, in one batch; of those without a fault
            the one that goes best with the text below is its answer.
        draws: lines that a model at an address draws for one place, in one request; chosen from in the same way.
        choosing_s: how long it took to find the others and choose, last time, or how long was not enough.
        first_pause_s: length of the first pause.
        failures: failed requests in a row.
        pauses: pauses in a row.
        paused_until: by the clock; no request before.
        last_error: message and hint of what went wrong last; "" while all is well.
        state: of the last error (`TargetError.state`), or "ok".
        on_state: called with the tier when `state` or `last_error` have changed.
    """

    model: Model
    rule: Rule = field(default_factory=Rule)
    max_tokens: int = 256
    candidates: int = 1 + BRANCHES
    draws: int = 1
    choosing_s: float = 0.0
    first_pause_s: float = FIRST_PAUSE_S
    failures: int = 0
    pauses: int = 0
    paused_until: float = 0.0
    last_error: str = ""
    state: str = "ok"
    pace: Pace | None = None
    on_state: Callable[[Tier], None] = field(default=lambda _tier: None, repr=False, compare=False)
    _trying: bool = False

    def is_paused(self, now: float) -> bool:
        """True if no request may be made now: during a pause, and while the first one after it is under way."""
        return now < self.paused_until or self._trying

    def admit(self, now: float) -> bool:
        """Ask for leave to make a request; whoever gets it tells the tier how it ended: `succeeded`, `failed`, or
        `abandoned`."""
        if self.is_paused(now):
            return False
        self._trying = self.pauses > 0
        return True

    def succeeded(self) -> None:
        self.failures, self.pauses, self.paused_until, self._trying = 0, 0, 0.0, False
        self._show("ok", "")

    def abandoned(self) -> None:
        """The request was cancelled: nothing is known of the server."""
        self._trying = False

    def failed(self, error: EgateError, now: float) -> None:
        state = getattr(error, "state", "failing")
        if state == "ok":  # an answer that does not fit, or the user's own terms: the server is well
            self._trying = False
            return
        self._trying = False
        self.failures += 1
        wait_s = getattr(error, "retry_after_s", None)
        limited = isinstance(error, TargetRateLimited)
        if wait_s is not None or limited or not error.retryable or self.failures >= FAILURES_BEFORE_PAUSE:
            self.pauses += 1
            first_s = min(LIMITED_PAUSE_S, self.first_pause_s) if limited else self.first_pause_s
            own_s = min(first_s * 2.0 ** min(self.pauses - 1, 16), LONGEST_PAUSE_S)
            self.paused_until = now + (own_s if wait_s is None else max(wait_s, 1.0))
        self._show(state, error.explanation)

    def _show(self, state: str, error: str) -> None:
        changed = (state, error) != (self.state, self.last_error)
        self.state, self.last_error = state, error
        if changed:
            self.on_state(self)


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
    assess: Callable[[str], Assessment] | None = None,
    before: Model | None = None,
    deadline: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Ask the tiers for the line directly after `context.prefix`; a tier that is itself unsure defers to the next.
    `reasons` are why the draft's line, `hint`, was deferred; `assess` tells the faults of a line here: they count when
    a tier's own line is judged, a later tier's line that is worse is refused, and of several lines that a tier writes
    one without is its answer. Which one, the model before it reviews, because it is quicker; `before` is that of the
    draft. After `deadline`, by the clock, no tier looks for more than its first line.

    Never raises but for cancellation: a tier that fails is passed over.
    """
    requests: list[TierRequest] = []
    best: tuple[DraftLine, str] | None = None
    reason = "no tier to ask"
    for tier, earlier in zip(tiers, (before, *(tier.model for tier in tiers)), strict=False):
        if not tier.admit(clock()):
            reason = f"{tier.model.name} is paused: {tier.last_error}"
            continue
        started = clock()
        request = TierRequest(tier.model.name, index, "answered", 0.0, tier.model.remote)
        try:
            limits, note = Limits(tier.max_tokens, 1, hint, reasons), ""
            choosing = _Choosing(tier, earlier, context, assess, lambda: deadline - SEARCH_END_S - clock())
            if choosing.draws:
                line, note = await choosing.drawn(limits)
            else:
                line = await one_line(tier.model, context, limits)
                if line.text.strip():
                    line, note = await choosing.searched(line)
        except Withheld as error:
            tier.abandoned()
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
        except BaseException:
            tier.abandoned()
            raise
        usage = tier.model.usage()
        requests.append(
            replace(
                request,
                latency_ms=_ms(started, clock),
                prompt_tokens=_count(usage, "prompt_tokens"),
                completion_tokens=_count(usage, "generated_tokens"),
                cached_tokens=_count(usage, "cached_tokens"),
                estimated=bool(usage.get("estimated")),
            )
        )
        tier.succeeded()
        if not line.complete and not line.text.strip():
            reason = f"{tier.model.name}: {TargetReplyError('an empty line')}"
            continue
        if best is not None and assess is not None:
            refused = refusal(context, best[0].text, line.text, assess(best[0].text), assess(line.text))
            if refused:
                reason = f"written by {best[1]}: {tier.model.name} {refused}"
                continue
        best = (line, tier.model.name)
        reason = f"written by {tier.model.name}{note}"
        if tier is tiers[-1] or not _defers(tier, line, None if assess is None else assess(line.text)):
            break
    if best is None:
        return Answer(None, "", reason, tuple(requests))
    if not reason.startswith("written by"):  # the tier that was asked after it could not answer
        reason = f"written by {best[1]}; {reason}"
    return Answer(best[0], best[1], reason, tuple(requests))


@dataclass(frozen=True, slots=True)
class _Choosing:
    """How one of several lines of a tier becomes its answer.

    Attributes:
        earlier: the model before it, which reviews the lines if it can.
        assess: tells the faults of a line here; None: nothing is chosen.
        ends: seconds that are left.
    """

    tier: Tier
    earlier: Model | None
    context: FimContext
    assess: Callable[[str], Assessment] | None
    ends: Callable[[], float]

    @property
    def draws(self) -> bool:
        """The tier's model is to draw several lines in one request."""
        return self.tier.draws > 1 and self.assess is not None and is_followed(self.context)

    async def drawn(self, limits: Limits) -> tuple[DraftLine, str]:
        """The best of the lines that a model at an address draws, and how it was chosen.

        Raises:
            TargetError, Withheld: as the model raises it.
        """
        lines = await drawn_lines(self.tier.model, self.context, replace(limits, draws=self.tier.draws))
        if not lines:
            return DraftLine(""), ""
        left_s = self.ends()
        reviewer = self.earlier if isinstance(self.earlier, Reviewer) and left_s > self.tier.choosing_s else None
        return await self._best(lines[0], lines, reviewer, left_s)

    async def searched(self, line: DraftLine) -> tuple[DraftLine, str]:
        """The best of several lines that a model which can search finds, or `line`, its first; and how it was chosen.
        What the model has read for the first is in its memory still."""
        tier, model, left_s = self.tier, self.tier.model, self.ends()
        pays = tier.candidates > 1 and left_s >= MIN_SEARCH_S and is_followed(self.context)
        if self.assess is None or not pays or not isinstance(model, Searcher):
            return line, ""
        reviewer = self.earlier if isinstance(self.earlier, Reviewer) else model
        reviews = isinstance(reviewer, Reviewer) and left_s > tier.choosing_s
        if not reviews and sound([line], self.context, self.assess):
            return line, ""  # nothing would be known of the others that speaks for them
        limits, search = Limits(tier.max_tokens, 1), Search(branches=tier.candidates - 1)
        try:
            found = await model.candidates(self.context, limits, search, within_s=_finite(left_s))
        except EgateError:
            return line, ""  # what there is already is no worse for it
        return await self._best(line, lines_of(found, self.context), reviewer, left_s)

    async def _best(
        self, first: DraftLine, lines: Sequence[DraftLine], reviewer: Model | None, left_s: float
    ) -> tuple[DraftLine, str]:
        """`left_s`: seconds that were left when the tier began to look for others than its first."""
        assert self.assess is not None
        choice = sound(lines, self.context, self.assess)
        below: dict[str, float] | None = {}
        if reviewer is not None:
            below = await reviewed(reviewer, self.context, [each for each, _ in choice], _finite(self.ends()))
        if below is None:
            self.tier.choosing_s = max(self.tier.choosing_s, left_s)
        elif below and math.isfinite(left_s):
            self.tier.choosing_s = left_s - self.ends()
        best = better(first.text, choice, below)
        if best is None:
            return first, ""
        why = "goes best with the text below" if below else "has no fault"
        return best[0], f": of its {len(lines)} lines the one that {why}"


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def _defers(tier: Tier, line: DraftLine, known: Assessment | None) -> bool:
    """Does a tier behind the draft leave its own line to the next one?"""
    rule = tier.rule if tier.pace is None else replace(tier.rule, tau=tier.pace.tau)
    if known is None:
        gated = judge(line, rule)
    else:
        gated = judge(line, rule, comment=known.comment, extra=known.signals, faults=known.faults)
    deferred = gated.verdict is Verdict.DEFER
    if tier.pace is not None and gated.weighed is not None:
        tier.pace.saw(gated.weighed, deferred=deferred)
    return deferred


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
