"""What a target answers, reduced to the text that belongs in the hole. Pure.

Chat models wrap code in fences, explain it, think aloud, repeat what stands before the cursor or after it, answer with
the whole file, begin with an empty line, and lose or change the indentation. Text that is clean already comes back as
it is. Each step takes away one such habit, and only where the text can be recognised as that habit by the file around
the hole: a line of code that only looks like one stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.values import FimContext

HOLE = "<FILL_HERE>"

SYSTEM = (
    "You complete source code. The user shows a file with the mark " + HOLE + ". Answer with the exact text that "
    "replaces the mark and nothing else: no explanation, no code fence, no mark, and nothing of the code before or "
    "after it. Keep the file's indentation and style."
)

_TAGS = "think|thinking|thought|reasoning"
_THINKING = re.compile(rf"<({_TAGS})>.*?(?:</\1>|\Z)", re.S)
_THOUGHT_END = re.compile(rf"\A.*</(?:{_TAGS})>", re.S)
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\n`]*\n(.*?)(?:\n?^[ \t]*\1[ \t]*$|\Z)", re.S | re.M)
_INLINE_FENCE = re.compile(r"\A\s*`([^`\n]+)`\s*\Z")
_ONE_LINE_FENCE = re.compile(r"\A\s*```(?:[\w+#-]+[ \t])?([^`\n]+)```\s*\Z")
SPECIAL = re.compile(r"<\|(?:fim_\w+|endoftext|im_(?:start|end)|file_sep|repo_name|eot_id)\|>|<fim_\w+>|</?s>")
SPECIAL_BYTES = re.compile(SPECIAL.pattern.encode())
_CHATTER = re.compile(
    r"\A\s*(?:sure|certainly|of course|okay|ok|here(?:'s| is| are)|the (?:missing|completed|following)|this is)\b"
    r"[^\n]*:[ \t]*\n+(?=\S|[ \t])",
    re.I,
)
_CODE = re.compile(r"[=(){}\[\];<>]|^\s*(?:return|import|from|pass|break|continue|yield|raise|end)\b")
ECHOED_LINES = 8
MIN_ECHO_CHARS = 3
ANCHOR_LINES = 3
MIN_ANCHOR_CHARS = 8


def chat_messages(context: FimContext) -> list[dict[str, str]]:
    """The conversation that asks for the hole; what stays the same between requests stands first."""
    what = f"{context.language or 'code'} file {context.path}".strip()
    request = f"{what}\n\n{context.prefix}{HOLE}{context.suffix}"
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{request}\n\nReplace {HOLE} with one line."},
    ]


def clean(reply: str, context: FimContext, hint: str = "") -> str:
    """The reply without wrapping, echo and marks; "" if nothing is left. Line breaks are LF.

    `hint` is the draft's line here: where the reply lost its indentation, it gets the draft's.
    """
    text = _unwrapped(reply.replace("\r\n", "\n").replace("\r", "\n"))
    text = SPECIAL.split(text)[0].replace(HOLE, "")
    text = _reindented(text, context.prefix + context.suffix)
    text = _without_prefix(text, context)
    text = _without_suffix(text, context)
    text = _without_blank_start(text)
    text = _at_cursor(text, context.prefix, hint)
    return text.rstrip() if text.strip() else ""


def _unwrapped(reply: str) -> str:
    """Without thoughts, fences and what is said around them."""
    text = _THINKING.sub("", reply)
    text = _THOUGHT_END.sub("", text)  # a template may have opened the thought before the reply began
    fenced = _FENCE.search(text)
    # A fence within an answer (a docstring with an example) is the answer's own: only one that begins the reply, or
    # follows talk, is a wrapping.
    if fenced is not None and _is_talk(text[: fenced.start()]):
        return fenced.group(2)
    for form in (_ONE_LINE_FENCE, _INLINE_FENCE):
        if (inline := form.match(text)) is not None:
            return inline.group(1)
    return _CHATTER.sub("", text)


def _is_talk(text: str) -> bool:
    """True for text that is not code: nothing, a sentence, or something that ends as one."""
    lines = [line for line in text.split("\n") if line.strip()]
    return not lines or lines[-1].rstrip().endswith((":", ".", "!")) or not any(_CODE.search(line) for line in lines)


def _reindented(text: str, around: str) -> str:
    """With tabs where the file indents by tabs, and spaces where it does by spaces."""
    known = [start for start in map(_indent, around.split("\n")) if start]
    by_tabs = sum(start[0] == "\t" for start in known)
    if not known or by_tabs not in {0, len(known)}:
        return text
    spaces = [len(start) for start in known if start[0] == " "]
    unit = min((width for width in spaces if width > 1), default=4)
    lines = text.split("\n")
    own = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    own_unit = min([4, *(width for width in own if width > 1)])
    result = []
    for line in lines:
        body = line.lstrip(" \t")
        start = line[: len(line) - len(body)]
        if by_tabs and " " in start:
            width = len(start.expandtabs(own_unit))
            start = "\t" * (width // own_unit) + " " * (width % own_unit)
        elif not by_tabs and "\t" in start:
            start = start.expandtabs(unit)
        result.append(start + body)
    return "\n".join(result)


def _without_prefix(text: str, context: FimContext) -> str:
    """Cut an echo of what stands before the cursor: the whole file, its last lines, or the current line's beginning."""
    prefix = context.prefix
    lines = prefix.split("\n")
    current = lines[-1]
    for count in range(min(ECHOED_LINES, len(lines)), 1, -1):
        echo = "\n".join(lines[-count:])
        if len(echo.strip()) >= MIN_ECHO_CHARS and text.lstrip("\n").startswith(echo):
            return text.lstrip("\n")[len(echo) :]
    if (after := _after_anchor(text, context)) is not None:
        text = after
    if not current.strip():
        return text
    body = text.lstrip()
    for echo in (current.lstrip(), current.strip()):
        if len(echo.strip()) >= MIN_ECHO_CHARS and body.startswith(echo):
            return body[len(echo) :]
    return text


