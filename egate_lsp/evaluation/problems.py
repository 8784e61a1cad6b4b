"""Holes in code with what their author wrote, read from public data sets or cut into any source tree.

HumanEval-Infilling: Bavarian et al. 2022, arXiv 2207.14255. SAFIM: Gong et al. 2024, arXiv 2403.04814.
"""

from __future__ import annotations

import ast
import gzip
import json
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from egate_lsp import context as contexts
from egate_lsp import languages
from egate_lsp.errors import ConfigError
from egate_lsp.values import FimContext, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

HOLE = "{{completion}}"
MAX_FILE_BYTES = 400_000
MIN_LINE_CHARS = 4  # a shorter line is a bracket or a keyword that nothing can be learned from


@dataclass(frozen=True, slots=True)
class Problem:
    """A hole with what its author wrote.

    Attributes:
        name: unique within its data set.
        group: lines of one problem or file share it; intervals are taken over groups.
        dataset: name of the set.
        before, after: the text around the hole, whole.
        tests: how a completion is tested, if it can be: `("call", code)` is run after the program, `("io", pairs)` is
            its standard input and output.
        complete: False if more of the code below the hole is missing than the hole's own text.
    """

    name: str
    group: str
    dataset: str
    context: FimContext
    expected: str
    before: str
    after: str
    tests: tuple[str, Any] | None = None
    complete: bool = True

    def program(self, completion: str) -> str:
        """The whole text with the hole filled."""
        return self.before + completion + self.after

    def is_exact(self, completion: str) -> bool:
        """The author's text, white space at its ends apart."""
        return completion.strip() == self.expected.strip()


def read(path: Path, *, limit: int | None = None, seed: int = 7) -> list[Problem]:
    """Problems of a data file, in its order; `limit` draws that many with the seed.

    Raises:
        ConfigError: the file cannot be read, or is of none of the known forms.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file if line.strip()]
        dataset = path.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix("-dev")
        problems = [_problem(row, dataset) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} cannot be read as problems: {error!r}.",
            hint="Give JSON lines (may be .gz) in the form of HumanEval-Infilling or SAFIM, or a folder of sources.",
        ) from error
    return drawn(problems, limit, seed)


def drawn(problems: Sequence[Problem], limit: int | None, seed: int) -> list[Problem]:
    """`limit` of the problems at random, in their order; all if they are no more or `limit` is None."""
    if limit is None or limit >= len(problems):
        return list(problems)
    chosen = set(random.Random(seed).sample(range(len(problems)), limit))
    return [problem for index, problem in enumerate(problems) if index in chosen]


def _problem(row: dict[str, Any], dataset: str) -> Problem:
    return _safim(row, dataset) if "eval_prompt" in row else _human_eval(row, dataset)


def _human_eval(row: dict[str, Any], dataset: str) -> Problem:
    kind = row["task_id"].partition("/")[0]
    expected = row["canonical_solution"]
    before, after = row["prompt"], row["suffix"]
    if expected.endswith("\n"):  # whole lines: the hole ends before the line break
        expected, after = expected[:-1], "\n" + after
    shape = Shape.LINE if kind == "SingleLineInfilling" else Shape.BLOCK
    task = "/".join(row["task_id"].split("/")[1:3])
    check = f"{row['test']}\ncheck({row['entry_point']})\n"
    context = FimContext(before, after, "solution.py", "python", shape)
    return Problem(row["task_id"], task, dataset, context, expected, before, after, ("call", check))


def _safim(row: dict[str, Any], dataset: str) -> Problem:
    text = row["eval_prompt"].replace("\r\n", "\n")
    before, _, after = text.partition(HOLE)
    shape = Shape.BLOCK if "block" in row["split_id"] else Shape.LINE
    language = {"python": "python", "cpp": "cpp", "java": "java", "csharp": "csharp"}[row["lang"]]
    pairs = ast.literal_eval(row["unit_tests"]) if isinstance(row["unit_tests"], str) else row["unit_tests"]
    context = FimContext(before, after, "solution", language, shape)
    expected = row["ground_truth"].replace("\r\n", "\n")
    tests = ("io", pairs) if pairs and language == "python" else None
    return Problem(row["split_id"], row["task_id"], dataset, context, expected, before, after, tests)


def by_line(problems: Iterable[Problem]) -> list[Problem]:
    """Each line of the several-line holes as a hole of its own, after the author's lines before it and with only the
    text after the hole below it, as the cascade writes it. Blank lines are passed over; right is the author's text."""
    found = []
    for problem in problems:
        hole = problem.context
        if hole.shape is Shape.LINE:
            continue
        lines = problem.expected.split("\n")
        for index, line in enumerate(lines):
            if line.strip():
                above = "\n".join([*lines[:index], ""]) if index else ""
                inner = replace(hole.extended(above), shape=Shape.LINE)
                name = f"{problem.name}#{index + 1}"
                before = problem.before + above
                found.append(
                    replace(
                        problem,
                        name=name,
                        context=inner,
                        expected=line,
                        before=before,
                        tests=None,
                        complete=index == len(lines) - 1,
                    )
                )
    return found


def cut(
    files: Iterable[Path],
    *,
    root: Path,
    count: int,
    seed: int = 7,
    budget: contexts.Budget,
    wanted: Callable[[str, str], bool] = lambda _line, _language: True,
) -> list[Problem]:
    """Lines hidden at random in source files, one third each with the cursor at the line's start, after its
    indentation, and in mid-line. Blank lines, comments and very short lines are not hidden; a file gives at most a
    tenth of the wanted number, more only where there are few files. Files that are not UTF-8, too large or of an
    unknown language are passed over. `wanted` tells of a line and its language whether it may be hidden."""
    chance = random.Random(seed)
    paths = sorted(files)
    chance.shuffle(paths)
    share = max(count // 10, 3, -(-count // max(len(paths), 1)))
    problems: list[Problem] = []
    for path in paths:
        problems += _cut_file(path, root, min(share, count - len(problems)), chance, budget, wanted)
        if len(problems) >= count:
            break
    return problems


def _cut_file(
    path: Path,
    root: Path,
    count: int,
    chance: random.Random,
    budget: contexts.Budget,
    wanted: Callable[[str, str], bool],
) -> list[Problem]:
    language = languages.by_path(path.name)
    try:
        if not language or path.stat().st_size > MAX_FILE_BYTES:
            return []
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError):
        return []
    lines = text.split("\n")
    usable = [
        number
        for number, line in enumerate(lines)
        if len(line.strip()) >= MIN_LINE_CHARS and not languages.is_comment(line, language) and wanted(line, language)
    ]
    name = path.relative_to(root).as_posix()
    found = []
    for number in sorted(chance.sample(usable, min(count, len(usable)))):
        line = lines[number]
        indent = len(line) - len(line.lstrip())
        column = chance.choice((0, indent, chance.randrange(indent + 1, len(line))))
        start = sum(len(other) + 1 for other in lines[:number])
        before, after = text[: start + column], text[start + len(line) :]
        hole = contexts.build(before + after, len(before), budget, path=path.name, language=language)
        hole = replace(hole, shape=Shape.LINE)
        found.append(Problem(f"{name}:{number + 1}:{column}", name, root.name, hole, line[column:], before, after))
    return found
