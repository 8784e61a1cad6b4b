from __future__ import annotations

import re
import textwrap

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from egate_lsp.models.reply import HOLE, chat_messages, clean
from egate_lsp.values import FimContext, Shape
from tests.conftest import drawn

FUNCTION = "def area(r):\n    ║\n    return result\n"


@pytest.mark.parametrize(
    ("document", "reply", "expected"),
    [
        pytest.param(FUNCTION, "result = r * r", "result = r * r", id="clean"),
        pytest.param(FUNCTION, "```python\nresult = r * r\n```", "result = r * r", id="fence"),
        pytest.param(FUNCTION, "```\nresult = r\n```\nThis computes it.", "result = r", id="fence and talk after"),
        pytest.param(FUNCTION, "Here is the line:\n\n```py\nresult = r\n```", "result = r", id="talk and fence"),
        pytest.param(FUNCTION, "Sure! Here is the code:\nresult = r", "result = r", id="talk"),
        pytest.param(FUNCTION, "`result = r`", "result = r", id="inline fence"),
        pytest.param(FUNCTION, "<think>area is pi r^2</think>\nresult = r", "result = r", id="thinking"),
        pytest.param(FUNCTION, "<think>never ends", "", id="endless thinking"),
        pytest.param(FUNCTION, "    result = r", "result = r", id="indentation that is there already"),
        pytest.param(FUNCTION, "def area(r):\n    result = r", "result = r", id="prefix echoed"),
        pytest.param(FUNCTION, "result = r\n    return result", "result = r", id="suffix echoed"),
        pytest.param(FUNCTION, f"{HOLE}result = r", "result = r", id="mark"),
        pytest.param(FUNCTION, "result = r<|fim_suffix|>x", "result = r", id="special token"),
        pytest.param(FUNCTION, "", "", id="nothing"),
        pytest.param(FUNCTION, "  \n ", "", id="blank"),
        pytest.param("x = fo║\n", "x = foo(1)", "o(1)", id="the line's beginning echoed"),
        pytest.param("s = ║\n", '"Here is a string:"', '"Here is a string:"', id="an answer that begins with Here"),
    ],
)
def test_clean(document: str, reply: str, expected: str) -> None:
    assert clean(reply, drawn(document)) == expected


def test_lost_indentation_comes_from_the_draft() -> None:
    context = drawn("def f():\n║\n")

    assert clean("return 1", context, "    return 2") == "    return 1"
    assert clean("    return 1", context, "        return 2") == "    return 1"


@given(st.text(alphabet="ab=() .\n", max_size=40))
def test_code_without_wrapping_is_kept_to_the_letter_and_cleaning_twice_changes_nothing(text: str) -> None:
    context = drawn("unrelated_name = ║\n")
    once = clean(text, context)

    assert once == (re.sub(r"\A(?:[ ]*\n)+", "", text).rstrip() if text.strip() else "")
    assert clean(once, context) == once


def test_the_prompt_puts_first_what_stays_the_same() -> None:
    messages = chat_messages(drawn(FUNCTION))

    assert messages[0]["role"] == "system"
    assert f"    {HOLE}\n    return result" in messages[1]["content"]


# ── every way in which models misbehave, laid over real code ────────────────────────────────────────────────

FILES = {
    "python": '''import math


class Circle:
    """A circle."""

    def __init__(self, radius):
        self.radius = radius
        self.name = f"circle of {radius}"

    def area(self):
        squared = self.radius ** 2
        if squared > 100:
            print("large", squared)
        return math.pi * squared


def total(circles):
    return sum(circle.area() for circle in circles)
''',
    "go": """package main

import "fmt"

func sum(values []int) int {
\ttotal := 0
\tfor _, value := range values {
\t\ttotal += value
\t}
\treturn total
}

func main() {
\tfmt.Println(sum([]int{1, 2, 3}))
}
""",
}


