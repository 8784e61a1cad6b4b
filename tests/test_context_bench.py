from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from egate_lsp import outlines
from egate_lsp.cli import main
from egate_lsp.evaluation import context_bench, crossfile
from egate_lsp.evaluation.asked import Asked, tokens_for
from egate_lsp.evaluation.context_bench import ALL, LINES, SYNTAX, Bench, Way, ways
from egate_lsp.models.scripted import Rule, ScriptedModel
from egate_lsp.syntax import Checker
from egate_lsp.values import FimContext, Snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.evaluation.crossfile import Hole
    from egate_lsp.models import Model

CHECKER = Checker()
OUTLINER = functools.partial(outlines.entries, CHECKER)

STORE = "\n".join(
    [
        "class Store:",
        "    def read_all(self, path_name: str) -> list[str]:",
        "        return open(path_name).read().split()",
        "",
        "",
        "def open_store(path_name: str) -> Store:",
        "    return Store()",
        "",
        *(f"LIMIT_{number} = {number} * 100" for number in range(50)),
    ]
)
USER = "\n".join(
    [
        "from store import open_store",
        "",
        "",
        *(f"def task_{number}(first, second):\n    total = first + second + {number}\n    return total\n"
          for number in range(20)),
        "def use(path):",
        "    store = open_store(path)",
        "    words = store.read_all(path)",
        "    return sorted(words)[:10]",
        "",
        *(f"def later_{number}(first, second):\n    total = first * second + {number}\n    return total\n"
          for number in range(20)),
    ]
)  # fmt: skip


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "package"
    root.mkdir()
    (root / "store.py").write_text(STORE, encoding="utf-8")
    (root / "user.py").write_text(USER, encoding="utf-8")
    return root


def holes(package: Path) -> tuple[list[Hole], list[Hole]]:
    return crossfile.holes(package, 20, 7, CHECKER, lambda *_: None)


def test_holes_use_names_of_other_files_and_controls_use_none(package: Path) -> None:
    cross, control = holes(package)

    assert {hole.path.name for hole in cross} == {"user.py"}
    assert all(set(hole.foreign) <= {"open_store", "read_all"} and hole.foreign for hole in cross)
    assert all(any(name in hole.expected for name in hole.foreign) for hole in cross)
    assert control
    assert not any("open_store" in hole.expected or "read_all" in hole.expected for hole in control)
    assert not any("import" in hole.expected for hole in cross + control)


def test_a_hole_with_its_text_is_the_file(package: Path) -> None:
    for hole in [*holes(package)[0], *holes(package)[1]]:
        assert hole.before + hole.expected + hole.after == hole.path.read_text(encoding="utf-8")


def test_the_same_seed_hides_the_same(package: Path) -> None:
    first, again = (crossfile.holes(package, 20, 7, Checker(), lambda *_: None) for _ in range(2))
    other = crossfile.holes(package, 20, 8, Checker(), lambda *_: None)

    assert [hole.name for hole in first[1]] == [hole.name for hole in again[1]]
    assert [hole.name for hole in first[1]] != [hole.name for hole in other[1]]


def test_ways_are_each_alone_and_all_but_each() -> None:
    found = {way.name: way.sources for way in ways(("definition", "import"))}

    assert found[LINES] == found[SYNTAX] == ()
    assert found[ALL] == found[f"{ALL}, {SYNTAX}"] == ("definition", "import")
    assert found["only import"] == found["all but definition"] == ("import",)
    assert {way.name for way in ways(())} == {LINES, SYNTAX}


def bench(answers: dict[str, str], tmp_path: Path) -> tuple[Bench, ScriptedModel]:
    """A model that completes what ends with a key of `answers`."""
    model = ScriptedModel([Rule(end, ((f"{text}\n", 0.1),)) for end, text in answers.items()])

    async def opened() -> Model:
        return model

    return Bench(Asked("scripted", tmp_path / "answers.jsonl", "", opened), OUTLINER, None), model


@pytest.mark.parametrize("chars", [300, 600, 1200, 100_000])
async def test_no_way_is_shown_more_than_the_others(package: Path, tmp_path: Path, chars: int) -> None:
    one, _ = bench({}, tmp_path)
    for hole in [*holes(package)[0], *holes(package)[1]]:
        for way in (Way(LINES), Way(SYNTAX, syntax=True)):
            context = await one.context(hole, way, chars)
            assert len(context.shown) + len(context.suffix) <= chars
            assert hole.before.endswith(context.prefix)
            assert hole.after.startswith(context.suffix)


async def test_figures_by_way_with_the_difference_to_the_file_by_lines(package: Path, tmp_path: Path) -> None:
    cross, control = holes(package)
    one, _ = bench({hole.before[-30:]: hole.expected for hole in cross}, tmp_path)

    found = await one.compare(cross, control, 200, ablate=None, seed=7, progress=lambda *_: None)

    by_name = {row["name"]: row for row in found["ways"]}
    assert found["n"] == len(cross)
    assert set(by_name) == {LINES, SYNTAX}
    single = [hole for hole in cross if hole.lines == 1]
    assert by_name[LINES]["exact"] >= len(single) / len(cross) > 0
    assert by_name[SYNTAX]["difference"]["low"] <= by_name[SYNTAX]["difference"]["exact"]
    assert by_name[LINES]["difference"]["exact"] == 0.0
    assert found["control"]["n"] == len(control)
    assert all(0.0 <= row[metric] <= 1.0 for row in found["control"]["ways"] for metric in context_bench.METRICS)


