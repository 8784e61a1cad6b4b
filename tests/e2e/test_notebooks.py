"""Cells of notebooks, through the real protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.wire import NEOVIM, Wire, script, server

NOTEBOOK = "file:///tmp/egate/work.ipynb"
CAPABILITIES = {**NEOVIM, "notebookDocument": {"synchronization": {"dynamicRegistration": True}}}


def cell(name: str) -> str:
    return f"vscode-notebook-cell:/tmp/egate/work.ipynb#{name}"


def item(name: str, text: str, language: str = "python") -> dict[str, Any]:
    return {"uri": cell(name), "languageId": language, "version": 0, "text": text}


def entry(name: str, kind: int = 2) -> dict[str, Any]:
    return {"kind": kind, "document": cell(name)}


def opened(wire: Wire, *items: dict[str, Any]) -> None:
    cells = [{"kind": 2 if each["languageId"] == "python" else 1, "document": each["uri"]} for each in items]
    document = {"uri": NOTEBOOK, "notebookType": "jupyter-notebook", "version": 0, "cells": cells}
    wire.notify("notebookDocument/didOpen", {"notebookDocument": document, "cellTextDocuments": list(items)})


def changed(wire: Wire, **cells: Any) -> None:
    document = {"uri": NOTEBOOK, "version": 1}
    wire.notify("notebookDocument/didChange", {"notebookDocument": document, "change": {"cells": cells}})


async def answered(wire: Wire, name: str, character: int) -> str:
    """By its text a rule of the script tells what stood before the cursor."""
    items = await wire.inline(0, character, uri=cell(name), trigger=0)
    return "".join(each["insertText"] for each in items)


def rules(tmp_path: Path, *afters: str) -> dict[str, Any]:
    found = [(after, [(f"seen_{number}", 0.1), ("\n", 0.1)]) for number, after in enumerate(afters)]
    return script(tmp_path, *found, ("", [("other", 0.1), ("\n", 0.1)]))


async def test_the_cells_above_stand_before_the_cursor_as_they_are_now(tmp_path: Path) -> None:
    after = (
        "import re\n\nnew = 2\n\na = 1\n\nx = ",
        "new = 2\n\na = 1\n\nx = ",
        "import re\n\na = 1\n\nx = ",
        "import os\n\na = 1\n\nx = ",
    )
    async with server(tmp_path) as wire:
        capabilities = (await wire.initialize(CAPABILITIES, rules(tmp_path, *after)))["capabilities"]
        assert capabilities["notebookDocumentSync"]["notebookSelector"] == [{"notebook": "*"}]
        opened(wire, item("A", "import os\n"), item("T", "# Title", "markdown"), item("B", "a = 1"), item("C", "x = "),
               item("D", "below = 1"))  # fmt: skip
        assert await answered(wire, "C", 4) == "seen_3"  # the text cell is left out
        assert await answered(wire, "A", 9) == "other"

        place = {"start": {"line": 0, "character": 7}, "end": {"line": 0, "character": 9}}
        version = {"uri": cell("A"), "version": 1}
        changed(wire, textContent=[{"document": version, "changes": [{"range": place, "text": "re"}]}])
        assert await answered(wire, "C", 4) == "seen_2"

        array = {"start": 1, "deleteCount": 0, "cells": [entry("N")]}
        changed(wire, structure={"array": array, "didOpen": [item("N", "new = 2\n")]})
        assert await answered(wire, "C", 4) == "seen_0"

        changed(wire, structure={"array": {"start": 0, "deleteCount": 1}, "didClose": [{"uri": cell("A")}]})
        assert await answered(wire, "C", 4) == "seen_1"
        assert await answered(wire, "A", 0) == ""


async def test_a_closed_notebook_is_gone_and_odd_changes_cost_nothing(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(CAPABILITIES, rules(tmp_path))
        changed(wire, structure={"array": {"start": 0, "deleteCount": 1}})
        opened(wire, item("A", "x = "))
        changed(wire, structure={"array": {"start": 99, "deleteCount": 99, "cells": [entry("gone")]}})
        changed(wire, textContent=[{"document": {"uri": cell("gone"), "version": 1}, "changes": [{"text": "y"}]}])
        changed(wire, data=[entry("A")])
        assert await answered(wire, "A", 4) == "other"

        texts = [{"uri": cell("A")}, {"uri": cell("gone")}]
        wire.notify("notebookDocument/didClose", {"notebookDocument": {"uri": NOTEBOOK}, "cellTextDocuments": texts})
        assert await answered(wire, "A", 4) == ""