@st.composite
def holes(draw):
    """A hole for the rest of a line in a real file: the context, the line's rest, and the draft's line there."""
    language = draw(st.sampled_from(sorted(FILES)))
    lines = FILES[language].split("\n")
    index = draw(st.sampled_from([at for at, line in enumerate(lines) if at and len(line.strip()) > 5]))
    line = lines[index]
    indent = len(line) - len(line.lstrip())
    # At the line's start, after its indentation, or after a word that is long enough to be told from others.
    word = indent + len(re.match(r"\S+ ?", line[indent:]).group())
    at = draw(st.sampled_from([0, indent] + ([word] if word - indent >= 4 and word < len(line) - 3 else [])))
    prefix = "\n".join([*lines[:index], line[:at]])
    suffix = "\n".join(["", *lines[index + 1 :]])
    hint = line[at : max(indent, at)] + "draft"
    return FimContext(prefix, suffix, "file", language, Shape.LINE), line[at:], hint, lines, index, at


THOUGHTS = [
    "",
    "<think>x = 1\nWell: `y`.</think>",
    "<think>\n</think>\n\n",
    "I think.\n</think>\n",
    "<thinking>a</thinking>",
]
TALK = ["", "Here is the missing line:\n\n", "Sure! The code is:\n", "I would write this.\n\n", "The answer\n"]
AFTER = ["", "\n\nThis line does what is wanted.", "\n"]


@st.composite
def misbehaved(draw):
    """A hole, the reply of a model with several bad habits, and the line that the reply holds."""
    context, rest, hint, lines, index, _at = draw(holes())
    line = lines[index]
    habit = draw(st.sampled_from(["rest", "line", "echo", "whole file", "whole line and more"]))
    below = draw(st.integers(0, 4))
    match habit:
        case "rest":
            body = rest
        case "line":
            body = line
        case "echo":
            echoed = lines[max(index - draw(st.integers(2, 5)), 0) : index]
            assume(sum(len(text.strip()) for text in echoed) >= 8)  # a brace alone may be code as well as an echo
            body = "\n".join([*echoed, line])
        case "whole file":
            body = "\n".join(lines)
        case _:
            body = "\n".join(lines[index : index + 1 + below])
    if habit in {"rest", "line", "echo"} and draw(st.booleans()):
        body = "\n".join([body, *lines[index + 1 : index + 1 + below]])  # the lines below again
    indented = habit != "rest"
    if indented and draw(st.booleans()):
        body = textwrap.dedent(body)
    if context.language == "go" and draw(st.booleans()):
        body = body.replace("\t", "    ")
    fenced = draw(st.booleans())
    if fenced:
        closing = draw(st.sampled_from(["\n```", "\n```\n", ""]))
        body = draw(st.sampled_from(TALK)) + draw(st.sampled_from(["```\n", "```python\n", "~~~\n"])) + body
        body += closing.replace("`", "~") if "~~~" in body else closing
        body += draw(st.sampled_from(AFTER)) if closing else ""
    reply = draw(st.sampled_from(THOUGHTS)) + body
    reply = "\n" * draw(st.integers(0, 2)) + reply
    if draw(st.booleans()):
        reply = reply.replace("\n", "\r\n")
    return context, reply, rest, hint


@given(misbehaved())
@settings(max_examples=300)
def test_the_hole_s_text_is_found_in_whatever_a_model_wraps_around_it(case) -> None:
    context, reply, rest, hint = case
    found = clean(reply, context, hint)

    assert found.partition("\n")[0] == rest.rstrip()
    assert "\r" not in found


@given(st.text(max_size=200), holes())
def test_nothing_fails_and_what_is_left_is_part_of_the_reply_or_white_space(reply, hole) -> None:
    context, _, hint, *_ = hole
    found = clean(reply, context, hint)
    squeezed = "".join(reply.split())

    assert "".join(found.split()) in squeezed.replace(HOLE, "")
