"""Counts of what happened, kept in memory on this machine only. Rates are derived. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from egate_lsp.values import Outcome, Source

if TYPE_CHECKING:
    from egate_lsp.values import Completion


@dataclass(slots=True)
class Metrics:
    """Counters since the start of the server.

    Attributes:
        reused: suggestions of which the user had typed the beginning: answered without a model, not among completions.
        joined: completions that were under way when they were asked for: the user had typed what was drafted so far.
        ahead: drafts of what follows a suggestion, before it was asked for; `ahead_used` of them were shown.
        lines_target: lines of shown completions that a tier behind the draft wrote.
        accepted, accepted_partly, typed_through, typed_past, dismissed, undone: suggestions, by what the user did.
        requests, requests_failed, requests_late: to tiers behind the draft.
        requests_uncounted: answered ones of which the server did not count the tokens.
        target_prompt_tokens, target_completion_tokens: as the servers counted them.
    """

    completions: int = 0
    empty: int = 0
    accepted: int = 0
    accepted_partly: int = 0
    typed_through: int = 0
    typed_past: int = 0
    dismissed: int = 0
    undone: int = 0
    reused: int = 0
    joined: int = 0
    ahead: int = 0
    ahead_used: int = 0
    lines: int = 0
    lines_target: int = 0
    requests: int = 0
    requests_failed: int = 0
    requests_late: int = 0
    requests_uncounted: int = 0
    target_prompt_tokens: int = 0
    target_completion_tokens: int = 0
    draft_generated_tokens: int = 0
    draft_evaluated_tokens: int = 0

    def add(self, completion: Completion, *, drafted: bool = True) -> None:
        """Count a completion that was returned. `drafted`: its draft has ended; if not, the draft's counters are not
        complete, and are left out."""
        self.completions += 1
        self.empty += not completion.lines
        self.lines += len(completion.lines)
        self.lines_target += sum(line.source is Source.TARGET for line in completion.lines)
        for request in completion.requests:
            self.requests += request.outcome not in {"cached", "withheld"}
            self.requests_failed += request.outcome == "failed"
            self.requests_late += request.outcome == "late"
            self.requests_uncounted += request.outcome == "answered" and request.prompt_tokens is None
            self.target_prompt_tokens += request.prompt_tokens or 0
            self.target_completion_tokens += request.completion_tokens or 0
        if not drafted:
            return
        self.draft_generated_tokens += int(completion.stats.get("generated_tokens", 0))
        self.draft_evaluated_tokens += int(completion.stats.get("evaluated_tokens", 0))

    def happened(self, outcome: Outcome, instead_of: Outcome | None = None) -> None:
        """Count what the user did with a suggestion; `instead_of` was counted for it before, by mistake."""
        if instead_of is Outcome.UNDONE:
            self.undone -= 1  # the acceptance before it stands, and has been counted
            return
        for which, amount in ((outcome, 1), (instead_of, -1)):
            if which is not None:
                name = _COUNTERS[which]
                setattr(self, name, getattr(self, name) + amount)

    def as_dict(self) -> dict[str, float]:
        """The counters and the rates derived from them."""
        counts: dict[str, float] = asdict(self)
        counts["share_of_lines_from_target"] = self.lines_target / self.lines if self.lines else 0.0
        counts["acceptance_rate"] = self.accepted / self.completions if self.completions else 0.0
        return counts


_COUNTERS = {
    Outcome.ACCEPTED: "accepted",
    Outcome.PARTLY: "accepted_partly",
    Outcome.TYPED_THROUGH: "typed_through",
    Outcome.TYPED_PAST: "typed_past",
    Outcome.DISMISSED: "dismissed",
    Outcome.UNDONE: "undone",
}
