"""The engine with real weights: entropy against an independent computation, reuse, healing, cancelling, killing."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import signal
from contextlib import asynccontextmanager, closing

import numpy as np
import psutil
import pytest

from egate_lsp import cascade as cascades
from egate_lsp.cascade import Cascade, Policy
from egate_lsp.config import Draft
from egate_lsp.errors import EngineDied, ModelLoadError
from egate_lsp.escalate import Tier
from egate_lsp.models import Limits, Search
from egate_lsp.models.engine_process import EngineProcess
from egate_lsp.models.fim import QWEN, FimOrder
from egate_lsp.signals import line_logprob
from egate_lsp.syntax import Checker
from egate_lsp.values import FimContext, Shape, Token
from tests.conftest import drawn, model_file

pytestmark = pytest.mark.live

QWEN_FILE = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SMOLLM = "SmolLM2-135M-Instruct.Q4_1.gguf"
LONG = "".join(f"def function_{n}(a, b):\n    return a * {n} + b\n\n\n" for n in range(90))
KILLS = 50


@asynccontextmanager
async def engine(file: str = QWEN_FILE, order: FimOrder = FimOrder.SUFFIX_FIRST, **settings):
    subject = EngineProcess("live", model_file(file), Draft(**settings), marks=QWEN, order=order)
    try:
        yield subject
    finally:
        await subject.aclose()
        assert psutil.Process().children() == []


async def text_of(subject: EngineProcess, prefix: str, suffix: str = "", **limits) -> str:
    pieces = [token.piece async for token in subject.generate(FimContext(prefix, suffix), Limits(**limits))]
    return b"".join(pieces).decode("utf-8", "replace")


class Plain:
    """A model in a context of llama.cpp's own, to compare with: nothing of ours."""

    def __init__(self) -> None:
        import llama_cpp.llama_cpp as llama

        self._llama = llama
        llama.llama_backend_init()
        self._silence = llama.llama_log_callback(lambda *_: None)
        llama.llama_log_set(self._silence, ctypes.c_void_p(0))
        path = str(model_file(QWEN_FILE)).encode()
        self._model = llama.llama_model_load_from_file(path, llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx = 256
        self._context = llama.llama_init_from_model(self._model, params)
        self._vocab = llama.llama_model_get_vocab(self._model)
        self.size = llama.llama_vocab_n_tokens(self._vocab)

    def tokens(self, text: str) -> list[int]:
        raw, ids = text.encode(), (self._llama.llama_token * 64)()
        return list(ids[: self._llama.llama_tokenize(self._vocab, raw, len(raw), ids, 64, False, False)])

    def read(self, tokens: list[int]) -> None:
        ids = (self._llama.llama_token * len(tokens))(*tokens)
        assert self._llama.llama_decode(self._context, self._llama.llama_batch_get_one(ids, len(tokens))) == 0

    def logprobs(self):
        """ln p of each token that can follow, shape (|V|,)."""
        row = self._llama.llama_get_logits_ith(self._context, -1)
        logits = np.ctypeslib.as_array(row, (self.size,)).astype(np.float64)
        return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())

    def close(self) -> None:
        self._llama.llama_free(self._context)
        self._llama.llama_model_free(self._model)


async def test_entropy_agrees_with_a_float64_softmax_over_the_raw_logits() -> None:
    """Ten positions; the logits come from a context of llama.cpp's own, decoded token by token."""
    prefix = "def fibonacci(n):\n    a, b = 0, 1\n"
    async with engine(order=FimOrder.PREFIX_ONLY, healing=False) as subject:
        tokens = [token async for token in subject.generate(FimContext(prefix, ""), Limits(10, 100))]
    assert len(tokens) == 10

    with closing(Plain()) as plain:
        plain.read(plain.tokens(prefix))
        for token in tokens:
            logprobs = plain.logprobs()
            entropy = -float((np.exp(logprobs) * logprobs).sum())
            # Two contexts that batch differently differ by some 1e-4 in their logits (rounding in float16 caches), so
            # the comparison is on the same kind of batches: the prompt at once, then one token at a time, as the engine
            # does.
            assert token.entropy == pytest.approx(entropy, abs=1e-4)
            assert token.vocabulary == plain.size
            plain.read([int(logprobs.argmax())])


