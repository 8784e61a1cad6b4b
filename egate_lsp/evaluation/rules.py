"""The deferral rules that are compared: rivals as published, entropy in each form, and ours with and without its parts.

A rule gives a score from what is known before the target is asked; lines are deferred by falling score.
MCCom: arXiv 2603.05974. SynConfRoute: arXiv 2605.04894. First-token margin: Ramirez et al., arXiv 2405.02134.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.gate import DEFAULT_WEIGHTS, SYNTAX
from egate_lsp.signals import AGGREGATES, MEASURES, combine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARSE_FIRST = 10.0  # above any score: what does not parse is deferred before all else


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A rule by name.

    Attributes:
        ours: deferring may still end with the draft's line, if the target's is worse (`escalate.choose`).
    """

    name: str
    score: Callable[[Mapping[str, float]], float]
    ours: bool = False


def _signal(name: str) -> Callable[[Mapping[str, float]], float]:
    return lambda signals: signals.get(name, 0.0)


def rivals() -> list[NamedRule]:
    """Published rules, and every measure by every aggregate."""
    published = [
        NamedRule("random", lambda _signals: 0.0),
        NamedRule("MCCom: mean probability of the first 3", _signal("probability-first")),
        NamedRule(
            "SynConfRoute: mean log-probability of the first 3, and parse",
            _syntax_first(_signal("surprisal-first")),
        ),
        NamedRule("first-token margin", _signal("margin-opening")),
    ]
    plain = [NamedRule(f"{measure} {how}", _signal(f"{measure}-{how}")) for measure in MEASURES for how in AGGREGATES]
    return [*published, *plain]


def ours() -> list[NamedRule]:
    """The rule that the settings have by default, it without each of its parts, and the alternatives to it."""
    entropy, probability = _signal("entropy-max"), _signal("probability-max")
    return [
        NamedRule("default", _syntax_first(entropy), ours=True),
        NamedRule("default, the target's line never refused", _syntax_first(entropy)),
        NamedRule("default without syntax", entropy, ours=True),
        NamedRule("probability max, syntax first", _syntax_first(probability), ours=True),
        NamedRule("learned", lambda signals: combine(signals, DEFAULT_WEIGHTS), ours=True),
        NamedRule("disagreement of candidates, syntax first", _syntax_first(_signal("disagreement")), ours=True),
    ]


def _syntax_first(score: Callable[[Mapping[str, float]], float]) -> Callable[[Mapping[str, float]], float]:
    return lambda signals: score(signals) + PARSE_FIRST * signals.get(SYNTAX, 0.0)
