"""Does a line leave a name undefined, or a variable unused? For Python, by pyflakes. Pure.

A hole that is filled wrongly often leaves a trace elsewhere: the code below it uses a name that the line should have
bound, or the code above it bound one that the line should have used. A short file is looked at whole, of a longer one
the top-level code around the hole. What the text around the hole explains does not count: a name that occurs anywhere
outside of what is looked at is taken as known, a name that was undefined above the line is not the line's fault, and a
variable counts as unused only in the function around the hole, and only if more of that function stands below: before
that it may be used yet.
"""

from __future__ import annotations

import ast
import re
import warnings

from pyflakes import checker, messages

from egate_lsp.syntax import MAX_BLOCK_CHARS, python_block

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_fault(before: str, line: str, after: str, language: str, *, complete: bool = True) -> str | None:
    """What is wrong with names once `line` stands between `before` and `after`, in words; "" if nothing is.

    Args:
        before, after: the whole document before and after the cursor; `after` begins with the rest of its line.
        complete: False if more lines will follow `line`, which may bind or use what it does not.

    Returns:
        None where it is not known: another language than Python, a text that does not parse, a large block of code.
    """
    if language != "python" or not (line.strip() or complete):
        return None
    for head, tail in ((before, after), python_block(before, after)):
        short = len(head) + len(line) + len(tail) <= MAX_BLOCK_CHARS
        tree = _parsed(head + line + tail) if short else None
        if tree is not None:
            break
    else:
        return None
    number = head.count("\n") + 1
    found = checker.Checker(tree).messages
    unknown = [message for message in found if _is_undefined(message, number)]
    if unknown and "import *" not in before:
        outside = before[: len(before) - len(head)] + after[len(tail) :]
        for message in unknown:
            if (fault := _undefined(message, number, outside, complete=complete)) is not None:
                return fault
    if complete and (function := _function_around(tree, number)) is not None and _goes_on_below(function, number):
        for message in found:
            if isinstance(message, messages.UnusedVariable) and _is_inside(function, message.lineno):
                return f"{message.message_args[0]} stays unused"
    return ""


def _is_undefined(message: messages.Message, number: int) -> bool:
    return isinstance(message, messages.UndefinedName | messages.UndefinedLocal) and message.lineno >= number


def _undefined(message: messages.Message, number: int, outside: str, *, complete: bool) -> str | None:
    name = str(message.message_args[0])
    if re.search(rf"\b{re.escape(name)}\b", outside):
        return None
    if message.lineno == number:
        return f"it uses {name}, which nothing defines"
    return f"{name}, which the code below uses, stays undefined" if complete else None


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _function_around(tree: ast.Module, number: int) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The innermost function whose body holds the line."""
    around = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS) and _is_inside(node, number)]
    return max(around, key=lambda node: node.lineno, default=None)


def _is_inside(function: ast.FunctionDef | ast.AsyncFunctionDef, number: int) -> bool:
    return function.lineno < number <= (function.end_lineno or number)


def _goes_on_below(function: ast.FunctionDef | ast.AsyncFunctionDef, number: int) -> bool:
    return any(isinstance(node, ast.stmt) and node.lineno > number for node in ast.walk(function))
