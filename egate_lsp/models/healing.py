"""Token healing: the prefix often ends inside a token. Step back over the partial word and spell it again. Pure.

A prompt that ends in "    retu" leaves the model with tokens it never saw followed by "rn"; one that ends in the
indentation makes it write the space of " return" once more. So what may be the beginning of a token is cut from the
prompt, and the first generated tokens may only be such as spell what was cut.

Byte-pair tokenizers of code models split text first into a word with one character before it that is no letter, runs
of punctuation with a space before, and white space; the span follows that. Exact match of the rest of the line with
the 0.5B draft, suffix first (104 lines of the development half of HumanEval-Infilling, single line, white space
counted): after the indentation 0.60, and 0.00 if white space is not taken back; in mid-line 0.75, and 0.70 if only
words and the space before them are.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_SPAN = 64  # characters; a longer "word" is data, not code, and its tokens are no worse than others

_PARTIAL = re.compile(
    r"""(?x)
    (?: [^\w\n]? \w+        # a partial word with the character before it: " retu", ".app", "(x"
      | [ \t]? [^\w\s]+     # punctuation: "(" may become "()" or "(x"
      | [ \t]                # the last white space of the line
    ) \Z
    """
)


def span(prefix: str) -> int:
    """How many characters at the prefix's end are to be spelled again."""
    match = _PARTIAL.search(prefix, max(len(prefix) - MAX_SPAN - 1, 0))
    return min(len(match.group()), MAX_SPAN) if match else 0


class VocabularyIndex:
    """Finds the tokens that can spell a given text."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """`pieces[i]` are the bytes of token i; empty for control tokens, which never qualify."""
        order = sorted((piece, token) for token, piece in enumerate(pieces) if piece)
        self._sorted = [piece for piece, _ in order]
        self._tokens = np.fromiter((token for _, token in order), np.int64, len(order))

    def candidates(self, forced: bytes) -> NDArray[np.int64]:
        """Tokens whose bytes begin `forced` or begin with `forced`, shape (n,), n may be 0. `forced` is not empty."""
        ranges = [self._range(forced[:length], exact=True) for length in range(1, len(forced))]
        ranges.append(self._range(forced, exact=False))
        return np.concatenate([self._tokens[low:high] for low, high in ranges])

    def _range(self, start: bytes, *, exact: bool) -> tuple[int, int]:
        end = start + b"\x00" if exact else _successor(start)
        low = bisect_left(self._sorted, start)
        return low, len(self._sorted) if end is None else bisect_left(self._sorted, end, low)


def _successor(start: bytes) -> bytes | None:
    """The first byte string after all that begin with `start`; None if there is none."""
    trimmed = start.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else None
