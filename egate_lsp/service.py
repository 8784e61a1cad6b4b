"""The completion engine as the server and the command line use it: settings in, completions out.

It builds the tiers that the settings name, guards what may leave the machine, and reports its state. It knows nothing
of LSP.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from egate_lsp import context as contexts
from egate_lsp import languages, outlines, triggers
from egate_lsp.accounts import Accounts
from egate_lsp.ahead import Ahead, Written, following
from egate_lsp.cache import Continuations, Found, Place
from egate_lsp.calibration import Calibration, shipped, tau_for
from egate_lsp.cascade import Cascade, Policy
from egate_lsp.consent import Consents
from egate_lsp.debounce import Debounce
from egate_lsp.errors import ConfigError, EgateError, ModelNotFound, Withheld
from egate_lsp.escalate import Tier
from egate_lsp.feedback import Feedback
from egate_lsp.gate import Rule
from egate_lsp.gathering import Gathering
from egate_lsp.guard import Guard, GuardedModel
from egate_lsp.merge import rest_of
from egate_lsp.metrics import Metrics
from egate_lsp.models import Limits, Reader, catalogue, store
from egate_lsp.models.engine_process import EngineProcess, EngineState
from egate_lsp.models.fim import FimOrder
from egate_lsp.models.openai_target import OpenAITarget
from egate_lsp.models.presets import RENDERED
from egate_lsp.models.scripted import read_script
from egate_lsp.pace_file import PaceFile
from egate_lsp.project_note import ProjectNote
from egate_lsp.status import State, Status, Usage
from egate_lsp.terms import Terms
from egate_lsp.underway import GRACE_S, Drafts, Underway
from egate_lsp.values import Completion, Outcome, Snapshot, Source, Verdict
from egate_lsp.windowed import WindowedModel
from egate_lsp.windows import Windows
from egate_lsp.workspace.client import WorkspaceIndex
from egate_lsp.workspace.questions import SOURCES as INDEXED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp import consent
    from egate_lsp.config import Draft, Rung, Settings, Target
    from egate_lsp.gathering import Gatherer
    from egate_lsp.guard import Sieved
    from egate_lsp.models import Model
    from egate_lsp.models.catalogue import CatalogueEntry
    from egate_lsp.models.sources import Progress
    from egate_lsp.pace import Pace
    from egate_lsp.syntax import Checker
    from egate_lsp.values import FimContext, Snippet

log = logging.getLogger(__name__)

SCRIPTED = "scripted:"
IDLE_S = 1.5  # without a request, before other files are looked through anew
TERMS_PATIENCE_S = 0.5  # until a document is taken for one that stays here: its folders are looked at for a .gitignore
BY_HAND = 3.0  # who asks by hand is readier to wait
# Whose calibration serves where a model has none of its own.
FALLBACK_CALIBRATION = "qwen2.5-coder-0.5b"
_MODEL_STAGES = ("draft_first_line", "draft", "repair", "choice", "target_wait")  # of `Completion.timing_ms`
_AT_WORK = frozenset({"ready", "working", "asking-target", "paused"})


@dataclass(frozen=True, slots=True)
class _Pending:
    """A completion that was returned while a target's answer was awaited.

    Attributes:
        whole: all of it, at the place where it was first asked for; what was typed of it since is its beginning.
        returned: what was left of it at the last request.
    """

    place: Place
    hole: FimContext
    whole: Completion
    returned: Completion


@dataclass(frozen=True, slots=True)
class _Drafted:
    """What came of a draft, and the hole that it was for.

    Attributes:
        kept_here: why nothing of it may leave the machine, else "".
    """

    hole: FimContext
    completion: Completion
    kept_here: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a request gets of a draft.

    Attributes:
        typed: what was typed of it since it was begun.
        head_start_ms: for how long it had been under way when the request came.
        ready: it had come to its end by then: nobody waits for a model.
        gathered_ms: what finding code of other files took.
    """

    draft: Underway[_Drafted]
    drafted: _Drafted
    typed: str
    head_start_ms: float = 0.0
    ready: bool = False
    gathered_ms: float = 0.0


@dataclass(slots=True)
class _Kept:
    """A completion that is answered from memory.

    Attributes:
        unseen: it was drafted ahead, and nobody was shown it yet.
    """

    place: Place
    completion: Completion
    unseen: bool = False


