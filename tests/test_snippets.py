from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp import languages
from egate_lsp.values import FimContext, Snippet

STORE = Snippet("pkg/store.py", "def open_store(path):\n    ...\n", "definitions", "/ws/pkg/store.py")
NOTE = Snippet(".egate/context.md", "# We log by structlog.\n", "project note", "/ws/.egate/context.md")
HOLE = FimContext("x = open", ")\n", "user.py", "python", outline="import os\n", snippets=(NOTE, STORE))


def test_other_files_stand_first_each_under_its_name() -> None:
    assert HOLE.shown == (
        "# .egate/context.md\n# We log by structlog.\n\n"
        "# pkg/store.py\ndef open_store(path):\n    ...\n\n"
        "# user.py\nimport os\nx = open"
    )


def test_joined_shows_the_same() -> None:
    joined = HOLE.joined

    assert (joined.prefix, joined.suffix) == (HOLE.shown, HOLE.suffix)
    assert joined.shown == HOLE.shown
    assert (joined.outline, joined.snippets) == ("", ())


def test_what_is_typed_changes_nothing_before_it() -> None:
    assert HOLE.extended("_store").shown == HOLE.shown + "_store"


def test_each_is_a_part_of_the_window() -> None:
    names = [part.name for part in HOLE.window]

    assert names == [
        "project note: .egate/context.md", "definitions: pkg/store.py", "the rest of the file in short",
        "before the cursor", "after the cursor",
    ]  # fmt: skip
    assert HOLE.window[1].text == STORE.text


@pytest.mark.parametrize(
    ("language", "line"),
    [("typescript", "// a.ts"), ("lua", "-- a.ts"), ("css", "/* a.ts */"), ("html", "<!-- a.ts -->"), ("sh", "# a.ts")],
)
def test_files_are_named_in_comments_of_the_language(language: str, line: str) -> None:
    context = FimContext("", "", "b.ts", language, snippets=(Snippet("a.ts", "text\n", "x"),))

    assert context.shown.startswith(f"{line}\ntext\n\n")


WORDS = st.text(alphabet="ab/.\n\r \u2028é", max_size=30)
SNIPPETS = st.lists(st.builds(Snippet, WORDS, WORDS, st.just("x")), max_size=4).map(tuple)


@given(SNIPPETS, WORDS, st.sampled_from(["python", "go", "css", ""]))
def test_the_parts_add_up_and_the_prefix_begins_a_line(snippets, path: str, language: str) -> None:
    hole = FimContext("prefix", "suffix", path, language, snippets=snippets)

    own = len(hole.path and languages.comment(" ".join(path.splitlines()), language) + "\n") if snippets else 0
    assert sum(part.chars for part in hole.window) + own == len(hole.shown) + len(hole.suffix)
    assert hole.elsewhere == "" or hole.elsewhere.endswith("\n")


@given(st.lists(st.builds(Snippet, WORDS, WORDS, st.just("x")), min_size=2, max_size=4).map(tuple))
def test_what_stands_first_does_not_depend_on_what_follows(snippets) -> None:
    """So the draft engine reads only what has changed, and what comes after it."""
    name = "a.py"
    all_but_last = FimContext("", "", name, "python", snippets=snippets[:-1]).elsewhere.removesuffix("# a.py\n")

    assert FimContext("", "", name, "python", snippets=snippets).elsewhere.startswith(all_but_last)
