"""Secrets in a text that is about to leave: where they stand, and the text with them masked.

The patterns are those of detect-secrets, whose only importer this is. Its way of scanning files is not used: that may
verify a find over the network, and it forgets where in a line a secret stood. Imported when first asked: it takes a
moment. Safe to use from several threads.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from egate_lsp.values import FimContext

BESIDE = 2000  # characters of the document before and after the window that are looked at too: a key may be cut in two
MASK = "x"
MIN_CHARS = 4  # a shorter find is no secret worth the name
MANY_DIGITS = 16  # a random-looking string has at least so many characters
# An address in a network is not a secret; the others are other tools' business.
LEFT_OUT = {"IPPublicDetector"}

_ENDED_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.S
)
_BEGUN_KEY = re.compile(r"\A(?:(?!-----BEGIN ).)*?-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----", re.S)
_PUTTY_KEY = re.compile(r"PuTTY-User-Key-File-\d.*?(?:Private-MAC:[^\n]*|\Z)", re.S)
# What may stand before the code on a line that was made a comment, or a line of a diff.
_COMMENT = re.compile(r"^[ \t]*(?:(?:#+|//+|--(?!-))[ \t]*)?(?:[-+](?!-))?", re.M)
# The middle of a key, of which neither end is seen: lines of nothing but base64.
_KEY_LINES = re.compile(r"(?:^[ \t\"'+]*[A-Za-z0-9+/]{60,76}={0,2}(?:\\n)?[\"',+\\ \t]*(?:\n|\Z)){3,}", re.M)


@dataclass(frozen=True, slots=True)
class Found:
    """A secret: its kind in words, and the range of its code points in the text."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scanned:
    """A hole that was looked through.

    Attributes:
        kinds: of the secrets in what a model is shown, each once; empty if there are none.
        masked: the hole with each character of them replaced; every offset and line break is where it was.
    """

    kinds: tuple[str, ...]
    masked: FimContext


def scan_hole(context: FimContext) -> Scanned:
    """Look through a hole's prefix and suffix, and a little of the text beyond them. An outline with a secret is left
    out, because the hole can do without."""
    _detectors()
    if context.outline and scan(context.outline, context.path):
        context = replace(context, outline="")
    before, after = context.head[-BESIDE:], context.tail[:BESIDE]
    text = before + context.prefix + context.suffix + after
    first, last = len(before), len(text) - len(after)
    found = [each for each in scan(text, context.path) if each.end > first and each.start < last]
    if not found:
        return Scanned((), context)
    hidden = masked(text, found)
    cursor = first + len(context.prefix)
    shown = replace(context, prefix=hidden[first:cursor], suffix=hidden[cursor:last])
    return Scanned(tuple(dict.fromkeys(each.kind for each in found)), shown)


@functools.lru_cache(maxsize=512)
def scan_part(text: str, name: str) -> tuple[tuple[str, ...], str]:
    """Look through a part of a file, of which nothing is known beyond it: the kinds of its secrets, each once, and the
    part with them masked. The lines may be comments or those of a diff. Remembered: parts are shown many times."""
    _detectors()
    bare = _COMMENT.sub(lambda match: " " * len(match.group()), text)
    found = [*scan(text, name), *(scan(bare, name) if bare != text else ())]
    return tuple(dict.fromkeys(each.kind for each in found)), masked(text, found)


def scan(text: str, name: str = "") -> list[Found]:
    """The secrets in a text, by their places; they may overlap. `name` is the file's: it tells how it writes values."""
    found = [
        Found("private key", match.start(), match.end())
        for pattern in (_ENDED_KEY, _BEGUN_KEY, _PUTTY_KEY)
        for match in pattern.finditer(text)
    ]
    found += [Found("key material", match.start(), match.end()) for match in _KEY_LINES.finditer(text)]
    start = 0
    for line in text.split("\n"):
        if len(line) >= MIN_CHARS and not line.isspace():
            found += (Found(kind, start + low, start + high) for kind, low, high in _in_line(line, name))
        start += len(line) + 1
    return sorted(found, key=lambda each: (each.start, each.end))


def masked(text: str, found: Iterable[Found]) -> str:
    """The text with every character of the secrets but line breaks replaced by `MASK`; as long as before."""
    characters = list(text)
    for each in found:
        for index in range(each.start, each.end):
            if characters[index] not in "\r\n":
                characters[index] = MASK
    return "".join(characters)


def _in_line(line: str, name: str) -> Iterator[tuple[str, int, int]]:
    known = _detectors()
    for detector in known.patterns:
        for pattern in detector.denylist:
            for match in pattern.finditer(line):
                for low, high in _spans(match):
                    if high - low >= MIN_CHARS:
                        yield detector.secret_type, low, high
    for pattern, group in known.keywords(name).items():
        for match in pattern.finditer(line):
            low = match.start(group)
            high = _end_of_string(line, match.end(group))
            if high - low >= MIN_CHARS and not known.harmless(line[low:high]) and not known.refers(line):
                yield known.keyword_kind, low, high
    for detector in known.random:
        for match in detector.regex.finditer(line):
            value = match.group(2)
            if len(value) < MANY_DIGITS or known.harmless(value) or known.is_id(value, line):
                continue
            if detector.calculate_shannon_entropy(value) > detector.entropy_limit:
                yield detector.secret_type, *match.span(2)


def _spans(match: re.Match[str]) -> list[tuple[int, int]]:
    """Of a pattern's groups; of the whole where it has none."""
    groups = [match.span(number) for number in range(1, (match.re.groups or 0) + 1) if match.group(number)]
    return groups or [match.span()]


def _end_of_string(line: str, end: int) -> int:
    """Where a value ends that holds escaped quotes, at which the patterns stop."""
    while end < len(line) and line[end - 1] == "\\":
        closing = min((at for quote in "\"'`" if (at := line.find(quote, end + 1)) >= 0), default=len(line))
        end = closing
    return end


class _Detectors:
    """detect-secrets' parts that are used, loaded once."""

    def __init__(self) -> None:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.filters import heuristic
        from detect_secrets.plugins import keyword
        from detect_secrets.plugins.base import RegexBasedDetector
        from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString, HexHighEntropyString
        from detect_secrets.util.filetype import determine_file_type

        classes = get_mapping_from_secret_type_to_class().values()
        self.patterns: list[Any] = [
            kind() for kind in classes if issubclass(kind, RegexBasedDetector) and kind.__name__ not in LEFT_OUT
        ]
        self.random: list[Any] = [Base64HighEntropyString(), HexHighEntropyString()]
        self.keyword_kind: str = keyword.KeywordDetector.secret_type
        self.is_id = heuristic.is_likely_id_string
        self.refers = heuristic.is_indirect_reference
        self._keyword, self._heuristic, self._file_type = keyword, heuristic, determine_file_type

    def keywords(self, name: str) -> dict[re.Pattern[str], int]:
        """Patterns of a named secret with the group that is its value, as this kind of file writes them."""
        usual = self._keyword.QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP
        found: dict[re.Pattern[str], int] = self._keyword.REGEX_BY_FILETYPE.get(self._file_type(name), usual)
        return found

    def harmless(self, value: str) -> bool:
        """A placeholder, a sequence, a UUID, or no letter at all."""
        rules = self._heuristic
        return bool(
            rules.is_sequential_string(value)
            or rules.is_potential_uuid(value)
            or rules.is_templated_secret(value)
            or rules.is_prefixed_with_dollar_sign(value)
            or rules.is_not_alphanumeric_string(value)
        )


@functools.cache
def _detectors() -> _Detectors:
    return _Detectors()
