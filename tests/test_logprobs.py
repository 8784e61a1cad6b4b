"""The normaliser of probabilities, on the shapes that servers send."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.models.logprobs import LEAST, Alignment, Seen, read

HALF, QUARTER = math.log(0.5), math.log(0.25)
LEGACY = {
    "tokens": [" a", " +"],
    "token_logprobs": [HALF, -0.0],
    "top_logprobs": [{" b": QUARTER, " a": HALF}, {" +": 0.0}],
    "text_offset": [0, 2],
}
CONTENT = {
    "content": [
        {
            "token": " a",
            "logprob": HALF,
            "bytes": [32, 97],
            "top_logprobs": [
                {"token": " a", "logprob": HALF, "bytes": [32, 97]},
                {"token": " b", "logprob": QUARTER, "bytes": [32, 98]},
            ],
        },
        {"token": " +", "logprob": 0.0, "bytes": None, "top_logprobs": [{"token": " +", "logprob": 0.0}]},
    ],
    "refusal": None,
}
PROBABILITIES = [
    {
        "id": 264,
        "token": " a",
        "bytes": [32, 97],
        "prob": 0.5,
        "top_probs": [{"id": 264, "token": " a", "prob": 0.5}, {"id": 293, "token": " b", "prob": 0.25}],
    },
    {"id": 488, "token": " +", "prob": 1.0, "top_probs": [{"token": " +", "prob": 1.0}]},
]
OLD_PROBABILITIES = [
    {"content": " a", "probs": [{"tok_str": " a", "prob": 0.5}, {"tok_str": " b", "prob": 0.25}]},
    {"content": " +", "probs": [{"tok_str": " +", "prob": 1.0}]},
]
EXPECTED = [Seen(b" a", HALF, ((b" a", HALF), (b" b", QUARTER))), Seen(b" +", 0.0, ((b" +", 0.0),))]


@pytest.mark.parametrize(
    "told",
    [LEGACY, CONTENT, CONTENT["content"], PROBABILITIES, OLD_PROBABILITIES],
    ids=["legacy", "content", "bare list", "probabilities", "old probabilities"],
)
def test_every_shape_reads_the_same(told) -> None:
    assert read(told) == EXPECTED


@pytest.mark.parametrize("told", [None, {}, [], "x", 3, {"tokens": None}, {"content": None}, {"content": [7]}, [None]])
def test_no_probabilities(told) -> None:
    assert read(told) == []


def test_holes_in_legacy_arrays() -> None:
    told = {"tokens": ["a", "b"], "token_logprobs": [None], "top_logprobs": None}

    assert read(told) == [Seen(b"a"), Seen(b"b")]


def test_numbers_out_of_range() -> None:
    odd = [-9999.0, float("-inf"), float("nan"), 1e-9, True, "x"]
    told = {"tokens": ["a"] * len(odd), "token_logprobs": odd, "top_logprobs": []}

    assert [seen.logprob for seen in read(told)] == [LEAST, LEAST, None, 0.0, None, None]


def test_part_of_a_character() -> None:
    told = {"tokens": ["bytes:\\xf0\\x9f", "token_id:42"], "token_logprobs": [HALF, HALF], "top_logprobs": []}

    assert [seen.piece for seen in read(told)] == [b"\xf0\x9f", b""]


def test_a_chosen_token_that_is_no_likeliest_one_is_left_out() -> None:
    told = {"tokens": ["c"], "token_logprobs": [-5.0], "top_logprobs": [{"a": HALF, "b": QUARTER, "c": -5.0}]}

    assert read(told, top=2) == [Seen(b"c", -5.0, ((b"a", HALF), (b"b", QUARTER)))]


def test_the_gate_gets_probabilities_and_a_margin() -> None:
    token = EXPECTED[0].token(1000)

    assert token.top == pytest.approx((0.5, 0.25))
    assert token.margin == pytest.approx(0.25)
    assert token.vocabulary == 1000
    assert EXPECTED[1].token().margin is None


def test_a_token_that_crosses_the_cursor_is_a_choice_among_those_that_could_stand_there() -> None:
    seen = Seen(b"return", math.log(0.4), ((b"x", HALF), (b"return", math.log(0.4)), (b"retry", math.log(0.1))))
    beyond = seen.beyond(b"retu")

    assert beyond.piece == b"rn"
    assert math.exp(beyond.logprob) == pytest.approx(1.0)
    assert beyond.top == ((b"rn", 0.0),)
    assert math.exp(seen.beyond(b"ret").logprob) == pytest.approx(0.8)
    assert Seen(b"return").beyond(b"ret") == Seen(b"urn")


def test_text_and_tokens_that_agree() -> None:
    alignment = Alignment()

    assert alignment.feed(" a +", EXPECTED) == EXPECTED
    assert alignment.end() == []


def test_a_character_in_three_tokens_comes_whole() -> None:
    parts = [Seen(bytes([byte]), HALF) for byte in "😀".encode()]
    alignment = Alignment()

    assert alignment.feed("", parts[:2]) == []
    assert alignment.feed("😀", parts[2:]) == parts


def test_text_without_tokens_and_tokens_that_do_not_fit() -> None:
    alignment = Alignment()

    assert alignment.feed("x") == [Seen(b"x")]
    parts = [Seen(b" a", HALF, ((b" a", HALF),)), Seen(b"b", QUARTER, ((b"c", -0.5), (b"b", QUARTER)))]
    assert alignment.feed("ab", parts) == [Seen(b"ab", HALF + QUARTER, ((b"c", -0.5), (b"b", QUARTER)))]


def test_the_end_of_a_line_that_a_stop_text_cut_still_counts() -> None:
    alignment = Alignment()

    assert alignment.feed("a", [Seen(b"a", HALF), Seen(b"\n    ", QUARTER)]) == [Seen(b"a", HALF)]
    assert alignment.end() == [Seen(b"", QUARTER)]
    assert alignment.feed(")", [Seen(b")\n", HALF)]) == []
    assert alignment.end() == [Seen(b")", HALF)]


texts = st.text(alphabet="ab \n😀é\r", max_size=12)


@given(st.lists(st.tuples(texts, st.lists(st.builds(Seen, st.binary(max_size=4)), max_size=4)), max_size=8))
def test_whatever_tokens_are_told_the_text_is_right_in_every_byte(chunks) -> None:
    alignment = Alignment()
    pieces = [seen.piece for text, seen in chunks for seen in alignment.feed(text, seen)]
    pieces += [seen.piece for seen in alignment.end()]

    assert b"".join(pieces) == "".join(text for text, _ in chunks).encode()


@given(st.text(alphabet="ab \n😀é", max_size=30), st.data())
def test_tokens_that_spell_the_text_come_out_as_they_are(text, data) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(raw) - 1, 1)))) & set(range(1, len(raw))))
    parts = [Seen(raw[a:b], -1.0) for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True) if raw]
    at = data.draw(st.integers(0, len(text)))
    alignment = Alignment()
    # The text comes in two pieces, all tokens with the first.
    out = alignment.feed(text[:at], parts) + alignment.feed(text[at:]) + alignment.end()

    assert [seen.piece for seen in out if seen.piece] == [part.piece for part in parts]
    assert all(seen.logprob == -1.0 for seen in out)