async def test_what_was_answered_is_not_asked_again(package: Path, tmp_path: Path) -> None:
    cross, _ = holes(package)
    first, model = bench({}, tmp_path)
    before = await first.compare(cross, [], 200, ablate=None, seed=7, progress=lambda *_: None)
    assert model.asked
    with (tmp_path / "answers.jsonl").open("a") as file:
        file.write('{"key": "cut off by a cra')

    second, again = bench({}, tmp_path)
    after = await second.compare(cross, [], 200, ablate=None, seed=7, progress=lambda *_: None)

    assert not again.asked
    assert after == before


async def test_answers_are_of_one_prompt_and_one_setting(tmp_path: Path) -> None:
    async def opened() -> Model:
        return ScriptedModel([Rule("", (("text\n", 0.1),))])

    path = tmp_path / "answers.jsonl"
    model = Asked("scripted", path, "a", opened)
    await model.ask(FimContext("x", "y"), 1)

    assert model.knows(FimContext("x", "y"), 1)
    assert not model.knows(FimContext("x", "y", outline="import z\n"), 1)
    assert not model.knows(FimContext("x", "y"), 2)
    assert Asked("scripted", path, "a", opened).knows(FimContext("x", "y"), 1)
    assert not Asked("scripted", path, "b", opened).knows(FimContext("x", "y"), 1)


@pytest.mark.parametrize(
    ("prefix", "lines", "text"), [("", 1, ""), ("x\n", 1, "one"), ("x\n", 2, "one\ntwo"), ("x", 2, "\none")]
)
async def test_as_many_lines_as_were_hidden(tmp_path: Path, prefix: str, lines: int, text: str) -> None:
    async def opened() -> Model:
        return ScriptedModel([Rule("", tuple((piece, 0.1) for piece in ("\n", "one", "\n", "two\nthree", "\n")))])

    answer = await Asked("scripted", tmp_path / "a.jsonl", "", opened).ask(FimContext(prefix, ""), lines)

    assert answer.text == text
    assert tokens_for(2) > tokens_for(1)


class Defining:
    """Finds definitions of the names that are hidden, by two sources of which one finds nothing."""

    sources = ("definition", "nothing")

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    async def gather(self, hole: Hole, context: FimContext, chars: int, sources: Sequence[str]) -> list[Snippet]:
        self.asked.append(tuple(sources))
        text = "def open_store(path_name: str) -> Store: ..."
        return [Snippet("store.py", text, "definition")] if "definition" in sources and chars > len(text) else []


async def test_snippets_take_their_share_of_the_same_budget(package: Path, tmp_path: Path) -> None:
    async def opened() -> Model:
        return ScriptedModel([Rule("", (("text\n", 0.1),))])

    elsewhere = Defining()
    one = Bench(Asked("scripted", tmp_path / "answers.jsonl", "", opened), OUTLINER, elsewhere)
    cross, control = holes(package)
    for hole in cross + control:
        context = await one.context(hole, Way(ALL, elsewhere.sources), 600)
        assert context.shown.startswith(
            f"# store.py\ndef open_store(path_name: str) -> Store: ...\n\n# {hole.path.name}\n"
        )
        assert len(context.shown) + len(context.suffix) <= 600

    found = await one.compare(cross, control, 200, ablate=2, seed=7, progress=lambda *_: None)

    rows = {row["name"]: row["n"] for row in found["ways"]}
    assert rows.keys() == {way.name for way in ways(elsewhere.sources)}
    assert rows[LINES] == rows[ALL] == len(cross)
    assert rows[SYNTAX] == rows["only definition"] == rows["all but definition"] == 2
    assert {("definition",), ("nothing",), ("definition", "nothing")} == set(elsewhere.asked)


def run(tmp_path: Path, package: Path, *arguments: str) -> Any:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"after": "", "tokens": [["open_store(path)", 0.1], ["\n", 0.1]]}]))
    config = tmp_path / "config.toml"
    config.write_text(f'[draft]\nmodel = "scripted:{script}"\n')
    environment = {"EGATE_LSP_CONFIG": str(config), "XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "160"}
    return CliRunner().invoke(main, ["bench", "context", "--repo", str(package), *arguments], env=environment)


def test_the_command(tmp_path: Path, package: Path) -> None:
    figures, report = tmp_path / "figures.json", tmp_path / "report"
    result = run(
        tmp_path,
        package,
        "--limit",
        "4",
        "--budget",
        "100",
        "--budget",
        "200",
        "--json",
        str(figures),
        "--report",
        str(report),
    )

    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert [each["tokens"] for each in found["budgets"]] == [100, 200]
    assert {row["name"] for row in found["budgets"][0]["ways"]} >= {LINES, SYNTAX}
    assert list(found["models"]) == [each["model"] for each in found["budgets"][:1]]
    assert LINES in result.output
    assert "<table>" in (report / "index.html").read_text()


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    result = run(tmp_path, empty)

    assert result.exit_code != 0
    assert "another file" in result.output + str(result.exception)


def test_two_packages_of_one_name_are_refused(tmp_path: Path, package: Path) -> None:
    other = tmp_path / "other" / "package"
    other.mkdir(parents=True)

    result = run(tmp_path, package, "--repo", str(other))

    assert "same name" in result.output + str(result.exception)
