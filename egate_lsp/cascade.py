"""The five stages in a row: draft, gate, escalate, resume, merge; with the deadline and the late answers.

This module knows nothing of LSP, HTTP, llama.cpp or settings files.
"""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from egate_lsp.alternatives import alternatives
from egate_lsp.assess import Assessment, assess
from egate_lsp.cache import Continuations, Found, Place
from egate_lsp.draft import Admission, admission, draft_lines
from egate_lsp.errors import EgateError
from egate_lsp.escalate import Answer, Tier, refusal, rewrite_line
from egate_lsp.gate import CHOSEN, REPAIRED, UNEASE, judge
from egate_lsp.merge import assemble
from egate_lsp.models import Limits, Reviewer, Searcher
from egate_lsp.punctuality import Punctuality
from egate_lsp.repair import is_followed, preferred, repaired
from egate_lsp.values import Completion, CompletionLine, DraftLine, Shape, Source, TierRequest, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from egate_lsp.models import Model
    from egate_lsp.pace import Pace
    from egate_lsp.repair import Sound
    from egate_lsp.syntax import Checker
    from egate_lsp.triggers import Pattern
    from egate_lsp.values import FimContext, GatedLine

UNUSED = 64  # answers of which it is remembered that nobody has taken them up
MIN_REPAIR_S = 0.25  # of the time for a repair, where the deadline has passed
ALTERNATIVES_S = 2.0  # what whoever asked by hand may be kept waiting for them
NO_TARGET_REASON = "unsure, but there is no target to ask"
CHOICE_REASON = "of several drafts the one that goes best with the text below"
LATE_REASON = "the target is late; its answer is kept for the next request here"
UNWAITED_REASON = "the target's last answers came after the deadline: it is not waited for"
OVERDUE_REASON = "the target has had longer than the deadline for a request before: it is not waited for"


@dataclass(frozen=True, slots=True)
class Policy:
    """How far a completion may go.

    Attributes:
        max_tokens, max_lines: caps on the draft.
        max_deferrals: deferred lines per completion.
        repairs: faulty lines per completion for which the draft looks for another text first.
        choose_at: a line that the draft keeps with a score of at least this is chosen from several drafts by the text
            below, where it was asked for by hand; inf: never.
        deadline_s, invoked_deadline_s: how long an automatic request, or one made by hand, may wait for a target.
        triggers: names of the enabled pattern triggers.
        patterns: the user's own.
        show_unsure: show the draft's line where the target is late: "always" or "never", or with "auto" where its last
            answers were late too, or one is overdue and there is no other text. Then, unless "never", it is not waited
            for.
        reading_ms, invoked_reading_ms: how long the draft may read a window that is new to it; 0: as long as it takes.
    """

    max_tokens: int = 256
    max_lines: int = 12
    max_deferrals: int = 3
    repairs: int = 3
    choose_at: float = math.inf
    deadline_s: float = 1.5
    invoked_deadline_s: float = 8.0
    triggers: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    show_unsure: Literal["auto", "always", "never"] = "auto"
    reading_ms: float = 0.0
    invoked_reading_ms: float = 0.0


@dataclass(slots=True)
class _InFlight:
    """A request to the tiers behind the draft that is under way, the hole it is for, and when its answer is overdue."""

    place: Place
    path: str
    task: asyncio.Task[Answer]
    due: float


