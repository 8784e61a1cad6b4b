from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.models.reply import HOLE, chat_messages, clean
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
        pytest.param(FUNCTION, "<think>area is pi r^2</think>\nresult = r", "\nresult = r", id="thinking"),
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

    assert once == (text.rstrip() if text.strip() else "")
    assert clean(once, context) == once


def test_the_prompt_puts_first_what_stays_the_same() -> None:
    messages = chat_messages(drawn(FUNCTION))

    assert messages[0]["role"] == "system"
    assert f"    {HOLE}\n    return result" in messages[1]["content"]