@pytest.mark.parametrize(
    ("typed", "guessed"),
    [
        ("the_value_of_the_function_th", True),
        ("the_value_of_the_function_which_was_called_before_the_oth", True),
        ("va", False),
        ("zqxj_kkw_vvq", True),  # where the guess is wrong it is taken out, and what is left is guessed anew
    ],
)
async def test_a_long_name_that_was_begun_is_read_with_the_prompt_and_gives_the_same_text(typed, guessed) -> None:
    hole = FimContext(
        "def f(a):\n    the_value_of_the_function_that_was_called = a\n    return " + typed, "\n\n\nf(1)\n"
    )
    found = {}
    for reuse in (True, False):  # where nothing is kept, nothing is guessed
        async with engine(reuse=reuse) as subject:
            found[reuse] = [token.piece async for token in subject.generate(hole, Limits(24, 1))], subject.usage()
    (text, with_guess), (plain_text, plain) = found[True], found[False]

    assert text == plain_text
    assert with_guess["generated_tokens"] == plain["generated_tokens"]
    assert (with_guess["evaluated_tokens"] > plain["evaluated_tokens"]) == guessed
    assert with_guess["decodes"] == plain["decodes"] - with_guess["known_tokens"] > 0
    assert (with_guess["known_tokens"] > 0) == guessed


async def test_a_draft_that_has_begun_tells_what_its_prompt_took_and_nothing_of_itself() -> None:
    async with engine() as subject:
        stream = subject.generate(FimContext("def add(a, b):\n    return ", "\n"), Limits(24, 8))
        await anext(stream)
        while_it_runs = subject.usage()
        async for _ in stream:
            pass
        whole = subject.usage()

    assert while_it_runs.keys() == {"prompt_tokens", "reused_tokens", "evaluated_tokens", "unread_tokens", "prompt_ms"}
    assert while_it_runs["evaluated_tokens"] > 5
    assert while_it_runs.items() <= whole.items()


async def test_what_was_typed_is_the_only_new_prompt() -> None:
    async with engine() as subject:
        await text_of(subject, LONG[:3000] + "def add(a, b):\n    re", "\n\nprint(add(1, 2))\n", max_lines=1)
        first = subject.usage()
        await text_of(subject, LONG[:3000] + "def add(a, b):\n    retu", "\n\nprint(add(1, 2))\n", max_lines=1)
        second = subject.usage()

    assert first["reused_tokens"] == 0
    assert second["evaluated_tokens"] <= 4
    assert second["reused_tokens"] >= first["prompt_tokens"] - 4


async def test_what_is_typed_beside_a_draft_needs_no_prompt_and_gives_what_a_fresh_engine_gives() -> None:
    """The prompt is that of the draft before, up to the word at the cursor, and so may be the first tokens that spell
    the word; the logits behind them are known."""
    suffix = "\n\nprint(add(1, 2))\n"
    holes = [
        FimContext(LONG[:600] + "def add(a, b):\n    return " + typed, suffix)
        for typed in ("", "t", "tot", "total_", "total_of", "total")
    ]
    drafts: dict[bool, list[list[Token]]] = {}
    for reuse in (True, False):
        async with engine(reuse=reuse, lookup=False) as subject:
            drafts[reuse], counts = [], []
            for hole in holes:
                drafts[reuse].append([token async for token in subject.generate(hole, Limits(24, 1))])
                counts.append(subject.usage())
            known = sum(count["known_tokens"] for count in counts)
            assert (known > 0) == reuse
            assert all(count["evaluated_tokens"] == (0 if reuse else count["prompt_tokens"]) for count in counts[1:])
            for count in counts:
                # The last token, which ends the line, is not decoded.
                assert count["decodes"] + count["known_tokens"] == count["generated_tokens"] - 1

    assert drafts[True] == drafts[False]


async def test_the_same_draft_once_more_computes_nothing() -> None:
    context = FimContext(LONG[:600] + "def add(a, b):\n    retu", "\n")
    async with engine() as subject:
        first = [token async for token in subject.generate(context, Limits(24, 1))]
        before = dict(subject.totals)
        again = [token async for token in subject.generate(context, Limits(24, 1))]

    assert again == first
    assert {name: subject.totals[name] - before[name] for name in ("evaluated_tokens", "generated_tokens")} == {
        "evaluated_tokens": 0.0,
        "generated_tokens": 1.0,  # the last one, which ends the line, is not decoded
    }


