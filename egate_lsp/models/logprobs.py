"""What servers tell of their tokens' probabilities, in one form. Pure.

Four shapes are in use, and "nothing":

    legacy arrays           {"tokens": [...], "token_logprobs": [...], "top_logprobs": [{text: logprob}, ...]}
                            /v1/completions of OpenAI, vLLM, DeepSeek
    content                 {"content": [{"token", "logprob", "bytes", "top_logprobs": [{"token", "logprob", ...}]}]}
                            chat everywhere; /v1/completions of llama-server and Ollama
    bare list               the same list without "content": Ollama's native API
    completion_probabilities  the same with "probs" or "top_probs" ("prob") for "top_logprobs": llama-server;
                            before 2025 {"content", "probs": [{"tok_str", "prob"}]}

A server's text is the truth, to the byte; tokens are laid along it (`Alignment`). Where they do not fit, because a
tokenizer's spelling of a character or a space got lost on the way, they are summed up.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from egate_lsp.values import Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ESCAPED = re.compile(r"bytes:((?:\\x[0-9a-fA-F]{2})+)")
_TOKEN_ID = re.compile(r"token_id:\d+")
LEAST = -100.0  # natural log; servers write -9999 or null for "next to nothing"


@dataclass(frozen=True, slots=True)
class Seen:
    """A token as the server told it.

    Attributes:
        piece: its bytes; empty if they are unknown.
        logprob: natural log of its probability; None if it was not told.
        top: `(bytes, natural log of the probability)` of the likeliest tokens, likeliest first.
    """

    piece: bytes
    logprob: float | None = None
    top: tuple[tuple[bytes, float], ...] = ()

    def token(self, vocabulary: int = 0) -> Token:
        """For the gate. `vocabulary`: the model's |V|; without it nothing can be normalised."""
        top = tuple(math.exp(logprob) for _, logprob in self.top)
        margin = top[0] - top[1] if len(top) > 1 else None
        return Token(self.piece, self.logprob, None, margin, vocabulary, top)

    def beyond(self, forced: bytes) -> Seen:
        """The part after `forced`, which the piece begins with, as a choice among tokens that could stand there:
        those that begin with `forced`, their probabilities made to sum to what they are of the whole."""
        possible = [(piece, logprob) for piece, logprob in self.top if piece.startswith(forced)]
        mass = math.fsum(math.exp(logprob) for _, logprob in possible)
        known = math.fsum(math.exp(logprob) for _, logprob in self.top)
        # What the server did not tell may be possible or not; it is taken to be so in the same part as what it told.
        share = mass / known if known else 0.0
        if self.logprob is None or not share:
            return Seen(self.piece[len(forced) :])
        scale = math.log(share)
        return Seen(
            self.piece[len(forced) :],
            min(self.logprob - scale, 0.0),
            tuple((piece[len(forced) :], min(logprob - scale, 0.0)) for piece, logprob in possible),
        )