class Service:
    """One cascade with its models. Create and use it within one running event loop.

    Attributes:
        accounts: the ledger, the budget and the prices.
        on_usage: called when `today` may have changed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_status: Callable[[Status], None] | None = None,
        pace_path: Path | None = None,
        ledger_path: Path | None = None,
        consents_path: Path | None = None,
        gatherers: Sequence[Gatherer] = (),
    ) -> None:
        """`pace_path`: where the adaptive tau is kept between sessions; None: tau does not adapt. `ledger_path`: where
        requests and suggestions are written down; None: in memory. `consents_path`: where the user's answers about
        folders are kept; None: they hold for this session. `gatherers`: who knows code of other files, see
        `gathering.Gathering`; closed with the service."""
        self.settings = settings
        self.accounts = Accounts(settings, ledger_path)
        self.accounts.on_change = self._accounts_changed
        self.on_usage: Callable[[], None] = lambda: None
        self._pace_path = pace_path
        self._paces: list[tuple[PaceFile, Pace]] = []
        self._on_status = on_status or (lambda _status: None)
        self._metrics = Metrics()
        self._feedback = Feedback()
        self._shown: Continuations[_Kept] = Continuations()
        self._drafts: Drafts[_Drafted] = Drafts()
        self._ahead = Ahead(self._draft_ahead)
        self._renewing = Ahead(self._renew, IDLE_S)
        self._debounce = Debounce(settings.draft.debounce_ms / 1000.0)
        self._answer_s = settings.draft.answer_ms / 1000.0
        self._last_place: dict[str, Place] = {}
        self._pending: dict[str, _Pending] = {}
        self._consents = Consents(consents_path)
        self._terms = Terms(settings, self._consents)
        self._guard = Guard(self._terms, settings.privacy)
        context = settings.context
        self._index = WorkspaceIndex(settings.privacy.never_send) if set(context.sources) & set(INDEXED) else None
        index = (self._index,) if self._index is not None else ()
        known = (ProjectNote(lambda: self._terms.folders), *index, *gatherers)
        self._gathering = Gathering(known, context.sources, context.snippet_chars, self._sieved)
        self._windows: Windows | None = None
        self._cascade: Cascade | None = None
        self._broken: EgateError | None = None
        self._target_paused = False
        self._working = 0
        self._opening: asyncio.Task[None] | None = None
        self.status = Status("starting", model=settings.draft.model, target=_target_name(settings))

    async def start(self) -> None:
        """Begin to find (or fetch, if the settings allow it) and load the draft model; returns at once."""
        if self._opening is None:
            self.accounts.start()
            self._opening = asyncio.create_task(self._open(), name="egate open")
            if self._index is not None:
                self._index.start()

    async def complete(self, document: Snapshot, *, invoked: bool, told_later: bool = False) -> Completion:
        """The completion at the cursor. Cancel the task to cancel the work.

        Args:
            told_later: whoever asks is told when there is more (`landed`), so an automatic request is answered with
                nothing where a target or a repair is long in coming.

        Raises:
            DraftError, ConfigError: nothing can be completed; the error says why and what to do.
        """
        await self.start()
        assert self._opening is not None
        await asyncio.shield(self._opening)
        if self._cascade is None:
            assert self._broken is not None
            raise self._broken
        building = time.monotonic()
        hole = self._hole(document)
        built_ms = (time.monotonic() - building) * 1000.0
        kept_here = await self._kept_here(hole)
        if kept_here and self.tiers[0].model.remote:
            return Completion(note=f"no completion: {kept_here}, and the draft is not on this machine")
        before = document.text[: document.offset]
        place = Place.of(hole)
        if self._feedback.seen(document.path, before):
            self._forget(document.path)
        if invoked:
            self._feedback.asked(document.path, before)
        else:
            self._debounce.key(building)
            if (known := self._shown.find(place)) is not None and known.text:
                return self._typed_through(known, document, before, built_ms)
        answer = None if invoked else await self._joined(document.path, place, kept_here, told_later=told_later)
        if answer is None:
            try:
                answer = await self._anew(document, hole, kept_here, building, invoked=invoked, told_later=told_later)
            except Withheld as error:  # the draft is not on this machine
                return Completion(note=f"no completion: {error}")
        if answer is None:
            return Completion(note="no completion: what was under way was ended")
        drafted, typed = answer.drafted, answer.typed
        if answer.draft.done:
            self._drafts.forget(document.path, answer.draft)
        built_ms += answer.gathered_ms
        completion = drafted.completion
        completion.timing_ms["context"] = built_ms
        completion.timing_ms["total"] = (time.monotonic() - building) * 1000.0 - built_ms
        if answer.head_start_ms:
            completion.timing_ms["head_start"] = answer.head_start_ms
            self._metrics.joined += 1
        if (first := completion.timing_ms.get("draft_first_line")) is not None:
            self._debounce.drafted(first / 1000.0)
        if answer.ready:
            for stage in _MODEL_STAGES:
                completion.timing_ms.pop(stage, None)
        place = Place.of(drafted.hole)
        whole = completion if invoked else self._extending(document.path, place, completion)
        completion = dataclasses.replace(whole, lines=rest_of(whole.lines, len(typed))) if typed else whole
        self._remember(document.path, _Pending(place, drafted.hole, whole, completion))
        self._feedback.shown(document.path, before, completion.text)
        self._metrics.add(completion, drafted=answer.draft.done)
        self._plan(document, completion)
        for file, pace in self._paces:
            file.keep(pace)
        return completion

    async def _draft(
        self, hole: FimContext, kept_here: str, under_way: Underway[_Drafted], *, invoked: bool, unease: float
    ) -> _Drafted:
        """A completion for whoever waits for it when it is there."""
        assert self._cascade is not None

        def drafted(completion: Completion) -> _Drafted:
            if kept_here and not completion.note:
                completion = dataclasses.replace(completion, note=f"{kept_here}: models of this machine only")
            return _Drafted(hole, completion, kept_here)

        self._enter()
        try:
            completion = await self._cascade.complete(
                hole,
                invoked=invoked,
                remote=not kept_here,
                unease=unease,
                wrote=under_way.wrote,
                settled=lambda so_far: under_way.settled(so_far.text, drafted(so_far)),
                waits=lambda so_far: under_way.waits(so_far.text, drafted(so_far)),
            )
        finally:
            self._leave()
        return drafted(completion)

    async def _joined(self, path: str, place: Place, kept_here: str, *, told_later: bool) -> _Answer | None:
        """What the draft under way in this document comes to; None if it is of no use at this place."""
        if (found := self._drafts.at(path, place)) is None:
            return None
        draft, typed = found
        head_start_ms, ready = draft.age_ms, draft.done
        try:
            drafted = await draft.result(typed, self._answer_s, told_later=told_later)
        except EgateError:
            return None  # begun anew, it may go well; else its error is told
        if drafted is None or drafted.kept_here != kept_here:
            return None
        text = drafted.completion.text
        fits = text.startswith(typed) and (text != typed or not typed)
        if not draft.done:  # nothing yet, or less than was typed: what is awaited may go on from there
            fits = fits or typed.startswith(text)
        return _Answer(draft, drafted, typed, head_start_ms=head_start_ms, ready=ready) if fits else None

    async def _anew(
        self,
        document: Snapshot,
        hole: FimContext,
        kept_here: str,
        asked_at: float,
        *,
        invoked: bool,
        told_later: bool,
    ) -> _Answer | None:
        """What a draft that is begun now comes to; None if it is ended. `asked_at`: by `time.monotonic`.

        Raises:
            EgateError: as the cascade raised it.
        """
        path, place = document.path, Place.of(hole)
        await self._drafts.make_way(path)
        await self._ahead.stop()
        await self._renewing.stop()
        typed, gathered_ms, answer_s = "", 0.0, 0.0 if invoked else self._answer_s
        if not invoked:
            await asyncio.sleep(max(self._debounce.wait() - (time.monotonic() - asked_at), 0.0))
        if not invoked and (former := self._typed_along(path, place)) is not None:
            # The same question again, not one that begins in mid-line: only its answer goes on from what is shown.
            hole, typed, answer_s = former.hole, place.typed_since(former.place) or "", 0.0
        else:
            gathering = time.monotonic()
            hole = await self._gathering.beside(hole, leaves=self._may_leave(kept_here))
            gathered_ms = (time.monotonic() - gathering) * 1000.0
        unease = self._feedback.unease(path, document.text[: document.offset])
        work = functools.partial(self._draft, hole, kept_here, invoked=invoked, unease=unease)
        draft = Underway(Place.of(hole), work, asked_at=asked_at, grace_s=0.0 if invoked else GRACE_S)
        self._drafts.begin(path, draft)
        drafted = await draft.result("", answer_s, told_later=told_later)
        return _Answer(draft, drafted, typed, gathered_ms=gathered_ms) if drafted is not None else None

    async def alternatives(self, document: Snapshot, shown: Completion, count: int) -> list[Completion]:
        """Other drafts of a completion's first line, at most `count`; for requests made by hand."""
        if self._cascade is None:
            return []
        self._enter()
        try:
            hole = self._hole(document)
            hole = await self._gathering.beside(hole, leaves=self._may_leave(await self._kept_here(hole)))
            return await self._cascade.alternatives(hole, shown, count)
        finally:
            self._leave()

    def _hole(self, document: Snapshot) -> FimContext:
        """What the models are shown of the document itself."""
        text, offset = document.text, min(max(document.offset, 0), len(document.text))
        language = document.language or languages.by_path(document.path)
        budget = contexts.Budget(self.settings.context.prefix_chars, self.settings.context.suffix_chars)
        window = self._windows.at(document.path, text, offset, budget, language) if self._windows else None
        hole = contexts.build(
            text,
            offset,
            budget,
            path=PurePath(document.path).name,
            language=language,
            span=(window.start, window.end) if window else None,
            outline=window.outline if window else "",
        )
        return dataclasses.replace(hole, file=document.path)

    def _typed_along(self, path: str, place: Place) -> _Pending | None:
        """The pending completion of which the user has begun to type what was shown, and nothing else."""
        former = self._pending.get(path)
        typed = place.typed_since(former.place) if former is not None else None
        return former if former is not None and typed and former.whole.text.startswith(typed) else None

    def _extending(self, path: str, place: Place, completion: Completion) -> Completion:
        """The completion if it begins with what a pending one has shown here, else that: what the user sees and may be
        reading is added to, never replaced."""
        former = self._pending.get(path)
        if former is None or former.place != place or completion.text.startswith(former.whole.text):
            return completion
        return dataclasses.replace(completion, lines=former.whole.lines, note="what was shown before stays")

    def _remember(self, path: str, made: _Pending) -> None:
        """For the requests that follow at this place."""
        whole = made.whole
        self._pending.pop(path, None)
        if whole.pending:
            self._pending[path] = made
        elif whole.text:
            self._shown.put(made.place, whole.text, _Kept(made.place, whole))
            self._last_place[path] = made.place

    async def landed(self, path: str, completion: Completion) -> bool:
        """Wait for what this pending completion, the last of its document, awaits: the rest of its draft, or a target's
        answer. True: the next automatic request there has more to show than it, and begins with it."""
        former = self._pending.get(path)
        if former is None or former.returned is not completion or self._cascade is None:
            return False
        shown = former.whole.text

        def adds(text: str | None) -> bool:
            return text is not None and text.startswith(shown) and text != shown

        draft = self._drafts.of(path)
        whole = await draft.whole() if draft is not None and draft.place == former.place else None
        found = adds(whole.completion.text if whole is not None else None)
        return (found or adds(await self._cascade.landed(former.hole))) and self._pending.get(path) is former

    def _typed_through(self, known: Found[_Kept], document: Snapshot, before: str, built_ms: float) -> Completion:
        """What is left of a completion of which the user has typed the beginning, or that was drafted ahead: no model
        is asked."""
        kept = known.value
        whole = kept.completion
        if kept.unseen:
            kept.unseen = False
            self._metrics.ahead_used += 1
            if self._cascade is not None:
                self._cascade.seen(whole)
        self._last_place[document.path] = kept.place
        lines = rest_of(whole.lines, len(whole.text) - len(known.text))
        self._feedback.shown(document.path, before, known.text)
        self._metrics.reused += 1
        timing = {"context": built_ms, "total": built_ms}
        rest = Completion(lines, timing_ms=timing, note=whole.note, window=whole.window)
        self._plan(document, rest)
        return rest

    def _plan(self, document: Snapshot, shown: Completion) -> None:
        """While the user reads what is shown, what follows it is drafted."""
        if self.settings.draft.ahead:
            self._ahead.plan(following(document, shown))
        if self._gathering.active:
            self._renewing.plan([Written(document, "")])

    async def idle(self) -> None:
        """Wait until nothing is done any more that nobody has asked for yet."""
        await self._ahead.finished()
        await self._renewing.finished()

    async def _renew(self, document: Snapshot) -> bool:
        """What is shown of other files has changed, perhaps: the draft model reads the new window, and only then is it
        that of the next request. Whoever goes on typing meanwhile loses nothing."""
        await self._ahead.finished()
        hole = self._hole(document)
        choice = await self._gathering.renewed(hole)
        if choice is None or self._cascade is None:
            return True
        draft = self._cascade.tiers[0].model
        if isinstance(draft, Reader):
            await draft.read_all()
            leaves = self._may_leave(await self._kept_here(hole))
            try:
                reading = draft.generate(await self._gathering.shown(hole, choice, leaves=leaves), Limits(0, 1))
                async for _ in reading:
                    pass
            except EgateError as error:
                log.info("what is new in other files is not read ahead: %s", type(error).__name__)
                return True
        self._gathering.adopt(hole, choice)
        return True

    async def _draft_ahead(self, document: Snapshot) -> bool:
        """Draft at a place where nobody has asked yet. True: there is something to show.

        A line that would be deferred is not kept, unless the target was asked, or is not waited for: where it is
        wanted, it is drafted in no time, because the model has just read its prompt, and the target is asked then.
        """
        cascade, hole = self._cascade, self._hole(document)
        place = Place.of(hole)
        known = self._shown.find(place)
        if cascade is None or (known is not None and known.text):
            return True
        draft, asks = cascade.tiers[0].model, self.settings.cascade.ahead_asks
        kept_here = await self._kept_here(hole)
        if draft.remote and (kept_here or not asks):
            return False
        if isinstance(draft, Reader):
            await draft.read_all()
        hole = await self._gathering.beside(hole, leaves=self._may_leave(kept_here))
        try:
            completion = await cascade.complete(hole, remote=asks and not kept_here, unseen=True)
        except EgateError as error:
            log.info("nothing is drafted ahead: %s", type(error).__name__)
            return False
        self._metrics.ahead += 1
        unsure = any(line.verdict is Verdict.DEFER and line.source is Source.DRAFT for line in completion.lines)
        others = len(cascade.tiers) > 1 and not kept_here and not cascade.unwaited
        if completion.text and not completion.pending and not (unsure and others):
            kept = dataclasses.replace(completion, note="drafted ahead, before you asked for it")
            self._shown.put(place, completion.text, _Kept(place, kept, unseen=True))
        return bool(completion.text)

    def opened(self) -> None:
        """A document was opened or is looked at: its first request should not wait for a model that was put away."""
        if self._cascade is not None and isinstance(draft := self._cascade.tiers[0].model, EngineProcess):
            draft.wake()

    def closed(self, path: str) -> None:
        """A document was closed."""
        self._drafts.forget(path)

    def _forget(self, path: str) -> None:
        """What was shown last in this document is not shown again at that place."""
        self._drafts.forget(path)
        self._pending.pop(path, None)
        if (place := self._last_place.pop(path, None)) is not None:
            self._shown.forget(place)

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The open tiers, the draft first; empty before they are open."""
        return self._cascade.tiers if self._cascade is not None else ()

    @property
    def rule(self) -> Rule | None:
        """By which the draft's lines are judged now; None before the tiers are open."""
        if self._cascade is None:
            return None
        rule, pace = self._cascade.tiers[0].rule, self._cascade.pace
        return rule if pace is None else dataclasses.replace(rule, tau=pace.tau)

    def work_in(self, folders: Sequence[str]) -> None:
        """The editor's workspace folders: files outside of them stay on this machine, if there are any."""
        self._terms.folders = tuple(folders)
        if self._index is not None:
            self._index.work_in(folders)

    def saved(self, path: str) -> None:
        """A file was written."""
        if self._index is not None:
            self._index.changed(path)

    async def indexed(self, patience_s: float) -> None:
        """Wait until the workspace has been looked through, if the settings want that; not longer than this."""
        if self._index is not None:
            self._index.start()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._index.read()

    def ask_with(self, on_question: Callable[[str], None]) -> None:
        """Call this with a folder when the first of its lines would leave and [policy] says to ask; with the same
        folder again until `answered`."""
        self._guard.on_question = on_question

    def answered(self, folder: str, answer: consent.Answer | None) -> None:
        """What the user said of a folder; None: closed the question, so the folder stays local for this session."""
        if answer is None:
            self._consents.not_now(folder)
        else:
            self._consents.answer(folder, answer)

    async def _kept_here(self, hole: FimContext) -> str:
        """Why nothing of this document may leave, for the user; "" if it may, or the user is yet to be asked."""
        if not any(tier.model.remote for tier in self.tiers):
            return ""
        if self._target_paused:
            return "the target is paused"
        try:
            async with asyncio.timeout(TERMS_PATIENCE_S):
                permission = await self._guard.permission(hole.file, hole.language)
        except TimeoutError:
            return "it is not known in time whether this file may leave: the disk does not answer"
        return permission.reason if permission.verdict == "no" else ""

    def _may_leave(self, kept_here: str) -> bool:
        """Can text of a document reach a model that is not on this machine? `kept_here`: see `_kept_here`."""
        return not kept_here and any(tier.model.remote for tier in self.tiers)

    async def _sieved(self, snippets: Sequence[Snippet], leaving: bool) -> Sieved:  # noqa: FBT001  # see `gathering`
        return await self._guard.sieved(snippets, leaving=leaving)

    def happened(self, outcome: Outcome, path: str, instead_of: Outcome | None = None) -> None:
        """What the user did with the last suggestion of this document; `instead_of` was told of it before, by mistake.

        The gate becomes more eager or more patient at that place, and what was refused is not shown again.
        """
        self._metrics.happened(outcome, instead_of)
        match outcome:
            case Outcome.ACCEPTED | Outcome.TYPED_THROUGH:
                self._feedback.accepted(path)
            case Outcome.TYPED_PAST:
                self._feedback.typed_past(path)
                self._forget(path)
            case Outcome.DISMISSED:
                self._feedback.dismissed(path)
                self._forget(path)
            case Outcome.UNDONE:
                self._feedback.undone(path)
                self._forget(path)

    def stats(self) -> dict[str, float]:
        """Counts since the start, and rates derived from them. `computed_*`: by all models of this machine, whether it
        was shown or not; see `EngineProcess.totals`. `target_*`: see `Cascade`."""
        engines = [tier.model.totals for tier in self.tiers if isinstance(tier.model, EngineProcess)]
        return self._metrics.as_dict() | {
            "target_asked": self._cascade.asked if self._cascade is not None else 0,
            "target_used": self._cascade.used if self._cascade is not None else 0,
            "computed_jobs": sum(totals["jobs"] for totals in engines),
            "computed_prompt_tokens": sum(totals["evaluated_tokens"] for totals in engines),
            "computed_tokens": sum(totals["generated_tokens"] for totals in engines),
        }

    def today(self) -> Usage:
        """What was shown and asked today, by all of the user's servers."""
        return self.accounts.usage()

    @property
    def wanted_share(self) -> float | None:
        """The share of lines that is to be deferred; None if tau is set instead, or there is no target."""
        gate = self.settings.gate
        return None if gate.tau is not None or len(self.settings.rungs()) < 2 else gate.deferral_rate

    @property
    def target_paused(self) -> bool:
        """True: everything is kept on this machine until told otherwise."""
        return self._target_paused

    def pause_target(self, paused: bool) -> None:  # noqa: FBT001  # the command's argument, passed on
        """Keep everything on this machine until told otherwise; what is under way is ended. Alternatives under way are
        the caller's to cancel: they may still ask."""
        self._target_paused = self._guard.paused = paused
        if paused and self._cascade is not None:
            self._drafts.abandon()
            self._cascade.abandon()
        if self.status.state in _AT_WORK:
            self._rest()

    async def restart(self) -> None:
        """Close the models and open them anew."""
        await self.aclose()
        self._opening = None
        await self.start()

    async def aclose(self) -> None:
        """Close the models; no process, socket or task stays. Idempotent."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._drafts.aclose()
        await self._ahead.stop()
        await self._renewing.stop()
        await self._gathering.aclose()
        if self._cascade is not None:
            for file, pace in self._paces:
                file.keep(pace, now=True)
            self._paces = []
            await self._cascade.aclose()
            self._cascade = None
        await self.accounts.aclose()
        self._broken = ConfigError("The completion service is closed.")

    async def _open(self) -> None:
        try:
            outline, syntax = self.settings.context.outline, self.settings.gate.syntax
            checker = await asyncio.to_thread(_checker) if outline or syntax else None
            if outline and checker is not None:
                self._windows = Windows(functools.partial(outlines.entries, checker))
            tiers = await self._tiers()
            self._cascade = Cascade(tiers, _policy(self.settings), checker if syntax else None, tiers[0].pace)
            self._cascade.on_waiting = self._waiting
        except EgateError as error:
            self._broken = error
            self._report("error", str(error), hint=error.hint)
            log.warning("cannot complete: %s", error)
            return
        draft = self._cascade.tiers[0].model
        if isinstance(draft, EngineProcess):
            draft.start()
        if any(tier.model.remote for tier in self._cascade.tiers):
            await self._guard.warm_up()
        if not isinstance(draft, EngineProcess):
            self._rest()

    async def _tiers(self) -> Sequence[Tier]:
        rungs = self.settings.rungs()
        tiers = []
        for index, rung in enumerate(rungs):
            last = index == len(rungs) - 1
            try:
                model = await self._model(rung, drafts=index == 0)
            except EgateError as error:
                if index == 0:
                    raise
                # Completions go on without it.
                log.warning("tier %d cannot be opened: %s", index, error)
                if rung.draft is None:
                    self._show(
                        dataclasses.replace(self.status, target_state="misconfigured", target_reason=error.explanation)
                    )
                else:
                    self._report("error", str(error), hint=error.hint)
                continue
            cap = rung.draft.max_tokens if rung.draft is not None else rung.target.max_tokens if rung.target else 0
            rule = Rule() if last and index else rule_of(rung, self.settings)
            cascade = self.settings.cascade
            draws = rung.target.candidates if rung.target is not None else 1
            tier = Tier(model, rule, cap, cascade.candidates, draws, first_pause_s=cascade.pause_s)
            tier.pace = None if last else self._pace(rung, index)
            if index and rung.target is not None:
                tier.on_state = self._target_state
            tiers.append(tier)
        return tiers

    async def _model(self, rung: Rung, *, drafts: bool) -> Model:
        """A tier's model, not yet loading. One at an address is behind the guard and in the accounts."""
        if rung.target is not None:
            target = open_address(rung.target, self.settings)
            guarded = GuardedModel(self.accounts.accounted(target, rung.target.base_url or ""), self._guard)
            before, after = rung.target.prefix_chars, rung.target.suffix_chars
            if before is None and after is None:
                return guarded
            context = self.settings.context
            budget = contexts.Budget(
                context.prefix_chars if before is None else before, context.suffix_chars if after is None else after
            )
            return WindowedModel(guarded, budget)
        assert rung.draft is not None
        on_state = self._engine_state if drafts else None
        try:
            return await open_local(rung.draft, self.settings, on_state=on_state)
        except ModelNotFound:
            entry = catalogue.known(self.settings.models).get(rung.draft.model)
            if not self.settings.models.auto_pull or entry is None:
                raise
        await self._fetch(entry)
        return await open_local(rung.draft, self.settings, on_state=on_state)

    def _pace(self, rung: Rung, index: int) -> Pace | None:
        """The controller of a tier's rate, where it was left; None where tau is fixed or nothing is to be kept."""
        gate = rung.gate
        if self._pace_path is None or not gate.adaptive or gate.tau is not None:
            return None
        rule = rule_of(rung, self.settings).name
        place = f", tier {index}" if index else ""
        file = PaceFile(self._pace_path, f"{rung.name}, {rule}, {gate.deferral_rate}{place}")
        pace = file.start(gate.deferral_rate, calibration_for(rung, self.settings).taus.get(rule, ()))
        self._paces.append((file, pace))
        return pace

    async def _fetch(self, entry: CatalogueEntry) -> Path:
        loop = asyncio.get_running_loop()

        def progress(step: Progress) -> None:
            share = step.done / step.total if step.total else None
            loop.call_soon_threadsafe(self._report, "fetching", f"{entry.name}: {step.stage} {step.source}", share)

        return await asyncio.to_thread(store.pull, entry, self.settings.models, progress)

    def _engine_state(self, engine: EngineState) -> None:
        match engine.state:
            case "loading":
                self._report("loading", "")
            case "failed":
                self._report("error", engine.reason, hint=engine.hint)
            case _:
                self._rest()

    def _target_state(self, tier: Tier) -> None:
        """The target has begun or ceased to fail."""
        if tier.state == "ok":
            log.info("the target %s works again", tier.model.name)
        else:
            log.warning("the target %s: %s", tier.model.name, tier.state)
        # Of several, one that fails is shown as long as there is one.
        shown = tier if tier.state != "ok" else next((other for other in self.tiers[1:] if other.state != "ok"), tier)
        self._show(dataclasses.replace(self.status, target_state=shown.state, target_reason=shown.last_error))

    def _rest(self) -> None:
        """Report what the service does when nothing special is going on."""
        if self._target_paused:
            self._report("paused", "the target is paused")
        else:
            reason = self.status.target_reason or self.accounts.budget.warning()
            self._report("working" if self._working else "ready", reason)

    def _accounts_changed(self) -> None:
        """The sums of the day are others now, or a cap is near."""
        if self.status.state == "ready":
            self._rest()
        self.on_usage()

    def _enter(self) -> None:
        self._working += 1
        if self._working == 1 and self.status.state == "ready":
            self._report("working")

    def _leave(self) -> None:
        self._working -= 1
        if not self._working and self.status.state in {"working", "asking-target"}:
            self._rest()

    def _waiting(self, waiting: bool) -> None:  # noqa: FBT001  # a callback with one fact
        if self.status.state in {"working", "asking-target"}:
            if waiting:
                self._report("asking-target")
            else:
                self._rest()

    def _report(self, state: State, reason: str = "", progress: float | None = None, hint: str = "") -> None:
        self._show(dataclasses.replace(self.status, state=state, reason=reason, progress=progress, hint=hint))

    def _show(self, status: Status) -> None:
        if status != self.status:
            self.status = status
            self._on_status(status)


