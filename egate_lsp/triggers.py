"""Pattern triggers: known trouble spots that defer a line whatever its entropy. Pure.

A plain scanner, for where no syntax tree tells (`tree_triggers`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp import languages

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

NESTING = 3

# A keyword that declares; in Go a receiver may stand before the name.
_DECLARATION = re.compile(r"\b(?:def|function|func|fn|fun|sub|proc)\b\s*(?:\([^()]*\)\s*\w+)?[^(]*\(")
# A head as in C or Java: modifiers, a type, a name, and a brace at the end.
_HEAD = re.compile(
    r"""(?x)
    ^\s*(?:(?:public|private|protected|internal|static|final|async|override|virtual|inline|export|const)\s+)*
    [\w<>\[\],.*&:?~]+ (?:\s+[\w<>\[\],.*&:?~]+)* \s* \( (?=[^;]*\)\s*[^;=]*\{\s*$)
    """
)
_CONTROL = re.compile(r"^\s*(?:\}\s*)?(?:if|else|for|while|switch|catch|return|with|match|foreach|do|synchronized)\b")
_QUOTED = re.compile(r"""\"(?:\\.|[^"\\])*\"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`""")
_INTERPOLATION = re.compile(r"\$\{")
_FSTRING = re.compile(r"""(?i)\b(?:f|fr|rf)(\"\"\"|'''|"|')(?P<body>(?:\\.|(?!\1).)*)""")
_NESTED_EXPRESSION = re.compile(r"(?<!\{)\{(?!\{)[^{}]*[(\[{]")
_RAW_OPENERS = re.compile(r"""R\"\w*\(|\br#+\"|\[=*\[""")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A trigger of the user's own.

    Attributes:
        expression: searched in the whole line.
        languages: LSP identifiers; empty: all.
    """

    name: str
    expression: re.Pattern[str]
    languages: tuple[str, ...] = ()

    def matches(self, line: str, language: str) -> bool:
        return (not self.languages or language in self.languages) and bool(self.expression.search(line))


def fired(
    enabled: Iterable[str],
    prefix: str,
    written: Sequence[str],
    line: str,
    language: str,
    patterns: Iterable[Pattern] = (),
    known: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Names of the enabled triggers that the line matches, in the order of `enabled`, then the user's own.

    `known` are those that a syntax tree tells (`syntax.Checker.patterns`); None: the line is scanned.

    `line` is judged as the whole line of the document it will become: for the first one, with what stands before the
    cursor.
    """
    whole = line if written else prefix.rpartition("\n")[2] + line
    if languages.is_comment(whole, language):
        return ()
    found = [name for name in enabled if (_TRIGGERS[name](whole, language) if known is None else name in known)]
    return (*found, *(pattern.name for pattern in patterns if pattern.matches(whole, language)))


def signature(line: str, language: str) -> bool:
    """The head of a function or method with two or more parameters (self, cls and this do not count)."""
    head = _DECLARATION.search(line) or _HEAD.search(line)
    if head is None or _CONTROL.match(line):
        return False
    depth, parameters, current = 1, [], ""
    for character in line[head.end() :]:
        if character in "([{<":
            depth += 1
        elif character in ")]}>":
            depth -= 1
            if depth == 0:
                break
        if character == "," and depth == 1:
            parameters.append(current)
            current = ""
        else:
            current += character
    parameters.append(current)
    counted = [text for text in parameters if text.strip() and text.strip().split(":")[0] not in _RECEIVERS]
    return len(counted) >= 2


_RECEIVERS = {"self", "cls", "this", "&self", "&mut self", "mut self", "*", "/"}


def nested_brackets(line: str, _language: str) -> bool:
    """Brackets nested three deep or more, outside of strings."""
    depth = 0
    for character in _QUOTED.sub("", line):
        if character in "([{":
            depth += 1
            if depth >= NESTING:
                return True
        elif character in ")]}":
            depth = max(depth - 1, 0)
    return False


