from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.draft import Admission, LineAssembler, admission, draft_lines, is_over, is_runaway, one_line
from egate_lsp.models import Limits
from egate_lsp.models.scripted import Rule, ScriptedModel
from egate_lsp.values import Token
from tests.conftest import drawn


async def check(document: str, model_text: str, expected: list[str], *, language="python", limits=Limits()) -> None:  # noqa: B008
    """Draft `model_text` one character a token at the cursor of `document`."""
    model = ScriptedModel([Rule("", tuple((character, 0.1) for character in model_text))])
    lines = [
        line async for line in draft_lines(model, drawn(document, language), [], Limits(100_000, limits.max_lines))
    ]

    assert [line.text for line in lines] == expected


@pytest.mark.parametrize(
    ("document", "model_text", "expected", "language"),
    [
        pytest.param("x = ║\n", "1 + 2\ny = 3\n", ["1 + 2"], "python", id="rest of the line"),
        pytest.param("f(║)\n", "a, b\nmore", ["a, b"], "python", id="text follows the cursor"),
        pytest.param(
            "def f():\n    ║\n",
            "a = 1\n    return a\n\ndef g():\n",
            ["a = 1", "    return a", ""],
            "python",
            id="dedent",
        ),
        pytest.param("def f():║\n", "\n    return 1\nx = 2\n", ["", "    return 1"], "python", id="after an opener"),
        pytest.param(
            "if (x) {║\n", "\n  y();\n}\nz();\n", ["", "  y();", "}"], "javascript", id="the closer of the opener"
        ),
        pytest.param(
            "if (x) {║\n}\n", "\n  y();\n}\n", ["", "  y();"], "javascript", id="a closer that is there already"
        ),
        pytest.param(
            "def f():\n    ║\n    return total\n",
            "total = 0\n    return total\n",
            ["total = 0"],
            "python",
            id="the start of the suffix",
        ),
        pytest.param("║\n", "import a\nimport b\n\ndef f():\n", ["import a", "import b", ""], "python", id="top level"),
        pytest.param("║\n", "a = 1\n" * 9, ["a = 1"] * 2, "python", id="repetition"),
        pytest.param("║\n", "a = 1\nb = 2\n" * 9, ["a = 1", "b = 2"] * 2 + ["a = 1"], "python", id="repeated pair"),
        pytest.param("return M\n║\n", "```\n", [], "lua", id="a chat's fence"),
        pytest.param("x = 1\n║\n", "y = 2\n```\nHere", ["y = 2"], "python", id="a chat's fence after code"),
        pytest.param("# Code\n║\n", "```\nx\n```\n", ["```", "x", "```"], "markdown", id="a fence that is meant"),
        pytest.param(
            'def f():\n    """\n    ```\n    f()\n    ║\n',
            '```\n    """\n',
            ["```", '    """'],
            "python",
            id="a fence that ends an example",
        ),
        pytest.param("    ║\n", "ab" * 400, [], "python", id="a runaway line"),
        pytest.param(
            "    ║\n", "a = '\u2028'\n    \x0cb", ["a = '\u2028'", "    \x0cb"], "python", id="odd line separators"
        ),
    ],
)
async def test_where_the_text_ends(document: str, model_text: str, expected: list[str], language: str) -> None:
    await check(document, model_text, expected, language=language)


async def test_the_cap_on_lines() -> None:
    await check(
        "    ║\n",
        "".join(f"    x{n} = 1\n" for n in range(50))[4:],
        ["x0 = 1", "    x1 = 1", "    x2 = 1"],
        limits=Limits(max_lines=3),
    )


async def test_the_token_cap_leaves_an_incomplete_line() -> None:
    model = ScriptedModel([Rule("", tuple((character, 0.1) for character in "abcdef"))])

    lines = [line async for line in draft_lines(model, drawn("    ║\n"), [], Limits(3, 12))]

    assert [(line.text, line.complete) for line in lines] == [("abc", False)]


async def test_written_lines_are_shown_to_the_model() -> None:
    model = ScriptedModel([Rule("a\n    b\n", (("    c", 0.0),))])

    lines = [line.text async for line in draft_lines(model, drawn("    ║\n"), ["a", "    b"], Limits(100, 12))]

    assert lines == ["    c"]


async def test_stopping_early_closes_the_models_stream() -> None:
    closed = []

    class Watched(ScriptedModel):
        async def generate(self, context, limits):
            try:
                async for token in super().generate(context, limits):
                    yield token
            finally:
                closed.append(True)

    model = Watched([Rule("", (("a\n", 0.0), ("b\n", 0.0)))])
    assert [line.text async for line in draft_lines(model, drawn("x = ║"), [], Limits(9, 9))] == ["a"]
    assert closed == [True]


async def test_one_line_skips_blank_lines_only_where_the_prefix_ends_a_line() -> None:
    model = ScriptedModel([Rule("", (("\n", 0.0), ("\n", 0.0), ("  x\n", 0.0)))])

    assert (await one_line(model, drawn("a\n║"), Limits(9, 1))).text == "  x"
    assert (await one_line(model, drawn("a = ║"), Limits(9, 1))).text == ""


@given(st.text(alphabet="ab 😀é\n\r", max_size=60), st.data())
def test_any_chunking_of_the_bytes_gives_the_same_lines(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    assembler = LineAssembler()
    lines = []
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        lines += assembler.feed(Token(raw[start:end]))
    lines.append(assembler.flush())

    assert [line.text for line in lines] == [part.removesuffix("\r") for part in text.split("\n")]


@pytest.mark.parametrize(
    ("pieces", "charged"),
    [
        (["a", ")\n", "b"], [["a", ")\n"], ["b"]]),
        (["a", "\n    return", " x"], [["a"], ["\n    return", " x"]]),
        (["a", "\n\n    ", "b"], [["a", "\n\n    "], [], ["b"]]),
        (["a\nb\nc"], [["a\nb\nc"], [], []]),
    ],
)
def test_which_line_pays_for_a_token_across_a_line_break(pieces: list[str], charged: list[list[str]]) -> None:
    assembler = LineAssembler()
    lines = []
    for piece in pieces:
        lines += assembler.feed(Token(piece.encode()))
    lines.append(assembler.flush())

    assert [[token.piece.decode() for token in line.tokens] for line in lines] == charged


LINES = st.text("ab:}) \t", max_size=8)


@given(
    st.sampled_from(["    ║\n", "║\n", "if a:║\n", "  x = ║\n", "\tif a:\n\t\t║\n"]),
    st.lists(LINES, max_size=4),
    LINES,
    LINES,
)
def test_a_line_that_is_over_before_its_end_is_over_at_its_end(document, written, start, rest) -> None:
    hole = drawn(document)
    if is_over(hole, written, start):
        assert admission(hole, written, start + rest, 100) is Admission.STOP


async def test_the_line_after_a_block_is_not_written_to_its_end() -> None:
    text = "a = 1\n    b = 2\nprint(a, b)\n"
    model = ScriptedModel([Rule("", tuple((character, 0.1) for character in text))])
    lines = [line.text async for line in draft_lines(model, drawn("def f():\n    ║\n"), [], Limits(99, 9))]

    assert lines == ["a = 1", "    b = 2"]
    assert model.usage()["generated_tokens"] == text.index("rint")


def test_runaway_needs_a_short_unit_many_times() -> None:
    assert is_runaway("x" + "ab" * 100)
    assert not is_runaway("ab" * 20)
    assert not is_runaway("".join(f"item{n}, " for n in range(100)))