class _LineFeed:
    """The draft's lines, produced ahead by a task of their own while the target is awaited."""

    def __init__(
        self,
        model: Model,
        context: FimContext,
        written: Sequence[str],
        limits: Limits,
        wrote: Callable[[str], None],
    ) -> None:
        self._lines: asyncio.Queue[DraftLine | Exception | None] = asyncio.Queue()
        self._model = model
        self._usage: dict[str, float] | None = None
        self._pump = asyncio.create_task(self._fill(context, written, limits, wrote), name="egate draft")

    async def _fill(
        self, context: FimContext, written: Sequence[str], limits: Limits, wrote: Callable[[str], None]
    ) -> None:
        try:
            async for line in draft_lines(self._model, context, written, limits, wrote):
                self._lines.put_nowait(line)
        except Exception as error:  # handed to the reader, who raises it
            self._lines.put_nowait(error)
        else:
            self._lines.put_nowait(None)
        finally:
            self._usage = self._model.usage()  # now: the next generation may be of another completion

    def usage(self) -> dict[str, float]:
        """The model's counters of this draft, as far as it has come."""
        if self._usage is not None:
            return self._usage
        return {} if self._model.remote else self._model.usage()  # a remote one tells them at its end

    async def next(self, timeout: float | None) -> DraftLine | None:
        """The next line; None at the end.

        Raises:
            TimeoutError: nothing came in time.
            EgateError: as the model raised it.
        """
        async with asyncio.timeout(timeout):
            item = await self._lines.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)


@dataclass(slots=True)
class _Run:
    """What one completion has gathered so far."""

    context: FimContext
    deadline: float
    started: float
    limits: Limits
    invoked: bool = False
    unease: float = 0.0
    unseen: bool = False
    wrote: Callable[[str], None] = lambda _text: None
    settled: Callable[[Completion], None] = lambda _so_far: None
    waits: Callable[[Completion], None] = lambda _so_far: None
    lines: list[CompletionLine] = field(default_factory=list)
    requests: list[TierRequest] = field(default_factory=list)
    timing_ms: dict[str, float] = field(default_factory=dict)
    stats: dict[str, float] = field(default_factory=dict)
    counting: Callable[[], dict[str, float]] = dict
    deferrals: int = 0
    repairs: int = 0
    finished: bool = False
    pending: bool = False
    note: str = ""

    @property
    def written(self) -> list[str]:
        return [line.text for line in self.lines]

    def add(self, line: CompletionLine) -> None:
        """A line is written for good."""
        self.lines.append(line)
        self.settled(self.completion(pending=True))

    def wait(self) -> None:
        """What follows may take long."""
        self.waits(self.completion(pending=True))

    def completion(self, *, pending: bool) -> Completion:
        """What the lines come to."""
        merging = time.monotonic()
        lines = assemble(self.lines, self.context)
        now = time.monotonic()
        timing_ms = self.timing_ms | {"merge": (now - merging) * 1000.0, "total": (now - self.started) * 1000.0}
        stats = _sum(self.stats, self.counting())
        return Completion(lines, tuple(self.requests), timing_ms, pending, self.note, stats, self.context.window)

    def here(self) -> FimContext:
        """The hole after what is written."""
        return self.context.extended("\n".join([*self.written, ""])) if self.lines else self.context

    def place(self) -> Place:
        return Place.of(self.here())

    def add_time(self, stage: str, since: float) -> None:
        self.timing_ms[stage] = self.timing_ms.get(stage, 0.0) + (time.monotonic() - since) * 1000.0

    def count(self, usage: dict[str, float]) -> None:
        """Counters of a generation that has ended; `counting` is of one that runs."""
        self.stats, self.counting = _sum(self.stats, usage), dict