async def open_draft(settings: Settings, *, on_state: Callable[[EngineState], None] | None = None) -> Model:
    """The draft model of the settings; see `open_local`."""
    return await open_local(settings.draft, settings, on_state=on_state)


async def open_local(
    draft: Draft, settings: Settings, *, on_state: Callable[[EngineState], None] | None = None
) -> Model:
    """A model on this machine, not yet loading.

    Raises:
        ModelNotFound: its file is not here.
        ConfigError: it is a script that cannot be read.
    """
    name = draft.model
    if name.startswith(SCRIPTED):
        return read_script(Path(name.removeprefix(SCRIPTED)), name="scripted")
    path = await asyncio.to_thread(store.locate, name, settings.models)
    entry = catalogue.known(settings.models).get(name)
    order = entry.fim_order if entry else FimOrder.SUFFIX_FIRST
    if draft.fim_order != "auto":
        order = FimOrder(draft.fim_order)
    return EngineProcess(
        entry.name if entry else path.stem,
        path,
        draft,
        marks=entry.fim if entry else None,
        order=order,
        on_state=on_state,
    )


def open_target(settings: Settings) -> OpenAITarget:
    """The target of the settings; see `open_address`."""
    return open_address(settings.target, settings)


def open_address(target: Target, settings: Settings) -> OpenAITarget:
    """A model at an address. Nothing is sent yet.

    Raises:
        ConfigError, ModelNotFound: the settings do not fit together.
    """
    fim = catalogue.find(target.fim_model, settings.models) if target.api in RENDERED else None
    order = fim.fim_order if fim else FimOrder.PREFIX_ONLY
    vocabulary = fim.vocabulary if fim else 0
    return OpenAITarget(target, marks=fim.fim if fim else None, order=order, vocabulary=vocabulary)