def _after_anchor(text: str, context: FimContext) -> str | None:
    """What follows the lines before the cursor where the reply repeats them, however indented; None if it does not."""
    *complete, current = context.prefix.split("\n")
    before = [line.strip() for line in complete if line.strip()]
    said = text.split("\n")
    stripped = [line.strip() for line in said]
    begun = current.strip()
    for count in range(min(ANCHOR_LINES, len(before)), 0, -1):
        anchor = before[-count:]
        if len("".join(anchor)) < MIN_ANCHOR_CHARS:
            continue
        ends = [end for end in _ends_of(anchor, stripped) if any(stripped[end:])]
        if begun:
            ends = [end for end in ends if next(filter(None, stripped[end:])).startswith(begun)]
        # One line alone is an echo only where the reply begins with it: code may say the same thing twice.
        if count == 1 and len(before) > 1:
            ends = [end for end in ends if not any(stripped[: end - 1])]
        if ends:
            end = _likeliest(ends, stripped, context.suffix)
            echoed = next(line for line in reversed(complete) if line.strip())
            return "\n".join(_shifted(said[end:], _indent(said[end - 1]), _indent(echoed)))
    return None


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _shifted(lines: Sequence[str], seen: str, wanted: str) -> list[str]:
    """The lines as far to the right as they would be if `seen` indentation were the `wanted` one."""
    if wanted.endswith(seen):
        more = wanted[: len(wanted) - len(seen)]
        return [more + line if line.strip() else line for line in lines]
    if seen.endswith(wanted):
        return [line.removeprefix(seen[: len(seen) - len(wanted)]) for line in lines]
    return list(lines)


def _ends_of(anchor: Sequence[str], lines: Sequence[str]) -> list[int]:
    """Where the run of anchor lines ends among the lines, blank ones not counted."""
    solid = [(index, line) for index, line in enumerate(lines) if line]
    width = len(anchor)
    return [
        solid[start + width - 1][0] + 1
        for start in range(len(solid) - width + 1)
        if [line for _, line in solid[start : start + width]] == list(anchor)
    ]


def _likeliest(ends: Sequence[int], lines: Sequence[str], suffix: str) -> int:
    """Of several places, the one after which the lines below the cursor follow soonest; else the last."""
    following = next((line.strip() for line in suffix.partition("\n")[2].split("\n") if line.strip()), None)
    near = [end for end in ends if following is not None and following in lines[end + 1 : end + 3]]
    return near[0] if near else ends[-1]


def _without_suffix(text: str, context: FimContext) -> str:
    """Cut an echo of the lines that follow the cursor from the end; it also tells how far the rest was moved."""
    below = [line for line in context.suffix.partition("\n")[2].split("\n") if line.strip()]
    if not below or "\n" not in text:
        return text
    following = [line.strip() for line in below]
    lines = text.rstrip().split("\n")
    for start in range(1, len(lines)):
        rest = [line for line in lines[start:] if line.strip()]
        if rest and any(line.strip() for line in lines[:start]) and _same_start([x.strip() for x in rest], following):
            kept = lines[:start]
            fixed = 1 if context.prefix.rpartition("\n")[2].strip() else 0  # what continues a line has no indentation
            return "\n".join([*kept[:fixed], *_shifted(kept[fixed:], _indent(rest[0]), _indent(below[0]))])
    return text


def _same_start(rest: Sequence[str], following: Sequence[str]) -> bool:
    """True if the rest of the reply is what follows the cursor: all of it, or cut off, or more of the file."""
    length = min(len(rest), len(following))
    return list(rest[:length]) == list(following[:length])


def _without_blank_start(text: str) -> str:
    """A model likes to begin with an empty line; one line is wanted, and that is none."""
    while "\n" in text and not text.partition("\n")[0].strip():
        text = text.partition("\n")[2]
    return text


def _at_cursor(text: str, prefix: str, hint: str) -> str:
    """With the indentation that belongs at the cursor: not what stands there already, and not none."""
    current = prefix.rpartition("\n")[2]
    if not current:
        return _indent(hint) + text if text[:1].strip() else text
    if not current.strip():
        if text.startswith(current):
            return text[len(current) :]
        start = _indent(text)
        return text[len(start) :] if len(start.expandtabs(8)) < len(current.expandtabs(8)) else text
    return text