async def test_a_window_that_takes_long_to_read_gives_way_to_a_short_one_until_it_is_read() -> None:
    """No figure of time: the first request reads little, later ones nothing but what was typed, and in the end the text
    is that of the whole window."""
    prefix, suffix = LONG[:3000] + "def add(a, b):\n    re", "\n\n" + LONG[:1000]
    async with engine(read_ahead=False) as subject:
        whole = await text_of(subject, prefix + "tu", suffix, max_lines=1)
    async with engine() as subject:
        short = await text_of(subject, prefix, suffix, max_lines=1, reading_ms=100.0)
        first = subject.usage()
        await text_of(subject, prefix + "t", suffix, max_lines=1, reading_ms=100.0)
        second = subject.usage()
        while subject.usage().get("unread_tokens"):
            await subject.read_all()
            read = await text_of(subject, prefix + "tu", suffix, max_lines=1, reading_ms=100.0)
        last = subject.usage()

    assert short.startswith("turn a + b")
    assert first["unread_tokens"] > 2 * first["evaluated_tokens"]
    assert first["prompt_tokens"] < 300
    assert second["evaluated_tokens"] <= 4 or not second["unread_tokens"]
    assert last["prompt_tokens"] > 1000
    assert last["evaluated_tokens"] <= 4
    assert read == whole


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
async def test_guessing_changes_no_token_and_no_entropy(kv_type: str) -> None:
    """Where the text repeats itself: what is written is the same, in fewer steps of the model where it guessed."""
    drafts, counts = [], []
    for guessing in (True, False):
        async with engine(lookup=guessing, kv_type=kv_type) as subject:
            context = FimContext(LONG[:1200] + "def function_99(a, b):\n", "\n\n")
            drafts.append([token async for token in subject.generate(context, Limits(40, 4))])
            counts.append(subject.usage())
    (guessed, plain), (count, plain_count) = drafts, counts

    assert [token.piece for token in guessed] == [token.piece for token in plain]
    assert [token.entropy for token in guessed] == pytest.approx([token.entropy for token in plain], abs=1e-3)
    assert plain_count["guessed_tokens"] == 0
    assert 0 <= count["right_tokens"] <= count["guessed_tokens"]
    assert count["decodes"] + count["right_tokens"] == plain_count["decodes"]


async def test_two_documents_stay_warm_beside_each_other() -> None:
    one, other = LONG[:2000], LONG[2000:4000]
    async with engine() as subject:
        await text_of(subject, one + "def f(", "\n", max_lines=1)
        await text_of(subject, other + "def g(", "\n\n", max_lines=1)
        await text_of(subject, one + "def f(a", "\n", max_lines=1)

    assert subject.usage()["evaluated_tokens"] <= 4


async def test_a_draft_does_not_depend_on_how_much_else_is_kept() -> None:
    """To the bit: other prompts take no part in the cache that a token looks through, whose size decides how llama.cpp
    rounds."""
    first = FimContext("# one\n" + LONG[:1500] + "def f(", "\n\nprint(1)\n")
    others = [FimContext(f"# {n}\n" + LONG[900 * n : 900 * n + 300 * n], "\n\nprint(2)\n") for n in range(1, 4)]
    typed = FimContext(first.prefix + "num", first.suffix)

    async def draft(subject: EngineProcess, hole: FimContext):
        return [(token.piece, token.entropy) async for token in subject.generate(hole, Limits(12, 2))]

    found = []
    for count in (1, 3):
        async with engine() as subject:
            for hole in (first, *others[:count]):
                await draft(subject, hole)
            found.append(await draft(subject, typed))
            assert subject.usage()["evaluated_tokens"] <= 4

    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("prefix", "beginning"),
    [
        ("def add(a, b):\n    retu", "rn a + b"),
        ("def add(a, b):\n    return", " a + b"),
        ("def add(a, b):\n    return ", "a + b"),
        ("def add(a, b):\n    ", "return a + b"),
        ("import os\nprint(os.path.exis", "ts("),
    ],
)
async def test_the_text_begins_exactly_at_the_cursor(prefix: str, beginning: str) -> None:
    async with engine() as subject:
        assert (await text_of(subject, prefix, "\n", max_lines=1)).startswith(beginning)


