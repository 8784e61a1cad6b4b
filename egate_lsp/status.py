"""What a status line shows: what the service is doing, and what was used today. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["starting", "fetching", "loading", "ready", "working", "asking-target", "paused", "error", "off"]
BUSY: frozenset[State] = frozenset({"starting", "fetching", "loading", "working", "asking-target"})


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the service.

    Attributes:
        reason: for "error" what is wrong; for "paused" and "fetching" what is going on.
        hint: for "error" how to mend it.
        target: its name; None: no target is configured.
        progress: of fetching or loading, 0 to 1; None if unknown.
        target_state: "ok", or what is wrong with the target in one word (`TargetError.state`, or "misconfigured");
            completions go on from the draft meanwhile.
        target_reason: that in a sentence, with what to do; "" while all is well.
    """

    state: State
    reason: str = ""
    model: str = ""
    target: str | None = None
    progress: float | None = None
    hint: str = ""
    target_state: str = "ok"
    target_reason: str = ""

    @property
    def explanation(self) -> str:
        """Reason and hint as one text for a person."""
        return f"{self.reason} {self.hint}".strip()


@dataclass(frozen=True, slots=True)
class Usage:
    """What was shown, and what tiers behind the draft were asked, on one day.

    Attributes:
        day: YYYY-MM-DD, in local time.
        share: of the lines shown, those that a target wrote; 0 to 1.
        tokens_in, tokens_out: of the target.
        estimated: some server did not count its tokens, or was not listened to until it did.
        cost: in `currency`; None where no price is known.
        cap: the most that may be spent in a day; None: no cap.
        warning: for the user, e.g. that the cap is near; else empty.
    """

    day: str
    lines: int = 0
    lines_target: int = 0
    share: float = 0.0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    estimated: bool = False
    cost: float | None = None
    currency: str = "USD"
    cap: float | None = None
    warning: str = ""


def as_json(value: Status | Usage) -> dict[str, Any]:
    """With keys in camelCase, as docs/protocol.md names them."""
    return {_camel(key): item for key, item in asdict(value).items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
