"""The deferral rules that are compared: rivals as published, entropy in each form, and ours with and without its parts.

A rule gives a score from what is known before the target is asked; lines are deferred by falling score.
MCCom: arXiv 2603.05974. SynConfRoute: arXiv 2605.04894. First-token margin: Ramirez et al., arXiv 2405.02134.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from egate_lsp.evaluation.outcomes import DISAGREEMENT
from egate_lsp.gate import COMMENT, NAMES, SYNTAX, Rule, faulted, line_score
from egate_lsp.signals import AGGREGATES, MEASURES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from egate_lsp.evaluation.outcomes import Outcome, Version

    Score = Callable[[Mapping[str, float]], float]

PARSE_FIRST = 10.0  # above any score: what does not parse is deferred before all else


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A rule by name.

    Attributes:
        score: of a line's signals, or of the whole draft's.
        ours: several lines are as unsure as the unsurest of them. A published rule sees the draft as one text.
        repairs: whether faulty lines are drafted anew.
        chooses: whether unsure lines that are kept are chosen from several drafts.
        refuses: whether the target's text is refused where it is worse than the draft's.
        searches: whether the target's text is the likeliest sound one of several lines.
    """

    name: str
    score: Score
    ours: bool = False
    repairs: bool = True
    chooses: bool = True
    refuses: bool = True
    searches: bool = True

    def of(self, outcome: Outcome) -> float:
        """The score of a draft."""
        if not self.ours:
            return self.score(outcome.signals)
        return max((self.score(line) for line in self.draft(outcome).lines), default=0.0)

    def draft(self, outcome: Outcome) -> Version:
        """The draft that this rule judges."""
        if not self.ours or not self.repairs:
            return outcome.plain
        return outcome.shown if self.chooses else outcome.repaired

    def right(self, outcome: Outcome) -> tuple[bool, bool]:
        """Is what is shown right, if the draft is kept and if it is deferred?"""
        draft = self.draft(outcome)
        if not self.ours:
            return draft.right, outcome.target_right
        if self.refuses:
            return draft.right, draft.chosen_right if self.searches else draft.first_right
        return draft.right, outcome.best_right if self.searches else outcome.target_right

    def tokens(self, outcome: Outcome) -> int:
        """That the target writes if the draft is deferred."""
        return outcome.best_tokens if self.ours and self.searches else outcome.target_tokens


def rivals() -> list[NamedRule]:
    """Published rules, and every measure by every aggregate."""
    published = [
        NamedRule("random", lambda _signals: 0.0),
        NamedRule("MCCom: mean probability of the first 3", _signal("probability-first")),
        NamedRule(
            "SynConfRoute: mean log-probability of the first 3, and parse",
            lambda known: known.get("surprisal-first", 0.0) + PARSE_FIRST * known.get(SYNTAX, 0.0),
        ),
        NamedRule("first-token margin", _signal("margin-opening")),
    ]
    plain = [NamedRule(f"{measure} {how}", _signal(f"{measure}-{how}")) for measure in MEASURES for how in AGGREGATES]
    return [*published, *plain]


def ours(default: Rule, weights: Mapping[str, float]) -> list[NamedRule]:
    """The rule of the settings, it without each of its parts, and the alternatives to it."""
    triggered = gate_score(default)
    found = [
        NamedRule("default", gate_score(default), ours=True),
        NamedRule("default without choice", gate_score(default), ours=True, chooses=False),
        NamedRule("default without choice and repair", gate_score(default), ours=True, repairs=False),
        NamedRule("default, one line of the target", gate_score(default), ours=True, searches=False),
        NamedRule("default, the target's line never refused", gate_score(default), ours=True, refuses=False),
        NamedRule("default without syntax", gate_score(default, without={SYNTAX}), ours=True),
        NamedRule("default without names", gate_score(default, without={NAMES}), ours=True),
        NamedRule("default without faults", gate_score(default, without={SYNTAX, NAMES}), ours=True),
        NamedRule("default, comments judged too", gate_score(default, without={COMMENT}), ours=True),
        NamedRule(
            "default, pattern triggers first",
            lambda known: triggered(known) + PARSE_FIRST * any(name.startswith("trigger-") for name in known),
            ours=True,
        ),
    ]
    if default.score == "learned":
        found += [
            NamedRule(f"default without {name}", gate_score(default, without={name}), ours=True)
            for name in default.weights
            if name not in {"bias", SYNTAX, NAMES}
        ]
    else:
        found.append(NamedRule("learned", gate_score(Rule("learned", weights=weights)), ours=True))
    found += [
        NamedRule(f"{rule.name}, and faults", gate_score(rule), ours=True)
        for rule in (
            Rule("max"),
            Rule("max", measure="probability"),
            Rule("sum", measure="surprisal"),
            Rule("opening", measure="margin"),
            Rule("first", measure="probability"),
        )
        if rule != replace(default, tau=rule.tau)
    ]
    disagreement = _signal(DISAGREEMENT)
    found.append(
        NamedRule(
            "disagreement of candidates, and faults",
            lambda known: faulted(disagreement(known), known, Rule()),
            ours=True,
        )
    )
    return found


def gate_score(rule: Rule, *, without: set[str] | frozenset[str] = frozenset()) -> Score:
    """The very score that the gate compares with tau."""

    def score(signals: Mapping[str, float]) -> float:
        known = {name: value for name, value in signals.items() if name not in without}
        if known.get(COMMENT):
            return 0.0
        return faulted(line_score(known, rule) or 0.0, known, rule)

    return score


def named(rules: Sequence[NamedRule], name: str) -> NamedRule:
    """The rule of that name."""
    return next(rule for rule in rules if rule.name == name)


def _signal(name: str) -> Score:
    return lambda signals: signals.get(name, 0.0)
