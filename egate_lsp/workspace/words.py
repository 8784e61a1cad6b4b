"""The words by which code is compared: identifiers and the words they are made of, as numbers. Pure.

A word is kept as its CRC-32: an index of a hundred thousand words needs no strings, and two that share a number cost
one wrong match.
"""

from __future__ import annotations

import functools
import re
import zlib

MIN_CHARS = 2
_IDENTIFIERS = re.compile(r"[^\W\d]\w*")
_INNER = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")


@functools.lru_cache(maxsize=16_384)
def of_identifier(name: str) -> tuple[int, ...]:
    """`readAll` and `read_all` have two words in common, and each one of its own."""
    whole = name.lower()
    inner = [part.lower() for part in _INNER.findall(name)]
    found = dict.fromkeys(word for word in (whole, *inner) if len(word) >= MIN_CHARS)
    return tuple(zlib.crc32(word.encode("utf-8", "replace")) for word in found)


def of_text(text: str) -> set[int]:
    """All words of a text."""
    found: set[int] = set()
    for name in set(_IDENTIFIERS.findall(text)):
        found.update(of_identifier(name))
    return found