def multiline_string(line: str, language: str) -> bool:
    """The line opens a string that goes on in the next."""
    quotes = languages.facts(language).raw_quotes
    if any(line.count(quote) % 2 for quote in quotes):
        return True
    raw = _RAW_OPENERS.search(line) if language in {"lua", "cpp", "rust"} else None
    if raw is None:
        return False
    closer = {"R": ")", "r": '"#', "[": "]]"}[raw.group()[0]]
    return closer not in line[raw.end() :]


def template_literal(line: str, language: str) -> bool:
    """A template literal with an interpolation, or an f-string whose expression holds a bracket."""
    if any(quote in line for quote in languages.facts(language).interpolated_quotes) and _INTERPOLATION.search(line):
        return True
    return (
        any(_NESTED_EXPRESSION.search(match["body"]) for match in _FSTRING.finditer(line))
        if language == "python"
        else False
    )


def raw_string(line: str, language: str) -> bool:
    """A raw string literal, in which a backslash is a backslash."""
    marks = {"python": _RAW_PYTHON, "cpp": _RAW_CPP, "rust": _RAW_RUST, "csharp": _RAW_CSHARP}
    return language in marks and bool(marks[language].search(line))


def regular_expression(line: str, language: str) -> bool:
    """A call that takes a regular expression, or a literal of one."""
    if language in _SLASHED and _SLASH_REGEX.search(line):
        return True
    return bool(_REGEX_CALL.search(line))


def decorator(line: str, language: str) -> bool:
    """A decorator, annotation or attribute with arguments."""
    return bool((_ATTRIBUTE if language == "rust" else _DECORATOR).match(line))


def type_parameters(line: str, language: str) -> bool:
    """A declaration that takes type parameters."""
    return bool((_PYTHON_TYPES if language == "python" else _ANGLE_TYPES).search(line))


_RAW_PYTHON = re.compile(r"""(?i)(?<![\w"'])(?:r|rb|br|rf|fr)["']""")
_RAW_CPP = re.compile(r"""\bR\"""")
_RAW_RUST = re.compile(r"""\br#*\"""")
_RAW_CSHARP = re.compile(r"""@\$?\"|\$@\"""")
_SLASHED = {"javascript", "javascriptreact", "typescript", "typescriptreact", "ruby"}
_SLASH_REGEX = re.compile(r"(?:[=(,:\[!&|?]|\breturn)\s*/(?![/*\s])(?:\\.|[^/\\\n])+/[a-z]*")
_REGEX_CALL = re.compile(
    r"\bre\.(?:compile|match|search|sub|findall|finditer|fullmatch|split)\(|\b(?:new\s+)?RegExp\(|\bRegex(?:::new)?\("
    r"|\bregexp\.(?:Must)?Compile\(|\bPattern\.compile\(|\bpreg_\w+\("
)
_DECORATOR = re.compile(r"^\s*@[\w.]+\s*\(\s*[^)\s]")
_ATTRIBUTE = re.compile(r"^\s*#!?\[\s*[\w:]+\s*[(=]")
_PYTHON_TYPES = re.compile(r"\b(?:def|class|type)\s+\w+\s*\[|\bTypeVar\(|\bGeneric\[")
_ANGLE_TYPES = re.compile(
    r"\b(?:class|interface|struct|enum|trait|impl|fn|function|func|type|record)\b[^(={]*?<\s*[A-Z]\w*|\btemplate\s*<"
)

_TRIGGERS: dict[str, Callable[[str, str], bool]] = {
    "signature": signature,
    "nested-brackets": nested_brackets,
    "multiline-string": multiline_string,
    "template-literal": template_literal,
    "raw-string": raw_string,
    "regular-expression": regular_expression,
    "decorator": decorator,
    "type-parameters": type_parameters,
}
NAMES = tuple(_TRIGGERS)