def read(told: Any, top: int = 0) -> list[Seen]:
    """The tokens in a reply's `logprobs`, `completion_probabilities` or `probs`; empty for whatever else it holds.

    `top`: how many likeliest tokens were asked for; 0: all that came are kept. Some servers add the chosen one to
    them: it is no likeliest one, and is left out.
    """
    if isinstance(told, dict) and isinstance(told.get("tokens"), list):
        found = _legacy(told)
    else:
        entries = told.get("content") if isinstance(told, dict) else told
        found = [_entry(entry) for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [replace(seen, top=seen.top[:top]) for seen in found] if top else found


def _legacy(told: dict[str, Any]) -> list[Seen]:
    texts = told["tokens"]
    logprobs, tops = (
        value if isinstance(value, list) else [] for value in _pick(told, "token_logprobs", "top_logprobs")
    )
    found = []
    for index, text in enumerate(texts):
        top = tops[index] if index < len(tops) else None
        pairs = [(_bytes(key, None), _number(value)) for key, value in top.items()] if isinstance(top, dict) else []
        logprob = _number(logprobs[index]) if index < len(logprobs) else None
        found.append(Seen(_bytes(text, None), logprob, _sorted(pairs)))
    return found


def _entry(entry: dict[str, Any]) -> Seen:
    likeliest = next((value for value in _pick(entry, "top_logprobs", "top_probs", "probs") if value), None)
    pairs = [
        (_bytes(_text(other), other.get("bytes")), _logprob(other))
        for other in (likeliest if isinstance(likeliest, list) else [])
        if isinstance(other, dict)
    ]
    piece = _bytes(_text(entry), entry.get("bytes"))
    logprob = _logprob(entry)
    if logprob is None:  # the old form tells the chosen token's probability only among the likeliest
        logprob = next((known for text, known in pairs if text == piece), None)
    return Seen(piece, logprob, _sorted(pairs))


def _pick(table: dict[str, Any], *names: str) -> list[Any]:
    return [table.get(name) for name in names]


def _text(entry: dict[str, Any]) -> Any:
    return next((value for value in _pick(entry, "token", "tok_str", "content") if isinstance(value, str)), "")


def _logprob(entry: dict[str, Any]) -> float | None:
    if "logprob" in entry:
        return _number(entry["logprob"])
    prob = entry.get("prob")
    if isinstance(prob, int | float) and not isinstance(prob, bool) and math.isfinite(prob) and prob >= 0:
        return max(math.log(min(prob, 1.0)), LEAST) if prob else LEAST
    return None


def _number(value: Any) -> float | None:
    """A logprob within its range; None for what is none. Rounding puts some a hair above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return min(max(float(value), LEAST), 0.0)


def _sorted(pairs: Iterable[tuple[bytes, float | None]]) -> tuple[tuple[bytes, float], ...]:
    known = [(piece, logprob) for piece, logprob in pairs if logprob is not None]
    return tuple(sorted(known, key=lambda pair: pair[1], reverse=True))


def _bytes(text: Any, raw: Any) -> bytes:
    """The token's bytes: as told, or spelled from its text; empty where the text is an identifier instead."""
    if isinstance(raw, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in raw):
        return bytes(raw)
    if not isinstance(text, str) or _TOKEN_ID.fullmatch(text):
        return b""
    if (escaped := _ESCAPED.fullmatch(text)) is not None:
        return bytes.fromhex(escaped.group(1).replace("\\x", ""))
    return text.encode("utf-8", "replace")


def within(seen: Sequence[Seen], wanted: bytes) -> list[Seen]:
    """The tokens of `wanted`, a part of the text that `seen` spell, perhaps with other white space around it. Where it
    is no part of that text, it is one token of which nothing is known."""
    whole = b"".join(token.piece for token in seen)
    core = wanted.strip()
    start = whole.find(core)
    if not core or start < 0:
        return [Seen(wanted)] if wanted else []
    lead = wanted[: len(wanted) - len(wanted.lstrip())]
    trail = wanted[len(lead) + len(core) :]
    found = [Seen(lead)] if lead else []
    at = 0
    for token in seen:
        piece = token.piece[max(start - at, 0) : max(start + len(core) - at, 0)]
        at += len(token.piece)
        if piece:
            found.append(replace(token, piece=piece))
    return [*found, Seen(trail)] if trail else found


class Alignment:
    """Lays the tokens that a server tells along the text that it sends.

    The pieces that come out are the text, byte for byte. A token is given once its bytes are there; where text and
    tokens differ, all that is at hand becomes one token: its probability the product, its likeliest tokens those of
    its least certain part.
    """

    def __init__(self) -> None:
        self._text = b""
        self._waiting: list[Seen] = []

    def feed(self, text: str, seen: Sequence[Seen] = ()) -> list[Seen]:
        """What can be told after this piece of the reply."""
        self._text += text.encode("utf-8", "replace")
        self._waiting += seen
        out: list[Seen] = []
        while self._text:
            if not self._waiting:
                out.append(Seen(self._text))
                self._text = b""
                break
            head = self._waiting[0]
            if head.piece and self._text.startswith(head.piece):
                out.append(self._waiting.pop(0))
                self._text = self._text[len(head.piece) :]
            elif head.piece and head.piece.startswith(self._text):
                break  # the rest of its bytes is on its way
            else:
                out.append(_summed(self._waiting, self._text))
                self._text, self._waiting = b"", []
        return out

    def end(self) -> list[Seen]:
        """What is left when the text has ended. A stop text is cut from the text, not from its tokens: the line break
        that ends a line is told as a token without bytes, because it says how sure the end is."""
        text, waiting = self._text, self._waiting
        self._text, self._waiting = b"", []
        if text:
            return [replace(waiting[0], piece=text) if waiting else Seen(text)]
        if waiting and waiting[0].piece.startswith((b"\n", b"\r\n")):
            return [replace(waiting[0], piece=b"")]
        return []


def _summed(parts: Sequence[Seen], text: bytes) -> Seen:
    known = [part.logprob for part in parts if part.logprob is not None]
    least = min(
        (part for part in parts if part.logprob is not None), key=lambda part: part.logprob or 0.0, default=None
    )
    return Seen(text, max(math.fsum(known), LEAST) if known else None, least.top if least else ())