async def test_marks_in_a_document_are_plain_text() -> None:
    prefix = (
        '# the marks are "<|fim_prefix|>", "<|fim_suffix|>" and "<|fim_middle|>"\nMARKS = ["<|fim_prefix|>", "<|fim_suf'
    )
    async with engine() as subject:
        text = await text_of(subject, prefix, "\n", max_lines=1)

    assert text.startswith("fix|>")


async def test_a_model_without_fim_continues_the_prefix() -> None:
    async with engine(SMOLLM) as subject:
        text = await text_of(subject, "The capital of France is", max_tokens=8)
        assert "Paris" in text
        assert subject.info["fim"] is False


async def test_more_than_the_context_holds_is_cut_and_not_refused() -> None:
    async with engine(context_tokens=512) as subject:
        text = await text_of(subject, LONG + "def add(a, b):\n    return ", LONG, max_tokens=16, max_lines=1)
        assert subject.usage()["prompt_tokens"] < 512

    assert text.strip()


async def test_cancelling_in_the_middle_of_a_prompt() -> None:
    """The prompt's evaluation is broken off, what was finished is reused, and the next text is a fresh engine's."""
    async with engine() as subject:
        await text_of(subject, "x = ", max_tokens=2)
        begun = asyncio.Event()
        subject.on_progress = begun.set
        task = asyncio.create_task(text_of(subject, LONG, "\n"))
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert subject.usage()["evaluated_tokens"] < subject.usage()["prompt_tokens"]
        after = await text_of(subject, "def add(a, b):\n    retu", "\n", max_lines=1)
    async with engine() as fresh:
        assert after == await text_of(fresh, "def add(a, b):\n    retu", "\n", max_lines=1)


async def test_a_file_that_is_no_model(tmp_path) -> None:
    path = tmp_path / "not-a-model.gguf"
    path.write_bytes(b"GGUF but not really")
    subject = EngineProcess("bad", path, Draft(), marks=QWEN, order=FimOrder.SUFFIX_FIRST)
    with pytest.raises(ModelLoadError, match=r"not-a-model\.gguf") as caught:
        await text_of(subject, "x")
    assert caught.value.hint
    await subject.aclose()


async def test_killed_at_fifty_random_moments_under_load() -> None:
    """Every request ends, with text or with EngineDied, and the next completion works."""
    chance = random.Random("kills")
    died = 0
    async with engine(SMOLLM, order=FimOrder.PREFIX_ONLY) as subject:
        for number in range(KILLS):
            jobs = [
                asyncio.create_task(text_of(subject, LONG[: chance.randrange(100, 500)] + f"# {number}", max_tokens=12))
                for _ in range(2)
            ]
            await asyncio.sleep(chance.random() * 0.8)  # the moment is what is random here; nothing waits for it
            if (pid := subject.pid) is not None:
                os.kill(pid, signal.SIGKILL)
            results = await asyncio.gather(*jobs, return_exceptions=True)
            assert all(isinstance(result, str | EngineDied) for result in results), results
            died += any(isinstance(result, EngineDied) for result in results)
            assert await text_of(subject, "The capital of France is", max_tokens=8)
    assert died >= 3  # most are made good by the second try; some must have been seen, or nothing was tested


@pytest.mark.parametrize("documented", [False, True])
async def test_other_drafts_of_a_line_begin_with_the_greedy_one_and_each_is_another(documented) -> None:
    hole = FimContext("def mean(values):\n    total = ", "\n    return total / len(values)\n", shape=Shape.LINE)
    async with engine() as subject:
        alone = [token.piece async for token in subject.generate(hole, Limits(24, 1))]
        found = await subject.candidates(hole, Limits(24, 1), Search(branches=4, documented=documented, top=5))
        again = [token.piece async for token in subject.generate(hole, Limits(24, 1))]
    texts = [b"".join(token.piece for token in branch).partition(b"\n")[0] for branch in found]

    assert len(found) == 5
    assert len(set(texts)) == 5
    assert alone == again
    if not documented:
        assert texts[0] == b"".join(alone).partition(b"\n")[0]
    for token in (token for token in found[0] if token.entropy is not None):
        assert len(token.top) == 5
        assert list(token.top) == sorted(token.top, reverse=True)
        assert token.logprob is not None


MEAN = FimContext("def mean(values):\n    total = ", "\n    return total / len(values)\n", shape=Shape.LINE)


