"""A completion as a menu entry."""

from __future__ import annotations

from egate_lsp.menu import LABEL_CHARS, menu_entry
from egate_lsp.values import Completion, CompletionLine, Source


def entry(*lines: CompletionLine, word: str = "", line_break: str = "\n", pending: bool = False):
    completion = Completion(tuple(lines), pending=pending)
    return menu_entry(completion, word=word, language="python", line_break=line_break)


def draft(text: str, score: float | None = 0.1) -> CompletionLine:
    return CompletionLine(text, Source.DRAFT, "small", score)


def target(text: str) -> CompletionLine:
    return CompletionLine(text, Source.TARGET, "large", 0.6)


def test_the_word_before_the_cursor_is_part_of_label_filter_and_text() -> None:
    made = entry(draft("rn 42"), word="retu")

    assert (made.label, made.filter_text, made.new_text) == ("return 42",) * 3


def test_the_label_is_the_first_line_with_text_in_it_shortened() -> None:
    made = entry(draft(""), draft("    " + "x" * 100))

    assert made.label == "x" * (LABEL_CHARS - 1) + "…"
    assert made.filter_text == "x" * 100


def test_the_documentation_has_the_whole_text_and_the_source_of_each_line() -> None:
    made = entry(draft("a = 1"), draft("b = 2", 0.25), target("c = 3"), draft("d = 4", None))

    assert made.detail == "egate-lsp: draft + target"
    assert made.documentation == (
        "```python\na = 1\nb = 2\nc = 3\nd = 4\n```\n\n"
        "- lines 1-2: draft (small), uncertainty 0.25\n"
        "- line 3: target (large), uncertainty 0.60\n"
        "- line 4: draft (small)"
    )


def test_a_target_that_is_awaited_is_mentioned() -> None:
    assert "has not come yet" in entry(draft("a"), pending=True).documentation
    assert "has not come yet" not in entry(draft("a")).documentation


def test_a_text_with_a_fence_in_it_stays_one_block() -> None:
    made = entry(draft('x = """'), draft("````"), draft("code"))

    assert made.documentation.startswith('`````python\nx = """\n````\ncode\n`````\n')


def test_line_ends_are_the_documents() -> None:
    made = entry(draft("a"), draft("b"), line_break="\r\n")

    assert made.new_text == "a\r\nb"
    assert "\r" not in made.documentation
