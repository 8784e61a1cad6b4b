"""llama.cpp by its low-level API: prompts, KV reuse, token healing, greedy decoding with full-vocabulary entropy.

The only importer of llama_cpp. Blocking, one thread, and it may take the process down with it (llama.cpp aborts on a
failed assertion), so it runs in a child process (`engine_worker`).
"""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import llama_cpp.llama_cpp as llama
import numpy as np

from egate_lsp import context as contexts
from egate_lsp.errors import DraftError, ModelLoadError
from egate_lsp.models import healing, lookup
from egate_lsp.models.entropy import Meter, TokenStats, likeliest, top_probabilities
from egate_lsp.models.fim import FimMarks, FimOrder, parts
from egate_lsp.models.slots import Slots
from egate_lsp.models.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from egate_lsp.models.entropy import Logits
    from egate_lsp.models.slots import Choice

KV_TYPES = {"f16": llama.GGML_TYPE_F16, "q8_0": llama.GGML_TYPE_Q8_0, "q4_0": llama.GGML_TYPE_Q4_0}
ABORTED = 2  # llama_decode: aborted by the callback; finished micro-batches stay in the KV cache
NO_SLOT = 1
# What is finished when a prompt is cancelled stays in the KV cache by whole micro-batches, so they are kept small.
MICRO_BATCH = 128
SPARE = 16  # tokens kept free in the context for marks
MAX_BRANCHES = 7
PROMPTS = 4  # that are kept
# Sequences of the KV cache: the prompt in use, then those of branches.
PROMPT = 0
FIRST_BRANCH = PROMPT + 1
# A branch may leave at any of this many likeliest tokens of a position.
BRANCH_CHOICES = 4
MAX_SUFFIX_SHARE = 0.25  # of the context, where prompt and answer do not fit together
# A window that can be read in time, in characters.
SHORTEST_WINDOW = 200
MOST_CHARS_PER_TOKEN = 6.0  # where the whole window does not fit into the context, more would be reckoned
WINDOW_STEP = 1.3  # the size follows the measured speed in steps of this factor, so that it seldom moves
SPEED_MEMORY = 0.7  # of a measured speed in the average
MEASURED_TOKENS = 24  # the least that a speed is taken from
READ_BATCH = 64  # tokens read ahead at once: what is lost when a job comes in between is little
WARM_UP_TOKENS = 64
# Tokens of a spelling that are guessed at once. Fewer save less than a wrong guess costs: a batch of two takes as long
# as two of one.
LEAST_SPELLED = 2
MOST_SPELLED = 8  # a wrong guess costs no more than three or four tokens one by one
MOST_SPELLINGS = 2  # guesses after the first, in one draft
# What a review reads: so many characters above the line, and below it so many lines (the rest of the cursor's line is
# the first of them) of at most so many characters.
REVIEW_ABOVE = 1200
REVIEWED_LINES = 5
REVIEW_BELOW = 400
# A token decoded in a batch with guesses must come out as it does alone, up to this difference of a logit.
SAME_LOGITS = 1e-3
CELLS = 256  # llama.cpp looks through the cache by multiples of so many cells
LARGEST_SPARE = 2  # times what is to be kept: a larger buffer is given back


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How to load a model; see `config.Draft` for the meaning."""

    path: str
    threads: int
    context_tokens: int
    batch_tokens: int
    gpu_layers: int
    kv_type: str
    marks: FimMarks | None
    order: FimOrder
    healing: bool
    reuse: bool
    lookup: bool


@dataclass(frozen=True, slots=True)
class Job:
    """One generation; see `models.Limits` and `models.Search`.

    Attributes:
        max_tokens: 0 evaluates the prompt and writes nothing.
        reading_ms: a prompt that takes longer to evaluate gives way to one of a shorter window; 0: never.
    """

    prefix: str
    suffix: str
    max_tokens: int
    max_lines: int
    reading_ms: float = 0.0
    branches: int = 0
    documented: bool = False
    top: int = 0


@dataclass(frozen=True, slots=True)
class Generated:
    """A token as the engine gives it; see `values.Token`.

    Attributes:
        branch: 0 for the greedy draft; a branch repeats the tokens that it shares with it.
    """

    piece: bytes
    entropy: float | None
    logprob: float | None
    margin: float | None
    top: tuple[float, ...] = ()
    branch: int = 0


@dataclass(slots=True)
class _Step:
    """A place in the greedy draft where a branch may leave it.

    Attributes:
        decoded: tokens after the prompt that stand before it.
        shown: those of them that were yielded.
        forced: what was still to be spelled here.
        choices: `(token, logprob)` of the likeliest, the chosen one left out.
        logprob: of the tokens before it, summed.
    """

    decoded: int
    shown: int
    forced: bytes
    choices: list[tuple[int, float]]
    logprob: float


@dataclass(slots=True)
class Usage:
    """Counters of one job.

    Attributes:
        stop: "eog", "max_tokens", "max_lines", "cancelled" or "unspellable".
        reused_tokens: prompt tokens found in the KV cache.
        unread_tokens: prompt tokens of the whole window that a shorter one left out, for lack of time.
        guessed_tokens, right_tokens: see `lookup`; how many were guessed, and how many of those were written.
        known_tokens: those of `generated_tokens` behind which the logits were known, from the draft before or because
            they were guessed and read with the prompt.
        decodes: batches that were decoded for the draft, each a step of the model.
    """

    prompt_tokens: int = 0
    reused_tokens: int = 0
    evaluated_tokens: int = 0
    generated_tokens: int = 0
    unread_tokens: int = 0
    guessed_tokens: int = 0
    right_tokens: int = 0
    known_tokens: int = 0
    decodes: int = 0
    prompt_ms: float = 0.0
    decode_ms: float = 0.0
    stop: str = ""

    def of_prompt(self) -> dict[str, float]:
        """What reading the prompt took."""
        names = ("prompt_tokens", "reused_tokens", "evaluated_tokens", "unread_tokens", "prompt_ms")
        return {name: getattr(self, name) for name in names}


class CancelledJob(Exception):
    """The job was cancelled while llama.cpp computed."""


class LlamaCppEngine:
    """A loaded model with one context."""

    def __init__(self, settings: EngineSettings) -> None:
        """Load.

        Raises:
            ModelLoadError: with llama.cpp's own words.
        """
        self.settings = settings
        self._messages = _capture_log()
        self._cancel = ctypes.create_string_buffer(2)
        llama.llama_backend_init()
        self._model = self._load_model()
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._context = self._create_context()
        self._memory = llama.llama_get_memory(self._context)
        self._batch = llama.llama_batch_init(settings.batch_tokens, 0, 1)
        self.vocabulary: int = llama.llama_vocab_n_tokens(self._vocab)
        self.trained_context: int = llama.llama_model_n_ctx_train(self._model)
        self._pieces = [self._piece(token) for token in range(self.vocabulary)]
        self._index = healing.VocabularyIndex(self._pieces) if settings.healing else None
        self._meter = Meter(self.vocabulary)
        self._marks = self._mark_tokens()
        self._stops = self._stop_tokens()
        # The state of a recurrent model is one piece, of which no part can be copied.
        recurrent = llama.llama_model_is_recurrent(self._model) or llama.llama_model_is_hybrid(self._model)
        self._recurrent = recurrent
        self._slots = Slots(1 if recurrent else PROMPTS)
        self._current = 0  # the slot whose tokens are in the KV cache
        self._parked = _Parked(self._context)
        # Nor can a recurrent state go back to where a draft began.
        self._trail = Trail(self.vocabulary) if settings.reuse and not recurrent else Trail(self.vocabulary, most=0)
        self._speed: float | None = None  # prompt tokens a second, as measured
        self._window = 0.0  # characters of a short window
        # A guess that was wrong is taken out of the cache again, which a recurrent state does not allow.
        self._guessing = settings.lookup and not recurrent and settings.batch_tokens > lookup.MAX_GUESS
        self._odds = lookup.Odds()
        self._same: dict[int, bool] = {}
        self._recent: deque[list[int]] = deque(maxlen=lookup.RECENT_DRAFTS)
        self.usage = Usage()

    @property
    def has_fim(self) -> bool:
        """True if prompts show the suffix."""
        return bool(self._marks)

    def cancel(self) -> None:
        """End the running job within one decode step. May be called from another thread."""
        self._cancel[0] = b"\x01"

    def clear_cancel(self) -> None:
        """Before a new job."""
        self._cancel[0] = b"\x00"

    def generate(self, job: Job, progress: Callable[[int, int], None]) -> Iterator[Generated]:
        """Yield the tokens after the prefix, greedily; `usage` counts.

        Raises:
            CancelledJob: by `cancel`.
            DraftError: llama.cpp could not decode.
        """
        self.usage = usage = Usage()
        forced_chars = healing.span(job.prefix) if self._index is not None else 0
        kept = job.prefix[: len(job.prefix) - forced_chars]
        forced = job.prefix[len(kept) :].encode()
        prompt = self._affordable(kept, job)
        usage.prompt_tokens = len(prompt)
        started = time.perf_counter()
        self._evaluate(prompt, progress, job, self._spelling(forced) if job.max_tokens else ())
        usage.prompt_ms = (time.perf_counter() - started) * 1000.0
        if not job.max_tokens:
            return
        started = time.perf_counter()
        lines = 0
        shown: list[Generated] = []
        steps: list[_Step] = []
        logprob = 0.0
        guesses = self._guesses(prompt, job)
        row = -1
        retracing, spellings = True, 0
        while True:
            usage.decode_ms = (time.perf_counter() - started) * 1000.0
            if self._cancel[0] != b"\x00":
                raise CancelledJob
            held = len(prompt) + usage.generated_tokens
            token, stats, logits = self._next(forced, self._logits_behind(held, row))
            if token is None:
                usage.stop = "unspellable"
                return
            if job.branches:
                choices = self._choices(logits, forced, token)
                steps.append(_Step(usage.generated_tokens, len(shown), forced, choices, logprob))
                logprob += stats.logprob
            if token in self._stops:
                usage.stop = "eog"
                break
            generated, forced = self._generated(token, stats, forced, logits, job.top)
            usage.generated_tokens += 1
            if generated is not None:
                yield generated
                shown.append(generated)
                lines += generated.piece.count(b"\n")
            if usage.generated_tokens >= job.max_tokens:
                usage.stop = "max_tokens"
                break
            if lines >= job.max_lines:
                usage.stop = "max_lines"
                break
            if retracing and (retracing := self._retraces(held, token)):
                usage.known_tokens += 1
                if guesses is not None:
                    guesses.confirm(token)
            elif spellings < MOST_SPELLINGS and (spelling := self._spelling(forced)):
                # Another token than was guessed: behind it the rest of the name is guessed once more.
                spellings += 1
                retracing, row = True, 0
                self._decode([token, *spelling], rows=1 + len(spelling))
                usage.decodes += 1
                usage.evaluated_tokens += len(spelling)
                self._keep_rows(1 + len(spelling))
                if guesses is not None:
                    guesses.confirm(token)
            elif guesses is None:
                self._decode([token])
                usage.decodes += 1
            else:
                row = self._advance(guesses, token, job, lines, spelling=bool(forced))
        if job.branches:
            yield from self._branch(job, len(prompt), steps, shown)
            usage.decode_ms = (time.perf_counter() - started) * 1000.0

    def _spelling(self, forced: bytes) -> list[int]:
        """The tokens that probably spell what was taken back from the prompt, but for the last, which often is the
        beginning of a longer one. They are read with the prompt; the draft still takes the likeliest that can stand at
        each place, and these only save it a step where they are that."""
        tokens = self._tokenize(forced.decode("utf-8", "replace"))[:-1][:MOST_SPELLED]
        return tokens if len(tokens) >= LEAST_SPELLED and self._trail.keeps else []

    @property
    def _held(self) -> list[int]:
        """The tokens of the prompt in use, and of the draft behind it."""
        return self._slots[self._current]

    def _keep_rows(self, rows: int) -> None:
        """Remember the logits of the last `rows` of the batch that was read last."""
        held = len(self._held)
        for behind in range(held - rows + 1, held + 1):
            self._trail.put(behind, self.logits(behind - held - 1))

    def _logits_behind(self, held: int, row: int) -> Logits:
        """Those that follow the first `held` tokens, of which `row` of the last batch is the last unless they are known
        already."""
        if (known := self._trail.get(self._current, held)) is not None:
            return known
        logits = self.logits(row)
        self._trail.put(held, logits)
        return logits

    def _retraces(self, held: int, token: int) -> bool:
        """Whether `token` follows the first `held` already, and what comes behind it is known. If not, what stood there
        is taken out."""
        cached = self._held
        if held < len(cached):
            if cached[held] == token and self._trail.get(self._current, held + 1) is not None:
                return True
            self._withdraw(len(cached) - held)
        return False

    def _generated(
        self, token: int, stats: TokenStats, forced: bytes, logits: Logits, top: int
    ) -> tuple[Generated | None, bytes]:
        """What is shown of a token, if anything, and what is still to be spelled after it.

        A token wholly inside the forced text carries no uncertainty; one that crosses its end has that of the
        distribution over all tokens which spell it.
        """
        piece = self._pieces[token]
        beyond, rest = piece[len(forced) :], forced[len(piece) :]
        if not beyond:
            return None, rest
        likeliest = top_probabilities(logits, top) if top else ()
        return Generated(beyond, stats.entropy, stats.logprob, stats.margin, likeliest), rest

    def _guesses(self, prompt: Sequence[int], job: Job) -> lookup.Guesses | None:
        # Where a token among others is known to come out otherwise, none is sought for.
        if not self._guessing or self._same.get(self._held_size(0)) is False:
            return None
        return lookup.Guesses(self._odds, self._recent, prompt, job.max_tokens)

    def _advance(self, guesses: lookup.Guesses, token: int, job: Job, lines: int, *, spelling: bool) -> int:
        """The row of the logits after `token`: one that was decoded as a guess, or of a new batch."""
        usage = self.usage
        if guesses.confirm(token):
            usage.right_tokens += 1
            return guesses.row
        if wrong := guesses.withdraw():
            self._withdraw(wrong)
        guess = [] if spelling else self._useful(guesses.make(job.max_tokens - usage.generated_tokens - 1), job, lines)
        if guess and not self._agrees([token, *guess]):
            guess = []
        self._timed([token, *guess])
        guesses.decoded(guess)
        usage.decodes += 1
        usage.guessed_tokens += len(guess)
        return 0

    def _agrees(self, tokens: Sequence[int]) -> bool:
        """Whether the first of some tokens comes out of a batch with the others as it does alone.

        llama.cpp chooses its kernels by the number of rows in a batch and by the cells of the cache that it looks
        through, so this is tried once, with the tokens at hand, for each doubling of those.
        """
        size = self._held_size(len(tokens))
        if size not in self._same:
            self._timed(tokens)
            among = self.logits(0).copy()
            self._withdraw(len(tokens))
            self._timed(tokens[:1])
            self._same[size] = float(np.abs(self.logits(0) - among).max()) <= SAME_LOGITS
            self._withdraw(1)
        return self._same[size]

    def _held_size(self, more: int) -> int:
        """How often the cells in use, with so many more, were doubled."""
        return ((len(self._held) + more) // CELLS).bit_length()

    def _timed(self, tokens: Sequence[int]) -> None:
        """Decode, with the logits of every row."""
        started = time.perf_counter()
        self._decode(tokens, rows=len(tokens))
        self._odds.took(len(tokens), time.perf_counter() - started)

    def _withdraw(self, count: int) -> None:
        """Take the last tokens out of the cache again."""
        cached = self._held
        del cached[len(cached) - count :]
        llama.llama_memory_seq_rm(self._memory, PROMPT, len(cached), -1)
        self._trail.begin(self._current, 0, len(cached))

    def _useful(self, guess: Sequence[int], job: Job, lines: int) -> list[int]:
        """The tokens of a guess whose logits would be looked at: not those that end the draft, nor any after them."""
        found = []
        for token in guess:
            lines += self._pieces[token].count(b"\n")
            if token in self._stops or lines >= job.max_lines:
                break
            found.append(token)
        return found

    def _choices(self, logits: Logits, forced: bytes, chosen: int) -> list[tuple[int, float]]:
        """`(token, logprob)` of the likeliest tokens that could stand here, without the chosen one."""
        tokens = self._index.candidates(forced) if forced and self._index is not None else None
        return [
            (token, logprob)
            for index, logprob in likeliest(logits, BRANCH_CHOICES)
            if (token := int(tokens[index]) if tokens is not None else index) != chosen
        ]

    def _branch(
        self, job: Job, prompt_tokens: int, steps: Sequence[_Step], shown: Sequence[Generated]
    ) -> Iterator[Generated]:
        """The drafts that leave the greedy one, all decoded together; each to the end of its first line."""
        leaving = sorted(
            ((step.logprob + logprob, step, token) for step in steps for token, logprob in step.choices),
            key=lambda item: item[0],
            reverse=True,
        )[: min(job.branches, MAX_BRANCHES)]
        alive: dict[int, tuple[int, int, bytes]] = {}  # branch -> next token, its position, what is to be spelled
        for branch, (_, step, token) in enumerate(leaving, start=1):
            shared = list(shown[: step.shown])
            rest = step.forced[len(self._pieces[token]) :]
            first = self._alternative(token, step)
            for known in [*shared, *([first] if first is not None else [])]:
                yield replace(known, branch=branch)
            # A line break, or the end, leaves nothing to decode.
            if token in self._stops or (first is not None and b"\n" in first.piece):
                continue
            position = prompt_tokens + step.decoded
            llama.llama_memory_seq_cp(self._memory, PROMPT, FIRST_BRANCH + branch - 1, 0, position)
            alive[branch] = (token, position, rest)
        try:
            for _ in range(job.max_tokens):
                if not alive:
                    return
                if self._cancel[0] != b"\x00":
                    raise CancelledJob
                branches = list(alive)
                self._decode_beside([(FIRST_BRANCH + branch - 1, *alive[branch][:2]) for branch in branches])
                for row, branch in enumerate(branches):
                    _, position, forced = alive.pop(branch)
                    following, stats, logits = self._next(forced, self.logits(row))
                    if following is None or following in self._stops:
                        continue
                    self.usage.generated_tokens += 1
                    generated, rest = self._generated(following, stats, forced, logits, 0)
                    if generated is not None:
                        yield replace(generated, branch=branch)
                    if generated is None or b"\n" not in generated.piece:
                        alive[branch] = (following, position + 1, rest)
        finally:
            for branch in range(1, len(leaving) + 1):
                llama.llama_memory_seq_rm(self._memory, FIRST_BRANCH + branch - 1, -1, -1)

    def review(self, prefix: str, suffix: str, lines: Sequence[str], within_ms: float | None = None) -> list[float]:
        """For each line the log-probability in nats of the text below it, behind the text above and the line; see
        `models.Reviewer`. [] also if it would take longer than `within_ms` at the measured speed.

        The text below is split into tokens by itself, line by line, so that it is the same tokens after each line.

        Raises:
            CancelledJob: by `cancel`.
            DraftError: llama.cpp could not decode.
        """
        self.usage = Usage()
        below: list[int] = []
        for index, line in enumerate(suffix[:REVIEW_BELOW].split("\n")[:REVIEWED_LINES]):
            below += self._tokenize("\n" + line if index else line)
        above = self._tokenize(contexts.nearest(prefix, "", REVIEW_ABOVE)[0])
        above = above or [max(llama.llama_vocab_bos(self._vocab), 0)]
        read = [self._tokenize(line) + below for line in lines]
        count = len(above) + sum(map(len, read))
        late = within_ms is not None and self._speed is not None and count > self._speed * within_ms / 1000.0
        longest = len(above) + max(map(len, read), default=0)
        # A recurrent state cannot go back to where the lines begin.
        if not below or late or self._recurrent or longest > self.settings.context_tokens:
            return []
        kept = self._parked.keep(self._current)
        llama.llama_memory_seq_rm(self._memory, PROMPT, -1, -1)
        try:
            self._read_on(above, 0, counted=0)
            found = []
            for tokens in read:
                found.append(self._read_on(tokens, len(above), counted=len(below)))
                llama.llama_memory_seq_rm(self._memory, PROMPT, len(above), -1)
        finally:
            llama.llama_memory_seq_rm(self._memory, PROMPT, -1, -1)
            if not (kept and self._parked.restore(self._current)):
                self._drop(self._current)
        return found

    def _read_on(self, tokens: Sequence[int], held: int, *, counted: int) -> float:
        """Read tokens behind the first `held` of a review; the log-probability of the last `counted` of them, which are
        not all."""
        found = 0.0
        first = len(tokens) - counted - 1  # whose logits are of the first that counts
        for start in range(0, len(tokens), self.settings.batch_tokens):
            if self._cancel[0] != b"\x00":
                raise CancelledJob
            chunk = tokens[start : start + self.settings.batch_tokens]
            outputs = range(min(max(first - start, 0), len(chunk) - 1), len(chunk))
            entries = [(PROMPT, token, held + start + index) for index, token in enumerate(chunk)]
            self._decode_beside(entries, outputs=outputs)
            self.usage.evaluated_tokens += len(chunk)
            for row in outputs:
                if first <= start + row < len(tokens) - 1:
                    logits = self.logits(row)
                    stats = self._meter.measure(logits)
                    found += stats.logprob + float(logits[tokens[start + row + 1]] - logits[stats.argmax])
        return found

    def _alternative(self, token: int, step: _Step) -> Generated | None:
        """The token by which a branch leaves; its entropy and margin are the greedy token's, so they are not told."""
        beyond = self._pieces[token][len(step.forced) :] if token not in self._stops else b""
        logprob = next(value for other, value in step.choices if other == token)
        return Generated(beyond, None, logprob, None) if beyond else None

    def logits(self, row: int = -1) -> Logits:
        """The raw logits of a position of the last batch, shape (|V|,); valid until the next decode."""
        pointer = llama.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(pointer, (self.vocabulary,))

    def close(self) -> None:
        """Free the context and the model."""
        llama.llama_batch_free(self._batch)
        llama.llama_free(self._context)
        llama.llama_model_free(self._model)

    def _next(self, forced: bytes, logits: Logits) -> tuple[int | None, TokenStats, Logits]:
        """The likeliest token that can stand here, its stats, and the logits of all that can, out of those of all."""
        if not forced or self._index is None:
            stats = self._meter.measure(logits)
            return stats.argmax, stats, logits
        candidates = self._index.candidates(forced)
        if not candidates.size:
            return None, TokenStats(0, 0.0, 0.0, 0.0), logits
        chosen = logits[candidates]
        stats = self._meter.measure(chosen)
        return int(candidates[stats.argmax]), stats, chosen

    def warm_up(self) -> None:
        """Evaluate a prompt of no meaning: the weights come into memory, and the machine's speed is measured."""
        prompt = (self._tokenize("def f(x):\n    return x\n") * WARM_UP_TOKENS)[:WARM_UP_TOKENS]
        # Twice, because the first time waits for the disk. Nothing of it stays: a prompt that shared its beginning
        # would be evaluated in another batch than on a fresh engine, which changes the last digits.
        for _ in range(2):
            self._evaluate(prompt, lambda _done, _total: None, Job("", "", 0, 0))
            self._drop(self._current)
        if self._guessing:
            self._evaluate(prompt, lambda _done, _total: None, Job("", "", 0, 0))
            self._agrees(prompt[: 1 + lookup.MAX_GUESS])
            self._drop(self._current)

    def _affordable(self, prefix: str, job: Job) -> list[int]:
        """The prompt of the whole window if it can be read in time, else that of a shorter one. The shorter one is cut
        at places that typing does not move, so that it stays in the cache while the whole is read in idle time."""
        whole = self._prompt(prefix, job.suffix, job)
        new = len(whole) - self._slots.choose(whole).common
        if not job.reading_ms or self._speed is None:
            return whole
        affordable = self._speed * job.reading_ms / 1000.0  # tokens
        if new <= affordable:
            return whole
        chars_per_token = min((len(prefix) + len(job.suffix)) / len(whole), MOST_CHARS_PER_TOKEN)
        size = affordable * chars_per_token
        if not self._window / WINDOW_STEP <= size <= self._window * WINDOW_STEP:
            self._window = size
        short = self._prompt(*contexts.nearest(prefix, job.suffix, int(max(self._window, SHORTEST_WINDOW))), job)
        if len(short) - self._slots.choose(short).common >= new:
            return whole
        self.usage.unread_tokens = new
        return short

    def _prompt(self, prefix: str, suffix: str, job: Job) -> list[int]:
        room = max(self.settings.context_tokens - job.max_tokens * (1 + min(job.branches, 1)) - SPARE, 64)
        before, after = self._tokenize(prefix), self._tokenize(suffix) if self._marks else []
        if len(before) + len(after) > room:
            after = after[: int(room * MAX_SUFFIX_SHARE)]
            before = self._cut_head(before, room - len(after))
        documented = job.documented and self.settings.order is FimOrder.SUFFIX_FIRST
        order = FimOrder.DOCUMENTED if documented else self.settings.order
        order = order if self._marks else FimOrder.PREFIX_ONLY
        marks = self.settings.marks or FimMarks("<pre>", "<suf>", "<mid>")
        tokens: list[int] = []
        if llama.llama_vocab_get_add_bos(self._vocab):
            tokens.append(llama.llama_vocab_bos(self._vocab))
        for text, special in parts(marks if self._marks else None, order, "P", "S"):
            tokens += [self._marks[text]] if special else before if text == "P" else after
        return tokens or [max(llama.llama_vocab_bos(self._vocab), 0)]

    def _cut_head(self, tokens: list[int], room: int) -> list[int]:
        """The tail that fits, from a line's start; a quarter less than fits, so that the next keystrokes do too."""
        tail = tokens[-max(room * 3 // 4, 1) :]
        for index, token in enumerate(tail[: len(tail) // 2]):
            if self._pieces[token].endswith(b"\n"):
                return tail[index + 1 :]
        return tail

    def _evaluate(
        self, prompt: Sequence[int], progress: Callable[[int, int], None], job: Job, spelling: Sequence[int] = ()
    ) -> None:
        """Bring the prompt into the KV cache. Where a part of it is read, so are the first tokens of the draft, as far
        as they are guessed."""
        if not self.settings.reuse:
            self._forget_all()
        common = self._take_up(self._slots.choose(prompt))
        if self._is_evaluated(prompt):
            common = len(prompt)
        elif not llama.llama_memory_seq_rm(self._memory, PROMPT, common, -1):
            self._forget_all()  # recurrent models cannot drop a part of their state
            common = 0
        # Behind a prompt that is held whole, the former draft stays.
        kept = common if common < len(prompt) else len(self._held)
        del self._held[kept:]
        self._trail.begin(self._current, len(prompt), kept)
        self._slots.use(self._current)
        needed = len(prompt) + job.max_tokens * (1 + min(job.branches, 1))
        for other in self._slots.in_the_way(self._current, needed, self.settings.context_tokens):
            self._drop(other)
        self.usage.reused_tokens = common
        size = self.settings.batch_tokens if job.max_tokens else min(READ_BATCH, self.settings.batch_tokens)
        started = time.perf_counter()
        for start in range(common, len(prompt), size):
            progress(start - common, len(prompt) - common)
            chunk = prompt[start : start + size]
            if start + size >= len(prompt) and len(chunk) + len(spelling) <= self.settings.batch_tokens:
                chunk = [*chunk, *spelling]
            self._decode(chunk, rows=start + len(chunk) - len(prompt) + 1)
            self.usage.evaluated_tokens += len(chunk)
        if common < len(prompt):
            self._measure_speed(len(self._held) - common, time.perf_counter() - started)
            self._keep_rows(len(self._held) - len(prompt) + 1)

    def _take_up(self, choice: Choice) -> int:
        """Make the slot of a choice the current one, alone in the KV cache with what it has in common with the prompt;
        how many tokens that is.

        A token looks through all cells up to the last that is in use, whoever they belong to. So what is not in use is
        kept outside of the cache: a prompt of 900 tokens comes back in 1 ms, and each token beside it would have taken
        2 ms longer.
        """
        common, shared = choice.common, self._slots[choice.source][: choice.common]
        leaves = not choice.slot == choice.source == self._current
        if leaves and self._held and not self._parked.keep(self._current):
            self._held.clear()
        if choice.source != self._current:
            llama.llama_memory_seq_rm(self._memory, PROMPT, -1, -1)
            if not self._parked.restore(choice.source):
                self._slots[choice.source].clear()
                common, shared = 0, []
        if choice.slot != choice.source:
            self._parked.drop(choice.slot)
            self._trail.forget(choice.slot)
            self._slots[choice.slot][:] = shared
        self._current = choice.slot
        return common

    def _is_evaluated(self, prompt: Sequence[int]) -> bool:
        """Whether the tokens in the cache begin with the prompt, and what comes behind it is known."""
        known = self._trail.get(self._current, len(prompt)) is not None
        return known and self._held[: len(prompt)] == list(prompt)

    def _forget_all(self) -> None:
        llama.llama_memory_clear(self._memory, False)  # llama.cpp's own signature
        self._slots.clear()
        self._parked.clear()

    def _drop(self, slot: int) -> None:
        if slot == self._current:
            llama.llama_memory_seq_rm(self._memory, PROMPT, -1, -1)
        self._parked.drop(slot)
        self._slots[slot].clear()
        self._trail.forget(slot)

    def _measure_speed(self, tokens: int, seconds: float) -> None:
        if tokens < MEASURED_TOKENS or seconds <= 0.0:
            return
        speed = tokens / seconds
        self._speed = speed if self._speed is None else SPEED_MEMORY * self._speed + (1.0 - SPEED_MEMORY) * speed

    def _decode(self, tokens: Sequence[int], *, rows: int = 1) -> None:
        """Read tokens behind those in use, with the logits of the last `rows`, at least one."""
        cached = self._held
        entries = [(PROMPT, token, len(cached) + index) for index, token in enumerate(tokens)]
        self._fill(entries, outputs=range(len(tokens) - max(rows, 1), len(tokens)))
        result = llama.llama_decode(self._context, self._batch)
        if result == 0:
            cached.extend(tokens)
            return
        self._resynchronise(tokens)
        self._refuse(result)

    def _decode_beside(self, entries: Sequence[tuple[int, int, int]], *, outputs: range | None = None) -> None:
        """Read what is no part of the current slot."""
        self._fill(entries, outputs=range(len(entries)) if outputs is None else outputs)
        result = llama.llama_decode(self._context, self._batch)
        if result != 0:
            self._refuse(result)

    def _fill(self, entries: Sequence[tuple[int, int, int]], *, outputs: range) -> None:
        """Write `(sequence, token, position)` into the batch; logits are computed for the rows `outputs`."""
        batch = self._batch
        for index, (sequence, token, position) in enumerate(entries):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = index in outputs
        batch.n_tokens = len(entries)

    def _refuse(self, result: int) -> None:
        if result == ABORTED:
            raise CancelledJob
        reason = "its context is full" if result == NO_SLOT else f"llama_decode returned {result}"
        raise DraftError(f"The draft engine could not decode: {reason}. {self._messages.last()}".strip())

    def _resynchronise(self, tokens: Sequence[int]) -> None:
        """After a failed decode: keep what llama.cpp finished, and nothing else."""
        cached = self._held
        held = llama.llama_memory_seq_pos_max(self._memory, PROMPT) + 1
        cached.extend(tokens)
        del cached[max(held, 0) :]
        llama.llama_memory_seq_rm(self._memory, PROMPT, len(cached), -1)
        self._trail.begin(self._current, 0, len(cached))

    def _tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Tokens of a text. A document's text is never parsed for special tokens, whatever it says."""
        raw = text.encode("utf-8", "replace")
        if not raw:
            return []
        buffer = (llama.llama_token * (len(raw) + 8))()
        count = llama.llama_tokenize(self._vocab, raw, len(raw), buffer, len(buffer), False, special)
        if count < 0:
            buffer = (llama.llama_token * -count)()
            count = llama.llama_tokenize(self._vocab, raw, len(raw), buffer, len(buffer), False, special)
        return list(buffer[: max(count, 0)])

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        length = llama.llama_token_to_piece(self._vocab, token, buffer, 64, 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = llama.llama_token_to_piece(self._vocab, token, buffer, -length, 0, False)
        return buffer.raw[: max(length, 0)]

    def _mark_tokens(self) -> dict[str, int]:
        """Mark text -> token: by the catalogue's texts, or by what the model file declares; empty without FIM."""
        marks = self.settings.marks
        if self.settings.order is FimOrder.PREFIX_ONLY:
            return {}
        if marks is not None:
            found = {text: self._tokenize(text, special=True) for text in (marks.prefix, marks.suffix, marks.middle)}
            if all(len(tokens) == 1 for tokens in found.values()):
                return {text: tokens[0] for text, tokens in found.items()}
        declared = {
            "<pre>": llama.llama_vocab_fim_pre(self._vocab),
            "<suf>": llama.llama_vocab_fim_suf(self._vocab),
            "<mid>": llama.llama_vocab_fim_mid(self._vocab),
        }
        if marks is not None:
            declared = dict(zip((marks.prefix, marks.suffix, marks.middle), declared.values(), strict=True))
        return declared if min(declared.values()) >= 0 else {}

    def _stop_tokens(self) -> frozenset[int]:
        stops = {token for token in range(self.vocabulary) if llama.llama_vocab_is_eog(self._vocab, token)}
        stops |= set(self._marks.values())
        for name in ("pad", "rep", "sep", "pre", "suf", "mid"):
            stops.add(getattr(llama, f"llama_vocab_fim_{name}")(self._vocab))
        for text in self.settings.marks.stop if self.settings.marks else ():
            tokens = self._tokenize(text, special=True)
            if len(tokens) == 1:
                stops.add(tokens[0])
        return frozenset(stops - {-1})

    def _load_model(self) -> Any:
        params = llama.llama_model_default_params()
        params.n_gpu_layers = self.settings.gpu_layers if self.settings.gpu_layers >= 0 else 999
        model = llama.llama_model_load_from_file(self.settings.path.encode(), params)
        if not model:
            raise ModelLoadError(
                f"llama.cpp cannot load {self.settings.path}. {self._messages.last()}".strip(),
                hint="Is the file damaged? `egate-lsp models verify` tells. Otherwise choose another draft.model.",
            )
        return model

    def _create_context(self) -> Any:
        settings = self.settings
        params = llama.llama_context_default_params()
        params.n_ctx = settings.context_tokens
        params.n_batch = settings.batch_tokens
        params.n_ubatch = min(MICRO_BATCH, settings.batch_tokens)
        params.n_seq_max = FIRST_BRANCH + MAX_BRANCHES
        params.kv_unified = True  # else each sequence would get its own small share of the cells
        params.n_threads = settings.threads
        params.n_threads_batch = settings.threads
        params.type_k = params.type_v = KV_TYPES[settings.kv_type]
        params.flash_attn_type = -1  # automatic; a quantised V cache needs it
        params.no_perf = True
        abort = _abort_function()
        if abort is not None:
            params.abort_callback = abort
            params.abort_callback_data = ctypes.cast(self._cancel, ctypes.c_void_p)
        context = llama.llama_init_from_model(self._model, params)
        if not context:
            raise ModelLoadError(
                f"llama.cpp cannot hold {settings.context_tokens} tokens of context. {self._messages.last()}".strip(),
                hint="Lower draft.context_tokens, or set draft.kv_type to f16.",
            )
        return context


def _abort_function() -> Any:
    """libc's strlen as the abort callback: `bool (*)(void *)` called after each node of the graph.

    Its data is our two-byte buffer: the empty string has length 0, go on; after `cancel` it has length 1, stop. So the
    hot loop never takes Python's lock: a Python callback costs about 3 % of every decode (856 calls for 512 tokens of
    six layers). None where there is no such function: then a job is cancelled between decodes.
    """
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.cast(ctypes.CDLL(None).strlen, llama.ggml_abort_callback)
    return None


class _Parked:
    """What the KV cache holds of prompts that are not in use, as llama.cpp writes it down."""

    def __init__(self, context: Any) -> None:
        self._context = context
        # By slot. A buffer stays when its prompt is in use again: to touch fresh memory takes longer than to fill it.
        self._buffers: dict[int, NDArray[np.uint8]] = {}
        self._sizes: dict[int, int] = {}

    def keep(self, slot: int) -> bool:
        """Write down what is in use, as this slot's; False: there is nothing, or it could not be."""
        size = llama.llama_state_seq_get_size(self._context, PROMPT)
        buffer = self._buffers.get(slot)
        if buffer is None or not size <= buffer.size <= LARGEST_SPARE * size:
            buffer = self._buffers[slot] = np.empty(size, np.uint8)
        self._sizes[slot] = llama.llama_state_seq_get_data(self._context, _bytes_at(buffer), size, PROMPT)
        return self._sizes[slot] > 0

    def restore(self, slot: int) -> bool:
        """Bring a slot's tokens into the empty cache; False: it has none, or they could not be."""
        size = self._sizes.get(slot, 0)
        return size > 0 and (
            llama.llama_state_seq_set_data(self._context, _bytes_at(self._buffers[slot]), size, PROMPT) > 0
        )

    def drop(self, slot: int) -> None:
        """Forget a slot's."""
        self._buffers.pop(slot, None)
        self._sizes.pop(slot, None)

    def clear(self) -> None:
        """Forget all."""
        self._buffers.clear()
        self._sizes.clear()


def _bytes_at(buffer: NDArray[np.uint8]) -> Any:
    return buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


class _Messages:
    """llama.cpp's latest complaints."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, text: str) -> None:
        self._lines = [*self._lines[-4:], text.strip()]

    def last(self) -> str:
        """What it said, as one line."""
        return " ".join(line for line in self._lines if line)


_KEPT_CALLBACKS: list[Any] = []  # llama.cpp holds bare pointers to them


def _capture_log() -> _Messages:
    messages = _Messages()

    def on_message(level: int, text: bytes, _data: object) -> None:
        if level >= 4:  # GGML_LOG_LEVEL_ERROR; 5 continues the line before
            messages.add(text.decode("utf-8", "replace"))

    callback = llama.llama_log_callback(on_message)
    _KEPT_CALLBACKS.append(callback)
    llama.llama_log_set(callback, ctypes.c_void_p(0))
    return messages
