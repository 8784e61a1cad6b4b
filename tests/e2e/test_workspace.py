"""Code of other files of the workspace, through the real protocol: found, told of by "why", and up to date."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.e2e.wire import NEOVIM, PATIENCE_S, script, server
from tests.test_workspace_index import CSV, JSON, OTHER
from tests.test_workspace_scan import tree

ANSWER = [("notify", 0.1), ("()", 0.1), ("\n", 0.1)]
PART = "similar code: exporters/csv_file.py"
ROW, COLUMN = JSON[: JSON.index("¦")].count("\n"), 8


async def parts_shown(wire, uri: str) -> dict[str, str]:
    """At the place that is like another file's; first somewhere else, so that what is beside it is asked for anew."""
    await wire.inline(0, 0, uri=uri, trigger=0)
    await wire.inline(ROW, COLUMN, uri=uri, trigger=0)
    data = await wire.call("egate/explain", {})
    return {part["name"]: part["text"] for part in data["window"] if not part["left_out"]}


async def until_shown(wire, uri: str, *, there: bool = True) -> dict[str, str]:
    async with asyncio.timeout(PATIENCE_S):
        while (PART in (parts := await parts_shown(wire, uri))) is not there:
            pass
    return parts


async def test_why_shows_code_of_another_file_as_it_is_now(tmp_path: Path) -> None:
    root = tree(tmp_path / "ws", {"exporters/csv_file.py": CSV, "other.py": OTHER, "secret.py": CSV})
    uri = (root / "exporters/json_file.py").as_uri()
    options = {
        **script(tmp_path, ("", ANSWER)),
        "context": {"sources": ["similar-code"]},
        "privacy": {"never_send": ["secret*"]},
    }
    async with server(tmp_path, cwd=root) as wire:
        result = await wire.initialize(NEOVIM, options, root=root)
        assert result["capabilities"]["textDocumentSync"]["save"]
        wire.open(JSON.replace("¦", ""), uri=uri)
        parts = await until_shown(wire, uri)

        assert "notify_exported(target_path, len(records))" in parts[PART]
        assert not any("secret" in name for name in parts)

        path = root / "exporters/csv_file.py"
        path.write_text(OTHER)
        wire.notify("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}})
        assert PART not in await until_shown(wire, uri, there=False)


async def test_no_index_without_the_setting_or_a_folder(tmp_path: Path) -> None:
    root = tree(tmp_path / "ws", {"exporters/csv_file.py": CSV})
    uri = (root / "exporters/json_file.py").as_uri()
    for options, folder in (({}, root), ({"context": {"sources": ["similar-code"]}}, None)):
        async with server(tmp_path) as wire:
            await wire.initialize(NEOVIM, {**script(tmp_path, ("", ANSWER)), **options}, root=folder)
            wire.open(JSON.replace("¦", ""), uri=uri)
            assert set(await parts_shown(wire, uri)) == {"before the cursor", "after the cursor"}
