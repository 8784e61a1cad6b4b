"""The peer's client side: what llama.vim sends, keeps and shows."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.evaluation import llama_vim
from egate_lsp.evaluation.llama_vim import Cache, Chunk, Ring, local, rendered, request, similarity

LINES = [f"line {number}" for number in range(600)]
CHUNK = tuple(f"chunk {number}" for number in range(10))


def test_the_context_is_so_many_lines_on_both_sides() -> None:
    context = local(LINES, 400, 3)

    assert context.prefix == "\n".join(LINES[144:400]) + "\n"
    assert (context.middle, context.line_suffix) == ("lin", "e 400")
    assert context.suffix == "e 400\n" + "\n".join(LINES[401:465]) + "\n"


def test_a_blank_line_is_asked_for_from_its_start() -> None:
    context = local(["def f():", "    ", "end"], 1, 4)

    assert (context.prefix, context.middle, context.suffix, context.indent) == ("def f():\n", "", "\nend\n", 0)


def test_the_context_after_a_shown_text() -> None:
    context = local(["a", "  b = ", "c"], 1, 6, ["1", "  d", "  e"], indent=2)

    assert context.prefix == "a\n  b = 1\n  d\n"
    assert (context.middle, context.suffix, context.indent) == ("  e", "\nc\n", 2)


def test_what_is_sent() -> None:
    first = request(local(["a", "b"], 1, 1), [Chunk(("x", "y", "z"), "other.py")], speculative=False)

    assert (first["input_prefix"], first["prompt"], first["input_suffix"]) == ("a\n", "b", "\n\n")
    assert first["input_extra"] == [{"text": "x\ny\nz\n", "filename": "other.py"}]
    assert (first["id_slot"], first["n_predict"], first["cache_prompt"]) == (0, 128, True)
    assert first["samplers"] == ["top_k", "top_p", "infill"]
    assert first["t_max_predict_ms"] == 250
    assert request(local(["a"], 0, 1), [], speculative=True)["t_max_predict_ms"] == 1000


@given(st.text(alphabet="ab \n", min_size=1, max_size=60), st.integers(0, 59))
def test_what_is_typed_of_a_reply_is_found_again(content: str, typed: int) -> None:
    typed = min(typed, len(content) - 1)
    cache = Cache()
    before = "x = 1\ny = "
    lines = (before + "\nend").split("\n")
    cache.put(local(lines, 1, 4).keys, content)
    text = before + content[:typed]
    row, column = text.count("\n"), len(text.rpartition("\n")[2])
    here = local((text + "\nend").split("\n"), row, column)

    found = cache.find(here)

    if here.line.strip():  # a blank line counts from its start, so that nothing is typed of its indentation
        assert found == content[typed:]
    else:
        assert found is None or content.endswith(found)


def test_a_reply_is_found_when_the_window_has_scrolled() -> None:
    cache = Cache()
    cache.put(local(LINES, 300, 8).keys, " and more")

    assert cache.holds(local(LINES[1:], 299, 8))
    assert cache.find(local(LINES, 300, 8)) == " and more"
    assert cache.find(local(LINES, 301, 8)) is None


def test_the_cache_is_bounded_and_drops_the_least_recently_used() -> None:
    cache = Cache()
    for number in range(llama_vim.MAX_CACHE_KEYS):
        cache.put([str(number)], "x")
        cache.get("0")

    assert len(cache) == llama_vim.MAX_CACHE_KEYS
    cache.put(["new"], "x")
    assert cache.get("0") == "x"
    assert cache.get("1") is None


def test_what_is_shown() -> None:
    hint = rendered("    return 1\n    # end\n", ["def f():", "    ", "x = 1"], 1, 4)
    assert (hint.text, hint.insert) == ("return 1\n    # end", "return 1\n    # end")
    hint = rendered("    return 1\n", ["def f():", "    ", "x = 1"], 1, 4)
    assert (hint.text, hint.insert, hint.content) == ("return 1", "return 1", ("return 1",))
    hint = rendered("  return 1\n", ["def f():", "    ", "x = 1"], 1, 4)
    assert (hint.text, hint.insert) == ("return 1", "")  # it would take indentation away
    hint = rendered("1, 2", ["f(", ")"], 0, 1)
    assert hint.content == ("1, 2(",)
    assert hint.text == "1, 2"
    assert not rendered(" \n", ["a = b", "c"], 0, 5).acceptable
    assert not rendered("", ["a"], 0, 1).acceptable


def test_what_stands_there_already_is_not_shown() -> None:
    lines = ["a = 1", "b = ", "", "b = 2", "c = 3", "d = 4"]

    assert rendered("2", lines, 1, 4).text == ""
    assert rendered("2\nc = 3\nd = 4", lines, 1, 4).text == ""
    assert rendered("3", lines, 1, 4).text == "3"
    assert rendered(")", ["f()"], 0, 2).text == ""
    assert rendered("\nb = 2", ["a", "b = 2"], 0, 1).text == ""


def test_the_ring_takes_chunks_and_drops_those_much_like_new_ones() -> None:
    ring = Ring(random.Random(1).randint)
    ring.pick(CHUNK, "a.py", evict=True)
    ring.pick(CHUNK, "a.py", evict=True)  # known
    ring.pick(CHUNK[:2], "a.py", evict=True)  # small
    assert len(ring.queued) == 1
    assert ring.take_in()
    assert not ring.take_in()

    ring.pick((*CHUNK, "new"), "a.py", evict=False)
    assert ring.queued == []  # 0.95 alike
    ring.pick((*CHUNK, "new"), "a.py", evict=True)
    assert ring.chunks == []
    assert [chunk.lines[-1] for chunk in ring.queued] == ["new"]


def test_the_ring_is_bounded_and_forgets_what_is_like_the_place() -> None:
    ring = Ring(random.Random(1).randint)
    for number in range(40):
        ring.pick([f"{number} {line}" for line in range(80)], "a.py", evict=True)
        ring.take_in()
    assert len(ring.chunks) == llama_vim.RING_CHUNKS
    assert all(len(chunk.lines) <= llama_vim.CHUNK_LINES // 2 + 1 for chunk in ring.chunks)

    last = ring.chunks[-1]
    ring.evict_like(last.lines[:32])
    assert last not in ring.chunks
    assert similarity(("a", "b"), ("b", "c")) == 0.5
