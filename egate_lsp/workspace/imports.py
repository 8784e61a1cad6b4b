"""Which files a text imports, as far as its lines tell. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ROWS = 400  # of a file; imports stand at its beginning, and reading all of a long one takes long
_PYTHON = re.compile(r"\s*(?:from\s+(?P<base>[.\w]+)\s+import\s+(?P<names>[^#]+)|import\s+(?P<whole>[\w.]+))")
_QUOTED = re.compile(r"\b(?:from|import|require|include|require_relative)\s*\(?\s*['\"<](?P<path>[^'\">]+)['\">]")
_WORDS = re.compile(r"\s*(?:import|use|using|pub use|alias)\s+(?:static\s+)?(?P<path>[\w.:]+)")
_ENDING = re.compile(r"\.(?:pyi?|[cm]?[jt]sx?|hpp|h|rb|lua)$")
# A file of such a name stands for its folder.
_FOLDERS = {"__init__", "index", "mod", "lib"}


def of_text(text: str, name: str) -> frozenset[str]:
    """Modules as paths with slashes and without an ending, such as `egate_lsp/workspace/scan`; relative ones are
    resolved from the folder of `name`."""
    found: set[str] = set()
    folder = posixpath.dirname(name)
    for line in text.split("\n", MAX_ROWS)[:MAX_ROWS]:
        if len(line) < 400:
            found.update(_of_line(line, folder, python=name.endswith((".py", ".pyi"))))
    return frozenset(path for path in found if path and not path.startswith(".."))


def _of_line(line: str, folder: str, *, python: bool) -> Iterator[str]:
    if python:
        match = _PYTHON.match(line)
        if match is None:
            return
        base = _dotted(match["base"] or match["whole"], folder)
        yield base
        # `from package import module`: what is named may be a file itself.
        for name in re.findall(r"\w+", match["names"] or ""):
            yield posixpath.join(base, name)
        return
    for match in _QUOTED.finditer(line):
        path = _ENDING.sub("", match["path"])
        yield posixpath.normpath(posixpath.join(folder, path)) if path.startswith(".") else path
    if (match := _WORDS.match(line)) is not None:
        parts = [part for part in re.split(r"[.:]+", match["path"]) if part not in {"", "crate", "self", "super"}]
        yield "/".join(parts)
        yield "/".join(parts[:-1])  # the last may be what the module defines


def _dotted(module: str, folder: str) -> str:
    rest = module.lstrip(".")
    path = rest.replace(".", "/")
    up = len(module) - len(rest)
    if not up:
        return path
    base = posixpath.normpath(posixpath.join(folder or ".", *[".."] * (up - 1)))
    return posixpath.normpath(posixpath.join("" if base == "." else base, path)) if path else base


def module_of(name: str) -> str:
    """The module that a file is, as `of_text` names it."""
    path = posixpath.splitext(name)[0]
    folder, last = posixpath.split(path)
    return folder if last in _FOLDERS and folder else path


class Modules:
    """The files of a workspace by the modules that they are."""

    def __init__(self) -> None:
        self._by_last: dict[str, dict[str, str]] = defaultdict(dict)  # last part of the module: file: module

    def put(self, name: str) -> None:
        """A file by its path."""
        module = module_of(name)
        self._by_last[posixpath.basename(module)][name] = module

    def drop(self, name: str) -> None:
        """It is gone."""
        last = posixpath.basename(module_of(name))
        self._by_last[last].pop(name, None)
        if not self._by_last[last]:
            del self._by_last[last]

    def files(self, imported: str) -> list[str]:
        """The files that an import may mean: whose module is it, ends with it, or is its end, where the folder is that
        of a package itself."""
        candidates = self._by_last.get(posixpath.basename(imported), {})
        exact = [name for name, module in candidates.items() if module == imported]
        if exact:
            return exact
        return [
            name
            for name, module in candidates.items()
            if f"/{module}".endswith(f"/{imported}") or ("/" in module and imported.endswith(f"/{module}"))
        ]


def stem(name: str) -> str:
    """A file's name without what makes it the test of another one: the same for a file and its tests."""
    base = posixpath.basename(name)
    base = base[: base.find(".", 1)] if "." in base[1:] else base
    return re.sub(r"^(?:test|tests|spec)_|_(?:test|tests|spec)$|(?<=[a-z])(?:Tests?|Spec)$", "", base)