async def test_a_review_agrees_with_llama_cpps_own_probabilities() -> None:
    """Of one line, decoded token by token in a context of llama.cpp's own; also where a batch is a few tokens. The
    text below is none that could be foreseen, so that each token counts."""
    below = ("\n    banana = [seven, of, these]", "\n")
    hole = FimContext(MEAN.prefix, "".join(below), shape=Shape.LINE)
    async with engine() as subject:
        (told,) = await subject.review(hole, ["sum(values)"])
    async with engine(batch_tokens=16) as subject:
        (in_parts,) = await subject.review(hole, ["sum(values)"])

    logprob = 0.0
    with closing(Plain()) as plain:
        for text in (MEAN.prefix, "sum(values)"):
            for token in plain.tokens(text):
                plain.read([token])
        for line in below:
            for token in plain.tokens(line):
                logprob += plain.logprobs()[token]
                plain.read([token])

    # In a batch of four or more llama.cpp multiplies by quantised weights by another kernel, which rounds otherwise.
    assert told == pytest.approx(logprob, abs=1.0)
    assert in_parts == pytest.approx(logprob, abs=1.0)


async def test_a_review_tells_which_line_the_text_below_needs_and_leaves_the_draft_as_it_was() -> None:
    async with engine() as subject:
        before = [token.piece async for token in subject.generate(MEAN, Limits(24, 1))]
        usage = subject.usage()
        begun = FimContext("def mean(values):\n    ", MEAN.suffix, shape=Shape.LINE)
        fitting, other = await subject.review(begun, ["total = sum(values)", "print(values)"])
        in_no_time = await subject.review(MEAN, ["sum(values)", "max(values)"], within_s=0.001)
        nothing_below = await subject.review(FimContext("total = ", ""), ["1", "2"])
        assert subject.usage() == usage
        after = [token.piece async for token in subject.generate(MEAN, Limits(24, 1))]

    assert fitting > other + 1.0
    assert in_no_time == nothing_below == []
    assert before == after


async def test_asked_for_by_hand_an_unsure_line_is_the_draft_that_goes_best_with_the_text_below() -> None:
    """Left to itself the model begins with an empty dictionary, to whose entries the loop could not append."""
    below = "\n    for word in words:\n        groups[len(word)].append(word)\n    return dict(groups)\n"
    hole = FimContext("def words_by_length(words):\n    groups = ", below, "a.py", "python", Shape.LINE)
    policy = Policy(deadline_s=60.0, invoked_deadline_s=60.0, choose_at=0.1)
    async with engine() as subject:
        cascade = Cascade([Tier(subject)], policy, Checker())
        (typing,) = (await cascade.complete(hole)).lines
        (by_hand,) = (await cascade.complete(hole, invoked=True)).lines
        chosen, first = await subject.review(hole, [by_hand.text, typing.text])

    assert typing.text == by_hand.draft != by_hand.text
    assert line_logprob(by_hand.tokens) + chosen / 4 > line_logprob(typing.tokens) + first / 4


async def test_a_line_that_forgets_a_name_is_drafted_anew_with_real_weights() -> None:
    text = (
        "def strange_sort_list(lst):\n"
        '    """Smallest first, then the largest of the rest, then the smallest, and so on."""\n'
        "    ║\n"
        "    while lst:\n"
        "        res.append(min(lst) if switch else max(lst))\n"
        "        lst.remove(res[-1])\n"
        "        switch = not switch\n"
        "    return res\n"
    )
    async with engine() as subject:
        cascade = Cascade([Tier(subject)], Policy(deadline_s=120.0), Checker())
        completion = await cascade.complete(drawn(text))
    filled = text.replace("║", completion.text)

    compile(filled, "filled", "exec")
    assert "res" in completion.text
    assert "switch" in completion.text


async def test_there_is_a_choice_of_drafts_with_real_weights(monkeypatch) -> None:
    monkeypatch.setattr(cascades, "ALTERNATIVES_S", 120.0)  # the machine may be busy
    text = "def mean(values):\n    total = ║\n    return total / len(values)\n"
    async with engine() as subject:
        cascade = Cascade([Tier(subject)], Policy(deadline_s=120.0), Checker())
        completion = await cascade.complete(drawn(text))
        others = await cascade.alternatives(drawn(text), completion, 2)

    texts = [completion.text, *(other.text for other in others)]
    assert len(set(texts)) == len(texts) == 3
    assert all(len(other.lines) == 1 and other.lines[0].tokens for other in others)
