"""What the index finds: code like that around the cursor, in other files and further away in the same one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egate_lsp.workspace import alignment, chunks, imports, words
from egate_lsp.workspace.excerpts import MARK_CHARS, chosen
from egate_lsp.workspace.index import Index
from egate_lsp.workspace.postings import Postings
from egate_lsp.workspace.questions import OWN, SIMILAR, SOURCES, Excerpt, Question

CSV = """import csv


class CsvExporter:
    def export(self, records, target_path):
        with open_target(target_path) as handle:
            writer = csv.writer(handle)
            writer.writerow(self.column_names)
            for record in records:
                writer.writerow(record.as_tuple())
        notify_exported(target_path, len(records))
"""
JSON = """import json


class JsonExporter:
    def export(self, records, target_path):
        with open_target(target_path) as handle:
            json.dump([record.as_dict() for record in records], handle)
        ¦
"""
OTHER = "\n".join(f"def other_{number}(first, second):\n    return first * second + {number}\n" for number in range(30))


def index(files: dict[str, str]) -> Index:
    made = Index()
    for name, text in files.items():
        made.put(name, text, "python")
    return made


def question(text: str, name: str = "exporters/json_file.py", *, shown: int = 10_000, chars: int = 1000) -> Question:
    """At the mark, with so many characters shown on each side."""
    offset = text.index("¦")
    text = text.replace("¦", "")
    return Question(
        name, "python", text, offset, max(offset - shown, 0), min(offset + shown, len(text)), chars, SOURCES
    )


def test_the_place_in_another_file_where_it_goes_on_as_here() -> None:
    found = index({"exporters/csv_file.py": CSV, "other.py": OTHER}).ask(question(JSON))

    assert [each.name for each in found] == ["exporters/csv_file.py"]
    assert found[0].source == SIMILAR
    assert "notify_exported(target_path, len(records))" in found[0].text
    assert CSV.split("\n")[found[0].row :][: len(found[0].text.split("\n"))] == found[0].text.split("\n")


def test_the_best_stands_last() -> None:
    half = CSV.replace("notify_exported", "tell").replace("open_target", "opened").replace("record.as_tuple()", "row")
    found = index({"a/half.py": half, "z/csv_file.py": CSV}).ask(question(JSON))

    assert [each.likeness for each in found] == sorted(each.likeness for each in found)
    assert found[-1].name == "z/csv_file.py"


def test_of_the_file_itself_only_what_is_not_shown() -> None:
    text = CSV + OTHER * 3 + JSON
    far = index({}).ask(question(text, shown=200))
    near = index({}).ask(question(text))

    assert [each.source for each in far] == [OWN]
    assert "notify_exported" in far[0].text
    assert text.split("\n")[far[0].row] == far[0].text.split("\n")[0]
    assert near == []


def test_what_the_index_knows_of_the_file_itself_is_not_used() -> None:
    """The editor's text counts, not what was saved of it: that may hold what is being written anew."""
    saved = JSON.replace("¦", "notify_exported(target_path, len(records))")
    made = index({"exporters/json_file.py": saved})

    assert made.ask(question(JSON)) == []


def test_a_changed_file_is_found_as_it_is_now_and_a_deleted_one_no_more() -> None:
    made = index({"csv_file.py": OTHER, "other.py": OTHER})
    assert made.ask(question(JSON)) == []
    made.put("csv_file.py", CSV, "python")
    assert [each.name for each in made.ask(question(JSON))] == ["csv_file.py"]
    made.drop("csv_file.py")
    made.drop("never known.py")
    assert made.ask(question(JSON)) == []
    assert len(made) == 1


def test_copies_are_shown_once() -> None:
    found = index({"other.py": OTHER, **{f"{copy}.py": CSV for copy in "abcd"}}).ask(question(JSON, chars=4000))

    assert len(found) == 1


