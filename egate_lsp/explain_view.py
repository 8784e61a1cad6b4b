"""One completion with everything known of it, laid out for reading; the HTML page and the terminal draw these facts.

Pure. All text here is ready to be shown: control characters are made visible, so no view can be steered by the code
that it shows; escaping for its own syntax is left to each view.
"""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from egate_lsp.prices import tokens
from egate_lsp.signals import uncertainty

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from egate_lsp.values import Completion, CompletionLine, TierRequest, Token, WindowPart

CONTEXT_LINES = 6
LEAST_SCALE = 0.3  # a completion of which all is certain shall not look alarming
SHOWN, LEFT_OUT = "shown to the models", "found and left out"
STEPS = 10  # of the colour scale
_CONTINUATION = bytes(range(0x80, 0xC0))
_LINE_END = re.compile(r"\r\n|\r|\n")
# Characters that reorder what is shown after them, or show nothing: they can make code look like other code.
_INVISIBLE = re.compile("[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_CONTROL = {code: 0x2400 + code for code in range(32) if code != 9} | {127: 0x2421}
_CONTROL |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_BLANKS = {ord(" "): "·", ord("\t"): "→", ord("\n"): "⏎", ord("\r"): "␍"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a completion was asked for: `offset` in code points into `text`."""

    name: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Gate:
    """By which rule the draft's lines were judged; `tau` is None if that is not known."""

    rule: str = ""
    tau: float | None = None


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A token as the tables show it.

    Attributes:
        label: its text with white space made visible.
        normalised: its entropy divided by ln|V|; None if it has no vote, and `silent`
            says why.
    """

    label: str
    entropy: float | None = None
    normalised: float | None = None
    probability: float | None = None
    margin: float | None = None
    top: tuple[float, ...] = ()
    silent: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a line in one shade.

    Attributes:
        tokens: that wrote it: none if unknown, several if they share a character.
        beyond: it is not part of the line's text, e.g. the line break that ended it.
    """

    text: str
    tokens: tuple[TokenFacts, ...] = ()
    beyond: bool = False

    @property
    def normalised(self) -> float | None:
        """The highest of its tokens'."""
        return max((token.normalised for token in self.tokens if token.normalised is not None), default=None)


@dataclass(frozen=True, slots=True)
class ContextLine:
    """A line of the document around the completion."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class LineFacts:
    """A line of the completion.

    Attributes:
        number: in the document with the completion in it, from 1.
        before, after: what stands on the cursor's line around the completion.
        verdict: "keep", "defer", or "" where the draft had no line to judge.
        replaced: the draft's line if another stands here now.
        requests: made for this line.
    """

    number: int
    before: str
    spans: tuple[Span, ...]
    after: str
    source: str
    tier: str
    verdict: str
    score: float | None
    reasons: tuple[str, ...]
    replaced: str | None
    requests: tuple[RequestFacts, ...]
    tokens: tuple[TokenFacts, ...]
    signals: tuple[tuple[str, float], ...]

    @property
    def uncertain(self) -> list[TokenFacts]:
        """The tokens that vote, the least certain first."""
        voters = [token for token in self.tokens if token.normalised is not None]
        return sorted(voters, key=lambda token: -(token.normalised or 0.0))


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """A request to a tier behind the draft; `number` is the document's line it was for."""

    tier: str
    number: int
    outcome: str
    latency_ms: float
    prompt_tokens: int | None
    completion_tokens: int | None
    remote: bool
    detail: str


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A part of what the models were shown, or were not after all.

    Attributes:
        cost: in words.
        rows: its lines; none where these are around the cursor, or were not shown.
        left_out: why it was not shown; "" for what was.
    """

    name: str
    cost: str
    rows: tuple[str, ...] = ()
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """All of it.

    Attributes:
        cursor_line: the cursor's line where there is no completion: number, text before and after the cursor.
        scale: normalised entropy of the strongest shade.
    """

    name: str
    number: int
    gate: Gate
    above: tuple[ContextLine, ...]
    lines: tuple[LineFacts, ...]
    cursor_line: tuple[int, str, str] | None
    below: tuple[ContextLine, ...]
    requests: tuple[RequestFacts, ...]
    timing_ms: tuple[tuple[str, float], ...]
    stats: tuple[tuple[str, float], ...]
    window: tuple[PartFacts, ...]
    pending: bool
    note: str
    scale: float

    @property
    def shown_parts(self) -> tuple[PartFacts, ...]:
        """What the models were shown."""
        return tuple(part for part in self.window if not part.left_out)

    @property
    def left_out(self) -> tuple[PartFacts, ...]:
        """What was found and not shown."""
        return tuple(part for part in self.window if part.left_out)

    def step(self, normalised: float | None) -> int | None:
        """The shade, 0 to `STEPS`; None where there is nothing to tell."""
        return None if normalised is None else min(round(normalised / self.scale * STEPS), STEPS)


def view(completion: Completion, place: Place, gate: Gate | None = None) -> View:
    """The facts of a completion made at a place."""
    above, before = _split_last(_LINE_END.split(place.text[: place.offset]))
    after, *below = _LINE_END.split(place.text[place.offset :])
    number = len(above) + 1
    requests = tuple(_request(request, number) for request in completion.requests)
    lines = [_line(line, number + index, requests) for index, line in enumerate(completion.lines)]
    if lines:
        lines[0] = replace(lines[0], before=shown(before))
        lines[-1] = replace(lines[-1], after=shown(after))
    highest = max((token.normalised or 0.0 for line in lines for token in line.tokens), default=0.0)
    first_above = max(number - CONTEXT_LINES, 1)
    return View(
        name=shown(place.name),
        number=number,
        gate=gate or Gate(),
        above=_context(above[first_above - 1 :], first_above),
        lines=tuple(lines),
        cursor_line=None if lines else (number, shown(before), shown(after)),
        below=_context(_without_final_break(below)[:CONTEXT_LINES], number + max(len(lines), 1)),
        requests=requests,
        timing_ms=tuple((name.replace("_", " "), value) for name, value in completion.timing_ms.items()),
        stats=tuple((name.replace("_", " "), value) for name, value in completion.stats.items()),
        window=tuple(_part(part) for part in completion.window),
        pending=completion.pending,
        note=shown(completion.note),
        scale=max(LEAST_SCALE, highest),
    )


def shown(text: str) -> str:
    """The text with control characters (but for the tab) and invisible ones replaced by visible signs."""
    return _INVISIBLE.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", text.translate(_CONTROL))


def visible(text: str) -> str:
    """`shown`, and if the text is nothing but white space, that made visible."""
    return text.translate(_BLANKS) if text and not text.strip(" \t\r\n") else shown(text)


def number(value: float | None, digits: int = 3) -> str:
    """For the tables: a dash where nothing is known, whole numbers without a fraction."""
    if value is None or math.isnan(value):
        return "–"  # noqa: RUF001  # a dash is meant
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if 0 < abs(value) < 10.0**-digits:
        return f"<{10.0**-digits:.{digits}f}" if value > 0 else f"-{10.0**-digits:.{digits}f}<"
    return f"{value:.{digits}f}"


def count(value: float) -> str:
    """A counter or a signal: without a fraction if it is whole."""
    return f"{int(value)}" if math.isfinite(value) and value == int(value) else number(value, 4)


def _split_last(lines: list[str]) -> tuple[list[str], str]:
    return lines[:-1], lines[-1]


def _without_final_break(lines: list[str]) -> list[str]:
    return lines[:-1] if lines and not lines[-1] else lines


def _context(lines: Iterable[str], first: int) -> tuple[ContextLine, ...]:
    return tuple(ContextLine(first + index, shown(text)) for index, text in enumerate(lines))


def _part(part: WindowPart) -> PartFacts:
    rows = tuple(shown(row) for row in part.text.rstrip("\n").split("\n") if part.text)
    return PartFacts(
        shown(part.name), f"{part.chars} characters, ~{tokens(part.chars)} tokens", rows, shown(part.left_out)
    )


def _request(request: TierRequest, first: int) -> RequestFacts:
    return RequestFacts(
        tier=shown(request.tier),
        number=first + request.line,
        outcome=request.outcome,
        latency_ms=request.latency_ms,
        prompt_tokens=request.prompt_tokens,
        completion_tokens=request.completion_tokens,
        remote=request.remote,
        detail=shown(request.detail),
    )


def _line(line: CompletionLine, number: int, requests: Sequence[RequestFacts]) -> LineFacts:
    changed = line.draft is not None and line.draft.rstrip() != line.text.rstrip()
    return LineFacts(
        number=number,
        before="",
        spans=spans(line.text, line.tokens),
        after="",
        source=line.source.value,
        tier=shown(line.tier),
        verdict="" if line.verdict is None else line.verdict.value,
        score=line.score,
        reasons=tuple(shown(reason) for reason in line.reasons),
        replaced=shown(line.draft) if changed and line.draft is not None else None,
        requests=tuple(request for request in requests if request.number == number),
        tokens=tuple(_facts(token, index == len(line.tokens) - 1) for index, token in enumerate(line.tokens)),
        signals=tuple((shown(name), value) for name, value in line.signals.items()),
    )


def _facts(token: Token, last: bool = False) -> TokenFacts:  # noqa: FBT001, FBT002  # one fact about its place
    text = token.piece.decode("utf-8", "replace")
    return TokenFacts(
        label=_label(token.piece) if text else ("(end)" if last else "(forced)"),
        entropy=token.entropy,
        normalised=_vote(token),
        probability=None if token.logprob is None else math.exp(min(token.logprob, 0.0)),
        margin=token.margin,
        top=token.top,
        silent=_why_silent(token),
    )


def _vote(token: Token) -> float | None:
    return uncertainty(token, "entropy") if token.entropy is not None and math.isfinite(token.entropy) else None


def _label(piece: bytes) -> str:
    try:
        text = piece.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes " + piece.hex(" ")
    return visible(text) if not text.strip() else shown(text.replace("\n", "⏎").replace("\t", "→"))


def _why_silent(token: Token) -> str:
    if _vote(token) is not None:
        return ""
    if token.entropy is None or not math.isfinite(token.entropy):
        return "no entropy: forced, or the engine does not tell"
    return "no vote: the size of the vocabulary is unknown" if token.vocabulary < 2 else "no vote: indentation"


def spans(text: str, tokens: Sequence[Token]) -> tuple[Span, ...]:
    """The line cut where its tokens meet. Tokens that are not this text's (healed, cut or cleaned) shade nothing:
    better no shade than a wrong one."""
    pieces = _characters(tokens)
    start = _shift(text, "".join(piece for piece, _ in pieces))
    if start is None:
        return (Span(shown(text)),) if text else ()
    result: list[Span] = []
    at, done = start, 0
    for piece, owners in pieces:
        end = at + len(piece)
        inside = text[max(at, done) : max(end, 0)]
        if inside:
            if at > done:
                result.append(Span(shown(text[done:at])))
            result.append(Span(visible(inside), owners))
            done = max(at, done) + len(inside)
        elif at >= len(text) and owners:
            if done < len(text):
                result.append(Span(shown(text[done:])))
                done = len(text)
            result.append(Span(visible(piece) or "∎", owners, beyond=True))
        at = end
    if done < len(text):
        result.append(Span(shown(text[done:])))
    return tuple(result)


def _characters(tokens: Sequence[Token]) -> list[tuple[str, tuple[TokenFacts, ...]]]:
    """Whole characters with the tokens that wrote them: tokens that share a character become one."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    result: list[tuple[str, tuple[TokenFacts, ...]]] = []
    text, owners = "", list[TokenFacts]()
    for index, token in enumerate(tokens):
        # A character begun by a token of the line above is decoded there.
        piece = token.piece.lstrip(_CONTINUATION) if index == 0 else token.piece
        text += decoder.decode(piece, final=index == len(tokens) - 1)
        owners.append(_facts(token, last=index == len(tokens) - 1))
        if not decoder.getstate()[0]:
            result.append((text, tuple(owners)))
            text, owners = "", []
    return result


def _shift(text: str, written: str) -> int | None:
    """Where in `text` the tokens' text begins (negative: before it), so that the two agree wherever both stand and
    share at least half of the line; None if nowhere."""
    if not text.strip():
        return 0 if written.startswith(text) else None
    best, best_shared = None, 0
    enough = (len(text.strip()) + 1) // 2
    for start in range(-len(written) + 1, len(text)):
        here = text[max(start, 0) : max(start + len(written), 0)]
        there = written[max(-start, 0) : max(-start, 0) + len(here)]
        shared = len(here.strip())
        if here == there and shared >= enough and shared > best_shared:
            best, best_shared = start, shared
    return best
