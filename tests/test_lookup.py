"""Guessing the next tokens by what stood there before: the guesses themselves, and when they are made."""

from __future__ import annotations

from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.models.lookup import GAP, MAX_GUESS, MAX_MATCH, MIN_MATCH, Corpus, Guesses, Odds

TOKENS = st.lists(st.integers(0, 3), max_size=40)


def corpus(tokens, recent=(), room=0) -> Corpus:
    return Corpus(recent, tokens, room)


def by_hand(tokens: list[int]) -> int:
    """The length of the longest repetition of the end that something follows, by looking at each."""
    best = 0
    for end in range(len(tokens) - 1):
        length = 0
        while length < min(MAX_MATCH, end + 1) and tokens[end - length] == tokens[-1 - length] != GAP:
            length += 1
        if tokens[end + 1] != GAP:
            best = max(best, length)
    return best if best >= MIN_MATCH else 0


@given(TOKENS, st.lists(TOKENS, max_size=3))
def test_the_match_is_the_longest_there_is(prompt, recent) -> None:
    tokens = [token for draft in recent for token in [*draft, GAP]] + prompt

    length, following = corpus(prompt, recent).match()

    assert length == by_hand(tokens)
    assert len(following) <= MAX_GUESS
    assert GAP not in following
    if length:
        repeated = [*tokens[-length:], *following.tolist()]
        assert any(tokens[at : at + len(repeated)] == repeated for at in range(len(tokens) - length))


def test_what_followed_last_time_is_guessed_and_the_nearer_of_two_equals_wins() -> None:
    length, following = corpus([1, 2, 3, 9, 1, 2, 4, 8, 1, 2]).match()

    assert (length, following.tolist()) == (2, [4, 8])


def test_tokens_written_since_belong_to_what_is_sought_in() -> None:
    subject = corpus([5, 6, 7], room=3)
    assert subject.match()[0] == 0
    for token in (8, 5, 6):
        subject.add(token)

    assert subject.match()[1].tolist() == [7, 8]


def odds(costs, right=0, wrong=0, match=4) -> Odds:
    subject = Odds()
    for tokens, seconds in costs.items():
        subject.took(tokens, seconds)
    for _ in range(right):
        subject.saw(match, right=True)
    for _ in range(wrong):
        subject.saw(match, right=False)
    return subject


CHEAP = {1: 30.0, 3: 40.0}
DEAR = {1: 30.0, 3: 90.0}


def test_nothing_is_guessed_before_batches_are_measured() -> None:
    assert odds({1: 30.0}).guess(MAX_MATCH, MAX_GUESS) == 0


def test_nothing_is_guessed_where_nothing_stood_before_however_long_nothing_was_guessed() -> None:
    subject = odds(CHEAP)
    for _ in range(1000):
        subject.took(1, CHEAP[1])

    guesses = Guesses(subject, deque(maxlen=2), [1, 2, 3, 4], 4)

    assert guesses.make(3) == []


def test_nothing_is_guessed_where_three_tokens_cost_three_times_as_much() -> None:
    assert all(
        odds(DEAR, right=1000, match=match).guess(match, MAX_GUESS) == 0 for match in range(MIN_MATCH, MAX_MATCH + 1)
    )


def test_guesses_that_were_wrong_are_not_made_any_more_and_are_again_once_they_would_have_been_right() -> None:
    subject = odds(CHEAP, right=100)
    before = subject.guess(4, MAX_GUESS)
    for _ in range(1000):
        subject.saw(4, right=False)
    after = subject.guess(4, MAX_GUESS)
    for _ in range(1000):
        subject.saw(4, right=True)

    assert (before, after, subject.guess(4, MAX_GUESS)) == (MAX_GUESS, 0, MAX_GUESS)


def test_what_a_batch_costs_is_looked_at_again_now_and_then() -> None:
    """A model loaded on a busy machine takes up guessing once it is quiet."""
    subject = odds(DEAR, right=1000, match=MAX_MATCH)
    guessed = []
    for _ in range(3000):
        guessed.append(subject.guess(MAX_MATCH, MAX_GUESS))
        subject.took(1 + guessed[-1], CHEAP[3] if guessed[-1] else CHEAP[1])

    assert not any(guessed[:60])
    assert all(guessed[-200:])


@given(
    st.floats(1.0, 100.0),
    st.floats(1.0, 3.0),
    st.integers(MIN_MATCH, MAX_MATCH),
    st.integers(0, MAX_GUESS),
    st.lists(st.booleans(), max_size=50),
)
def test_a_guess_is_as_long_as_it_pays(first, growth, match, available, seen) -> None:
    """Against the formula of the module, computed anew."""
    costs = {1: first, 3: first * growth}
    subject = odds(costs)
    for right in seen:
        subject.saw(match, right=right)

    def gain(count: int) -> float:
        chances = [subject.right(match + step) for step in range(count)]
        return (1.0 + sum(np.cumprod(chances))) / float(np.interp(1 + count, [1, 3], list(costs.values())))

    count = subject.guess(match, available)

    assert 0 <= count <= available
    assert gain(count) >= max(gain(other) for other in range(available + 1)) * (1 - 1e-9) or count == 0
    if count:
        assert gain(count) > gain(0) * 1.05 * (1 - 1e-9)
    else:
        assert all(gain(other) <= gain(0) * 1.05 * (1 + 1e-9) for other in range(1, available + 1))


@given(st.lists(st.integers(0, 2), min_size=2, max_size=20), st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_what_is_confirmed_are_the_tokens_that_the_model_writes_whatever_was_guessed(prompt, written) -> None:
    """Rows of the last batch count up while guesses come true; what did not is told, so that it can be taken back."""
    guesses = Guesses(odds(CHEAP, right=100, match=2), deque(maxlen=2), prompt, len(written))
    cache: list[int] = []
    batch: list[int] = []
    for token in written:
        if guesses.confirm(token):
            assert batch[guesses.row] == token
            continue
        wrong = guesses.withdraw()
        del cache[len(cache) - wrong :]
        guess = guesses.make(len(written))
        batch = [token, *guess]
        cache += batch
        guesses.decoded(guess)
        assert guesses.row == 0
    del cache[len(cache) - guesses.withdraw() :]

    assert cache == written


def test_a_draft_is_guessed_from_in_the_next_one() -> None:
    recent: deque[list[int]] = deque(maxlen=2)
    first = Guesses(odds(CHEAP, right=100, match=2), recent, [1, 2], 3)
    for token in (3, 4, 5):
        first.confirm(token)
    second = Guesses(odds(CHEAP, right=100, match=2), recent, [9, 1, 2], 3)

    assert second.make(3) == [3, 4]
