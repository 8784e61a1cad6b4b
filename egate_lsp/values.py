"""The values that travel between the stages. They know nothing of models, protocols or clocks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from egate_lsp import snippets as rendering

if TYPE_CHECKING:
    from collections.abc import Mapping


class Source(StrEnum):
    """Which kind of tier wrote a line."""

    DRAFT = "draft"
    TARGET = "target"


class Verdict(StrEnum):
    """What the gate says of a line."""

    KEEP = "keep"
    DEFER = "defer"


class Shape(StrEnum):
    """How much text is wanted at the cursor."""

    LINE = "line"  # the rest of the cursor's line
    BLOCK = "block"  # lines until the block ends


class Outcome(StrEnum):
    """What the user did with a suggestion."""

    ACCEPTED = "accepted"
    PARTLY = "accepted in part"
    TYPED_THROUGH = "typed through"  # all of it, by hand
    TYPED_PAST = "typed past"
    DISMISSED = "dismissed"
    UNDONE = "undone"  # accepted, then taken away


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A document at one moment.

    Attributes:
        offset: the cursor, in code points into `text`.
        path: a file path or another name; used for privacy patterns and shown to the models.
        language: LSP language identifier; "" lets the path tell.
    """

    text: str
    offset: int
    path: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A part of another file that models are shown.

    Attributes:
        path: as models are shown it: relative to the workspace, with slashes.
        text: whole lines, line breaks as LF.
        source: what found it, in words for the user, e.g. "similar code".
        file: full path, which no model is told; whether the text may leave the machine depends on it.
        language: the file's, as the editor says; "" lets the path tell.
    """

    path: str
    text: str
    source: str
    file: str = field(default="", repr=False)
    language: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class WindowPart:
    """A part of what the models were shown, for the explanation.

    Attributes:
        name: in words.
        chars: its size.
        text: it, where the user does not see it around the cursor anyway; else "".
        left_out: why it was not shown after all; "" for what was.
    """

    name: str
    chars: int
    text: str = ""
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class FimContext:
    """What a model is shown: text before and after the hole, cut to budget, line breaks as LF.

    Attributes:
        path: the file's name, as models are told it.
        head, tail: the document's text before the prefix and after the suffix. No model is shown it; the syntax check
            needs the whole text.
        file: the document's full path, which no model is told; whether its text may leave the machine depends on it.
        outline: the rest of the file in short, as whole lines; models are shown it directly before the prefix.
        snippets: parts of other files, those that change least first; models are shown them before the outline.
        left_out: what was found beside these and is not shown, for the explanation.
    """

    prefix: str
    suffix: str
    path: str = ""
    language: str = ""
    shape: Shape = Shape.BLOCK
    head: str = field(default="", repr=False)
    tail: str = field(default="", repr=False)
    file: str = field(default="", repr=False)
    outline: str = ""
    snippets: tuple[Snippet, ...] = ()
    left_out: tuple[WindowPart, ...] = field(default=(), repr=False, compare=False)

    @property
    def elsewhere(self) -> str:
        """The snippets as models are shown them."""
        return rendering.rendered(((each.path, each.text) for each in self.snippets), self.path, self.language)

    @property
    def shown(self) -> str:
        """What models are shown before the hole: the snippets, the outline, the prefix."""
        return self.elsewhere + self.outline + self.prefix

    @property
    def window(self) -> tuple[WindowPart, ...]:
        """What is shown, part by part, then what was left out."""
        parts = [
            WindowPart(
                f"{each.source}: {each.path}", len(rendering.part(each.path, each.text, self.language)), each.text
            )
            for each in self.snippets
        ]
        if self.outline:
            parts.append(WindowPart("the rest of the file in short", len(self.outline), self.outline))
        parts.append(WindowPart("before the cursor", len(self.prefix)))
        parts.append(WindowPart("after the cursor", len(self.suffix)))
        return (*parts, *self.left_out)

    @property
    def joined(self) -> FimContext:
        """The same hole with the snippets and the outline as a part of the prefix."""
        if not self.outline and not self.snippets:
            return self
        return replace(self, prefix=self.shown, outline="", snippets=())

    def extended(self, text: str) -> FimContext:
        """The same hole after `text` has been written into its beginning."""
        return replace(self, prefix=self.prefix + text)


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token and the distribution it was taken from.

    Attributes:
        piece: its bytes after the cursor; may hold part of a character.
        logprob: natural log of its probability, or None if the engine does not tell.
        entropy: nats, over the full vocabulary at temperature 1 before any filter; None if the engine does not
            tell or the token was forced (token healing): a forced token carries no uncertainty of its own.
        margin: probability of the likeliest token less that of the second, in [0, 1].
        vocabulary: number of tokens in the model's vocabulary, |V|; 0 if unknown.
        top: probabilities of the likeliest tokens by falling probability, the chosen one's among them where it is one
            of them; empty if they were not asked for. An engine that tells nothing else is gated by these.
    """

    piece: bytes
    logprob: float | None = None
    entropy: float | None = None
    margin: float | None = None
    vocabulary: int = 0
    top: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftLine:
    """A line as a model wrote it.

    Attributes:
        text: without its line break.
        tokens: those charged to this line (`draft` says by which rule).
        complete: the line ended by a line break or because the model had finished.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class GatedLine:
    """A line with the gate's verdict.

    Attributes:
        score: aggregate of the tokens' uncertainty, in [0, 1]; None where nothing could be scored.
        weighed: the score after faults and what the user did: what was compared with tau; None where there was none.
        reasons: why, in words for the user; never empty for a deferred line.
        signals: what is known of the line's uncertainty, by name; see `signals`.
    """

    line: DraftLine
    verdict: Verdict
    score: float | None = None
    reasons: tuple[str, ...] = ()
    signals: Mapping[str, float] = field(default_factory=dict)
    weighed: float | None = None


@dataclass(frozen=True, slots=True)
class CompletionLine:
    """A line of the merged completion.

    Attributes:
        tier: name of the model that wrote it.
        score: the gate's score of the draft's line at this place.
        reasons: why it was kept, deferred, or not replaced.
        tokens: the tokens of this text where its writer told their probabilities.
        draft: the draft's first line where another took its place, of another tier or chosen from several of its own.
        verdict: the gate's on the draft's line at this place; None where none was drafted.
        signals: what was known of the draft's line, by name; see `signals`.
        weighed: the score as it was compared with tau; None where there was none.
    """

    text: str
    source: Source
    tier: str = ""
    score: float | None = None
    reasons: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()
    draft: str | None = None
    verdict: Verdict | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    weighed: float | None = None


@dataclass(frozen=True, slots=True)
class TierRequest:
    """One request to a tier behind the draft.

    Attributes:
        outcome: "answered", "late", "failed", "cached", "cancelled" or "withheld": kept here by the user's terms.
        latency_ms: from the moment the gate fired to the end of the line or of the waiting.
        prompt_tokens, completion_tokens: as the server counted them; None if nothing is known.
        cached_tokens: of prompt_tokens, those that the server had read before; None if it did not say.
        estimated: the server did not count, or was not listened to until it had: the figures are a guess by length.
        detail: the error's text for a failure.
    """

    tier: str
    line: int
    outcome: str
    latency_ms: float
    remote: bool = True
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    estimated: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """What goes back to the editor, with its history.

    Attributes:
        lines: the first continues the cursor's line. Empty: nothing to show.
        requests: every request made for it to a tier behind the draft.
        timing_ms: milliseconds by stage: "context", "draft_first_line", "draft", "repair", "choice", "target_wait",
            "merge", "total"; "head_start": for how long the draft had been under way when it was asked for; if it had
            come to its end by then, for how long it was, and the stages that need a model are left out.
        pending: True if more was still awaited when this was returned, of the draft or of another tier; it is kept for
            the next request at the same place.
        note: why there is nothing or less to show, for the user; empty otherwise.
        stats: counters of the draft engine, e.g. prompt_tokens, evaluated_tokens, generated_tokens.
        window: what the models were shown; empty if none was asked.
    """

    lines: tuple[CompletionLine, ...] = ()
    requests: tuple[TierRequest, ...] = ()
    timing_ms: dict[str, float] = field(default_factory=dict)
    pending: bool = False
    note: str = ""
    stats: dict[str, float] = field(default_factory=dict)
    window: tuple[WindowPart, ...] = ()

    @property
    def text(self) -> str:
        """The lines joined by LF: exactly what is inserted at the cursor."""
        return "\n".join(line.text for line in self.lines)
