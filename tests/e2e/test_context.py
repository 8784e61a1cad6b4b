"""What of other files is shown, through the real protocol."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.wire import NEOVIM, script, server

ANSWER = [("return", 0.1), (" 42", 0.1), ("\n", 0.1)]
STORE = "class Store:\n" + "".join(
    f"    def get_{number}(self, path_name):\n        return self.rows[path_name][{number}]\n\n" for number in range(20)
)
USER = "def get_x(self, path_name):\n    \n"


async def parts_shown(wire) -> dict[str, str]:
    data = await wire.call("egate/explain", {})
    return {part["name"]: part["text"] for part in data["window"] if not part["left_out"]}


async def test_edits_and_places_in_another_document_are_shown(tmp_path: Path) -> None:
    folder = tmp_path / "ws"
    (folder / "pkg").mkdir(parents=True)
    store, user = (folder / "pkg" / "store.py").as_uri(), (folder / "user.py").as_uri()
    options = {**script(tmp_path, ("", ANSWER)), "context": {"sources": ["open-files", "recent-edits"]}}
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, options, root=folder)
        wire.open(STORE, uri=store)
        wire.open(USER, uri=user)
        where = {"start": {"line": 30, "character": 0}, "end": {"line": 30, "character": 0}}
        change = {
            "textDocument": {"uri": store, "version": 1},
            "contentChanges": [{"range": where, "text": "# here\n"}],
        }
        wire.notify("textDocument/didChange", change)
        assert await wire.inline(1, 4, uri=user)
        parts = await parts_shown(wire)

        assert parts["recent edits: pkg/store.py"] == "# + # here\n"
        assert "# here\n" in parts["open files: pkg/store.py"]
        assert "pkg" not in "".join(wire.messages())


async def test_by_default_only_the_file_is_shown(tmp_path: Path) -> None:
    async with server(tmp_path) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", ANSWER)), root=tmp_path)
        wire.open(STORE, uri=(tmp_path / "store.py").as_uri())
        wire.open(USER, uri=(tmp_path / "user.py").as_uri())
        assert await wire.inline(12, 4, uri=(tmp_path / "store.py").as_uri()) is not None
        assert await wire.inline(1, 4, uri=(tmp_path / "user.py").as_uri())
        assert set(await parts_shown(wire)) == {"before the cursor", "after the cursor"}