def _checker() -> Checker:
    """Imported when models are opened, not at the server's start."""
    from egate_lsp.syntax import Checker

    return Checker()


def _target_name(settings: Settings) -> str | None:
    """Of the last tier; None where the draft is alone."""
    rungs = settings.rungs()
    return rungs[-1].name if len(rungs) > 1 else None


def _policy(settings: Settings) -> Policy:
    cascade = settings.cascade
    return Policy(
        max_tokens=settings.draft.max_tokens,
        max_lines=settings.draft.max_lines,
        max_deferrals=cascade.max_deferrals,
        repairs=settings.draft.repairs if settings.gate.syntax else 0,
        choose_at=choice_tau(settings),
        deadline_s=cascade.deadline_ms / 1000.0,
        invoked_deadline_s=cascade.invoked_deadline_ms / 1000.0,
        triggers=tuple(settings.gate.triggers),
        patterns=tuple(
            triggers.Pattern(name, re.compile(pattern.expression), pattern.languages)
            for name, pattern in settings.gate.patterns.items()
        ),
        show_unsure=cascade.show_unsure,
        reading_ms=settings.draft.first_text_ms,
        invoked_reading_ms=settings.draft.first_text_ms * BY_HAND,
    )


def calibration_of(settings: Settings) -> Calibration:
    """What is known of the draft model; see `calibration_for`."""
    return calibration_for(settings.rungs()[0], settings)


