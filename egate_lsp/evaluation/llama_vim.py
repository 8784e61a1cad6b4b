"""What llama.vim does between a key and llama.cpp's `/infill`: its context, its cache, its ring of chunks and what it
leaves out of a reply. Behaviour and constants as read in its source (github.com/ggml-org/llama.vim,
autoload/llama.vim, as of January 2026, MIT); written anew.

Lines count from 0 here, from 1 there. Pure, apart from the chance that picks chunks, which is handed in.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The defaults of g:llama_config.
PREFIX_LINES = 256
SUFFIX_LINES = 64
N_PREDICT = 128
T_MAX_PROMPT_MS = 500  # sent, and not looked at by the server
T_MAX_PREDICT_MS = 1000  # of a request for what follows a text that is shown
T_MAX_FIRST_MS = 250  # of a request at the cursor
MAX_LINE_SUFFIX = 8  # characters after the cursor in its line; with more it is not asked
MAX_CACHE_KEYS = 250
RING_CHUNKS = 16
RING_QUEUE = 16
CHUNK_LINES = 64
RING_SCOPE = 1024
RING_UPDATE_S = 1.0
RING_IDLE_S = 3.0  # without a move, before chunks are processed in insert mode
RETRY_S = 0.1  # a request waits so long while another is under way
LOOK_BACK = 128  # characters
SCROLLED_LINES = 3  # by so many lines the window may have moved
FAR_LINES = 32  # a cursor that has moved so far gathers chunks
SIMILAR_TO_NEW, SIMILAR_TO_CURRENT = 0.9, 0.5
# What it recommends for small machines, `llama-server --fim-qwen-1.5b-default`, sets for the server.
SERVER_OPTIONS = {"n_batch": 1024, "n_ubatch": 1024, "n_cache_reuse": 256}
SEPARATOR = "\u00ce"
RESPONSE_FIELDS = ("content", "timings/prompt_n", "timings/predicted_n", "truncated", "tokens_cached")


@dataclass(frozen=True, slots=True)
class Local:
    """The context at a place. `line` is the cursor's line, or that of the end of a text that is shown."""

    prefix: str
    middle: str
    suffix: str
    indent: int
    line: str
    line_suffix: str

    @property
    def keys(self) -> list[str]:
        """By which a reply is cached: as it is, and with one to three lines scrolled out at the top."""
        found = [f"{self.prefix}{self.middle}{SEPARATOR}{self.suffix}"]
        prefix = self.prefix
        for _ in range(SCROLLED_LINES):
            _, line_break, prefix = prefix.partition("\n")
            if not line_break or not prefix:
                break
            found.append(f"{prefix}{self.middle}{SEPARATOR}{self.suffix}")
        return found


@dataclass(frozen=True, slots=True)
class Hint:
    """What is on the screen.

    Attributes:
        content: its lines; the last one ends with what stands after the cursor.
        text: what is new of it.
        insert: what accepting it puts at the cursor; "" where it would change the line's indentation too.
        acceptable: it is not white space alone.
    """

    content: tuple[str, ...]
    text: str
    insert: str
    acceptable: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    lines: tuple[str, ...]
    filename: str

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def local(lines: Sequence[str], row: int, column: int, shown: Sequence[str] = (), indent: int = 0) -> Local:
    """The context at the cursor; with `shown`, as if that text stood there already (`indent` is the last one then)."""
    here = lines[row]
    after = lines[row + 1 : row + 1 + SUFFIX_LINES]
    if not shown:
        before = list(lines[max(row - PREFIX_LINES, 0) : row])
        line, middle, line_suffix = here, here[:column], here[column:]
        if not here.strip():
            middle, line_suffix, indent = "", "", 0
        else:
            indent = len(here) - len(here.lstrip())
    else:
        line = here + shown[0] if len(shown) == 1 else shown[-1]
        middle, line_suffix = line, ""
        before = list(lines[max(row - PREFIX_LINES + len(shown) - 1, 0) : row])
        if len(shown) > 1:
            before += [here + shown[0], *shown[1:-1]]
    return Local(
        "\n".join(before) + "\n", middle, line_suffix + "\n" + "\n".join(after) + "\n", indent, line, line_suffix
    )


def rendered(content: str, lines: Sequence[str], row: int, column: int) -> Hint:
    """What is shown of a reply at the cursor, if it does not repeat what stands there."""
    parts = content.split("\n")
    while parts and not parts[-1]:
        parts.pop()
    usable = bool(parts)
    parts = parts or [""]
    here = lines[row]
    fits = True
    if not here.strip():
        lead = min(len(parts[0]) - len(parts[0].lstrip()), len(here))
        fits = parts[0][:lead] == here
        here, parts[0] = parts[0][:lead], parts[0][lead:]
    before, after = here[:column], here[column:]
    if _repeats(parts, lines, row, before, after):
        parts = [""]
    text = "\n".join(parts)
    parts[-1] += after
    acceptable = usable and bool("".join(parts).strip())
    return Hint(tuple(parts), text, text if fits else "", acceptable)


def _repeats(parts: Sequence[str], lines: Sequence[str], row: int, before: str, after: str) -> bool:
    if len(parts) > 1 and not parts[0] and list(parts[1:]) == list(lines[row + 1 : row + len(parts)]):
        return True
    if len(parts) == 1 and parts[0] == after:
        return True
    next_row = row + 1
    while next_row < len(lines) - 1 and not lines[next_row].strip():
        next_row += 1
    if next_row >= len(lines) or before + parts[0] != lines[next_row]:
        return False
    following = lines[next_row + 1] if next_row + 1 < len(lines) else ""
    if len(parts) == 2:
        return following.startswith(parts[1])
    return len(parts) == 1 or list(parts[1:]) == list(lines[next_row + 1 : next_row + len(parts)])


