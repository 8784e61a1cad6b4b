"""What a target answers, reduced to the text that belongs in the hole. Pure.

Chat models wrap code in fences, explain it, think aloud, repeat what stands before the cursor or after it, and lose
the indentation. Text that is clean already comes back as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egate_lsp.values import FimContext

HOLE = "<FILL_HERE>"

SYSTEM = (
    "You complete source code. The user shows a file with the mark " + HOLE + ". Answer with the exact text that "
    "replaces the mark and nothing else: no explanation, no code fence, no mark, and nothing of the code before or "
    "after it. Keep the file's indentation and style."
)

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.S)
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:\n?^[ \t]*```[ \t]*$|\Z)", re.S | re.M)
_INLINE_FENCE = re.compile(r"\A\s*`([^`\n]+)`\s*\Z")
_SPECIAL = re.compile(r"<\|(?:fim_\w+|endoftext|im_(?:start|end)|file_sep|repo_name|eot_id)\|>|<fim_\w+>|</?s>")
SPECIAL_BYTES = re.compile(_SPECIAL.pattern.encode())
_CHATTER = re.compile(
    r"\A\s*(?:sure|certainly|of course|okay|ok|here(?:'s| is| are)|the (?:missing|completed|following)|this is)\b"
    r"[^\n]*:[ \t]*\n+(?=\S|[ \t])",
    re.I,
)
ECHOED_LINES = 8
MIN_ECHO_CHARS = 3


def chat_messages(context: FimContext) -> list[dict[str, str]]:
    """The conversation that asks for the hole; what stays the same between requests stands first."""
    what = f"{context.language or 'code'} file {context.path}".strip()
    request = f"{what}\n\n{context.prefix}{HOLE}{context.suffix}"
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{request}\n\nReplace {HOLE} with one line."},
    ]


def clean(reply: str, context: FimContext, hint: str = "") -> str:
    """The reply without wrapping, echo and marks; "" if nothing is left.

    `hint` is the draft's line here: where the reply lost its indentation, it gets the draft's.
    """
    text = _SPECIAL.split(_unwrapped(reply.replace("\r\n", "\n")))[0]
    text = text.replace(HOLE, "")
    text = _without_prefix(text, context.prefix)
    text = _without_suffix(text, context.suffix)
    if context.prefix.endswith("\n") and text[:1].strip():
        text = hint[: len(hint) - len(hint.lstrip())] + text
    return text.rstrip() if text.strip() else ""


def _unwrapped(reply: str) -> str:
    text = _THINKING.sub("", reply)
    fenced = _FENCE.search(text)
    # A fence within an answer (a docstring with an example) is the answer's own: only one that begins the reply, or
    # follows a sentence that announces it, is a wrapping.
    if fenced is not None:
        before = text[: fenced.start()].strip()
        if not before or before.endswith((":", ".")):
            return fenced.group(1)
    inline = _INLINE_FENCE.match(text)
    if inline is not None:
        return inline.group(1)
    return _CHATTER.sub("", text)


def _without_prefix(text: str, prefix: str) -> str:
    """Cut an echo of what stands before the cursor: its last lines, or the current line's beginning."""
    lines = prefix.split("\n")
    current = lines[-1]
    for count in range(min(ECHOED_LINES, len(lines)), 1, -1):
        tail = "\n".join(lines[-count:])
        for echo in (tail, tail.lstrip()):
            if len(echo.strip()) >= MIN_ECHO_CHARS and _body(text).startswith(echo):
                return _body(text)[len(echo) :]
    if not current.strip():
        # The indentation before the cursor is there already.
        return text[len(current) :] if current and text.startswith(current) else text
    for echo in (current, current.strip()):
        if len(echo.strip()) >= MIN_ECHO_CHARS and text.lstrip("\n").startswith(echo):
            return text.lstrip("\n")[len(echo) :]
    return text


def _body(text: str) -> str:
    return text.lstrip("\n")


def _without_suffix(text: str, suffix: str) -> str:
    """Cut an echo of the lines that follow the cursor from the end."""
    following = [line for line in suffix.partition("\n")[2].split("\n") if line.strip()]
    if not following or "\n" not in text:
        return text
    lines = text.rstrip().split("\n")
    for start in range(1, len(lines)):
        rest = [line for line in lines[start:] if line.strip()]
        if (
            rest
            and len(rest) <= len(following)
            and [r.strip() for r in rest] == [line.strip() for line in following[: len(rest)]]
        ):
            return "\n".join(lines[:start])
    return text