class Cascade:
    """A row of tiers: the first drafts, each further one answers what the one before it deferred.

    One completion at a time per document is the caller's business; cancel the task to cancel the work.

    Attributes:
        checker: tells whether a line adds a syntax error; None: nothing is known of faults.
        pace: sets tau for each line; None: the draft tier's rule has the one that holds.
        asked, used: requests for lines that were made to the tiers behind the draft, and those of them whose answer was
            there in time or was taken up later. The others were given up, failed, or came too late for anybody.
        on_waiting: told True when a completion begins to wait for a tier behind the draft, False when it ends.
    """

    def __init__(
        self, tiers: Sequence[Tier], policy: Policy, checker: Checker | None = None, pace: Pace | None = None
    ) -> None:
        if not tiers:
            raise ValueError("a cascade needs at least the draft tier")
        self.tiers = tuple(tiers)
        self.policy = policy
        self.checker = checker
        self.pace = pace
        self.asked = self.used = 0
        self._answers: Continuations[Answer] = Continuations()
        self._punctuality = Punctuality(policy.deadline_s)
        self._unused: deque[Answer] = deque(maxlen=UNUSED)
        self.on_waiting: Callable[[bool], None] = lambda _waiting: None
        self._in_flight: list[_InFlight] = []
        self._late: dict[Place, _InFlight] = {}

    async def complete(
        self,
        context: FimContext,
        *,
        invoked: bool = False,
        remote: bool = True,
        unease: float = 0.0,
        unseen: bool = False,
        wrote: Callable[[str], None] = lambda _text: None,
        settled: Callable[[Completion], None] = lambda _so_far: None,
        waits: Callable[[Completion], None] = lambda _so_far: None,
    ) -> Completion:
        """The merged completion for the hole.

        Args:
            invoked: asked for by hand: waits longer for a target.
            remote: False keeps to the tiers that do not leave this machine.
            unease: what the user did at this place, in [-1, 1]; see `feedback`.
            unseen: nobody waits for it and it may never be shown: no line of it counts for the deferral rate (`seen`
                counts them), and a window is read whole.
            wrote: called with all that is drafted so far, from the hole on, whenever there is more. A line of it may
                yet be repaired, or another tier's in the end.
            settled: called with the completion so far, as one that is pending, whenever a line is written for good.
            waits: called with it when what follows may take long: a line is drafted anew, or asked of a tier behind the
                draft.

        Raises:
            DraftError: the draft engine could not give the first line.
        """
        now = time.monotonic()
        patience = self.policy.invoked_deadline_s if invoked else self.policy.deadline_s
        limits = self._limits(invoked=invoked)
        if unseen:
            limits = replace(limits, reading_ms=0.0)
        run = _Run(context, now + patience, now, limits, invoked, unease, unseen, wrote, settled, waits)
        behind = [tier for tier in self.tiers[1:] if remote or not tier.model.remote]
        self._abandon_strangers(context)
        while await self._stretch(run, behind):
            pass
        return run.completion(pending=run.pending)

    def seen(self, completion: Completion) -> None:
        """A completion that was drafted unseen is shown after all: its lines count for the deferral rate."""
        if self.pace is None or len(self.tiers) < 2:
            return
        for line in completion.lines:
            if line.weighed is not None:
                self.pace.saw(line.weighed, deferred=line.verdict is Verdict.DEFER)

    @property
    def unwaited(self) -> bool:
        """Whoever types is shown the draft's unsure lines at once, because the answers of the tiers behind it are
        late."""
        return len(self.tiers) > 1 and self.policy.show_unsure != "never" and self._punctuality.late

    def _limits(self, *, invoked: bool) -> Limits:
        policy = self.policy
        reading_ms = policy.invoked_reading_ms if invoked else policy.reading_ms
        return Limits(policy.max_tokens, policy.max_lines, reading_ms=reading_ms)

    async def alternatives(self, context: FimContext, shown: Completion, count: int) -> list[Completion]:
        """Other drafts of the first line of a completion, at most `count`, the most promising first; none if the draft
        model cannot search, or not in time."""
        model = self.tiers[0].model
        if not isinstance(model, Searcher) or not shown.lines:
            return []
        run = _Run(context, 0.0, time.monotonic(), self._limits(invoked=True))
        try:
            async with asyncio.timeout(ALTERNATIVES_S):
                found = await alternatives(
                    model,
                    context,
                    shown.lines[0].text,
                    lambda text: self._assess(run, text),
                    run.limits,
                    count=count,
                )
        except (TimeoutError, EgateError):
            return []
        completions: list[Completion] = []
        for line, known in found:
            gated = self._judge(run, line, known, (), adapt=False)
            reasons = ("another draft of the line, to choose from", *known.faults, *gated.reasons)
            lines = assemble([_drafted(gated, self.tiers[0], tuple(dict.fromkeys(reasons)))], context)
            if lines and all(lines[0].text.strip() != other.text.strip() for other in [shown, *completions]):
                completions.append(Completion(lines))
        return completions

    async def landed(self, context: FimContext) -> str | None:
        """Wait for the answer that a pending completion of this hole awaits: the text from the hole to the end of the
        answered line; None if no answer came, or if none was awaited. Tells it once."""
        hole = Place.of(context)
        late = self._late.pop(hole, None)
        if late is None:
            return None
        await asyncio.wait({late.task})
        answer = None if late.task.cancelled() else late.task.result().line
        if answer is None:
            return None
        if (written := late.place.typed_since(hole)) is not None:
            return written + answer.text
        typed = hole.typed_since(late.place)
        return answer.text[len(typed) :] if typed is not None and answer.text.startswith(typed) else None

    async def _stretch(self, run: _Run, behind: Sequence[Tier]) -> bool:
        """Draft from where the text stands until a line is replaced or the text ends. True: draft on from here."""
        if behind and (known := self._answers.find(run.place())):
            self._take_up(known.value)
            request = TierRequest(known.value.tier, len(run.lines), "cached", 0.0)
            line = CompletionLine(
                known.text, Source.TARGET, known.value.tier, reasons=("kept from an earlier request",)
            )
            run.requests.append(request)
            return self._write(run, line)
        drafting = time.monotonic()
        feed = _LineFeed(self.tiers[0].model, run.context, run.written, run.limits, run.wrote)
        run.counting = feed.usage
        try:
            return await self._follow(run, feed, behind, drafting)
        finally:
            await feed.aclose()
            run.count(run.counting())
            run.add_time("draft", drafting)

    async def _follow(self, run: _Run, feed: _LineFeed, behind: Sequence[Tier], drafting: float) -> bool:
        while True:
            # The confident part never waits; but where there is none yet, the draft's first line is worth the wait.
            remaining = run.deadline - time.monotonic() if run.lines else None
            try:
                line = await feed.next(remaining)
            except TimeoutError:
                run.note = "the deadline passed; the draft had more to write"
                return False
            except EgateError as error:
                if not run.lines:
                    raise
                run.note = error.explanation
                return False
            if line is None:
                return await self._finish(run, behind)
            if not line.complete and run.lines:
                return False
            run.timing_ms.setdefault("draft_first_line", (time.monotonic() - drafting) * 1000.0)
            on = await self._settle(run, line, self._assess(run, line.text), behind, feed)
            if on is not None:
                return on

    async def _finish(self, run: _Run, behind: Sequence[Tier]) -> bool:
        """The draft has ended its block: what the last line leaves undone shows only now. True: draft on."""
        last = run.lines[-1] if run.lines and run.context.shape is Shape.BLOCK and not run.finished else None
        if last is None or last.source is Source.TARGET or last.verdict is Verdict.DEFER or not last.text.strip():
            return False
        run.finished = True
        run.lines.pop()
        known = self._assess(run, last.text, filled=True)
        if not known.faults:
            run.lines.append(last)
            return False
        return bool(await self._settle(run, DraftLine(last.text, last.tokens), known, behind, None))

    async def _settle(
        self, run: _Run, line: DraftLine, known: Assessment, behind: Sequence[Tier], feed: _LineFeed | None
    ) -> bool | None:
        """Repair, judge and, if need be, ask for a drafted line; write what comes of it.

        `feed` is the running draft that wrote the line; None: the draft has ended with it. Returns None if that draft
        goes on, else as `_stretch` does.
        """
        filled = feed is None
        told: tuple[str, ...] = ()
        restart = filled
        if known.faults and self._can_repair(run):
            restart = True
            if (found := await self._repaired(run, feed)) is not None:
                told = (f"drafted anew, because of the first draft: {known.faults[0]}",)
                line, known = found
        gated = self._judge(run, line, known, told, adapt=bool(behind) and not run.unseen)
        if gated.verdict is Verdict.KEEP or not behind or run.deferrals >= self.policy.max_deferrals:
            unasked = UNWAITED_REASON if run.unseen and self.unwaited else NO_TARGET_REASON
            settled = _drafted(gated, self.tiers[0], _why_kept(gated, behind, run.deferrals, unasked))
            if not (told or known.faults) and self._can_choose(run, gated):  # else it was looked for already
                restart = True
                settled = await self._chosen(run, settled, feed)
        elif why := self._goes_unanswered(run, behind, line.text, gated.reasons):
            settled = _drafted(gated, self.tiers[0], (*gated.reasons, why))
        else:
            run.deferrals += 1
            answer = await self._ask(run, behind, line.text, gated.reasons)
            if answer is None:
                if self.policy.show_unsure != "always":
                    return False
                settled = _drafted(gated, self.tiers[0], (*gated.reasons, LATE_REASON))
            else:
                run.requests.extend(answer.requests)
                refused = self._refusal(run, line.text, known, answer, filled=filled)
                settled = _choose(gated, answer, self.tiers[0], refused)
                restart = restart or settled.text.rstrip() != line.text.rstrip()
        if restart:
            admitted = self._write(run, settled)
            return admitted and not (filled and settled.source is Source.DRAFT)
        run.add(settled)
        return None

    def _can_repair(self, run: _Run) -> bool:
        return self.policy.repairs > run.repairs and isinstance(self.tiers[0].model, Searcher)

    async def _repaired(self, run: _Run, feed: _LineFeed | None) -> Sound | None:
        """Another draft of the line, without a fault; None if there is none, or no time for it."""
        run.repairs += 1
        return await self._searched(run, "repair", repaired, run.written, feed)

    def _can_choose(self, run: _Run, gated: GatedLine) -> bool:
        """Is the line one to look for a better draft of? One that the draft is rather unsure of, and whose place says
        what goes with it, for somebody who is ready to wait. That it was asked for tells nothing of the line itself."""
        policy, model = self.policy, self.tiers[0].model
        return (
            (run.invoked and policy.choose_at <= (gated.score or 0.0))
            and not run.lines
            and is_followed(run.context)
            and isinstance(model, Searcher)
            and isinstance(model, Reviewer)
            and run.deadline > time.monotonic()
        )

    async def _chosen(self, run: _Run, kept: CompletionLine, feed: _LineFeed | None) -> CompletionLine:
        """The draft of the line that goes best with the text below; the kept one if that is it, or if time is short."""
        found = await self._searched(run, "choice", preferred, kept.text, feed)
        if found is None:
            return kept
        line, _ = found
        return replace(
            kept,
            text=line.text,
            tokens=line.tokens,
            draft=kept.text,
            reasons=(*kept.reasons, CHOICE_REASON),
            signals={**kept.signals, CHOSEN: 1.0},
        )

    async def _searched(
        self, run: _Run, stage: str, search: Callable[..., Awaitable[Sound | None]], of: object, feed: _LineFeed | None
    ) -> Sound | None:
        """What `repaired` or `preferred` find until the deadline, in place of the running draft, which ends; None also
        if the engine could not."""
        model = self.tiers[0].model
        if feed is not None:
            await feed.aclose()
        run.count(run.counting())
        began = time.monotonic()
        run.wait()
        try:
            assess_line = functools.partial(self._assess, run, filled=feed is None)
            within_s = max(run.deadline - began, MIN_REPAIR_S)
            found = await search(model, run.context, of, assess_line, run.limits, within_s)
            run.count(model.usage())
            return found
        except EgateError:
            return None
        finally:
            run.add_time(stage, began)

    def _judge(self, run: _Run, line: DraftLine, known: Assessment, told: tuple[str, ...], *, adapt: bool) -> GatedLine:
        extra = known.signals
        if run.unease and not run.lines:
            extra[UNEASE] = run.unease
        if told:
            extra[REPAIRED] = 1.0
        rule = self.tiers[0].rule if self.pace is None else replace(self.tiers[0].rule, tau=self.pace.tau)
        gated = judge(line, rule, known.triggers, comment=known.comment, extra=extra, faults=known.faults)
        if adapt and self.pace is not None and gated.weighed is not None:
            self.pace.saw(gated.weighed, deferred=gated.verdict is Verdict.DEFER)
        return replace(gated, reasons=(*told, *gated.reasons))

    def _assess(self, run: _Run, text: str, *, filled: bool = False) -> Assessment:
        """`filled`: nothing is written after it."""
        policy = self.policy
        return assess(
            run.here(),
            text,
            self.checker,
            enabled=policy.triggers,
            patterns=policy.patterns,
            complete=True if filled else None,
        )

    def _refusal(self, run: _Run, drafted: str, known: Assessment, answer: Answer, *, filled: bool) -> str:
        if answer.line is None:
            return ""
        return refusal(run.here(), drafted, answer.line.text, known, self._assess(run, answer.line.text, filled=filled))

    def _write(self, run: _Run, line: CompletionLine) -> bool:
        """Append a line that the running draft did not write, if it belongs here. True: the draft goes on from it."""
        verdict = admission(run.context, run.written, line.text, self.policy.max_lines)
        if verdict is not Admission.STOP:
            run.add(line)
        return verdict is Admission.ADMIT

    def _goes_unanswered(self, run: _Run, behind: Sequence[Tier], hint: str, reasons: tuple[str, ...]) -> str:
        """Why who types goes on with the draft's line: the last answers were late, or one is overdue and there is
        nothing else to show, and none is kept for this line. Now and then one is asked for all the same. Empty: the
        tiers are asked and waited for."""
        now = time.monotonic()
        # Where there is text before the line, nobody misses it yet.
        overdue = not run.lines and any(now >= flight.due for flight in self._in_flight)
        if run.invoked or self.policy.show_unsure == "never" or not (overdue or self.unwaited):
            return ""
        if self._answers.find(run.place()) is not None:
            return ""
        if self._punctuality.may_ask(now) and self._joinable(run.place())[0] is None:
            self._launch(run, behind, hint, reasons)
        return UNWAITED_REASON if self.unwaited else OVERDUE_REASON

    async def _ask(self, run: _Run, behind: Sequence[Tier], hint: str, reasons: tuple[str, ...]) -> Answer | None:
        """The tiers' answer, or None if it is not there by the deadline; then it is kept when it comes."""
        asking = time.monotonic()
        if (known := self._answers.find(run.place())) is not None:  # it landed while this line was drafted
            self._take_up(known.value)
            return _cached(known, len(run.lines))
        flight, typed = self._joinable(run.place())
        if flight is None:
            flight, typed = self._launch(run, behind, hint, reasons), ""
        remaining = max(run.deadline - time.monotonic(), 0.0)
        run.wait()
        self.on_waiting(True)
        try:
            done, _ = await asyncio.wait({flight.task}, timeout=remaining)
        finally:
            self.on_waiting(False)
        run.add_time("target_wait", asking)
        if not done:
            run.pending = True
            run.note = LATE_REASON
            self._late = {hole: late for hole, late in self._late.items() if not late.task.done()}
            self._late[Place.of(run.context)] = flight
            run.requests.append(TierRequest(behind[0].model.name, len(run.lines), "late", remaining * 1000.0))
            return None
        answer = flight.task.result()
        self._take_up(answer)
        if typed and answer.line is not None:
            if not answer.line.text.startswith(typed):
                return Answer(None, "", f"{answer.tier} wrote something else than was typed", answer.requests)
            return _remaining(answer, answer.line.text[len(typed) :])
        return answer

    def _launch(self, run: _Run, behind: Sequence[Tier], hint: str, reasons: tuple[str, ...]) -> _InFlight:
        place, index = run.place(), len(run.lines)
        here, policy = run.here(), self.policy

        def known(text: str) -> Assessment:  # of this place, also when the run has gone on
            return assess(here, text, self.checker, enabled=policy.triggers, patterns=policy.patterns)

        asking = rewrite_line(
            behind,
            here,
            index,
            hint=hint,
            reasons=reasons,
            assess=known,
            before=self.tiers[0].model,
            deadline=run.deadline,
        )
        task = asyncio.create_task(asking, name="egate target")
        asked_at = time.monotonic()
        due = min(run.deadline, asked_at + policy.deadline_s)
        flight = _InFlight(place, run.context.path, task, due)
        self._in_flight.append(flight)
        self.asked += 1
        self._punctuality.asked(asked_at)

        def landed(finished: asyncio.Task[Answer]) -> None:
            self._in_flight.remove(flight)
            answer = None if finished.cancelled() else finished.result()
            line = None if answer is None else answer.line
            self._punctuality.took(time.monotonic() - asked_at, answered=line is not None)
            if answer is not None and line is not None:
                self._answers.put(place, line.text, answer)
                self._unused.append(answer)

        task.add_done_callback(landed)
        return flight

    def _take_up(self, answer: Answer) -> None:
        if answer in self._unused:
            self._unused.remove(answer)
            self.used += 1

    def _joinable(self, place: Place) -> tuple[_InFlight | None, str]:
        """A request already under way for this place or one that typing led from, and what was typed since."""
        for flight in reversed(self._in_flight):
            typed = place.typed_since(flight.place)
            if typed is not None and "\n" not in typed:
                return flight, typed
        return None, ""

    def _abandon_strangers(self, context: FimContext) -> None:
        """Close the requests under way for places of this document that the cursor has left."""
        place = Place.of(context)
        for flight in self._in_flight:
            ahead = flight.place.typed_since(place) is not None  # further down the text being completed here
            if flight.path == context.path and not ahead and place.typed_since(flight.place) is None:
                flight.task.cancel()

    def abandon(self) -> None:
        """Close all requests under way to the tiers behind the draft."""
        for flight in self._in_flight:
            flight.task.cancel()

    async def aclose(self) -> None:
        """Cancel what is under way and close the models."""
        flights = [flight.task for flight in self._in_flight]
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for tier in self.tiers:
            await tier.model.aclose()