def calibration_for(rung: Rung, settings: Settings) -> Calibration:
    """What is known of a tier's model: the user's own measurement over what is shipped for it, or for the default."""
    alike = rung.target.fim_model if rung.target is not None else ""
    base = shipped(rung.name) or shipped(alike) or shipped(FALLBACK_CALIBRATION) or Calibration()
    own = settings.gate.calibrations.get(rung.name)
    return Calibration(own.taus, own.weights, own.note).over(base) if own else base


def draft_rule(settings: Settings) -> Rule:
    """The draft tier's rule; see `rule_of`."""
    return rule_of(settings.rungs()[0], settings)


def rule_of(rung: Rung, settings: Settings) -> Rule:
    """A tier's rule: tau as set, or from the wanted deferral rate by the model's calibration."""
    gate = rung.gate
    known = calibration_for(rung, settings)
    weights = known.weights if gate.score == "learned" else {}
    rule = Rule(gate.score, math.inf, gate.lookahead_tokens, gate.top_k, gate.measure, weights)
    tau = gate.tau
    if tau is None:
        tau = tau_for(known.taus.get(rule.name, ()), gate.deferral_rate)
    return dataclasses.replace(rule, tau=tau)


def choice_tau(settings: Settings) -> float:
    """The score from which a line of the draft's is chosen from several; see `config.Gate.choice_rate`."""
    known = calibration_of(settings).taus.get(draft_rule(settings).name, ())
    return tau_for(known, settings.gate.choice_rate)