def test_other_languages_are_not_shown_but_for_relatives() -> None:
    made = Index()
    made.put(
        "a.js", "function exportAll(records) {\n  openTarget(records)\n  notifyExported(records)\n}\n", "javascript"
    )
    text = "function exportSome(records) {\n  openTarget(records)\n  "

    def found(language: str) -> list[str]:
        return [e.name for e in made.ask(Question("b", language, text, len(text), 0, len(text), 500, SOURCES))]

    assert found("typescript") == ["a.js"]
    assert found("python") == []


def test_a_file_that_is_imported_goes_before_one_that_is_not() -> None:
    files = {"pkg/one.py": CSV, "pkg/two.py": CSV.replace("CsvExporter", "CsvWriter")}
    for wanted in ("one", "two"):
        text = f"from pkg.{wanted} import exporter\n{JSON}"
        assert [each.name for each in index(files).ask(question(text))] == [f"pkg/{wanted}.py"]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.sampled_from([CSV, JSON.replace("¦", ""), OTHER, "x = 1\n", "", "\n\n", "\ud800 = 1\n" * 5]), max_size=6
    ),
    st.integers(0, 1500),
    st.integers(0, 400),
)
def test_never_more_than_asked_for_and_always_whole_lines_of_a_file(texts: list[str], chars: int, shown: int) -> None:
    files = {f"file_{number}.py": text for number, text in enumerate(texts)}
    asked = question(CSV + OTHER + JSON, shown=shown, chars=chars)

    found = index(files).ask(asked)

    assert sum(len(each.text) + len(each.name) + MARK_CHARS for each in found) <= chars
    for each in found:
        text = asked.text if each.source == OWN else files[each.name]
        lines = each.text.split("\n")
        assert text.split("\n")[each.row :][: len(lines)] == lines
        assert each.text not in asked.text[asked.start : asked.end]
    assert found == index(files).ask(asked)


BAGS = st.lists(st.sets(st.integers(0, 30), max_size=8), max_size=30)


@settings(deadline=None)
@given(BAGS, st.lists(st.integers(0, 29)), st.sets(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 9))
def test_the_same_chunks_whenever_they_were_put_away(bags, dropped, wanted, every) -> None:
    """All that has a word in common is found, nothing that was removed, whether it was put away or waits."""
    postings, numbers = Postings(), []
    for count, bag in enumerate(bags):
        numbers.append(postings.add(bag))
        if count % every == every - 1:
            postings.seal()
    gone = {numbers[each] for each in dropped if each < len(numbers)}
    for number in gone:
        postings.remove(number)
    weights = dict.fromkeys(wanted, 1.0)

    found = dict(postings.best(weights, 100))

    assert len(postings) == len(bags) - len(gone)
    assert all(score > 0.0 for score in found.values())
    telling = {word for word in wanted if postings.rarities({word})[word] > 0.0}
    assert set(found) == {number for number, bag in zip(numbers, bags, strict=True) if bag & telling} - gone


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    postings = Postings()
    rare = postings.add({1, 2, 99})
    for number in range(40):
        postings.add({1, 2, 3, 100 + number} if number % 3 else {4, 5, 6})

    assert next(iter(postings.best({99: 1.0, 4: 1.0}, 5)))[0] == rare
    assert postings.rarities({1}) == {1: 0.0}


@given(st.lists(st.text(alphabet="ab (:\n", max_size=12), max_size=60))
def test_chunks_cover_all_code_once_and_are_short(lines: list[str]) -> None:
    lines = "\n".join(lines).split("\n")
    found = chunks.of_file("\n".join(lines), "python")

    rows = [row for chunk in found for row in range(chunk.first, chunk.last + 1)]
    assert len(rows) == len(set(rows))
    assert {row for row, line in enumerate(lines) if line.strip()} <= set(rows)
    assert all(chunk.last - chunk.first < chunks.MOST_LINES for chunk in found)


def test_a_definition_is_a_chunk() -> None:
    found = chunks.of_file(OTHER, "python")
    lines = OTHER.split("\n")

    assert all(lines[chunk.first].startswith("def ") for chunk in found)