def _sum(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return one | {key: one.get(key, 0.0) + value for key, value in other.items()}


def _remaining(answer: Answer, text: str) -> Answer:
    """The answer with the part of its line that was not typed yet."""
    line = DraftLine(text) if answer.line is None or answer.line.text != text else answer.line
    return replace(answer, line=line)


def _cached(known: Found[Answer], index: int) -> Answer:
    request = TierRequest(known.value.tier, index, "cached", 0.0)
    reason = f"written by {known.value.tier} for an earlier request"
    return replace(_remaining(known.value, known.text), reason=reason, requests=(request,))


def _drafted(gated: GatedLine, tier: Tier, reasons: tuple[str, ...]) -> CompletionLine:
    line = gated.line
    return CompletionLine(
        line.text,
        Source.DRAFT,
        tier.model.name,
        gated.score,
        reasons,
        line.tokens,
        verdict=gated.verdict,
        signals=gated.signals,
        weighed=gated.weighed,
    )


def _why_kept(gated: GatedLine, behind: Sequence[Tier], deferrals: int, unasked: str) -> tuple[str, ...]:
    if gated.verdict is Verdict.KEEP:
        return gated.reasons
    if not behind:
        return (*gated.reasons, unasked)
    return (*gated.reasons, f"unsure, but {deferrals} lines of this completion were deferred already")


def _choose(gated: GatedLine, answer: Answer, draft: Tier, refused: str) -> CompletionLine:
    """The target's line, unless there is none to speak of or it is worse than the draft's."""
    if answer.line is None:
        return _drafted(gated, draft, (*gated.reasons, f"the draft's line stays: {answer.reason}"))
    if refused:
        return _drafted(gated, draft, (*gated.reasons, f"the draft's line stays: {answer.tier} {refused}"))
    agrees = answer.line.text.rstrip() == gated.line.text.rstrip()
    note = f"{answer.tier} agrees with the draft" if agrees else answer.reason
    # Where the tiers agree, the text is the draft's to the letter: nothing that follows need be redone.
    text = gated.line.text if agrees else answer.line.text
    tokens = gated.line.tokens if agrees else answer.line.tokens
    reasons = (*gated.reasons, note)
    return CompletionLine(
        text,
        Source.TARGET,
        answer.tier,
        gated.score,
        reasons,
        tokens,
        gated.line.text,
        gated.verdict,
        gated.signals,
        gated.weighed,
    )