def request(context: Local, extra: Sequence[Chunk], *, speculative: bool) -> dict[str, Any]:
    """The body of a request to `/infill`."""
    return {
        "id_slot": 0,
        "input_prefix": context.prefix,
        "input_suffix": context.suffix,
        "input_extra": _extra(extra),
        "prompt": context.middle,
        "n_predict": N_PREDICT,
        "stop": [],
        "n_indent": context.indent,
        "top_k": 40,
        "top_p": 0.90,
        "samplers": ["top_k", "top_p", "infill"],
        "stream": False,
        "cache_prompt": True,
        "t_max_prompt_ms": T_MAX_PROMPT_MS,
        "t_max_predict_ms": T_MAX_PREDICT_MS if speculative else T_MAX_FIRST_MS,
        "response_fields": list(RESPONSE_FIELDS),
    }


def warming(extra: Sequence[Chunk]) -> dict[str, Any]:
    """The body of a request that has the ring's chunks read and writes nothing. Its timings are asked for, which
    llama.vim does not: they are counted here."""
    return {
        "id_slot": 0,
        "input_prefix": "",
        "input_suffix": "",
        "input_extra": _extra(extra),
        "prompt": "",
        "n_predict": 0,
        "temperature": 0.0,
        "samplers": [],
        "stream": False,
        "cache_prompt": True,
        "t_max_prompt_ms": 1,
        "t_max_predict_ms": 1,
        "response_fields": ["timings/prompt_n"],
    }


def _extra(chunks: Sequence[Chunk]) -> list[dict[str, str]]:
    return [{"text": chunk.text, "filename": chunk.filename} for chunk in chunks]


class Cache:
    """Replies by context; the least recently used gives way."""

    def __init__(self) -> None:
        self._replies: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._replies)

    def put(self, keys: Sequence[str], content: str) -> None:
        """Store a reply under each of the keys."""
        for key in keys:
            self._replies.pop(key, None)
            while len(self._replies) > MAX_CACHE_KEYS - 1:
                self._replies.popitem(last=False)
            self._replies[key] = content

    def get(self, key: str) -> str | None:
        """The reply, used now."""
        if key in self._replies:
            self._replies.move_to_end(key)
        return self._replies.get(key)

    def holds(self, context: Local) -> bool:
        """There is a reply for this place: it is not asked again."""
        return any(self.get(key) is not None for key in context.keys)

    def find(self, context: Local) -> str | None:
        """The reply for this place, or the longest that is left of one for a place up to `LOOK_BACK` characters before,
        of which the beginning was typed since."""
        if (exact := self.get(context.keys[0])) is not None:
            return exact
        past, best = context.prefix + context.middle, None
        for typed in range(1, min(LOOK_BACK, len(past)) + 1):
            content = self.get(f"{past[:-typed]}{SEPARATOR}{context.suffix}")
            if not content or not content.startswith(past[-typed:]):
                continue
            rest = content[typed:]
            if rest and (best is None or len(rest) > len(best)):
                best = rest
        return best


@dataclass(slots=True)
class Ring:
    """Chunks of text from where the user was, shown to the model before the file.

    Attributes:
        chance: a whole number between the two, both included.
    """

    chance: Callable[[int, int], int]
    chunks: list[Chunk] = field(default_factory=list)
    queued: list[Chunk] = field(default_factory=list)

    def pick(self, text: Sequence[str], filename: str, *, evict: bool) -> None:
        """Queue a part of the text, unless it is small or known. `evict`: chunks much like it go; else it does."""
        if len(text) < 3:
            return
        lines = tuple(text if len(text) + 1 < CHUNK_LINES else self._part(text))
        if any(chunk.lines == lines for chunk in (*self.chunks, *self.queued)):
            return
        for held in (self.queued, self.chunks):
            for chunk in reversed(list(held)):
                if similarity(chunk.lines, lines) > SIMILAR_TO_NEW:
                    if not evict:
                        return
                    held.remove(chunk)
        if len(self.queued) == RING_QUEUE:
            self.queued.pop(0)
        self.queued.append(Chunk(lines, filename))

    def take_in(self) -> bool:
        """One of the queue comes into the ring. False: there is none."""
        if not self.queued:
            return False
        if len(self.chunks) == RING_CHUNKS:
            self.chunks.pop(0)
        self.chunks.append(self.queued.pop(0))
        return True

    def evict_like(self, text: Sequence[str]) -> None:
        """Drop chunks that are like what is around the cursor; the oldest is never looked at."""
        current = tuple(self._part(text))
        self.chunks[1:] = [chunk for chunk in self.chunks[1:] if similarity(chunk.lines, current) <= SIMILAR_TO_CURRENT]

    def _part(self, text: Sequence[str]) -> Sequence[str]:
        half = CHUNK_LINES // 2
        start = self.chance(0, max(len(text) - half, 0))
        return text[start : min(start + half, len(text)) + 1]


def around(lines: Sequence[str], row: int) -> Sequence[str]:
    """The lines near the cursor from which chunks are taken."""
    half = CHUNK_LINES // 2
    return lines[max(row - half, 0) : row + half + 1]


def similarity(one: Sequence[str], other: Sequence[str]) -> float:
    """Share of lines that both have, in [0, 1]."""
    known = set(other)
    return 2.0 * sum(line in known for line in one) / (len(one) + len(other))