@pytest.mark.parametrize(
    ("name", "other", "shared"),
    [
        ("read_all", "readAll", {"read", "all"}),
        ("HTTPServer", "http_server", {"http", "server"}),
        ("größe_x1", "Größe", {"größe"}),
    ],
)
def test_names_are_compared_by_their_words_too(name: str, other: str, shared: set[str]) -> None:
    common = set(words.of_identifier(name)) & set(words.of_identifier(other))

    assert {number for word in shared for number in words.of_identifier(word)} <= common


@given(st.lists(st.sampled_from(CSV.split("\n")), max_size=40), st.integers(0, 400))
def test_likeness_is_a_share_for_each_row_and_the_end(lines: list[str], offset: int) -> None:
    near = alignment.around(CSV[:offset], CSV[offset:])
    found = alignment.likeness(lines, near)

    assert len(found) == len(lines) + 1
    assert all(0.0 <= share <= 1.0 for share in found)


def test_a_text_is_most_like_itself_at_its_own_place() -> None:
    lines = (OTHER + CSV + OTHER).split("\n")
    row = next(row for row, line in enumerate(lines) if "writer.writerow(self" in line)
    before, after = "\n".join(lines[:row]) + "\n", "\n".join(lines[row:])

    found = alignment.likeness(lines, alignment.around(before, after))

    assert found[row] == max(found) == pytest.approx(1.0)


def test_the_better_is_chosen_where_there_is_room_for_one() -> None:
    asked = question(JSON, chars=150)
    poor = Excerpt("a.py", 0, "\n".join(f"first = {n}" for n in range(12)), SIMILAR, 0.3)
    good = Excerpt("b.py", 0, "\n".join(f"second = {n}" for n in range(9)), SIMILAR, 0.6)
    bad = Excerpt("c.py", 0, "\n".join(f"third = {n}" for n in range(9)), SIMILAR, 0.1)

    assert chosen([poor, good, bad], asked) == [good]
    assert chosen([bad], asked) == []


@pytest.mark.parametrize(
    ("line", "name", "found"),
    [
        ("from . import store", "pkg/app.py", {"pkg", "pkg/store"}),
        ("from ..core.io import (read)", "pkg/sub/app.py", {"pkg/core/io", "pkg/core/io/read"}),
        ("import pkg.store as s  # comment", "app.py", {"pkg/store"}),
        ("import {a} from './store.js'", "src/app.ts", {"src/store"}),
        ("export * from '../store'", "src/sub/app.ts", {"src/store"}),
        ("const s = require('./store')", "src/app.js", {"src/store"}),
        ("use crate::store::Store;", "src/app.rs", {"store/Store", "store"}),
        ('#include "store.h"', "src/app.c", {"store"}),
        ("x = 1  # from here on import nothing", "app.py", set()),
        ("from .... import far", "pkg/app.py", set()),
    ],
)  # fmt: skip
def test_imported_modules(line: str, name: str, found: set[str]) -> None:
    assert imports.of_text(line, name) == found


def test_files_of_modules() -> None:
    modules = imports.Modules()
    for name in ("pkg/store/__init__.py", "pkg/store/disk.py", "web/src/store.ts", "web/src/index.ts"):
        modules.put(name)

    assert modules.files("pkg/store") == modules.files("outer/pkg/store") == ["pkg/store/__init__.py"]
    assert modules.files("store/disk") == ["pkg/store/disk.py"]
    assert set(modules.files("store")) == {"pkg/store/__init__.py", "web/src/store.ts"}
    modules.drop("pkg/store/disk.py")
    assert modules.files("store/disk") == []


def test_a_file_and_its_tests_have_one_stem() -> None:
    same = ["a/test_store.py", "store.py", "src/store.test.ts", "store_test.go"]

    assert {imports.stem(name) for name in same} == {"store"}
    assert imports.stem("StoreTest.java") == imports.stem("Store.java") == "Store"
