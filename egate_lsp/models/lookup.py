"""Prompt lookup: what a model will write next is often a repetition of what stands in its prompt or in its last drafts.

A guess at the next tokens is decoded together with the token at hand, in one batch. The model's own choice at each
row decides: as far as it agrees, those tokens were had for less than one decode each; the first that it disagrees with
is dropped with all after it. So what is written is what greedy decoding writes (Saxena, Prompt Lookup Decoding, 2023,
github.com/apoorvumang/prompt-lookup-decoding; Leviathan et al., arXiv 2211.17192, for the verification). Pure; numpy.

Whether a guess of k tokens pays is decided each time. With c(n) the time of a batch of n tokens and p(l) the share of
guesses that were right where the last l tokens had occurred before,

    gain(k) = (1 + sum_{i=1..k} prod_{j<i} p(l + j)) / c(1 + k)      tokens a second

and the k of the highest gain is taken, 0 if none is MARGIN better than c(1) alone. c is measured when the model is
loaded and followed since, where guesses do not pay by one that is likely right every PROBE tokens: the machine may have
been busy before. p is counted at each token for which there is a guess, whether it is used or not, so that a guess that
came to pay is taken up again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from numpy.typing import NDArray

MIN_MATCH = 2  # tokens that must have occurred before
MAX_MATCH = 12
# Tokens: a batch of three. llama.cpp multiplies by quantised weights in groups of four rows, by a kernel that rounds in
# another way: at four tokens the logits of the default draft moved by up to 0.42 and the entropy by 0.08 nats, at two
# and three by nothing at all (24 tokens, x86-64, one thread).
MAX_GUESS = 2
MARGIN = 1.05
PROBE = 64
LIKELY = 0.7
PRIOR_RIGHT = {2: 0.4, 3: 0.5, 4: 0.6, 6: 0.7, 8: 0.8}  # by the least length of the match
PRIOR_WEIGHT = 20.0  # guesses that the prior counts for
MEMORY = 0.995  # of a count at each further one
COST_MEMORY = 0.9
MAX_CANDIDATES = 64  # occurrences looked at, the latest first
RECENT_DRAFTS = 4
GAP = -1  # stands between texts; no token


class Corpus:
    """The tokens in which repetitions are sought: recent drafts, the prompt, and what was written since."""

    def __init__(self, recent: Sequence[Sequence[int]], prompt: Sequence[int], room: int) -> None:
        """`room`: how many tokens may be added."""
        known: list[int] = []
        for draft in recent:
            known += [*draft, GAP]
        known += prompt
        self._tokens = np.empty(len(known) + room, np.int64)
        self._tokens[: len(known)] = known
        self._size = len(known)

    def add(self, token: int) -> None:
        """A token was written."""
        self._tokens[self._size] = token
        self._size += 1

    def match(self) -> tuple[int, NDArray[np.int64]]:
        """The longest repetition of the last tokens: its length in tokens, at most MAX_MATCH, and what followed it,
        shape (n,), n at most MAX_GUESS; the latest of the longest. `(0, [])` if it is shorter than MIN_MATCH."""
        tokens = self._tokens[: self._size]
        if tokens.size <= MIN_MATCH:
            return 0, tokens[:0]
        # Where the last two stood before, and another token after them.
        pairs = (tokens[1:-1] == tokens[-1]) & (tokens[:-2] == tokens[-2]) & (tokens[2:] != GAP)
        found = np.flatnonzero(pairs) + 1
        best, end = 0, 0
        for position in found[::-1][:MAX_CANDIDATES]:
            length = self._common(int(position))
            if length > best:
                best, end = length, int(position)
                if best == MAX_MATCH:
                    break
        following = tokens[end + 1 : end + 1 + MAX_GUESS]
        gaps = np.flatnonzero(following == GAP)
        following = following[: gaps[0]] if gaps.size else following
        return (best, following) if best >= MIN_MATCH else (0, tokens[:0])

    def _common(self, position: int) -> int:
        """How many tokens up to `position` are the last ones."""
        tokens, last = self._tokens, self._size - 1
        length = 0
        while length < min(MAX_MATCH, position + 1) and tokens[position - length] == tokens[last - length] != GAP:
            length += 1
        return length


class Odds:
    """How often guesses are right, and what batches cost: whether to guess."""

    def __init__(self) -> None:
        self._right = [0.0] * (MAX_MATCH + 1)
        self._seen = [0.0] * (MAX_MATCH + 1)
        self._cost: dict[int, float] = {}
        self._alone = 0  # batches of one token since one of more

    @property
    def measured(self) -> bool:
        """True once batches of more than one size have a known cost."""
        return len(self._cost) > 1

    def took(self, tokens: int, seconds: float) -> None:
        """A batch of so many tokens took so long."""
        self._alone = self._alone + 1 if tokens == 1 else 0
        known = self._cost.get(tokens)
        self._cost[tokens] = seconds if known is None else COST_MEMORY * known + (1.0 - COST_MEMORY) * seconds

    def saw(self, match: int, *, right: bool) -> None:
        """Where `match` tokens had occurred before, the token that followed then did so again, or not."""
        self._right[match] = MEMORY * self._right[match] + right
        self._seen[match] = MEMORY * self._seen[match] + 1.0

    def right(self, match: int) -> float:
        """The chance that the next token is the one guessed, in (0, 1)."""
        length = min(match, MAX_MATCH)
        prior = PRIOR_RIGHT[max(least for least in PRIOR_RIGHT if least <= length)]
        return (self._right[length] + PRIOR_WEIGHT * prior) / (self._seen[length] + PRIOR_WEIGHT)

    def guess(self, match: int, available: int) -> int:
        """How many of the available tokens to guess."""
        if not available or not self.measured:
            return 0
        if self._alone >= PROBE and self.right(match) >= LIKELY:
            return min(available, MAX_GUESS)
        best, most = 0, MARGIN / self._batch(1)
        expected, chance = 1.0, 1.0
        for count in range(1, min(available, MAX_GUESS) + 1):
            chance *= self.right(match + count - 1)
            expected += chance
            gain = expected / self._batch(1 + count)
            if gain > most:
                best, most = count, gain
        return best

    def _batch(self, tokens: int) -> float:
        """Seconds of a batch of so many tokens, between the sizes that are known by a straight line, beyond the
        largest in proportion."""
        sizes = sorted(self._cost)
        costs = [self._cost[size] for size in sizes]
        if tokens > sizes[-1]:
            return costs[-1] * tokens / sizes[-1]
        return float(np.interp(tokens, sizes, costs))


class Guesses:
    """The guesses of one draft."""

    def __init__(self, odds: Odds, recent: deque[list[int]], prompt: Sequence[int], room: int) -> None:
        """`recent`: drafts, as they were guessed from; this one is put there too. `room`: its tokens at most."""
        self._odds = odds
        self._corpus = Corpus(recent, prompt, room)
        self._draft = list(prompt[-MAX_MATCH:])
        recent.append(self._draft)
        self._open: list[int] = []  # decoded, not yet confirmed
        self._match: tuple[int, NDArray[np.int64]] = self._corpus.match()
        self.row = 0
        """The row of the last batch whose logits are next."""

    def confirm(self, token: int) -> bool:
        """The model wrote `token`; true if it is the next that was guessed and decoded."""
        length, following = self._match
        if length:
            self._odds.saw(length, right=bool(following[0] == token))
        self._corpus.add(token)
        self._draft.append(token)
        self._match = self._corpus.match()
        if not self._open or self._open[0] != token:
            return False
        del self._open[0]
        self.row += 1
        return True

    def withdraw(self) -> int:
        """Give up what is not confirmed: so many tokens."""
        wrong = len(self._open)
        self._open = []
        return wrong

    def make(self, most: int) -> list[int]:
        """The tokens that are worth decoding with the one at hand, at most so many."""
        length, following = self._match
        return [int(token) for token in following[: self._odds.guess(length, min(len(following), most))]]

    def decoded(self, guess: Sequence[int]) -> None:
        """Those were decoded in the rows after the first of a new batch."""
        self._open = list(guess)
        self.row = 0
